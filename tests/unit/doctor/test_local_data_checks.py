"""The doctor on stored candles: it passes nothing that a backtest cannot read."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from freqtrade.enums import CandleType

from perp_imbalance.doctor.findings import Check, Level
from perp_imbalance.doctor.local_data_checks import examine_local_data
from perp_imbalance.doctor.pair_checks import merge_spotless
from perp_imbalance.errors import DataError
from perp_imbalance.markets.spot_matching import SpotMatch
from perp_imbalance.scan.records import LeftOut
from perp_imbalance.scan.show import left_out_lines

BTC = SpotMatch("BTC/USDT:USDT", "BTC/USDT", 1, "identical", None)


@pytest.fixture
def market(tiny_datadir: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_datadir, tmp_path / "binance"))


def examine(market: Path, data_format: str = "feather") -> list[Check]:
    kinds: list[CandleType] = []
    return examine_local_data(market, data_format, [BTC], ["1h"], exchange="binance", kinds=kinds)


def test_complete_folder_passes(market: Path) -> None:
    assert {check.level for check in examine(market)} == {Level.OK}


@pytest.mark.parametrize("kind", ["futures", "mark", "funding_rate"])
def test_broken_file_must_be_fixed(market: Path, kind: str) -> None:
    file = market / "futures" / f"BTC_USDT_USDT-1h-{kind}.feather"
    file.write_bytes(file.read_bytes()[:1000])
    (check, *_) = examine(market)
    assert (check.level, check.pair) == (Level.MUST_FIX, BTC.perp)
    assert f"{file} cannot be read as feather" in check.message


def test_what_a_backtest_leaves_out_is_a_warning(market: Path) -> None:
    file = market / "futures" / "BTC_USDT_USDT-1h-mark.feather"
    frame = pd.read_feather(file)
    frame["open"] = frame["open"].where(frame.index >= 12)
    frame[:480].to_feather(file)
    unusable, half = (check for check in examine(market) if check.level is not Level.OK)
    assert {half.level, unusable.level} == {Level.WARNING}
    assert f"{BTC.perp}: 12 of 480 rows (2.50%) of {file.name} hold no usable" in unusable.message
    assert "mark prices on 50% of the time of its candles" in half.message


def test_format_that_a_backtest_cannot_read_must_be_fixed(market: Path) -> None:
    file = market / "BTC_USDT-1h.feather"
    pd.read_feather(file).to_parquet(file.with_suffix(".parquet"))
    file.unlink()
    checks = [check for check in examine(market) if check.level is Level.MUST_FIX]
    assert [("freqtrade convert-data" in check.message) for check in checks] == [True]
    with pytest.raises(DataError, match="freqtrade convert-data"):
        examine(market, "json")


def test_missing_folder_is_a_warning(tmp_path: Path) -> None:
    (check,) = examine(tmp_path)
    assert check.level is Level.WARNING
    assert "and 3 more series, which only a backtest needs" in check.message


@pytest.mark.parametrize(("count", "lines"), [(3, 3), (4, 1), (40, 1)])
def test_many_pairs_without_spot_are_one_finding_with_a_count(count: int, lines: int) -> None:
    fine = Check("spot pair", Level.OK, "BTC/USDT × 1 (identical)", BTC.perp)
    spotless = [
        Check("spot pair", Level.MUST_FIX, f"no spot pair of X{at}", f"X{at}/USDT:USDT")
        for at in range(count)
    ]
    merged = merge_spotless([fine, *spotless, fine])
    assert len(merged) == 2 + lines
    if lines == 1:
        named = f"(X0/USDT:USDT, X1/USDT:USDT, X2/USDT:USDT and {count - 3} more)"
        assert merged[1].message.startswith(f"{count} pairs have no spot pair {named}")
        assert merged[1].pair is None


def test_many_perps_that_scan_leaves_out_are_one_line() -> None:
    left_out = [LeftOut(f"X{at}/USDT:USDT", f"reason {at}") for at in range(40)]
    (line,) = left_out_lines(left_out)
    assert line.startswith("40 perps are left out (X0/USDT:USDT, ")
    assert left_out_lines(left_out[:1]) == ["X0/USDT:USDT is left out: reason 0"]
