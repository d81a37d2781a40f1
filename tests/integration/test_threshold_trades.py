"""``ThresholdTrades`` makes the trades of freqtrade's backtest: each one, with its profit."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.freqtrade import PRESET_STRATEGIES, SAMPLE_PAIRS, shared_candles
from support.simulation import Backtest, assert_same_trades, backtest, named

from perp_imbalance.indicators import PRESETS
from perp_imbalance.research.pair_history import PairHistories
from perp_imbalance.research.threshold_trades import ThresholdTrades, rules_of_config
from perp_imbalance.strategy.settings import Settings

STOPLOSS = -0.30
SPAN = "20250101-20250301"


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """freqtrade would log every candle of a position that is adjusted."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def threshold_trades(prepared: Backtest, pairs: list[str]) -> ThresholdTrades:
    config = prepared.freqtrade.config
    settings = Settings.from_config(config).of_preset(prepared.strategy.preset)
    folder = PairHistories(
        config["datadir"], config["timeframe"], settings, timerange=config.get("timerange")
    )
    rules = rules_of_config(config, settings, STOPLOSS)
    return ThresholdTrades(list(folder.traded(pairs)), settings, rules)


def compare(datadir: Path, strategy: str, pairs: list[str], folder: Path, **overlay: Any) -> None:
    """Compare the trades of a preset by the rules of the shipped config."""
    with backtest(datadir, strategy, pairs, folder, **overlay) as prepared:
        found = threshold_trades(prepared, pairs).trades(PRESETS[prepared.strategy.preset])
        expected = prepared.expected()
        assert len(expected)
        assert_same_trades(named(found, prepared.signals()), expected)


@pytest.mark.freqtrade
@pytest.mark.parametrize("strategy", PRESET_STRATEGIES)
def test_trades_of_presets_are_those_of_freqtrade(
    strategy: str, sample_datadir: Path, tmp_path: Path
) -> None:
    compare(
        sample_datadir, strategy, SAMPLE_PAIRS, tmp_path, timerange=SPAN, enable_protections=True
    )


@pytest.mark.freqtrade
def test_trades_on_real_candles_are_those_of_freqtrade(tmp_path: Path) -> None:
    pairs = ["XRP/USDT:USDT", "ADA/USDT:USDT", "LTC/USDT:USDT"]
    datadir = shared_candles("1h_2020_2023_alts")
    compare(datadir, "PerpImbalance", pairs, tmp_path, timerange="20210401-20210601")
