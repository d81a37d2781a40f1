"""A sweep signals what the strategy signals, counts honestly, and stays small."""

import itertools
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from freqtrade.enums import CandleType, RunMode
from freqtrade.resolvers import StrategyResolver
from hypothesis import given
from hypothesis import strategies as st
from support.data_provider import Candles
from support.freqtrade import (
    ROOT,
    add_open_interest,
    refused,
)

from perp_imbalance.errors import DataError, SettingsError
from perp_imbalance.indicators import PRESETS, Thresholds
from perp_imbalance.indicators.gates import OPTIONAL_GATES
from perp_imbalance.research.forward import forward_returns
from perp_imbalance.research.grid import Grid, axes_around, parse_values
from perp_imbalance.research.grid_names import AXES
from perp_imbalance.research.grid_sweep import SCHEMA, Plan, Selection, Sweep
from perp_imbalance.research.held_entries import HeldEntries
from perp_imbalance.research.luck import Luck
from perp_imbalance.research.pair_history import PairHistories, PairHistory, funding_by_candle
from perp_imbalance.research.screen import Screen
from perp_imbalance.simulation import Rules
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
    middle = list(grid.combinations(sample, seed, slice(sample // 3, sample // 2)))
    assert middle == found[sample // 3 : sample // 2]


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
    with pytest.raises(SettingsError, match="is not a value to sweep over"):
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
    for side in ("short", "long"):
        entries = screen.entries_of(thresholds, side)
        flips = screen.flips_of(thresholds, side)
        assert min(*entries, *flips) >= candles.begin > 0
        assert len(entries) < len(flips)


def test_funding_belongs_to_the_candle_that_opens_with_it() -> None:
    dates = pd.date_range("2025-01-01", periods=6, freq="1h", tz="UTC")
    perp = pd.DataFrame({"date": dates[1:4]})
    rates = pd.DataFrame({"date": dates, "funding_rate": [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]})
    assert funding_by_candle(perp, rates).tolist() == [2.0, 4.0, 8.0]


def test_gate_without_candles_of_its_timeframe_is_refused(
    tiny_datadir: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    # 5h does not divide a day, so it is not made from 1h.
    monkeypatch.setenv("FREQTRADE__PERP_IMBALANCE__HTF_TIMEFRAME", "5h")
    arguments = ["--datadir", str(tiny_datadir), "--enter-z", "1.5,1.7,1.9", "--use-htf", "yes,no"]
    said = " ".join(refused(arguments, capsys, "sweep").split())
    assert (
        "the HTF gate has no 5h candles of it: download what is missing, or take the gate off"
        in said
    )
    assert not list(folder.glob("user_data/sweep/*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to sweep over: name an axis, such as --enter-z 1.2:3:0.1"),
        (["--enter-z", "0.2,0.3"], "no enter_z of the grid is above any exit_z of it"),
        (["--len-prem", "1,50"], "len_prem is 1, it must be at least 2"),
        (["--exit-z", "x"], "'x' is not a value to sweep over: write 20,50 or 20:80:10"),
        (["--enter-z", "2", "--horizons", "0"], "a horizon is 0, it must be at least 1"),
        (["--enter-z", "2", "--horizons", "x"], "'x' is not a number of candles to hold: write"),
        (["--enter-z", "2", "--fee", "nan"], "--fee is nan, it must be at least 0 and below 1"),
        (["--enter-z", "2", "--sample", "0"], "--sample is 0, it must be at least 1"),
        (["--enter-z", "2", "--min-trades", "0"], "--min-trades is 0, it must be at least 1"),
        (["--enter-z", "2.0004"], "enter_z is 2.0004, which a strategy's parameter keeps as 2"),
        (
            ["--enter-z", "2", "--horizons", "4", "--rank-by", "sharpe"],
            "--rank-by sharpe is of a wallet, which entries that are held for a fixed time",
        ),
        (["--from", "none.json"], "none.json cannot be read: No such file"),
        (["--from", "config.json"], 'config.json has no "params" by space'),
        (["--enter-z", "2", "--sample", "1", "--seed", "-1"], "--seed is -1, it must be from 0"),
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


def test_held_entries_are_the_strategys_net_of_costs(btc: PairHistory) -> None:
    thresholds, cost = PRESETS["balanced"], 0.001
    signals = Screen(btc, Settings(), (1,), cost).entries_of(thresholds, "short")
    # The open that would end it is one after the last.
    horizon = len(btc.perp) - 1 - int(signals[-3])
    held = HeldEntries([btc], Settings(sides=["short"]), horizon, cost).trades(thresholds)
    assert held["entry_row"].tolist() == (signals[:-3] + 1).tolist()
    assert set(held["exit_row"] - held["entry_row"]) == {horizon}
    opens = btc.perp["open"].to_numpy()
    first = held[0]
    paid = btc.funding[first["entry_row"] + 1 : first["exit_row"] + 1].sum()
    moved = opens[first["exit_row"]] / opens[first["entry_row"]] - 1
    assert first["profit_ratio"] == pytest.approx(-(moved - paid) - cost)
    assert (first["pair"], first["side"]) == (0, -1)


def test_neighbours_are_one_step_away_along_each_number() -> None:
    axes: dict[str, list[Any]] = {
        "enter_z": [1.6, 1.7, 1.72, 2.2],
        "exit_z": [0.3, 0.9, 1.69],
        "use_sigma": [True, False],
        "bb_k": [1.0, 1.25, 1.5],
        "min_deviation_bps": [0.0, 5.0, 10.0],
    }
    base = PRESETS["balanced"]
    grid = Grid(axes, base)
    off = replace(base, use_sigma=False)
    # In z at least 0.1 away, enter_z above exit_z, and nothing of a gate that is off.
    assert grid.neighbours(off) == [
        replace(off, enter_z=1.6),
        replace(off, enter_z=2.2),
        replace(off, exit_z=0.3),
        replace(off, exit_z=1.69),
    ]
    on = replace(base, min_deviation_bps=5.0, exit_z=0.3)
    assert grid.neighbours(on)[3:] == [
        replace(on, bb_k=1.0),
        replace(on, bb_k=1.5),
        # Not at 0, where the gate is off.
        replace(on, min_deviation_bps=10.0),
    ]


@pytest.mark.parametrize("preset", PRESETS)
def test_axes_around_values_vary_what_matters(preset: str) -> None:
    base = PRESETS[preset]
    grid = Grid(axes_around(base), base)
    assert base in set(grid.combinations())
    assert {"enter_z", "exit_z"} < set(grid.numbers(base)) == set(grid.axes)
    assert ("bb_k" in grid.axes) == base.use_sigma
    assert ("min_deviation_bps" in grid.axes) == (base.min_deviation_bps > 0)
    assert 100 < len(grid) < 50_000


def test_values_at_the_edge_have_axes_around_them() -> None:
    edge = Thresholds(enter_z=0.3, exit_z=0.1, len_prem=2, smooth_len=1, bb_k=0.1, bb_len=2)
    grid = Grid(axes_around(edge), edge)
    assert edge in set(grid.combinations())


def rows(*found: dict[str, Any]) -> pa.Table:
    """Return rows of a sweep: what is not named is that of a sound combination."""
    sound: dict[str, Any] = {"pair": BTC, "horizon": None, "trades": 40, "weeks": 30, "t": 1.0}
    sound |= {"net_bps": 10.0, "profit_pct": 5.0, "sharpe": 1.0, "drawdown_pct": 2.0}
    sound |= {"profit_factor": 1.5, "won": 0.5}
    sound |= {name: getattr(Thresholds(), name) for name in AXES}
    return pa.Table.from_pylist([{**sound, **row} for row in found], schema=SCHEMA)


def ranked(rank_by: str, *tables: pa.Table) -> list[float]:
    """Return enter_z of what a sweep keeps, the best first."""
    grid = Grid({"enter_z": [2.0]}, PRESETS["balanced"])
    plan = Plan(grid, [], Settings(), Rules(), rank_by=rank_by)
    sweep = Sweep(plan, Path("unused"), Luck(30))
    for table in tables:
        sweep.add(Selection(BTC), table)
    return [one.thresholds.enter_z for one in sweep.best[Selection(BTC)]]


def test_losing_and_rarely_traded_lines_are_dropped() -> None:
    nan = float("nan")
    bad: list[dict[str, Any]] = [{"net_bps": -1.0}, {"profit_pct": 0.0}, {"trades": 29}]
    bad += [{"t": nan}, {"net_bps": nan}]
    found = rows({"enter_z": 2.0}, *({"enter_z": 3.0, "won": 0.9, **row} for row in bad))
    assert ranked("t", found) == [2.0]
    # Where entries are held for a fixed time there is no wallet.
    assert ranked("t", rows({"enter_z": 2.0, "profit_pct": nan})) == [2.0]


def test_each_set_of_trades_is_kept_once_in_order() -> None:
    first = rows({"enter_z": 2.0, "t": 1.5}, {"enter_z": 2.1, "t": 1.5}, {"enter_z": 2.2, "t": 3.0})
    second = rows({"enter_z": 2.3, "t": 2.0}, {"enter_z": 2.4, "t": 3.0})
    assert ranked("t", first, second) == [2.2, 2.3, 2.0]


def test_least_drawdown_is_the_best() -> None:
    found = rows({"enter_z": 2.0, "drawdown_pct": 9.0}, {"enter_z": 2.1, "drawdown_pct": 1.0})
    assert ranked("drawdown_pct", found) == [2.1, 2.0]
