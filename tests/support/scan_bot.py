"""A running bot that uses the pair list of a scan."""

import subprocess
import time
import urllib.error
from pathlib import Path

from support.freqtrade import TIMEOUT_SECONDS
from support.rest_api import RestApi


class Bot(RestApi):
    """A running bot whose whitelist can be requested."""

    def __init__(self, port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
        super().__init__(port)
        self.process, self.log = process, log

    def wait_for_words(self, words: str) -> str:
        """Return the log once it contains the words."""
        end = time.monotonic() + TIMEOUT_SECONDS
        while words not in (log := " ".join(self.log.read_text("utf-8").split())):
            assert self.process.poll() is None, log
            assert time.monotonic() < end, log
            time.sleep(0.5)
        return log

    def wait_for_whitelist(self, pairs: list[str]) -> None:
        end, found = time.monotonic() + TIMEOUT_SECONDS, None
        while found != pairs:
            assert self.process.poll() is None, self.log.read_text("utf-8")
            assert time.monotonic() < end, f"{found} is not {pairs}: {self.log.read_text('utf-8')}"
            time.sleep(0.5)
            try:
                found = self.ask("whitelist")["whitelist"]
            except (urllib.error.URLError, ConnectionError):
                continue
