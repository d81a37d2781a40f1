"""Money: what an entry must still meet when its order is due, and what ends with how much."""

from datetime import timedelta
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
