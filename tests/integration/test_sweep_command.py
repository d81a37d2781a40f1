"""A sweep recommends what freqtrade's backtest earns with, and says how to repeat it."""

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pytest
from distributed import LocalCluster
from freqtrade.data.history import load_pair_history
from freqtrade.enums import CandleType
from support.freqtrade import (
    ROOT,
    SAMPLE_PAIRS,
    TIMEOUT_SECONDS,
    backtest_trades,
    perp_imbalance,
    refused,
)
from support.pages import page_text

from perp_imbalance.cli.main import run
from perp_imbalance.freqtrade_bridge.parameter_file import ParameterFile
from perp_imbalance.freqtrade_bridge.strategy_trial import copy_strategies
from perp_imbalance.indicators import PRESETS, Thresholds
from perp_imbalance.research.grid_names import AXES

BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
SPAN = ("--timerange", "20250201-20250601")
SMALL = ("--enter-z", "1.3:1.9:0.3", "--exit-z", "0.5,0.9", "--use-sigma", "no,yes")


@pytest.fixture
def place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the shipped config and strategies, in which commands run."""
    ignored = shutil.ignore_patterns("*.json", "__*")
    shutil.copytree(ROOT / "strategies", folder / "strategies", ignore=ignored)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def sweep(place: Path, sample_datadir: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a sweep of the sample market that must end well; return its JSON, or its text."""

    def swept(*arguments: str, text: bool = False) -> Any:
        as_json = () if text else ("--json",)
        with pytest.raises(SystemExit) as left:
            run(["sweep", "--datadir", str(sample_datadir), *SPAN, *arguments, *as_json])
        assert left.value.code == 0
        out = capsys.readouterr().out
        return out if text else json.loads(out)

    return swept


def files(place: Path) -> list[Path]:
    return sorted((place / "user_data" / "sweep").glob("*"))


@pytest.mark.freqtrade
@pytest.mark.parametrize(
    ("pairs", "more"),
    [
        ((BTC, ETH), ()),
        ((BTC,), ("--preset", "deep_discount", "--min-deviation-bps", "2,4", "--fee", "0.0002")),
    ],
)
def test_printed_command_trades_what_the_line_says(
    sweep: Any, place: Path, pairs: tuple[str, ...], more: tuple[str, ...]
) -> None:
    lines = sweep("--pairs", *pairs, *SMALL, *more, "--min-trades", "20")["lines"]
    assert lines[0]["pair"] == ("all" if len(pairs) > 1 else BTC)
    for line in lines[:2]:
        command = shlex.split(line["command"])
        process = perp_imbalance("backtest", "--no-report", *command[2:], cwd=place)
        assert process.returncode == 0, process.stderr
        ((strategy, trades),) = backtest_trades(place / "user_data").items()
        assert strategy == ("PerpImbalanceDeepDiscount" if more else "PerpImbalance")
        assert len(trades) == line["trades"] > 0
        assert trades["profit_abs"].sum() / 1000 * 100 == pytest.approx(
            line["profit_pct"], abs=0.005
        )
        assert trades["profit_ratio"].mean() * 1e4 == pytest.approx(line["net_bps"], abs=0.05)
        assert set(trades["pair"]) == set(pairs if line["pair"] == "all" else [line["pair"]])
    # Nothing of it stays beside the strategies.
    assert not list((place / "strategies").glob("*.json"))


def test_line_has_every_threshold_and_its_p_value(sweep: Any, place: Path) -> None:
    text = sweep("--pairs", BTC, *SMALL, "--min-trades", "20", text=True)
    assert re.search(r"12 combinations tried, \d+ of them .* worthless ones would show t", text)
    first = text[text.index("1. BTC") :].splitlines()
    assert re.match(r"1\. BTC/USDT:USDT: \+[\d.]+ bps a trade, \d+ trades, t -?\d", first[0])
    words = dict(word.split("=") for word in first[1].split())
    assert words.keys() >= {"enter_z", "exit_z", "len_prem", "smooth_len", "robust_z"}
    assert words.keys() >= {"use_sigma", "use_htf", "min_deviation_bps"}
    assert ("bb_k" in words) == (words["use_sigma"] == "yes")
    luck = r" +p [\d.]+ \(12 tried; the best of as many worthless ones: t -?[\d.]+\)"
    assert re.match(rf"{luck}; \d of \d neighbours earned", first[2])
    assert first[3].split()[:2] == ["perp-imbalance", "backtest"]
    apply = " ".join(["preset apply --strategy PerpImbalance", *first[1].split()])
    assert f"   perp-imbalance {apply}" in text.splitlines()
    for file in files(place):
        assert str(file) in text


