"""The rules of freqtrade's backtest, one by one, on candles made by hand."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.hand_made import (
    FLAT,
    HOUR,
    PLAIN,
    Candle,
    at_times,
    candles,
    ending,
    flat,
    outcome,
    said,
)

from perp_imbalance.errors import DataError, SettingsError
from perp_imbalance.simulation import (
    Markets,
    Rules,
    Signals,
    join,
    join_signals,
    market,
    signals,
    simulate,
    statistics,
    terms_of,
)


def test_signals_act_on_the_next_open() -> None:
    rows = [FLAT, FLAT, (101.0, 102.0, 99.0, 99.5), (103.0, 104.0, 98.0, 99.0), FLAT]
    trades = simulate(candles(rows), said(5, enter_long=[1], exit_long=[2]), PLAIN)
    assert outcome(trades) == [(1, 2, 3, "exit_signal", 103.0)]
    assert trades["open_rate"] == [101.0]


def test_first_candle_enters_nothing_and_last_one_only_ends() -> None:
    trades = simulate(flat(4), said(4, enter_long=[0], exit_long=[1], enter_short=[2]), PLAIN)
    assert outcome(trades) == [(1, 1, 2, "exit_signal", 100.0)]


def test_open_position_is_forced_out_at_the_last_open() -> None:
    rows = [*[FLAT] * 3, (105.0, 109.0, 104.0, 108.0)]
    trades = simulate(candles(rows), said(4, enter_long=[0]), PLAIN)
    assert outcome(trades) == [(1, 1, 3, "force_exit", 105.0)]


@pytest.mark.parametrize(
    ("candle", "rate"),
    [
        ((95.0, 96.0, 89.0, 95.0), 90.0),
        ((95.0, 96.0, 90.0, 95.0), 90.0),
        # Opens beyond the stop but comes back to it: freqtrade books the stop.
        ((85.0, 92.0, 84.0, 91.0), 90.0),
        ((85.0, 88.0, 80.0, 86.0), 85.0),
    ],
    ids=["in the candle", "touched", "gap that comes back", "gap"],
)
def test_stop_of_a_long_ends_at(candle: Candle, rate: float) -> None:
    trades = simulate(candles([FLAT, FLAT, candle, FLAT]), said(4, enter_long=[0]), PLAIN)
    assert outcome(trades) == [(1, 1, 2, "stop_loss", rate)]


def test_short_stop_acts_on_the_entry_candle() -> None:
    rows = [FLAT, (100.0, 111.0, 99.0, 100.0), FLAT]
    trades = simulate(candles(rows), said(3, enter_short=[0]), PLAIN)
    assert outcome(trades) == [(-1, 1, 1, "stop_loss", 110.0)]


def test_stop_is_rounded_to_the_tick_towards_the_entry() -> None:
    rows = [(33.3, 33.3, 33.3, 33.3)] * 2 + [(33.0, 33.0, 20.0, 30.0)] * 2
    rules = PLAIN._replace(stoploss=-0.333)
    trades = simulate(candles(rows, tick=0.1), said(4, enter_long=[0]), rules)
    assert trades["close_rate"] == [22.3]


def test_exit_signal_comes_before_the_stop() -> None:
    rows = [FLAT, FLAT, (98.0, 99.0, 50.0, 60.0), FLAT]
    trades = simulate(candles(rows), said(4, enter_long=[0], exit_long=[1]), PLAIN)
    assert outcome(trades) == [(1, 1, 2, "exit_signal", 98.0)]


def test_flip_leaves_and_enters_on_one_candle() -> None:
    given = said(5, enter_long=[0], exit_long=[1], enter_short=[1], exit_short=[2])
    trades = simulate(flat(5), given, PLAIN)
    assert [row[:3] for row in outcome(trades)] == [(1, 1, 2), (-1, 2, 3)]


def test_stopped_side_is_not_entered_again_on_its_candle() -> None:
    rows = [FLAT, FLAT, (100.0, 100.0, 80.0, 100.0), FLAT, FLAT]
    trades = simulate(candles(rows), said(5, enter_long=[0, 1, 2]), PLAIN)
    assert [row[1:3] for row in outcome(trades)] == [(1, 2), (3, 4)]


@pytest.mark.parametrize(
    "rows",
    [
        {"enter_long": [0], "enter_short": [0]},
        {"enter_long": [0], "exit_long": [0]},
        {"enter_short": [0], "exit_short": [0]},
    ],
)
def test_signals_that_contradict_each_other_enter_nothing(rows: dict[str, list[int]]) -> None:
    assert not simulate(flat(3), said(3, **rows), PLAIN).size


def test_entry_signal_of_its_side_keeps_a_position() -> None:
    trades = simulate(flat(4), said(4, enter_long=[0, 1], exit_long=[1]), PLAIN)
    assert outcome(trades) == [(1, 1, 3, "force_exit", 100.0)]


@pytest.mark.parametrize(("side", "profit"), [("long", 9.895), ("short", -10.105)])
def test_fee_is_paid_both_ways(side: str, profit: float) -> None:
    rows = [FLAT, FLAT, (110.0, 110.0, 110.0, 110.0), FLAT]
    given = said(4, **{f"enter_{side}": [0], f"exit_{side}": [1]})
    rules = PLAIN._replace(fee=0.0005, stoploss=-0.5)
    (trade,) = simulate(candles(rows), given, rules)
    assert trade["profit_abs"] == pytest.approx(profit, abs=1e-12)
    spent = 100.05 if side == "long" else 99.95
    assert trade["profit_ratio"] == pytest.approx(profit / spent, abs=1e-12)


@pytest.mark.parametrize(("side", "funding"), [("long", -0.7), ("short", 0.7)])
def test_funding_counts_from_entry_to_exit_with_both(side: str, funding: float) -> None:
    """Of settlements at rows 0 to 4, those at 1 to 3 count; each doubles the one before."""
    paid = {"funding_times": np.arange(5) * HOUR, "funding_fees": 0.05 * 2.0 ** np.arange(5)}
    given = said(5, **{f"enter_{side}": [0], f"exit_{side}": [2]})
    (trade,) = simulate(flat(5, **paid), given, PLAIN)
    assert trade["funding"] == pytest.approx(funding)
    assert trade["profit_abs"] == pytest.approx(funding)


def test_leverage_scales_amount_ratio_and_stop() -> None:
    rows = [FLAT, FLAT, (98.0, 98.0, 96.0, 97.0), FLAT]
    rules = PLAIN._replace(leverage=4.0)
    (trade,) = simulate(candles(rows), said(4, enter_long=[0]), rules)
    assert (trade["amount"], trade["stake"]) == (4.0, 100.0)
    assert ending(trade) == ("stop_loss", 97.5)
    assert trade["profit_ratio"] == pytest.approx(-0.1)


def test_exchange_caps_the_leverage_of_a_large_stake() -> None:
    tiers = [(0, 500, 0.01, 5, 0), (500, 10_000, 0.02, 2, 5)]
    for stake, leverage in ((90.0, 5.0), (400.0, 2.0)):
        rules = PLAIN._replace(leverage=5.0, stake_amount=stake)
        (trade,) = simulate(flat(3, tiers=tiers), said(3, enter_long=[0]), rules)
        assert trade["leverage"] == leverage


def test_liquidation_comes_before_a_stop_beyond_it() -> None:
    rows = [FLAT, FLAT, (95.0, 95.0, 91.0, 95.0), FLAT]
    rules = PLAIN._replace(leverage=10.0, stoploss=-0.99)
    tiers = [(0, 1e9, 0.01, 20, 0)]
    (trade,) = simulate(candles(rows, tiers=tiers), said(4, enter_long=[0]), rules)
    bare = (100.0 - 10 * 100.0) / (10 * 0.01 - 10)
    assert ending(trade) == ("liquidation", pytest.approx(bare + 0.05 * (100 - bare), abs=0.005))


def test_stop_on_close_ends_at_the_next_open() -> None:
    """A low does not count, nor the close of the signal's candle."""
    rows = [
        (100.0, 100.0, 80.0, 80.0),
        (100.0, 100.0, 91.0, 96.0),
        (96.0, 97.0, 95.0, 95.0),
        (94.0, 99.0, 93.0, 99.0),
        FLAT,
    ]
    rules = PLAIN._replace(stop_on_close=0.05)
    trades = simulate(candles(rows), said(5, enter_long=[0]), rules)
    assert outcome(trades) == [(1, 1, 3, "stop_on_close", 94.0)]


