"""The one reader of stored candles: it refuses what freqtrade would take for an absent file."""

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import freqtrade.exchange
import pandas as pd
import pytest
from freqtrade.data.history import get_datahandler, load_pair_history
from freqtrade.enums import CandleType
from freqtrade.exchange import Exchange
from support.tiny_replay import TINY_START, write_market

from perp_imbalance.data.candle_file import FUNDING_TIMEFRAME
from perp_imbalance.data.folder import (
    MARK_KINDS,
    MARK_TIMEFRAME,
    CandleFolder,
    not_tradable,
)
from perp_imbalance.errors import DataError
from perp_imbalance.replay.candle_store import CandleStore

BTC = "BTC/USDT:USDT"
FORMATS = {"feather": "feather", "parquet": "parquet", "json": "json", "jsongz": "json.gz"}
PERP = "futures/BTC_USDT_USDT-1h-futures.feather"


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def changed(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path], None]:
    def write(file: Path) -> None:
        change(pd.read_feather(file)).reset_index(drop=True).to_feather(file)

    return write


BROKEN = {
    "cut off": (cut, "cannot be read as feather: it is cut off or of another format; delete it"),
    "0 bytes": (lambda file: file.write_bytes(b""), "is empty (0 bytes)"),
    "another format": (lambda file: file.write_text("date,open\n"), "cannot be read as feather"),
    "without rows": (changed(lambda frame: frame[:0]), "holds no candles"),
    "integer dates": (
        changed(lambda frame: frame.assign(date=frame["date"].astype("int64"))),
        'column "date" holds int64, not times: write it again with pandas.to_datetime',
    ),
    "naive dates": (
        changed(lambda frame: frame.assign(date=frame["date"].dt.tz_localize(None))),
        'column "date" has no timezone: write it again with frame["date"].dt.tz_localize("UTC")',
    ),
    "dates of 1970": (
        changed(lambda frame: frame.assign(date=frame["date"] - pd.Timedelta(days=365 * 54))),
        "its numbers have another unit than was assumed",
    ),
    "dates missing in part": (
        changed(lambda frame: frame.assign(date=frame["date"].where(frame.index > 3))),
        'column "date" has rows without a time',
    ),
    "dates of text": (
        changed(lambda frame: frame.assign(date=frame["date"].astype(str))),
        'column "date" holds text, not times: write it again with '
        'pandas.to_datetime(frame["date"], utc=True), or',
    ),
    # freqtrade takes 05:30 for 05:00 and so knows a close half an hour early.
    "dates beside the hour": (
        changed(lambda frame: frame.assign(date=frame["date"] + pd.Timedelta("30min"))),
        'column "date": 960 of 960 candles do not open when a 1h candle does, the first at '
        "2024-01-01 00:30:00",
    ),
    # freqtrade moves candles of 4h to the hours of that timezone.
    "another timezone": (
        changed(lambda frame: frame.assign(date=frame["date"].dt.tz_convert("America/New_York"))),
        'column "date" is in the timezone America/New_York, in which freqtrade moves candles',
    ),
    "missing column": (changed(lambda frame: frame.drop(columns="close")), "has no column close;"),
    "repeated dates": (
        changed(lambda frame: pd.concat([frame[:3], frame[2:]])),
        'column "date" repeats a time or is out of order at 2024-01-01 02:00',
    ),
    "unordered dates": (
        changed(lambda frame: frame[::-1]),
        'column "date" repeats a time or is out of order',
    ),
}


@pytest.fixture
def market(tiny_datadir: Path, tmp_path: Path) -> Path:
    """A copy of the tiny market that a test may break."""
    return Path(shutil.copytree(tiny_datadir, tmp_path / "data" / "binance"))


@pytest.mark.parametrize("name", BROKEN)
def test_broken_file_is_named_with_how_to_mend_it(market: Path, name: str) -> None:
    breaking, message = BROKEN[name]
    breaking(market / PERP)
    with pytest.raises(DataError) as error:
        CandleFolder(market, "feather").read(BTC, "1h", CandleType.FUTURES)
    assert str(market / PERP) in str(error.value)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.raises(DataError, match="BTC_USDT_USDT-1h-futures"):
        CandleStore(market).span()


