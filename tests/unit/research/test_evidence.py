"""Signals, trades and nulls of evidence are what they are said to be."""

from dataclasses import replace

import numpy as np
import pytest
from support.history import ROWS, made_history

from perp_imbalance.errors import SettingsError
from perp_imbalance.indicators import PRESETS
from perp_imbalance.indicators.hysteresis import exits
from perp_imbalance.indicators.signals import SIDES
from perp_imbalance.research.as_traded import BITS, Market, Setup, inverted, rules_of
from perp_imbalance.research.evidence import Costs
from perp_imbalance.research.nulls import check_nulls, scattered
from perp_imbalance.research.pair_history import PairHistory
from perp_imbalance.research.pooled import clustered_mean
from perp_imbalance.research.screen import Screen
from perp_imbalance.strategy.settings import Settings

SETTINGS = Settings()
AGGRESSIVE = PRESETS["aggressive"]
GATED = {"aggressive": AGGRESSIVE, "gated": replace(AGGRESSIVE, use_sigma=True, bb_k=0.5)}
COSTS = Costs(fee=0.0005, stoploss=0.30)


def market_and_setup(candles: PairHistory, preset: str = "aggressive") -> tuple[Market, Setup]:
    screen = Screen(candles, SETTINGS, (1,), 0.001)
    market = Market(candles, rules_of(SETTINGS, COSTS.fee, COSTS.stoploss))
    return market, Setup(screen, candles, GATED[preset], SETTINGS)


def test_signals_are_those_that_are_screened() -> None:
    candles = made_history(4)
    for preset in GATED:
        market, setup = market_and_setup(candles, preset)
        screen = Screen(candles, SETTINGS, (1,), 0.001)
        for side, (enter, leave) in BITS.items():
            rows = screen.entries_of(GATED[preset], side)
            assert np.array_equal(np.flatnonzero(setup.flags & enter), rows)
            bias = screen.bias_of(GATED[preset])
            ends = np.flatnonzero(exits(bias, SIDES[side]))
            assert np.array_equal(np.flatnonzero(setup.flags & leave), ends)
        # Unless the candles end, or the price ran away, each entry is a trade.
        earned = market.trade(setup.flags)
        assert earned.rows.size >= sum(map(len, setup.entries.values())) - 1


def test_trade_earns_the_move_less_fees_and_funding() -> None:
    candles = made_history(5)
    funding = np.where(np.arange(ROWS) % 8 == 0, 1e-4, 0.0)
    paying, setup = market_and_setup(replace(candles, funding=funding))
    free, _ = market_and_setup(candles)
    opens = candles.perp["open"].to_numpy()
    with_funding, without = paying.trade(setup.flags), free.trade(setup.flags)
    ends = without.rows + 1 + without.held
    move = without.side * (opens[ends] / opens[without.rows + 1] - 1)
    assert without.net == pytest.approx(move - 0.001, abs=2e-4)
    paid = np.concatenate([[0.0], np.cumsum(funding)])
    # freqtrade's backtest pays what is settled at the very time of the entry, and of the exit.
    due = paid[ends + 1] - paid[without.rows + 1]
    assert without.net - with_funding.net == pytest.approx(without.side * due, abs=2e-5)


def test_premium_that_is_not_shifted_gives_the_real_signals() -> None:
    for preset in GATED:
        _, setup = market_and_setup(made_history(6), preset)
        assert np.array_equal(setup.with_shifted_premium(0), setup.flags)
        assert not np.array_equal(setup.with_shifted_premium(500), setup.flags)


def test_inverted_twice_is_the_signal() -> None:
    _, setup = market_and_setup(made_history(6))
    assert np.array_equal(inverted(inverted(setup.flags)), setup.flags)


def test_random_entries_keep_number_side_and_duration() -> None:
    rng = np.random.default_rng(0)
    held = np.array([1, 3, 3, 10, 40])
    market, _ = market_and_setup(made_history(7))
    for side in SIDES:
        for _ in range(20):
            earned = market.trade(scattered(rng, held, ROWS, side))
            assert sorted(earned.held) == sorted(held)
            assert set(earned.side) == {SIDES[side]}


@pytest.mark.parametrize("shared", [0.0, 1.0])
def test_interval_of_correlated_pairs_has_its_coverage(shared: float) -> None:
    """Trades of five pairs in one week share what the market did; a plain t would not know."""
    rng = np.random.default_rng(3)
    misses, times = 0, 600
    for _ in range(times):
        weeks = np.sort(rng.integers(0, 60, 300))
        net = rng.standard_t(4, 300) + shared * rng.normal(size=60)[weeks]
        mean = clustered_mean(net, weeks)
        assert mean.low is not None
        assert mean.high is not None
        misses += mean.low > 0 or mean.high < 0
    assert 0.03 < misses / times < 0.075


@pytest.mark.parametrize(("trades", "weeks"), [(19, 19), (40, 9)])
def test_few_trades_or_weeks_have_no_interval(trades: int, weeks: int) -> None:
    net = np.random.default_rng(0).normal(size=trades)
    mean = clustered_mean(net, np.arange(trades) % weeks)
    assert mean.net == pytest.approx(net.mean() * 1e4)
    assert mean.t is mean.low is mean.p is None


@pytest.mark.parametrize("nulls", [-1, 1, 199])
def test_too_few_nulls_are_refused(nulls: int) -> None:
    with pytest.raises(SettingsError, match=r"--nulls is .*, it must be 0 \(none\) or at least"):
        check_nulls(nulls)
