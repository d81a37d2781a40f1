"""Messages of a bot about a candle: alerts, and a line of the log."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pandas import DataFrame
from pydantic import BaseModel, Field, FiniteFloat, PositiveFloat, model_validator
from pydantic_core import PydanticCustomError

from perp_imbalance.indicators.hysteresis import LONG, NONE, SHORT
from perp_imbalance.markets.spot_matching import some
from perp_imbalance.markets.spot_pairs import STRICT

AlertKind = Literal["enter_short", "enter_long", "exit"]
CrossingKind = Literal["deviation", "premium", "market"]

_KINDS: dict[int, AlertKind] = {SHORT: "enter_short", LONG: "enter_long", NONE: "exit"}

_BIAS = {SHORT: "SHORT", LONG: "LONG", NONE: "none"}

#: What a message begins with, by the kind that the config names.
TITLES: dict[AlertKind, str] = {
    "enter_short": "Enter SHORT bias",
    "enter_long": "Enter LONG bias",
    "exit": "Exit bias",
}

#: Pairs that a message names with their values; the log names all. The message stays below the
#: 2,000 characters of Discord and the 4,096 of Telegram.
MOST_NAMED = 10

# The most that can be looked back on: of the candles that a bot loads at its start, so many have
# a deviation whatever ``dev_len`` is.
_MOST_QUIET = 200

# Column and unit of what crosses a level in a pair.
_MEASURES = {"deviation": ("deviation_bps", "bps"), "premium": ("premium_pct", "%")}


class CrossingAlert(BaseModel):
    """An alert when a value crosses a level.

    :param kind: ``deviation`` or ``premium`` of a pair, above the level or below its negative;
        ``market``: the share of the whitelist that is dislocated.
    :param level: in bps for ``deviation``, in % for ``premium``, in % of the pairs for ``market``;
        a value equal to the level counts as beyond it.
    :param deviation_bps: for ``market``, the deviation of a dislocated pair: this or less if it is
        negative, this or more otherwise.
    :param cooldown_candles: consecutive candles inside the level before the next message.
    """

    model_config = STRICT

    kind: CrossingKind
    level: Annotated[PositiveFloat, Field(allow_inf_nan=False)]
    deviation_bps: FiniteFloat = -10.0
    cooldown_candles: Annotated[int, Field(ge=1, le=_MOST_QUIET)] = 12

    @model_validator(mode="after")
    def _check_kind(self) -> "CrossingAlert":
        if self.kind == "market" and self.level > 100:
            raise PydanticCustomError("crossing", "of a level up to 100 %, which is all pairs")
        if self.kind != "market" and "deviation_bps" in self.model_fields_set:
            raise PydanticCustomError("crossing", "without deviation_bps, which is for 'market'")
        return self

    @property
    def column(self) -> str:
        """The column whose value crosses the level."""
        return _MEASURES[self.kind][0]


@dataclass(frozen=True)
class Alert:
    """An alert about a pair.

    :ivar title: first line of the message; alerts with the same title share one message
    :ivar values: text with the figures of the pair
    :ivar size: rank of the alert; a message names the pairs with the largest sizes
    :ivar end: last line of the message
    """

    title: str
    pair: str
    values: str
    size: float
    end: str = ""


def messages(alerts: Iterable[Alert], most: int = MOST_NAMED) -> list[str]:
    """Return one message for each title.

    >>> found = [Alert("Exit bias", pair, "z +0.10", 0.1) for pair in "ABC"]
    >>> messages(found[:1]), messages(found, 2)
    (['Exit bias: A, z +0.10'], ['Exit bias: 3 pairs: A (z +0.10), B (z +0.10) and 1 more'])
    """
    by_title: dict[str, list[Alert]] = {}
    for alert in alerts:
        by_title.setdefault(alert.title, []).append(alert)
    return [_message(title, same, most) for title, same in by_title.items()]


def _message(title: str, alerts: list[Alert], most: int) -> str:
    if len(alerts) == 1:
        return f"{title}: {alerts[0].pair}, {alerts[0].values}{alerts[0].end}"
    # What is not known is the smallest.
    ranked = sorted(alerts, key=lambda alert: -np.nan_to_num(alert.size))
    named = some([f"{alert.pair} ({alert.values})" for alert in ranked], most)
    return f"{title}: {len(alerts)} pairs: {named}{alerts[0].end}"


def flip_alert(
    candles: DataFrame,
    *,
    pair: str,
    preset: str,
    kinds: Collection[AlertKind],
    before: int | None = None,
) -> Alert | None:
    """Return an alert if the bias flipped on the last candle, else None.

    A flip to the other side counts as the beginning of the new bias only.

    :param candles: ``close`` and the columns of the signal, at least one row.
    :param kinds: the wanted kinds of flips.
    :param before: the bias to compare with; by default that of the previous candle.

    >>> rows = {"bias": [0, -1], "z": [1.0, 2.5], "premium_pct": [0.1, 0.2], "close": [9.0, 9.5]}
    >>> flip = flip_alert(DataFrame(rows), pair="X/USDT:USDT", preset="balanced", kinds=TITLES)
    >>> messages([flip])
    ['Enter SHORT bias: X/USDT:USDT, z +2.50, premium +0.200 %, price 9.5, preset balanced']
    """
    last = candles.iloc[-1].to_dict()
    if before is None:
        before = int(candles["bias"].iloc[-2]) if len(candles) > 1 else NONE
    kind = _KINDS[int(last["bias"])]
    if last["bias"] == before or kind not in kinds:
        return None
    values = f"{_z_and_premium(last)}, {_price(last)}"
    return Alert(TITLES[kind], pair, values, abs(last["z"]), f", preset {preset}")


def crossing_alert(rule: CrossingAlert, side: int, pair: str, candle: Mapping[Any, Any]) -> Alert:
    """Return the alert about a pair that has crossed a level.

    :param side: +1 above the level, -1 below the negative one.
    :param candle: the last row: ``close`` and the columns of the signal.

    >>> row = {"z": 1.8, "premium_pct": 0.1, "deviation_bps": 14.2, "close": 9.5}
    >>> rule = CrossingAlert(kind="deviation", level=10.0)
    >>> messages([crossing_alert(rule, 1, "X/USDT:USDT", row)])
    ['Deviation above +10 bps: X/USDT:USDT, deviation +14.2 bps, z +1.80, premium +0.100 %, \
price 9.5']
    """
    column, unit = _MEASURES[rule.kind]
    beyond = "above" if side > 0 else "below"
    title = f"{rule.kind.capitalize()} {beyond} {side * rule.level:+g} {unit}"
    values = f"{_deviation(candle)}, {_z_and_premium(candle)}, {_price(candle)}"
    return Alert(title, pair, values, abs(candle[column]))


def market_message(rule: CrossingAlert, dislocated: int, known: int) -> str:
    """Return the message about a market in which many pairs are dislocated.

    >>> market_message(CrossingAlert(kind="market", level=30.0), 34, 98)
    'Market above 30 %: 34.7 % of the pairs (34 of 98) have a deviation of -10 bps or less'
    """
    side = "less" if rule.deviation_bps < 0 else "more"
    return (
        f"Market above {rule.level:g} %: {100 * dislocated / known:.1f} % of the pairs "
        f"({dislocated} of {known}) have a deviation of {rule.deviation_bps:+g} bps or {side}"
    )


def candle_line(pair: str, candle: Mapping[Any, Any], reason: str) -> str:
    """Return the log line about a closed candle.

    :param candle: its row: ``date``, the columns of the signal, and the entry columns.
    :param reason: its text from :func:`perp_imbalance.indicators.signals.no_entry_reasons`.

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
        f"{_deviation(candle)}, bias {_BIAS[int(candle['bias'])]}, {decision}"
    )


def _z_and_premium(candle: Mapping[Any, Any]) -> str:
    premium = _known(candle["premium_pct"], "+.3f", " %")
    return f"z {_known(candle['z'], '+.2f')}, premium {premium}"


def _deviation(candle: Mapping[Any, Any]) -> str:
    return f"deviation {_known(candle['deviation_bps'], '+.1f', ' bps')}"


def _price(candle: Mapping[Any, Any]) -> str:
    return f"price {candle['close']:.10g}"


def _known(value: float, form: str, unit: str = "") -> str:
    return f"{value:{form}}{unit}" if np.isfinite(value) else "unknown"
