"""Generated candles for measurements: a perp and its spot pair, with realistic gaps."""

from typing import NamedTuple

import numpy as np
import pandas as pd

SEED = 20250101
GAP_SHARE = 0.001
OUTAGE_CANDLES = 20
TIMEFRAME, HIGHER_TIMEFRAME = "1h", "4h"

_PREMIUM_SHOCK, _PREMIUM_MEMORY = 3e-4, 0.65


class Candles(NamedTuple):
    """A perp and its spot pair, whose candles exist twice: as freqtrade fills them and with gaps.

    freqtrade fills a missing candle with a flat one of volume 0; other strategies may read candles
    from other sources. The columns are the same for both.
    """

    perp: pd.DataFrame
    spot: pd.DataFrame
    spot_with_holes: pd.DataFrame

    def head(self, rows: int) -> "Candles":
        """Return a copy of the first candles, which does not keep the longer market in memory."""
        perp, spot = self.perp.iloc[:rows].copy(), self.spot.iloc[:rows].copy()
        return Candles(perp, spot, spot[spot["volume"] > 0].reset_index(drop=True))


def candles(rows: int) -> Candles:
    """Return hourly candles with random-walk prices and fat-tailed AR(1) premiums."""
    random = np.random.default_rng(SEED)
    dates = pd.Series(pd.date_range("2000-01-01", periods=rows, freq="h", tz="UTC"))
    spot_close = 40_000.0 * np.exp(np.cumsum(random.normal(0.0, 1e-3, rows)))
    shocks = _PREMIUM_SHOCK * random.standard_t(4, rows)
    premium = np.convolve(shocks, _PREMIUM_MEMORY ** np.arange(40))[:rows]
    spot_volume = np.where(random.random(rows) < GAP_SHARE, 0.0, 1.0)
    spot_volume[rows // 2 : rows // 2 + OUTAGE_CANDLES] = 0.0
    perp = _frame(dates, spot_close * (1.0 + premium), np.ones(rows))
    return Candles(perp, _frame(dates, spot_close, spot_volume), perp).head(rows)


def higher(frame: pd.DataFrame) -> pd.DataFrame:
    """Return candles of the higher timeframe."""
    aggregated = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    return frame.resample(HIGHER_TIMEFRAME, on="date").agg(aggregated).reset_index()


def series(perp: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the series of the optional gates, by the gates' switches."""
    random = np.random.default_rng(SEED)
    interest = np.exp(random.normal(10.0, 0.1, len(perp)))
    rates = perp[["date"]][::8].reset_index(drop=True)
    return {
        "use_funding": rates.assign(funding_rate=random.normal(1e-4, 1e-4, len(rates))),
        "use_oi": perp[["date"]].assign(
            open_interest_amount=interest, open_interest_value=interest
        ),
    }


def _frame(
    dates: pd.Series, close: np.ndarray[tuple[int]], volume: np.ndarray[tuple[int]]
) -> pd.DataFrame:
    """Return candles in freqtrade's layout."""
    prices = dict.fromkeys(("open", "high", "low", "close"), close)
    # Milliseconds, as in freqtrade's files.
    return pd.DataFrame({"date": dates.dt.as_unit("ms"), **prices, "volume": volume})
