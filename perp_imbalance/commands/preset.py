"""``perp-imbalance preset``: presets and parameter files as what a strategy trades with."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from perp_imbalance.commands.options import add_config, config_files
from perp_imbalance.errors import CommandError
from perp_imbalance.indicators.thresholds import PRESETS, THRESHOLD_NAMES, Thresholds

_EXAMPLE = """example:
  perp-imbalance preset list
  perp-imbalance preset show aggressive
  perp-imbalance preset apply conservative --strategy PerpImbalance
  perp-imbalance preset apply user_data/walk_forward/winner.json --strategy PerpImbalance --force
"""
_STRATEGY = "PerpImbalance"


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand ``preset`` with its own three."""
    parser = subparsers.add_parser(
        "preset",
        help="list, show and apply presets and parameter files",
        description="A preset, or values that hyperopt or a walk-forward found, become the\n"
        "parameter file of a strategy: <Strategy>.json beside it, which it trades with from then\n"
        "on. Delete that file to have the strategy's own preset back.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="all presets, side by side")
    listing.add_argument("--json", action="store_true", help="for machines")
    listing.set_defaults(run=list_presets)
    show = actions.add_parser("show", help="the values of one")
    show.add_argument("name", help="a preset, or a parameter file")
    show.add_argument("--json", action="store_true", help="for machines")
    show.set_defaults(run=show_preset)
    apply = actions.add_parser("apply", help="write it as a strategy's parameter file")
    apply.add_argument("name", help="a preset, or a parameter file")
    apply.add_argument(
        "--strategy", default=_STRATEGY, metavar="CLASS", help="default: %(default)s"
    )
    apply.add_argument("--force", action="store_true", help="replace a parameter file")
    add_config(apply)
    apply.set_defaults(run=apply_preset)


def list_presets(arguments: argparse.Namespace) -> int:
    """Print all presets."""
    if arguments.json:
        print(json.dumps({name: asdict(preset) for name, preset in PRESETS.items()}, indent=2))
    else:
        print(_table(PRESETS))
    return 0


def show_preset(arguments: argparse.Namespace) -> int:
    """Print the values of a preset or a parameter file."""
    thresholds = _thresholds(arguments.name)
    if arguments.json:
        print(json.dumps(asdict(thresholds), indent=2))
    else:
        print(_table({arguments.name: thresholds}))
    return 0


def apply_preset(arguments: argparse.Namespace) -> int:
    """Write the parameter file of a strategy."""
    from perp_imbalance.exchange import load_config
    from perp_imbalance.parameter_file import params_of, write_params

    thresholds = _thresholds(arguments.name)
    config = load_config(config_files(arguments))
    folder = Path(config.get("strategy_path") or config["user_data_dir"] / "strategies")
    source = folder / f"{arguments.strategy}.py"
    if not source.is_file():
        there = ", ".join(sorted(file.stem for file in folder.glob("*.py"))) or "none"
        raise CommandError(
            f"there is no strategy {source}: name one with --strategy, there are {there}"
        )
    file = source.with_suffix(".json")
    write_params(file, arguments.strategy, params_of(thresholds), force=arguments.force)
    print(f"{arguments.strategy} now trades with {arguments.name}: {file}")
    return 0


def _thresholds(name: str) -> Thresholds:
    """Return the thresholds of a preset, or of a parameter file over those of "balanced"."""
    from perp_imbalance.parameter_file import read_params, thresholds_of

    if name in PRESETS:
        return PRESETS[name]
    return thresholds_of(read_params(Path(name)), PRESETS["balanced"])


def _table(columns: dict[str, Thresholds]) -> str:
    """Return thresholds side by side, one in a line."""
    width = max(map(len, columns)) + 2
    lines = [" " * 10 + "".join(f"{name:>{width}}" for name in columns)]
    for name in THRESHOLD_NAMES:
        values = "".join(f"{getattr(preset, name)!s:>{width}}" for preset in columns.values())
        lines.append(f"{name:<10}{values}")
    return "\n".join(lines)
