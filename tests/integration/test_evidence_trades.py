"""What evidence trades is what freqtrade's backtest trades."""

from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest
from support.freqtrade import ROOT

from perp_imbalance.indicators import PRESETS
from perp_imbalance.indicators.hysteresis import SHORT
from perp_imbalance.research.as_traded import Market, Setup, rules_of
from perp_imbalance.research.pair_history import PairHistories
from perp_imbalance.research.screen import Screen
from perp_imbalance.strategy.settings import Settings

STRATEGIES = {
    "conservative": "PerpImbalanceConservative",
    "balanced": "PerpImbalance",
    "aggressive": "PerpImbalanceAggressive",
}


@pytest.mark.parametrize("preset", STRATEGIES)
def test_every_trade_of_the_backtest_is_among_those_of_evidence(
    preset: str, sample_datadir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backtest has fewer: it has slots for three pairs, and candles that it only looks back on.

    The fingerprint is what freqtrade traded on the sample market.
    """
    monkeypatch.syspath_prepend(ROOT / "strategies")
    name = STRATEGIES[preset]
    stoploss = -getattr(import_module(name), name).stoploss
    file = ROOT / "tests" / "support" / "sample_trades.csv"
    expected = pd.read_csv(file).query("strategy == @name")
    settings, found = Settings(), []
    for candles in PairHistories(sample_datadir, "1h", settings).pairs():
        market = Market(candles, rules_of(settings, 0.0005, stoploss))
        setup = Setup(Screen(candles, settings, (1,), 0.001), candles, PRESETS[preset], settings)
        earned = market.trade(setup.flags, setup.middle)
        opened = pd.DatetimeIndex(market.times[earned.rows + 1], tz="UTC")
        found.append(
            pd.DataFrame(
                {
                    "pair": candles.match.perp,
                    "is_short": earned.side == SHORT,
                    "open_date": opened.strftime("%Y-%m-%d %H:%M"),
                    "net": earned.net,
                }
            )
        )
    trades = pd.concat(found)
    both = expected.merge(trades, on=["pair", "is_short", "open_date"], how="left")
    assert len(both) == len(expected) > 40
    assert both["net"].to_numpy() == pytest.approx(both["profit_ratio"].to_numpy(), abs=5e-6)
    assert len(trades) < 1.1 * len(expected)
