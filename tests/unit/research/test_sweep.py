"""A sweep signals what the strategy signals, counts honestly, and stays small."""

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from freqtrade.data.history import load_pair_history
from freqtrade.enums import CandleType, RunMode
from freqtrade.resolvers import StrategyResolver
from hypothesis import given
from hypothesis import strategies as st
from support.data_provider import Candles
from support.freqtrade import (
    ROOT,
    SAMPLE_PAIRS,
    add_open_interest,
    perp_imbalance,
    refused,
)

from perp_imbalance.errors import DataError, SettingsError
from perp_imbalance.indicators import PRESETS, Thresholds
from perp_imbalance.indicators.gates import OPTIONAL_GATES
from perp_imbalance.research import grid_sweep as sweeping
from perp_imbalance.research.cells import CellAxis
from perp_imbalance.research.forward import forward_returns, statistics
from perp_imbalance.research.grid import Grid, parse_values
from perp_imbalance.research.grid_sweep import Plan, Sweep, run_sweep
from perp_imbalance.research.pair_history import PairHistories, PairHistory, funding_by_candle
from perp_imbalance.research.screen import Row, Screen
from perp_imbalance.strategy.parameters import PARAMETER_NAMES
from perp_imbalance.strategy.settings import Settings

BTC = "BTC/USDT:USDT"
WIDE: dict[str, list[Any]] = {
    **{"enter_z": [1.3, 1.7, 2.2], "exit_z": [0.3, 0.9], "len_prem": [25, 50]},
    **{"smooth_len": [1, 3], "use_sigma": [True, False], "bb_len": [40, 100]},
    **{"bb_k": [1.0, 1.5], "use_htf": [True, False], "htf_z_min": [0.2, 0.8]},
}


@pytest.fixture(scope="module")
def btc(sample_datadir: Path) -> PairHistory:
    return next(PairHistories(sample_datadir, "1h", Settings()).pairs([BTC]))


def signalled(folder: Path, datadir: Path, thresholds: Thresholds) -> pd.DataFrame:
    """Return the entry signals of the strategy, loaded by freqtrade."""
    strategy = StrategyResolver.load_strategy(
        {
            **{"strategy": "PerpImbalance", "strategy_path": str(folder)},
            **{"user_data_dir": folder.parent, "exchange": {"name": "binance"}},
            **{"runmode": RunMode.BACKTEST, "trading_mode": "futures", "timeframe": "1h"},
        }
    )
    strategy.ft_bot_start()
    for name in (*PARAMETER_NAMES, *OPTIONAL_GATES):
        getattr(strategy, name).value = getattr(thresholds, name)
    strategy.dp = Candles(datadir)
    candles = strategy.dp.get_pair_dataframe(BTC, "1h", CandleType.FUTURES)
    dataframe = strategy.populate_indicators(candles, {"pair": BTC})
    signals: pd.DataFrame = strategy.populate_entry_trend(dataframe, {"pair": BTC})
    return signals


