"""Create and check Binance's request signatures."""

import hashlib
import hmac
from dataclasses import dataclass
from urllib.parse import parse_qsl

from perp_imbalance.replay.query import Query, RequestError

KEY_FORMAT, KEY_UNKNOWN, BAD_SIGNATURE, BAD_TIME = -2014, -2015, -1022, -1021
#: Errors of the key, which Binance answers with HTTP status 401.
UNAUTHORIZED = frozenset({KEY_FORMAT, KEY_UNKNOWN})
KEY_HEADER = "X-MBX-APIKEY"
RECV_WINDOW_MS, RECV_WINDOW_MAX_MS = 5_000, 60_000
AHEAD_MS = 1_000


def sign(parameters: str, secret: str) -> str:
    """Return the signature of the sent parameters: HMAC-SHA256 in hex.

    >>> sign("symbol=BTCUSDT&timestamp=1", "secret")[:8]
    'ef9d3d77'
    """
    return hmac.new(secret.encode(), parameters.encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class Credentials:
    """The accepted key and secret."""

    key: str
    secret: str

    def check(self, key: str | None, parameters: str, now: int) -> Query:
        """Return the parameters of a signed request.

        :param key: the key in the request's header
        :param parameters: the sent query string, followed by the body
        :param now: the exchange's clock in ms
        :raises RequestError: as Binance refuses a wrong key, signature or time
        """
        if not key:
            raise RequestError(KEY_FORMAT, "API-key format invalid.")
        if not hmac.compare_digest(key.encode(), self.key.encode()):
            raise RequestError(KEY_UNKNOWN, "Invalid API-key, IP, or permissions for action.")
        signed, _, signature = parameters.rpartition("signature=")
        expected = sign(signed.removesuffix("&"), self.secret)
        if not hmac.compare_digest(signature.encode(), expected.encode()):
            raise RequestError(BAD_SIGNATURE, "Signature for this request is not valid.")
        query = Query(parse_qsl(signed, keep_blank_values=True))
        self._check_time(query, now)
        return query

    def _check_time(self, query: Query, now: int) -> None:
        query.text("timestamp")
        sent = query.integer("timestamp", 0)
        window = min(query.integer("recvWindow", RECV_WINDOW_MS), RECV_WINDOW_MAX_MS)
        if sent >= now + AHEAD_MS:
            raise RequestError(
                BAD_TIME, "Timestamp for this request was 1000ms ahead of the server's time."
            )
        if sent < now - window:
            raise RequestError(BAD_TIME, "Timestamp for this request is outside of the recvWindow.")
