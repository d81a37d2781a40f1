"""Run freqtrade's dry-run on replayed candles; bot and exchange share one accelerated clock."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from freqtrade.misc import deep_merge_dicts

from perp_imbalance.replay import Replay, replay_config
from support.freqtrade import CONFIG, ROOT, SAMPLE_PAIRS
from support.rehearsal import STRATEGIES, read_records

# After this time a bot is considered stuck; a busy machine takes minutes.
PATIENCE_SECONDS = 300
# Timeout of ccxt and of the webhook, in real seconds.
ANSWER_SECONDS = 60


def faketime_library() -> Path:
    """Return the library of Debian's faketime; the test is skipped if it is not installed."""
    for path in sorted(Path("/usr/lib").glob("**/faketime/libfaketimeMT.so.1")):
        return path
    pytest.skip("no faketime: install the package faketime to run a bot on a fast clock")


class FastClock:
    """A clock that starts at ``start`` and runs ``speed`` times as fast."""

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
            # Without it freqtrade does not send a strategy's messages.
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
        """Log nothing."""


@contextmanager
def mailbox() -> Iterator[Mailbox]:
    """Receive webhooks during the block."""
    with Mailbox() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class LiveBot:
    """A bot in a new folder, with its database, its records and its log."""

    def __init__(
        self, folder: Path, clock: FastClock, replay: Replay, overlay: dict[str, Any]
    ) -> None:
        self.folder, self.clock = folder, clock
        self.records, self.log = folder / "records.jsonl", folder / "bot.log"
        (folder / "user_data").mkdir()
        strategies = folder / "strategies"
        shutil.copytree(ROOT / "strategies", strategies)
        shutil.copytree(STRATEGIES, strategies, dirs_exist_ok=True)
        settings = replay_config(replay.url)
        settings["exchange"]["pair_whitelist"] = SAMPLE_PAIRS
        settings["exchange"]["ccxt_config"]["timeout"] = ANSWER_SECONDS * 1000 * clock.speed
        settings |= {"strategy": "Recorder", "strategy_path": str(strategies)}
        # One line for each message, which the terminal's log wraps.
        settings["logfile"] = str(folder / "messages.log")
        settings = deep_merge_dicts(overlay, settings)
        (folder / "overlay.json").write_text(json.dumps(settings), encoding="utf-8")

    @contextmanager
    def running(self) -> Iterator["subprocess.Popen[bytes]"]:
        """Run the bot on the fast clock during the block, then end it as Ctrl-C does."""
        command = [sys.executable, "-m", "freqtrade", "trade"]
        command += ["--userdir", str(self.folder / "user_data"), "-c", str(CONFIG)]
        command += ["-c", str(self.folder / "overlay.json")]
        command += ["--db-url", f"sqlite:///{self.folder / 'trades.sqlite'}"]
        environment = {
            **os.environ,
            **{"LD_PRELOAD": str(faketime_library()), "FAKETIME": self.clock.faketime()},
            **{"TZ": "UTC", "RECORD": str(self.records), "COLUMNS": "220"},
        }
        # Under pytest, freqtrade writes no log file.
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
                process.wait(timeout=PATIENCE_SECONDS)
            finally:
                process.kill()

    def wait(self, process: "subprocess.Popen[bytes]", until: Callable[[], bool]) -> None:
        """Wait for an event while the bot runs; fail only if the bot is stuck."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not until():
            assert process.poll() is None, self.log.read_text("utf-8")
            assert time.monotonic() < end, self.log.read_text("utf-8")[-5000:]
            time.sleep(0.05)

    def recorded(self) -> pd.DataFrame:
        """Return every candle as the bot had it when it decided, in the order of decisions."""
        text = self.records.read_text("utf-8") if self.records.exists() else ""
        # The bot may be writing the last line.
        whole = text[: text.rfind("\n") + 1]
        return read_records(whole) if whole else pd.DataFrame(columns=["pair", "date"])
