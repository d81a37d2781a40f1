"""Run a replay exchange in its own thread."""

import asyncio
import logging
import os
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from perp_imbalance.errors import ReplayError
from perp_imbalance.replay.candle_store import CandleStore
from perp_imbalance.replay.overlay import HOST
from perp_imbalance.replay.server import Clock, ReplayExchange, ServedRequest, system_clock

# A client that keeps reading must not hold up the end of a command.
SHUTDOWN_SECONDS = 1.0
#: Bytes of a request's first line.
MAX_LINE = 65536


def _in_one_line(record: logging.LogRecord) -> bool:
    """Log a request that is not HTTP in one line, where aiohttp logs a traceback."""
    if record.exc_info and isinstance(record.exc_info[1], HttpProcessingError):
        error = record.exc_info[1]
        record.exc_info = None
        record.msg, record.args = "refused a request: %s", (type(error).__name__,)
    return True


_http_logger = logging.getLogger(f"{__name__}.http")
_http_logger.addFilter(_in_one_line)


@dataclass(frozen=True)
class Replay:
    """A replay exchange that is listening."""

    port: int
    store: CandleStore
    exchange: ReplayExchange

    @property
    def url(self) -> str:
        """The address of the replay exchange."""
        return f"http://{HOST}:{self.port}"

    @property
    def requests(self) -> list[ServedRequest]:
        """The served requests, at most the newest 100,000."""
        return list(self.exchange.requests)


@contextmanager
def running_replay(
    datadir: Path,
    *,
    port: int = 0,
    clock: Clock = system_clock,
    extra_pairs: Iterable[str] = (),
    walk: bool = False,
) -> Iterator[Replay]:
    """Serve a folder of candles on 127.0.0.1 until the block ends, also by an exception.

    :param datadir: folder of candles in freqtrade's layout
    :param port: port to listen on; 0 for any free port
    :param clock: returns the time in ms
    :param extra_pairs: freqtrade names of pairs that are listed but have no candles
    :param walk: whether prices move inside a candle, on the synthetic path of
        :func:`perp_imbalance.replay.binance.walked`
    :raises DataError: where the folder holds no candles
    :raises ReplayError: where the port cannot be listened on
    """
    store = CandleStore(datadir, extra_pairs)
    exchange = ReplayExchange(store, clock, walk=walk)
    exchange.prepare()
    with serving(exchange.app(), port) as bound:
        yield Replay(bound, store, exchange)


@contextmanager
def serving(app: web.Application, port: int) -> Iterator[int]:
    """Serve an application on 127.0.0.1 in a thread until the block ends; yield its port.

    :raises ReplayError: where the port cannot be listened on
    """
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]] = Future()
    thread = threading.Thread(
        target=lambda: asyncio.run(_serve(app, port, started)), name="replay", daemon=True
    )
    thread.start()
    try:
        yield started.result()[2]
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
    """Serve until the stop event is set; put the port, or the error, into ``started``."""
    runner = web.AppRunner(
        app,
        access_log=None,
        logger=_http_logger,
        max_line_size=MAX_LINE,
        shutdown_timeout=SHUTDOWN_SECONDS,
    )
    try:
        await runner.setup()
        await web.TCPSite(runner, HOST, port).start()
    except Exception as error:
        await runner.cleanup()
        if isinstance(error, OSError):
            started.set_exception(
                ReplayError(
                    f"cannot listen on {HOST}:{port}: {os.strerror(error.errno or 0)}: end what "
                    "listens there, or take another port (0 for any free one)"
                )
            )
        else:
            started.set_exception(error)
        return
    stop = asyncio.Event()
    started.set_result((asyncio.get_running_loop(), stop, runner.addresses[0][1]))
    await stop.wait()
    await runner.cleanup()
