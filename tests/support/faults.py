"""A market with one pair for each fault, and what the test of each pair expects."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pandas as pd
from freqtrade.data.history import get_datahandler, load_pair_history
from freqtrade.enums import CandleType

from perp_imbalance.indicators import PRESETS, entry_signals, exit_signals, imbalance_columns
from perp_imbalance.replay.testing import (
    BadPrices,
    Delisted,
    Fault,
    Halted,
    LateCandles,
    MissingCandles,
)

TIMEFRAME = "5m"
CANDLE = pd.Timedelta(TIMEFRAME)
START = datetime(2025, 3, 10, 0, 0, tzinfo=UTC)
THRESHOLDS = PRESETS["aggressive"]
# Candles before the start: the bot loads 450 of them, some of which pass while it starts.
HISTORY = 530
# The first candle on which the bot must be ready to trade.
FIRST = 1
# The candle in which faults begin; the candle before is for the entry that a fault then meets.
BEGIN = FIRST + 2
# Of the candles with bad prices, the one with the most misleading prices.
ABSURD = BEGIN + 3
SOURCES = ["BTC/USDT", "ETH/USDT"]
SIDES = {-1: "short", 1: "long"}
Afterwards = Literal["gone", "there"]


def moment(candle: float) -> pd.Timestamp:
    """Return the opening time of a candle of the life."""
    return pd.Timestamp(START) + candle * CANDLE


@dataclass(frozen=True)
class Plan:
    """The length of the bot's life, and of lasting faults, in candles."""

    candles: int
    stale: int
    brief: int
    gone: int

    @property
    def end(self) -> int:
        """The candle in which the long faults end."""
        return BEGIN + self.gone


SHORT_PLAN = Plan(candles=BEGIN + 7, stale=3, brief=2, gone=4)
FULL_PLAN = Plan(candles=70, stale=12, brief=5, gone=50)


@dataclass(frozen=True)
class Case:
    """A pair and its fault.

    :ivar base: base currency of the pair
    :ivar title: name of the fault in the published table
    :ivar faults: the faults of pair and spot pair
    :ivar lasts: candles that the fault affects, counted from the start of the life
    :ivar fits: whether a stretch of candles is suitable for the case
    :ivar holes: affected candles that have no premium in a backtest either
    :ivar blind: affected candles on which the bot may lack data that a backtest has
    :ivar stale: whether the position that is open when the fault begins must exit as stale
    :ivar warnings: how often our log must say that the pair gives no signals
    :ivar recovers: whether the pair must give signals again
    """

    base: str
    title: str
    faults: Sequence[Fault]
    lasts: range
    fits: Callable[[pd.DataFrame], bool]
    holes: Sequence[int] = ()
    blind: Sequence[int] = ()
    stale: bool = False
    warnings: int = 1
    recovers: bool = True

    @property
    def pair(self) -> str:
        return f"{self.base}/USDT:USDT"

    @property
    def spot(self) -> str:
        return f"{self.base}/USDT"

    @property
    def unseen(self) -> list[int]:
        """The candles whose spot price the bot cannot have when it judges them."""
        return [candle for candle in self.blind if candle in self.lasts]


def table_of(perp: pd.DataFrame, spot: pd.DataFrame, stale: int) -> pd.DataFrame:
    """Return columns and signals of these candles, as in a backtest."""
    columns = imbalance_columns(perp, spot, thresholds=THRESHOLDS, max_stale_candles=stale)
    table = columns.assign(date=perp["date"], close=perp["close"])
    return pd.concat([table, entry_signals(table, THRESHOLDS), exit_signals(table)], axis=1)


def held(table: pd.DataFrame) -> bool:
    """Return whether a position is entered before the faults begin, and open when they do."""
    bias = int(table["bias"].iloc[BEGIN - 1])
    if bias == 0:
        return False
    return bool(table[f"enter_{SIDES[bias]}"].iloc[FIRST:BEGIN].any())


def enters(table: pd.DataFrame, candles: range) -> bool:
    """Return whether one of these candles has an entry signal."""
    signals = table[["enter_short", "enter_long"]].iloc[candles.start : candles.stop]
    return bool(signals.to_numpy().any())


