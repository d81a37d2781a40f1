"""A bot's trades compared with those of a backtest: which differ, by how much, and why."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

#: In bps of the stake: what may be left of a difference when its causes are subtracted.
TOLERANCE_BPS = 1.0
#: What differs: an entry of the backtest alone, of the bot alone, one that the bot made later, the
#: tag of one that both made, or how it ended.
KINDS = ("missed", "extra", "late", "tag", "exit")
#: In bps of the price: how far beyond the prices of its candle a fill may lie, by the spread of the
#: order book and a tick. What lies further away has no cause.
SPREAD_BPS = 5.0
#: The parts that a difference of profit is split into.
CAUSES = ("spread", "stop", "delay", "fees", "funding", "rest")
# What a backtest calls a stop, and a bot whose stop lies on the exchange.
_STOPS = {"stop_loss", "trailing_stop_loss", "stoploss_on_exchange"}
# What the strategy logs where it refuses an entry.
_REFUSED = re.compile(r"^(\S+ \S+),\d+ - .* (\S+): no (long|short) entry, (.*)$", re.MULTILINE)

Key = tuple[str, bool, pd.Timestamp]
Trades = Mapping[Key, Mapping[str, Any]]
#: Says of pair and candle why a bot could not act at its opening, and in which candle it could.
HeldBack = Callable[[str, pd.Timestamp], tuple[str, pd.Timestamp] | None]
#: Returns the lowest and the highest price of a pair in the candle that opens then, or NaN.
PriceRange = Callable[[str, pd.Timestamp], tuple[float, float]]


@dataclass(frozen=True)
class Difference:
    """A trade that only one of the two has, or that ends in another way.

    :ivar kind: one of :data:`KINDS`
    :ivar time: the candle in which the backtest enters, or the bot where it alone does
    :ivar cause: why, where it is known
    :ivar bps: what the bot earned more by it, in bps of the stake; None while a trade is open
    """

    kind: str
    pair: str
    side: str
    time: datetime
    backtest: str
    bot: str
    cause: str | None = None
    bps: float | None = None


@dataclass(frozen=True)
class OpenTrade:
    """A trade that is open when the time is over.

    :ivar held_by: ``bot``, ``backtest`` or ``both``
    """

    pair: str
    side: str
    time: datetime
    held_by: str


@dataclass
class Comparison:
    """What a bot did, compared with what a backtest does.

    :ivar entries: trades that both opened in the same candle, on the same side
    :ivar closed: those of them that ended in the same candle for the same reason
    :ivar still_open: trades without an end, which no figure of profit counts
    :ivar profit_bps: mean difference of the profit of these, bot minus backtest, in bps of the
        stake, by cause; ``rest`` is what no cause accounts for
    :ivar largest_rest_bps: the largest such rest of one trade, without its sign: in a mean, a gain
        and a loss would hide each other
    """

    backtest_trades: int
    bot_trades: int
    entries: int = 0
    closed: int = 0
    differences: list[Difference] = field(default_factory=list)
    still_open: list[OpenTrade] = field(default_factory=list)
    profit_bps: dict[str, float] = field(default_factory=dict)
    largest_rest_bps: float = 0.0

    @property
    def unexplained(self) -> list[Difference]:
        """The differences without a known cause."""
        return [each for each in self.differences if each.cause is None]

    @property
    def explained(self) -> bool:
        """Whether every difference has a cause, of trades and of profits."""
        return not self.unexplained and self.largest_rest_bps <= TOLERANCE_BPS

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values, with the number of differences of each kind."""
        counts = {kind: sum(each.kind == kind for each in self.differences) for kind in KINDS}
        return {**asdict(self), "counts": counts, "explained": self.explained}


