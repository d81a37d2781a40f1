"""A rehearsal stage with random faults, which checks invariants after every look of the bot."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from ccxt.async_support.base.exchange import Exchange as AsyncClient
from ccxt.base.exchange import Exchange as Client
from freqtrade.data.converter import converter
from freqtrade.exchange import exchange as exchange_module
from freqtrade.worker import Worker
from pandas import DataFrame
from sqlalchemy import event
from sqlalchemy.engine import Engine

from perp_imbalance.freqtrade_bridge.internals import deep_merge_dicts
from perp_imbalance.rehearsal.plan import Plan
from perp_imbalance.rehearsal.shortcuts import leave_to_system, skip_cleaning
from perp_imbalance.rehearsal.stage import Stage
from perp_imbalance.replay.overlay import account_config
from perp_imbalance.replay.query import RequestError
from perp_imbalance.replay.server import system_clock
from perp_imbalance.replay.testing import (
    Account,
    AccountReplay,
    AccountTerms,
    ClockSkew,
    LostAnswers,
    ReorderedCandles,
    RepeatedCandles,
    running_test_replay,
)
from perp_imbalance.replay.testing.faults import HttpFault
from perp_imbalance.replay.testing.forced import close_by_hand, deleverage, liquidate
from support.chaos.invariants import Invariants
from support.chaos.market import MarketNow
from support.chaos.memory import Memory, load, save
from support.chaos.schedule import Event, draw_schedule, kind_of

#: Exit code of a process whose bot is to be restarted.
RESTART, KILLED = 75, 76
STATE = "state.pickle"
WALLET = Decimal(1000)
NEVER = float("inf")
# Faults that last and do not suppress responses; lost responses are counted separately.
HARMLESS = (RepeatedCandles, ReorderedCandles, LostAnswers)


def skip_sorted(clean: Callable[..., DataFrame]) -> Callable[..., DataFrame]:
    """Return freqtrade's cleaning of candles, which is skipped for candles that are in order."""

    def clean_sorted(dataframe: DataFrame, *arguments: Any, **options: Any) -> DataFrame:
        in_order = dataframe.sort_values("date", kind="stable", ignore_index=True)
        return clean(in_order, *arguments, **options)

    return clean_sorted


