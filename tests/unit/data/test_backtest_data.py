"""What a backtest of a folder can trade, and which costs its results leave out."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from freqtrade.data.history import get_datahandler
from freqtrade.enums import CandleType
from freqtrade.exchange import timeframe_to_seconds

from perp_imbalance.data.backtest_data import open_backtest_data
from perp_imbalance.data.folder import CandleFolder
from perp_imbalance.errors import DataError, SettingsError
from perp_imbalance.replay.candle_store import CandleStore, Market
from perp_imbalance.research.pair_history import PairHistories
from perp_imbalance.research.walk_forward.task import candle_files
from perp_imbalance.strategy.settings import Settings

BTC, PEPE = "BTC/USDT:USDT", "1000PEPE/USDT:USDT"
FUTURES = "futures/BTC_USDT_USDT-1h-{}.feather"


@pytest.fixture
def market(tiny_datadir: Path, tmp_path: Path) -> Path:
    """A copy of the tiny market that a test may change."""
    return Path(shutil.copytree(tiny_datadir, tmp_path / "binance"))


def notes(market: Path, **options: Any) -> list[str]:
    return open_backtest_data(market, "1h", Settings(), uses_htf=False, **options).notes


def keep_rows(file: Path, share: float) -> None:
    frame = pd.read_feather(file)
    frame[: int(len(frame) * share)].to_feather(file)


def add_timeframe(market: Path, timeframe: str) -> None:
    """Write candles of BTC on a higher timeframe: those of 1h that open when one of these does."""
    for name in (FUTURES.format("futures"), "BTC_USDT-1h.feather"):
        frame = pd.read_feather(market / name)
        opens = frame["date"] == frame["date"].dt.floor(
            pd.Timedelta(seconds=timeframe_to_seconds(timeframe))
        )
        frame[opens].to_feather(market / name.replace("-1h", f"-{timeframe}"))


def add_contract(market: Path, name: str) -> None:
    for kind in ("futures", "mark", "funding_rate"):
        shutil.copy(market / FUTURES.format(kind), market / f"futures/{name}-1h-{kind}.feather")


def test_complete_folder_gives_no_message(market: Path) -> None:
    data = open_backtest_data(market, "1h", Settings(), uses_htf=False)
    assert (data.pairs, data.notes) == ([PEPE, BTC], [])


def test_untradable_contracts_are_counted_in_one_line(market: Path) -> None:
    for name in ("BTC_USD_BTC", "BTC_USDT_USDT-250926", "DOGE_USDT_USDT", "SOL_USDT_USDT"):
        add_contract(market, name)
    data = open_backtest_data(market, "1h", Settings(), uses_htf=False)
    assert data.pairs == [PEPE, BTC]
    (line,) = data.notes
    assert line == (
        f"4 perps in {market} are left out: 1 coin-margined (BTC/USD:BTC); 1 dated contract "
        "(BTC/USDT:USDT-250926); 2 without spot candles (DOGE/USDT:USDT, SOL/USDT:USDT)"
    )
    assert [history.match.perp for history in PairHistories(market, "1h", Settings()).pairs()] == (
        data.pairs
    )
    listed = CandleStore(market).symbols(Market.PERP).values()
    assert not {symbol.pair for symbol in listed} & {"BTC/USD:BTC", "BTC/USDT:USDT-250926"}


def test_perp_that_was_named_is_left_out_with_its_reason(market: Path) -> None:
    add_contract(market, "DOGE_USDT_USDT")
    said = notes(market, pairs=[BTC, "DOGE/USDT:USDT"])
    reason = f"DOGE/USDT:USDT in {market} is left out: no spot pair of DOGE against USDT"
    assert said == [reason]
    with pytest.raises(DataError, match="USDT; no perp can be traded: download what is missing"):
        notes(market, pairs=["DOGE/USDT:USDT"])


def test_spot_candles_on_another_timeframe_do_not_count(market: Path) -> None:
    (market / "BTC_USDT-1h.feather").rename(market / "BTC_USDT-4h.feather")
    assert notes(market) == [f"{BTC} in {market} is left out: no 1h candles of BTC/USDT"]
    with pytest.raises(DataError, match=r"of BTC/USDT; no perp .* perp-imbalance download-data"):
        notes(market, pairs=[BTC])


def test_perp_that_the_folder_lacks_is_named(market: Path) -> None:
    with pytest.raises(DataError, match=rf"no 1h candles of XRP/USDT:USDT; perps .*: {PEPE}, "):
        notes(market, pairs=["XRP/USDT:USDT"])
    with pytest.raises(DataError, match="no 5m candles of any perp; timeframes there: 1h"):
        open_backtest_data(market, "5m", Settings())


@pytest.mark.parametrize(
    ("kind", "name"), [("funding_rate", "funding rates"), ("mark", "mark prices")]
)
def test_missing_costs_are_reported_with_their_pair(market: Path, kind: str, name: str) -> None:
    (market / FUTURES.format(kind)).unlink()
    (line,) = notes(market)
    assert line.startswith(f"{BTC}: no 1h {name} in {market}: FUNDING FEES ARE LEFT OUT of results")
    assert "perp-imbalance download-data" in line
    # Where nothing is traded, no cost is missing.
    assert not notes(market, costs=())


@pytest.mark.parametrize(
    ("kind", "name"), [("funding_rate", "funding rates"), ("mark", "mark prices")]
)
def test_partly_missing_costs_are_reported_with_their_share(
    market: Path, kind: str, name: str
) -> None:
    keep_rows(market / FUTURES.format(kind), 0.25)
    said = f"{BTC}: {name} on 25% of the time of its candles: elsewhere funding fees are left out"
    assert notes(market) == [said]
    # Within the time range that they cover, nothing is missing.
    assert not notes(market, timerange="20240101-20240108")
    assert notes(market, timerange="20240201-")[0].startswith(f"{BTC}: no 1h {name} in ")


def test_gap_in_the_middle_of_a_series_counts(market: Path) -> None:
    file = market / FUTURES.format("mark")
    frame = pd.read_feather(file)
    frame.drop(index=range(100, 600)).reset_index(drop=True).to_feather(file)
    assert notes(market)[0].startswith(f"{BTC}: mark prices on 4")


def test_perp_file_with_missing_last_rows_is_reported(market: Path) -> None:
    keep_rows(market / FUTURES.format("futures"), 0.5)
    said = notes(market)
    assert (
        f"{BTC}: its 1h candles on 50% of the time of its mark prices: a file may be cut"
        in (said[-1])
    )


def test_spot_that_covers_part_of_the_time_is_reported(market: Path) -> None:
    keep_rows(market / "PEPE_USDT-1h.feather", 0.5)
    said = "1h candles of PEPE/USDT on 50% of the time of its candles: elsewhere nothing is entered"
    assert notes(market) == [f"{PEPE}: {said}"]


@pytest.mark.parametrize("kind", ["futures", "mark", "funding_rate"])
def test_broken_file_is_not_treated_as_missing(market: Path, kind: str) -> None:
    file = market / FUTURES.format(kind)
    file.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(DataError, match=f"{file} cannot be read"):
        notes(market, costs=())


def older_beside_newer(market: Path, kind: str, column: str) -> None:
    """Add a file of another rate under the timeframe of older versions of freqtrade."""
    handler = get_datahandler(market, "feather")
    key = (BTC, "1h", CandleType.from_string(kind))
    frame = handler.ohlcv_load(*key, fill_missing=False)
    handler.ohlcv_store(BTC, "8h", frame.assign(**{column: frame[column] * 7}), key[2])


def test_perp_of_another_coin_is_left_out_of_research(
    market: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = market / "BTC_USDT-1h.feather"
    spot = pd.read_feather(file)
    spot[["open", "high", "low", "close"]] *= 7
    spot.to_feather(file)
    histories = PairHistories(market, "1h", Settings())
    assert [history.match.perp for history in histories.pairs()] == [PEPE]
    assert [history.match.perp for history in histories.pairs()] == [PEPE]
    # Once, however often they are read.
    (line,) = caplog.messages
    assert line.startswith(f"{BTC} in {market} is left out: its price is 0.143 times that of BTC/")
    assert histories.left_out == [line]
    with pytest.raises(DataError, match=r"not the same coin; .*; no perp can be traded$"):
        list(histories.pairs([BTC]))


@pytest.fixture(params=[False, True], ids=["as listed", "reversed"])
def either_order(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let directories list their files in either order."""
    before = Path.glob

    def glob(path: Path, pattern: str, **options: Any) -> Iterator[Path]:
        return iter(sorted(before(path, pattern, **options), reverse=request.param))

    monkeypatch.setattr(Path, "glob", glob)


