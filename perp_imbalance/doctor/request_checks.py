"""Whether the exchange lets a bot ask for the candles of all its pairs as fast as they close."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from freqtrade.exchange import timeframe_to_seconds

from perp_imbalance.doctor.findings import Check, Level

NAME = "requests"

#: Weight that Binance allows in a minute, by ccxt's name of the market; and ccxt's cost in weight.
BINANCE_LIMITS = {"fapiPublic": ("futures", 2400, 1.0), "public": ("spot", 6000, 5.0)}


@dataclass(frozen=True)
class Requests:
    """What was asked of an exchange.

    :ivar number: of requests
    :ivar costs: in ccxt's unit, by ccxt's name of a part of the exchange.
    """

    number: int = 0
    costs: Mapping[str, float] = field(default_factory=dict)

    def __add__(self, other: "Requests") -> "Requests":
        """Return the requests of both."""
        costs = Counter(self.costs)
        costs.update(other.costs)
        return Requests(self.number + other.number, costs)


class Counted:
    """The requests of a block, as soon as it is left."""

    def __init__(self) -> None:
        self.requests = Requests()


@contextmanager
def counting(client: Any) -> Iterator[Counted]:
    """Count what a client of ccxt asks for while the block lasts, each at what ccxt says it costs.

    :param client: asynchronous; it may have its own rate limit off.
    """
    counted, send = Counted(), client.fetch2

    async def send_counted(
        path: str,
        api: Any = "public",
        method: str = "GET",
        params: Any = None,
        config: Any = None,
    ) -> Any:
        params, config = params or {}, config or {}
        part = api[0] if isinstance(api, list) else api
        cost = float(client.calculate_rate_limiter_cost(api, method, path, params, config))
        counted.requests += Requests(1, {part: cost})
        return await send(path, api, method, params, config)

    client.fetch2 = send_counted
    try:
        yield counted
    finally:
        del client.fetch2


def weights(requests: Requests, exchange: str) -> dict[str, tuple[float, int]]:
    """Return the weight of requests and what is allowed in a minute, by market; Binance alone.

    >>> weights(Requests(2, {"fapiPublic": 4.0, "public": 0.4}), "binance")
    {'futures': (4.0, 2400), 'spot': (2.0, 6000)}
    """
    if exchange != "binance":
        return {}
    return {
        market: (requests.costs[part] * factor, limit)
        for part, (market, limit, factor) in BINANCE_LIMITS.items()
        if requests.costs.get(part)
    }


def seconds_of(requests: Requests, exchange: str, pace_ms: float) -> float:
    """Return how long requests take at the pace of ccxt, or of the exchange where that is slower.

    :param pace_ms: ccxt's ``rateLimit``: between two requests of cost 1; 0 where it is off.

    >>> seconds_of(Requests(900, {"fapiPublic": 1500.0, "public": 60.0}), "binance", 50.0)
    78.0
    """
    allowed = [60 * weight / limit for weight, limit in weights(requests, exchange).values()]
    return max([sum(requests.costs.values()) * pace_ms / 1000, *allowed])


def check_requests(
    requests: Requests,
    *,
    pairs: int,
    exchange: str,
    pace_ms: float,
    timeframe: str,
    max_entry_age_s: float,
    calls_at_start: int = 1,
    websockets: bool = False,
) -> Check:
    """Judge whether a bot has the candles of all pairs while they are news.

    freqtrade analyses no pair before it has asked for all.

    :param requests: one for every series of every pair.
    :param pace_ms: as that of :func:`seconds_of`.
    :param max_entry_age_s: the setting ``max_entry_age_seconds``.
    :param calls_at_start: requests of each series at start.
    :param websockets: whether freqtrade gets candles over them as long as they hold.
    """
    seconds = seconds_of(requests, exchange, pace_ms)
    candle = timeframe_to_seconds(timeframe)
    parts = [
        f"{market} weight {weight:.0f} of {limit} a minute"
        for market, (weight, limit) in weights(requests, exchange).items()
    ]
    message = ", ".join(
        [
            f"{pairs} pairs take {requests.number} requests a candle",
            *parts,
            f"about {seconds:.0f} s",
            f"at start {seconds * calls_at_start:.0f} s",
        ]
    )
    if websockets:
        message += "; less while websockets hold"
    allowed = min(float(candle), max_entry_age_s)
    if seconds <= allowed:
        return Check(NAME, Level.OK, message)
    fitting = int(pairs * allowed / seconds)
    mend = f"keep at most {fitting} pairs on the whitelist" if fitting else "ask for fewer series"
    if candle <= max_entry_age_s:
        limit, other = f"a candle of {timeframe} lasts", "set a longer timeframe"
    else:
        limit, other = "max_entry_age_seconds allows", "set a longer max_entry_age_seconds"
    level = Level.WARNING if websockets else Level.MUST_FIX
    said = f"{message}: {limit} {allowed:g} s, so entries come too late; {mend}, or {other}"
    return Check(NAME, level, said)
