"""A band holds what it should, and a locked one is for the config that it was locked with."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.bot_record import PAIR, SETTINGS, at, trades, with_config

from perp_imbalance.errors import DataError, SettingsError
from perp_imbalance.reconcile import Lock
from perp_imbalance.reconcile.band import LEAST_TRADES, band
from perp_imbalance.reconcile.changes import changes


def locked() -> Lock:
    rows = [{"open_date": at(0, day), "profit_ratio": day / 1e4} for day in range(1, 15)]
    still_open = {"open_date": at(0, 15), "close_date": pd.NaT, "profit_ratio": 9.0}
    return Lock.of(trades(*rows, still_open), SETTINGS, [PAIR], "20250301-20250315")


def test_band_holds_the_mean_of_as_many_trades_19_times_in_20() -> None:
    rng = np.random.default_rng(3)
    inside = 0
    for _ in range(200):
        profits = rng.normal(5.0, 80.0, 400)
        found = band(list(profits), 1, 50)
        assert found is not None
        inside += found.holds(float(rng.normal(profits.mean(), profits.std() / np.sqrt(50))))
    assert 0.90 <= inside / 200 <= 0.99


def test_band_is_wider_if_neighbouring_trades_correlate() -> None:
    weeks = np.repeat(np.random.default_rng(1).normal(0.0, 50.0, 60), 5)
    alone, together = (band(list(weeks), block, 40) for block in (1, 5))
    assert alone is not None
    assert together is not None
    assert together.high - together.low > 1.5 * (alone.high - alone.low)


def test_band_is_not_wider_without_shared_luck() -> None:
    profits = list(np.random.default_rng(1).normal(0.0, 50.0, 300))
    alone, together = (band(profits, block, 40) for block in (1, 5))
    assert alone is not None
    assert together is not None
    assert 0.7 < (together.high - together.low) / (alone.high - alone.low) < 1.3


def test_few_trades_make_no_band() -> None:
    assert band([1.0] * (LEAST_TRADES - 1), 1, 5) is None
    assert band([1.0] * LEAST_TRADES, 1, 0) is None


def test_lock_keeps_closed_trades_in_order_of_time() -> None:
    assert locked().profits_bps == [float(day) for day in range(1, 15)]


@pytest.mark.parametrize(("weeks", "block"), [(1, 1), (2, 1), (20, 5)])
def test_blocks_of_a_week_are_never_most_of_all_trades(weeks: int, block: int) -> None:
    days = [day for day in range(7 * weeks) if day % 7 < 5]
    rows = [{"open_date": at(0, 3) + pd.Timedelta(days=day)} for day in days]
    profits = np.random.default_rng(1).normal(0.0, 50.0, 2 * len(rows))
    both = [{**row, "profit_ratio": p / 1e4} for row, p in zip(rows * 2, profits, strict=True)]
    lock = Lock.of(trades(*both[: 2 * len(rows) if weeks == 1 else len(rows)]), SETTINGS, [], "")
    assert lock.block == block
    # A bot that does as the backtest does lies inside.
    found = lock.band(len(lock.profits_bps))
    assert found is not None
    assert found.holds(float(np.mean(lock.profits_bps)) + 0.03)


def test_lock_comes_back_as_it_was_written(tmp_path: Path) -> None:
    lock = locked()
    lock.write(tmp_path / "band.json")
    again = Lock.read(tmp_path / "band.json")
    assert again.band(7) == lock.band(7)
    again.check(SETTINGS, [PAIR], tmp_path / "band.json")
    again.check({**SETTINGS, "version": "0.4.0"}, [PAIR], tmp_path / "band.json")


@pytest.mark.parametrize(
    ("settings", "pairs", "said"),
    [
        (with_config(max_open_trades=3), [PAIR], "max_open_trades was 2, is 3"),
        (SETTINGS, [PAIR, "ETH/USDT:USDT"], "another config (pairs)"),
    ],
)
def test_changed_config_is_refused_in_one_line(
    settings: dict[str, object], pairs: list[str], said: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError) as refused:
        locked().check(settings, pairs, tmp_path / "band.json")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("14.0", "99.0"), "was changed after it was written"),
        (lambda text: text[:-9], "is not a file that reconcile --lock wrote"),
        (lambda text: "[]", "is not a file that reconcile --lock wrote"),
        (lambda text: json.dumps({"hash": ""}), "is not a file that reconcile --lock wrote"),
    ],
)
def test_lock_that_was_changed_is_refused(change: object, said: str, tmp_path: Path) -> None:
    file = tmp_path / "band.json"
    locked().write(file)
    assert callable(change)
    file.write_text(change(file.read_text("utf-8")))
    with pytest.raises(DataError, match=said):
        Lock.read(file)


def test_changes_name_long_values_only() -> None:
    before = {"settings": {"protections": ["a" * 50], "sides": ["long"]}, "started": "a"}
    now = {"settings": {"protections": [], "sides": ["long"], "more": 1}, "started": "b"}
    assert changes(before, now) == ["protections"]