def test_lines_that_lose_as_traded_are_left_out(sweep: Any) -> None:
    """The fault that this command had: it ranked what nobody would trade."""
    options = ["--pairs", ETH, "--enter-z", "1.3:2.5:0.3", "--exit-z", "0.3,0.6,0.9"]
    options += ("--use-sigma", "yes,no", "--min-trades", "20", "--timerange", "20250101-")
    held, traded = sweep(*options, "--horizons", "24"), sweep(*options)
    names = list(AXES)
    one, other = (pd.read_parquet(found["parquet"]).set_index(names) for found in (held, traded))
    other = other.loc[one.index]
    high = (one["net_bps"] > 20) & (one["trades"] >= 20) & (other["profit_pct"] < 0)
    assert high.sum() > 3
    assert held["losing_as_traded"] >= high.sum()
    # All that is listed earns as traded, whatever it is ranked by.
    for line in (*held["lines"], *traded["lines"]):
        thresholds = tuple(line["thresholds"][name] for name in names)
        assert other.loc[thresholds, "profit_pct"] > 0
        assert not high.loc[thresholds]


def test_rows_are_pooled_and_per_pair(sweep: Any, sample_datadir: Path, place: Path) -> None:
    found = sweep(*SMALL)
    rows = pd.read_parquet(found["parquet"])
    assert found["combinations"] == len(rows) == 12 * (1 + len(SAMPLE_PAIRS))
    assert set(rows["pair"]) == {"all", *SAMPLE_PAIRS}
    assert rows.groupby("pair").size().tolist() == [12] * 4
    assert rows["horizon"].isna().all()
    # With one wallet no more is traded than by each alone.
    together = rows.groupby(rows["pair"] == "all")["trades"].sum()
    assert 0.5 * together[False] < together[True] <= together[False]
    ordinary = rows[rows["trades"] > 30]
    assert np.isfinite(ordinary[["net_bps", "t", "sharpe", "profit_factor"]]).all(axis=None)
    assert ordinary["won"].between(0.2, 0.8).all()
    perp = load_pair_history(BTC, "1h", sample_datadir, candle_type=CandleType.FUTURES)
    span = perp["date"].between("2025-02-01", "2025-06-01", inclusive="both")
    closes = perp.loc[span, "close"]
    made = (closes.iloc[-1] / closes.iloc[0] - 1) * 100
    assert found["held_pct"][BTC] == pytest.approx(made, abs=0.3)
    (page,) = (file for file in files(place) if file.suffix == ".html")
    text = page_text(page)
    assert found["verdict"] in text
    assert "enter_z × exit_z (the best)" in text
    assert "http://" not in text


def test_sweep_from_tuned_values_tries_around_them(sweep: Any, place: Path) -> None:
    tuned = ParameterFile.of(Thresholds(enter_z=1.6, len_prem=40, use_sigma=False)).as_dict()
    tuned["params"]["buy"]["entry_mode"] = "flip"
    tuned["params"]["stoploss"] = {"stoploss": -0.05}
    file = place / "tuned.json"
    file.write_text(json.dumps({**tuned, "strategy_name": "PerpImbalanceConservative"}))
    found = sweep("--pairs", BTC, "--from", "tuned.json", "--min-trades", "20")
    rows = pd.read_parquet(found["parquet"])
    assert sorted(set(rows["enter_z"])) == [1.4, 1.5, 1.6, 1.7, 1.8]
    assert sorted(set(rows["len_prem"])) == [32, 36, 40, 44, 48]
    assert not rows["use_sigma"].any()
    assert found["notes"] == ["tuned.json: stoploss left out: a sweep has the strategy's own"]
    line = found["lines"][0]
    assert "--strategy-list PerpImbalanceConservative --set" in line["command"]
    assert "entry_mode=flip" in line["values"]
    # A named axis is all that varies.
    named = sweep("--pairs", BTC, "--from", "tuned.json", "--enter-z", "1.5,1.6")
    assert named["combinations"] == 2


def test_too_few_trades_are_said_to_be_too_few(sweep: Any, place: Path) -> None:
    text = sweep("--enter-z", "3.4,3.5", "--pairs", BTC, text=True)
    assert "2 combinations tried; none has trades and weeks enough to have a t" in text
    assert "nothing to recommend" in text
    assert [file.suffix for file in files(place)] == [".parquet"]


def test_higher_timeframe_does_not_matter_while_its_gate_is_off(
    sweep: Any, caplog: pytest.LogCaptureFixture
) -> None:
    found = sweep("--timeframe", "4h", "--pairs", BTC, "--enter-z", "1.3,1.7", *SPAN)
    assert found["combinations"] == 2
    assert not any("higher timeframe" in said for said in caplog.messages)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    options = {"processes": False, "n_workers": 1, "threads_per_worker": 1}
    with LocalCluster(protocol="tcp", dashboard_address="127.0.0.1:0", **options) as made:
        yield made


