"""A replay exchange in a thread of its own."""

import asyncio
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from perp_imbalance.errors import CommandError
from perp_imbalance.replay.account import Account, AccountTerms
from perp_imbalance.replay.candles import CandleStore
from perp_imbalance.replay.config import HOST
from perp_imbalance.replay.faults import Fault, FaultyStore, http_faults
from perp_imbalance.replay.server import Clock, ReplayExchange, ServedRequest, system_clock

# A client that keeps reading must not hold up the end of a command.
SHUTDOWN_SECONDS = 1.0


@dataclass(frozen=True)
class Replay:
    """A replay exchange that is listening."""

    port: int
    store: CandleStore
    exchange: ReplayExchange

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{HOST}:{self.port}"

    @property
    def requests(self) -> list[ServedRequest]:
        """The requests served so far, the newest 100,000 of them."""
        return list(self.exchange.requests)

    @property
    def account(self) -> Account:
        """The account, where the exchange was started with one."""
        if self.exchange.account is None:
            raise CommandError("the replay exchange was started without an account")
        return self.exchange.account


@contextmanager
def running_replay(
    datadir: Path,
    *,
    port: int = 0,
    clock: Clock | None = None,
    extra_pairs: Iterable[str] = (),
    account: AccountTerms | None = None,
    faults: Sequence[Fault] = (),
) -> Iterator[Replay]:
    """Serve a folder of candles on 127.0.0.1 until the block is left, however it is left.

    :param datadir: folder of candles in freqtrade's layout
    :param port: port to listen on, 0 for any free one
    :param clock: returns the time in ms; the system's clock by default
    :param extra_pairs: freqtrade names of pairs that are listed but have no candles
    :param account: what an account to trade with begins with; none without
    :param faults: what goes wrong, and when
    :raises DataError: where the folder holds no candles, or not those of a fault
    :raises CommandError: where the port cannot be listened on
    """
    clock = clock or system_clock
    store = FaultyStore(datadir, extra_pairs, faults, clock)
    exchange = ReplayExchange(store, clock, account)
    exchange.prepare()
    app = exchange.app()
    # Last of all, so that the exchange has noted a request before it goes wrong.
    app.middlewares.append(http_faults(faults, clock))
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]] = Future()
    thread = threading.Thread(
        target=lambda: asyncio.run(_serve(app, port, started)), name="replay", daemon=True
    )
    thread.start()
    try:
        yield Replay(started.result()[2], store, exchange)
    finally:
        if started.exception() is None:
            loop, stop, _ = started.result()
            loop.call_soon_threadsafe(stop.set)
        thread.join()


async def _serve(
    app: web.Application,
    port: int,
    started: "Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]]",
) -> None:
    """Listen until told to stop; the outcome of the start goes into ``started``."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    try:
        await runner.setup()
        await web.TCPSite(runner, HOST, port).start()
    except Exception as error:
        await runner.cleanup()
        if isinstance(error, OSError):
            reason = (
                f"cannot listen on {HOST}:{port}, use another port: {os.strerror(error.errno or 0)}"
            )
            started.set_exception(CommandError(reason))
        else:
            started.set_exception(error)
        return
    stop = asyncio.Event()
    started.set_result((asyncio.get_running_loop(), stop, runner.addresses[0][1]))
    await stop.wait()
    await runner.cleanup()
