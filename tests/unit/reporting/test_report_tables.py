"""The tables of a report, on trades and candles made by hand."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.reports import HOUR, PAIR, START, STATS, trade

from perp_imbalance.indicators.performance import buy_and_hold, drawdown
from perp_imbalance.reporting.figures import Figures
from perp_imbalance.reporting.tables import (
    best_trades,
    by_strategy,
    cooling,
    cumulative_share,
    grouped,
    marked_wallet,
    no_entry,
    premium_against_price,
    side_of,
    signals,
    summary,
    thinned,
    verdict,
    with_signal_columns,
    worst_trades,
    z_group,
)
from perp_imbalance.strategy.palette import palette

FRAME = pd.DataFrame(
    {
        "date": pd.date_range(START, periods=8, freq="1h"),
        "z": [0.1, 2.0, 2.5, 1.0, 0.5, -1.9, -3.1, -1.0],
        "premium_pct": [0.0, 0.10, 0.12, 0.06, 0.02, -0.10, -0.15, np.nan],
    }
)


def seen(*trades: dict[str, Any]) -> pd.DataFrame:
    return with_signal_columns(pd.DataFrame(list(trades)), {PAIR: FRAME}, HOUR, exit_z=0.9)


def test_entry_and_exit_are_those_of_the_last_closed_candles() -> None:
    (found,) = seen(trade(2, 5)).to_dict("records")
    assert (found["z_entry"], found["premium_entry"]) == (2.0, 0.10)
    assert (found["z_exit"], found["premium_exit"]) == (0.5, 0.02)
    assert (found["held"], found["to_cool"]) == (3.0, 3.0)


def test_last_closed_candle_is_the_one_before_the_open_one() -> None:
    (found,) = seen(trade(2, 5, close_date=START + 4.5 * HOUR)).to_dict("records")
    assert found["z_exit"] == 1.0
    assert found["held"] == 2.5


def test_trade_of_the_first_candles_signal_is_known() -> None:
    (found,) = seen(trade(1, 5)).to_dict("records")
    assert (found["z_entry"], found["to_cool"]) == (0.1, 4.0)


def test_z_at_exit_z_has_not_cooled() -> None:
    frames = {PAIR: FRAME}
    (found,) = with_signal_columns(pd.DataFrame([trade(2, 5)]), frames, HOUR, 1.0).to_dict(
        "records"
    )
    assert found["to_cool"] == 3.0


def test_price_and_premium_count_for_the_side() -> None:
    short, long = seen(trade(2, 5), trade(6, 7, is_short=False)).to_dict("records")
    assert short["price_move"] == pytest.approx(2.0)
    assert short["premium_captured"] == pytest.approx(0.08)
    assert long["price_move"] == pytest.approx(-2.0)
    assert long["premium_captured"] == pytest.approx(-0.05)


def test_values_missing_from_the_candles_are_unknown() -> None:
    """Cooled after the last candle, begun before the first, no premium, no candles at all."""
    late, early, stale, other = seen(
        trade(6, 7), trade(0, 2), trade(7, 8), trade(2, 5, pair="ETH/USDT:USDT")
    ).to_dict("records")
    assert np.isnan(late["to_cool"])
    assert np.isnan(early["z_entry"])
    assert np.isnan(early["to_cool"])
    assert early["z_exit"] == 2.0
    assert np.isnan(stale["premium_captured"])
    assert np.isnan(other["z_entry"])
    assert other["held"] == 3.0


def test_fees_are_of_every_order_at_its_rate() -> None:
    # 2 × 100 × 0.0005 + 2 × 98 × 0.001
    assert seen(trade(2, 5))["fees"].tolist() == pytest.approx([0.296])


def test_groups_have_trades_share_won_mean_profit_and_fees() -> None:
    trades = seen(
        trade(2, 5),
        trade(2, 5, profit_ratio=-0.03, profit_abs=-6.0),
        trade(6, 7, is_short=False, profit_ratio=0.02, profit_abs=4.0),
    )
    long, short = grouped(trades, side_of(trades)).to_dict("records")
    assert long == pytest.approx(
        {"group": "long", "trades": 1, "won": 1.0, "mean_pct": 2.0, "profit": 4.0, "fees": 0.296}
    )
    assert short == pytest.approx(
        {"group": "short", "trades": 2, "won": 0.5, "mean_pct": -1.0, "profit": -4.0}
        | {"fees": 0.592}
    )


def test_zero_profit_is_neither_won_nor_lost() -> None:
    """Nor has a premium come back that is where it was."""
    trades = seen(trade(2, 2, profit_abs=0.0, profit_ratio=0.0), trade(2, 2))
    assert grouped(trades, side_of(trades))["won"].tolist() == [0.5]
    assert worst_trades(trades, 2).empty
    row = premium_against_price("a", trades)
    assert row["premium came back"] == 0.0
    assert (row["won where it did"], row["won where it did not"]) == (None, 0.5)
    came_back = premium_against_price("a", seen(trade(2, 5, profit_abs=0.0)))
    assert came_back["won where it did"] == 0.0


def test_z_groups_are_of_the_absolute_value_and_in_its_order() -> None:
    trades = seen(trade(7, 8), trade(2, 5), trade(3, 5), trade(2, 5, pair="ETH/USDT:USDT"))
    assert z_group(trades).tolist() == ["3–4", "2–2.5", "2.5–3", "unknown"]
    assert grouped(trades, z_group(trades))["group"].tolist() == [
        *("2–2.5", "2.5–3", "3–4", "unknown"),
    ]


def test_hour_is_of_the_entry_and_month_of_the_exit() -> None:
    trades = {"PerpImbalance": seen(trade(2, 5))}
    assert by_strategy(trades, "hour")[["strategy", "group"]].values.tolist() == [
        ["PerpImbalance", "22"]
    ]
    assert by_strategy(trades, "month")["group"].tolist() == ["2024-02"]


def test_hours_are_in_the_order_of_the_clock() -> None:
    trades = seen(*(trade(2, 5, open_date=START.normalize() + h * HOUR) for h in (10, 9, 2)))
    assert by_strategy({"a": trades}, "hour")["group"].tolist() == ["2", "9", "10"]


@pytest.mark.parametrize(
    ("grouping", "first", "second", "order"),
    [
        ("hour", [1, 20], [2], ["1", "2", "20"]),
        # z is 2.0 after the first candle, 0.5 after the fourth.
        ("|z| at entry", [2], [5], ["0–1.5", "2–2.5"]),
    ],
)
def test_groups_missing_in_the_first_strategy_keep_order(
    grouping: str, first: list[int], second: list[int], order: list[str]
) -> None:
    trades = {
        name: seen(*(trade(hour, hour + 1) for hour in hours))
        for name, hours in (("a", first), ("b", second))
    }
    if grouping == "hour":
        for found in trades.values():
            found["open_date"] += pd.Timedelta("4h")
    table = by_strategy(trades, grouping).assign(profit_pct=0.0)
    figure = Figures(["a", "b"], palette()).profit(table, grouping)
    assert list(figure.layout.xaxis.categoryarray) == order
    assert figure.layout.xaxis.categoryorder in (None, "array")


def test_summary_takes_costs_apart_from_the_profit() -> None:
    row = summary("a", seen(trade(2, 5, funding_fees=-0.5)), STATS)
    assert row["profit_pct"] == pytest.approx(0.2)
    assert row["fees_pct"] == pytest.approx(0.0296)
    assert row["funding_pct"] == pytest.approx(-0.05)
    assert row["before_costs_pct"] == pytest.approx(0.2 + 0.0296 + 0.05)
    assert (row["drawdown_pct"], row["sharpe"]) == (3.0, 0.7)
    # Of an order of 200 and one of 196.
    assert row["turnover"] == pytest.approx(0.396)
    assert row["fees_bps"] == pytest.approx(0.296 / 396 * 1e4)
    assert row["funding_bps"] == pytest.approx(-0.5 / 396 * 1e4)


def test_undefined_sharpe_is_none() -> None:
    stats = {**STATS, "wallet_stats": {"sharpe": -100.0}}
    assert summary("a", seen(trade(2, 5)), stats)["sharpe"] is None


@pytest.mark.parametrize(
    ("trades", "profit", "before", "expected"),
    [
        (0, 0.0, 0.0, "no trades"),
        (29, 5.0, 6.0, "too few trades (29)"),
        (30, 5.0, 6.0, "gained"),
        (30, -1.0, 2.0, "costs exceed the gain"),
        (30, -1.0, -0.5, "lost"),
    ],
)
def test_verdict_follows_trades_profit_and_costs(
    trades: int, profit: float, before: float, expected: str
) -> None:
    row = {"trades": trades, "profit_pct": profit, "before_costs_pct": before}
    assert verdict(row) == expected


def test_reasons_count_each_candle_once_a_reason() -> None:
    reasons = {(0, "no bias"): 5, (1, ""): 1, (1, "b, a"): 2, (1, "a"): 1, (-1, "b"): 4}
    short, *long = no_entry("x", reasons)
    assert (short["bias"], short["reason"], short["candles"], short["share"]) == (
        *("SHORT", "b", 4, 1.0),
    )
    assert [(row["reason"], row["candles"], row["only this"]) for row in long] == [
        *(("a", 3, 1), ("b", 2, 0)),
    ]
    assert long[0]["share"] == 0.75
    counts = signals("x", reasons, 7)
    assert list(counts.values()) == ["x", 13, 4, 4, 1, 7]


def test_open_positions_are_in_the_wallet_at_each_close() -> None:
    """freqtrade's wallet would not know that the short lost on the way."""
    prices = [100.0, 100.0, 100.0, 110.0, 130.0, 98.0, 98.0, 98.0]
    closes = pd.DataFrame({PAIR: prices}, index=pd.DatetimeIndex(FRAME["date"]))
    short = trade(2, 5, amount=2.0, profit_abs=3.0)
    paid = 2.0 * 100.0 * 0.0005
    wallet = marked_wallet(pd.DataFrame([short]), closes, 1000.0)
    open_at = [1000.0 - paid, 980.0 - paid, 940.0 - paid]
    assert wallet.tolist() == pytest.approx([1000.0, 1000.0, *open_at, 1003.0, 1003.0, 1003.0])
    both = pd.DataFrame([short, {**short, "is_short": False, "profit_abs": -1.0}])
    wallet = marked_wallet(both, closes, 1000.0)
    assert wallet.tolist() == pytest.approx([1000.0] * 2 + [1000.0 - 2 * paid] * 3 + [1002.0] * 3)
    # Of a pair without candles nothing is known before it closes.
    other = marked_wallet(pd.DataFrame([{**short, "pair": "X/USDT:USDT"}]), closes, 1000.0)
    assert other.tolist() == [1000.0] * 5 + [1003.0] * 3
    row = summary("a", seen(short), STATS, marked_wallet(pd.DataFrame([short]), closes, 1000.0))
    assert row["marked_drawdown_pct"] == pytest.approx(6.0 + paid / 10)
    assert summary("a", seen(short), STATS)["marked_drawdown_pct"] is None


