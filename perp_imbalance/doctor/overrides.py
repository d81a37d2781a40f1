"""Check which attributes of a strategy the config overrides, which freqtrade does silently."""

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from perp_imbalance.doctor.findings import Check, Level
from perp_imbalance.doctor.opening import Loaded, is_live, only_tells, settings_of
from perp_imbalance.strategy.settings import SECTION

NAME = "overrides"


class _Rule(NamedTuple):
    """A rule about a harmful override, and its effect.

    :ivar default: freqtrade's default if the strategy has no value.
    :ivar harms: takes the config's value and the strategy's own, returns whether it is harmful.
    """

    default: Any
    harms: Callable[[Any, Any], bool]
    level: Level
    effect: str


def _is_off(value: Any, own: Any) -> bool:
    return bool(own) and not value


def _is_on(value: Any, own: Any) -> bool:
    return bool(value) and not own


def _is_less(value: Any, own: Any) -> bool:
    return bool(value < own)


def _is_other_roi(value: Any, own: Any) -> bool:
    return _roi(value) != _roi(own)


def _roi(steps: Mapping[Any, Any]) -> dict[int, float]:
    # The config's minutes are text, those of a loaded strategy are numbers.
    return {int(minutes): float(profit) for minutes, profit in steps.items()}


def _leaves_the_exchange(value: Any, own: Any) -> bool:
    key = "stoploss_on_exchange"
    return _is_off(value.get(key), own.get(key))


_TRAILS = "the stoploss follows the price and ends positions before their bias does"

_RULES = {
    "use_exit_signal": _Rule(
        *(True, _is_off, Level.MUST_FIX),
        "no exit signal closes a position, which runs on into its stoploss",
    ),
    "exit_profit_only": _Rule(
        *(False, _is_on, Level.MUST_FIX),
        "an exit signal closes no position at a loss, which runs on into its stoploss",
    ),
    "startup_candle_count": _Rule(
        *(0, _is_less, Level.MUST_FIX),
        "signals come from too few candles and are not those of the strategy",
    ),
    "minimal_roi": _Rule(
        *({}, _is_other_roi, Level.WARNING),
        "positions end at these profits instead of at the strategy's",
    ),
    "trailing_stop": _Rule(False, _is_on, Level.WARNING, _TRAILS),
    "use_custom_stoploss": _Rule(False, _is_on, Level.WARNING, _TRAILS),
}

_ON_EXCHANGE = _Rule(
    *({}, _leaves_the_exchange, Level.WARNING),
    "stoploss_on_exchange is off: nothing guards a position while the bot is down",
)

_KEYS = (*_RULES, "order_types", "position_adjustment_enable", "stoploss")


def overridden(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config's own values of the checked attributes.

    Call this before loading the strategy, which writes its values into the config.
    """
    return {key: config[key] for key in _KEYS if key in config}


def check_overrides(
    overrides: Mapping[str, Any], loaded: Loaded, config: Mapping[str, Any]
) -> list[Check]:
    """Compare the overrides of a config with the strategy's own values.

    :param overrides: result of :func:`overridden`.
    :param loaded: the strategy with its class and parameter file.
    :param config: the config, for settings that are not attributes of a strategy.
    """
    rules = {**_RULES, "order_types": _ON_EXCHANGE} if is_live(config) else _RULES
    checks = []
    for key, value in overrides.items():
        if (rule := rules.get(key)) is None:
            continue
        own = _own(loaded, key, rule.default)
        # freqtrade leaves a property alone.
        if not isinstance(own, property) and rule.harms(value, own):
            checks.append(_found(key, value, own, rule))
    checks += _check_scale_out(overrides, loaded.strategy)
    checks += [] if only_tells(loaded.strategy) else _check_trades(config)
    if str(config.get("margin_mode")) == "cross":
        message = (
            '"margin_mode" is "cross", made for "isolated": one position can take the whole '
            'balance of the account; set "margin_mode": "isolated"'
        )
        checks.append(Check(NAME, Level.WARNING, message))
    if not checks:
        message = "the config changes nothing that the strategy's trades rely on"
        return [Check(NAME, Level.OK, message)]
    return checks


def _own(loaded: Loaded, key: str, default: Any) -> Any:
    """Return the value of the parameter file, or without one that of the strategy's class."""
    own = getattr(type(loaded.strategy), key, default)
    if key == "minimal_roi":
        return loaded.params.get("roi", own)
    return loaded.params.get("trailing", {}).get(key, own)


def _found(key: str, value: Any, own: Any, rule: _Rule) -> Check:
    message = (
        f"the config's \"{key}\" is {_said(value)}, the strategy's {_said(own)}: {rule.effect}; "
        "remove it from the config"
    )
    return Check(NAME, rule.level, message)


def _said(value: Any) -> str:
    """Return a value as text, in the format of a config."""
    return json.dumps(value, default=str)


def _check_scale_out(overrides: Mapping[str, Any], strategy: Any) -> list[Check]:
    """Check whether ``position_adjustment_enable`` makes ``scale_out`` ineffective."""
    key = "position_adjustment_enable"
    settings = settings_of(strategy)
    if settings is None or not settings.scale_out or overrides.get(key, True):
        return []
    message = (
        f"the config's \"{key}\" is false, the strategy's true for {SECTION}.scale_out "
        f"{settings.scale_out:g}: no part is closed at the middle of the bands; remove it from "
        "the config"
    )
    return [Check(NAME, Level.MUST_FIX, message)]


def _check_trades(config: Mapping[str, Any]) -> list[Check]:
    """Check whether the bot may hold any position."""
    if config.get("max_open_trades") != 0:
        return []
    message = '"max_open_trades" is 0: no trade would ever be opened; set it to 1 or more'
    return [Check(NAME, Level.MUST_FIX, message)]
