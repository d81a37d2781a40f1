"""One message a flip of the bias, for freqtrade to send where the trader reads it."""

from collections.abc import Collection
from typing import Literal

import numpy as np
from pandas import DataFrame

from perp_imbalance.indicators.hysteresis import LONG, NONE, SHORT

AlertKind = Literal["enter_short", "enter_long", "exit"]

_KINDS: dict[int, AlertKind] = {SHORT: "enter_short", LONG: "enter_long", NONE: "exit"}

#: What a message begins with, by the kind that the config names.
TITLES: dict[AlertKind, str] = {
    "enter_short": "Enter SHORT bias",
    "enter_long": "Enter LONG bias",
    "exit": "Exit bias",
}


def flip_message(
    candles: DataFrame,
    *,
    pair: str,
    preset: str,
    kinds: Collection[AlertKind],
    before: int | None = None,
) -> str | None:
    """Return the message about the last candle, None where the bias did not flip on it.

    A flip to the other side is its beginning, not also an end.

    :param candles: ``close`` and the columns of the signal, at least one row.
    :param kinds: which kinds are wanted.
    :param before: the bias to compare with, that of the candle before unless given.

    >>> rows = {"bias": [0, -1], "z": [1.0, 2.5], "premium_pct": [0.1, 0.2], "close": [9.0, 9.5]}
    >>> flip_message(DataFrame(rows), pair="X/USDT:USDT", preset="balanced", kinds=TITLES)
    'Enter SHORT bias: X/USDT:USDT, z +2.50, premium +0.200 %, price 9.5, preset balanced'
    """
    last = candles.iloc[-1]
    if before is None:
        before = int(candles["bias"].iloc[-2]) if len(candles) > 1 else NONE
    kind = _KINDS[int(last["bias"])]
    if last["bias"] == before or kind not in kinds:
        return None
    premium = f"{last['premium_pct']:+.3f} %" if np.isfinite(last["premium_pct"]) else "unknown"
    z = f"{last['z']:+.2f}" if np.isfinite(last["z"]) else "unknown"
    return (
        f"{TITLES[kind]}: {pair}, z {z}, premium {premium}, price {last['close']:.10g}, "
        f"preset {preset}"
    )