@pytest.mark.usefixtures("either_order")
def test_newer_funding_file_counts_in_any_order(market: Path) -> None:
    right = next(PairHistories(market, "1h", Settings()).pairs([BTC]))
    older_beside_newer(market, "funding_rate", "funding_rate")
    older_beside_newer(market, "mark", "open")
    found = next(PairHistories(market, "1h", Settings()).pairs([BTC]))
    assert right.funding.any()
    assert found.funding.tolist() == right.funding.tolist()
    assert found.series["funding_rate"].tolist() == pytest.approx(
        right.series["funding_rate"].tolist(), nan_ok=True
    )
    store = CandleStore(market)
    symbol = store.symbols(Market.PERP)["BTCUSDT"]
    paid = store.finest(symbol, CandleType.FUNDING_RATE).values[:, 0]
    assert (
        paid.tolist()
        == CandleFolder(market).read(BTC, "1h", CandleType.FUNDING_RATE)["funding_rate"].tolist()
    )
    assert not notes(market)


def test_old_funding_file_alone_is_told_with_its_new_name(market: Path) -> None:
    file = market / FUTURES.format("funding_rate")
    file.rename(file.with_name("BTC_USDT_USDT-8h-funding_rate.feather"))
    for costs in ((), ("funding rates",)):
        (line,) = notes(market, costs=costs)
        assert line.endswith(
            "freqtrade does not read BTC_USDT_USDT-8h-funding_rate.feather: rename it to "
            "BTC_USDT_USDT-1h-funding_rate.feather, or download it again"
        )


