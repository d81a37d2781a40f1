"""A crossing is news once: not at a restart, not at the next look, not in another list of pairs."""

import numpy as np
import pandas as pd
import pytest

from perp_imbalance.strategy.alerts import CrossingAlert
from perp_imbalance.strategy.crossing_watch import CrossingWatch, dislocated

NAN = float("nan")
RULE = CrossingAlert(kind="deviation", level=10.0, cooldown_candles=2)
DATES = pd.date_range("2025-03-01", periods=40, freq="1h", tz="UTC")
START = DATES[0]


def news(
    watch: CrossingWatch, values: list[float], name: str = "X", earliest: pd.Timestamp = START
) -> int:
    return watch.news(name, RULE, DATES[: len(values)], np.array(values, float), earliest)


def lived(series: list[float], earliest: pd.Timestamp = START, begin: int = 3) -> list[int]:
    """Return what a bot tells that looks twice at each candle from one on, with what it has."""
    watch, told = CrossingWatch(), []
    for end in range(begin, len(series) + 1):
        told.append(news(watch, series[:end], earliest=earliest))
        assert news(watch, series[:end], earliest=earliest) == 0
    return told


@pytest.mark.parametrize(
    ("series", "told"),
    [
        ([0, 0, 0, 11, 12, 0, 11], [0, 1, 0, 0, 0]),
        ([0, 0, 0, 11, 0, 0, 11], [0, 1, 0, 0, 1]),
        ([0, 0, 0, 11, -11, 11], [0, 1, -1, 0]),
        ([0, 0, 0, 11] + 36 * [12], [0, 1] + 36 * [0]),
    ],
)
def test_crossing_sends_one_alert_over_all_looks(series: list[float], told: list[int]) -> None:
    assert lived(series) == told


def test_crossing_before_the_first_look_sends_no_alert() -> None:
    assert lived([0, 0, 11, 11, 11], begin=4) == [0, 0]


def test_restart_repeats_no_crossing() -> None:
    series = [0.0, 0, 11, 11]
    assert news(CrossingWatch(), series[:3], earliest=DATES[2]) == 1
    assert news(CrossingWatch(), series[:3], earliest=DATES[3]) == 0
    assert news(CrossingWatch(), series, earliest=DATES[3]) == 0


@pytest.mark.parametrize(("after", "told"), [(12.0, 1), (NAN, 1), (0.0, 0)])
def test_missed_candle_is_reported_unless_it_has_closed(after: float, told: int) -> None:
    watch = CrossingWatch()
    assert news(watch, [0, 0, 0]) == 0
    assert news(watch, [0, 0, 0, 11, after]) == told


def test_late_value_is_reported_when_it_arrives() -> None:
    watch = CrossingWatch()
    assert news(watch, [0, 0, 0, NAN]) == 0
    assert news(watch, [0, 0, 0, 11]) == 1


def test_crossing_that_moves_later_is_not_repeated() -> None:
    """A late candle, or another list of pairs behind a share."""
    watch = CrossingWatch()
    assert news(watch, [0, 0, 0]) == 0
    assert news(watch, [0, 0, 0, 11]) == 1
    assert news(watch, [0, 0, 0, 0, 11]) == 0
    assert news(watch, [0, 0, 0, 0, 0, 0, 11]) == 1


def test_pairs_and_rules_do_not_silence_each_other() -> None:
    watch = CrossingWatch()
    other = RULE.model_copy(update={"level": 5.0})
    for name in ("X", "Y"):
        assert news(watch, [0, 0, 0], name) == 0
        assert news(watch, [0, 0, 0, 11], name) == 1
    values = np.array([0.0, 0, 0, 11])
    assert watch.news("X", other, DATES[:3], values[:3], START) == 0
    assert watch.news("X", other, DATES[:4], values, START) == 1


def test_share_is_of_known_pairs_and_needs_half_of_them() -> None:
    rule = CrossingAlert(kind="market", level=30.0)
    columns = {"A": [-10.0, -9.9, NAN], "B": [0.0, -50.0, -50.0], "C": [-11.0, 5.0, NAN]}
    frames = {
        pair: pd.DataFrame({"date": DATES[:3], "deviation_bps": values})
        for pair, values in columns.items()
    }
    found = dislocated(frames, rule)
    assert found["dislocated"].tolist() == [2, 1, 1]
    assert found["known"].tolist() == [3, 3, 1]
    np.testing.assert_allclose(found["share"], [200 / 3, 100 / 3, NAN])
    above = rule.model_copy(update={"deviation_bps": 5.0})
    assert dislocated(frames, above)["dislocated"].tolist() == [0, 1, 0]
