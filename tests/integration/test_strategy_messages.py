"""What the strategy of a running bot tells: flips, the market, pairs without signals, candles."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from freqtrade.enums import CandleType, RunMode
from support.data_provider import Candles
from support.strategies import SAFE, copy_strategies, load
from time_machine import travel


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the strategies, as in a trader's ``user_data/strategies``."""
    return copy_strategies(tmp_path)


def analysed(folder: Path, datadir: Path, row: int, started: pd.Timestamp, **settings: Any) -> Any:
    """Let a bot that began at a time analyse BTC up to a row; return its messages and signals."""
    strategy = load(
        folder,
        runmode=RunMode.DRY_RUN,
        exchange={"name": "binance", "ccxt_config": SAFE},
        perp_imbalance=settings,
    )
    strategy.dp, strategy.started = Candles(datadir), started
    pair = {"pair": "BTC/USDT:USDT"}
    candles = strategy.dp.get_pair_dataframe(pair["pair"], "1h", CandleType.FUTURES)
    dataframe = strategy.populate_indicators(candles.iloc[: row + 1].copy(), pair)
    return strategy.dp.messages, strategy.populate_entry_trend(dataframe, pair)


@pytest.fixture
def first_entry(folder: Path, sample_datadir: Path) -> tuple[int, pd.Timestamp]:
    """Row and close of the first candle that enters a SHORT on the flip itself."""
    signals = analysed(folder, sample_datadir, 8000, pd.Timestamp.now("UTC"))[1]
    flips = (signals["bias"] == -1) & (signals["bias"].shift(1) != -1)
    row = int(signals.index[flips & (signals["enter_short"] == 1)][0])
    return row, signals["date"].iloc[row] + pd.Timedelta("1h")


def test_flip_while_the_bot_runs_sends_one_message(
    folder: Path, sample_datadir: Path, first_entry: tuple[int, pd.Timestamp]
) -> None:
    row, close = first_entry
    messages, _ = analysed(folder, sample_datadir, row, started=close - pd.Timedelta("1s"))
    (message,) = messages
    assert message.startswith("Enter SHORT bias: BTC/USDT:USDT, z +")
    assert message.endswith(", preset balanced")
    assert analysed(folder, sample_datadir, row + 1, started=close)[0] == []


def test_candle_that_is_analysed_anew_repeats_no_message(
    folder: Path, sample_datadir: Path, first_entry: tuple[int, pd.Timestamp]
) -> None:
    """And a flip that a late candle brings only then is told then."""
    row, close = first_entry
    strategy = load(
        folder, runmode=RunMode.DRY_RUN, exchange={"name": "binance", "ccxt_config": SAFE}
    )
    strategy.dp, strategy.started = Candles(sample_datadir), close - pd.Timedelta("1D")
    pair = {"pair": "BTC/USDT:USDT"}
    candles = strategy.dp.get_pair_dataframe(pair["pair"], "1h", CandleType.FUTURES)
    for last in (row - 1, row, row, row + 1, row + 1):
        strategy.populate_indicators(candles.iloc[: last + 1].copy(), pair)
    assert len(strategy.dp.messages) == 1
    strategy.seen_bias["BTC/USDT:USDT"] = 0
    strategy.populate_indicators(candles.iloc[: row + 2].copy(), pair)
    assert len(strategy.dp.messages) == 2


def test_flip_before_the_start_sends_no_message(
    folder: Path, sample_datadir: Path, first_entry: tuple[int, pd.Timestamp]
) -> None:
    row, close = first_entry
    started = close + pd.Timedelta("1s")
    assert analysed(folder, sample_datadir, row, started)[0] == []


def test_kind_of_message_that_is_switched_off_is_not_sent(
    folder: Path, sample_datadir: Path, first_entry: tuple[int, pd.Timestamp]
) -> None:
    row, close = first_entry
    assert analysed(folder, sample_datadir, row, close, alerts=["enter_long", "exit"])[0] == []


def test_alert_only_bot_sends_messages_and_enters_nothing(
    folder: Path, sample_datadir: Path, first_entry: tuple[int, pd.Timestamp]
) -> None:
    row, close = first_entry
    messages, signals = analysed(folder, sample_datadir, row, close, alert_only=True)
    assert len(messages) == 1
    assert signals[["enter_short", "enter_long"]].to_numpy().sum() == 0


