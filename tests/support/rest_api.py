"""Call freqtrade's REST API as FreqUI does."""

import json
import random
import socket
import urllib.request
from base64 import b64encode
from typing import Any
from urllib.parse import urlencode

USER, PASSWORD = "trader", "only-for-this-test"
# The first request makes a webserver load markets and candles.
ANSWER_SECONDS = 60


#: Ports below those that Linux hands out, and the distance of the port that locks each.
PORTS, LOCK = range(20_000, 26_000), 6_000
_locks: list[socket.socket] = []


def free_port() -> int:
    """Return a port that no other test takes until this process ends.

    What was free a moment ago may be bound by another process before its server starts.
    """
    for port in random.SystemRandom().sample(PORTS, len(PORTS)):
        lock = socket.socket()
        try:
            lock.bind(("127.0.0.1", port + LOCK))
            with socket.socket() as listener:
                listener.bind(("127.0.0.1", port))
        except OSError:
            lock.close()
            continue
        _locks.append(lock)
        return port
    raise OSError(f"no free port in {PORTS}")


def api_settings(port: int) -> dict[str, Any]:
    """Return the config's ``api_server``."""
    return {
        **{"enabled": True, "listen_ip_address": "127.0.0.1", "listen_port": port},
        **{"username": USER, "password": PASSWORD, "jwt_secret_key": "x" * 40},
    }


class RestApi:
    """The API of a running freqtrade."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/api/v1/"

    def ask(self, what: str, **parameters: str) -> Any:
        return self._answer(f"{what}?{urlencode(parameters)}", None)

    def ask_for(self, what: str, **payload: Any) -> Any:
        """Send a request as FreqUI does, with a JSON body."""
        return self._answer(what, json.dumps(payload).encode())

    def _answer(self, path: str, payload: bytes | None) -> Any:
        request = urllib.request.Request(f"{self.url}{path}", data=payload)
        login = b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        request.add_header("Authorization", f"Basic {login}")
        request.add_header("Content-Type", "application/json")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=ANSWER_SECONDS) as answer:
            return json.load(answer)