def test_cluster_finds_what_this_process_finds(
    sweep: Any, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perp_imbalance.research.grid_sweep.PART", 5)
    options = ("--pairs", BTC, ETH, *SMALL, "--min-trades", "20")
    here = sweep(*options)
    there = sweep(*options, "--scheduler", cluster.scheduler_address)
    one, other = (pd.read_parquet(found.pop("parquet")) for found in (here, there))
    pd.testing.assert_frame_equal(one, other)
    assert here.pop("html") != there.pop("html")
    assert here == there
    assert not cluster.scheduler.tasks


def test_interrupt_leaves_no_task_on_the_cluster(
    place: Path, sample_datadir: Path, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perp_imbalance.research.grid_sweep.PART", 2)

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("perp_imbalance.research.grid_sweep._result", interrupted)
    options = ["--scheduler", cluster.scheduler_address, "--datadir", str(sample_datadir)]
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        run(["sweep", *options, "--pairs", BTC, *SMALL])
    assert not files(place)
    end = time.monotonic() + TIMEOUT_SECONDS
    while cluster.scheduler.tasks:
        assert time.monotonic() < end


def test_scheduler_that_does_not_answer_is_named(
    place: Path,
    sample_datadir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("perp_imbalance.research.walk_forward.run._CONNECT_SECONDS", 1)
    options = ["--datadir", str(sample_datadir), "--scheduler", "tcp://127.0.0.1:1"]
    said = refused([*options, "--pairs", BTC, *SMALL], capsys, "sweep")
    assert "no Dask scheduler at tcp://127.0.0.1:1" in said
    assert not files(place)


def test_interrupt_leaves_no_file(place: Path, sample_datadir: Path) -> None:
    code = "from perp_imbalance.cli.main import run; run()"
    command = [sys.executable, "-c", code, "sweep", "--datadir", str(sample_datadir)]
    command += ["--enter-z", "1.2:3:0.01", "--exit-z", "0.2:1.1:0.01", "--use-sigma", "yes,no"]
    process = subprocess.Popen(command, cwd=place, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + TIMEOUT_SECONDS
    while not files(place):
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode != 0
    assert "Traceback" not in said
    assert not files(place)


def test_preset_fills_in_unnamed_values(sweep: Any) -> None:
    found = sweep("--pairs", BTC, "--preset", "aggressive", "--enter-z", "1.3,1.5")
    rows = pd.read_parquet(found["parquet"])
    assert set(rows["len_prem"]) == {PRESETS["aggressive"].len_prem}


@pytest.mark.freqtrade
def test_backtest_values_replace_presets_and_parameter_files(
    place: Path, tiny_datadir: Path
) -> None:
    """Of that run alone: what lies beside the strategies stays, and has no say."""
    own = place / "strategies" / "PerpImbalance.json"
    ParameterFile.of(Thresholds(enter_z=3.4)).write(own, "PerpImbalance")
    before = own.read_bytes()
    names = ["PerpImbalance", "PerpImbalanceAggressive"]
    process = perp_imbalance(
        *("backtest", "--datadir", str(tiny_datadir), "--no-report", "--strategy-list", *names),
        *("--set", "enter_z=1.25", "use_sigma=no", "entry_mode=flip"),
        cwd=place,
    )
    assert process.returncode == 0, process.stderr
    assert "not with its preset's values" not in process.stderr
    (result,) = (place / "user_data" / "backtest_results").glob("*.zip")
    with ZipFile(result) as archive:
        for name in names:
            params = json.loads(archive.read(f"{result.stem}_{name}.json"))["params"]
            assert params == {"buy": {"enter_z": 1.25, "use_sigma": False, "entry_mode": "flip"}}
    assert own.read_bytes() == before
    assert [file.name for file in (place / "strategies").glob("*.json")] == [own.name]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["enterz=2"], "enterz is not a parameter: known are enter_z,"),
        (["enter_z=0.5", "exit_z=0.9"], "PerpImbalance: enter_z is 0.5, it must be above exit_z"),
    ],
)
def test_wrong_value_of_a_backtest_is_refused_in_one_line(
    values: list[str],
    said: str,
    place: Path,
    tiny_datadir: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ["--datadir", str(tiny_datadir), "--strategy-list", "PerpImbalance", "--set", *values]
    assert refused(options, capsys, "backtest").startswith(f"perp-imbalance: {said}")


def test_strategy_finds_what_it_reads_beside_it_in_a_copy(tmp_path: Path) -> None:
    folder, copy = tmp_path / "own", tmp_path / "copy"
    (folder / "levels").mkdir(parents=True)
    copy.mkdir()
    for name in ("Own.py", "Own.json", "Other.json", "levels/btc.csv"):
        (folder / name).write_text(name)
    copy_strategies(folder, copy, ["Own"])
    assert sorted(entry.name for entry in copy.iterdir()) == ["Other.json", "Own.py", "levels"]
    assert (copy / "levels" / "btc.csv").read_text() == "levels/btc.csv"
