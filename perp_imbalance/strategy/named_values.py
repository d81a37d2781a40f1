"""Format parameter values as text, such as ``enter_z=2.2 use_sigma=no``."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from perp_imbalance.errors import SettingsError
from perp_imbalance.indicators.gates import GATES, OPTIONAL_GATES
from perp_imbalance.indicators.thresholds import PRESETS, THRESHOLD_NAMES, Thresholds
from perp_imbalance.strategy.parameters import SETTING_SPACES, new_parameter
from perp_imbalance.strategy.settings import Settings


def check_decimals(name: str, value: Any) -> None:
    """Refuse a value that a strategy's parameter would round.

    :raises SettingsError: with the rounded value.

    >>> check_decimals("enter_z", 2.125)
    """
    kept = new_parameter(name, value).value
    if kept != value:
        raise SettingsError(
            f"{name} is {value:.10g}, which a strategy's parameter keeps as {kept:g}: take fewer "
            "decimals"
        )


def words_of(values: Mapping[str, Any]) -> list[str]:
    """Return values as text that commands can read.

    >>> words_of({"enter_z": 2.0, "use_sigma": False})
    ['enter_z=2', 'use_sigma=no']
    """
    return [f"{name}={_word(value)}" for name, value in values.items()]


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def written_values(thresholds: Thresholds, settings: Settings) -> dict[str, Any]:
    """Return all values that affect signals: all switches, and the thresholds of active gates.

    :param settings: settings whose entry mode and ``max_stale_candles`` are added if not default.

    >>> words_of(written_values(Thresholds(use_sigma=False), Settings()))[4:]
    ['robust_z=no', 'use_sigma=no', 'use_htf=no', 'min_deviation_bps=0']
    """
    window = "dev_len" if thresholds.robust_z else "len_prem"
    names = ["enter_z", "exit_z", window, "smooth_len", "robust_z"]
    for gate in GATES:
        # Those that no preset has on are off unless named.
        if gate.series is None or gate.is_on(thresholds):
            names.append(gate.switch)
        if gate.is_on(thresholds):
            names += gate.thresholds
    values = {name: getattr(thresholds, name) for name in dict.fromkeys(names)}
    for name in SETTING_SPACES:
        default = Settings.model_fields[name].default
        if name not in THRESHOLD_NAMES and getattr(settings, name) != default:
            values[name] = getattr(settings, name)
    return values


def preset_said(thresholds: Thresholds, preset: str) -> str:
    """Return the name of the thresholds in messages: their preset, or the preset they started from.

    >>> preset_said(PRESETS["balanced"], "balanced"), preset_said(Thresholds(enter_z=2), "balanced")
    ('balanced', 'balanced, tuned')
    """
    for name, known in PRESETS.items():
        # Drawing only, and what the config switches on: neither is of the preset.
        same = replace(
            known,
            hot_z=thresholds.hot_z,
            **{gate: getattr(thresholds, gate) for gate in OPTIONAL_GATES},
        )
        if thresholds == same:
            return name
    return f"{preset}, tuned"
