"""The stochastic model behind the sample market: index prices and premiums of its coins.

Returns are fat-tailed shocks with a GARCH(1,1) variance; all coins share one market factor.
The premium of a perp is the sum of

- a *slow* component that reverts over about two weeks and rises with returns (longs crowd after
  rallies), and
- a *fast* one, AR(1) with fat-tailed shocks, with a modest reversal built in: a fast premium of
  1 bp lowers the next hour's expected return by ``REVERSAL`` bps (times the coin's volatility
  over BTC's). On Binance's BTC candles of 2020-2023 the same slope is about 0.7. Since it is
  built in, a result on this market proves that the software runs, not that money can be made.
- a few *extreme episodes*, in which a crash or rally and the premium build up together over
  hours; the price reverts after some of them, not after all.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from perp_imbalance.data.sample.draws import Draws, Floats

BPS = 1e-4
HOURS_PER_DAY = 24

# GARCH(1,1) of mean 1: x' = (1 - a - b) + a * x * shock² + b * x.
_GARCH_SHOCK, _GARCH_MEMORY = 0.05, 0.935
_VARIANCE_RANGE = (0.1, 15.0)

SLOW_MEMORY, _SLOW_SHOCK = 0.997, 0.39 * BPS
# Per hour and standard deviation of return; makes the premium follow the last day's return.
_CROWDING = 0.2 * BPS
FAST_MEMORY, _FAST_SD = 0.65, 3.4 * BPS
REVERSAL = 0.5
MAX_PREMIUM = 180 * BPS

# A weak pull to the starting price keeps prices of long samples above a few ticks.
_PULL = 1.0 / (120 * HOURS_PER_DAY)
_MAX_FALL = -0.3

_DAYS_PER_EPISODE, _MIN_EPISODES = 60, 4
EPISODE_PEAKS = (60 * BPS, 150 * BPS)
_PEAK_DECAY = 0.45
# The price leads: the crowd enters when most of the move is over.
_LEAD_HOURS = 2
_RETRACE_HOURS = 24

HALT_HOURS, OUTAGE_HOURS = 3, 6
_HALT_FALL = 0.025


@dataclass(frozen=True)
class Coin:
    """The parameters of one coin: names, levels and the grids of its prices and volumes.

    ``sigma`` is the standard deviation of an hour's return as a fraction, ``loading`` its
    correlation with the market factor, ``scale`` the spot units in one perp contract.
    Decimals give the tick: 2 means 0.01. Volumes are typical hourly volumes in base units.
    ``half_spread`` is half the spread of the impact prices in a usual hour, as a fraction: the
    premium index is 0 while the index price is inside it. ``streams`` are the numbers of the random
    streams of its path and of its candles, so that they do not depend on the other coins.
    """

    base: str
    price: float
    sigma: float
    loading: float
    spot_decimals: int
    perp_decimals: int
    spot_volume: float
    perp_volume: float
    spot_volume_decimals: int
    perp_volume_decimals: int
    half_spread: float
    streams: tuple[int, int]
    scale: int = 1

    @property
    def spot_pair(self) -> str:
        """Return the spot pair in freqtrade's notation."""
        return f"{self.base}/USDT"

    @property
    def perp_pair(self) -> str:
        """Return the perp in freqtrade's notation."""
        prefix = "" if self.scale == 1 else str(self.scale)
        return f"{prefix}{self.base}/USDT:USDT"


COINS = (
    Coin("BTC", 95_000.0, 0.0050, 0.95, 2, 1, 900.0, 7_000.0, 5, 3, 1 * BPS, (2, 5)),
    Coin("ETH", 3_300.0, 0.0065, 0.88, 2, 2, 17_000.0, 250_000.0, 4, 3, 2 * BPS, (3, 6)),
    Coin("SOL", 190.0, 0.0085, 0.82, 2, 2, 150_000.0, 900_000.0, 3, 2, 2 * BPS, (8, 9)),
    Coin("XRP", 2.3, 0.0090, 0.70, 4, 4, 1.5e7, 5e7, 1, 1, 3 * BPS, (10, 11)),
    Coin("DOGE", 0.32, 0.0095, 0.78, 5, 5, 4e7, 2e8, 0, 0, 3 * BPS, (12, 13)),
    Coin("PEPE", 2e-5, 0.0120, 0.70, 8, 7, 2e11, 3e9, 0, 0, 6 * BPS, (4, 7), scale=1000),
)


