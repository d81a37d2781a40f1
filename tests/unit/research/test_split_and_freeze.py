"""A test set stays closed until choices are frozen, and every look at it is counted."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.history import ROWS, made_history

from perp_imbalance.errors import DataError, SettingsError
from perp_imbalance.indicators import PRESETS
from perp_imbalance.research.freeze import Freeze, code_version
from perp_imbalance.research.multiple import false_discovery, family_of
from perp_imbalance.research.pair_history import PairHistory
from perp_imbalance.research.screen import Screen
from perp_imbalance.research.split import WHOLE, Part, check_parts
from perp_imbalance.strategy.settings import Settings

BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
DECIDED = {**code_version(), "thresholds": {"enter_z": 1.7}, "options": {"fee": 0.0005}}


def test_part_has_no_candle_of_another() -> None:
    candles = made_history(1)
    design, later = Part.parse("design", "-20240201"), Part.parse("test", "20240201-")
    first, second = design.of(candles), later.of(candles)
    assert first is not None
    assert second is not None
    assert len(first.perp) == second.begin == len(first.premium) == len(first.funding)
    assert first.perp["date"].max() < pd.Timestamp("2024-02-01", tz="UTC")
    assert second.perp["date"].iloc[second.begin] == pd.Timestamp("2024-02-01", tz="UTC")
    assert all(values.size == second.begin for values in first.series.values())
    whole = WHOLE.of(candles)
    assert whole is not None
    assert len(whole.perp) == ROWS


def test_signals_of_a_part_are_those_of_the_whole() -> None:
    """What comes after a part does not change it, and what lies before it is looked back on."""
    candles = made_history(2)
    part = Part.parse("validation", "20240101-20240301").of(candles)
    assert part is not None
    rows = [
        Screen(of, Settings(), (1,), 0.001).entries_of(PRESETS["aggressive"], "long")
        for of in (part, candles)
    ]
    inside = (rows[1] >= part.begin) & (rows[1] < len(part.perp))
    assert np.array_equal(rows[0], rows[1][inside])


def test_part_by_pair_takes_that_pair_alone() -> None:
    part = Part.parse("test", f"20200101-@{BTC}")
    assert part.of(made_history(1, pair=ETH)) is None
    assert part.of(made_history(1, pair=BTC)) is not None
    assert Part.parse("design", "-20200101").of(made_history(1)) is None


@pytest.mark.parametrize("text", ["", "x", "2023", "20230101-20240101@", f"@{BTC}"])
def test_part_that_names_nothing_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"--design is .*: write a timerange"):
        Part.parse("design", text)


@pytest.mark.parametrize(
    ("design", "test"),
    [
        ("20200101-20230101", "20221231-"),
        ("20200101-20230101", f"20210101-20220101@{BTC}"),
        (f"20200101-@{BTC},{ETH}", f"20200101-@{ETH}"),
    ],
)
def test_parts_that_share_candles_are_refused(design: str, test: str) -> None:
    parts = [Part.parse("design", design), Part.parse("test", test)]
    with pytest.raises(SettingsError, match="--design and --test share candles"):
        check_parts(parts, [BTC, ETH])


def test_parts_apart_in_time_or_pairs_are_taken() -> None:
    texts = {"design": f"-20230101@{BTC}", "validation": f"20230101-@{BTC}", "test": f"2020-@{ETH}"}
    texts["test"] = f"20200101-@{ETH}"
    parts = [Part.parse(name, text) for name, text in texts.items()]
    check_parts(parts, [BTC, ETH])
    with pytest.raises(DataError, match=r"--test names pairs without candles: ETH/USDT:USDT"):
        check_parts(parts, [BTC])


def test_looks_at_a_test_set_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "choices.json"
    first = Freeze(file, DECIDED)
    assert not first.exists
    assert "the test set was not computed" in first.said
    first.write()
    for number, said in enumerate(("first look at the test set", "look number 2 at this"), 1):
        again = Freeze(file, DECIDED)
        assert again.exists
        again.look()
        assert again.said.startswith(said)
        assert len(json.loads(file.read_text("utf-8"))["looks"]) == number
    content = json.loads(file.read_text("utf-8"))
    assert content["frozen"] == {**DECIDED, "candles": {}}
    assert content["hash"] == first.hash


@pytest.mark.parametrize(
    ("name", "value"),
    [("options", {"fee": 0.0}), ("thresholds", {"enter_z": 2.0}), ("code", "other")],
)
def test_what_changed_since_the_freeze_is_refused(tmp_path: Path, name: str, value: Any) -> None:
    file = tmp_path / "choices.json"
    Freeze(file, DECIDED).write()
    with pytest.raises(SettingsError, match=f"was frozen with other {name}: the test set is for"):
        Freeze(file, DECIDED | {name: value})


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"frozen": 1, "hash": "x", "looks": 3}'])
def test_file_that_is_not_a_freeze_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "choices.json"
    file.write_text(text)
    with pytest.raises(DataError, match="is not a file that --freeze wrote"):
        Freeze(file, DECIDED)


@pytest.mark.parametrize("key", ["frozen", "looks", "hash", "looks_hash"])
def test_freeze_that_was_edited_is_refused(tmp_path: Path, key: str) -> None:
    file = tmp_path / "choices.json"
    Freeze(file, DECIDED).write()
    Freeze(file, DECIDED).look()
    content = json.loads(file.read_text("utf-8"))
    content[key] = {"frozen": {**content["frozen"], "code": "other"}, "looks": []}.get(key, "x")
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match="was changed after it was written"):
        Freeze(file, DECIDED)


_AT = pd.Timestamp("2024-06-01", tz="UTC")


def _upto(history: PairHistory, end: pd.Timestamp) -> PairHistory:
    """Return a history that ends earlier, as a folder had it before later candles came."""
    found = Part("any", end=end).of(history)
    assert found is not None
    return found


def _changed(column: str) -> PairHistory:
    """Return a history with one other value within what was frozen."""
    history = made_history(1)
    perp = history.perp.copy()
    other: dict[str, Any] = {}
    if column in perp:
        prices = perp[column].to_numpy(copy=True)
        prices[100] *= 1.0005
        perp[column] = prices
    elif column in history.series:
        values = history.series[column].copy()
        values[100] = 0.5
        other = {"series": {**history.series, column: values}}
    else:
        values = np.array(getattr(history, column))
        values[100] += 1e-4
        other = {column: values}
    return replace(history, perp=perp, **other)


def test_same_candles_are_accepted_again(tmp_path: Path) -> None:
    file = tmp_path / "choices.json"
    Freeze(file, DECIDED, [made_history(1)]).write()
    assert Freeze(file, DECIDED, [made_history(1)]).exists


@pytest.mark.parametrize(
    "column", ["open", "close", "volume", "premium", "band_close", "funding", "open_interest"]
)
def test_other_candles_than_the_frozen_are_refused(tmp_path: Path, column: str) -> None:
    file = tmp_path / "choices.json"
    Freeze(file, DECIDED, [made_history(1), made_history(1, pair=ETH)]).write()
    with pytest.raises(SettingsError, match=r"with other candles of X/USDT:USDT: the test set"):
        Freeze(file, DECIDED, [_changed(column), made_history(1, pair=ETH)])


@pytest.mark.parametrize(
    ("design", "is_accepted"), [("-20240101", True), (f"20200101-@{ETH}", True), ("-", False)]
)
def test_later_candles_may_follow_in_the_test_part_alone(
    tmp_path: Path, design: str, is_accepted: bool
) -> None:
    file = tmp_path / "choices.json"
    parts = [WHOLE if design == "-" else Part.parse("design", design)]
    parts.append(Part.parse("test", "20240301-"))
    Freeze(file, DECIDED, [_upto(made_history(1), _AT)], parts).write()
    later = [made_history(1)]
    if is_accepted:
        assert Freeze(file, DECIDED, later, parts).exists
    else:
        with pytest.raises(SettingsError, match="with other candles of X/USDT:USDT"):
            Freeze(file, DECIDED, later, parts)


def test_fewer_candles_than_the_frozen_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "choices.json"
    Freeze(file, DECIDED, [made_history(1)]).write()
    with pytest.raises(SettingsError, match="with other candles of X/USDT:USDT"):
        Freeze(file, DECIDED, [_upto(made_history(1), _AT)])


def test_best_of_many_worthless_results_is_not_kept() -> None:
    rng = np.random.default_rng(2)
    weekly = pd.DataFrame(rng.normal(size=(200, 40)))
    best = weekly.mean() / weekly.std() * 200**0.5
    assert best.max() > 1.96
    family = family_of(weekly, draws=500, seed=1)
    assert family.better == []
    assert family.spa_p is not None
    assert family.spa_p > 0.1
    planted = family_of(weekly.assign(edge=weekly[0] + 1), draws=500, seed=1)
    assert planted.better == ["edge"]
    assert planted.spa_p == 0


def test_family_of_few_weeks_is_not_tested() -> None:
    family = family_of(pd.DataFrame(np.eye(20)), draws=500, seed=1)
    assert (family.spa_p, family.better, family.block) == (None, [], None)


def test_false_discovery_leaves_out_what_was_not_tested() -> None:
    found = false_discovery([0.01, None, 0.02, 0.9])
    assert found == [pytest.approx(0.03), None, pytest.approx(0.03), pytest.approx(0.9)]
    assert false_discovery([None]) == [None]
