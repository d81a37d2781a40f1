"""A watch looks when something can be new, and says what changed since the last candle."""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
from support.scan import NOW, market, rules, table_market

from perp_imbalance.scan.rank import nothing_ranked, rank
from perp_imbalance.scan.records import LeftOut, Ranking, Standing
from perp_imbalance.scan.watch import (
    AGAIN_SECONDS,
    Changes,
    Flip,
    changes,
    seconds_to_wait,
    watch,
)


def shown_of(*looks: Ranking) -> list[tuple[Ranking, Changes | None]]:
    """Return what a watch shows that finds these, look after look."""
    found = iter(looks)
    shown: list[tuple[Ranking, Changes | None]] = []
    with pytest.raises(StopIteration):
        watch(
            lambda: next(found),
            lambda *what: shown.append(what),
            timeframe="1h",
            patience=90,
            sleep=lambda _: None,
        )
    return shown


def at(ranking: Ranking, hours: int) -> Ranking:
    """Return a ranking so many candles later."""
    later = pd.Timedelta(hours=hours)
    return ranking._replace(rows=[replace(r, candle=r.candle + later) for r in ranking.rows])


def test_watch_prints_only_changes() -> None:
    ranking = rank(*market(2, 200), rules())
    other = ranking._replace(rows=ranking.rows[::-1])
    shown = shown_of(ranking, ranking, other)
    assert [found for found, _ in shown] == [ranking, other]


def test_watch_compares_with_the_candle_before() -> None:
    first = table_market()
    second, third = at(first, 1), at(first, 2)
    late = second._replace(rows=second.rows[::-1])
    gone = nothing_ranked("deviation")
    shown = shown_of(first, second, late, gone, third)
    assert [found for found, _ in shown] == [first, second, late, gone, third]
    since = [differs and differs.since for _, differs in shown]
    # A late candle is compared with the same as those in time; an outage does not count.
    assert since == [None, first.candle, first.candle, None, second.candle]


def test_changes_are_those_of_values_biases_and_rows() -> None:
    before = table_market()
    known, unknown = before.rows
    standings = {
        known.perp: Standing(-35.0, "none"),
        "N/USDT:USDT": Standing(20.0, "long"),
        unknown.perp: Standing(7.0, "long"),
    }
    now = at(before, 1)._replace(
        rows=[known], standings=standings, market=before.market._replace(premium_mean=-10.5)
    )
    found = changes(before, now)
    assert found.values[known.perp] == -4.0
    assert np.isnan(found.values[unknown.perp])
    assert set(found.values) == {known.perp, unknown.perp}
    assert found.flips == [Flip(known.perp, "short", "none")]
    assert (found.entered, found.left) == ([], [unknown.perp])
    assert changes(now, before).entered == [unknown.perp]
    assert found.premium_mean == 1.5


def test_watch_retries_late_candles_within_its_limit() -> None:
    ranking = rank(*market(2, 200), rules())
    opened = NOW.floor("1h")
    soon, later = opened + pd.Timedelta("20s"), opened + pd.Timedelta("5min")
    until_next = (pd.Timedelta("1h") - pd.Timedelta("20s")).total_seconds()
    assert seconds_to_wait(ranking, "1h", soon, 90) == pytest.approx(until_next + 4)
    assert seconds_to_wait(nothing_ranked("z"), "1h", later, 90) == AGAIN_SECONDS
    late = ranking._replace(left_out=[LeftOut("C9", "late")])
    assert seconds_to_wait(late, "1h", soon, 90) == AGAIN_SECONDS
    assert seconds_to_wait(late, "1h", later, 90) == pytest.approx(55 * 60 + 4)


def test_watch_waits_for_a_missing_candle() -> None:
    ranking = rank(*market(1, 200), rules())
    closed = NOW.floor("1h") + pd.Timedelta("1h")
    wait = partial(seconds_to_wait, ranking, "1h", patience=90)
    assert wait(now=closed + pd.Timedelta("75s")) == AGAIN_SECONDS
    # Another look would come after its patience.
    assert wait(now=closed + pd.Timedelta("76s")) == pytest.approx(3600 - 76 + 4)


def test_watch_waits_for_the_next_candle_after_each_look() -> None:
    ranking = rank(*market(2, 200), rules())
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch(lambda: ranking, lambda *_: None, timeframe="1h", patience=90, sleep=sleep)
    assert len(waits) == 3
