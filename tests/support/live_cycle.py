"""Scripted runs of a bot that trades at the replay exchange with an account and dummy keys."""

import json
import pickle
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from freqtrade.worker import Worker

from perp_imbalance.rehearsal import Plan, even_looks, read_table
from perp_imbalance.replay import ServedRequest
from perp_imbalance.replay.query import RequestError
from perp_imbalance.replay.testing import Account, AccountReplay
from perp_imbalance.replay.testing.records import FUNDING_FEE
from support.freqtrade import SAMPLE_PAIRS
from support.rehearsal import live, sample_plan
from support.stages import FaultyStage, faulty, kept_account

BTC, ETH, PEPE = SAMPLE_PAIRS
SYMBOLS = {BTC: "BTCUSDT", ETH: "ETHUSDT", PEPE: "1000PEPEUSDT"}
START = datetime(2025, 8, 5, 2, 2, tzinfo=UTC)
# The first run ends before this time.
RESTART = datetime(2025, 8, 5, 5, 2, tzinfo=UTC)
# In the days after it the real strategy closes some positions in two parts.
STRATEGY_START = datetime(2025, 8, 18, 2, 0, 1, tzinfo=UTC)
WALLET = Decimal(1000)
SHARE = 0.4
# How long a partly filled entry waits for the rest: long enough to be observed.
UNFILLED_MINUTES = 40
# Half of the last digit of an amount of money.
NEXT_TO_NOTHING = 5e-9
REFUSALS = {-2019: "Margin is insufficient.", -2010: "Order would be rejected for this test."}
# Number of further looks after which a bot's trades are considered final.
LOOKS = 4
# Looks in a candle, ten and twenty minutes apart.
CYCLE_LOOKS, STRATEGY_LOOKS = (tuple(even_looks(count, 3600)) for count in (6, 3))
# All events have occurred by this time.
PATIENCE = timedelta(hours=24)
# Text of docs/reliability.md above the tables that a full run publishes.
ABOUT = """\
A bot with `"dry_run": false` and dummy keys; a small strategy that does as it is told. Amounts are
of the perp's coin, negative for a short. Between the first part of an entry and the end of its
order freqtrade knows no amount and places no stop: `unfilledtimeout.entry` is how long a part
stands without one."""
MONEY = """\
What each trade has changed in the wallet, fees and funding included, and what freqtrade takes for
its profit, both in USDT. `OnDemand` is the small strategy; `Recorder` is `PerpImbalance` with
`scale_out` 0.5, which also writes down what it computes. The funding of a position that its stop at
the exchange has closed is missing in freqtrade's database."""


class BotState(NamedTuple):
    """The state of exchange and database at one time."""

    positions: dict[str, Decimal]
    stops: dict[str, Decimal]
    orders: list[tuple[str, str, str]]
    wallet: Decimal
    trades: pd.DataFrame
    booked: pd.DataFrame

    def trade(self, pair: str) -> pd.Series:
        """Return the newest trade of a pair."""
        return self.trades[self.trades["pair"] == pair].iloc[-1]


class Cycle(NamedTuple):
    """The states after each step of all runs, and at the end."""

    steps: dict[str, BotState]
    account: Account
    requests: list[ServedRequest]
    log: str


#: The condition to wait for after each look, until a run is over.
Script = Iterator[Callable[[], bool]]


