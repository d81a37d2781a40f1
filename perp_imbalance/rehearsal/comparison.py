"""A bot's trades beside those of a backtest: which differ, by how much, and why."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

#: In bps of the stake: what may be left of a difference when its causes are subtracted.
TOLERANCE_BPS = 1.0
#: The parts that a difference of profit is split into.
CAUSES = ("spread", "stop", "delay", "fees", "funding", "rest")
# What a backtest calls a stop, and a bot whose stop lies on the exchange.
_STOPS = {"stop_loss", "trailing_stop_loss", "stoploss_on_exchange"}
# What the strategy logs where it refuses an entry.
_REFUSED = re.compile(r"^(\S+ \S+),\d+ - .* (\S+): no (long|short) entry, (.*)$", re.MULTILINE)

Key = tuple[str, bool, pd.Timestamp]


@dataclass(frozen=True)
class Difference:
    """A trade that one of the two has and the other has not, or ends in another way.

    :ivar kind: ``missed``, ``extra``, ``late``, ``tag`` or ``exit``
    :ivar time: the candle that a backtest enters in, or the bot where it alone does
    :ivar cause: why, where it is known
    """

    kind: str
    pair: str
    side: str
    time: datetime
    backtest: str
    bot: str
    cause: str | None = None


@dataclass
class Comparison:
    """What a bot did beside what a backtest does.

    :ivar entries: trades of either that were opened in the same candle, on the same side
    :ivar closed: those of them that ended in the same candle for the same reason
    :ivar profit_bps: mean difference of their profit, bot minus backtest, in bps of the stake, by
        cause; ``rest`` is what no cause accounts for
    """

    backtest_trades: int
    bot_trades: int
    entries: int = 0
    closed: int = 0
    differences: list[Difference] = field(default_factory=list)
    profit_bps: dict[str, float] = field(default_factory=dict)

    @property
    def unexplained(self) -> list[Difference]:
        """The differences without a known cause."""
        return [each for each in self.differences if each.cause is None]

    @property
    def explained(self) -> bool:
        """Whether every difference has a cause, of trades and of profits."""
        return not self.unexplained and abs(self.profit_bps.get("rest", 0.0)) <= TOLERANCE_BPS

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {**asdict(self), "explained": self.explained}


def compare(
    bot: pd.DataFrame, backtest: pd.DataFrame, candle: timedelta, first_look: float, log: str = ""
) -> Comparison:
    """Return what a bot did beside what a backtest does in the same time.

    :param bot: trades as the bot's database has them
    :param backtest: trades as :func:`perp_imbalance.rehearsal.backtested.backtest` returns them
    :param candle: length of a candle
    :param first_look: seconds after its opening at which the bot looks first
    :param log: the bot's, in which the strategy names the entries that it refused
    """
    found = Comparison(len(backtest), len(bot))
    live, tested = _by_entry(bot, candle), _by_entry(backtest, candle)
    refused = {
        (pair, side == "short", pd.Timestamp(time, tz="UTC").floor(candle)): reason
        for time, pair, side, reason in _REFUSED.findall(log)
    }
    parts = []
    for key in sorted({*live, *tested}):
        mine, other = live.get(key), tested.get(key)
        if mine is None or other is None:
            continue
        found.entries += 1
        found.differences += _told_apart(key, mine, other, candle)
        if _end(mine, candle) == _end(other, candle) and not pd.isna(mine["close_date"]):
            found.closed += 1
            parts.append(split(mine, other, candle, first_look))
    found.differences += _unmatched(live, tested, refused)
    found.profit_bps = {
        cause: sum(part[cause] for part in parts) / len(parts) for cause in CAUSES if parts
    }
    return found


def split(
    bot: Mapping[str, Any], backtest: Mapping[str, Any], candle: timedelta, first_look: float
) -> dict[str, float]:
    """Return by what a bot's profit of a trade differs from a backtest's, in bps of the stake.

    A price that differs at the first look of a candle does so by the spread, at a later one by the
    delay, and at a stop by where that was filled.
    """
    parts = dict.fromkeys(CAUSES, 0.0)
    sign, leverage = (-1 if bot["is_short"] else 1), float(backtest["leverage"])
    for moment, direction in {"open": 1, "close": -1}.items():
        price, other = float(bot[f"{moment}_rate"]), float(backtest[f"{moment}_rate"])
        date = pd.Timestamp(bot[f"{moment}_date"])
        on_time = date - date.floor(candle) <= timedelta(seconds=first_look)
        cause = "spread" if on_time else "delay"
        if moment == "close" and bot["exit_reason"] in {*_STOPS, "liquidation"}:
            cause = "stop"
        move = direction * sign * (other - price) / float(backtest["open_rate"])
        parts[cause] += 1e4 * leverage * move
        fee = float(bot[f"fee_{moment}"]) - float(backtest[f"fee_{moment}"])
        parts["fees"] -= 1e4 * leverage * fee
    parts["funding"] = 1e4 * (_funding(bot) - _funding(backtest))
    total = 1e4 * (float(bot["close_profit"]) - float(backtest["profit_ratio"]))
    parts["rest"] = total - sum(parts.values())
    return parts


def _funding(trade: Mapping[str, Any]) -> float:
    """Return funding as a share of the stake."""
    return float(trade["funding_fees"] or 0) / float(trade["stake_amount"])


def _by_entry(trades: pd.DataFrame, candle: timedelta) -> dict[Key, dict[Any, Any]]:
    return {
        (trade["pair"], bool(trade["is_short"]), trade["open_date"].floor(candle)): trade
        for trade in trades.to_dict("records")
    }


def _end(trade: Mapping[str, Any], candle: timedelta) -> str:
    if pd.isna(trade["close_date"]):
        return "open"
    reason = "stop" if trade["exit_reason"] in _STOPS else trade["exit_reason"]
    return f"{reason} {trade['close_date'].floor(candle):%Y-%m-%d %H:%M}"


def _told_apart(
    key: Key, bot: Mapping[str, Any], backtest: Mapping[str, Any], candle: timedelta
) -> Iterator[Difference]:
    """Yield in what two trades of one entry differ."""
    pair, is_short, time = key
    values = {
        "tag": (str(backtest["enter_tag"]), str(bot["enter_tag"])),
        "exit": (_end(backtest, candle), _end(bot, candle)),
    }
    for kind, (other, mine) in values.items():
        if other != mine:
            yield Difference(kind, pair, _side(is_short), time, other, mine)


def _unmatched(
    live: Mapping[Key, Mapping[str, Any]],
    tested: Mapping[Key, Mapping[str, Any]],
    refused: Mapping[Key, str],
) -> Iterator[Difference]:
    """Yield the entries that only one of the two has."""
    extra = {key: trade for key, trade in live.items() if key not in tested}
    for key, trade in tested.items():
        if key in live:
            continue
        pair, is_short, time = key
        end = trade["close_date"]
        later = [
            other
            for other in extra
            if other[:2] == key[:2] and time < other[2] and (pd.isna(end) or other[2] < end)
        ]
        kind, bot = ("late", f"{later[0][2]:%Y-%m-%d %H:%M}") if later else ("missed", "–")
        for taken in later[:1]:
            extra.pop(taken)
        side, tag = _side(is_short), str(trade["enter_tag"])
        yield Difference(kind, pair, side, time, tag, bot, refused.get(key))
    for (pair, is_short, time), trade in extra.items():
        yield Difference("extra", pair, _side(is_short), time, "–", str(trade["enter_tag"]))


def _side(is_short: bool) -> str:
    return "short" if is_short else "long"