def _bad_prices(base: str, pair: str) -> Case:
    market = "perp" if ":" in pair else "spot"
    # The side that a tenfold price would enter.
    wrong = -1 if market == "perp" else 1

    def misleads(table: pd.DataFrame) -> bool:
        return held(table) and bool(table["bias"].iloc[BEGIN - 1] == -wrong)

    def bad(price: str, at: int) -> Fault:
        span = {"start": moment(at), "end": moment(at + 1)}
        return BadPrices.model_validate({"pair": f"{base}{pair}", "price": price, **span})

    kinds = {"nan": BEGIN, "zero": BEGIN + 1, "absurd": ABSURD}
    return Case(
        base,
        f"{market} candles with prices NaN, 0 and ten times too high",
        [bad(kind, at) for kind, at in kinds.items()],
        range(BEGIN, ABSURD + 1),
        misleads,
        holes=list(kinds.values()),
        # Two faults with a good candle between them.
        warnings=2,
    )


def late_by_seconds(begin: int, end: int) -> Case:
    """Return the fault of spot candles that arrive while the bot waits for them."""
    # A candle is late if it ends within the fault.
    late = LateCandles(
        pair="LATESEC/USDT", seconds=60, start=moment(begin + 0.5), end=moment(end + 0.5)
    )
    return Case(
        "LATESEC",
        "spot candles come 60 s late",
        [late],
        range(begin, end),
        lambda table: enters(table, range(begin, end)),
        warnings=0,
    )


def _late_by_a_candle(plan: Plan) -> Case:
    lasts = range(BEGIN, plan.end)

    def leaves(table: pd.DataFrame) -> bool:
        if not held(table):
            return False
        side = SIDES[int(table["bias"].iloc[BEGIN - 1])]
        return bool(table[f"exit_{side}"].iloc[BEGIN : plan.end - 2].any())

    start, end = moment(BEGIN + 0.5), moment(plan.end + 0.5)
    late = LateCandles(pair="LATEONE/USDT", candles=1, start=start, end=end)
    title = "spot candles come one candle late"
    return Case("LATEONE", title, [late], lasts, leaves, blind=lasts)


def _missing(plan: Plan) -> list[Case]:
    lasts, brief = range(BEGIN, plan.end), range(BEGIN, BEGIN + plan.brief)

    def missing(base: str, candles: range, afterwards: Afterwards = "gone") -> list[MissingCandles]:
        start, end = moment(candles.start), moment(candles.stop)
        return [MissingCandles(pair=f"{base}/USDT", start=start, end=end, afterwards=afterwards)]

    title = f"no spot candles for {plan.gone} candles"
    return [
        Case(
            *("BRIEF", f"no spot candles for {plan.brief} candles"),
            missing("BRIEF", brief),
            brief,
            held,
            holes=brief,
        ),
        Case("GONE", title, missing("GONE", lasts), lasts, held, holes=lasts, stale=True),
        Case(
            *("BACK", f"{title}, all of them there afterwards"),
            *(missing("BACK", lasts, "there"), lasts),
            lambda table: held(table) and enters(table, range(plan.end, plan.end + 2)),
            # The last of them is there when the bot requests it.
            blind=lasts[:-1],
            stale=True,
        ),
    ]


def _delisted(plan: Plan, base: str, title: str, *, removed: bool) -> Case:
    forever = range(BEGIN, plan.candles)
    # By then, the candle before is final.
    fault = Delisted(pair=f"{base}/USDT", start=moment(BEGIN + 0.5), removed=removed)
    return Case(
        *(base, title, [fault], forever, held),
        holes=forever,
        # The candle before is judged again if the market list is read before it ends.
        blind=range(BEGIN - 1, plan.candles),
        stale=True,
        # One warning for the missing candles, one when the market list gives the reason.
        warnings=2,
        recovers=False,
    )


