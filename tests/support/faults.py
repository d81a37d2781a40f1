"""A market with one pair for each fault, and what each pair is meant to show."""

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
# Candles before the life: the bot loads 450 of them, and a part passes while it starts.
HISTORY = 530
# The first candle on which the bot must be ready to trade.
FIRST = 1
# The candle with which faults begin; one before it is for the entry of what a fault then meets.
BEGIN = FIRST + 2
# Of the candles with bad prices, the one with the most misleading of them.
ABSURD = BEGIN + 3
SOURCES = ["BTC/USDT", "ETH/USDT"]
SIDES = {-1: "short", 1: "long"}
Afterwards = Literal["gone", "there"]


def moment(candle: float) -> pd.Timestamp:
    """Return when a candle of the life begins."""
    return pd.Timestamp(START) + candle * CANDLE


@dataclass(frozen=True)
class Plan:
    """How long the bot lives, and how long what lasts, in candles."""

    candles: int
    stale: int
    brief: int
    gone: int

    @property
    def end(self) -> int:
        """The candle with which the long faults are over."""
        return BEGIN + self.gone


SHORT_PLAN = Plan(candles=BEGIN + 7, stale=3, brief=2, gone=4)
FULL_PLAN = Plan(candles=70, stale=12, brief=5, gone=50)


@dataclass(frozen=True)
class Case:
    """A pair and its fault.

    :ivar base: names the pair
    :ivar title: names the fault in the published table
    :ivar faults: what goes wrong with pair and spot pair
    :ivar lasts: candles, counted from the start of the life, that the fault hits
    :ivar fits: whether a stretch of candles shows what the case is about
    :ivar holes: those that have no premium for a backtest either
    :ivar blind: those that the bot may have to judge without what a backtest knows
    :ivar stale: whether the position that is open when the fault begins must end as stale
    :ivar warnings: how often our log must say that the pair gives no signals
    :ivar recovers: whether it must give signals again
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
        """The candles whose spot price the bot cannot have had when it judged them."""
        return [candle for candle in self.blind if candle in self.lasts]


def table_of(perp: pd.DataFrame, spot: pd.DataFrame, stale: int) -> pd.DataFrame:
    """Return columns and signals as a backtest of these candles has them."""
    columns = imbalance_columns(perp, spot, thresholds=THRESHOLDS, max_stale_candles=stale)
    table = columns.assign(date=perp["date"], close=perp["close"])
    return pd.concat([table, entry_signals(table, THRESHOLDS), exit_signals(table)], axis=1)


def held(table: pd.DataFrame) -> bool:
    """Tell whether a position is entered before the faults begin, and open when they do."""
    bias = int(table["bias"].iloc[BEGIN - 1])
    if bias == 0:
        return False
    return bool(table[f"enter_{SIDES[bias]}"].iloc[FIRST:BEGIN].any())


def enters(table: pd.DataFrame, candles: range) -> bool:
    """Tell whether there is an entry signal on one of these candles."""
    signals = table[["enter_short", "enter_long"]].iloc[candles.start : candles.stop]
    return bool(signals.to_numpy().any())


def _bad_prices(base: str, pair: str) -> Case:
    market = "perp" if ":" in pair else "spot"
    # The side that ten times the price would enter.
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
        # Two troubles with a good candle between them.
        warnings=2,
    )


def late_by_seconds(begin: int, end: int) -> Case:
    """Return the fault of spot candles that come while the bot waits for them."""
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
            # The last of them is there when the bot looks for it.
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
        # The candle before is judged anew where the market list is read before it ends.
        blind=range(BEGIN - 1, plan.candles),
        stale=True,
        # One for the candles that stay away, one when the market list says why.
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
    """Cut for each case a stretch that fits out of the sample market, as candles of 5 minutes."""
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
            # Each case has a stretch of its own.
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
    """Return the candles of a pair as they were traded."""
    kind = CandleType.FUTURES if ":" in pair else CandleType.SPOT
    frame = get_datahandler(datadir, "feather").ohlcv_load(
        pair, TIMEFRAME, kind, fill_missing=False
    )
    return pd.DataFrame(frame)


def expected_table(datadir: Path, case: Case, plan: Plan) -> pd.DataFrame:
    """Return what a backtest has of a case's candles, by their number in the life."""
    perp, spot = read(datadir, case.pair), read(datadir, case.spot)
    holes = [moment(candle) for candle in case.holes]
    table = table_of(perp, spot[~spot["date"].isin(holes)].reset_index(drop=True), plan.stale)
    table.index = pd.Index(((table["date"] - moment(0)) / CANDLE).round().astype(int))
    return table