@pytest.mark.parametrize(
    ("timeframes", "configured", "higher", "said"),
    [
        (["1h", "4h"], "4h", "4h", ""),
        # Candles of the config's timeframe are made, even beside others that are longer.
        (["1h", "2h", "1d"], "4h", "4h", ""),
        (["1h", "2h", "1d"], "5h", "2h", "no 5h candles in the folder: higher timeframe 2h"),
        (
            ["1h", "90m"],
            "5h",
            "5h",
            "no higher timeframe than 1h in the folder: no HTF gate passes",
        ),
    ],
)
def test_htf_falls_back_where_it_cannot_be_made(
    market: Path,
    caplog: pytest.LogCaptureFixture,
    timeframes: list[str],
    configured: str,
    higher: str,
    said: str,
) -> None:
    for timeframe in timeframes[1:]:
        add_timeframe(market, timeframe)
    settings = Settings(htf_timeframe=configured)
    assert open_backtest_data(market, "1h", settings).htf_timeframe == higher
    assert caplog.messages == ([said] if said else [])
    with pytest.raises(SettingsError, match="htf_timeframe is 90m"):
        open_backtest_data(market, "1h", settings, htf_timeframe="90m")
    with pytest.raises(DataError, match="no 1w candles for the HTF gate"):
        open_backtest_data(market, "1h", settings, htf_timeframe="1w")


@pytest.mark.parametrize("timeframe", ["2h", "1d"])
@pytest.mark.parametrize("name", ["futures/BTC_USDT_USDT-{}-futures", "BTC_USDT-{}"])
def test_htf_that_covers_part_of_the_time_is_reported(
    market: Path, timeframe: str, name: str
) -> None:
    add_timeframe(market, timeframe)

    def said() -> list[str]:
        settings = Settings(htf_timeframe=timeframe)
        return open_backtest_data(market, "1h", settings, pairs=[BTC]).notes

    assert said() == []
    keep_rows(market / f"{name.format(timeframe)}.feather", 0.25)
    (line,) = said()
    assert line.startswith(f"{BTC}: {timeframe} candles ")
    assert line.endswith(" of the time of its candles: elsewhere the HTF gate lets nothing pass")


@pytest.mark.parametrize("timerange", ["30000101-", "-30000101", "20250601-", "-20231231"])
def test_time_range_without_candles_names_theirs(market: Path, timerange: str) -> None:
    with pytest.raises(DataError) as error:
        notes(market, timerange=timerange)
    assert timerange in str(error.value)
    existing = f"{market} has 1h candles from 2024-01-01 00:00 to 2024-02-10 00:00"
    assert str(error.value).endswith(existing)


@pytest.mark.parametrize(
    ("timerange", "is_past"),
    [
        ("20240105-20240210", False),
        ("20240101-", False),
        ("20240105-20240211", True),
        ("20231231-20240201", True),
        ("-20250101", True),
    ],
)
def test_time_range_past_the_candles_is_reported(
    market: Path, timerange: str, is_past: bool
) -> None:
    said = f"the time range {timerange} reaches past the candles: {market} has 1h candles from "
    assert [line.startswith(said) for line in notes(market, timerange=timerange)] == [
        True
    ] * is_past


def test_perp_outside_the_time_range_is_left_out(market: Path) -> None:
    for kind in ("futures", "mark", "funding_rate"):
        keep_rows(market / FUTURES.format(kind), 0.25)
    data = open_backtest_data(market, "1h", Settings(), uses_htf=False, timerange="20240201-")
    assert data.pairs == [PEPE]
    assert data.notes == [
        f"{BTC} in {market} is left out: outside the time range: it can be traded from "
        "2024-01-01 00:00 to 2024-01-11 00:00"
    ]


def test_startup_candles_are_not_traded(market: Path) -> None:
    assert notes(market, timerange="-20240111", startup=240) == []
    with pytest.raises(DataError, match="has no candles, beyond the 241 to look back on: "):
        notes(market, timerange="-20240111", startup=241)


def test_walk_forward_sends_the_files_that_a_backtest_reads(market: Path) -> None:
    older_beside_newer(market, "funding_rate", "funding_rate")
    add_contract(market, "BTC_USD_BTC")
    data = open_backtest_data(market, "1h", Settings(), pairs=[BTC])
    files = candle_files(data, "binance")
    names = [FUTURES.format(kind) for kind in ("funding_rate", "futures", "mark")]
    htf = "futures/BTC_USDT_USDT-4h-futures.feather"
    assert sorted(files) == sorted(["BTC_USDT-1h.feather", "BTC_USDT-4h.feather", htf, *names])
    assert all(files[name] == (market / name).read_bytes() for name in files if "4h" not in name)