@pytest.mark.parametrize(
    ("side", "price", "is_entered"),
    [
        ("enter_long", 102.0, False),
        ("enter_long", 100.9, True),
        ("enter_long", 60.0, True),
        ("enter_short", 98.0, False),
        ("enter_short", 99.1, True),
        ("enter_short", 140.0, True),
    ],
)
def test_entry_is_refused_where_the_price_ran_away(
    side: str, price: float, is_entered: bool
) -> None:
    rows = [FLAT, (price,) * 4, FLAT]
    rules = PLAIN._replace(max_entry_drift=0.01)
    assert bool(simulate(candles(rows), said(3, **{side: [0]}), rules).size) is is_entered


def test_unlimited_stake_shares_what_the_wallet_may_trade() -> None:
    pairs, given = join([flat(4), flat(4)]), said(4, enter_long=[0])
    rules = Rules(fee=0.0, wallet=1000.0, max_open_trades=2)
    trades = simulate(pairs, join_signals([given, given]), rules)
    assert trades["stake"].tolist() == [495.0, 495.0]


def test_wallet_without_the_stake_enters_nothing() -> None:
    rules = PLAIN._replace(wallet=100.0, tradable_balance_ratio=0.99)
    assert not simulate(flat(3), said(3, enter_long=[0]), rules).size


