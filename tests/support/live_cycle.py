"""A life of a bot that trades for real at the replay exchange, with dummy keys, step by step."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from perp_imbalance.replay import ServedRequest
from perp_imbalance.replay.query import RequestError
from perp_imbalance.replay.testing import (
    Account,
    AccountReplay,
    AccountTerms,
    Credentials,
    running_test_replay,
)
from perp_imbalance.replay.testing.records import FUNDING_FEE
from support.freqtrade import SAMPLE_PAIRS
from support.live_bot import FastClock, LiveBot

BTC, ETH, PEPE = SAMPLE_PAIRS
SYMBOLS = {BTC: "BTCUSDT", ETH: "ETHUSDT", PEPE: "1000PEPEUSDT"}
START = datetime(2025, 8, 5, 2, 2, tzinfo=UTC)
# In the days after it the real strategy closes some positions in two parts.
STRATEGY_START = datetime(2025, 8, 18, 2, 2, tzinfo=UTC)
SPEED = 900
WALLET = Decimal(1000)
KEYS = {"key": "dummy-key", "secret": "dummy-secret"}
SHARE = 0.4
# How long a part of an entry waits for its rest: long enough to be seen.
UNFILLED_MINUTES = 40
# Half of the last digit of an amount of money.
NEXT_TO_NOTHING = 5e-9
REFUSALS = {-2019: "Margin is insufficient.", -2010: "Order would be rejected for this test."}
# How many more times a bot has gone through its trades until it is taken to leave them as they are.
LOOKS = 4
# Two of these bots run beside a third: they must leave each other time.
LOOK_SECONDS = 300
CANDLES = 12
# How many more candles than it should take.
PATIENCE_CANDLES = 24


class BotState(NamedTuple):
    """What exchange and database had at one moment."""

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
    """A whole life: what was seen after each step, and at its end."""

    steps: dict[str, BotState]
    account: Account
    requests: list[ServedRequest]
    log: str


class Trader:
    """A bot with a strategy that does as it is told, and the exchange that it trades at."""

    def __init__(self, bot: LiveBot, replay: AccountReplay) -> None:
        self.bot, self.replay, self.account = bot, replay, replay.account
        self.wants: dict[str, dict[str, Any]] = {}
        self.steps: dict[str, BotState] = {}
        self.process: Any = None

    def want(self, pair: str, **what: Any) -> None:
        self.wants[pair] = what
        # The bot may be reading it.
        path = self.bot.folder / "plan.json"
        new = path.with_suffix(".new")
        new.write_text(json.dumps(self.wants), encoding="utf-8")
        new.replace(path)

    def wait_for_a_calm_price(self) -> None:
        """Wait for a time that is far from the next candle, which brings another price."""
        self.wait(lambda: 3 <= self.bot.clock() // 60_000 % 60 <= 15)

    def wait(self, until: Callable[[], bool]) -> None:
        self.bot.wait(self.process, until, CANDLES)

    def held(self, pair: str) -> Decimal:
        return self.account.position(SYMBOLS[pair]).amount

    def stops(self, pair: str) -> list[Decimal]:
        return [algo.request.quantity for algo in self.account.open_algos(SYMBOLS[pair])]

    def protected(self, pair: str) -> bool:
        """Tell whether there is a position, a trade and a stop, all of the same size."""
        amount = abs(self.held(pair))
        if not amount or self.stops(pair) != [amount]:
            return False
        trades = self.bot.trades()
        trade = trades[(trades["pair"] == pair) & (trades["is_open"] == 1)]
        return bool(trade["amount"].sum() == float(amount))

    def closed(self, pair: str) -> bool:
        trades = self.bot.trades()
        trades = trades[trades["pair"] == pair]
        over = len(trades) > 0 and not trades["is_open"].any()
        return over and not self.held(pair) and not self.stops(pair)

    def wait_for_looks(self) -> None:
        begun = self.looks()
        self.wait(lambda: self.looks() >= begun + LOOKS)

    def settled(self, pair: str) -> bool:
        """Tell whether both sides have the same of a pair, and a stop for all of it."""
        trades = self.bot.trades()
        known = trades.loc[(trades["pair"] == pair) & (trades["is_open"] == 1), "amount"].sum()
        amount = abs(self.held(pair))
        return bool(known == float(amount)) and sum(self.stops(pair), Decimal(0)) >= amount

    def knows(self, pair: str) -> bool:
        """Tell whether there is a trade of a pair."""
        return bool(self.bot.trades()["pair"].eq(pair).any())

    def knows_funding(self, pair: str) -> bool:
        """Tell whether there was a funding fee, and the bot has it in its database."""
        trades = self.bot.trades()
        paid = funding(self.account, pair)
        known = trades.loc[trades["pair"] == pair, "funding_fees"].iloc[-1]
        return bool(paid) and abs(float(paid) - known) < NEXT_TO_NOTHING

    def looks(self) -> int:
        """Return how often the bot has gone through its trades, about."""
        return self.bot.log.read_text("utf-8").count("Bot heartbeat")

    def said(self, words: str) -> bool:
        return words in " ".join(self.bot.log.read_text("utf-8").split())

    def note(self, step: str) -> None:
        """Keep what both sides have now."""
        self.steps[step] = BotState(
            {pair: self.held(pair) for pair in SAMPLE_PAIRS},
            {pair: sum(self.stops(pair), Decimal(0)) for pair in SAMPLE_PAIRS},
            [(o.request.symbol, o.request.side, o.status) for o in self.account.orders],
            self.account.wallet,
            self.bot.trades(),
            self.bot.orders(),
        )


@contextmanager
def trading(
    datadir: Path,
    folder: Path,
    strategy: str,
    overlay: dict[str, Any],
    default_type: str,
    start: datetime = START,
) -> Iterator[Trader]:
    """Make a bot with dummy keys and an exchange with an account for them."""
    clock = FastClock(start, SPEED)
    terms = AccountTerms(WALLET, Credentials(**KEYS, speed=SPEED))
    options = {"options": {"defaultType": default_type}}
    exchange = {"exchange": {**KEYS, "ccxt_config": options}}
    with running_test_replay(datadir, clock=clock, account=terms) as replay:
        settings = {"pairs": SAMPLE_PAIRS, "dry_run": False, **exchange, **overlay}
        yield Trader(LiveBot(folder, clock, replay, settings, strategy), replay)


def live_cycle(datadir: Path, folder: Path, default_type: str) -> Cycle:
    """Live through entry, partial fill, rejection, restart, stop, funding and exit."""
    overlay = {
        "internals": {"process_throttle_secs": LOOK_SECONDS},
        "unfilledtimeout": {"entry": UNFILLED_MINUTES},
    }
    with trading(datadir, folder, "OnDemand", overlay, default_type) as trader:
        trader.want(BTC, want="long")
        with trader.bot.running() as trader.process:
            first_run(trader)
        with trader.bot.running() as trader.process:
            second_run(trader)
        log = trader.bot.log.read_text("utf-8")
        return Cycle(trader.steps, trader.account, trader.replay.requests, log)


def first_run(trader: Trader) -> None:
    """Enter three pairs: at once, in part, and after two refusals."""
    trader.wait(lambda: trader.protected(BTC))
    trader.note("entry")
    trader.wait_for_a_calm_price()
    trader.account.split_next_entry(SHARE)
    trader.want(ETH, want="short")
    trader.wait(lambda: bool(trader.held(ETH)) and trader.knows(ETH))
    trader.note("part")
    trader.wait(lambda: trader.protected(ETH))
    trader.note("rest cancelled")
    for code, words in REFUSALS.items():
        trader.account.refusal = RequestError(code, words)
        trader.want(PEPE, want="long")
        trader.wait(partial(trader.said, words))
    trader.wait_for_looks()
    trader.note("refused")
    trader.account.refusal = None
    trader.wait(lambda: trader.protected(PEPE))
    trader.note("entry after refusals")


def second_run(trader: Trader) -> None:
    """Find three positions, see their funding, lose one to its stop and close the others."""
    trader.wait_for_looks()
    trader.note("restart")
    trader.wait(lambda: all(trader.knows_funding(pair) for pair in SAMPLE_PAIRS))
    trader.note("funding")
    trader.wait_for_a_calm_price()
    trader.want(PEPE, stop=0.001)
    trader.wait(lambda: trader.closed(PEPE))
    trader.note("stop")
    for pair in (BTC, ETH):
        trader.want(pair, want="exit")
    trader.wait(lambda: trader.closed(BTC) and trader.closed(ETH))
    trader.wait_for_looks()
    trader.note("exit")


def live_with(strategy: str, datadir: Path, folder: Path, candles: int) -> Cycle:
    """Let the real strategy trade until a trade of its own is over, and for some candles at least.

    Half of each position is closed on the way out.
    """
    settings = {"max_entry_drift": 1.0, "scale_out": 0.5}
    overlay = {"perp_imbalance": settings, "enable_protections": False}
    with trading(datadir, folder, strategy, overlay, "future", STRATEGY_START) as trader:
        with trader.bot.running() as trader.process:
            wanted = candles * len(SAMPLE_PAIRS)

            def traded() -> bool:
                if len(trader.bot.recorded()) < wanted:
                    return False
                return bool(trader.bot.trades()["is_open"].eq(0).any())

            trader.bot.wait(trader.process, traded, candles + PATIENCE_CANDLES)
            trader.wait(lambda: all(trader.settled(pair) for pair in SAMPLE_PAIRS))
            trader.note("end")
        log = trader.bot.log.read_text("utf-8")
        return Cycle(trader.steps, trader.account, trader.replay.requests, log)


def money(cycle: Cycle, trade: Any, orders: pd.DataFrame) -> Decimal:
    """Return what a trade of the database has changed in the wallet of the exchange."""
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
    """Return the funding fees of a perp in a span of time, in ms."""
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
