"""``ThresholdTrades`` makes the trades of freqtrade's backtest: each one, with its profit.

``make test-full`` compares 100 random combinations of thresholds and rules, ``make test`` a few.
"""

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.freqtrade import PRESET_STRATEGIES, SAMPLE_PAIRS, shared_candles
from support.simulation import (
    REAL_CANDLES,
    Backtest,
    assert_same_trades,
    backtest,
    named,
    real_overlay,
)

from perp_imbalance.indicators import PRESETS, Thresholds
from perp_imbalance.research.pair_history import PairHistories, PairHistory
from perp_imbalance.research.threshold_trades import ThresholdTrades, rules_of_config
from perp_imbalance.simulation import Rules
from perp_imbalance.strategy.settings import Settings

FULL = os.environ.get("SIMULATION_PARITY") == "full"
STOPLOSS = -0.30
SPAN = "20250101-20250301"

GUARD, DRAWDOWN = {"method": "StoplossGuard"}, {"method": "MaxDrawdown"}
#: Protections of which each locks something in the sample.
PROTECTIONS: list[dict[str, Any]] = [
    GUARD
    | {"lookback_period_candles": 24, "trade_limit": 1, "stop_duration_candles": 12}
    | {"only_per_pair": True, "only_per_side": True},
    GUARD
    | {"lookback_period_candles": 48, "trade_limit": 2, "stop_duration_candles": 24}
    | {"only_per_side": True, "required_profit": -0.005},
    GUARD | {"lookback_period": 2880, "trade_limit": 2, "unlock_at": "08:00"},
    DRAWDOWN
    | {"lookback_period_candles": 168, "trade_limit": 4, "stop_duration_candles": 48}
    | {"calculation_mode": "equity", "max_allowed_drawdown": 0.005},
    DRAWDOWN
    | {"lookback_period_candles": 100, "trade_limit": 4, "stop_duration": 1815}
    | {"max_allowed_drawdown": 0.01},
    {"method": "CooldownPeriod", "stop_duration_candles": 5},
]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """freqtrade would log every candle of a position that is adjusted."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def read(prepared: Backtest) -> tuple[Settings, list[PairHistory]]:
    """Return settings and candles as a command would read them."""
    config = prepared.freqtrade.config
    own = Settings.from_config(config).of_preset(prepared.strategy.preset)
    folder = PairHistories(
        config["datadir"], config["timeframe"], own, timerange=config.get("timerange")
    )
    return own, list(folder.traded(prepared.pairs))


def compare(datadir: Path, strategy: str, pairs: list[str], folder: Path, **overlay: Any) -> None:
    """Compare the trades of a preset by the rules of the shipped config."""
    overlay["enable_protections"] = True
    with backtest(datadir, strategy, pairs, folder, **overlay) as prepared:
        own, histories = read(prepared)
        rules = rules_of_config(prepared.freqtrade.config, own, STOPLOSS)
        preset = PRESETS[prepared.strategy.preset]
        found = ThresholdTrades(histories, own, rules).trades(preset)
        expected = prepared.expected()
        assert len(expected)
        assert_same_trades(named(found, prepared.signals()), expected)


@pytest.mark.freqtrade
@pytest.mark.parametrize("strategy", PRESET_STRATEGIES)
def test_trades_of_presets_are_those_of_freqtrade(
    strategy: str, sample_datadir: Path, tmp_path: Path
) -> None:
    compare(sample_datadir, strategy, SAMPLE_PAIRS, tmp_path, timerange=SPAN)


@pytest.mark.freqtrade
@pytest.mark.parametrize("strategy", PRESET_STRATEGIES if FULL else PRESET_STRATEGIES[:1])
@pytest.mark.parametrize(
    ("name", "pairs", "timeframes", "span"), REAL_CANDLES if FULL else REAL_CANDLES[:1]
)
def test_trades_on_real_candles_are_those_of_freqtrade(
    name: str,
    pairs: list[str],
    timeframes: tuple[str, str],
    span: str,
    strategy: str,
    tmp_path: Path,
) -> None:
    overlay = real_overlay(timeframes, None if FULL else span)
    compare(shared_candles(name), strategy, pairs, tmp_path, **overlay)


@pytest.mark.freqtrade
def test_protections_lock_what_freqtrade_locks(sample_datadir: Path, tmp_path: Path) -> None:
    strategy, span = "PerpImbalanceAggressive", "20250101-20250201"
    with backtest(sample_datadir, strategy, SAMPLE_PAIRS, tmp_path, timerange=span) as prepared:
        own, histories = read(prepared)
        for protections in [*([rule] for rule in PROTECTIONS), PROTECTIONS]:
            rules = Rules(stoploss=-0.01, max_entry_drift=0.01, max_open_trades=3)
            rules = rules._replace(protections=protections)
            prepared.vary(SAMPLE_PAIRS, rules)
            expected = prepared.expected()
            assert prepared.locks, protections
            trades = ThresholdTrades(histories, own, rules).trades(PRESETS["aggressive"])
            assert_same_trades(named(trades, prepared.signals()), expected, str(protections))


def floats(low: float, high: float) -> st.SearchStrategy[float]:
    return st.integers(round(low * 100), round(high * 100)).map(lambda value: value / 100)


THRESHOLDS = st.builds(
    Thresholds,
    enter_z=floats(1.0, 2.5),
    exit_z=floats(0.1, 0.95),
    len_prem=st.integers(10, 150),
    smooth_len=st.integers(1, 6),
    use_sigma=st.booleans(),
    bb_len=st.integers(20, 150),
    bb_k=floats(0.2, 1.5),
    use_htf=st.booleans(),
    htf_z_min=floats(0.0, 0.8),
    min_deviation_bps=st.sampled_from([0.0, 0.0, 2.0]),
    dev_len=st.integers(20, 150),
    robust_z=st.booleans(),
)


def rules_of(values: dict[str, Any]) -> Rules:
    return Rules(**values)


RULES = st.fixed_dictionaries(
    {
        "stoploss": st.sampled_from([-0.005, -0.02, -0.1, -0.3]),
        "leverage": st.sampled_from([1.0, 3.0]),
        "stake_amount": st.sampled_from([0.0, 7.0, 33.3, 400.0]),
        "max_open_trades": st.integers(1, 3),
        "scale_out": st.sampled_from([0.0, 0.25, 0.5, 0.9]),
        "stop_on_close": st.sampled_from([0.0, 0.0, 0.003, 0.01]),
        "max_entry_drift": st.sampled_from([0.002, 0.01]),
        "protections": st.lists(st.sampled_from(PROTECTIONS), max_size=2),
    }
).map(rules_of)


@pytest.mark.freqtrade
def test_trades_of_random_thresholds_are_those_of_freqtrade(
    sample_datadir: Path, tmp_path: Path
) -> None:
    strategy, span = "PerpImbalanceAggressive", "20250301-20250320"
    with backtest(sample_datadir, strategy, SAMPLE_PAIRS, tmp_path, timerange=span) as prepared:
        own, histories = read(prepared)
        traded = []

        @settings(
            max_examples=100 if FULL else 8,
            deadline=None,
            derandomize=True,
            # Each example is a backtest or two of freqtrade: too slow to look for a smaller one.
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(
            thresholds=THRESHOLDS,
            rules=RULES,
            count=st.sampled_from([1, 3]),
            mode=st.sampled_from(["zone", "flip"]),
            stale=st.sampled_from([0, 1, 12]),
        )
        def same(thresholds: Thresholds, rules: Rules, count: int, mode: str, stale: int) -> None:
            prepared.vary(SAMPLE_PAIRS[:count], rules)
            prepared.use(thresholds, mode, stale)
            expected = prepared.expected()
            varied = own.model_copy(update={"entry_mode": mode, "max_stale_candles": stale})
            trades = ThresholdTrades(histories[:count], varied, rules).trades(thresholds)
            assert_same_trades(named(trades, prepared.signals()), expected)
            traded.append(len(expected))

        same()
        assert sum(count > 0 for count in traded) > len(traded) / 2