@dataclass(frozen=True)
class Episode:
    """An extreme episode: the hour of its peak, its side, and how the price moves with it."""

    peak: int
    build_up: int
    side: int
    premium: float
    move: float
    retrace: float


@dataclass(frozen=True)
class Events:
    """The planned events, in hours since the start of the sample.

    ``outage``: no spot candles; ``halt``: spot candles without volume at a frozen price; both as
    (first hour, number of hours). ``missing_perp``: the hour whose ETH perp candle is missing.
    """

    episodes: tuple[Episode, ...]
    outage: tuple[int, int]
    halt: tuple[int, int]
    missing_perp: int


@dataclass(frozen=True)
class CoinPath:
    """The simulated path of one coin over n hours.

    ``index`` holds n + 1 prices; the first is the price before the first hour. ``premium`` (a
    fraction) has the same length. ``mark_premium`` is the smoothed premium of the mark price over
    the index; ``volatility`` (n) is the expected standard deviation of each hour's return.
    """

    index: Floats
    premium: Floats
    mark_premium: Floats
    volatility: Floats


def plan_events(seed: int, hours: int) -> Events:
    """Return the events of a sample, which never overlap.

    The sample is divided into equal parts: an episode peaks in the middle half of each part, all
    other events happen at the borders between parts.
    """
    draws = Draws(seed, 0)
    count = max(_MIN_EPISODES, round(hours / (_DAYS_PER_EPISODE * HOURS_PER_DAY)))
    part = hours // count
    episodes = []
    for number in range(count):
        when, length, size, move, retrace = draws.uniform(5).tolist()
        low, high = EPISODE_PEAKS
        episodes.append(
            Episode(
                peak=int(part * (number + 0.25 + 0.5 * when)),
                build_up=4 + int(6 * length),
                side=1 if number % 2 == 0 else -1,
                premium=low * 1.2 + (high / 1.15 - low * 1.2) * size * size,
                move=0.04 + 0.06 * move,
                retrace=-0.3 + 1.1 * retrace,
            )
        )
    border = [number * part // 4 * 4 for number in range(1, count)]
    return Events(
        episodes=tuple(episodes),
        # From the last hour of one 4h candle to the first hour of the second next: one is missing.
        outage=(border[0] + 3, OUTAGE_HOURS),
        # The last three hours of a 4h candle, which still has the trades of its first hour.
        halt=(border[-1] + 1, HALT_HOURS),
        missing_perp=border[len(border) // 2] + 2,
    )


def simulate(
    seed: int, hours: int, events: Events, coins: Sequence[Coin] = COINS
) -> dict[str, CoinPath]:
    """Return the path of every coin, by base currency.

    :param seed: seed, >= 0.
    :param hours: length of the sample.
    :param events: from :func:`plan_events`.
    :param coins: some of :data:`COINS`.
    """
    draws = Draws(seed, 1)
    factor = draws.fat_tailed(hours)
    variance = _garch(factor)
    return {
        coin.base: _simulate_coin(coin, Draws(seed, coin.streams[0]), factor, variance, events)
        for coin in coins
    }


def _garch(shocks: Floats) -> Floats:
    """Return the variance before each shock; its long-run mean is 1."""
    low, high = _VARIANCE_RANGE
    current, variances = 1.0, []
    for shock in shocks.tolist():
        variances.append(current)
        grown = _GARCH_SHOCK * current * shock * shock + _GARCH_MEMORY * current
        current = min(max(1.0 - _GARCH_SHOCK - _GARCH_MEMORY + grown, low), high)
    return np.array(variances)


def _simulate_coin(
    coin: Coin, draws: Draws, factor: Floats, variance: Floats, events: Events
) -> CoinPath:
    """Return one coin's path, given the market's factor and variance."""
    hours = len(factor)
    own = draws.fat_tailed(hours)
    shocks = np.sqrt(variance) * (
        coin.loading * factor + math.sqrt(1.0 - coin.loading * coin.loading) * own
    )
    extreme, moves = _episode_profiles(coin, draws, events, hours)
    slow_shocks = _SLOW_SHOCK * draws.normal(hours)
    # Half of the premium's own shocks scale with the market's variance, as in a real order book.
    fast_sd = _FAST_SD * math.sqrt(1.0 - FAST_MEMORY * FAST_MEMORY)
    fast_shocks = fast_sd * np.sqrt(0.5 + 0.5 * variance) * draws.fat_tailed(hours)
    fast = autoregressive(fast_shocks, FAST_MEMORY)
    index, slow = _walk(coin, coin.sigma * shocks + moves, slow_shocks, fast)
    premium = np.clip(slow + fast + extreme, -MAX_PREMIUM, MAX_PREMIUM)
    return CoinPath(
        index=index,
        premium=np.concatenate(([0.0], premium)),
        mark_premium=np.concatenate(([0.0], slow + 0.8 * (premium - slow))),
        volatility=coin.sigma * np.sqrt(variance),
    )


def _episode_profiles(
    coin: Coin, draws: Draws, events: Events, hours: int
) -> tuple[Floats, Floats]:
    """Return what the episodes and the halt add to each hour's premium and return."""
    premium, moves = np.zeros(hours), np.zeros(hours)
    beta = coin.sigma * coin.loading / (COINS[0].sigma * COINS[0].loading)
    for episode in events.episodes:
        share = float(draws.uniform(1)[0])
        size = episode.side * min(episode.premium * (0.85 + 0.3 * share), EPISODE_PEAKS[1])
        total = episode.side * min(episode.move * beta, 0.18)
        before = 0.0
        for step in range(episode.build_up):
            hour = episode.peak - episode.build_up + 1 + step
            part = (step + 1) / episode.build_up
            grown = part * part
            premium[hour] += size * grown * grown
            moves[hour - _LEAD_HOURS] += total * (grown - before)
            before = grown
        for step in range(_RETRACE_HOURS):
            hour = episode.peak + 1 + step
            size *= _PEAK_DECAY
            premium[hour] += size
            moves[hour] -= total * episode.retrace / _RETRACE_HOURS
    first, length = events.halt
    moves[first : first + length] -= _HALT_FALL / length
    return premium, moves


def autoregressive(shocks: Floats, memory: float) -> Floats:
    """Return the AR(1) process from 0: ``memory`` times the previous value, plus a shock."""
    current, values = 0.0, []
    for shock in shocks.tolist():
        current = memory * current + shock
        values.append(current)
    return np.array(values)


def _walk(coin: Coin, impulses: Floats, slow_shocks: Floats, fast: Floats) -> tuple[Floats, Floats]:
    """Return index prices (hours + 1) and the slow premium, computed hour by hour."""
    price, slow, fast_before = coin.price, 0.0, 0.0
    prices, slows = [price], []
    reversal = REVERSAL * coin.sigma / COINS[0].sigma
    crowding = _CROWDING / coin.sigma
    for impulse, slow_shock, fast_now in zip(
        impulses.tolist(), slow_shocks.tolist(), fast.tolist(), strict=True
    ):
        drift = _PULL * (coin.price / price - 1.0) - reversal * fast_before
        change = max(impulse + drift, _MAX_FALL)
        price *= 1.0 + change
        slow = SLOW_MEMORY * slow + slow_shock + crowding * change
        fast_before = fast_now
        prices.append(price)
        slows.append(slow)
    return np.array(prices), np.array(slows)
