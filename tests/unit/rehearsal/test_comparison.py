"""A bot's trades against a backtest's: each difference is named, and what it cost is split."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from perp_imbalance.rehearsal import Comparison, compare
from perp_imbalance.rehearsal.backtested import within
from perp_imbalance.rehearsal.comparison import CAUSES

HOUR = timedelta(hours=1)
START = pd.Timestamp("2025-09-18", tz="UTC")
BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
REFUSAL = (
    "2025-09-18 05:00:01,000 - perp_imbalance.strategy.positions - INFO - BTC/USDT:USDT: no long "
    "entry, the price has moved by 2 %"
)


def trade(pair: str, opened: float, closed: float | None, **values: Any) -> dict[str, Any]:
    """Return a trade as bot and backtest both have it; times in hours."""
    return {
        **{"pair": pair, "is_short": False, "enter_tag": "long_zone_z", "exit_reason": "cooled"},
        **{"open_date": START + opened * HOUR, "open_rate": 100.0, "close_rate": 110.0},
        **{"close_date": pd.NaT if closed is None else START + closed * HOUR, "leverage": 1.0},
        **{"fee_open": 5e-4, "fee_close": 5e-4},
        **{"stake_amount": 100.0, "funding_fees": 0.0, "close_profit": 0.1, "profit_ratio": 0.1},
        **values,
    }


def held(
    bot: list[dict[str, Any]], backtest: list[dict[str, Any]], log: str = "", **choices: Any
) -> Comparison:
    frames = [within(pd.DataFrame(trades), END) for trades in (bot, backtest)]
    return compare(frames[0], frames[1], HOUR, 1.0, lambda *_: RANGE, log, **choices)


def held_back_at_two(pair: str, time: pd.Timestamp) -> tuple[str, pd.Timestamp] | None:
    """The bot could not act at 02:00, and next looked at 03:00."""
    return ("late spot", time + HOUR) if time == START + 2 * HOUR else None


END = datetime(2025, 9, 19, tzinfo=UTC)
LOOK = 1 / 3600
#: The lowest and the highest price of every candle.
RANGE = (99.0, 110.2)
SAME = [trade(BTC, 1, 4), trade(ETH, 2, 5), trade(ETH, 7, None)]


def test_same_trades_differ_in_nothing() -> None:
    bot = [trade(BTC, 1 + LOOK, 4 + LOOK), trade(ETH, 2.5, 5.5), trade(ETH, 7, None)]
    found = held(bot, SAME)
    assert (found.backtest_trades, found.bot_trades, found.entries, found.closed) == (3, 3, 3, 2)
    assert found.differences == []
    assert found.explained
    assert found.profit_bps == dict.fromkeys(CAUSES, 0.0)


@pytest.mark.parametrize(
    ("bot", "backtest", "kinds"),
    [
        ([], [trade(BTC, 1, 4)], ["missed"]),
        ([trade(BTC, 1, 4)], [], ["extra"]),
        ([trade(BTC, 2, 4)], [trade(BTC, 1, 4)], ["late"]),
        ([trade(BTC, 5, 6)], [trade(BTC, 1, 4)], ["missed", "extra"]),
        ([trade(BTC, 2, 4, is_short=True)], [trade(BTC, 1, 4)], ["missed", "extra"]),
        ([trade(ETH, 2, 4)], [trade(BTC, 1, None)], ["missed", "extra"]),
        ([trade(BTC, 1, 4, enter_tag="own")], [trade(BTC, 1, 4)], ["tag"]),
        ([trade(BTC, 1, 4, exit_reason="roi")], [trade(BTC, 1, 4)], ["exit"]),
        ([trade(BTC, 1, 5)], [trade(BTC, 1, 4)], ["exit"]),
        ([trade(BTC, 1, None)], [trade(BTC, 1, 4)], ["exit"]),
        ([trade(BTC, 1, None)], [trade(BTC, 1, 30)], []),
        ([], [trade(BTC, 30, 31)], []),
    ],
)
def test_each_difference_is_named_and_unexplained(
    bot: list[dict[str, Any]], backtest: list[dict[str, Any]], kinds: list[str]
) -> None:
    found = held(bot, backtest)
    assert [each.kind for each in found.differences] == kinds
    assert found.explained == (not kinds)
    assert found.as_dict()["explained"] == found.explained


def test_entry_that_the_strategy_refused_is_explained() -> None:
    missed = [trade(BTC, 5, 6)]
    (found,) = held([], missed, REFUSAL).differences
    assert found.cause == "the price has moved by 2 %"
    assert held([], missed, REFUSAL).explained
    assert not held([], [trade(ETH, 5, 6)], REFUSAL).explained
    assert not held([], [trade(BTC, 6, 7)], REFUSAL).explained


@pytest.mark.parametrize(
    ("bot", "backtest", "cause"),
    [
        ([trade(BTC, 1, 3)], [trade(BTC, 1, 2)], "late spot: next look at 03:00"),
        ([trade(BTC, 1, 3.5)], [trade(BTC, 1, 2)], "late spot: next look at 03:00"),
        # Later than the next look, earlier, or due at a time when nothing was late.
        ([trade(BTC, 1, 4)], [trade(BTC, 1, 2)], None),
        ([trade(BTC, 0, 1)], [trade(BTC, 0, 2)], None),
        ([trade(BTC, 1, 5)], [trade(BTC, 1, 4)], None),
        ([trade(BTC, 3, 5)], [trade(BTC, 2, 5)], "late spot: next look at 03:00"),
        ([trade(BTC, 4, 5)], [trade(BTC, 2, 5)], None),
        ([], [trade(BTC, 2, 5)], "late spot: the next look was after the signal's candle"),
        ([], [trade(BTC, 4, 5)], None),
    ],
)
def test_entries_delayed_by_a_late_candle_are_explained(
    bot: list[dict[str, Any]], backtest: list[dict[str, Any]], cause: str | None
) -> None:
    (found,) = held(bot, backtest, held_back=held_back_at_two).differences
    assert found.cause == cause


def test_missed_entry_that_was_possible_is_unexplained() -> None:
    (found,) = held([], [trade(BTC, 2, 5)], held_back=lambda pair, time: ("late", time)).differences
    assert found.cause is None


def test_entry_while_a_position_is_held_is_explained() -> None:
    long, short = trade(BTC, 1, 4), trade(BTC, 4, 6, is_short=True)
    still = "the bot still held its position of 2025-09-18 01:00"
    late, missed = held([trade(BTC, 1, 5)], [long, short]).differences
    assert (late.kind, missed.kind, missed.cause) == ("exit", "missed", still)
    # What ends in a candle leaves room for an entry in it.
    assert held([trade(BTC, 1, 4.5)], [long, short]).differences[-1].cause is None
    extra = held([long, short], [trade(BTC, 1, 5)]).differences[-1]
    assert extra.cause == still.replace("bot", "backtest")


@pytest.mark.parametrize(
    ("bot", "backtest", "bps"),
    [
        ([], [trade(BTC, 1, 4)], -1000.0),
        ([trade(BTC, 1, 4)], [], 1000.0),
        ([trade(BTC, 2, 4, close_profit=0.08)], [trade(BTC, 1, 4)], -200.0),
        ([trade(BTC, 1, 5, close_profit=0.11)], [trade(BTC, 1, 4)], 100.0),
        ([trade(BTC, 1, None)], [trade(BTC, 1, 4)], None),
        ([], [trade(BTC, 1, None)], None),
    ],
)
def test_difference_has_its_cost(
    bot: list[dict[str, Any]], backtest: list[dict[str, Any]], bps: float | None
) -> None:
    (found,) = held(bot, backtest).differences
    assert found.bps == (None if bps is None else pytest.approx(bps))


def test_trades_open_at_the_end_are_named() -> None:
    bot = [trade(BTC, 1, 4), trade(ETH, 2, None), trade(BTC, 7, None)]
    backtest = [trade(BTC, 1, 4), trade(ETH, 2, None), trade(BTC, 7, 8), trade(ETH, 9, None)]
    found = held(bot, backtest).still_open
    assert [(each.pair, each.time.hour, each.held_by) for each in found] == [
        (BTC, 7, "bot"),
        (ETH, 2, "both"),
        (ETH, 9, "backtest"),
    ]


@pytest.mark.parametrize(
    ("values", "cause"),
    [
        # 5 bps beyond the candle's prices, and more than that.
        ({"close_rate": 110.25}, "spread"),
        ({"close_rate": 110.26}, "rest"),
        ({"open_rate": 98.96}, "spread"),
        ({"open_rate": 98.94}, "rest"),
        ({"close_rate": 110.25, "close_date": START + 4.5 * HOUR}, "delay"),
        ({"close_rate": 110.26, "close_date": START + 4.5 * HOUR}, "rest"),
        ({"close_rate": 98.96, "exit_reason": "stop_loss"}, "stop"),
        ({"close_rate": 98.94, "exit_reason": "stop_loss"}, "rest"),
    ],
)
def test_price_that_its_candle_did_not_have_is_unexplained(
    values: dict[str, Any], cause: str
) -> None:
    same = {"exit_reason": values.get("exit_reason", "cooled")}
    gain = values.get("close_rate", 110.0) - values.get("open_rate", 100.0)
    found = held([trade(BTC, 1, 4, **values, close_profit=gain / 100)], [trade(BTC, 1, 4, **same)])
    assert {name for name, bps in found.profit_bps.items() if abs(bps) > 1e-6} == {cause}
    assert found.profit_bps[cause] == pytest.approx(1e4 * (gain / 100 - 0.1))
    assert found.explained == (cause != "rest")


@pytest.mark.parametrize(
    ("values", "backtest", "parts"),
    [
        ({"open_rate": 100.1, "close_profit": 0.099}, {}, {"spread": -10.0}),
        ({"close_rate": 109.9, "close_profit": 0.099}, {}, {"spread": -10.0}),
        (
            {"close_rate": 109.9, "close_profit": 0.099, "close_date": START + 4.5 * HOUR},
            {},
            {"delay": -10.0},
        ),
        (
            {"close_rate": 109.9, "close_profit": 0.099, "exit_reason": "stoploss_on_exchange"},
            {"exit_reason": "stop_loss"},
            {"stop": -10.0},
        ),
        (
            {"open_rate": 100.1, "close_profit": -0.099, "is_short": True},
            {"is_short": True, "profit_ratio": -0.1},
            {"spread": 10.0},
        ),
        (
            {"open_rate": 100.1, "close_profit": 0.097, "leverage": 3.0},
            {"leverage": 3.0},
            {"spread": -30.0},
        ),
        ({"fee_close": 2e-4, "close_profit": 0.1003}, {}, {"fees": 3.0}),
        ({"funding_fees": 0.2, "close_profit": 0.102}, {"funding_fees": 0.0}, {"funding": 20.0}),
        ({"close_profit": 0.102}, {}, {"rest": 20.0}),
    ],
)
def test_difference_of_profit_is_split_by_its_cause(
    values: dict[str, Any], backtest: dict[str, Any], parts: dict[str, float]
) -> None:
    found = held([trade(BTC, 1, 4, **values)], [trade(BTC, 1, 4, **backtest)])
    expected = dict.fromkeys(found.profit_bps, 0.0) | parts
    assert found.profit_bps == pytest.approx(expected, abs=1e-6)
    assert found.explained == ("rest" not in parts)


def test_second_trade_of_a_candle_is_not_lost() -> None:
    stopped = trade(BTC, 1, 1.3, exit_reason="stop_loss", close_profit=-0.05)
    found = held([stopped, trade(BTC, 1.6, 4)], [trade(BTC, 1, 4)])
    assert [each.kind for each in found.differences] == ["exit", "extra"]
    assert found.differences[1].time == START + 1.6 * HOUR
    assert not found.explained


def test_unexplained_profits_do_not_cancel_out() -> None:
    bot = [trade(BTC, 1, 4, close_profit=0.15), trade(ETH, 2, 5, close_profit=0.05)]
    found = held(bot, SAME[:2])
    assert found.profit_bps["rest"] == pytest.approx(0.0)
    assert found.largest_rest_bps == pytest.approx(500.0)
    assert not found.explained
    assert not held([trade(BTC, 1, 4, close_profit=float("nan"))], SAME[:1]).explained