def test_file_with_broken_columns_is_not_treated_as_missing(
    market: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # Its dates can be read, its prices cannot: freqtrade logs a traceback and goes on without it.
    changed(lambda frame: frame.assign(close="x"))(market / PERP)
    with pytest.raises(
        DataError, match='column "close" holds text that is not a number at 2024-01'
    ):
        CandleFolder(market).read(BTC, "1h", CandleType.FUTURES)
    assert not caplog.messages


@pytest.mark.parametrize("data_format", FORMATS)
def test_cut_file_of_every_format_is_refused(tmp_path: Path, data_format: str) -> None:
    write_market(tmp_path, TINY_START, 500, data_format)
    file = (tmp_path / PERP).with_suffix(f".{FORMATS[data_format]}")
    cut(file)
    with pytest.raises(DataError, match=rf"{file.name} cannot be read as {data_format}"):
        CandleFolder(tmp_path, data_format).read(BTC, "1h", CandleType.FUTURES)


@pytest.mark.parametrize("text", ['[[1704067200000,"x",1,1,1,1]]', "{}", "[]", "[[]]", "[1]", "]"])
def test_json_of_anything_else_is_refused(tmp_path: Path, text: str) -> None:
    write_market(tmp_path, TINY_START, 50, "json")
    file = tmp_path / "BTC_USDT-1h.json"
    file.write_text(text)
    with pytest.raises(DataError, match=r"BTC_USDT-1h\.json"):
        CandleFolder(tmp_path, "json").read("BTC/USDT", "1h", CandleType.SPOT)


def test_json_of_too_few_columns_is_refused(tmp_path: Path) -> None:
    write_market(tmp_path, TINY_START, 50, "jsongz")
    file = tmp_path / "BTC_USDT-1h.json.gz"
    file.write_bytes(gzip.compress(b"[[1704067200000,1,1,1,1],[1704070800000,1,1,1,1]]"))
    with pytest.raises(DataError, match="has no column volume"):
        CandleFolder(tmp_path, "jsongz").read("BTC/USDT", "1h", CandleType.SPOT)


@pytest.mark.parametrize("data_format", FORMATS)
def test_every_series_is_read_as_freqtrade_reads_it(tmp_path: Path, data_format: str) -> None:
    write_market(tmp_path, TINY_START, 720, data_format)
    folder = CandleFolder(tmp_path, data_format)
    assert {key[2] for key in folder.keys} == {
        *(CandleType.SPOT, CandleType.FUTURES, CandleType.MARK, CandleType.FUNDING_RATE)
    }
    for pair, timeframe, kind in folder.keys:
        for fill in (False, True):
            wanted = load_pair_history(
                *(pair, timeframe, tmp_path),
                fill_up_missing=fill,
                data_format=data_format,
                candle_type=kind,
            )
            frame = folder.read(pair, timeframe, kind, fill=fill)
            pd.testing.assert_frame_equal(frame, wanted)


def test_month_candles_are_found_under_both_names(market: Path) -> None:
    handler = get_datahandler(market, "feather")
    frame = handler.ohlcv_load("BTC/USDT", "1h", CandleType.SPOT)
    handler.ohlcv_store("BTC/USDT", "1M", frame[:1], CandleType.SPOT)
    assert len(CandleFolder(market).read("BTC/USDT", "1M", CandleType.SPOT)) == 1
    (market / "BTC_USDT-1Mo.feather").rename(market / "BTC_USDT-1M.feather")
    assert len(CandleFolder(market).read("BTC/USDT", "1M", CandleType.SPOT)) == 1


def test_link_to_nothing_is_named(market: Path) -> None:
    (market / PERP).unlink()
    (market / PERP).symlink_to(market / "gone.feather")
    with pytest.raises(DataError, match=r"is a link to .*gone\.feather, which does not exist"):
        CandleFolder(market).read(BTC, "1h", CandleType.FUTURES)


def test_absent_series_has_columns_and_no_rows(market: Path) -> None:
    frame = CandleFolder(market).read(BTC, "1h", CandleType.OPEN_INTEREST)
    assert frame.empty
    assert list(frame) == ["date", "open_interest_amount", "open_interest_value"]


def test_other_format_is_refused_with_the_command_that_converts(tmp_path: Path) -> None:
    write_market(tmp_path, TINY_START, 50, "jsongz")
    message = (
        f"convert it with freqtrade convert-data --format-from jsongz --format-to feather "
        f"--datadir {tmp_path}"
    )
    with pytest.raises(DataError, match=message):
        CandleFolder(tmp_path, "feather")
    # The perps in one format, spot in another.
    write_market(tmp_path, TINY_START, 50, "feather")
    (tmp_path / "BTC_USDT-1h.feather").unlink()
    folder = CandleFolder(tmp_path, "feather")
    assert len(folder.read(BTC, "1h", CandleType.FUTURES))
    with pytest.raises(DataError, match=message):
        folder.read("BTC/USDT", "1h", CandleType.SPOT)
    assert len(CandleFolder(tmp_path, "jsongz").read("BTC/USDT", "1h", CandleType.SPOT))


@pytest.mark.parametrize("step", ["futures", "..", "../.."])
def test_error_names_the_folder_that_was_meant(market: Path, step: str) -> None:
    with pytest.raises(DataError, match=rf"has no candles in .*; {market} has: pass that one"):
        CandleFolder((market / step).resolve())


def test_folder_without_any_candles_has_no_hint(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    with pytest.raises(DataError, match=r"-1h-futures\.feather$"):
        CandleFolder(tmp_path / "a" / "b")
    with pytest.raises(DataError, match="there is no folder"):
        CandleFolder(tmp_path / "c")
    (tmp_path / "c").touch()
    with pytest.raises(DataError, match="c is a file: pass a folder of candles"):
        CandleFolder(tmp_path / "c")


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        (BTC, None),
        ("1000PEPE/USDC:USDC", None),
        ("BTC/USD:BTC", "coin-margined"),
        ("BTC/USDT:USDT-250926", "dated contract"),
        ("BTC/USD:BTC-250926", "dated contract"),
        ("BTC/USDT:USDT-250926-100000-C", "dated contract"),
    ],
)
def test_contracts_that_are_not_linear_perps(pair: str, reason: str | None) -> None:
    assert not_tradable(pair) == reason


@pytest.mark.parametrize("name", ["binance", "bybit", "okx", "gate", "hyperliquid", "bitget"])
def test_cost_series_are_those_that_freqtrade_reads(name: str) -> None:
    # Of the class alone: an exchange would ask for its markets.
    exchange = getattr(freqtrade.exchange, name.title())
    options = {**Exchange._ft_has_default, **exchange._ft_has, **exchange._ft_has_futures}
    assert options["funding_fee_timeframe"] == FUNDING_TIMEFRAME
    assert options["mark_ohlcv_timeframe"] == MARK_TIMEFRAME
    assert options["mark_ohlcv_price"] == MARK_KINDS.get(name, CandleType.MARK)