def candle_cases(plan: Plan) -> list[Case]:
    """Return the faults of candles and markets."""
    lasts, always = range(BEGIN, plan.end), range(plan.candles)
    removed = Delisted(pair="NOSPOT/USDT", removed=True)
    halted = Halted(pair="HALTED/USDT:USDT", start=moment(BEGIN), end=moment(plan.end))
    return [
        _late_by_a_candle(plan),
        *_missing(plan),
        _delisted(plan, "DELISTED", "spot is delisted: no candles, not tradable", removed=False),
        _delisted(plan, "REMOVED", "spot is delisted: its symbol is unknown", removed=True),
        Case(
            *("NOSPOT", "spot is missing from the start", [removed], always, held),
            holes=range(-HISTORY, plan.candles),
            recovers=False,
        ),
        _bad_prices("SPOT", "/USDT"),
        _bad_prices("PERP", "/USDT:USDT"),
        Case(
            *("HALTED", f"the perp is halted for {plan.gone} candles", [halted], lasts, held),
            holes=lasts,
            stale=True,
        ),
    ]


def _sources(sample: Path) -> Iterator[tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]]:
    for name in SOURCES:
        perp, spot = (
            load_pair_history(
                *(pair, "1h", sample), candle_type=kind, data_format="feather", fill_up_missing=True
            )
            for pair, kind in ((f"{name}:USDT", CandleType.FUTURES), (name, CandleType.SPOT))
        )
        yield perp, spot, table_of(perp, spot, stale=12)


def write_fault_market(sample: Path, datadir: Path, plan: Plan, cases: list[Case]) -> None:
    """Write a suitable stretch of the sample market for each case, as 5-minute candles."""
    (datadir / "futures").mkdir(parents=True)
    sources = list(_sources(sample))
    taken = HISTORY
    for case in cases:
        for first in range(taken, len(sources[0][0]) - plan.candles - 2):
            for perp, spot, table in sources:
                life = table.iloc[first : first + plan.candles].reset_index(drop=True)
                window = slice(first - HISTORY, first + plan.candles + 2)
                traded = spot[spot["date"].isin(perp["date"].iloc[window])]["volume"] > 0
                if traded.all() and case.fits(life):
                    break
            else:
                continue
            _write(datadir, case, perp.iloc[window], spot)
            # Each case has a different stretch.
            taken = first + 1
            break
        else:
            raise AssertionError(f"the sample market has no stretch for {case.title}")


def _write(datadir: Path, case: Case, perp: pd.DataFrame, spot: pd.DataFrame) -> None:
    handler = get_datahandler(datadir, "feather")
    spot = spot[spot["date"].isin(perp["date"])]
    hour = pd.Timedelta("1h")
    origin = perp["date"].iloc[0]

    def in_minutes(frame: pd.DataFrame) -> pd.DataFrame:
        offset = (frame["date"] - origin) / hour * CANDLE
        return frame.assign(date=moment(-HISTORY) + offset.dt.round("s")).reset_index(drop=True)

    perps = in_minutes(perp)
    handler.ohlcv_store(case.pair, TIMEFRAME, perps, CandleType.FUTURES)
    handler.ohlcv_store(case.spot, TIMEFRAME, in_minutes(spot), CandleType.SPOT)
    how = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    marks = perps.resample("1h", on="date").agg(how).reset_index()
    handler.ohlcv_store(case.pair, "1h", marks, CandleType.MARK)
    rates = pd.DataFrame({"date": marks["date"][marks["date"].dt.hour % 8 == 0]})
    rates = rates.assign(funding_rate=1e-4).reset_index(drop=True)
    handler.ohlcv_store(case.pair, "1h", rates, CandleType.FUNDING_RATE)


def read(datadir: Path, pair: str) -> pd.DataFrame:
    """Return the true candles of a pair."""
    kind = CandleType.FUTURES if ":" in pair else CandleType.SPOT
    frame = get_datahandler(datadir, "feather").ohlcv_load(
        pair, TIMEFRAME, kind, fill_missing=False
    )
    return pd.DataFrame(frame)


def expected_table(datadir: Path, case: Case, plan: Plan) -> pd.DataFrame:
    """Return a backtest's columns of a case's candles, by their number in the life."""
    perp, spot = read(datadir, case.pair), read(datadir, case.spot)
    holes = [moment(candle) for candle in case.holes]
    table = table_of(perp, spot[~spot["date"].isin(holes)].reset_index(drop=True), plan.stale)
    table.index = pd.Index(((table["date"] - moment(0)) / CANDLE).round().astype(int))
    return table
