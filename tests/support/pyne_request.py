"""Values of other symbols for a Pyne script, as a replacement of ``request.security``.

The functions have the names of those that the Pine script passes to ``request.security``.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from perp_imbalance.indicators.premium import traded_close as traded_closes

_closes: dict[str, dict[int, float]] = {}
_opens: dict[str, dict[int, float]] = {}
#: Symbols whose close was requested, in order.
asked: list[str] = []


def serve(others: Mapping[str, pd.DataFrame]) -> None:
    """Set the candles to serve, by symbol."""
    asked.clear()
    _closes.clear()
    _opens.clear()
    for name, candles in others.items():
        times = candles["date"].astype("datetime64[ms, UTC]").astype("int64")
        opens = np.where(candles["open"] > 0, candles["open"], np.nan)
        _closes[name] = dict(zip(times, traded_closes(candles).tolist(), strict=True))
        _opens[name] = dict(zip(times, opens.tolist(), strict=True))


def traded_close(symbol: str, time: float) -> float:
    """Return the close of a traded candle by its opening time; NaN if there is none."""
    if symbol not in asked:
        asked.append(symbol)
    return _closes.get(symbol, {}).get(int(time), float("nan"))


def known_interest(symbol: str, time: float) -> float:
    """Return the open interest at the opening of a candle; NaN if there is none."""
    return _opens.get(symbol, {}).get(int(time), float("nan"))
