"""Many thresholds at once are traded as one by one."""

import tracemalloc
from collections import deque
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from support.history import made_history

from perp_imbalance.errors import SettingsError
from perp_imbalance.indicators.premium import open_times
from perp_imbalance.indicators.thresholds import PRESETS, Thresholds
from perp_imbalance.research import threshold_trades
from perp_imbalance.research.grid import Grid
from perp_imbalance.research.pair_history import PairHistory
from perp_imbalance.research.threshold_trades import ThresholdTrades
from perp_imbalance.simulation import Rules, market
from perp_imbalance.strategy.settings import Settings

GRID = Grid(
    {
        "len_prem": [20, 50],
        "enter_z": [1.0, 1.3, 1.7, 2.1, 2.5],
        "exit_z": [0.2, 0.4, 0.6, 0.8, 0.9],
        "use_sigma": [True, False],
        "bb_k": [0.5, 1.0, 1.5],
        "min_deviation_bps": [0.0, 3.0, 6.0],
    },
    PRESETS["balanced"],
)


def traded_history(seed: int, pair: str = "X/USDT:USDT", begin: int = 100) -> PairHistory:
    history = made_history(seed, pair=pair)
    perp = history.perp.iloc[begin:]
    prices = {name: perp[name].to_numpy() for name in ("open", "high", "low", "close")}
    traded = market(open_times(perp, "perp"), prices, tick=1e-4)
    return replace(history, market=traded, begin=begin)


@pytest.mark.parametrize("rules", [Rules(max_open_trades=2), Rules(scale_out=0.5)])
def test_many_at_once_are_the_same_as_one_by_one(rules: Rules) -> None:
    histories = [traded_history(1), traded_history(2, "Y/USDT:USDT", begin=300)]
    combinations = list(islice(GRID.combinations(), 0, None, 25))
    found = list(ThresholdTrades(histories, Settings(), rules).each(combinations))
    assert len(found) == len(combinations)
    for thresholds, trades in list(zip(combinations, found, strict=True))[::5]:
        alone = ThresholdTrades(histories, Settings(), rules).trades(thresholds)
        np.testing.assert_array_equal(trades, alone)
    assert {int(pair) for trades in found for pair in trades["pair"]} == {0, 1}


def test_pairs_alone_have_a_wallet_each() -> None:
    histories = [traded_history(1), traded_history(2, "Y/USDT:USDT")]
    together = ThresholdTrades(histories, Settings(), Rules(max_open_trades=1))
    often = Thresholds(enter_z=1.0, exit_z=0.2, use_sigma=False)
    shared = together.trades(often)
    alone = [trader.trades(often) for trader in together.alone()]
    assert [trader.pairs for trader in together.alone()] == [["X/USDT:USDT"], ["Y/USDT:USDT"]]
    assert sum(map(len, alone)) > len(shared)


def test_sides_that_are_off_are_not_traded() -> None:
    trader = ThresholdTrades([traded_history(1)], Settings(sides=["short"]), Rules())
    assert set(trader.trades(Thresholds(use_sigma=False))["side"].tolist()) == {-1}


def test_memory_does_not_grow_with_the_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threshold_trades, "_BATCH", 16)
    trader = ThresholdTrades([traded_history(1)], Settings(), Rules())
    peaks = []
    for count in (32, 32, 128):
        tracemalloc.start()
        deque(trader.statistics(islice(GRID.combinations(), count)), maxlen=0)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < 1.2 * peaks[1]


def test_history_that_was_not_read_for_trading_is_refused() -> None:
    with pytest.raises(SettingsError, match="X/USDT:USDT was not read by"):
        ThresholdTrades([made_history(1)], Settings(), Rules())