class Listed(Candles):
    """Has what was analysed of each pair, as the test says."""

    frames: dict[str, pd.DataFrame]

    def get_analyzed_dataframe(self, pair: str, timeframe: str) -> tuple[pd.DataFrame, None]:
        return self.frames[pair], None


@pytest.mark.parametrize("lacks", ["the candle", "its premium"])
@pytest.mark.parametrize("comes", [True, False], ids=["late", "never"])
def test_market_is_judged_when_no_pair_is_awaited(
    lacks: str, comes: bool, folder: Path, sample_datadir: Path
) -> None:
    strategy = load(
        folder,
        runmode=RunMode.DRY_RUN,
        exchange={"name": "binance", "ccxt_config": SAFE},
        perp_imbalance={"alerts": [{"kind": "market", "level": 50, "cooldown_candles": 1}]},
    )
    strategy.dp = dp = Listed(sample_datadir)
    dates = pd.date_range("2025-03-01", periods=3, freq="1h", tz="UTC")
    strategy.started = dates[1]
    pairs = ["A", "B", "C", "unfit"]
    strategy.unfit["unfit"] = "no spot pair"

    def frame(rows: int, last: float) -> pd.DataFrame:
        columns = {"date": dates[:rows], "deviation_bps": 0.0, "premium": 0.0}
        table = pd.DataFrame(columns)
        table.loc[rows - 1, ["deviation_bps", "premium"]] = last
        return table

    def look(seconds: int) -> list[str]:
        with travel(dates[-1] + pd.Timedelta(3600 + seconds, "s"), tick=False):
            strategy.announce_market(pairs)
        found, dp.messages = dp.messages, []
        return found

    dp.frames = dict.fromkeys(pairs, frame(2, 0.0))
    assert look(-3600) == []
    dp.frames |= dict.fromkeys("AB", frame(3, -11.0))
    if lacks == "its premium":
        dp.frames["C"] = frame(3, float("nan"))
    assert look(1) == []
    assert strategy.awaits_market
    if comes:
        dp.frames["C"] = frame(3, 0.0)
    share = "66.7 % of the pairs (2 of 3)" if comes else "100.0 % of the pairs (2 of 2)"
    (message,) = look(2 if comes else 121)
    assert message == f"Market above 50 %: {share} have a deviation of -10 bps or less"
    assert not strategy.awaits_market
    assert look(125) == []


def test_market_leaves_out_pairs_without_our_columns(folder: Path, sample_datadir: Path) -> None:
    """A class of one's own may return other indicators, of all pairs or of some."""
    strategy = load(
        folder,
        runmode=RunMode.DRY_RUN,
        exchange={"name": "binance", "ccxt_config": SAFE},
        perp_imbalance={"alerts": [{"kind": "market", "level": 50, "cooldown_candles": 1}]},
    )
    strategy.dp = Listed(sample_datadir)
    dates = pd.date_range("2025-03-01", periods=3, freq="1h", tz="UTC")
    strategy.started = dates[1]
    theirs = pd.DataFrame({"date": dates, "close": 1.0})
    strategy.dp.frames = dict.fromkeys("AB", theirs)
    strategy.announce_market(["A", "B"])
    assert strategy.dp.messages == []
    ours = theirs.assign(premium=0.0, deviation_bps=[0.0, 0.0, -11.0])
    strategy.dp.frames["A"] = ours.iloc[:2]
    strategy.announce_market(["A", "B"])
    strategy.dp.frames["A"] = ours
    strategy.announce_market(["A", "B"])
    (message,) = strategy.dp.messages
    assert "100.0 % of the pairs (1 of 1)" in message


class WrongSpot(Candles):
    """Answers for spot with the perp's candles while told to, as Binance does under "swap"."""

    wrong = True
    analysed: pd.DataFrame

    def get_pair_dataframe(
        self, pair: str, timeframe: str, candle_type: CandleType
    ) -> pd.DataFrame:
        if self.wrong:
            pair, candle_type = "BTC/USDT:USDT", CandleType.FUTURES
        return super().get_pair_dataframe(pair, timeframe, candle_type)

    def get_analyzed_dataframe(self, pair: str, timeframe: str) -> tuple[pd.DataFrame, None]:
        return self.analysed, None