def test_summary_of_no_trades_has_no_share_won() -> None:
    row = summary("a", pd.DataFrame(), STATS)
    assert (row["trades"], row["won"], row["fees"]) == (0, None, 0.0)


def test_cooling_says_how_many_left_before_z_had_cooled() -> None:
    row = cooling("a", seen(trade(2, 5), trade(2, 3), trade(6, 7)))
    assert row["trades"] == 3
    assert (row["held median"], row["held longest"]) == (1.0, 3.0)
    assert row["held 90 %"] == pytest.approx(2.6)
    assert row["to_cool median"] == 3.0
    assert row["left before it cooled"] == 0.5


def test_premium_against_price_separates_reverted_premiums() -> None:
    row = premium_against_price(
        "a",
        seen(
            trade(2, 5, profit_abs=-1.0),
            trade(6, 7, is_short=False, close_rate=103.0),
            trade(7, 8),
        ),
    )
    assert row["trades"] == 2
    assert row["captured, mean pp"] == pytest.approx((0.08 - 0.05) / 2)
    assert row["price, mean %"] == pytest.approx(2.5)
    assert row["premium came back"] == 0.5
    assert (row["won where it did"], row["won where it did not"]) == (0.0, 1.0)
    assert row["fees, mean %"] == pytest.approx((0.148 + 0.153) / 2)


