"""Run Pine scripts with PyneCore over candles, with other symbols to request."""

import re
from collections.abc import Mapping
from datetime import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pynecore.core.ohlcv import OHLCVWriter
from pynecore.core.script_runner import ScriptRunner
from pynecore.core.syminfo import SymInfo, SymInfoInterval, SymInfoSession
from pynecore.types.ohlcv import OHLCV

from support import pyne_request
from support.pine_to_pyne import PyneScript

NUMBERS = ["open", "high", "low", "close", "volume"]
PERIOD = "60"
QUOTE = "USDT"
EXCHANGE = "BINANCE"
_DAY_END = time(23, 59, 59)
_SECURITY = re.compile(r"request\.security\((\w+), timeframe\.period, (\w+)\(\), [^)]*\)")


def bars(candles: pd.DataFrame) -> list[OHLCV]:
    """Return candles in PyneCore's form."""
    times = candles["date"].astype("datetime64[ms, UTC]").astype(np.int64)
    numbers = candles[NUMBERS].to_numpy(dtype=np.float64).tolist()
    return [OHLCV(int(opens), *row) for opens, row in zip(times, numbers, strict=True)]


def symbol(ticker: str, exchange: str = EXCHANGE, quote: str = QUOTE) -> SymInfo:
    """Return a symbol that trades at all times."""
    return SymInfo(
        prefix=exchange,
        description=ticker,
        ticker=ticker,
        currency=quote,
        period=PERIOD,
        type="swap",
        mintick=1e-9,
        pricescale=10**9,
        pointvalue=1.0,
        mincontract=1e-8,
        opening_hours=[SymInfoInterval(day, time(0), _DAY_END) for day in range(7)],
        session_starts=[SymInfoSession(day, time(0)) for day in range(7)],
        session_ends=[SymInfoSession(day, _DAY_END) for day in range(7)],
        timezone="UTC",
    )


def _stored(folder: Path, name: str, candles: pd.DataFrame) -> Path:
    file = folder / f"{name.replace(':', '_')}.ohlcv"
    # With a price grid this fine, no price is stored as a 32-bit number.
    with OHLCVWriter(file, PERIOD, truncate=True, minmove=1, pricescale=10**9) as writer:
        for bar in bars(candles):
            writer.write(bar)
    symbol(name.partition(":")[2]).save_toml(file.with_suffix(".toml"))
    return file


def run_pyne(
    script: PyneScript,
    perp: pd.DataFrame,
    others: Mapping[str, pd.DataFrame],
    folder: Path,
    *,
    perp_symbol: SymInfo | None = None,
    in_processes: bool = False,
    plots: Mapping[str, str] | None = None,
    inputs: dict[str, Any] | None = None,
) -> pd.DataFrame:
    """Return what a script plots, one row per candle.

    :param others: candles by the symbol that ``request.security`` may ask for.
    :param in_processes: whether PyneCore runs ``request.security`` in separate processes, which
        take seconds to start. Otherwise values are looked up in this process.
    :param plots: expressions to plot in addition to the script's, by title.
    """
    more = "\n".join(f'plot({value}, "{title}")' for title, value in (plots or {}).items())
    code = script.text(more)
    data: dict[str, Any] = {}
    if in_processes:
        data = {name: _stored(folder, name, candles) for name, candles in others.items()}
    else:
        pyne_request.serve(others)
        code = _SECURITY.sub(r"pyne_request.\2(\1, time)", code)
        assert "request.security" not in code, "request.security has changed its form"
        code = code.replace(
            "from pynecore.lib import", "from support import pyne_request\nfrom pynecore.lib import"
        )
        code = re.sub(r"(from pynecore.lib import .*)", r"\1, time", code, count=1)
    path = folder / "script.py"
    path.write_text(code)
    runner = ScriptRunner(
        path,
        bars(perp),
        perp_symbol or symbol("BTCUSDT.P"),
        inputs=inputs,
        security_data=data,
        lossless_prices=True,
        lossless_volume=True,
    )
    rows = [
        # PyneCore's na, which is not a number.
        {title: value if isinstance(value, int | float) else np.nan for title, value in plotted}
        for plotted in (row[1].items() for row in runner.run_iter())
    ]
    return pd.DataFrame(rows, dtype=np.float64)
