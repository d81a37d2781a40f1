"""freqtrade's dry-run on replayed candles, with bot and exchange on one clock that runs fast."""

import fcntl
import json
import os
import pickle
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import pytest
from freqtrade.misc import deep_merge_dicts

from perp_imbalance.replay import Replay, replay_config
from support.freqtrade import CONFIG, ROOT

Result = TypeVar("Result")

STRATEGIES = ROOT / "tests" / "support" / "live_strategies"
PATIENCE_SECONDS = 120
STOP_SECONDS = 30
# What ccxt and the webhook wait for an answer, in seconds of the machine.
ANSWER_SECONDS = 10
# How often the bot looks for news, in seconds of its own clock.
LOOK_SECONDS = 120
# Just below a candle of an hour.
MAX_ENTRY_AGE_SECONDS = 3500.0


def faketime_library() -> Path:
    """Return the library of Debian's faketime; the test is skipped where there is none."""
    for path in sorted(Path("/usr/lib").glob("**/faketime/libfaketimeMT.so.1")):
        return path
    pytest.skip("no faketime: install the package faketime to run a bot on a fast clock")


def shared_by_workers(
    tmp_path_factory: pytest.TempPathFactory, name: str, live: Callable[[Path], Result]
) -> Result:
    """Return what a run of minutes gives, for all of pytest's workers that need it.

    :param live: the run, in a folder of its own; what it returns is pickled
    """
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder = base / name
    folder.mkdir(exist_ok=True)
    kept = folder / "result.pickle"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            run = folder / f"run-{os.getpid()}"
            run.mkdir()
            kept.write_bytes(pickle.dumps(live(run)))
    result: Result = pickle.loads(kept.read_bytes())
    return result


class FastClock:
    """A clock that began at ``start`` when it was made and runs ``speed`` times as fast."""

    def __init__(self, start: datetime, speed: int) -> None:
        self.start, self.speed = start.timestamp(), speed
        self.made = time.time()

    def __call__(self) -> int:
        return int((self.start + (time.time() - self.made) * self.speed) * 1000)

    def faketime(self) -> str:
        now = datetime.fromtimestamp(self() / 1000, UTC)
        return f"@{now:%Y-%m-%d %H:%M:%S} x{self.speed}"


class Mailbox(ThreadingHTTPServer):
    """Receives freqtrade's webhooks on 127.0.0.1."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        super().__init__(("127.0.0.1", 0), _Receiver)

    def config(self, speed: int) -> dict[str, Any]:
        return {
            "enabled": True,
            "url": f"http://127.0.0.1:{self.server_port}",
            "format": "json",
            "timeout": ANSWER_SECONDS * speed,
            # Without it freqtrade keeps a strategy's messages to itself.
            "allow_custom_messages": True,
            "strategy_msg": {"text": "{msg}"},
        }


class _Receiver(BaseHTTPRequestHandler):
    server: Mailbox

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.messages.append(json.loads(body)["text"])
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""


@contextmanager
def mailbox() -> Iterator[Mailbox]:
    """Receive webhooks until the block is left."""
    with Mailbox() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class LiveBot:
    """A bot in a folder of its own: its database, its records, its log outlive a restart."""

    def __init__(
        self,
        folder: Path,
        clock: FastClock,
        replay: Replay,
        overlay: dict[str, Any],
        strategy: str = "Recorder",
    ) -> None:
        self.folder, self.clock = folder, clock
        self.records, self.log = folder / "records.jsonl", folder / "bot.log"
        (folder / "user_data").mkdir()
        strategies = folder / "strategies"
        shutil.copytree(ROOT / "strategies", strategies)
        shutil.copytree(STRATEGIES, strategies, dirs_exist_ok=True)
        settings = replay_config(replay.url)
        # On a fast clock, minutes pass between a candle's close and its analysis.
        settings["perp_imbalance"] = {"max_entry_age_seconds": MAX_ENTRY_AGE_SECONDS}
        settings["exchange"]["pair_whitelist"] = overlay["pairs"]
        settings["exchange"]["ccxt_config"]["timeout"] = ANSWER_SECONDS * 1000 * clock.speed
        settings |= {"strategy": strategy, "strategy_path": str(strategies)}
        # Else the bot looks for news without a pause, hundreds of times a second.
        settings["internals"] = {"process_throttle_secs": LOOK_SECONDS}
        # One line for each message, which the terminal's log folds.
        settings["logfile"] = str(folder / "messages.log")
        settings = deep_merge_dicts(overlay, settings)
        (folder / "overlay.json").write_text(json.dumps(settings), encoding="utf-8")

    @contextmanager
    def running(self) -> Iterator["subprocess.Popen[bytes]"]:
        """Run the bot on the fast clock until the block is left."""
        command = [sys.executable, "-m", "freqtrade", "trade"]
        command += ["--userdir", str(self.folder / "user_data"), "-c", str(CONFIG)]
        command += ["-c", str(self.folder / "overlay.json")]
        command += ["--db-url", f"sqlite:///{self.folder / 'trades.sqlite'}"]
        environment = {
            **os.environ,
            **{"LD_PRELOAD": str(faketime_library()), "FAKETIME": self.clock.faketime()},
            **{"TZ": "UTC", "RECORD": str(self.records), "COLUMNS": "220"},
        }
        # Under pytest, freqtrade writes no file of its log.
        environment.pop("PYTEST_VERSION", None)
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def wait(
        self, process: "subprocess.Popen[bytes]", until: Callable[[], bool], candles: int
    ) -> None:
        """Wait for a condition that takes about as many candles of an hour, while the bot runs."""
        end = time.monotonic() + PATIENCE_SECONDS + 2 * candles * 3600 / self.clock.speed
        while not until():
            assert process.poll() is None, self.log.read_text("utf-8")
            assert time.monotonic() < end, self.log.read_text("utf-8")[-5000:]
            time.sleep(0.05)

    def recorded(self) -> pd.DataFrame:
        """Return every candle as the bot had it when it decided, in the order of decisions."""
        text = self.records.read_text("utf-8") if self.records.exists() else ""
        # The bot may be about to write the last line.
        whole, _, _ = text.rpartition("\n")
        if not whole:
            return pd.DataFrame(columns=["pair", "date", "started"])
        frame = pd.DataFrame([json.loads(line) for line in whole.splitlines()])
        return frame.assign(
            date=pd.to_datetime(frame["date"], utc=True),
            started=pd.to_datetime(frame["started"], utc=True),
        )

    def messages(self) -> pd.DataFrame:
        """Return freqtrade's log: time, logger, level and text of each message."""
        lines = (self.folder / "messages.log").read_text("utf-8").splitlines()
        # What follows a traceback's first line belongs to it.
        parts = [line.split(" - ", 3) for line in lines]
        frame = pd.DataFrame(
            [part for part in parts if len(part) == 4], columns=["time", "logger", "level", "text"]
        )
        times = pd.to_datetime(frame["time"], format="%Y-%m-%d %H:%M:%S,%f", utc=True)
        return frame.assign(time=times)

    def trades(self) -> pd.DataFrame:
        """Return the trades of the bot's database."""
        return self._table("trades", ["open_date", "close_date"])

    def orders(self) -> pd.DataFrame:
        """Return the orders of the bot's database."""
        return self._table("orders", ["order_date", "order_filled_date"])

    def _table(self, name: str, dates: list[str]) -> pd.DataFrame:
        with sqlite3.connect(self.folder / "trades.sqlite") as database:
            frame = pd.read_sql(f"select * from {name}", database)
        for column in dates:
            frame[column] = pd.to_datetime(frame[column], utc=True, format="mixed")
        return frame