class Trader:
    """Both sides of a trading bot: its database, and its account at the exchange.

    It runs in the bot's process and is read after each of the bot's looks.
    """

    def __init__(self, plan: Plan, replay: AccountReplay) -> None:
        self.plan, self.replay, self.account = plan, replay, replay.account
        self.steps: dict[str, BotState] = {}
        self.looks, self.now = 0, 0.0

    def want(self, pair: str, **what: Any) -> None:
        """Tell ``OnDemand`` what to do; a restarted bot reads it again."""
        path = self.plan.folder / "plan.json"
        wants = json.loads(path.read_text("utf-8")) if path.exists() else {}
        path.write_text(json.dumps({**wants, pair: what}), encoding="utf-8")

    def trades(self) -> pd.DataFrame:
        return read_table(self.plan.database, "trades")

    def price_is_calm(self) -> bool:
        """Return whether the next candle, which changes the price, is far away."""
        return 3 <= self.now // 60 % 60 <= 15

    def held(self, pair: str) -> Decimal:
        return self.account.position(SYMBOLS[pair]).amount

    def stops(self, pair: str) -> list[Decimal]:
        return [algo.request.quantity for algo in self.account.open_algos(SYMBOLS[pair])]

    def protected(self, pair: str) -> bool:
        """Return whether position, trade and stop exist and have the same size."""
        amount = abs(self.held(pair))
        if not amount or self.stops(pair) != [amount]:
            return False
        trades = self.trades()
        trade = trades[(trades["pair"] == pair) & (trades["is_open"] == 1)]
        return bool(trade["amount"].sum() == float(amount))

    def closed(self, pair: str) -> bool:
        trades = self.trades()
        trades = trades[trades["pair"] == pair]
        over = len(trades) > 0 and not trades["is_open"].any()
        return over and not self.held(pair) and not self.stops(pair)

    def more_looks(self) -> Callable[[], bool]:
        """Return a condition that holds a number of looks later."""
        end = self.looks + LOOKS
        return lambda: self.looks >= end

    def settled(self, pair: str) -> bool:
        """Return whether both sides agree on a pair, and a stop covers all of its position."""
        trades = self.trades()
        known = trades.loc[(trades["pair"] == pair) & (trades["is_open"] == 1), "amount"].sum()
        amount = abs(self.held(pair))
        return bool(known == float(amount)) and sum(self.stops(pair), Decimal(0)) >= amount

    def knows(self, pair: str) -> bool:
        """Return whether the database has a trade of a pair."""
        return bool(self.trades()["pair"].eq(pair).any())

    def knows_funding(self, pair: str) -> bool:
        """Return whether a funding fee was paid and is in the bot's database."""
        trades = self.trades()
        paid = funding(self.account, pair)
        known = trades.loc[trades["pair"] == pair, "funding_fees"].iloc[-1]
        return bool(paid) and abs(float(paid) - known) < NEXT_TO_NOTHING

    def said(self, words: str) -> bool:
        return words in self.plan.log.read_text("utf-8")

    def note(self, step: str) -> None:
        """Record the state of both sides."""
        self.steps[step] = BotState(
            {pair: self.held(pair) for pair in SAMPLE_PAIRS},
            {pair: sum(self.stops(pair), Decimal(0)) for pair in SAMPLE_PAIRS},
            [(o.request.symbol, o.request.side, o.status) for o in self.account.orders],
            self.account.wallet,
            self.trades(),
            read_table(self.plan.database, "orders"),
        )


class ScriptedStage(FaultyStage):
    """Runs a script in the bot's process, and ends the bot when the script ends."""

    trader: Trader
    script: Script

    @contextmanager
    def exchange(self) -> Iterator[AccountReplay]:
        """Serve the exchange, and start the script."""
        with super().exchange() as replay:
            self.trader = Trader(self.plan, replay)
            self.script = SCRIPTS[self.plan.options["script"]](self.trader)
            self.waited_for = next(self.script)
            yield replay

    def config(self, config: dict[str, Any]) -> Mapping[str, Any]:
        """Return the bot's config."""
        options = config["exchange"]["ccxt_config"]["options"]
        options["defaultType"] = self.plan.options["default_type"]
        return super().config(config)

    def looked(self, worker: Worker, now: float) -> None:
        """Continue the script while its conditions hold."""
        self.trader.looks += 1
        self.trader.now = now
        while self.waited_for():
            following = next(self.script, None)
            if following is None:
                sys.exit(0)
            self.waited_for = following

    def ended(self) -> None:
        """Save the recorded states and requests."""
        seen = self.trader.steps, self.trader.replay.requests
        notes_of(self.plan).write_bytes(pickle.dumps(seen))


def notes_of(plan: Plan) -> Path:
    """Return the file with a run's recorded states."""
    return plan.folder / f"{plan.options['script']}.pickle"


def cycle_of(plans: Sequence[Plan]) -> Cycle:
    """Run the bot of each plan, and return the recorded states."""
    steps: dict[str, BotState] = {}
    requests: list[ServedRequest] = []
    for plan in plans:
        live(plan)
        seen, asked = pickle.loads(notes_of(plan).read_bytes())
        steps |= seen
        requests += asked
    log = plans[-1].log.read_text("utf-8")
    return Cycle(steps, kept_account(plans[-1].folder), requests, log)


