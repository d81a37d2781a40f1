"""Writing the sample market: once, whole or not at all, and never over what is not its own."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from perp_imbalance.cli.main import run
from perp_imbalance.data.sample import (
    DEFAULT_SEED,
    PAIRS,
    ensure_sample_market,
    store,
    write_sample_market,
)
from perp_imbalance.errors import CommandError, DataError


def test_ensure_writes_once_and_returns_the_folder_after(tmp_path: Path) -> None:
    datadir = tmp_path / "a" / "binance"
    assert ensure_sample_market(datadir, days=30) == datadir
    written = {path: path.stat().st_mtime_ns for path in datadir.rglob("*")}
    assert ensure_sample_market(datadir, days=30) == datadir
    assert {path: path.stat().st_mtime_ns for path in datadir.rglob("*")} == written
    label = (datadir / "README.txt").read_text(encoding="utf-8")
    assert "SYNTHETIC" in label
    assert f"seed: {DEFAULT_SEED}\n" in label
    assert f"generator version: {store.GENERATOR_VERSION}\n" in label


def test_ensure_writes_again_what_is_outdated_or_incomplete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datadir = tmp_path / "binance"
    candles = datadir / "BTC_USDT-1h.feather"

    def rewritten(**arguments: Any) -> bool:
        before = candles.stat().st_ino if candles.exists() else None
        ensure_sample_market(datadir, **{"days": 30, **arguments})
        return candles.stat().st_ino != before

    assert rewritten()
    assert not rewritten()
    assert rewritten(seed=5)
    assert rewritten(days=31)
    assert rewritten(pairs=PAIRS[:1])
    assert rewritten()
    candles.unlink()
    assert rewritten()
    monkeypatch.setattr(store, "GENERATOR_VERSION", store.GENERATOR_VERSION + 1)
    assert rewritten()
    assert [path.name for path in tmp_path.iterdir()] == ["binance"]


@pytest.mark.parametrize("write", [write_sample_market, ensure_sample_market])
def test_folder_with_other_files_is_refused_and_unchanged(tmp_path: Path, write: object) -> None:
    assert callable(write)
    datadir = tmp_path / "binance"
    datadir.mkdir()
    (datadir / "BTC_USDT-1h.feather").write_bytes(b"real candles")
    with pytest.raises(DataError, match="do not belong to a sample market"):
        write(datadir, days=30)
    assert [path.read_bytes() for path in datadir.iterdir()] == [b"real candles"]
    assert list(tmp_path.iterdir()) == [datadir]


def test_candles_someone_added_to_a_sample_are_not_destroyed(tmp_path: Path) -> None:
    datadir = ensure_sample_market(tmp_path / "binance", days=30)
    added = datadir / "BNB_USDT-1h.feather"
    added.write_bytes(b"real candles")
    assert ensure_sample_market(datadir, days=30) == datadir
    with pytest.raises(DataError, match=r"BNB_USDT-1h\.feather is not part"):
        ensure_sample_market(datadir, days=31)
    assert added.read_bytes() == b"real candles"


@pytest.mark.parametrize("failure", [OSError("disk full"), KeyboardInterrupt()])
def test_a_failed_write_leaves_the_old_sample_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    datadir = ensure_sample_market(tmp_path / "binance", days=30)
    before = {path: path.stat().st_mtime_ns for path in datadir.rglob("*.feather")}

    def fail(*_: object) -> str:
        raise failure

    monkeypatch.setattr(store, "_label", fail)
    with pytest.raises((DataError, KeyboardInterrupt)):
        ensure_sample_market(datadir, days=31)
    assert {path: path.stat().st_mtime_ns for path in datadir.rglob("*.feather")} == before
    assert list(tmp_path.iterdir()) == [datadir]


def test_file_at_the_path_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binance").write_text("mine", encoding="utf-8")
    with pytest.raises(DataError, match="is a file"):
        ensure_sample_market(tmp_path / "binance")
    with pytest.raises(DataError, match="cannot be written"):
        ensure_sample_market(tmp_path / "binance" / "deeper")


def test_arguments_out_of_range_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="seed"):
        write_sample_market(tmp_path / "x", seed=-1)
    with pytest.raises(CommandError, match="days"):
        write_sample_market(tmp_path / "x", days=29)
    for start in (datetime(2025, 1, 1, 5, tzinfo=UTC), datetime(2025, 1, 1)):
        with pytest.raises(CommandError, match="midnight UTC"):
            write_sample_market(tmp_path / "x", start=start)
    assert not (tmp_path / "x").exists()


def test_sample_command_says_that_it_is_synthetic(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    datadir = tmp_path / "binance"
    with pytest.raises(SystemExit) as stop:
        run(["sample", "--datadir", str(datadir), "--days", "30", "--seed", "3"])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert "SYNTHETIC" in printed
    assert str(datadir) in printed
    assert "1000PEPE/USDT:USDT" in printed
    assert (datadir / "futures" / "BTC_USDT_USDT-1h-mark.feather").is_file()


def test_sample_now_reaches_today_and_keeps_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        run(["sample", "--now", "--days", "30"])
    assert stop.value.code == 0
    (file,) = tmp_path.glob("user_data/sample-now/binance/futures/BTC_USDT_USDT-1h-futures.feather")
    dates = pd.read_feather(file)["date"]
    now = pd.Timestamp.now("UTC")
    assert (
        now + pd.Timedelta("1D")
        < dates.iloc[-1] + pd.Timedelta("1h")
        <= now.ceil("D") + pd.Timedelta("1D")
    )
    assert not (tmp_path / "user_data" / "sample").exists()


@pytest.mark.parametrize("arguments", [["--days", "1"], ["--seed", "-1"], ["--datadir", "."]])
def test_command_refuses_bad_input_in_one_line(
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(SystemExit) as stop:
        run(["sample", *arguments])
    assert stop.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_command_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        run(["sample", "--help"])
    assert stop.value.code == 0
    assert "example:" in capsys.readouterr().out
