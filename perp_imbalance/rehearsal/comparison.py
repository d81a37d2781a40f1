"""Compare a bot's trades with a backtest's: which trades differ, by how much, and why."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

#: In bps of the stake: the largest difference of profit that may remain without a cause.
TOLERANCE_BPS = 1.0
#: Kinds of differences: an entry of the backtest only, of the bot only, a later entry of the bot,
#: another tag of the same entry, another exit.
KINDS = ("missed", "extra", "late", "tag", "exit")
#: In bps of the price: how far a fill may lie outside the prices of its candle, due to the spread
#: of the order book and a tick. Fills further away have no known cause.
SPREAD_BPS = 5.0
#: The causes into which a difference of profit is split.
CAUSES = ("spread", "stop", "delay", "fees", "funding", "rest")
# The names of a stop in a backtest, and in a bot whose stop order is on the exchange.
_STOPS = {"stop_loss", "trailing_stop_loss", "stoploss_on_exchange"}
# The strategy's log message when it refuses an entry.
_REFUSED = re.compile(r"^(\S+ \S+),\d+ - .* (\S+): no (long|short) entry, (.*)$", re.MULTILINE)

Key = tuple[str, bool, pd.Timestamp]
Trades = Mapping[Key, Mapping[str, Any]]
#: For pair and candle: why a bot could not act at its opening, and the candle in which it could.
HeldBack = Callable[[str, pd.Timestamp], tuple[str, pd.Timestamp] | None]
#: Returns the lowest and highest price of a pair in the candle that opens at a time, or NaN.
PriceRange = Callable[[str, pd.Timestamp], tuple[float, float]]


@dataclass(frozen=True)
class Difference:
    """A trade that only the bot or only the backtest has, or whose exit or tag differs.

    :ivar kind: one of :data:`KINDS`
    :ivar time: candle of the backtest's entry, or of the bot's if only the bot enters
    :ivar cause: the cause, if known
    :ivar bps: profit of the bot minus the backtest's, in bps of the stake; None if a trade is open
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
    """A trade that is open at the end of the time range.

    :ivar held_by: ``bot``, ``backtest`` or ``both``
    """

    pair: str
    side: str
    time: datetime
    held_by: str


@dataclass
class Comparison:
    """The comparison of a bot with a backtest.

    :ivar entries: trades that both opened in the same candle, on the same side
    :ivar closed: those of them that both closed in the same candle for the same reason
    :ivar still_open: trades without an exit, which count in no profit
    :ivar profit_bps: mean difference of the profit of ``closed``, bot minus backtest, in bps of the
        stake, by cause; ``rest`` has no known cause
    :ivar largest_rest_bps: the largest absolute ``rest`` of one trade: in the mean, gains and
        losses could cancel
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
        """Whether all differences of trades and of profits have a known cause."""
        return not self.unexplained and self.largest_rest_bps <= TOLERANCE_BPS

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, with the number of differences of each kind."""
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
    """Compare a bot's trades with a backtest's of the same time.

    :param bot: trades from the bot's database
    :param backtest: trades from :func:`perp_imbalance.rehearsal.backtested.backtest`
    :param candle: length of a candle
    :param first_look: seconds from a candle's opening to the bot's first look
    :param prices: such as :func:`perp_imbalance.rehearsal.backtested.price_range` returns
    :param log: the bot's log, in which the strategy names the entries that it refused
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
    # NaN stays NaN here, so that nothing counts as explained.
    found.largest_rest_bps = float(np.max([abs(part["rest"]) for part in parts], initial=0.0))
    return found


def matched(
    bot: pd.DataFrame, backtest: pd.DataFrame, candle: timedelta
) -> list[tuple[Mapping[Any, Any], Mapping[Any, Any]]]:
    """Return the trades that bot and backtest opened in the same candle, on the same side.

    :param bot: as in :func:`compare`
    :param backtest: as in :func:`compare`
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
    """Split the difference of a trade's profit, bot minus backtest, by cause, in bps of the stake.

    A different price is due to the spread at the first look of a candle, to the delay at a later
    look, and to the fill at a stop: up to the prices of that candle and :data:`SPREAD_BPS` beyond
    them. Any further distance belongs to ``rest``.
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
        # A second entry in one candle is a separate trade, which a backtest does not make.
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
    """Yield the differences between two trades of the same entry."""
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
    """Return the profit of the bot minus the backtest's, in bps of the stake; None if open."""
    profits = []
    for trade, name in ((bot, "close_profit"), (backtest, "profit_ratio")):
        if trade is not None and pd.isna(trade["close_date"]):
            return None
        profits.append(0.0 if trade is None else float(trade[name]))
    return 1e4 * (profits[0] - profits[1])


def _late(pair: str, due: pd.Timestamp, done: pd.Timestamp, held_back: HeldBack) -> str | None:
    """Return why an action due in one candle happened in a later one; None if unknown."""
    found = held_back(pair, due)
    if found is None or done <= due or found[1] != done:
        return None
    return f"{found[0]}: next look at {done:%H:%M}"


def _held_over(pair: str, due: pd.Timestamp, held_back: HeldBack) -> str | None:
    """Return why a bot could act on a signal only after its candle; None if it could in time."""
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
    """Yield the entries that only the bot or only the backtest has."""
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
    """Return a cause if the bot or the backtest could not enter because it still held the pair."""
    for (other, _, opened), trade in trades.items():
        if other == pair and opened < time and not trade["close_date"] < time + candle:
            return f"{whose} still held its position of {opened:%Y-%m-%d %H:%M}"
    return None


def _still_open(live: Trades, tested: Trades) -> Iterator[OpenTrade]:
    """Yield the trades of bot and backtest that have no exit."""
    bot, backtest = (
        {key for key, trade in trades.items() if pd.isna(trade["close_date"])}
        for trades in (live, tested)
    )
    for key in sorted(bot | backtest):
        held_by = "both" if key in bot & backtest else "bot" if key in bot else "backtest"
        yield OpenTrade(key[0], _side(key[1]), key[2], held_by)


def _side(is_short: bool) -> str:
    return "short" if is_short else "long"
