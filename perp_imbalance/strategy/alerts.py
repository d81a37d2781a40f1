"""What a bot says of a candle: a message where the bias flips, and a line of its log."""

from collections.abc import Collection, Mapping
from typing import Any, Literal

import numpy as np
from pandas import DataFrame

from perp_imbalance.indicators.hysteresis import LONG, NONE, SHORT

AlertKind = Literal["enter_short", "enter_long", "exit"]

_KINDS: dict[int, AlertKind] = {SHORT: "enter_short", LONG: "enter_long", NONE: "exit"}

_BIAS = {SHORT: "SHORT", LONG: "LONG", NONE: "none"}

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
    last = candles.iloc[-1].to_dict()
    if before is None:
        before = int(candles["bias"].iloc[-2]) if len(candles) > 1 else NONE
    kind = _KINDS[int(last["bias"])]
    if last["bias"] == before or kind not in kinds:
        return None
    return (
        f"{TITLES[kind]}: {pair}, {_z_and_premium(last)}, price {last['close']:.10g}, "
        f"preset {preset}"
    )


def candle_line(pair: str, candle: Mapping[Any, Any], reason: str) -> str:
    """Return the line of the log about a closed candle.

    :param candle: its row: ``date``, the columns of the signal, and what is entered.
    :param reason: as that of :func:`perp_imbalance.indicators.signals.no_entry_reasons`.

    >>> from datetime import datetime
    >>> row = {"z": 1.8, "premium_pct": 0.1, "deviation_bps": 4.2, "bias": -1}
    >>> candle_line("X/USDT:USDT", {"date": datetime(2025, 3, 1, 12), **row}, "HTF gate")
    'X/USDT:USDT 2025-03-01 12:00: z +1.80, premium +0.100 %, deviation +4.2 bps, bias SHORT, \
no entry: HTF gate'
    """
    enters = candle.get("enter_short") or candle.get("enter_long")
    # A strategy of one's own may leave out what the gates let pass.
    decision = f"entry {candle['enter_tag']}" if enters else f"no entry: {reason or 'the strategy'}"
    return (
        f"{pair} {candle['date']:%Y-%m-%d %H:%M}: {_z_and_premium(candle)}, "
        f"deviation {_known(candle['deviation_bps'], '+.1f', ' bps')}, "
        f"bias {_BIAS[int(candle['bias'])]}, {decision}"
    )


def _z_and_premium(candle: Mapping[Any, Any]) -> str:
    premium = _known(candle["premium_pct"], "+.3f", " %")
    return f"z {_known(candle['z'], '+.2f')}, premium {premium}"


def _known(value: float, form: str, unit: str = "") -> str:
    return f"{value:{form}}{unit}" if np.isfinite(value) else "unknown"
