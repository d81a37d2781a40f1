"""Invariants that must hold after every look, whatever goes wrong.

Known errors of freqtrade are listed in :data:`KNOWN`, each bound to its cause: the same finding
without that cause is a failure.
"""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

import numpy as np
import pandas as pd
from freqtrade.persistence import Order as StoredOrder
from freqtrade.persistence import Trade
from freqtrade.worker import Worker

from perp_imbalance.indicators.thresholds import MAX_STALE_CANDLES
from perp_imbalance.rehearsal.clock import next_look
from perp_imbalance.rehearsal.plan import Plan
from perp_imbalance.replay.testing import Account, ReorderedCandles, RepeatedCandles
from perp_imbalance.replay.testing.forced import close_by_hand
from perp_imbalance.replay.testing.records import ZERO, AlgoOrder, Order
from support.chaos.market import HOUR_MS, MarketNow
from support.chaos.memory import Memory
from support.chaos.schedule import Schedule
from support.parity import COLUMNS, SIGNALS, SPOTS

#: Number of looks without faults after which all invariants must hold again.
PATIENCE = 2
#: How far the price of an entry may be beyond the true close of its signal.
DRIFT = 0.0101
#: Number of last candles on which signals must equal those of a backtest.
LAST_ROWS = 6
DISORDERED = (RepeatedCandles, ReorderedCandles)
#: Minutes after which freqtrade cancels unfilled orders (``unfilledtimeout``).
UNFILLED_MINUTES = 10
LOOK_MINUTES = 61
SIDES = {"short": -1, "long": 1}

NO_SUCH_PRICE = "no entry from a price that was not there"
ONE_POSITION = "never two positions on a pair"
AGREE = "exchange and database agree within two looks"
STOPPED = "every open position has its stop"
ENDED = "an ended bias ends its position"
ONCE = "messages once each"
SAME_SIGNALS = "after the last fault, signals equal the backtest's"
ALIVE = "the bot lives"
INVARIANTS = (NO_SUCH_PRICE, ONE_POSITION, AGREE, STOPPED, ENDED, ONCE, SAME_SIGNALS, ALIVE)


class Known(NamedTuple):
    """A known error of freqtrade.

    :ivar does: what freqtrade does
    :ivar mend: what a trader must do
    """

    does: str
    mend: str


LOST_ENTRY = "an entry whose answer was lost is not found again"
LOST_STOP = "a stop whose answer was lost stays at the exchange"
VANISHED = "a position that ended behind the bot's back stays in the database"
DELISTED = "the trade of a perp that is gone cannot be reloaded"
DISORDER = "a repeated or misplaced newest candle hides the next one"
HALF = "half an answer that looks whole ends the bot"
NO_START = "a bot does not start while the exchange refuses"
KNOWN = {
    LOST_ENTRY: Known(
        "No trade, no stop; freqtrade gives its orders no name of its own to ask for. Without the "
        "strategy's check it enters again, on top.",
        "Close the position at the exchange; the strategy refuses to enter there and says so.",
    ),
    LOST_STOP: Known(
        "It places another one and cancels only that. The first would end a later position.",
        "Cancel it at the exchange.",
    ),
    VANISHED: Known(
        "By hand, liquidated, deleveraged, or by an exit whose answer was lost: while its stop "
        "rests at the exchange, freqtrade asks for no position, and its exits are refused (-2022).",
        "`/reload_trade` books it.",
    ),
    DELISTED: Known(
        "The exchange settles the position and knows nothing of the perp; freqtrade keeps the "
        "trade open.",
        "`/delete` it.",
    ),
    DISORDER: Known(
        "It takes the last row of an answer for the newest candle, before it sorts: the unfinished "
        "one then counts as known, and the next is asked for a candle later.",
        "Nothing: exits come a candle late, and entries are missed.",
    ),
    HALF: Known(
        "ccxt returns what is not JSON as text, and freqtrade reads it as an answer: an error that "
        "nothing catches.",
        "A supervisor that starts it again.",
    ),
    NO_START: Known(
        "It waits out a refusal while it runs, but ends where it meets one at its start.",
        "A supervisor that starts it again, as `restart: unless-stopped` in the compose file.",
    ),
}

_SAID = re.compile(r"Sending rpc strategy_msg: (.*)")
_FILLED = re.compile(
    r"Sending rpc message: \{.*?'(?:trade_id': (\d+), 'type': (entry_fill)|"
    r"type': (exit_fill), 'trade_id': (\d+))"
)
_TROUBLE = re.compile(r"(\S+) (gives no signals: .*|gives signals again)")


