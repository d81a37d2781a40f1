"""Rules of orders: late entries, stops, partial exits."""

from collections.abc import Mapping
from datetime import timedelta
from difflib import get_close_matches
from typing import Any

from perp_imbalance.errors import SettingsError
from perp_imbalance.indicators.signals import SIDES

#: The exit tag of a part that is closed at the middle of the bands.
SCALE_OUT_TAG = "scale_out"

#: The exit tag of a position against which a candle has closed too far.
STOP_ON_CLOSE_TAG = "stop_on_close"

#: The largest share of the stake at which the stoploss of the strategies stands.
DEEPEST_STOPLOSS = 0.90

# A position is liquidated when its maintenance margin is left of its stake, a share of its worth.
# This one is the largest of the pairs of config/deep-discount.json, by Binance's tiers; at its
# highest leverage, an exchange lets no more than that share of the stake be maintenance margin.
_MAINTENANCE_MARGIN = 0.01
_MOST_OF_STAKE = 0.75

#: freqtrade's ``liquidation_buffer``, where the config names none.
LIQUIDATION_BUFFER = 0.05

# Two taker fees: a stoploss as near as that ends a position that has not moved.
_NEAREST = 0.001

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
    """Return a message about a protection's key that freqtrade would ignore; None if it reads all.

    An unknown method has no keys to compare; freqtrade refuses it itself.

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


def stoploss_of_stake(
    of_price: float, leverage: float, liquidation_buffer: float = LIQUIDATION_BUFFER
) -> float:
    """Return freqtrade's stoploss, a fraction of the stake, from a fraction of the price.

    It is multiplied by the leverage, but limited so that it triggers before the liquidation price
    of most pairs.

    :param of_price: fraction of the price, below 0.
    :param leverage: at least 1.
    :param liquidation_buffer: freqtrade's distance from the liquidation price, as a fraction of the
        distance from the entry.
    :raises SettingsError: if no stoploss fits before the liquidation price.

    >>> stoploss_of_stake(-0.3, 1), stoploss_of_stake(-0.3, 3), stoploss_of_stake(-0.3, 20)
    (-0.3, -0.9, -0.752475)
    """
    margin = min(leverage * _MAINTENANCE_MARGIN, _MOST_OF_STAKE)
    # Of a short, which is the nearer one.
    liquidation = (1 - liquidation_buffer) * (1 - margin) / (1 + _MAINTENANCE_MARGIN)
    if liquidation / leverage <= _NEAREST:
        raise SettingsError(
            f"leverage {leverage:g} leaves no room for a stoploss: the liquidation price is "
            f"{liquidation / leverage:.2%} away, no more than the fees of a round trip; lower it"
        )
    return -round(min(-of_price * leverage, DEEPEST_STOPLOSS, liquidation), 6)


def check_stoploss(stoploss: float) -> None:
    """Refuse a stoploss that closes at once or never.

    :param stoploss: the strategy's, a fraction of the stake, below 0.
    :raises SettingsError: one line with the allowed range.

    >>> check_stoploss(-0.3)
    """
    if not -1 <= stoploss < 0:
        raise SettingsError(
            f"stoploss is {stoploss:g}, it must be from -1 to below 0: -0.3 is 30 % of the stake"
        )


def closed_against(close: float, open_rate: float, side: str, share: float) -> bool:
    """Return whether a candle's close is worse than the entry price by ``stop_on_close`` or more.

    :param side: ``short`` or ``long``.
    :param share: ``stop_on_close``, a fraction of the price.

    >>> closed_against(95.0, 100.0, "long", 0.05), closed_against(95.0, 100.0, "short", 0.05)
    (True, False)
    """
    return SIDES[side] * (close / open_rate - 1) <= -share


def entry_refusal(
    age: timedelta,
    rate: float,
    signal_close: float,
    side: str,
    *,
    max_age: timedelta,
    max_drift: float,
) -> str | None:
    """Return why an entry is too late or too early for its signal; None if it may be placed.

    A price better than the signal's is allowed; otherwise the best entries would be refused.

    :param age: time since the close of the signal's candle.
    :param rate: price of the entry.
    :param signal_close: close of the signal's candle.
    :param side: ``short`` or ``long``.
    :param max_drift: most that the price may have moved against the entry, as a fraction.

    >>> limits = {"max_age": timedelta(seconds=120), "max_drift": 0.01}
    >>> entry_refusal(timedelta(seconds=200), 100.0, 100.0, "long", **limits)
    'its signal is 200 seconds old, more than the 120 allowed'
    >>> entry_refusal(timedelta(seconds=5), 103.0, 100.0, "long", **limits)
    'the price has risen by 3.00 % since its signal, more than the 1 % allowed'
    >>> entry_refusal(timedelta(seconds=5), 103.0, 100.0, "short", **limits)
    """
    if age < timedelta(0):
        return "its candle has not closed"
    if age > max_age:
        return (
            f"its signal is {age.total_seconds():.0f} seconds old, "
            f"more than the {max_age.total_seconds():.0f} allowed"
        )
    drift = SIDES[side] * (rate / signal_close - 1)
    # A close that is no price allows no entry either.
    if not drift <= max_drift:
        moved = "risen" if side == "long" else "fallen"
        return (
            f"the price has {moved} by {drift * 100:.2f} % since its signal, "
            f"more than the {max_drift * 100:g} % allowed"
        )
    return None


def stake_to_close(stake: float, share: float, min_stake: float | None) -> float | None:
    """Return the part of a stake that a scale-out closes; None if an order would be too small.

    :param share: fraction of the stake, above 0 and below 1.
    :param min_stake: the exchange's smallest stake; both parts must reach it.

    >>> stake_to_close(100.0, 0.5, 10.0)
    50.0
    """
    part = stake * share
    if min_stake and min(part, stake - part) < min_stake:
        return None
    return part