@pytest.mark.parametrize(("cost", "stake"), [(90.0, 100.0), (100.0, 110.5), (130.0, None)])
def test_stake_below_the_smallest_is_raised_by_at_most_a_third(
    cost: float, stake: float | None
) -> None:
    trades = simulate(flat(3, min_cost=cost), said(3, enter_long=[0]), PLAIN)
    assert trades["stake"].tolist() == ([] if stake is None else [stake])


def test_pairs_take_the_slots_in_their_order() -> None:
    given = said(6, enter_long=[0, 2], exit_long=[1])
    late = said(6, enter_long=[0, 1, 2, 3])
    pairs = join([flat(6)] * 3)
    trades = simulate(pairs, join_signals([given, given, late]), PLAIN._replace(max_open_trades=2))
    opened = sorted((int(trade["entry_row"]), int(trade["pair"])) for trade in trades)
    assert opened == [(1, 0), (1, 1), (2, 2), (3, 0)]


def test_pair_that_begins_later_keeps_its_times() -> None:
    early, late = flat(6), flat(4)
    late = at_times(late, late.times + 2 * HOUR)
    given = [said(6, enter_long=[1, 4]), said(4, enter_long=[0])]
    trades = simulate(join([early, late]), join_signals(given), PLAIN)
    assert [(int(trade["pair"]), int(trade["entry_row"])) for trade in trades] == [(0, 2)]


def test_coarse_tick_of_the_entry_keeps_an_exit_order_open() -> None:
    """Rounded to the tick of the entry's month, the order lies outside the exit's candle."""
    fine = (100.04, 100.04, 100.04, 100.04)
    rows = [FLAT, FLAT, fine, fine, FLAT, FLAT]
    tick = [0.1, 0.1, 0.01, 0.01, 0.01, 0.01]
    given = said(6, enter_long=[0], exit_long=[1])
    patient = simulate(candles(rows, tick=tick), given, PLAIN._replace(exit_timeout=1e6))
    assert outcome(patient) == [(1, 1, 4, "exit_signal", 100.0)]
    trades = simulate(candles(rows, tick=tick), given, PLAIN)
    assert outcome(trades) == [(1, 1, 5, "force_exit", 100.0)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"protections": [{"method": "LowProfitPairs"}]}, "not simulated: LowProfitPairs"),
        (
            {"protections": [{"method": "CooldownPeriod", "unlock_at": "8"}]},
            "unlock_at is '8', it should be a time such as 08:00",
        ),
        ({"stoploss": 0.1}, "stoploss is 0.1, it should be from -1 to below 0"),
        ({"leverage": 0.5}, "leverage is 0.5"),
        ({"fee": float("nan")}, "fee is nan"),
        ({"scale_out": 1.0}, "scale_out is 1.0"),
        ({"stop_on_close": -0.1}, "stop_on_close is -0.1"),
        ({"max_open_trades": 0, "stake_amount": 0.0}, "needs a stake_amount"),
    ],
)
def test_rules_that_cannot_be_simulated_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        terms_of(Rules()._replace(**change))


