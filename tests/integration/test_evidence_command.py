"""The commands of research: what evidence writes, and what it and sweep refuse in a line."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.freqtrade import perp_imbalance, refused

from perp_imbalance.cli.main import build_parser

BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"


def configure(folder: Path, **settings: Any) -> None:
    """Change settings of the project in the config of a folder."""
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config["perp_imbalance"] |= settings
    (folder / "config.json").write_text(json.dumps(config), "utf-8")


def market_without(files: str, sample_datadir: Path, place: Path) -> Path:
    """Copy the sample market, but for the files of a pattern."""
    datadir = place / "binance"
    shutil.copytree(sample_datadir, datadir)
    for file in datadir.rglob(files):
        file.unlink()
    return datadir


@pytest.fixture(scope="module")
def lean_datadir(sample_datadir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample market without candles of the higher timeframe."""
    return market_without("*-4h*.feather", sample_datadir, tmp_path_factory.mktemp("lean"))


@pytest.fixture(scope="module")
def rateless_datadir(sample_datadir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample market without funding rates."""
    return market_without("*funding_rate*", sample_datadir, tmp_path_factory.mktemp("rateless"))


def test_command_writes_json_and_page(folder: Path, sample_datadir: Path) -> None:
    process = perp_imbalance(
        *("evidence", "--datadir", str(sample_datadir), "--pairs", "BTC/USDT:USDT"),
        *("--horizons", "4", "--draws", "200", "--json"),
        cwd=folder,
    )
    assert process.returncode == 0, process.stderr
    content = json.loads(process.stdout)
    (file,) = (folder / "user_data" / "evidence").glob("*.json")
    assert json.loads(file.read_text("utf-8")) == content
    assert {row["horizon"] for row in content["findings"]} == {4}
    page = file.with_suffix(".html").read_text("utf-8")
    assert content["verdict"] in page
    assert content["left_out"] == []
    assert "<td>flip (no trade)</td>" in page
    assert "A flip of the bias is no trade" in page
    assert "<h2>By year and by volatility</h2>" in page


def test_entries_whose_gate_has_no_series_are_left_out_in_words(
    folder: Path, lean_datadir: Path
) -> None:
    process = perp_imbalance(
        *("evidence", "--datadir", str(lean_datadir), "--horizons", "4", "--draws", "100"),
        *("--pairs", "BTC/USDT:USDT", "ETH/USDT:USDT"),
        cwd=folder,
    )
    assert process.returncode == 0, process.stderr
    said = (
        "BTC/USDT:USDT, ETH/USDT:USDT: entries of conservative left out: the HTF gate has no 4h "
        "candles of it"
    )
    assert said in process.stdout.splitlines()
    assert process.stderr.count("entries of conservative left out") == 1
    (file,) = (folder / "user_data" / "evidence").glob("*.json")
    assert json.loads(file.read_text("utf-8"))["left_out"] == [said]
    assert said in file.with_suffix(".html").read_text("utf-8")


@pytest.mark.parametrize(
    ("command", "options", "key"),
    [
        ("evidence", ["--draws", "100"], "left_out"),
        ("sweep", ["--enter-z", "1.3:1.9:0.2", "--exit-z", "0.5,0.9"], "thin"),
    ],
)
def test_net_returns_without_funding_are_said_to_be_so(
    command: str, options: list[str], key: str, folder: Path, rateless_datadir: Path
) -> None:
    process = perp_imbalance(
        *(command, "--datadir", str(rateless_datadir), "--pairs", BTC, ETH),
        *("--horizons", "4", "--json", *options),
        cwd=folder,
    )
    assert process.returncode == 0, process.stderr
    said = f"{BTC}, {ETH}: no funding rates: net returns leave funding out"
    assert process.stderr.count(said) == 1
    assert json.loads(process.stdout)[key] == [said]
    (page,) = (folder / "user_data" / command).glob("*.html")
    assert said in page.read_text("utf-8")


def test_higher_timeframe_is_the_one_that_a_backtest_would_take(
    folder: Path, sample_datadir: Path
) -> None:
    configure(folder, htf_timeframe="8h")
    process = perp_imbalance(
        *("evidence", "--datadir", str(sample_datadir), "--horizons", "4", "--draws", "100"),
        *("--pairs", "BTC/USDT:USDT", "--json"),
        cwd=folder,
    )
    assert "no 8h candles in the folder: higher timeframe 4h" in process.stderr
    content = json.loads(process.stdout)
    assert content["htf_timeframe"] == "4h"
    # The gate has its series.
    assert content["left_out"] == []


@pytest.mark.parametrize("command", ["evidence", "sweep", "walk-forward", "backtest"])
def test_pair_that_is_named_twice_counts_once(command: str) -> None:
    arguments = build_parser().parse_args([command, "--pairs", ETH, BTC, ETH])
    assert arguments.pairs == [ETH, BTC]
    assert build_parser().parse_args([command]).pairs is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--horizons", "0"], "a horizon is 0, it must be at least 1"),
        (["--horizons", "x"], "'x' is no number of candles to hold: write 20,50 or 20:80:10"),
        (["--block", "23"], "block is 23, it must be at least the longest horizon (24)"),
        (["--draws", "1"], "draws is 1, it must be at least 100"),
        (["--seed", "-1"], "--seed is -1, it must be at least 0"),
        (["--fee", "nan"], "--fee is nan, it must be at least 0 and below 1"),
        (["--htf-timeframe", "7m"], "htf_timeframe is 7m, it must be a multiple of the timeframe"),
        (["--htf-timeframe", "8h"], "has no 8h candles for the HTF gate; timeframes there: 1h, 4h"),
        (
            ["--pairs", "X/USDT:USDT"],
            "no 1h candles of X/USDT:USDT; perps there on 1h: 1000PEPE",
        ),
        (["--timerange", "20251220-"], "too few candles to say anything: the span is shorter than"),
    ],
)
def test_study_of_nothing_is_refused_in_one_line(
    folder: Path,
    sample_datadir: Path,
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    said = refused(["--datadir", str(sample_datadir), *arguments], capsys)
    assert message in " ".join(said.split())
    assert not (folder / "user_data" / "evidence").exists()


@pytest.mark.parametrize(
    ("switch", "message"),
    [
        ("use_oi", "BTC/USDT:USDT in {}: the open interest gate has no open interest of it"),
        ("use_funding", "BTC/USDT:USDT in {}: the funding gate has no funding rate of it"),
    ],
)
@pytest.mark.parametrize("command", ["evidence", "sweep"])
def test_gate_of_every_preset_without_its_series_is_refused(
    folder: Path,
    sample_datadir: Path,
    switch: str,
    message: str,
    command: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    datadir = folder / "binance"
    shutil.copytree(sample_datadir, datadir)
    for file in datadir.rglob("*funding_rate.feather"):
        file.unlink()
    configure(folder, **{switch: True})
    monkeypatch.chdir(folder)
    arguments = ["--datadir", str(datadir), "--pairs", "BTC/USDT:USDT"]
    arguments += ["--enter-z", "1.5,1.7"] if command == "sweep" else []
    said = " ".join(refused(arguments, capsys, command).split())
    assert f"{message.format(datadir)}: download what is missing, or take the gate off" in said
    assert not list(folder.glob(f"user_data/{command}/*"))


@pytest.mark.parametrize("command", ["evidence", "sweep"])
def test_unwritable_output_folder_is_refused_first(
    folder: Path,
    command: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (folder / "user_data" / command).write_text("a file")
    monkeypatch.chdir(folder)
    arguments = ["--enter-z", "1.5,1.7"] if command == "sweep" else []
    said = " ".join(refused(["--datadir", "nowhere", *arguments], capsys, command).split())
    assert f"user_data/{command}: Not a directory" in said
