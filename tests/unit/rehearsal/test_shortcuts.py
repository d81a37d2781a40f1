"""A shortcut gives what freqtrade's own work gives, or is not taken."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from freqtrade.data.converter import clean_ohlcv_dataframe
from freqtrade.enums import CandleType
from freqtrade.strategy import IStrategy
from support.tiny_replay import HOUR, TINY_START, milliseconds

from perp_imbalance.rehearsal import shortcuts
from perp_imbalance.rehearsal.shortcuts import (
    fund_when_due,
    skip_cleaning,
    skip_idle_looks,
    skip_known_candles,
)
from perp_imbalance.replay import CandleStore
from perp_imbalance.strategy.feed import WatchedFeed

PAIR = "BTC/USDT:USDT"


def candles(hours: list[int], **changes: Any) -> pd.DataFrame:
    """Return candles as freqtrade makes them of an answer, their values by their hour."""
    dates = pd.to_datetime([TINY_START + pd.Timedelta(hours=hour) for hour in hours]).as_unit("ms")
    frame = pd.DataFrame({"date": dates.floor("s")})
    for place, name in enumerate(["open", "high", "low", "close", "volume"]):
        frame[name] = [100.0 + hour % 50 + place for hour in hours]
    for name, (row, value) in changes.items():
        frame.loc[row, name] = value
    return frame


@pytest.mark.parametrize(
    ("frame", "taken"),
    [
        (candles([0, 1, 2, 3]), True),
        (candles([0, 1, 2, 2, 3]), True),
        (candles([0, 1, 1, 2, 2, 3]), True),
        (candles([0, 1, 3]), False),
        (candles([0, 1, 2, 2, 4]), False),
        (candles([0, 2, 1, 3]), False),
        (candles([0, 1, 2, 2, 3], close=(3, 99.0)), False),
        (candles([0, 1, 2], low=(1, np.nan)), False),
        (candles([0]), False),
        (candles([]), False),
    ],
)
@pytest.mark.parametrize("drop_incomplete", [False, True])
def test_cleaning_is_left_out_where_it_changes_nothing(
    frame: pd.DataFrame, taken: bool, drop_incomplete: bool
) -> None:
    called = []

    def clean(*arguments: Any, **options: Any) -> pd.DataFrame:
        called.append(arguments)
        return pd.DataFrame(clean_ohlcv_dataframe(*arguments, **options))

    options = {"fill_missing": True, "drop_incomplete": drop_incomplete}
    before = frame.copy()
    expected = clean_ohlcv_dataframe(frame.copy(), "1h", PAIR, **options)
    found = skip_cleaning(clean)(frame, "1h", PAIR, **options)
    pd.testing.assert_frame_equal(found, expected)
    pd.testing.assert_frame_equal(frame, before)
    assert bool(called) != taken


def test_cleaning_of_funding_rates_is_not_skipped() -> None:
    dates = pd.date_range(TINY_START, periods=3, freq="8h")
    rates = pd.DataFrame({"date": dates, "funding_rate": [1e-4, 2e-4, 3e-4]})
    options = {"fill_missing": True, "drop_incomplete": False}
    kind = CandleType.FUNDING_RATE
    found = skip_cleaning(clean_ohlcv_dataframe)(rates, "1h", PAIR, candle_type=kind, **options)
    expected = clean_ohlcv_dataframe(rates, "1h", PAIR, candle_type=kind, **options)
    pd.testing.assert_frame_equal(found, expected)


def test_funding_is_computed_when_a_rate_has_been_set(tiny_datadir: Path) -> None:
    """Rates are set every eight hours; freqtrade asks every half an hour."""
    now, asked = milliseconds(TINY_START), []

    def fetch(self: Any, *trade: Any) -> float:
        asked.append(now)
        return float(len(asked))

    fees = fund_when_due(fetch, CandleStore(tiny_datadir), lambda: now)
    opened = datetime(2024, 1, 1, tzinfo=UTC)
    sums = []
    for _ in range(33):
        sums.append(fees(None, PAIR, 1.0, False, opened))
        now += HOUR // 2
    assert [(time - asked[0]) // HOUR for time in asked] == [0, 8, 16]
    assert sums == [1.0] * 16 + [2.0] * 16 + [3.0]
    for trade in ((PAIR, 2.0, False, opened), (PAIR, 1.0, True, opened)):
        fees(None, *trade)
    fees(None, PAIR, 1.0, False, opened + timedelta(hours=1))
    assert len(asked) == 6


class Plain(IStrategy):
    """A strategy that does nothing at a look."""

    process_only_new_candles = True

    def __init__(self) -> None:
        pass

    def populate_indicators(self, dataframe: pd.DataFrame, metadata: Any) -> pd.DataFrame:
        return dataframe

    def gather_informative_pairs(self) -> Any:
        return [("BTC/USDT", "1h", CandleType.SPOT)]


# One that tells of late candles, as the shipped ones do.
_ABSTRACT = ("candle", "informatives_of", "spot_of", "thresholds")
Watched = type("Watched", (WatchedFeed, Plain), dict.fromkeys(_ABSTRACT) | vars(Plain))


class Busy(Plain):
    """A user's own, of which nobody knows what it does at a look."""

    def bot_loop_start(self, current_time: datetime, **kwargs: Any) -> None:
        pass


