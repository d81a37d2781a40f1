"""``perp-imbalance preset``: presets and parameter files as what a strategy trades with."""

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perp_imbalance.commands.options import add_config, config_files
from perp_imbalance.errors import CommandError
from perp_imbalance.indicators.thresholds import PRESETS, Thresholds

if TYPE_CHECKING:
    from perp_imbalance.parameter_file import Params

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
    presets = {name: asdict(preset) for name, preset in PRESETS.items()}
    print(json.dumps(presets, indent=2) if arguments.json else _table(presets))
    return 0


def show_preset(arguments: argparse.Namespace) -> int:
    """Print the values of a preset or a parameter file."""
    values = _values(arguments.name)
    print(json.dumps(values, indent=2) if arguments.json else _table({arguments.name: values}))
    return 0


def apply_preset(arguments: argparse.Namespace) -> int:
    """Write the parameter file of a strategy."""
    from freqtrade.misc import deep_merge_dicts

    from perp_imbalance.exchange import load_config
    from perp_imbalance.parameter_file import params_of, write_params

    thresholds, beside = _preset(arguments.name)
    config = load_config(config_files(arguments))
    folder = Path(config.get("strategy_path") or config["user_data_dir"] / "strategies")
    source = folder / f"{arguments.strategy}.py"
    if not source.is_file():
        there = ", ".join(sorted(file.stem for file in folder.glob("*.py"))) or "none"
        raise CommandError(
            f"there is no strategy {source}: name one with --strategy, there are {there}"
        )
    _check_parameters({**config, "strategy": arguments.strategy, "strategy_path": str(folder)})
    file = source.with_suffix(".json")
    params = deep_merge_dicts(beside, params_of(thresholds))
    write_params(file, arguments.strategy, params, force=arguments.force)
    print(f"{arguments.strategy} now trades with {arguments.name}: {file}")
    return 0


def _check_parameters(config: dict[str, Any]) -> None:
    """Raise unless a strategy has the parameters that a preset sets.

    :raises CommandError: naming one that it lacks, or what freqtrade has against the strategy.
    """
    from freqtrade.resolvers import StrategyResolver

    from perp_imbalance.exchange import in_one_line
    from perp_imbalance.parameters import PARAMETER_NAMES

    name = config["strategy"]
    with in_one_line(f"strategy {name}"):
        strategy = StrategyResolver.load_strategy(config)
    lacking = [parameter for parameter in PARAMETER_NAMES if not hasattr(strategy, parameter)]
    if lacking:
        raise CommandError(
            f"{name} has no parameter {lacking[0]}: a preset is for PerpImbalance and strategies "
            "that are made of it"
        )


def _preset(name: str) -> tuple[Thresholds, "Params"]:
    """Return the thresholds of a preset, or of a parameter file over those of "balanced".

    With what a parameter file has beside them, by space: settings, stoploss, ROI and the like. A
    preset leaves those to config and strategy.
    """
    from perp_imbalance.parameter_file import others_of, read_params, settings_of, thresholds_of

    if name in PRESETS:
        return PRESETS[name], {}
    params = read_params(Path(name))
    return thresholds_of(params, PRESETS["balanced"]), settings_of(params) | others_of(params)


def _values(name: str) -> dict[str, Any]:
    """Return all values of a preset or a parameter file by name."""
    thresholds, beside = _preset(name)
    values = asdict(thresholds)
    for space, found in beside.items():
        # A ROI table has minutes for names.
        values |= {"minimal_roi": found} if space == "roi" else found
    return values


def _table(columns: Mapping[str, Mapping[str, Any]]) -> str:
    """Return values side by side, one in a line."""
    width = max(map(len, columns)) + 2
    names = next(iter(columns.values()))
    first = max(map(len, names))
    lines = [" " * first + "".join(f"{name:>{width}}" for name in columns)]
    for name in names:
        values = "".join(f"{preset[name]!s:>{width}}" for preset in columns.values())
        lines.append(f"{name:<{first}}{values}")
    return "\n".join(lines)
