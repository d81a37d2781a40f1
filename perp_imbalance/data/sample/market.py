"""Candles, mark prices and funding rates of the sample market, on the exchange's price grids."""

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from perp_imbalance.data.sample.draws import Draws, Floats
from perp_imbalance.data.sample.model import (
    BPS,
    COINS,
    HOURS_PER_DAY,
    Coin,
    CoinPath,
    Events,
    autoregressive,
    plan_events,
    simulate,
)
from perp_imbalance.errors import CommandError

DEFAULT_SEED = 20250101
DEFAULT_START = datetime(2025, 1, 1, tzinfo=UTC)
DEFAULT_DAYS = 365
MIN_DAYS, MAX_DAYS = 30, 3650
#: The perps of the sample market.
PAIRS = tuple(coin.perp_pair for coin in COINS)

TIMEFRAME, HIGHER_TIMEFRAME = "1h", "4h"
FUNDING_HOURS = 8
# Binance: rate = premium + clamp(interest - premium, ±0.05 %), then limited to ±0.3 %.
INTEREST, FUNDING_CLAMP, FUNDING_CAP = 1 * BPS, 5 * BPS, 30 * BPS

_RATE_DECIMALS = 8
# Mean wick of a candle as a share of the hour's volatility, as on Binance's BTC candles.
_WICK = 0.35
# Lag-1 autocorrelation of trading activity beyond what volatility explains.
_MOOD_MEMORY = 0.95
_MISSING_PERP_BASE = "ETH"
_AGGREGATION = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}


@dataclass(frozen=True)
class Series:
    """One file of the sample: ``kind`` is freqtrade's candle type (spot, futures, mark, …)."""

    pair: str
    timeframe: str
    kind: str
    frame: pd.DataFrame


@dataclass(frozen=True)
class Market:
    """A generated sample market before it is written: its series and its planned events."""

    seed: int
    start: datetime
    days: int
    events: Events
    series: tuple[Series, ...]


def generate_market(
    seed: int, start: datetime, days: int, pairs: Collection[str] = PAIRS
) -> Market:
    """Return a market, identical to the last digit on every machine for the same arguments.

    :param seed: seed, >= 0.
    :param start: open of the first candle: midnight UTC.
    :param days: length; below about 180 days the statistics are rougher, because every sample
        has at least four extreme episodes.
    :param pairs: perps of :data:`PAIRS`; the candles of a pair do not depend on the other pairs.
    :raises CommandError: if an argument is out of range.
    """
    if seed < 0:
        raise CommandError(f"The seed of the sample market must be 0 or more, not {seed}.")
    if not MIN_DAYS <= days <= MAX_DAYS:
        raise CommandError(
            f"The sample market must have between {MIN_DAYS} and {MAX_DAYS} days, not {days}."
        )
    if (
        start.utcoffset() != timedelta(0)
        or start.time().replace(tzinfo=None) != datetime.min.time()
    ):
        raise CommandError(f"The sample market must start at midnight UTC, not {start}.")
    if unknown := sorted(set(pairs) - set(PAIRS)):
        raise CommandError(
            f"The sample market does not have {', '.join(unknown)}; it has {', '.join(PAIRS)}."
        )
    coins = [coin for coin in COINS if coin.perp_pair in pairs]
    hours = days * HOURS_PER_DAY
    events = plan_events(seed, hours)
    paths = simulate(seed, hours, events, coins)
    dates = pd.Series(pd.date_range(start, periods=hours, freq="h")).dt.as_unit("ms")
    series = tuple(
        item
        for coin in coins
        for item in _coin_series(
            coin, paths[coin.base], Draws(seed, coin.streams[1]), dates, events
        )
    )
    return Market(seed, start, days, events, series)


def _coin_series(
    coin: Coin, path: CoinPath, draws: Draws, dates: pd.Series, events: Events
) -> Iterator[Series]:
    """Yield all series of one coin."""
    wicks = _Wicks(draws, path.volatility)
    activity = _activity(draws, coin, path)
    perp_price = path.index * coin.scale * (1.0 + path.premium)
    perp = wicks.candles(perp_price, coin.perp_decimals, dates)
    perp["volume"] = _volumes(draws, activity, coin.perp_volume, coin.perp_volume_decimals)
    if coin.base == _MISSING_PERP_BASE:
        perp = perp.drop(index=events.missing_perp)
    spot = wicks.candles(path.index, coin.spot_decimals, dates)
    spot["volume"] = _volumes(draws, activity, coin.spot_volume, coin.spot_volume_decimals)
    spot = _stop_spot(spot, events)
    mark_price = path.index * coin.scale * (1.0 + path.mark_premium)
    mark = wicks.candles(mark_price, _RATE_DECIMALS, dates).assign(volume=0.0)

    yield Series(coin.perp_pair, TIMEFRAME, "futures", perp)
    higher = _aggregate(perp, coin.perp_volume_decimals)
    yield Series(coin.perp_pair, HIGHER_TIMEFRAME, "futures", higher)
    yield Series(coin.perp_pair, TIMEFRAME, "mark", mark)
    yield Series(coin.perp_pair, TIMEFRAME, "funding_rate", _funding(path.premium, dates))
    index = _premium_index(draws, coin, path, dates)
    yield Series(coin.perp_pair, TIMEFRAME, "premiumIndex", index)
    yield Series(coin.perp_pair, HIGHER_TIMEFRAME, "premiumIndex", _in_buckets(index))
    yield Series(coin.spot_pair, TIMEFRAME, "spot", spot)
    higher = _aggregate(spot, coin.spot_volume_decimals)
    yield Series(coin.spot_pair, HIGHER_TIMEFRAME, "spot", higher)


