"""Downloads: the user's files are as before or complete, whatever freqtrade does to its copies."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from freqtrade.data.history import get_datahandler
from freqtrade.enums import CandleType

from perp_imbalance.data import download as module
from perp_imbalance.data.download import STAGING_PREFIX, Job, Outcome, download
from perp_imbalance.errors import DataError
from perp_imbalance.freqtrade_bridge.process import EXIT_DOWNLOAD

JOB = Job("spot", ["BTC/USDT", "ETH/USDT"])
BTC, ETH = "BTC_USDT-1h.feather", "ETH_USDT-1h.feather"

Fake = Callable[[Path], int]


def candles(count: int, start: str = "2025-01-01") -> pd.DataFrame:
    dates = pd.date_range(start, periods=count, freq="1h", tz="UTC")
    return pd.DataFrame(
        {"date": dates, **dict.fromkeys(("open", "high", "low", "close", "volume"), 1.0)}
    )


def store(datadir: Path, pair: str, count: int, data_format: str = "feather") -> None:
    datadir.mkdir(exist_ok=True)
    get_datahandler(datadir, data_format).ohlcv_store(pair, "1h", candles(count), CandleType.SPOT)


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture
def datadir(tmp_path: Path) -> Path:
    """A folder with 10 candles of BTC and ETH."""
    for pair in JOB.pairs:
        store(tmp_path / "binance", pair, 10)
    return tmp_path / "binance"


@pytest.fixture
def run(datadir: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Download with a freqtrade that does what the test says to its folder."""

    def with_freqtrade(freqtrade: Fake, data_format: str = "feather") -> Outcome:
        def fake(command: list[str], *, configs: list[Path]) -> int:
            return freqtrade(Path(command[command.index("--datadir") + 1]))

        monkeypatch.setattr(module, "run_freqtrade", fake)
        return download(
            [JOB],
            datadir,
            data_format=data_format,
            timeframes=["1h"],
            timerange="20250101-",
            configs=[],
        )

    return with_freqtrade


def test_longer_file_replaces_the_older_one(run: Callable[..., Outcome], datadir: Path) -> None:
    def freqtrade(folder: Path) -> int:
        store(folder, "BTC/USDT", 12)
        return 0

    outcome = run(freqtrade)
    assert (outcome.written, outcome.kept, outcome.failed) == (1, 1, {})
    assert len(pd.read_feather(datadir / BTC)) == 12
    assert set(contents(datadir)) == {BTC, ETH}


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda file: file.write_bytes(b""), "is the disk full?"),
        (lambda file: file.write_bytes(file.read_bytes()[:-20]), "is the disk full?"),
        (lambda file: store(file.parent, "BTC/USDT", 5), "freqtrade made 5 candles of 10"),
        (lambda file: file.unlink(), "could not download it"),
    ],
    ids=["empty", "cut off", "shorter", "gone"],
)
def test_damaged_copy_never_reaches_the_folder(
    run: Callable[..., Outcome], datadir: Path, damage: Callable[[Path], None], reason: str
) -> None:
    before = contents(datadir)

    def freqtrade(folder: Path) -> int:
        damage(folder / BTC)
        store(folder, "ETH/USDT", 12)
        return 0

    outcome = run(freqtrade)
    assert list(outcome.failed) == ["BTC/USDT 1h spot"]
    assert reason in str(outcome)
    after = contents(datadir)
    assert after[BTC] == before[BTC]
    assert len(pd.read_feather(datadir / ETH)) == 12


def test_last_candle_is_kept_when_nothing_new_comes(
    run: Callable[..., Outcome], datadir: Path
) -> None:
    before = contents(datadir)

    def freqtrade(folder: Path) -> int:
        # As freqtrade does: the last candle may be unfinished, so it is dropped and asked for.
        store(folder, "BTC/USDT", 9)
        return 0

    outcome = run(freqtrade)
    assert (outcome.kept, outcome.failed) == (2, {})
    assert contents(datadir) == before


def test_pair_without_candles_is_named_and_leaves_no_file(
    run: Callable[..., Outcome], datadir: Path
) -> None:
    (datadir / ETH).unlink()

    def freqtrade(folder: Path) -> int:
        store(folder, "ETH/USDT", 0)
        return 0

    outcome = run(freqtrade)
    assert "ETH/USDT 1h spot: the exchange gives no candles" in str(outcome)
    assert set(contents(datadir)) == {BTC}


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
def test_interrupted_run_keeps_what_is_complete(
    run: Callable[..., Outcome], datadir: Path, end: type[BaseException]
) -> None:
    before = contents(datadir)

    def freqtrade(folder: Path) -> int:
        store(folder, "BTC/USDT", 12)
        (folder / ETH).write_bytes(b"half")
        raise end

    with pytest.raises(end):
        run(freqtrade)
    assert len(pd.read_feather(datadir / BTC)) == 12
    assert contents(datadir)[ETH] == before[ETH]
    assert set(contents(datadir)) == {BTC, ETH}


def test_file_that_another_process_changed_is_left_alone(
    run: Callable[..., Outcome], datadir: Path
) -> None:
    def freqtrade(folder: Path) -> int:
        store(folder, "BTC/USDT", 12)
        store(datadir, "BTC/USDT", 14)
        return 0

    assert "another process changed the file" in str(run(freqtrade))
    assert len(pd.read_feather(datadir / BTC)) == 14


def test_linked_file_is_replaced_where_it_lies(
    run: Callable[..., Outcome], datadir: Path, tmp_path: Path
) -> None:
    shared = tmp_path / "shared.feather"
    shutil.move(datadir / BTC, shared)
    (datadir / BTC).symlink_to(shared)

    def freqtrade(folder: Path) -> int:
        store(folder, "BTC/USDT", 12)
        return 0

    assert run(freqtrade).written == 1
    assert (datadir / BTC).is_symlink()
    assert len(pd.read_feather(shared)) == 12


@pytest.mark.parametrize("data_format", ["feather", "json", "jsongz", "parquet"])
@pytest.mark.parametrize("content", [b"", b"[[1, 2", b"text", None])
def test_broken_file_is_refused_before_anything_runs(
    run: Callable[..., Outcome], datadir: Path, data_format: str, content: bytes | None
) -> None:
    store(datadir, "BTC/USDT", 10, data_format)
    extension = {"jsongz": "json.gz"}.get(data_format, data_format)
    file = datadir / f"BTC_USDT-1h.{extension}"
    file.write_bytes(file.read_bytes()[:-9] if content is None else content)
    before = contents(datadir)

    def freqtrade(folder: Path) -> int:
        raise AssertionError

    with pytest.raises(DataError, match="cannot be read as candles") as refused:
        run(freqtrade, data_format)
    assert str(file) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert contents(datadir) == before


def test_errors_in_freqtrades_log_are_reported(run: Callable[..., Outcome]) -> None:
    outcome = run(lambda folder: EXIT_DOWNLOAD)
    assert outcome.code == EXIT_DOWNLOAD
    assert "freqtrade reported errors" in str(outcome)


def test_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written: Not a directory"):
        download(
            [JOB],
            tmp_path / "file" / "binance",
            data_format="feather",
            timeframes=["1h"],
            timerange="20250101-",
            configs=[],
        )


def test_folder_of_a_killed_download_is_swept(run: Callable[..., Outcome], datadir: Path) -> None:
    left = datadir / f"{STAGING_PREFIX}killed"
    left.mkdir()
    (left / "half").write_text("")
    run(lambda folder: os.EX_OK)
    assert set(contents(datadir)) == {BTC, ETH}