class Invariants:
    """Checks account, database, log and candles after each look.

    :param memory: receives the findings
    """

    def __init__(
        self, plan: Plan, schedule: Schedule, memory: Memory, account: Account, market: MarketNow
    ) -> None:
        self.plan, self.schedule, self.memory = plan, schedule, memory
        self.account, self.market = account, market
        # A restarted bot does not remember which messages it sent.
        memory.told.clear()

    def check(self, worker: Worker, now: float, sound: bool) -> None:
        """Check all invariants.

        :param sound: whether the exchange answered every request of this look
        """
        self.worker, self.now, self.sound = worker, now, sound
        self.memory.looks += 1
        self.memory.sound += sound
        self.trades = Trade.get_open_trades()
        self.stored = list(StoredOrder.session.query(StoredOrder))
        self.known_ids = {str(order.order_id) for order in self.stored}
        self._entries()
        self._messages()
        for pair in SPOTS:
            self._pair(pair)
        is_last = next_look(now, 3600, self.schedule.looks) > self.schedule.end.timestamp()
        if is_last and not self.memory.ended:
            self.memory.ended = True
            for pair in SPOTS:
                self._signals(pair)

    def can_vanish(self, symbol: str) -> bool:
        """Return whether a position is complete, known to the bot and has its stop."""
        pair = self._pair_of(symbol)
        trades = [trade for trade in self.trades if trade.pair == pair]
        stopped = bool(self.account.open_algos(symbol))
        return stopped and bool(trades) and not any(trade.has_open_orders for trade in trades)

    def _broken(self, invariant: str, what: str) -> None:
        self.memory.broken.append((self._hours(self.now), invariant, what))

    def _known(self, name: str, what: str) -> None:
        self.memory.known.append((self._hours(self.now), name, what))

    def _hours(self, now: float) -> float:
        return round((now - self.schedule.start.timestamp()) / 3600, 2)

    def _lasts(self, pair: str, what: str, wrong: bool) -> bool:
        """Count fault-free looks while something is wrong; return whether there are too many."""
        if not wrong:
            self.memory.pending.pop((pair, what), None)
            return False
        looks = self.memory.pending.get((pair, what), 0) + self.sound
        self.memory.pending[pair, what] = looks
        if looks <= PATIENCE:
            return False
        # Reported once, unless it is right in between.
        self.memory.pending[pair, what] = -1000
        return True

    def _symbol(self, pair: str) -> str:
        return pair.partition(":")[0].replace("/", "")

    def _pair_of(self, symbol: str) -> str:
        return next(pair for pair in SPOTS if self._symbol(pair) == symbol)

    # Entries.

    def _entries(self) -> None:
        new, self.memory.orders = (
            self.account.orders[self.memory.orders :],
            len(self.account.orders),
        )
        stops = {algo.order.id for algo in self.account.algos if algo.order}
        for order in new:
            request = order.request
            if request.reduce_only or "autoclose" in request.client_id or order.id in stops:
                continue
            self.memory.entries += 1
            self._entry(order, self._pair_of(request.symbol))

    def _entry(self, order: Order, pair: str) -> None:
        side = "long" if order.request.direction > 0 else "short"
        date = pd.Timestamp(order.time, unit="ms", tz="UTC").floor("h") - pd.Timedelta("1h")
        sound = self.market.tables(pair).sound
        row = sound[sound["date"] == date]
        where = f"{pair} {side} on the candle of {date:%m-%d %H:%M}"
        if row.empty or not row[f"enter_{side}"].iloc[0]:
            self._broken(NO_SUCH_PRICE, f"{where}: true prices give no signal there")
            return
        close = self.market.close(pair, date)
        drift = SIDES[side] * (float(order.average or order.price) / close - 1)
        if not drift <= DRIFT:
            self._broken(NO_SUCH_PRICE, f"{where}: {drift:.1%} beyond its true close {close}")

    # Messages.

    def _messages(self) -> None:
        with self.plan.log.open("rb") as file:
            file.seek(self.memory.read)
            text = file.read().decode("utf-8", errors="replace")
            self.memory.read = file.tell()
        for message in _SAID.findall(text):
            if trouble := _TROUBLE.match(message):
                self._told(trouble[1], trouble[2])
            elif " bias: " in message:
                if message in self.memory.flips:
                    self._broken(ONCE, message)
                self.memory.flips.add(message)
        for entered, entry, exit_, exited in _FILLED.findall(text):
            name = f"{entry or exit_} of trade {entered or exited}"
            self.memory.fills[name] += 1
            if self.memory.fills[name] > self._filled(int(entered or exited), bool(entry)):
                self._broken(ONCE, name)

    def _filled(self, trade: int, entry: bool) -> int:
        """Return the number of filled entry orders of a trade, or of its filled exit orders."""
        orders = [order for order in self.stored if order.ft_trade_id == trade and order.filled]
        first = orders[0].side if orders else ""
        return sum((order.side == first) is entry for order in orders)

    def _told(self, pair: str, message: str) -> None:
        # The candle's time in the text changes with every candle and is ignored.
        told = re.sub(r"\d", "", message)
        if self.memory.told.get(pair) == told:
            self._broken(ONCE, f"{pair} {message}")
        self.memory.told[pair] = told

    # Positions.

    def _pair(self, pair: str) -> None:
        symbol = self._symbol(pair)
        held = self.account.position(symbol).amount
        trades = [trade for trade in self.trades if trade.pair == pair]
        self._one_position(pair, symbol, trades)
        waits = [order for trade in trades for order in trade.open_orders]
        late = [order for order in waits if self._is_late(order)]
        booked = sum((_signed(trade) for trade in trades), ZERO)
        differ = booked != held and (not waits or bool(late))
        if self._lasts(pair, AGREE, differ):
            self._differs(pair, symbol, held, booked, trades)
        if not self.market.is_traded(pair):
            return
        stops = [algo for algo in self.account.open_algos(symbol) if _closes(algo, held)]
        covered = sum((algo.request.quantity for algo in stops), ZERO)
        entering = [order for order in waits if order.ft_order_side != "stoploss"]
        unprotected = bool(trades) and covered < abs(held) and not entering
        if self._lasts(pair, STOPPED, unprotected):
            self._broken(STOPPED, f"{pair}: stops for {covered:f} of {held:f}")
        left = [algo for algo in self.account.open_algos(symbol) if not held and not trades]
        if self._lasts(pair, LOST_STOP, bool(left)):
            self._left(pair, left)
        self._bias(pair, held, trades)

    def _one_position(self, pair: str, symbol: str, trades: list[Trade]) -> None:
        if len(trades) > 1:
            self._broken(ONE_POSITION, f"{pair}: {len(trades)} open trades")
        orders = self._entered(symbol)
        if self._lasts_at_once(pair, ONE_POSITION, len(orders) > 1):
            self._broken(ONE_POSITION, f"{pair}: made of {len(orders)} entries")

    def _lasts_at_once(self, pair: str, what: str, wrong: bool) -> bool:
        """Return whether something has just become wrong."""
        before = self.memory.pending.pop((pair, what), 0)
        if wrong:
            self.memory.pending[pair, what] = 1
        return wrong and not before

    def _entered(self, symbol: str) -> set[int]:
        """Return the entry orders of a position."""
        amount, orders = ZERO, set[int]()
        for fill in self.account.fills:
            request = fill.order.request
            if request.symbol != symbol:
                continue
            before, amount = amount, amount + fill.quantity * request.direction
            if not amount:
                orders.clear()
            elif abs(amount) > abs(before) or amount * before < 0:
                orders.add(fill.order.id)
        return orders

    def _is_late(self, order: StoredOrder) -> bool:
        """Return whether an order is open for longer than freqtrade's timeout plus one look."""
        minutes = (self.now - order.order_date_utc.timestamp()) / 60
        return bool(minutes > UNFILLED_MINUTES + LOOK_MINUTES)

    def _differs(
        self, pair: str, symbol: str, held: Decimal, booked: Decimal, trades: list[Trade]
    ) -> None:
        what = f"{pair}: {held:f} at the exchange, {booked:f} in the database"
        strangers = list(self._strangers(symbol))
        entered = self._entered(symbol)
        begun = min((trade.open_date_utc.timestamp() for trade in trades), default=self.now)
        if not trades and any(order.id in entered for order in strangers):
            self._known(LOST_ENTRY, what)
            close_by_hand(self.account, symbol, int(self.now * 1000))
        elif any(order.time >= begun * 1000 and _reduces(order, booked) for order in strangers):
            self._known(VANISHED, what)
            self._reload(pair, symbol, trades)
        else:
            self._broken(AGREE, what)

    def _strangers(self, symbol: str) -> Iterator[Order]:
        """Yield the filled orders that the bot does not know."""
        stops = {algo.order.id: algo.id for algo in self.account.algos if algo.order}
        for order in self.account.orders:
            known = {str(order.id), str(stops.get(order.id, ""))} & self.known_ids
            if order.request.symbol == symbol and order.executed and not known:
                yield order

    def _reload(self, pair: str, symbol: str, trades: list[Trade]) -> None:
        """Send ``/reload_trade``, as a trader would."""
        for trade in trades:
            self.worker.freqtrade.handle_onexchange_order(trade)
        Trade.commit()
        if not self.market.is_traded(pair):
            self._delete(pair)
        left = sum((_signed(t) for t in Trade.get_open_trades() if t.pair == pair), ZERO)
        held = self.account.position(symbol).amount
        if left != held:
            self._broken(AGREE, f"{pair}: reloaded, {held:f} at the exchange, {left:f} known")

    def _delete(self, pair: str) -> None:
        """Send ``/delete``, as a trader would if the exchange has nothing left of a trade."""
        for trade in Trade.get_open_trades():
            if trade.pair == pair:
                self._known(DELISTED, str(trade))
                trade.delete()
        Trade.commit()

    def _left(self, pair: str, left: list[AlgoOrder]) -> None:
        for algo in left:
            what = f"{pair}: a stop for {algo.request.quantity:f} without a position"
            if str(algo.id) in self.known_ids:
                self._broken(STOPPED, what)
            else:
                self._known(LOST_STOP, what)
            self.account.cancel_algo(algo, int(self.now * 1000))

    def _bias(self, pair: str, held: Decimal, trades: list[Trade]) -> None:
        table = self.market.tables(pair).shown if trades else pd.DataFrame()
        bias = int(table["bias"].iloc[-1]) if len(table) else 0
        wrong = [trade for trade in trades if bias != SIDES[trade.trade_direction]]
        if not self.market.is_traded(SPOTS[pair][0]):
            # A restarted bot has no earlier candle: it waits as it does for a stale price.
            opened = self.now - MAX_STALE_CANDLES * HOUR_MS / 1000
            wrong = [trade for trade in wrong if trade.open_date_utc.timestamp() < opened]
        ends = bool(wrong) and bool(held) and all(trade.has_open_position for trade in wrong)
        if self._lasts(pair, ENDED, ends):
            what = f"{pair}: {wrong[0]} with bias {bias}"
            if self._was_disordered():
                self._known(DISORDER, what)
                self.memory.pending[pair, ENDED] = 0
            else:
                self._broken(ENDED, what)

    def _was_disordered(self) -> bool:
        """Return whether candles came repeated or misplaced in this candle or the two before."""
        times = [int(self.now * 1000) - hours * HOUR_MS for hours in range(3)]
        faults = [fault for fault in self.schedule.faults if isinstance(fault, DISORDERED)]
        return any(fault.lasts(time) for fault in faults for time in times)

    # Signals.

    def _signals(self, pair: str) -> None:
        if not self.market.is_traded(pair):
            return
        spot, _ = SPOTS[pair]
        wanted = self.market.tables(pair).shown
        found, _ = self.worker.freqtrade.dataprovider.get_analyzed_dataframe(pair, "1h")
        wanted, found = wanted.tail(LAST_ROWS), found.tail(LAST_ROWS)
        if wanted["date"].tolist() != found["date"].tolist():
            self._broken(SAME_SIGNALS, f"{pair}: other candles, to {found['date'].max()}")
            return
        if not self.market.is_traded(spot):
            # A bot knows no spot pair then; a backtest has all of its candles.
            wanted = wanted.assign(**dict.fromkeys(SIGNALS, 0))
        names = (*COLUMNS, *SIGNALS) if self.market.is_traded(spot) else SIGNALS
        for name in names:
            ours, theirs = (frame[name].to_numpy(float) for frame in (found, wanted))
            if not np.allclose(ours, theirs, rtol=1e-9, atol=1e-9, equal_nan=True):
                self._broken(SAME_SIGNALS, f"{pair}: {name} {ours} instead of {theirs}")
                return


def _signed(trade: Trade) -> Decimal:
    amount = Decimal(str(trade.amount))
    return -amount if trade.is_short else amount


def _reduces(order: Order, amount: Decimal) -> bool:
    return bool(order.request.direction * amount < 0)


def _closes(algo: AlgoOrder, amount: Decimal) -> bool:
    return algo.request.direction * amount < 0
