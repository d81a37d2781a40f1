"""``perp-imbalance tune``: freqtrade trades what it finds as simulated; losers are held back."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from support.freqtrade import ROOT, TIMEOUT_SECONDS
from support.pages import page_text
from support.workers import adding, dying

from perp_imbalance.cli import tune
from perp_imbalance.cli.main import build_parser
from perp_imbalance.errors import CommandError, PerpImbalanceError
from perp_imbalance.freqtrade_bridge.config import load_config
from perp_imbalance.research.processes import Processes
from perp_imbalance.research.tuning.last_part import LastPart
from perp_imbalance.research.tuning.search import evaluation

BTC = "BTC/USDT:USDT"
#: Two combinations, of which one is plainly better on the sample.
FEW = ["--vary", "enter_z=1.3,3.0", "--fix", "use_sigma=no", "--min-trades", "1"]


@pytest.fixture
def folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with config, strategies and ``user_data``, as a trader has it."""
    shutil.copytree(
        ROOT / "strategies",
        folder / "strategies",
        ignore=shutil.ignore_patterns("__pycache__", "*.json"),
    )
    monkeypatch.chdir(folder)
    return folder


def words(datadir: Path, *options: str) -> list[str]:
    return ["tune", "--datadir", str(datadir), "--pairs", BTC, "--workers", "1", *options]


def tuned(datadir: Path, *options: str) -> int:
    """Tune in this process; return the exit code."""
    parsed = build_parser().parse_args(words(datadir, *options))
    code: int = parsed.run(parsed)
    return code


def prepared(datadir: Path, *options: str) -> tune.Task:
    """Return what a tuning would search."""
    parsed = build_parser().parse_args(words(datadir, *options))
    return tune.prepare(load_config([Path("config.json")]), parsed)


def stand_in(monkeypatch: pytest.MonkeyPatch, profit: float) -> None:
    """Let the last part earn so much, without freqtrade."""
    trade = {"pair": BTC, "profit_abs": profit, "close_date": "2025-11-01 00:00:00+00:00"}
    tested = {"winner": [trade], "presets": {}, "hold": {"days": {"2025-11-01": 1.0}}}
    monkeypatch.setattr(LastPart, "test", lambda *_: tested)


@pytest.mark.freqtrade
def test_winner_trades_in_freqtrade_as_it_was_simulated(
    folder: Path,
    sample_datadir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Options and what is named here win over variables that say otherwise.
    for name, value in {
        "EXCHANGE__PAIR_WHITELIST": '["DOGE/USDT:USDT"]',
        "PERP_IMBALANCE__HTF_TIMEFRAME": "1d",
        "TIMEFRAME": "5m",
        "STRATEGY": "RsiWithImbalance",
        "DATADIR": "/nowhere",
    }.items():
        monkeypatch.setenv(f"FREQTRADE__{name}", value)
    span = ["--timerange", "20250101-20250901", "--force", "--out", "user_data/tune/a.json"]
    span += ["--timeframe", "1h"]
    assert tuned(sample_datadir, *FEW, *span, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["searched"]["is_exhaustive"]
    assert found["accounts"]["winner"]["trades"] > 0
    # The folder has no 1d candles. A difference between the simulation and freqtrade's backtest
    # would be another note.
    (note,) = found["notes"]
    assert note.endswith("has no 1d candles of BTC/USDT:USDT, BTC/USDT: made of 1h ones")
    names = ["winner", "PerpImbalance", "PerpImbalanceConservative", "PerpImbalanceAggressive"]
    assert list(found["accounts"]) == [*names, "PerpImbalanceDeepDiscount", "buy and hold"]
    assert json.loads(Path("user_data/tune/a-result.json").read_text()) == found
    assert found["verdict"] in page_text(Path("user_data/tune/a-result.html"))
    written = json.loads(Path("user_data/tune/a.json").read_text())
    assert written["params"]["buy"]["enter_z"] == found["values"]["enter_z"]
    assert written["params"]["buy"]["use_sigma"] is False
    assert written["tuned_on"]["timerange"] == "20250101-20250901"
    # freqtrade's own results were of a folder that is gone.
    assert list(Path("user_data").rglob("*.zip")) == []


@pytest.mark.parametrize(("profit", "is_written"), [(5.0, True), (-5.0, False)])
def test_loser_is_written_with_force_only(
    folder: Path,
    sample_datadir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    profit: float,
    is_written: bool,
) -> None:
    stand_in(monkeypatch, profit)
    probability = "perp_imbalance.research.tuning.result.overfitting_probability"
    monkeypatch.setattr(probability, lambda *_: 0.2)
    options = [*FEW, "--timerange", "20250101-20250901"]
    out = Path("user_data/tune/b.json")
    assert tuned(sample_datadir, *options, "--out", str(out)) == int(not is_written)
    said = capsys.readouterr().out
    assert out.exists() == is_written
    assert Path("user_data/tune/b-result.json").exists()
    assert ("--force writes it anyway" in said) != is_written
    assert ("perp-imbalance preset apply user_data/tune/b.json" in said) == is_written
    if is_written:
        return
    forced = Path("user_data/tune/c.json")
    assert tuned(sample_datadir, *options, "--force", "--out", str(forced)) == 0
    warning = json.loads(forced.read_text())["warning"]
    assert warning.startswith("tuned thresholds: it lost out of sample (2025-07-02 to 2025-09-01")
    capsys.readouterr()
    parsed = build_parser().parse_args(["preset", "apply", str(forced)])
    assert parsed.run(parsed) == 0
    assert f"Warning: {warning}\n" in capsys.readouterr().out
    # It stays with the strategy.
    assert json.loads(Path("strategies/PerpImbalance.json").read_text())["warning"] == warning


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--trials", "0"], "--trials, --min-trades and --workers must be at least 1"),
        (["--last", "90"], "--last is 90, it must be from 5 to 75 percent"),
        (["--folds", "5"], "--folds is 5, it must be an even number from 4 to 16"),
        (["--timerange", "20250101-20250215"], "days to search on are too few for 8 folds of at"),
        (["--timerange", "20300101-"], "the time range 20300101- has no candles: "),
        (["--seed", str(2**32)], "--seed is 4294967296, it must be from 0 to 2147483647"),
        (
            ["--vary", "enter_z="],
            "--vary enter_z= has no values: write enter_z=1,2 or enter_z alone",
        ),
        (["--vary", "enter"], "enter is not a threshold to tune: enter_z, exit_z"),
        (["--vary", "enter_z=a"], "'a' is not a value of enter_z: write 20,50 or 20:80:10"),
        (["--vary", "bb_k", "bb_k=1,2"], "--vary has bb_k twice"),
        (["--fix", "enter_z"], "'enter_z' is not a value: write NAME=VALUE, such as enter_z=2.2"),
        (["--fix", "enter_z=x"], "enter_z=x: buy.enter_z is 'x', it must be a number"),
        (["--fix", "stoploss=-0.1"], "stoploss is not a threshold to tune"),
        (["--strategy", "Nix"], "there is no strategy Nix among PerpImbalance.py"),
        (["--strategy", "RsiWithImbalance"], "RsiWithImbalance has no thresholds to tune"),
        (["--pairs", "X/USDT:USDT"], "no 1h candles of X/USDT:USDT"),
        (["--out", "config.json"], "config.json exists already: name another file"),
        (["--out", "config.json/x.json"], "config.json/x.json cannot be written"),
        ([*FEW, "--min-trades", "9999"], "none of 2 trials has 9999 trades: take a longer"),
    ],
)
def test_wrong_tuning_is_refused_in_one_line(
    folder: Path, sample_datadir: Path, options: list[str], message: str
) -> None:
    with pytest.raises(PerpImbalanceError, match=re.escape(message)) as error:
        tuned(sample_datadir, *options)
    assert "\n" not in str(error.value)
    assert list(folder.glob("user_data/**/*.json*")) == []
    assert not Path("user_data/tune").exists()


