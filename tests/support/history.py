"""Generated histories of pairs: a coin that reacts to the premium, or does not."""

import numpy as np
import pandas as pd

from perp_imbalance.markets.spot_matching import SpotMatch
from perp_imbalance.research.pair_history import PairHistory

ROWS = 12_000


def made_history(
    seed: int, *, reaction: float = 0.0, size: float = 1e-3, pair: str = "X/USDT:USDT"
) -> PairHistory:
    """Return a random walk, its candles without shadows, and a premium that comes and goes.

    :param reaction: the coin's return in the candle after a premium, as a share of the premium.
    :param size: size of a premium.
    """
    rng = np.random.default_rng(seed)
    premium = rng.normal(0, size, ROWS)
    steps = rng.normal(0, 2e-3, ROWS)
    steps[1:] += reaction * premium[:-1]
    # On ticks, as traded prices are: an order at a candle's open lies inside the candle.
    close = np.round(100 * np.exp(np.cumsum(steps)), 4)
    opens = np.append(close[0], close[:-1])
    dates = pd.date_range("2023-10-01", periods=ROWS, freq="1h", tz="UTC")
    prices = {"open": opens, "close": close}
    prices |= {"high": np.maximum(opens, close), "low": np.minimum(opens, close)}
    perp = pd.DataFrame({"date": dates, **prices, "volume": 1.0})
    match = SpotMatch(pair, pair.partition(":")[0], 1, "identical", None)
    unknown = np.full(ROWS, np.nan)
    series = {"funding_rate": unknown, "open_interest": unknown}
    return PairHistory(match, "1h", perp, premium, close, None, np.zeros(ROWS), series, 0)