def compare(
    bot: pd.DataFrame,
    backtest: pd.DataFrame,
    candle: timedelta,
    first_look: float,
    prices: PriceRange,
    log: str = "",
    held_back: HeldBack = lambda pair, time: None,
) -> Comparison:
    """Return what a bot did, compared with what a backtest does in the same time.

    :param bot: trades as the bot's database has them
    :param backtest: trades as :func:`perp_imbalance.rehearsal.backtested.backtest` returns them
    :param candle: length of a candle
    :param first_look: seconds after its opening at which the bot looks first
    :param prices: such as :func:`perp_imbalance.rehearsal.backtested.price_range` returns
    :param log: the bot's, in which the strategy names the entries that it refused
    :param held_back: such as :meth:`perp_imbalance.rehearsal.late_candles.LateCandles.held_back`
    """
    found = Comparison(len(backtest), len(bot))
    live, tested = _by_entry(bot, candle), _by_entry(backtest, candle)
    parts = list[dict[str, float]]()
    refused = {
        (pair, side == "short", pd.Timestamp(time, tz="UTC").floor(candle)): reason
        for time, pair, side, reason in _REFUSED.findall(log)
    }
    for key in sorted({*live, *tested}):
        mine, other = live.get(key), tested.get(key)
        if mine is None or other is None:
            continue
        found.entries += 1
        found.differences += _told_apart(key, mine, other, candle, held_back)
        if _end(mine, candle) == _end(other, candle) and not pd.isna(mine["close_date"]):
            found.closed += 1
            parts.append(split(mine, other, candle, first_look, prices))
    found.differences += _unmatched(live, tested, candle, refused, held_back)
    found.still_open = list(_still_open(live, tested))
    found.profit_bps = {
        cause: sum(part[cause] for part in parts) / len(parts) for cause in CAUSES if parts
    }
    # One that is not a number makes it none, so that nothing is explained.
    found.largest_rest_bps = float(np.max([abs(part["rest"]) for part in parts], initial=0.0))
    return found


def matched(
    bot: pd.DataFrame, backtest: pd.DataFrame, candle: timedelta
) -> list[tuple[Mapping[Any, Any], Mapping[Any, Any]]]:
    """Return the trades that bot and backtest opened in the same candle, on the same side.

    :param bot: as those of :func:`compare`
    :param backtest: likewise
    :return: pairs of a bot's trade and a backtest's, in order of pair, side and time
    """
    live, tested = _by_entry(bot, candle), _by_entry(backtest, candle)
    return [(live[key], tested[key]) for key in sorted(live.keys() & tested.keys())]