def test_parameter_file_next_to_the_strategy_is_ignored(folder: Path, sample_datadir: Path) -> None:
    (folder / "strategies" / "PerpImbalance.json").write_text("{broken")
    assert prepared(sample_datadir, *FEW).search.space.base.len_prem == 50


def test_search_finds_the_same_in_one_process_and_in_two(
    folder: Path, sample_datadir: Path
) -> None:
    options = ["--trials", "60", "--timerange", "20250101-20250601", "--min-trades", "1"]
    task = prepared(sample_datadir, *options)
    found = []
    for workers in (1, 2):
        with evaluation(task.traded, task.folds, workers) as evaluate:
            found.append(task.search.run(evaluate))
    one, two = found
    assert one.tried == two.tried
    assert [outcome.score for outcome in one.outcomes] == [o.score for o in two.outcomes]
    assert one.best == two.best


def test_ended_process_is_reported_in_one_line() -> None:
    with Processes(1, dying, ()) as processes, pytest.raises(CommandError, match="was ended"):
        processes.map([1])


def test_answers_come_in_the_order_of_the_tasks() -> None:
    with Processes(2, adding, (10,)) as processes:
        assert processes.map(list(range(20))) == list(range(10, 30))
        children = list(processes.processes)
    assert not any(child.is_alive() for child in children)


def test_interrupt_leaves_nothing_running_and_nothing_written(
    folder: Path, sample_datadir: Path
) -> None:
    code = "from perp_imbalance.cli.main import run; run()"
    options = words(sample_datadir, "--trials", "1000000")
    options[options.index("--workers") + 1] = "2"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        children = busy(process)
        # As a terminal does it: to all processes in the foreground.
        os.killpg(process.pid, signal.SIGINT)
        out, said = process.communicate(timeout=TIMEOUT_SECONDS)
    finally:
        process.kill()
    assert process.returncode == 130, said
    assert not out
    assert "Traceback" not in said
    _, alive = psutil.wait_procs(children, timeout=TIMEOUT_SECONDS)
    assert not alive
    assert list((folder / "user_data").rglob("*.json*")) == []


def busy(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    """Return the processes of a search, once two of them compute."""
    running = psutil.Process(process.pid)
    while process.poll() is None:
        found: list[psutil.Process] = running.children(recursive=True)
        if sum(is_computing(child) for child in found) >= 2:
            return found
        time.sleep(0.1)
    pytest.fail(f"it ended by itself: {process.communicate()}")


def is_computing(child: psutil.Process) -> bool:
    """Tell whether it has loaded what a search needs."""
    try:
        return any("llvmlite" in mapped.path for mapped in child.memory_maps())
    except psutil.Error:
        return False