# A user's own, which overrides what the shipped ones do at a look.
Watching = type("Watching", (Watched,), {"watch_feed": lambda *_: None})
Logging = type("Logging", (Watched,), {"log_candle": lambda *_: None})


class Restless(Plain):
    """One that analyses a candle again and again."""

    process_only_new_candles = False


def looks_of(monkeypatch: pytest.MonkeyPatch, strategy: type[Any], **changes: Any) -> list[str]:
    """Return what a bot does at one look."""
    known: dict[str, Any] = {
        "trades": 0,
        "due": (),
        "dry_run": True,
        "pairs": [PAIR],
        "frame": {},
    } | changes
    last = {"enter_long": 0, "enter_short": 0, "premium": 1e-4, **(known["frame"] or {})}
    frame = pd.DataFrame([last] if known["frame"] is not None else [])
    done: list[str] = []
    keys = [(PAIR, "1h", CandleType.FUTURES), ("BTC/USDT", "1h", CandleType.SPOT)]
    monkeypatch.setattr(
        shortcuts,
        "Trade",
        SimpleNamespace(
            get_open_trade_count=lambda: known["trades"], commit=lambda: done.append("commit")
        ),
    )
    bot = SimpleNamespace(
        strategy=strategy(),
        active_pair_whitelist=known["pairs"],
        config={"dry_run": known["dry_run"]},
        dataprovider=SimpleNamespace(get_analyzed_dataframe=lambda pair, timeframe: (frame, None)),
        pairlists=SimpleNamespace(create_pair_list=lambda pairs: keys[:1]),
        exchange=SimpleNamespace(
            _klines=dict.fromkeys(keys[: known.get("held", 2)]),
            _now_is_time_to_refresh=lambda pair, *_: pair in known["due"],
            reload_markets=lambda: done.append("markets"),
        ),
        _schedule=SimpleNamespace(run_pending=lambda: done.append("schedule")),
    )
    bot.strategy.timeframe = "1h"
    if known.get("looked", True):
        bot.rehearsal_looked = True
    skip_idle_looks(lambda self: done.append("look"))(bot)
    return done


@pytest.mark.parametrize("strategy", [Plain, Watched])
def test_idle_look_is_skipped(strategy: type[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    assert looks_of(monkeypatch, strategy) == ["markets", "schedule", "commit"]


@pytest.mark.parametrize(
    ("strategy", "changes"),
    [
        (Plain, {"looked": False}),
        (Plain, {"trades": 1}),
        (Plain, {"due": (PAIR,)}),
        (Plain, {"due": ("BTC/USDT",)}),
        (Plain, {"held": 1}),
        (Plain, {"frame": {"enter_short": 1}}),
        (Plain, {"frame": {"enter_long": 1}}),
        (Plain, {"frame": {"premium": np.nan}}),
        (Plain, {"frame": None}),
        (Plain, {"pairs": []}),
        (Plain, {"dry_run": False}),
        (Busy, {}),
        (Watching, {}),
        (Logging, {}),
        (Restless, {}),
    ],
)
def test_look_that_may_act_is_not_skipped(
    strategy: type[Any], changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert looks_of(monkeypatch, strategy, **changes) == ["look"]


def test_look_after_a_failed_look_is_not_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shortcuts, "is_idle", lambda bot: True)
    monkeypatch.setattr(shortcuts, "Trade", SimpleNamespace(commit=lambda: None))
    outcomes = iter([KeyError("late"), None])
    looked: list[int] = []

    def process(self: Any) -> None:
        looked.append(1)
        if outcome := next(outcomes):
            raise outcome

    part = SimpleNamespace(reload_markets=lambda: None, run_pending=lambda: None)
    bot = SimpleNamespace(exchange=part, _schedule=part)
    look = skip_idle_looks(process)
    with pytest.raises(KeyError, match="late"):
        look(bot)
    for _ in range(3):
        look(bot)
    assert len(looked) == 2


@pytest.mark.parametrize(
    ("known", "only_new", "analysed"),
    [(3, True, False), (2, True, True), (None, True, True), (3, False, True)],
)
def test_candle_is_analysed_until_it_is_known(
    known: int | None, only_new: bool, analysed: bool
) -> None:
    frame, called = candles([0, 1, 2, 3]), []
    strategy = SimpleNamespace(
        process_only_new_candles=only_new,
        timeframe="1h",
        config={"candle_type_def": CandleType.FUTURES},
        dp=SimpleNamespace(ohlcv=lambda *_, **options: frame),
        _IStrategy__last_candle_seen_per_pair={
            PAIR: None if known is None else frame["date"].iloc[known]
        },
    )
    skip_known_candles(lambda self, pair: called.append(pair))(strategy, PAIR)
    assert bool(called) == analysed
