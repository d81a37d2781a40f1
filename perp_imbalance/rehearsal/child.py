"""The process of a rehearsed bot, started by :mod:`.run` with two files: plan and looks.

It runs freqtrade's own ``trade`` command with its real worker, bot, ccxt over HTTP, strategy and
database. The replay exchange runs in a thread of the same process, so both read one clock. Only the
names in :func:`perp_imbalance.freqtrade_bridge.internals.running_bot` are replaced.
"""

import asyncio
import random
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

from ccxt import RequestTimeout
from freqtrade.enums import State
from freqtrade.exchange import timeframe_to_seconds

from perp_imbalance.errors import PerpImbalanceError
from perp_imbalance.freqtrade_bridge.config import config_file
from perp_imbalance.freqtrade_bridge.internals import RunningBot, running_bot
from perp_imbalance.freqtrade_bridge.process import freqtrade_main
from perp_imbalance.rehearsal.clock import SteppedClock, next_look
from perp_imbalance.rehearsal.plan import STOPPED, Plan
from perp_imbalance.rehearsal.shortcuts import MARKETS_MINUTES, take_shortcuts
from perp_imbalance.rehearsal.stage import Stage, stage_of
from perp_imbalance.replay import local_config
from perp_imbalance.replay.overlay import ANSWER_HEADER, STEPPED_HEADER
from perp_imbalance.replay.server import system_clock

#: ccxt's patience in ms of real time: an answer comes from this process, however busy the machine
#: is. Its patience on the bot's clock is the config's ``ccxt_config.timeout``.
PATIENCE_MS = 600_000
DEFAULT_PATIENCE_MS = 10_000
#: The least that a pause takes in seconds, as nothing else moves the clock.
SHORTEST_PAUSE = 1.0
LOG_FORMAT = "%(asctime)s - %(name)s - %(levelname)s - %(message)s"
# Of the config's section on the exchange, how long freqtrade waits for a late candle.
_LATENESS = ("ohlcv_late_candle_grace_secs", "ohlcv_max_poll_interval_secs")


def rehearse(plan: Plan, looks: BinaryIO) -> None:
    """Run the bot of a plan to its end, and exit this process with its code.

    :param looks: stream that receives a byte for each iteration of the bot
    :raises BridgeError: if this version of freqtrade lacks a replaced name
    :raises DataError: if the folder has no candles
    """
    bot, stage = running_bot(), stage_of(plan)
    with (
        SteppedClock(plan.start) as clock,
        stage.exchange() as replay,
        config_file(stage.config(rehearsal_config(plan, replay.url))) as file,
    ):
        step_clock(bot, clock, plan, stage, looks)
        fix_chance(bot, plan)
        take_time_for_answers(bot, clock, plan)
        if plan.shortcuts:
            take_shortcuts(bot, replay.store, system_clock)
        try:
            freqtrade_main(["trade", "-c", str(file), "--db-url", plan.db_url])
        finally:
            stage.ended()


def rehearsal_config(plan: Plan, url: str) -> dict[str, Any]:
    """Return the config of a bot that uses only a replay exchange and logs to a file."""
    config = local_config(plan.config, url)
    own = plan.config.get("exchange", {}).get("_ft_has_params", {})
    exchange = config["exchange"]
    exchange["_ft_has_params"] |= {name: own[name] for name in _LATENESS if name in own}
    exchange["ccxt_config"] |= {"timeout": PATIENCE_MS, "headers": {STEPPED_HEADER: "1"}}
    if plan.shortcuts:
        exchange["markets_refresh_interval"] = MARKETS_MINUTES
    config["initial_state"] = "running"
    # Of the bot that trades: its log, and the service that watches it.
    config["logfile"] = ""
    config.get("internals", {}).pop("sd_notify", None)
    config["log_config"] = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"plain": {"format": LOG_FORMAT}},
        "handlers": {
            "log": {
                "class": "logging.FileHandler",
                "formatter": "plain",
                "filename": str(plan.log.absolute()),
                "encoding": "utf-8",
            }
        },
        "root": {"handlers": ["log"], "level": "INFO"},
    }
    return config


def step_clock(
    bot: RunningBot, clock: SteppedClock, plan: Plan, stage: Stage, looks: BinaryIO
) -> None:
    """Move the clock when the bot waits, and end the bot at the plan's end."""

    def pause(worker: Any, seconds: float) -> None:
        looks.write(b".")
        stage.looked(worker, clock.now())
        if worker.freqtrade.state == State.STOPPED:
            sys.exit(STOPPED)
        now = clock.now()
        wake = now + max(seconds, SHORTEST_PAUSE)
        if plan.looks is not None:
            timeframe = worker.freqtrade.config["timeframe"]
            candle = timeframe_to_seconds(timeframe)
            if plan.looks[-1] >= candle:
                sys.exit(f"a look {plan.looks[-1]:g} s after the opening is not inside {timeframe}")
            wake = next_look(now, candle, plan.looks)
        if wake > plan.end.timestamp():
            sys.exit(0)
        clock.move_to(wake)

    bot.worker._sleep = pause
    bot.backoff.asyncio = SimpleNamespace(sleep=clock.sleep_async)


def fix_chance(bot: RunningBot, plan: Plan) -> None:
    """Remove differences between runs: the order of requests, and random ids."""
    chance = random.Random(f"{plan.seed} {plan.start.isoformat()}")
    random.seed(chance.random())
    bot.exchange.uuid4 = lambda: uuid.UUID(int=chance.getrandbits(128), version=4)
    fetch: Callable[..., Any] = bot.client.fetch

    async def fetch_alone(client: Any, *arguments: Any, **options: Any) -> Any:
        turn = vars(client).setdefault("rehearsal_turn", asyncio.Lock())
        sent = time.time()
        async with turn:
            client.rehearsal_sent = sent
            return await fetch(client, *arguments, **options)

    bot.client.fetch = fetch_alone


def take_time_for_answers(bot: RunningBot, clock: SteppedClock, plan: Plan) -> None:
    """Move the clock by the delay of each answer; raise ccxt's timeout error for a long delay.

    Requests that the bot sends at the same time share their delay, although they run one by one.
    """
    options = plan.config.get("exchange", {}).get("ccxt_config", {})
    patience = options.get("timeout", DEFAULT_PATIENCE_MS) / 1000
    receive: Callable[..., Any] = bot.receiver.on_rest_response

    def receive_late(
        client: Any, code: int, reason: str, url: str, method: str, headers: Any, *rest: Any
    ) -> Any:
        if ANSWER_HEADER in headers:
            seconds = float(headers[ANSWER_HEADER])
            sent = getattr(client, "rehearsal_sent", clock.now())
            clock.move_to(max(clock.now(), sent + min(seconds, patience)))
            if seconds >= patience:
                # As ccxt does when its own patience ends.
                raise RequestTimeout(f"{client.id} {method} {url}")
        return receive(client, code, reason, url, method, headers, *rest)

    bot.receiver.on_rest_response = receive_late


def main() -> None:
    """Rehearse the plan in the first file that the command line names."""
    try:
        with Path(sys.argv[2]).open("wb", buffering=0) as looks:
            rehearse(Plan.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), looks)
    except PerpImbalanceError as error:
        sys.exit(str(error))
