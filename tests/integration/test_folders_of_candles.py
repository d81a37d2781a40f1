"""Every command says in a line what a folder of candles lacks, and refuses what is broken."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from freqtrade.enums import CandleType
from support.freqtrade import ROOT, backtest_trades, perp_imbalance, refused

from perp_imbalance.data.folder import CandleFolder
from perp_imbalance.errors import DataError

BTC = "BTC/USDT:USDT"
PERP = "BTC_USDT_USDT-1h-{}.feather"
COMMANDS = {
    "backtest": [],
    "sweep": ["--enter-z", "1.5,2"],
    "evidence": ["--draws", "100"],
    "tune": ["--workers", "1"],
    "walk-forward": ["--train", "60d", "--test", "30d"],
    "plot": ["--pair", BTC],
    "replay": ["--port", "0"],
}


@pytest.fixture
def market(sample_datadir: Path, tmp_path: Path) -> Path:
    """A copy of the sample market that a test may break, labelled as no sample."""
    datadir = Path(shutil.copytree(sample_datadir, tmp_path / "candles" / "binance"))
    (datadir / "README.txt").unlink()
    return datadir


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:3000])


def shift(file: Path) -> None:
    frame = pd.read_feather(file)
    frame.assign(date=frame["date"] + pd.Timedelta("30min")).to_feather(file)


def empty_prices(file: Path) -> None:
    pd.read_feather(file).assign(open=None).to_feather(file)


BROKEN = {
    "cut off": (cut, " cannot be read as feather"),
    "beside the hour": (shift, ', column "date": 8760 of 8760 candles do not open when a 1h'),
    "without prices": (empty_prices, ', column "open" has no price above 0 in any of its 8760'),
}


@pytest.mark.parametrize("fault", BROKEN)
@pytest.mark.parametrize("command", COMMANDS)
def test_commands_refuse_a_broken_file_in_one_line(
    command: str,
    fault: str,
    folder: Path,
    market: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    file = market / "futures" / PERP.format("futures")
    breaking, message = BROKEN[fault]
    breaking(file)
    said = refused(["--datadir", str(market), *COMMANDS[command]], capsys, command)
    assert f"{file}{message}" in said
    assert len([line for line in said.splitlines() if line.startswith("perp-imbalance: ")]) == 1
    assert "Traceback" not in said


@pytest.mark.parametrize("timerange", ["30000101-", "20260601-"])
@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "replay"])
def test_commands_name_the_candles_that_a_time_range_misses(
    command: str,
    timerange: str,
    folder: Path,
    market: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    options = ["--datadir", str(market), "--timerange", timerange, *COMMANDS[command]]
    said = " ".join(refused(options, capsys, command).split())
    assert f"the time range {timerange}" in said
    assert f"{market} has 1h candles from 2025-01-01 00:00 to 2026-01-01 00:00" in said


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "replay"])
def test_commands_refuse_another_format_with_what_converts_it(
    command: str,
    folder: Path,
    market: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    file = market / "BTC_USDT-1h.feather"
    pd.read_feather(file).to_parquet(file.with_suffix(".parquet"))
    file.unlink()
    said = refused(["--datadir", str(market), *COMMANDS[command]], capsys, command)
    assert "freqtrade convert-data --format-from parquet --format-to feather --datadir" in said


def test_suggested_conversion_command_works(folder: Path, market: Path) -> None:
    file = market / "BTC_USDT-1h.feather"
    before = pd.read_feather(file)
    before.to_parquet(file.with_suffix(".parquet"))
    file.unlink()
    with pytest.raises(DataError) as error:
        CandleFolder(market, "feather").read("BTC/USDT", "1h", CandleType.SPOT)
    command = str(error.value).partition("convert it with freqtrade ")[2].split()
    process = subprocess.run(
        [sys.executable, "-m", "freqtrade", *command],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
    )
    assert file.is_file(), process.stderr[-3000:]
    assert pd.read_feather(file)["close"].tolist() == before["close"].tolist()


def test_backtest_and_report_say_which_costs_they_leave_out(folder: Path, market: Path) -> None:
    shutil.copytree(ROOT / "strategies", folder / "strategies")
    (market / "futures" / PERP.format("mark")).unlink()
    for kind in ("futures", "mark", "funding_rate"):
        file = market / "futures" / PERP.format(kind)
        shutil.copy(
            market / "futures" / PERP.format("futures"),
            file.with_name(file.name.replace("BTC_USDT_USDT", "BTC_USDT_USDT-250926")),
        )
    process = perp_imbalance(
        *("backtest", "--datadir", str(market), "--timerange", "20250301-20250501"),
        *("--strategy-list", "PerpImbalance"),
        cwd=folder,
    )
    assert process.returncode == 0, process.stderr
    missing = f"{BTC}: no 1h mark prices in {market}: FUNDING FEES ARE LEFT OUT of results"
    dated = "BTC/USDT:USDT-250926 in "
    for said in (missing, dated):
        assert process.stdout.count(f"Note: {said}") == 1
        assert said not in process.stderr
    trades = backtest_trades(folder / "user_data")["PerpImbalance"]
    paid = trades.groupby("pair")["funding_fees"].sum()
    assert paid[BTC] == 0
    assert set(paid.index) == {BTC, "ETH/USDT:USDT", "1000PEPE/USDT:USDT"}
    assert (paid.drop(BTC) != 0).all()

    (result,) = (folder / "user_data" / "backtest_results").glob("*.zip")
    report = perp_imbalance("report", str(result), "--json", cwd=folder)
    assert report.returncode == 0, report.stderr
    notes = json.loads(report.stdout)["notes"]
    assert [note for note in notes if note.startswith(missing)]
    assert not [note for note in notes if "ETH" in note]
    file = market / "futures" / PERP.format("funding_rate")
    file.write_bytes(file.read_bytes()[:1000])
    report = perp_imbalance("report", str(result), cwd=folder)
    assert report.returncode == 2
    assert f"{file} cannot be read as feather" in report.stderr


def test_research_names_what_it_leaves_out(folder: Path, market: Path) -> None:
    file = market / "futures" / PERP.format("futures")
    shutil.copy(file, market / "futures" / "BTC_USD_BTC-1h-futures.feather")
    shutil.copy(file, market / "futures" / "DOGE_USDT_USDT-1h-futures.feather")
    line = f"2 perps in {market} are left out: 1 coin-margined (BTC/USD:BTC); 1 without spot"
    (folder / "strategies").symlink_to(ROOT / "strategies")
    for command in ("evidence", "sweep"):
        process = perp_imbalance(
            *(command, "--datadir", str(market), *COMMANDS[command], "--horizons", "4"), cwd=folder
        )
        assert process.returncode == 0, process.stderr
        assert line in process.stdout
        assert line in " ".join(process.stderr.split())
