"""The faults and events of a life, drawn from its seed."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from perp_imbalance.replay.testing import (
    BadPrices,
    ClockSkew,
    Delisted,
    Fault,
    HalfAnswers,
    Halted,
    HttpErrors,
    LateCandles,
    LostAnswers,
    MissingCandles,
    NoAnswer,
    ReorderedCandles,
    RepeatedCandles,
    TickChange,
)
from support.parity import SPOTS

# A life starts on a day of the sample market with enough candles before and after it.
FIRST_DAY, DAYS = datetime(2025, 3, 1, tzinfo=UTC), 290
#: Number of 1h candles in a life, and of those in which a fault may begin.
CANDLES, WRONG = 28, range(2, 17)
#: Kinds of faults in a life.
KINDS = 7
#: Seconds after a candle's opening at which a bot looks: early, late, or both.
LOOKS = [(1.0, 61.0), (1.0, 1801.0), (1.0, 61.0, 1801.0)]
HOUR = timedelta(hours=1)
PERPS = sorted(SPOTS)
SPOT_PAIRS = sorted(spot for spot, _ in SPOTS.values())
# How far a price must be off to count as an error: a perp's is compared with the current price,
# a spot pair's with the perp only.
ABSURD_PERP, ABSURD_SPOT = (10.0, 0.1, 1.3, 0.75), (10.0, 0.1, 3.0)
LATENESS = [{"seconds": 60}, {"seconds": 300}, {"candles": 1}, {"candles": 2}]
CANDLE_PATHS = [["*/klines"], ["/api/v3/klines"], ["/fapi/v1/klines"]]
# Groups of requests: all, candles, order books, account, orders.
PATHS = [["*"], ["*/klines"], ["*/depth"], ["/fapi/v*/balance", "/fapi/v*/positionRisk"]]
ORDERS = ["/fapi/v1/order"]
STOPS = ["/fapi/v1/algoOrder"]


@dataclass(frozen=True)
class Event:
    """Something that is done to the account or to the bot.

    :ivar at: hours since the beginning
    """

    kind: str
    at: float
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Schedule:
    """All faults and events of a life, with their times.

    :ivar kinds: names of the drawn kinds
    """

    seed: int
    start: datetime
    end: datetime
    looks: tuple[float, ...]
    kinds: list[str]
    faults: list[Fault]
    events: list[Event]


class Draw:
    """Draws random values for one kind of fault.

    :param chance: random generator of this kind
    """

    def __init__(self, chance: random.Random, start: datetime) -> None:
        self.chance, self.start = chance, start

    def of(self, values: Any) -> Any:
        return self.chance.choice(list(values))

    def hour(self) -> int:
        """Return the candle in which a fault begins."""
        return self.chance.choice(WRONG)

    def candles(self, *lengths: int) -> dict[str, Any]:
        """Return begin and end of a fault that lasts for some candles."""
        first = self.hour()
        last = min(first + self.of(lengths), WRONG.stop)
        return {"start": self.start + first * HOUR, "end": self.start + last * HOUR}

    def minutes(self, *lengths: float) -> dict[str, Any]:
        """Return begin and end of a fault that begins with a candle, or inside it."""
        begin = self.start + self.hour() * HOUR + timedelta(minutes=self.of([0, 0, 0, 30]))
        return {"start": begin, "end": begin + timedelta(minutes=self.of(lengths))}

    def pair(self) -> str:
        return str(self.of([*PERPS, *SPOT_PAIRS]))


def _bad_prices(draw: Draw) -> list[Fault]:
    pair, price = draw.pair(), draw.of(["nan", "zero", "absurd", "absurd"])
    factor = draw.of(ABSURD_PERP if ":" in pair else ABSURD_SPOT)
    return [BadPrices(pair=pair, price=price, factor=factor, **draw.candles(1, 1, 2))]


def _refusals(status: int) -> Callable[[Draw], list[Fault]]:
    def draw_one(draw: Draw) -> list[Fault]:
        paths = draw.of([*PATHS, ORDERS])
        wait = draw.of([None, 1, 30])
        return [HttpErrors(status=status, paths=paths, retry_after=wait, **draw.minutes(1, 31, 90))]

    return draw_one


def _delisted(draw: Draw) -> list[Fault]:
    begin = draw.start + draw.hour() * HOUR + HOUR / 2
    # A delisted pair may be listed again, or never.
    end = draw.of([begin + 4 * HOUR, None])
    return [Delisted(pair=draw.pair(), removed=draw.of([True, False]), start=begin, end=end)]


#: How each fault of the exchange is drawn, by name.
FAULTS: dict[str, Callable[[Draw], list[Fault]]] = {
    "late candles": lambda draw: [
        LateCandles(pair=draw.pair(), **draw.of(LATENESS), **draw.candles(1, 2, 4))
    ],
    "missing candles": lambda draw: [
        MissingCandles(
            pair=draw.pair(), afterwards=draw.of(["gone", "there"]), **draw.candles(1, 3, 14)
        )
    ],
    "duplicated candles": lambda draw: [
        RepeatedCandles(paths=draw.of(CANDLE_PATHS), candles=draw.of([1, 3]), **draw.candles(2, 6))
    ],
    "reordered candles": lambda draw: [
        ReorderedCandles(paths=draw.of(CANDLE_PATHS), candles=draw.of([2, 5]), **draw.candles(2, 6))
    ],
    "absurd candles": _bad_prices,
    "429": _refusals(429),
    "418": _refusals(418),
    "500": _refusals(500),
    "silence": lambda draw: [
        NoAnswer(seconds=60, paths=draw.of([*PATHS, ORDERS, STOPS]), **draw.minutes(0.5, 1, 31))
    ],
    "half answers": lambda draw: [
        HalfAnswers(announced=draw.of(["whole", "half"]), paths=draw.of(PATHS), **draw.minutes(1))
    ],
    "cut after an order": lambda draw: [
        LostAnswers(paths=draw.of([ORDERS, STOPS]), times=1, **draw.candles(15))
    ],
    "clock skew": lambda draw: [
        ClockSkew(seconds=draw.of([-30, -3, 0.5, 3, 30]), **draw.minutes(1, 31, 90))
    ],
    "delisting": _delisted,
    "tick change": lambda draw: [TickChange(pair=draw.of(PERPS), **draw.candles(4, 15))],
    "spot halt": lambda draw: [Halted(pair=draw.of(SPOT_PAIRS), **draw.candles(2, 5, 14))],
}


_CLASSES = {
    LateCandles: "late candles",
    MissingCandles: "missing candles",
    RepeatedCandles: "duplicated candles",
    ReorderedCandles: "reordered candles",
    BadPrices: "absurd candles",
    NoAnswer: "silence",
    HalfAnswers: "half answers",
    LostAnswers: "cut after an order",
    ClockSkew: "clock skew",
    Delisted: "delisting",
    TickChange: "tick change",
    Halted: "spot halt",
}


def kind_of(fault: Fault) -> str:
    """Return the name of the kind of a fault."""
    return str(fault.status) if isinstance(fault, HttpErrors) else _CLASSES[type(fault)]


#: How each event is drawn, by name.
EVENTS: dict[str, Callable[[Draw], dict[str, Any]]] = {
    "partial fill": lambda draw: {
        "share": draw.of([0.2, 0.5, 0.9]),
        "rest_after_ms": draw.of([90_000, 1_000_000, None]),
    },
    "rejected order": lambda draw: {"code": draw.of([-2019, -2010, -4131]), "hours": draw.of([1])},
    "restart": lambda draw: {"down": draw.of([20.0, 900.0, 4 * 3600.0])},
    "kill": lambda draw: {
        "request": draw.of(range(1, 25)),
        "on": draw.of(["any", "order"]),
        "answered": draw.of([True, False]),
        "down": draw.of([20.0, 900.0, 4 * 3600.0]),
    },
    "liquidation": lambda draw: {},
    "auto-deleveraging": lambda draw: {"share": draw.of([1, 0.5])},
    "closed by hand": lambda draw: {"share": draw.of([1, 0.5])},
}
ALL_KINDS = [*FAULTS, *EVENTS]


def draw_schedule(seed: int) -> Schedule:
    """Return the schedule of a seed; the same seed gives the same schedule."""
    chance = random.Random(f"chaos {seed}")
    start = FIRST_DAY + timedelta(days=chance.randrange(DAYS), hours=chance.randrange(24))
    kinds = sorted(chance.sample(ALL_KINDS, KINDS), key=ALL_KINDS.index)
    looks = chance.choice(LOOKS)
    faults: list[Fault] = []
    events: list[Event] = []
    for kind in kinds:
        # One generator per kind: a change of one kind does not affect the others.
        draw = Draw(random.Random(f"chaos {seed} {kind}"), start)
        if kind in FAULTS:
            faults += FAULTS[kind](draw)
        else:
            events.append(Event(kind, draw.hour() - 0.01, EVENTS[kind](draw)))
    return Schedule(seed, start, start + CANDLES * HOUR, looks, kinds, faults, events)
