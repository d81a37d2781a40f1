"""The thresholds as freqtrade parameters: what hyperopt may try, and in which space."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar, get_args

from freqtrade.strategy import (
    BooleanParameter,
    CategoricalParameter,
    DecimalParameter,
    IntParameter,
)
from freqtrade.strategy.parameters import BaseParameter

from perp_imbalance.indicators.hysteresis import EntryMode
from perp_imbalance.indicators.rolling import MEMORY_CANDLES
from perp_imbalance.indicators.thresholds import MAX_STALE_CANDLES, PRESETS, Thresholds

Strategy = TypeVar("Strategy", bound=type)

#: A space of its own for the lookbacks, beside freqtrade's ``buy`` (entries) and ``sell`` (exits).
LOOKBACK_SPACE = "lookback"

# Ranges of enter_z and exit_z do not meet: no epoch has exit_z >= enter_z.
_DECIMALS = {
    "enter_z": (1.2, 3.5, "buy"),
    "exit_z": (0.1, 1.1, "sell"),
    "bb_k": (0.5, 3.0, "buy"),
    "htf_z_min": (0.0, 2.0, "buy"),
    "funding_min": (0.0, 0.001, "buy"),
    "oi_min": (-0.1, 0.2, "buy"),
}
# A funding rate is a small number.
_PLACES = {"funding_min": 5}
_INTEGERS = {
    "len_prem": (10, 200, LOOKBACK_SPACE),
    "smooth_len": (1, 10, LOOKBACK_SPACE),
    "bb_len": (20, 200, LOOKBACK_SPACE),
    "oi_len": (1, 48, LOOKBACK_SPACE),
}
_BOOLEANS = {"use_sigma": "buy", "use_htf": "buy"}

#: The thresholds that are parameters: all but ``hot_z``, which no signal uses.
PARAMETER_NAMES = (*_DECIMALS, *_INTEGERS, *_BOOLEANS)

#: The space of each, by its name.
PARAMETER_SPACES = {
    **{name: space for name, (_, _, space) in (_DECIMALS | _INTEGERS).items()},
    **_BOOLEANS,
}

#: The settings of the config that are parameters, too, with the space of each. Their values are the
#: config's until hyperopt or a parameter file says otherwise.
SETTING_SPACES = {
    **{"entry_mode": "buy", "max_stale_candles": "sell"},
    **{"use_funding": "buy", "use_oi": "buy"},
}

#: The gates that need series of their own, which not every exchange has: each is on or off for a
#: whole run, and hyperopt varies what belongs to it only where it is on.
OPTIONAL_GATES = {"use_funding": ("funding_min",), "use_oi": ("oi_len", "oi_min")}

#: The longest lookback that a parameter may ask for.
LONGEST_LOOKBACK = Thresholds(
    len_prem=_INTEGERS["len_prem"][1],
    smooth_len=_INTEGERS["smooth_len"][1],
    bb_len=_INTEGERS["bb_len"][1],
).lookback

#: Candles that freqtrade loads before the first signal.
STARTUP_CANDLES = MEMORY_CANDLES

#: Candles after the lookback in which the bias meets its first event; from there on it is exact.
BIAS_MEMORY = STARTUP_CANDLES - LONGEST_LOOKBACK


def threshold_parameters(preset: Thresholds) -> dict[str, BaseParameter]:
    """Return new freqtrade parameters by name, with the preset's values as defaults."""
    return {
        **{
            name: DecimalParameter(
                low,
                high,
                default=getattr(preset, name),
                decimals=_PLACES.get(name, 3),
                space=space,
            )
            for name, (low, high, space) in _DECIMALS.items()
        },
        **{
            name: IntParameter(low, high, default=getattr(preset, name), space=space)
            for name, (low, high, space) in _INTEGERS.items()
        },
        **{
            name: BooleanParameter(default=getattr(preset, name), space=space)
            for name, space in _BOOLEANS.items()
        },
    }


def setting_parameters() -> dict[str, BaseParameter]:
    """Return new freqtrade parameters, by name, for the settings that hyperopt may vary."""
    modes = get_args(EntryMode)
    return {
        "entry_mode": CategoricalParameter(
            modes, default=modes[0], space=SETTING_SPACES["entry_mode"]
        ),
        "max_stale_candles": IntParameter(
            1, 48, default=MAX_STALE_CANDLES, space=SETTING_SPACES["max_stale_candles"]
        ),
        **{
            name: BooleanParameter(default=False, space=SETTING_SPACES[name], optimize=False)
            for name in OPTIONAL_GATES
        },
    }


def preset_said(thresholds: Thresholds, preset: str) -> str:
    """Return what a message calls the thresholds: the preset that they are, or that they began as.

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


def with_preset(name: str) -> Callable[[Strategy], Strategy]:
    """Give a strategy class the parameters of a preset.

    Every class gets parameters of its own: freqtrade writes values into them, and a class that
    inherited them would trade with its parent's.

    Use: ``@with_preset("aggressive")`` above the class.
    """

    def decorate(strategy: Strategy) -> Strategy:
        parameters = threshold_parameters(PRESETS[name]) | setting_parameters()
        for attribute, parameter in parameters.items():
            setattr(strategy, attribute, parameter)
        strategy.preset = name  # type: ignore[attr-defined]
        return strategy

    return decorate