def test_worst_trades_lost_and_come_in_order() -> None:
    trades = seen(*(trade(2, 5, profit_ratio=ratio) for ratio in (0.1, -0.2, -0.01, -0.5)))
    assert worst_trades(trades, 2)["profit_ratio"].tolist() == [-0.5, -0.2]
    assert len(worst_trades(trades, 9)) == 3
    assert best_trades(trades, 2)["profit_ratio"].tolist() == [0.1]


def test_held_value_spreads_evenly_and_bridges_gaps() -> None:
    closes = pd.DataFrame({"a": [np.nan, 10.0, 20.0], "b": [4.0, np.nan, 2.0]})
    assert buy_and_hold(closes).tolist() == [1.0, 1.0, 1.25]
    ended = pd.DataFrame({"a": [10.0, 20.0, np.nan], "b": [4.0, 4.0, 4.0]})
    assert buy_and_hold(ended).tolist() == [1.0, 1.5, 1.5]
    assert buy_and_hold(pd.DataFrame()).empty


def test_lines_are_thinned_but_keep_end_and_depth() -> None:
    equity = pd.Series([100.0, 50.0, 100.0, 120.0, 90.0, 130.0])
    assert thinned(equity, 6).tolist() == equity.tolist()
    assert thinned(equity, 2).index.tolist() == [2, 5]
    assert thinned(equity, 2).iloc[-1] == 130.0
    assert thinned(drawdown(equity), 2, "min").tolist() == [-50.0, -25.0]


def test_cumulative_share_counts_trades_that_never_cooled() -> None:
    assert cumulative_share(pd.Series([2.0, 1.0, np.nan, 2.0])) == ([1.0, 2.0], [25.0, 75.0])