class ChaosStage(Stage):
    """Serves the exchange of a seed, applies its events, and checks the invariants.

    ``Plan.options`` has the ``seed``.
    """

    replay: AccountReplay
    memory: Memory
    invariants: Invariants

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.schedule = draw_schedule(plan.options["seed"])
        self._kill: Event | None = None
        self._requests = 0
        self._begun: float | None = None

    @contextmanager
    def exchange(self) -> Iterator[AccountReplay]:
        """Serve the exchange during the block."""
        # The shortcuts of a rehearsal that are still correct with faults.
        event.listen(Engine, "connect", leave_to_system)
        clean = skip_sorted(skip_cleaning(converter.clean_ohlcv_dataframe))
        converter.clean_ohlcv_dataframe = exchange_module.clean_ohlcv_dataframe = clean
        faults, terms = self.schedule.faults, AccountTerms(WALLET)
        with running_test_replay(self.plan.datadir, account=terms, faults=faults) as self.replay:
            self.memory = load(self.plan.folder / STATE, self.account)
            self.memory.starts += 1
            self.memory.looks_before = self.memory.looks
            market = MarketNow(self.replay.store, faults, system_clock)
            self.invariants = Invariants(
                self.plan, self.schedule, self.memory, self.account, market
            )
            self._watch_requests()
            yield self.replay

    @property
    def account(self) -> Account:
        return self.replay.account

    def config(self, config: dict[str, Any]) -> Mapping[str, Any]:
        """Return the bot's config with the keys of the account."""
        merged: dict[str, Any] = deep_merge_dicts(account_config(), config)
        return merged

    def looked(self, worker: Worker, now: float) -> None:
        """Check the invariants, then apply the events until the next look."""
        begun, self._begun = self._begun or now, None
        self.account.settle(int(now * 1000))
        self.invariants.check(worker, now, self._is_sound(begun, now))
        self.account.refusal = None
        for fault in self.schedule.faults:
            if not isinstance(fault, HttpFault) and fault.lasts(int(now * 1000)):
                self.memory.happened[kind_of(fault)] = 1
        hours = (now - self.schedule.start.timestamp()) / 3600
        for number, happening in enumerate(self.schedule.events):
            if number not in self.memory.done and hours >= happening.at:
                self._happens(number, happening, now)

    def ended(self) -> None:
        """Save the state that the next process needs."""
        save(self.plan.folder / STATE, self.memory, self.account, system_clock() / 1000)

    def _is_sound(self, begun: float, now: float) -> bool:
        """Return whether no fault affected the requests of a look."""
        lost, self.memory.lost = self.memory.lost, 0
        for fault in self.schedule.faults:
            if not isinstance(fault, HttpFault) or isinstance(fault, HARMLESS):
                continue
            start = fault.start.timestamp() if fault.start else 0
            end = fault.end.timestamp() if fault.end else NEVER
            if start <= now and begun < end:
                return False
        return not lost

    def _happens(self, number: int, happening: Event, now: float) -> None:
        """Apply an event, or postpone it to a later look if it is not possible yet."""
        values, time = happening.values, int(now * 1000)
        if happening.kind == "kill":
            self.memory.done.add(number)
            self._kill, self._requests = happening, 0
            return
        if happening.kind == "restart":
            self._done(number, happening)
            sys.exit(RESTART)
        if happening.kind == "partial fill":
            rest = values["rest_after_ms"]
            self.account.split_next_entry(values["share"], NEVER if rest is None else rest)
            self._done(number, happening)
            return
        if happening.kind == "rejected order":
            hours = (now - self.schedule.start.timestamp()) / 3600
            if hours >= happening.at + values["hours"]:
                self._done(number, happening)
                return
            self.account.refusal = RequestError(values["code"], "Rejected by this test.")
            return
        held = [symbol for symbol, at in self.account.positions.items() if at.amount]
        held = [symbol for symbol in held if self.invariants.can_vanish(symbol)]
        if not held:
            return
        share = Decimal(str(values.get("share", 1)))
        if happening.kind == "liquidation":
            liquidate(self.account, held[0], time)
        elif happening.kind == "auto-deleveraging":
            deleverage(self.account, held[0], time, share)
        else:
            close_by_hand(self.account, held[0], time, share)
        self._done(number, happening)

    def _done(self, number: int, happening: Event) -> None:
        self.memory.done.add(number)
        self.memory.happened[happening.kind] += 1

    def _watch_requests(self) -> None:
        """Record which faults a request meets, and kill the bot during a request."""
        fetch_async, fetch = AsyncClient.fetch, Client.fetch

        async def watched_async(client: Any, url: str, method: str = "GET", *rest: Any) -> Any:
            self._asks(url, method)
            answer = await fetch_async(client, url, method, *rest)
            self._was_answered(url, method)
            return answer

        def watched(client: Any, url: str, method: str = "GET", *rest: Any) -> Any:
            self._asks(url, method)
            answer = fetch(client, url, method, *rest)
            self._was_answered(url, method)
            return answer

        AsyncClient.fetch, Client.fetch = watched_async, watched

    def _asks(self, url: str, method: str) -> None:
        now, path = system_clock(), urlsplit(url).path
        self._begun = self._begun or now / 1000
        for fault in self.schedule.faults:
            if isinstance(fault, LostAnswers):
                if fault.hits(path, now) and method == "POST" and fault.is_left:
                    self.memory.lost += 1
                    self.memory.happened[kind_of(fault)] += 1
            elif isinstance(fault, ClockSkew):
                # Signed requests contain a time, in the URL or in the body.
                signed = "signature=" in url or method != "GET"
                self.memory.happened[kind_of(fault)] += signed and fault.lasts(now)
            elif isinstance(fault, HttpFault) and fault.hits(path, now):
                self.memory.happened[kind_of(fault)] += 1
        if self._counts(path, method) and not self._kill_values["answered"]:
            self._die()

    def _was_answered(self, url: str, method: str) -> None:
        if self._kill and self._requests == self._wanted and self._kill_values["answered"]:
            self._die()

    def _counts(self, path: str, method: str) -> bool:
        """Count a request; return whether it is the one during which the bot dies."""
        if not self._kill:
            return False
        order = method == "POST" and path in ("/fapi/v1/order", "/fapi/v1/algoOrder")
        if self._kill_values["on"] == "any" or order:
            self._requests += 1
            return self._requests == self._wanted
        return False

    @property
    def _kill_values(self) -> Mapping[str, Any]:
        assert self._kill
        return self._kill.values

    @property
    def _wanted(self) -> int:
        return 1 if self._kill_values["on"] == "order" else int(self._kill_values["request"])

    def _die(self) -> None:
        self.memory.happened["kill"] += 1
        self.ended()
        os._exit(KILLED)