def split(
    bot: Mapping[str, Any],
    backtest: Mapping[str, Any],
    candle: timedelta,
    first_look: float,
    prices: PriceRange,
) -> dict[str, float]:
    """Return by what a bot's profit of a trade differs from a backtest's, in bps of the stake.

    A price that differs at the first look of a candle does so by the spread, at a later one by the
    delay, and at a stop by where that was filled: up to the prices of that candle and
    :data:`SPREAD_BPS` beyond them. A price further away belongs to the rest.
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
        low, high = prices(str(bot["pair"]), date.floor(candle))
        if not low * (1 - SPREAD_BPS / 1e4) <= price <= high * (1 + SPREAD_BPS / 1e4):
            cause = "rest"
        move = direction * sign * (other - price) / float(backtest["open_rate"])
        parts[cause] += 1e4 * leverage * move
        fee = float(bot[f"fee_{moment}"]) - float(backtest[f"fee_{moment}"])
        parts["fees"] -= 1e4 * leverage * fee
    parts["funding"] = 1e4 * (_funding(bot) - _funding(backtest))
    total = 1e4 * (float(bot["close_profit"]) - float(backtest["profit_ratio"]))
    parts["rest"] = total - sum(value for cause, value in parts.items() if cause != "rest")
    return parts


def _funding(trade: Mapping[str, Any]) -> float:
    """Return funding as a share of the stake."""
    return float(trade["funding_fees"] or 0) / float(trade["stake_amount"])


def _by_entry(trades: pd.DataFrame, candle: timedelta) -> dict[Key, dict[Any, Any]]:
    found: dict[Key, dict[Any, Any]] = {}
    for trade in trades.to_dict("records"):
        key = (trade["pair"], bool(trade["is_short"]), trade["open_date"].floor(candle))
        # A second entry in one candle is another trade, which a backtest does not make.
        found[(*key[:2], trade["open_date"]) if key in found else key] = trade
    return found


def _end(trade: Mapping[str, Any], candle: timedelta) -> str:
    if pd.isna(trade["close_date"]):
        return "open"
    reason = "stop" if trade["exit_reason"] in _STOPS else trade["exit_reason"]
    return f"{reason} {trade['close_date'].floor(candle):%Y-%m-%d %H:%M}"


def _told_apart(
    key: Key,
    bot: Mapping[str, Any],
    backtest: Mapping[str, Any],
    candle: timedelta,
    held_back: HeldBack,
) -> Iterator[Difference]:
    """Yield in what two trades of one entry differ."""
    pair, is_short, time = key
    side = _side(is_short)
    tags = str(backtest["enter_tag"]), str(bot["enter_tag"])
    if tags[0] != tags[1]:
        yield Difference("tag", pair, side, time, *tags, bps=_gain(bot, backtest))
    ends = _end(backtest, candle), _end(bot, candle)
    if ends[0] != ends[1]:
        cause = None
        if not (pd.isna(bot["close_date"]) or pd.isna(backtest["close_date"])):
            due, done = (each["close_date"].floor(candle) for each in (backtest, bot))
            cause = _late(pair, due, done, held_back)
        yield Difference("exit", pair, side, time, *ends, cause, _gain(bot, backtest))


def _gain(bot: Mapping[str, Any] | None, backtest: Mapping[str, Any] | None) -> float | None:
    """Return what a bot earned more than a backtest, in bps of the stake; None if not known yet."""
    profits = []
    for trade, name in ((bot, "close_profit"), (backtest, "profit_ratio")):
        if trade is not None and pd.isna(trade["close_date"]):
            return None
        profits.append(0.0 if trade is None else float(trade[name]))
    return 1e4 * (profits[0] - profits[1])


def _late(pair: str, due: pd.Timestamp, done: pd.Timestamp, held_back: HeldBack) -> str | None:
    """Return why what was due in one candle was done in a later one; None if not known."""
    found = held_back(pair, due)
    if found is None or done <= due or found[1] != done:
        return None
    return f"{found[0]}: next look at {done:%H:%M}"


def _held_over(pair: str, due: pd.Timestamp, held_back: HeldBack) -> str | None:
    """Return why a bot could act on a signal only when its candle was over; None if it could."""
    found = held_back(pair, due)
    if found is None or found[1] <= due:
        return None
    return f"{found[0]}: the next look was after the signal's candle"


def _unmatched(
    live: Trades,
    tested: Trades,
    candle: timedelta,
    refused: Mapping[Key, str],
    held_back: HeldBack,
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
            if other[:2] == key[:2] and time < other[2] and not other[2] >= end
        ]
        kind, bot, held = "missed", "–", _held_over(pair, time, held_back)
        mine = None
        for taken in later[:1]:
            mine = extra.pop(taken)
            kind, bot = "late", f"{taken[2]:%Y-%m-%d %H:%M}"
            held = _late(pair, time, taken[2], held_back)
        causes = refused.get(key), held, _occupied(live, pair, time, candle, "the bot")
        cause = next(filter(None, causes), None)
        tag, bps = str(trade["enter_tag"]), _gain(mine, trade)
        yield Difference(kind, pair, _side(is_short), time, tag, bot, cause, bps)
    for (pair, is_short, time), trade in extra.items():
        cause = _occupied(tested, pair, time, candle, "the backtest")
        tag, bps = str(trade["enter_tag"]), _gain(trade, None)
        yield Difference("extra", pair, _side(is_short), time, "–", tag, cause, bps)


def _occupied(
    trades: Trades, pair: str, time: pd.Timestamp, candle: timedelta, whose: str
) -> str | None:
    """Return that one of the two still held the pair in a candle, so that it could not enter."""
    for (other, _, opened), trade in trades.items():
        if other == pair and opened < time and not trade["close_date"] < time + candle:
            return f"{whose} still held its position of {opened:%Y-%m-%d %H:%M}"
    return None


def _still_open(live: Trades, tested: Trades) -> Iterator[OpenTrade]:
    """Yield the trades of either that have no end."""
    bot, backtest = (
        {key for key, trade in trades.items() if pd.isna(trade["close_date"])}
        for trades in (live, tested)
    )
    for key in sorted(bot | backtest):
        held_by = "both" if key in bot & backtest else "bot" if key in bot else "backtest"
        yield OpenTrade(key[0], _side(key[1]), key[2], held_by)


def _side(is_short: bool) -> str:
    return "short" if is_short else "long"