def live_cycle(datadir: Path, folder: Path, default_type: str) -> Cycle:
    """Run entry, partial fill, rejection, restart, stop, funding and exit."""

    def plan(script: str, start: datetime, end: datetime) -> Plan:
        return sample_plan(
            *(datadir, folder, start, end),
            settings={"unfilledtimeout": {"entry": UNFILLED_MINUTES}},
            strategy="OnDemand",
            looks=CYCLE_LOOKS,
            shortcuts=False,
            stage="support.live_cycle:ScriptedStage",
            options=faulty(wallet=int(WALLET)) | {"script": script, "default_type": default_type},
        )

    runs = plan("first run", START, RESTART), plan("second run", RESTART, RESTART + PATIENCE)
    return cycle_of(runs)


def first_run(trader: Trader) -> Script:
    """Enter three pairs: at once, in part, and after two refusals."""
    trader.want(BTC, want="long")
    yield lambda: trader.protected(BTC)
    trader.note("entry")
    yield trader.price_is_calm
    trader.account.split_next_entry(SHARE)
    trader.want(ETH, want="short")
    yield lambda: bool(trader.held(ETH)) and trader.knows(ETH)
    trader.note("part")
    yield lambda: trader.protected(ETH)
    trader.note("rest cancelled")
    for code, words in REFUSALS.items():
        trader.account.refusal = RequestError(code, words)
        trader.want(PEPE, want="long")
        yield partial(trader.said, words)
    yield trader.more_looks()
    trader.note("refused")
    trader.account.refusal = None
    yield lambda: trader.protected(PEPE)
    trader.note("entry after refusals")


def second_run(trader: Trader) -> Script:
    """Find three positions, get their funding, lose one to its stop and close the others."""
    yield trader.more_looks()
    trader.note("restart")
    yield lambda: all(trader.knows_funding(pair) for pair in SAMPLE_PAIRS)
    trader.note("funding")
    yield trader.price_is_calm
    trader.want(PEPE, stop=0.001)
    yield lambda: trader.closed(PEPE)
    trader.note("stop")
    for pair in (BTC, ETH):
        trader.want(pair, want="exit")
    yield lambda: trader.closed(BTC) and trader.closed(ETH)
    yield trader.more_looks()
    trader.note("exit")


def live_with(strategy: str, datadir: Path, folder: Path, candles: int) -> Cycle:
    """Let the real strategy trade for a number of candles, and on until both sides agree.

    Half of each position is closed before the exit.
    """
    settings = {"max_entry_drift": 1.0, "scale_out": 0.5}
    end = STRATEGY_START + timedelta(hours=candles)
    plan = sample_plan(
        *(datadir, folder, STRATEGY_START, end + PATIENCE),
        settings={"perp_imbalance": settings, "enable_protections": False},
        strategy=strategy,
        looks=STRATEGY_LOOKS,
        stage="support.live_cycle:ScriptedStage",
        options=faulty(wallet=int(WALLET))
        | {"script": "strategy", "default_type": "future", "until": end.timestamp()},
    )
    return cycle_of([plan])


def strategy_run(trader: Trader) -> Script:
    """Wait for the end of a time span, then until no order is open."""
    yield lambda: trader.now >= trader.plan.options["until"]
    yield lambda: all(trader.settled(pair) for pair in SAMPLE_PAIRS)
    trader.note("end")


SCRIPTS: dict[str, Callable[[Trader], Script]] = {
    "first run": first_run,
    "second run": second_run,
    "strategy": strategy_run,
}


def money(cycle: Cycle, trade: Any, orders: pd.DataFrame) -> Decimal:
    """Return the change of the exchange's wallet due to a trade of the database."""
    account = cycle.account
    placed = {str(algo.id): algo.order.id for algo in account.algos if algo.order}
    named = orders.loc[orders["ft_trade_id"] == trade.id, "order_id"]
    ids = {placed.get(name, int(name)) for name in named}
    fills = {fill.id: fill.time for fill in account.fills if fill.order.id in ids}
    begin, end = min(fills.values()), max(fills.values())
    incomes = [income for income in account.incomes if income.symbol == SYMBOLS[trade.pair]]
    booked = [income.amount for income in incomes if income.trade in fills]
    return sum(booked, funding(account, trade.pair, begin, end))


def funding(account: Account, pair: str, begin: int = 0, end: int | None = None) -> Decimal:
    """Return the funding fees of a perp in a time span, in ms."""
    return sum(
        (
            income.amount
            for income in list(account.incomes)
            if income.type == FUNDING_FEE
            and income.symbol == SYMBOLS[pair]
            and begin <= income.time
            and (end is None or income.time <= end)
        ),
        Decimal(0),
    )
