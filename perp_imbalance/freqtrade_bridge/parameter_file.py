"""Parameter files: freqtrade's ``<Strategy>.json``, which a strategy trades with from then on."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perp_imbalance.errors import CommandError, SettingsError
from perp_imbalance.files import atomic_write
from perp_imbalance.indicators.thresholds import PRESETS, Thresholds
from perp_imbalance.strategy.parameters import PARAMETER_SPACES, SETTING_SPACES
from perp_imbalance.strategy.settings import check_setting

_SPACES = PARAMETER_SPACES | SETTING_SPACES

#: Values by space and name, as freqtrade's parameter files have them.
Params = dict[str, dict[str, Any]]


def params_of(thresholds: Thresholds) -> Params:
    """Return thresholds by space: those that are parameters.

    >>> params_of(PRESETS["balanced"])["sell"]
    {'exit_z': 0.9}
    """
    params: Params = {}
    for name, space in PARAMETER_SPACES.items():
        params.setdefault(space, {})[name] = getattr(thresholds, name)
    return params


def thresholds_of(params: Mapping[str, Mapping[str, Any]], base: Thresholds) -> Thresholds:
    """Return the thresholds that parameters make of a preset's.

    :param base: what holds where the parameters name no value.
    :raises SettingsError: as :func:`values_of`, or if they cannot be traded with.
    """
    values = {name: getattr(base, name) for name in (*PARAMETER_SPACES, "hot_z")}
    return Thresholds(**(values | values_of(params)))


def values_of(params: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the thresholds that parameters name, and no others.

    :raises SettingsError: naming a parameter that no strategy of ours has, or one of a wrong kind.

    >>> values_of({"buy": {"enter_z": 2, "entry_mode": "flip"}})
    {'enter_z': 2.0}
    """
    values: dict[str, Any] = {}
    for space, found in params.items():
        if space in _OTHER_SPACES:
            continue
        for name, value in found.items():
            if _SPACES.get(name) != space:
                known = ", ".join(f"{place}.{key}" for key, place in _SPACES.items())
                raise SettingsError(f"{space}.{name} is no parameter: known are {known}")
            if name in SETTING_SPACES:
                check_setting(name, value)
                continue
            wanted = type(getattr(PRESETS["balanced"], name))
            right = isinstance(value, (int, float) if wanted is float else wanted)
            if not right or (wanted is not bool and isinstance(value, bool)):
                raise SettingsError(f"{space}.{name} is {value!r}, it must be {_A[wanted]}")
            values[name] = wanted(value)
    return values


def options_of(params: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return what parameters say of freqtrade's own options, by the names that a config has.

    :raises SettingsError: naming an option that freqtrade would leave aside.

    >>> options_of({"stoploss": {"stoploss": -0.2}, "roi": {"0": 0.1}})
    {'minimal_roi': {'0': 0.1}, 'stoploss': -0.2}
    """
    options: dict[str, Any] = {}
    for minutes in params.get("roi", {}):
        if not minutes.isdecimal():
            raise SettingsError(f"roi.{minutes} is no number of minutes")
    if "roi" in params:
        options["minimal_roi"] = dict(params["roi"])
    for space, known in _OPTIONS.items():
        for name, value in params.get(space, {}).items():
            if name not in known:
                others = ", ".join(f"{space}.{option}" for option in known)
                raise SettingsError(f"{space}.{name} is no option of freqtrade: known are {others}")
            options[name] = value
    return options


_A = {bool: "true or false", int: "a whole number", float: "a number"}

# What freqtrade's hyperopt writes beside the values of our spaces.
_OPTIONS = {
    "stoploss": ("stoploss",),
    "trailing": (
        *("trailing_stop", "trailing_stop_positive"),
        *("trailing_stop_positive_offset", "trailing_only_offset_is_reached"),
    ),
    "max_open_trades": ("max_open_trades",),
}
_OTHER_SPACES = {*_OPTIONS, "roi", "protection"}


def read_params(file: Path) -> Params:
    """Return the values of a parameter file, as hyperopt or a walk-forward wrote it.

    :raises CommandError: if there is no such file, if it is not one, or has no value.
    """
    try:
        content = json.loads(file.read_text("utf-8"))
    except OSError:
        raise CommandError(
            f"there is no preset and no parameter file {file}: presets are {', '.join(PRESETS)}"
        ) from None
    except ValueError:
        raise CommandError(f"{file} is no JSON") from None
    params = content.get("params") if isinstance(content, dict) else None
    if not isinstance(params, dict) or not all(isinstance(v, dict) for v in params.values()):
        raise CommandError(f'{file} has no "params" by space, as hyperopt writes it')
    if not any(params.values()):
        raise CommandError(f"{file} has no value of any parameter, so there is nothing to take")
    return params


def check_replaceable(file: Path, *, force: bool) -> None:
    """Raise if a parameter file is there, whatever it holds, and may not be replaced.

    :raises CommandError: naming it.
    """
    if file.exists() and not force:
        raise CommandError(f"{file} is there already: keep a copy, then replace it with --force")


def write_params(file: Path, strategy: str, params: Params, *, force: bool) -> None:
    """Write the parameter file of a strategy, through freqtrade itself.

    :param file: beside the strategy, with its name.
    :param force: whether a file that is there may be replaced.
    :raises CommandError: if it is there and may not be replaced, or cannot be written.
    """
    from freqtrade.optimize.hyperopt_tools import HyperoptTools

    check_replaceable(file, force=force)
    details = {"params_details": params, "params_not_optimized": {}}
    # It would name the file below, which is gone by then.
    logging.getLogger(HyperoptTools.__module__).setLevel(logging.WARNING)
    with atomic_write(file) as part:
        HyperoptTools.export_params(details, strategy, part)