def test_arrays_that_do_not_fit_are_refused() -> None:
    prices = dict.fromkeys(("open", "high", "low", "close"), np.ones(3))
    with pytest.raises(DataError, match="gaps"):
        market(np.array([0, 1, 3]), prices)
    with pytest.raises(DataError, match="open of candle 1"):
        market(np.arange(3), {**prices, "open": np.array([1.0, 2.0, 1.0])})
    with pytest.raises(DataError, match="whole part of 1"):
        market(np.arange(3), prices, tick=10.0)
    with pytest.raises(DataError, match="2 signals do not fit to 3 candles"):
        simulate(flat(3), said(2), PLAIN)
    half = flat(3)
    with pytest.raises(DataError, match="same length"):
        join([half, at_times(half, half.times * 2)])
    with pytest.raises(DataError, match="same times"):
        join([half, at_times(half, half.times + 1)])


def random_pair(random: np.random.Generator, count: int) -> tuple[Markets, Signals]:
    close = np.round(100 * np.exp(np.cumsum(random.normal(0, 0.03, count))), 2)
    open_ = np.round(np.append(100.0, close[:-1]) * (1 + random.normal(0, 0.002, count)), 2)
    high, low = np.maximum(open_, close) + 0.5, np.minimum(open_, close) - 0.5
    rows = list(zip(open_, high, low, close, strict=True))
    flags = random.random((4, count)) < 0.2
    names = ("enter_long", "exit_long", "enter_short", "exit_short")
    given = signals(**dict(zip(names, flags, strict=True)), middle=np.full(count, 100.0))
    return candles(rows, min_cost=5.0), given


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    pairs=st.integers(1, 4),
    slots=st.integers(1, 3),
    leverage=st.sampled_from([1.0, 3.0]),
    scale_out=st.sampled_from([0.0, 0.5]),
    stop_on_close=st.sampled_from([0.0, 0.03]),
)
def test_trades_add_up_and_never_overlap(
    seed: int, pairs: int, slots: int, leverage: float, scale_out: float, stop_on_close: float
) -> None:
    random = np.random.default_rng(seed)
    made = [random_pair(random, 120) for _ in range(pairs)]
    markets, given = join([pair for pair, _ in made]), join_signals([said for _, said in made])
    rules = Rules(
        stoploss=-0.05,
        leverage=leverage,
        scale_out=scale_out,
        stop_on_close=stop_on_close,
        max_open_trades=slots,
    )
    trades = simulate(markets, given, rules)
    assert (trades["exit_row"] >= trades["entry_row"]).all()
    for pair in range(pairs):
        own = np.sort(trades[trades["pair"] == pair], order=["entry_row", "exit_row"])
        assert (own["entry_row"][1:] >= own["exit_row"][:-1]).all()
    for row in range(120):
        held = (trades["entry_row"] < row) & (trades["exit_row"] > row)
        assert held.sum() <= slots
    whole = trades[trades["scaled_row"] < 0]
    worth = whole["amount"] * (whole["close_rate"] - whole["open_rate"]) * whole["side"]
    fees = 0.0005 * whole["amount"] * (whole["close_rate"] + whole["open_rate"])
    np.testing.assert_allclose(whole["profit_abs"], worth - fees, atol=1e-8)
    # No stake is larger than what the trades before have left in the wallet.
    balance = rules.wallet + np.append(0.0, np.cumsum(trades["profit_abs"]))
    assert (whole["stake"] <= balance.max()).all()
    assert statistics(trades, rules.wallet).profit == pytest.approx(balance[-1] - rules.wallet)
    again = simulate(markets, given, terms_of(rules))
    assert (again == trades).all()


def test_statistics_of_known_trades() -> None:
    trades = simulate(flat(4), said(4), PLAIN)
    assert statistics(trades, 1000.0).trades == 0
    rows = [FLAT, FLAT, (110.0,) * 4, FLAT, FLAT, (95.0,) * 4, FLAT]
    given = said(7, enter_long=[0, 3], exit_long=[1, 4])
    found = statistics(simulate(candles(rows), given, PLAIN), 1000.0)
    assert (found.trades, found.wins) == (2, 1)
    assert found.profit == pytest.approx(5.0)
    assert found.profit_factor == pytest.approx(2.0)
    assert found.drawdown == pytest.approx(5 / 1010)
    assert found.mean_ratio == pytest.approx(0.025)
    assert found.t == pytest.approx(0.025 / (np.std([0.1, -0.05], ddof=1) / 2**0.5))
