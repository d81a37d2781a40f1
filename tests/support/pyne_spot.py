"""Closes of spot pairs for a Pyne script, in the place of ``request.security``."""

from collections.abc import Mapping

import pandas as pd

from perp_imbalance.indicators.premium import traded_close

_closes: dict[str, dict[int, float]] = {}
asked: list[str] = []


def serve(spots: Mapping[str, pd.DataFrame]) -> None:
    """Serve these candles from now on, by symbol."""
    asked.clear()
    _closes.clear()
    for name, candles in spots.items():
        times = candles["date"].astype("datetime64[ms, UTC]").astype("int64")
        _closes[name] = dict(zip(times, traded_close(candles).tolist(), strict=True))


def close_of(symbol: str, time: float) -> float:
    """Return the fresh close of a symbol on the candle that opens at a time, else NaN."""
    if symbol not in asked:
        asked.append(symbol)
    return _closes.get(symbol, {}).get(int(time), float("nan"))