def test_sweep_signals_equal_the_strategys(
    btc: PairHistory, sample_datadir: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "strategies"
    shutil.copytree(ROOT / "strategies", folder, ignore=shutil.ignore_patterns("*.json", "__*"))
    screen = Screen(btc, Settings(), (4,), 0.001)
    counts = set()
    for thresholds in Grid(WIDE, PRESETS["balanced"]).combinations(20, seed=5):
        signals = signalled(folder, sample_datadir, thresholds)
        for side in ("short", "long"):
            expected = np.flatnonzero(signals[f"enter_{side}"])
            np.testing.assert_array_equal(screen.entries_of(thresholds, side), expected)
            counts.add(expected.size)
    assert len(counts) > 10


def test_optional_gates_are_those_of_the_strategy(sample_datadir: Path, tmp_path: Path) -> None:
    folder, datadir = tmp_path / "strategies", tmp_path / "binance"
    shutil.copytree(ROOT / "strategies", folder, ignore=shutil.ignore_patterns("*.json", "__*"))
    shutil.copytree(sample_datadir, datadir)
    add_open_interest(datadir, [BTC])
    candles = next(PairHistories(datadir, "1h", Settings()).pairs([BTC]))
    screen = Screen(candles, Settings(), (4,), 0.001)
    counts: dict[bool, set[int]] = {True: set(), False: set()}
    for funding, oi in itertools.product([True, False], repeat=2):
        gated = Settings(use_funding=funding, use_oi=oi).gated(
            Thresholds(use_sigma=False, funding_min=0.0002, oi_len=6)
        )
        signals = signalled(folder, datadir, gated)
        for side in ("short", "long"):
            expected = np.flatnonzero(signals[f"enter_{side}"])
            np.testing.assert_array_equal(screen.entries_of(gated, side), expected)
            counts[side == "short"].add(expected.size)
    assert all(len(found) == 4 and min(found) > 0 for found in counts.values())


def test_grid_has_every_distinct_combination_once() -> None:
    """Off, a gate's own thresholds do not matter; exit_z stays below enter_z."""
    grid = Grid({**WIDE, "exit_z": [0.3, 1.5]}, PRESETS["balanced"])
    found = list(grid.combinations())
    # (25, 50) × (1, 3) × enter above exit × (off, or 4 bands) × (off, or 2 levels)
    assert len(found) == len(set(found)) == len(grid) == 2 * 2 * 5 * 5 * 3
    assert all(thresholds.enter_z > thresholds.exit_z for thresholds in found)


@given(sample=st.integers(1, 200), seed=st.integers(0, 9))
def test_sample_is_so_many_combinations_of_the_grid(sample: int, seed: int) -> None:
    grid = Grid(WIDE, PRESETS["balanced"])
    found = list(grid.combinations(sample, seed))
    assert len(set(found)) == len(found) == min(sample, len(grid))
    assert set(found) <= set(grid.combinations())
    assert found == list(grid.combinations(sample, seed))


def test_sample_of_a_grid_too_large_to_hold_comes_at_once() -> None:
    fine = parse_values("1.2:3:0.002", float)
    grid = Grid(
        {
            "enter_z": fine,
            "exit_z": parse_values("0.1:1.1:0.002", float),
            "bb_k": fine,
            "htf_z_min": fine,
            "use_htf": [True],
        },
        PRESETS["balanced"],
    )
    assert len(grid) > 10**11
    assert len(list(itertools.islice(grid.combinations(50), 50))) == 50


@pytest.mark.parametrize(
    ("text", "kind", "values"),
    [
        ("1.2:1.4:0.1", float, [1.2, 1.3, 1.4]),
        ("25,50", int, [25, 50]),
        ("20:40:10,90", int, [20, 30, 40, 90]),
        ("yes,off", bool, [True, False]),
    ],
)
def test_axis_is_read_as_it_is_written(text: str, kind: type, values: list[Any]) -> None:
    assert parse_values(text, kind) == values


@pytest.mark.parametrize(
    ("text", "kind"),
    [("a", float), ("1:2", float), ("1:2:0", float), ("2:1:0.5", float), ("1:2:0.3", float),
     ("2.5", int), ("1e30", int), ("1", bool), ("", float), ("1:inf:1", float), ("nan", float)],
)  # fmt: skip
def test_axis_that_cannot_be_read_is_refused(text: str, kind: type) -> None:
    with pytest.raises(SettingsError, match="is no value to sweep over"):
        parse_values(text, kind)


@pytest.mark.parametrize("text", ["1:2:1e-9", "0:999:1,2000", "0:1e300:1"])
def test_axis_of_too_many_values_is_refused_at_once(text: str) -> None:
    with pytest.raises(SettingsError, match="has more than 1000 values: take a larger step"):
        parse_values(text, float)
    assert len(parse_values("1:1000:1", int)) == 1000


def test_forward_return_starts_next_open_and_pays_funding(btc: PairHistory) -> None:
    horizons = (1, 7)
    found = forward_returns(btc, horizons)
    opens = btc.perp["open"].to_numpy()
    paid = {row: btc.funding[row] for row in np.flatnonzero(btc.funding)}
    assert len(paid) > 900
    for number, horizon in enumerate(horizons):
        for signal in (0, 17, 500, len(opens) - 2 - horizon):
            first, last = signal + 1, signal + 1 + horizon
            funding = sum(rate for row, rate in paid.items() if first < row <= last)
            assert found.move[number, signal] == pytest.approx(opens[last] / opens[first] - 1)
            assert found.funding[number, signal] == pytest.approx(funding, abs=1e-15)
            short = found.of_side(-1, 0.001)[number, signal]
            assert short == pytest.approx(1 - opens[last] / opens[first] + funding - 0.001)
        assert np.isnan(found.move[number, len(opens) - 1 - horizon :]).all()


def test_time_range_includes_its_start_and_not_its_end(
    sample_datadir: Path,
) -> None:
    folder = PairHistories(sample_datadir, "1h", Settings(), timerange="20250401-20250501")
    candles = next(folder.pairs([BTC]))
    dates = candles.perp["date"]
    assert dates.iloc[candles.begin] == pd.Timestamp("2025-04-01", tz="UTC")
    assert dates.iloc[-1] == pd.Timestamp("2025-04-30 23:00", tz="UTC")
    # What lies before is looked back on, and no event.
    screen, thresholds = Screen(candles, Settings(), (4,), 0.001), PRESETS["balanced"]
    for row in screen.rows_of(thresholds):
        entries = screen.entries_of(thresholds, row.side)
        flips = screen.flips_of(thresholds, row.side)
        assert min(*entries, *flips) >= candles.begin > 0
        assert (row.entries, row.zones) == (len(entries), len(flips))
        assert row.entries < row.zones


def test_funding_belongs_to_the_candle_that_opens_with_it() -> None:
    dates = pd.date_range("2025-01-01", periods=6, freq="1h", tz="UTC")
    perp = pd.DataFrame({"date": dates[1:4]})
    rates = pd.DataFrame({"date": dates, "funding_rate": [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]})
    assert funding_by_candle(perp, rates).tolist() == [2.0, 4.0, 8.0]


def test_statistics_count_overlapping_events_as_one() -> None:
    rng = np.random.default_rng(3)
    returns = rng.normal(0.1, 1, 50)
    apart = statistics(returns, np.arange(0, 500, 10), horizon=10)
    assert apart.events == 50
    assert apart.mean == pytest.approx(returns.mean())
    assert apart.t == pytest.approx(returns.mean() / (returns.std(ddof=1) / np.sqrt(50)))
    assert apart.median == pytest.approx(np.median(returns))
    assert apart.hit_rate == (returns > 0).mean()
    # Every event twice in a row tells nothing new: the same t but for the factor of small samples.
    twice = np.repeat(returns, 2)
    pairs = np.array([[20 * at, 20 * at + 1] for at in range(50)])
    doubled = statistics(twice, pairs.ravel(), horizon=10)
    assert doubled.t == pytest.approx(apart.t)


@pytest.mark.parametrize("count", [0, 1])
def test_statistics_of_too_few_events_say_nothing(count: int) -> None:
    found = statistics(np.full(count, 0.5), np.arange(count), horizon=4)
    assert found.events == count
    assert np.isnan(found.t)


def test_gate_without_candles_of_its_timeframe_is_refused(
    tiny_datadir: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    arguments = ["--datadir", str(tiny_datadir), "--enter-z", "1.5,1.7,1.9", "--use-htf", "yes,no"]
    said = " ".join(refused(arguments, capsys, "sweep").split())
    assert (
        "the HTF gate has no 4h candles of it: download what is missing, or take the gate off"
        in said
    )
    assert not list(folder.glob("user_data/sweep/*"))


def test_higher_timeframe_does_not_matter_while_its_gate_is_off(
    sample_datadir: Path, folder: Path
) -> None:
    arguments = ["sweep", "--datadir", str(sample_datadir), "--timeframe", "4h", "--pairs", BTC]
    process = perp_imbalance(*arguments, "--enter-z", "1.3,1.7", "--min-events", "1", cwd=folder)
    assert process.returncode == 0, process.stderr
    assert "higher timeframe" not in process.stderr
    # Of two cells neither has another side.
    assert "no plateau: no cell has neighbours enough" in process.stdout


def test_entry_beyond_the_last_horizon_is_no_event(btc: PairHistory) -> None:
    thresholds = PRESETS["balanced"]
    entries = Screen(btc, Settings(), (1,), 0.001).entries_of(thresholds, "short")
    # The open that would end it is one after the last.
    horizon = len(btc.perp) - 1 - int(entries[-3])
    (row,) = Screen(btc, Settings(sides=["short"]), (horizon,), 0.001).rows_of(thresholds)
    assert (row.entries, row.events) == (len(entries), len(entries) - 3)
    assert np.isfinite(row.mean)


def test_cell_is_the_mean_of_combinations_with_enough_events() -> None:
    thresholds = PRESETS["balanced"]
    axes = CellAxis([thresholds.enter_z]), CellAxis([thresholds.exit_z])
    found = Sweep(Path("unused"), *axes, min_events=3)
    nan = float("nan")
    for events, mean in ((6, 0.02), (3, 0.03), (2, 0.04), (0, nan)):
        row = Row("short", 4, 9, 7, events, mean, 0.5, 0.5, 1.0)
        found.add(BTC, thresholds, row)
        found.add(BTC, thresholds, row._replace(side="long", events=events // 3))
    short, long = found.cells.values()
    assert (short.combinations, short.events) == (2, 9)
    assert short.mean == short.mean_at_least == pytest.approx(0.025)
    # None has three: what they earned only pulls down what is around.
    assert (long.combinations, long.events, long.has_enough) == (0, 0, False)
    assert np.isnan(long.mean)
    assert long.mean_at_least == pytest.approx(0.025)


def test_rows_are_written_once_however_many_there_are(
    btc: PairHistory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "_ROWS_A_GROUP", 3)
    grid = Grid({"enter_z": [1.3, 1.7, 2.2], "exit_z": [0.3, 0.9]}, PRESETS["balanced"])
    file = tmp_path / "sweep.parquet"
    run_sweep(Plan(grid, Settings(), (4,), 0.001), [btc], file, lambda _: None)
    rows = pd.read_parquet(file)
    assert len(rows) == len(rows.drop_duplicates(["side", "enter_z", "exit_z"])) == 3 * 2 * 2


def test_command_writes_rows_and_a_page(folder: Path, sample_datadir: Path) -> None:
    process = perp_imbalance(
        *("sweep", "--datadir", str(sample_datadir), "--enter-z", "1.3:1.9:0.2", "--exit-z"),
        *("0.5,0.9", "--use-sigma", "no,yes", "--horizons", "4,12", "--json"),
        *("--timerange", "20250401-"),
        cwd=folder,
    )
    assert process.returncode == 0, process.stderr
    summary = json.loads(process.stdout)
    rows = pd.read_parquet(folder / summary["parquet"])
    combinations = 4 * 2 * 2 * len(SAMPLE_PAIRS)
    assert summary["combinations"] == combinations
    assert len(rows) == combinations * 2 * 2
    assert set(rows["pair"]) == set(SAMPLE_PAIRS)
    assert rows["entries"].sum() > 1000
    assert (rows["events"] <= rows["entries"]).all()
    perp = load_pair_history("BTC/USDT:USDT", "1h", sample_datadir, candle_type=CandleType.FUTURES)
    closes = perp.loc[perp["date"] >= "2025-04-01", "close"]
    made = (closes.iloc[-1] / closes.iloc[0] - 1) * 100
    assert summary["held_pct"]["BTC/USDT:USDT"] == pytest.approx(made, abs=0.005)
    page = (folder / summary["html"]).read_text("utf-8")
    assert f"USDT {made:+.0f} %" in page.split("Holding meanwhile: ")[1][:200]
    assert "worst of the cell and its neighbours" in page
    assert "at least half of those that the grid has, have enough events" in page
    assert "http://" not in page.split("<body>")[1].split("<script")[0]
    best = summary["plateaus"][0]
    assert best["worst_around_bps"] <= best["mean_bps"]
    # Of 4 × 2 cells a corner has three around it, any other five.
    assert {cell["neighbours"] for cell in summary["plateaus"]} <= {3, 5}
    assert all(2 <= cell["neighbours_with_events"] <= cell["neighbours"] for cell in [best])


def test_too_few_events_are_said_to_be_too_few(folder: Path, sample_datadir: Path) -> None:
    process = perp_imbalance(
        *("sweep", "--datadir", str(sample_datadir), "--enter-z", "3.4,3.5"),
        *("--timerange", "20251201-", "--pairs", BTC),
        cwd=folder,
    )
    assert process.returncode == 0
    assert "too few trades to say anything" in process.stderr
    assert not list(folder.glob("user_data/sweep/*.html"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to sweep over: name an axis, such as --enter-z 1.2:3:0.1"),
        (["--enter-z", "0.2,0.3"], "no enter_z of the grid is above any exit_z of it"),
        (["--len-prem", "1,50"], "len_prem is 1, it must be at least 2"),
        (["--exit-z", "x"], "'x' is no value to sweep over: write 20,50 or 20:80:10"),
        (["--enter-z", "2", "--horizons", "0"], "a horizon is 0, it must be at least 1"),
        (["--enter-z", "2", "--horizons", "x"], "'x' is no number of candles to hold: write"),
        (["--enter-z", "2", "--fee", "nan"], "--fee is nan, it must be at least 0 and below 1"),
        (["--enter-z", "2", "--sample", "0"], "--sample is 0, it must be at least 1"),
        (["--enter-z", "2", "--min-events", "0"], "--min-events is 0, it must be at least 1"),
        (["--enter-z", "2", "--sample", "1", "--seed", "-1"], "--seed is -1, it must be at least"),
        (["--enter-z", "2", "--htf-timeframe", "7m"], "htf_timeframe is 7m, it must be a multiple"),
        (["--enter-z", "2", "--pairs", "X/USDT:USDT"], "no 1h candles of X/USDT:USDT; perps there"),
        (["--enter-z", "2", "--timeframe", "3m"], "has no 3m candles of any perp; timeframes the"),
        (
            ["--enter-z", "2", "--timerange", "20300101-"],
            "the time range 20300101- has no candles: ",
        ),
    ],
)
def test_wrong_sweep_is_refused_in_one_line(
    folder: Path,
    sample_datadir: Path,
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    said = refused(["--datadir", str(sample_datadir), *arguments], capsys, "sweep")
    assert message in " ".join(said.split())
    assert not list(folder.glob("user_data/sweep/*"))


def test_pair_without_spot_candles_is_named(tiny_datadir: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_datadir, tmp_path / "binance")
    (tmp_path / "binance" / "BTC_USDT-1h.feather").unlink()
    folder = PairHistories(tmp_path / "binance", "1h", Settings())
    with pytest.raises(DataError, match=r"BTC/USDT:USDT in .*: no spot pair of BTC against USDT"):
        list(folder.pairs([BTC]))
