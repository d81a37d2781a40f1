"""Money: what an entry must still meet when its order is due, and what ends with how much."""

from collections.abc import Mapping
from datetime import timedelta
from difflib import get_close_matches
from typing import Any

#: The exit tag of a part that is closed at the middle of the bands.
SCALE_OUT_TAG = "scale_out"

#: freqtrade's protections, unless the config has its own list. Times in candles.
PROTECTIONS: tuple[dict[str, Any], ...] = (
    # The cooldown: a side that was stopped out rests, on its pair. One after every exit would bar
    # a flip from opening the other side, which is what a flip is for.
    {
        "method": "StoplossGuard",
        "lookback_period_candles": 24,
        "trade_limit": 1,
        "stop_duration_candles": 12,
        "only_per_pair": True,
        "only_per_side": True,
    },
    # Stoplosses everywhere are no bad luck of one pair.
    {
        "method": "StoplossGuard",
        "lookback_period_candles": 24,
        "trade_limit": 3,
        "stop_duration_candles": 24,
    },
    {
        "method": "MaxDrawdown",
        "calculation_mode": "equity",
        "lookback_period_candles": 168,
        "trade_limit": 10,
        "stop_duration_candles": 48,
        "max_allowed_drawdown": 0.15,
    },
)

# What freqtrade reads of every protection, and of each; what else an entry has, it leaves aside.
_EVERY_PROTECTION = (
    *("method", "lookback_period", "lookback_period_candles"),
    *("stop_duration", "stop_duration_candles", "unlock_at"),
)
_PROTECTION_KEYS = {
    "CooldownPeriod": (),
    # Nothing reads its only_per_pair, but freqtrade's own example has it.
    "LowProfitPairs": ("trade_limit", "required_profit", "only_per_pair", "only_per_side"),
    "MaxDrawdown": ("trade_limit", "max_allowed_drawdown", "calculation_mode"),
    "StoplossGuard": ("trade_limit", "required_profit", "only_per_pair", "only_per_side"),
}


def misspelt_key(protection: Mapping[str, Any]) -> str | None:
    """Say which key of a protection freqtrade would leave aside; None where it reads them all.

    A method that is not known has no keys to be compared with: freqtrade refuses it by itself.

    >>> misspelt_key({"method": "CooldownPeriod", "stop_duration_candels": 5})
    'CooldownPeriod has no stop_duration_candels, write it as stop_duration_candles'
    """
    method = protection.get("method")
    if method not in _PROTECTION_KEYS:
        return None
    known = (*_EVERY_PROTECTION, *_PROTECTION_KEYS[method])
    for key in protection:
        if key not in known:
            near = get_close_matches(key, known, n=1)
            mend = f"write it as {near[0]}" if near else f"known are {', '.join(known)}"
            return f"{method} has no {key}, {mend}"
    return None


def entry_refusal(
    age: timedelta, rate: float, signal_close: float, *, max_age: timedelta, max_drift: float
) -> str | None:
    """Say why an entry comes too late for its signal; None where it does not.

    :param age: time since the close of the signal's candle.
    :param rate: price of the entry.
    :param signal_close: close of the signal's candle.
    :param max_drift: share by which the price may have moved since.

    >>> limits = {"max_age": timedelta(seconds=120), "max_drift": 0.01}
    >>> entry_refusal(timedelta(seconds=200), 100.0, 100.0, **limits)
    'its signal is 200 seconds old, more than the 120 allowed'
    >>> entry_refusal(timedelta(seconds=5), 103.0, 100.0, **limits)
    'the price has moved by +3.00 % since its signal, more than the 1 % allowed'
    """
    if age > max_age:
        return (
            f"its signal is {age.total_seconds():.0f} seconds old, "
            f"more than the {max_age.total_seconds():.0f} allowed"
        )
    drift = rate / signal_close - 1
    # A close that is no price allows no entry either.
    if not abs(drift) <= max_drift:
        return (
            f"the price has moved by {drift * 100:+.2f} % since its signal, "
            f"more than the {max_drift * 100:g} % allowed"
        )
    return None


def stake_to_close(stake: float, share: float, min_stake: float | None) -> float | None:
    """Return how much of a stake a scale-out closes; None where an order would be too small.

    :param share: of the stake, above 0 and below 1.
    :param min_stake: the exchange's smallest stake; both parts must reach it.

    >>> stake_to_close(100.0, 0.5, 10.0)
    50.0
    """
    part = stake * share
    if min_stake and min(part, stake - part) < min_stake:
        return None
    return part
