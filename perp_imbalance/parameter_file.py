"""Parameter files: freqtrade's ``<Strategy>.json``, which a strategy trades with from then on."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perp_imbalance.errors import CommandError, SettingsError
from perp_imbalance.files import appearing
from perp_imbalance.indicators.thresholds import PRESETS, Thresholds
from perp_imbalance.parameters import PARAMETER_SPACES, SETTING_SPACES
from perp_imbalance.settings import check_setting

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
    :raises SettingsError: naming a parameter that no strategy of ours has, or one of a wrong kind.
    """
    values = {name: getattr(base, name) for name in (*PARAMETER_SPACES, "hot_z")}
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
            wanted = type(values[name])
            right = isinstance(value, (int, float) if wanted is float else wanted)
            if not right or (wanted is not bool and isinstance(value, bool)):
                raise SettingsError(f"{space}.{name} is {value!r}, it must be {_A[wanted]}")
            values[name] = wanted(value)
    return Thresholds(**values)


def settings_of(params: Mapping[str, Mapping[str, Any]]) -> Params:
    """Return what parameters say of settings: of those that are no thresholds.

    >>> settings_of({"buy": {"enter_z": 2.0, "entry_mode": "flip"}})
    {'buy': {'entry_mode': 'flip'}}
    """
    found: Params = {}
    for name, space in SETTING_SPACES.items():
        if name in params.get(space, {}):
            found.setdefault(space, {})[name] = params[space][name]
    return found


def others_of(params: Mapping[str, Mapping[str, Any]]) -> Params:
    """Return what parameters say beside ours: freqtrade's own spaces, as hyperopt writes them.

    >>> others_of({"buy": {"enter_z": 2.0}, "stoploss": {"stoploss": -0.2}})
    {'stoploss': {'stoploss': -0.2}}
    """
    return {space: dict(found) for space, found in params.items() if space in _OTHER_SPACES}


_A = {bool: "true or false", int: "a whole number", float: "a number"}

# What freqtrade's hyperopt writes beside the values of our spaces.
_OTHER_SPACES = {"roi", "stoploss", "trailing", "max_open_trades", "protection"}


def read_params(file: Path) -> Params:
    """Return the values of a parameter file, as hyperopt or a walk-forward wrote it.

    :raises CommandError: if there is no such file, or if it is not one.
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
    return params


def write_params(file: Path, strategy: str, params: Params, *, force: bool) -> None:
    """Write the parameter file of a strategy, through freqtrade itself.

    :param file: beside the strategy, with its name.
    :param force: whether a file that is there may be replaced.
    :raises CommandError: if it is there and may not be replaced, or cannot be written.
    """
    from freqtrade.optimize.hyperopt_tools import HyperoptTools

    if file.exists() and not force:
        raise CommandError(f"{file} is there already: keep a copy, then replace it with --force")
    details = {"params_details": params, "params_not_optimized": {}}
    # It would name the file below, which is gone by then.
    logging.getLogger(HyperoptTools.__module__).setLevel(logging.WARNING)
    with appearing(file) as part:
        HyperoptTools.export_params(details, strategy, part)