def test_pair_whose_spot_is_the_perp_is_reported_once(folder: Path, sample_datadir: Path) -> None:
    exchange = {"name": "binance", "ccxt_config": SAFE}
    strategy = load(folder, runmode=RunMode.DRY_RUN, exchange=exchange)
    strategy.dp, strategy.started = WrongSpot(sample_datadir), pd.Timestamp.now("UTC")
    pair = "BTC/USDT:USDT"
    candles = strategy.dp.get_pair_dataframe(pair, "1h", CandleType.FUTURES)
    has_signals = []
    for last, wrong in enumerate([True, True, False, False, True, True], start=3000):
        strategy.dp.wrong = wrong
        dataframe = strategy.populate_indicators(candles.iloc[:last].copy(), {"pair": pair})
        strategy.dp.analysed = strategy.populate_entry_trend(dataframe, {"pair": pair})
        entries = strategy.dp.analysed[["enter_short", "enter_long"]].to_numpy().sum()
        has_signals.append(bool(entries))
        if pair not in strategy.unfit:
            strategy.watch_feed(strategy.dp.analysed, pair)
    assert has_signals == [False, False, True, True, False, False]
    refusal = (
        "BTC/USDT:USDT gives no signals: the candles of BTC/USDT are those of the perp: download "
        "spot candles again"
    )
    assert strategy.dp.messages == [refusal, "BTC/USDT:USDT gives signals again", refusal]


@pytest.mark.parametrize("on", [True, False])
def test_candle_whose_spot_is_late_has_one_line_of_the_log(
    on: bool, folder: Path, sample_datadir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    exchange = {"name": "binance", "ccxt_config": SAFE}
    section = {"log_candles": on}
    strategy = load(folder, runmode=RunMode.DRY_RUN, exchange=exchange, perp_imbalance=section)
    strategy.dp, pair = Candles(sample_datadir), "BTC/USDT:USDT"
    candles = strategy.dp.get_pair_dataframe(pair, "1h", CandleType.FUTURES).iloc[:1000]
    whole = strategy.populate_indicators(candles, {"pair": pair})
    whole = strategy.populate_entry_trend(whole, {"pair": pair})
    late = whole.copy()
    late.loc[late.index[-1], ["premium", "premium_pct"]] = float("nan")
    close = whole["date"].iloc[-1] + strategy.candle
    said = []
    for dataframe, seconds in ((late, 5), (late, 30), (whole, 60), (whole, 90), (whole, 300)):
        with travel(close + pd.Timedelta(seconds=seconds), tick=False):
            strategy.log_candle(dataframe, pair)
        said.append(sum("no entry" in text or ", entry" in text for text in caplog.messages))
    assert said == ([0, 0, 1, 1, 1] if on else [0] * 5)
    assert not on or "premium unknown" not in caplog.text


def test_candle_without_spot_price_is_logged_without_one(
    folder: Path, sample_datadir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Told when its price is awaited no longer, or else when the next candle is there."""
    caplog.set_level("INFO")
    exchange = {"name": "binance", "ccxt_config": SAFE}
    strategy = load(folder, runmode=RunMode.DRY_RUN, exchange=exchange)
    strategy.dp, pair = Candles(sample_datadir), "BTC/USDT:USDT"
    candles = strategy.dp.get_pair_dataframe(pair, "1h", CandleType.FUTURES).iloc[:1000]
    whole = strategy.populate_indicators(candles, {"pair": pair})
    whole = strategy.populate_entry_trend(whole, {"pair": pair})
    whole.loc[whole.index[-3:], ["premium", "premium_pct"]] = float("nan")
    for rows, seconds in ((998, 5), (999, 5), (999, 130), (1000, 5)):
        dataframe = whole.iloc[:rows]
        close = dataframe["date"].iloc[-1] + strategy.candle
        with travel(close + pd.Timedelta(seconds=seconds), tick=False):
            strategy.log_candle(dataframe, pair)
    told = [text for text in caplog.messages if "premium unknown" in text]
    assert [text.split(": z")[0][-16:] for text in told] == [
        f"{date:%Y-%m-%d %H:%M}" for date in whole["date"].iloc[997:999]
    ]
