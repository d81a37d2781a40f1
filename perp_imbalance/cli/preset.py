"""``perp-imbalance preset``: list, show and apply presets and parameter files."""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from perp_imbalance.cli.next_steps import backtest_command
from perp_imbalance.cli.options import add_config, add_strategy, config_files, named_values
from perp_imbalance.errors import CommandError
from perp_imbalance.indicators.thresholds import PRESET_SIDES, PRESETS, Side

if TYPE_CHECKING:
    from perp_imbalance.freqtrade_bridge.parameter_file import ParameterFile

_EXAMPLE = """example:
  perp-imbalance preset list
  perp-imbalance preset show aggressive
  perp-imbalance preset apply conservative --strategy PerpImbalance
  perp-imbalance preset apply user_data/walk_forward/winner.json \\
      --strategy PerpImbalance --force
  perp-imbalance preset apply enter_z=2.2 use_sigma=yes --strategy PerpImbalance
"""
_STRATEGY = "PerpImbalance"


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand ``preset`` with its actions ``list``, ``show`` and ``apply``."""
    parser = subparsers.add_parser(
        "preset",
        help="list, show and apply presets and parameter files",
        description="A preset, or values found by hyperopt or a walk-forward, are written to the\n"
        "parameter file of a strategy: <Strategy>.json next to it, which it trades with from then\n"
        "on. Delete that file to return to the strategy's own preset.",
        epilog=_EXAMPLE,
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
    apply.add_argument(
        "name", nargs="+", help="a preset, a parameter file, or values such as enter_z=2.2"
    )
    add_strategy(apply, _STRATEGY)
    apply.add_argument("--force", action="store_true", help="replace a parameter file")
    add_config(apply)
    apply.set_defaults(run=apply_preset)


def list_presets(arguments: argparse.Namespace) -> int:
    """Print all presets."""
    presets = {name: _preset_values(name) for name in PRESETS}
    print(json.dumps(presets, indent=2) if arguments.json else _table(presets))
    return 0


def show_preset(arguments: argparse.Namespace) -> int:
    """Print the values of a preset or a parameter file."""
    values = _values(arguments.name)
    print(json.dumps(values, indent=2) if arguments.json else _table({arguments.name: values}))
    return 0


def apply_preset(arguments: argparse.Namespace) -> int:
    """Write a strategy's parameter file."""
    from perp_imbalance.freqtrade_bridge.config import load_config
    from perp_imbalance.freqtrade_bridge.strategies import strategy_folder
    from perp_imbalance.freqtrade_bridge.strategy_trial import tried
    from perp_imbalance.strategy.parameters import PARAMETER_NAMES
    from perp_imbalance.strategy.settings import SECTION

    name, strategy = " ".join(arguments.name), arguments.strategy
    parameters = _typed(arguments.name) or _parameters(name)
    config = load_config(config_files(arguments))
    folder = strategy_folder(config, strategy)
    source = folder / f"{strategy}.py"
    if not source.is_file():
        there = ", ".join(sorted(file.stem for file in folder.glob("*.py"))) or "none"
        raise CommandError(
            f"there is no strategy {source}: name one with --strategy; available: {there}"
        )
    file = source.with_suffix(".json")
    if file.exists() and not arguments.force:
        raise CommandError(f"{file} exists already: keep a copy, then replace it with --force")
    values = tried({**config, "strategy": strategy}, source, parameters, name)
    parameters.write(file, strategy)
    print(f"{strategy} now trades with {name}: {file}")
    if parameters.warning:
        print(f"Warning: {parameters.warning}")
    named = parameters.values
    fixed = [f"{key} {values[key]}" for key in named if values[key] != named[key]]
    if fixed:
        print(f"Fixed by {strategy}, unlike in {name}: {', '.join(fixed)}")
    kept = [f"{key} {values[key]}" for key in PARAMETER_NAMES if key not in named]
    if kept:
        print(f"Not in {name}, kept from {strategy}: {', '.join(kept)}")
    if name in PRESET_SIDES:
        sides = json.dumps(list(PRESET_SIDES[name]))
        print(
            f"A parameter file cannot choose the sides to enter. {name} is for one: set "
            f'"sides": {sides} in the config\'s section "{SECTION}"'
        )
    print(f"Next: {backtest_command(strategy, arguments.config, parameters.tuned_on)}")
    return 0


def _typed(words: Sequence[str]) -> "ParameterFile | None":
    """Return typed ``NAME=VALUE`` words as parameters; None if the only word is a name.

    :raises PerpImbalanceError: if a word is not a value, or names and values are mixed.
    """
    from perp_imbalance.freqtrade_bridge.parameter_file import ParameterFile

    if "=" not in words[0] and len(words) == 1:
        return None
    return ParameterFile.of_words(named_values(words))


def _parameters(name: str) -> "ParameterFile":
    """Return the values of a preset or of a parameter file.

    :raises PerpImbalanceError: if neither exists, or if it has an invalid value or no value.
    """
    from perp_imbalance.freqtrade_bridge.parameter_file import ParameterFile

    if name in PRESETS:
        return ParameterFile.of(PRESETS[name])
    file = Path(name)
    if not file.is_file():
        presets = ", ".join(PRESETS)
        raise CommandError(
            f"there is no preset and no parameter file {name}: presets are {presets}"
        )
    parameters = ParameterFile.read(file)
    if not any(parameters.params.values()):
        raise CommandError(f"{name} has no value of any parameter, so there is nothing to apply")
    return parameters


def _values(name: str) -> dict[str, Any]:
    """Return the values of a preset, or of a parameter file, by name."""
    from perp_imbalance.freqtrade_bridge.parameter_file import OUR_PARAMETERS

    if name in PRESETS:
        return _preset_values(name)
    parameters = _parameters(name)
    parameters.check_names(name, OUR_PARAMETERS)
    values: dict[str, Any] = {}
    for space, found in parameters.params.items():
        # The keys of a ROI table are minutes.
        values |= {"minimal_roi": found} if space == "roi" else found
    return values


def _preset_values(name: str) -> dict[str, Any]:
    """Return a preset's thresholds and the sides that it enters."""
    sides = PRESET_SIDES.get(name, get_args(Side))
    return {**asdict(PRESETS[name]), "sides": list(sides)}


def _table(columns: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a table of values with one line per parameter and one column per preset."""
    width = max(map(len, columns)) + 2
    names = next(iter(columns.values()))
    first = max(map(len, names))
    lines = [" " * first + "".join(f"{name:>{width}}" for name in columns)]
    for name in names:
        values = "".join(f"{_cell(preset[name]):>{width}}" for preset in columns.values())
        lines.append(f"{name:<{first}}{values}")
    return "\n".join(lines)


def _cell(value: Any) -> str:
    return "+".join(value) if isinstance(value, list) else str(value)