class _Wicks:
    """The shape of a coin's candles around open and close: the same for perp, spot and mark."""

    def __init__(self, draws: Draws, volatility: Floats) -> None:
        # Three times a squared uniform: mean 1, mostly small, sometimes long.
        size = 3.0 * _WICK * volatility
        self._up = size * np.square(draws.uniform(len(volatility)))
        self._down = size * np.square(draws.uniform(len(volatility)))
        self._gap = np.rint(2.0 * draws.uniform(len(volatility)) - 1.0)

    def candles(self, price: Floats, decimals: int, dates: pd.Series) -> pd.DataFrame:
        """Return candles on the price grid; each opens within a tick of the previous close.

        :param price: one price more than there are candles; the first is the price before them.
        """
        ticks = np.maximum(np.rint(price * 10**decimals), 2.0)
        opens, closes = ticks[:-1] + self._gap, ticks[1:]
        top, bottom = np.maximum(opens, closes), np.minimum(opens, closes)
        highs = np.rint(top * (1.0 + self._up))
        lows = np.maximum(np.rint(bottom * (1.0 - self._down)), 1.0)
        # A whole number divided by a power of ten is the float nearest to the decimal price.
        columns = {"open": opens, "high": highs, "low": lows, "close": closes}
        prices = {name: values / 10**decimals for name, values in columns.items()}
        return pd.DataFrame({"date": dates, **prices})


def _activity(draws: Draws, coin: Coin, path: CoinPath) -> Floats:
    """Return each hour's trading activity, around 1: higher with volatility and large moves."""
    move = np.abs(path.index[1:] / path.index[:-1] - 1.0)
    mood = autoregressive(draws.normal(len(move)), _MOOD_MEMORY)
    # Squared instead of exp, whose result depends on the processor.
    busy = 1.0 + 0.25 * math.sqrt(1.0 - _MOOD_MEMORY * _MOOD_MEMORY) * mood
    return np.asarray(
        busy * busy * (0.4 + 0.4 * path.volatility / coin.sigma + 0.2 * move / coin.sigma)
    )


def _volumes(draws: Draws, activity: Floats, typical: float, decimals: int) -> Floats:
    """Return volumes rounded to the volume step, never zero."""
    noise = 0.8 + 0.4 * draws.uniform(len(activity))
    lots = np.rint(typical * activity * noise * 10**decimals)
    return np.asarray(np.maximum(lots, 1.0) / 10**decimals)


def _stop_spot(spot: pd.DataFrame, events: Events) -> pd.DataFrame:
    """Freeze spot prices during the halt, and remove spot candles during the outage."""
    first, length = events.halt
    halted = slice(first, first + length - 1)
    spot.loc[halted, ["open", "high", "low", "close"]] = float(spot["close"].iloc[first - 1])
    spot.loc[halted, "volume"] = 0.0
    first, length = events.outage
    return spot.drop(index=range(first, first + length))


def _premium_index(draws: Draws, coin: Coin, path: CoinPath, dates: pd.Series) -> pd.DataFrame:
    """Return candles of the premium index: 0 while the index price is inside the impact spread.

    ``[max(0, impact bid - index) - max(0, index - impact ask)] / index``, with impact prices around
    the perp's that are further apart in volatile hours.
    """
    wildness = np.concatenate(([1.0], path.volatility / coin.sigma))
    inside = coin.half_spread * wildness
    outside = np.maximum(np.abs(path.premium) - inside, 0.0) * np.sign(path.premium)
    # Within the hour, the premium overshoots by a share of its move.
    reach = 0.5 * np.abs(np.diff(outside))
    opens, closes = outside[:-1], outside[1:]
    highs = np.maximum(opens, closes) + reach * draws.uniform(len(closes))
    lows = np.minimum(opens, closes) - reach * draws.uniform(len(closes))
    columns = {"open": opens, "high": highs, "low": lows, "close": closes}
    # Remove negative zeros, which a file would keep.
    rounded = {
        name: np.rint(values * 10**_RATE_DECIMALS) / 10**_RATE_DECIMALS + 0.0
        for name, values in columns.items()
    }
    return pd.DataFrame({"date": dates, **rounded, "volume": 0.0})


def _in_buckets(candles: pd.DataFrame) -> pd.DataFrame:
    """Return the candles of the higher timeframe."""
    buckets = candles["date"].dt.floor(HIGHER_TIMEFRAME)
    return candles.groupby(buckets).agg(_AGGREGATION).reset_index()


def _aggregate(candles: pd.DataFrame, volume_decimals: int) -> pd.DataFrame:
    """Return the candles of the higher timeframe; candles without trades are left out."""
    higher = _in_buckets(candles)
    higher["volume"] = higher["volume"].round(volume_decimals)
    return higher[higher["volume"] > 0.0]


def _funding(premium: Floats, dates: pd.Series) -> pd.DataFrame:
    """Return the funding rates, each computed from the mean premium of the hours before it."""
    closed = premium[1:]
    total = sum((closed[hour::FUNDING_HOURS] for hour in range(FUNDING_HOURS)), start=0.0)
    # No hours precede the first rate; the premium starts at 0.
    average = np.concatenate(([0.0], np.asarray(total)[:-1])) / FUNDING_HOURS
    rate = average + np.clip(INTEREST - average, -FUNDING_CLAMP, FUNDING_CLAMP)
    rate = np.clip(rate, -FUNDING_CAP, FUNDING_CAP)
    rate = np.rint(rate * 10**_RATE_DECIMALS) / 10**_RATE_DECIMALS
    return pd.DataFrame({"date": dates[::FUNDING_HOURS].to_numpy(), "funding_rate": rate})
