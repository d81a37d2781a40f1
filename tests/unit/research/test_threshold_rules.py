"""The rules of a config are those of the simulation."""

from typing import Any

import pytest

from perp_imbalance.research.threshold_trades import left_out, rules_of_config
from perp_imbalance.strategy.order_rules import PROTECTIONS
from perp_imbalance.strategy.settings import Settings

CONFIG: dict[str, Any] = {
    "exchange": {"name": "binance"},
    "dry_run_wallet": 1000,
    "stake_currency": "USDT",
    "stake_amount": "unlimited",
    "tradable_balance_ratio": 0.99,
    "max_open_trades": 3,
    "timeframe": "1h",
}


@pytest.mark.parametrize(
    ("change", "section", "expected"),
    [
        ({}, {}, {"fee": 0.0005, "stoploss": -0.3, "max_open_trades": 3, "stake_amount": 0.0}),
        ({}, {"leverage": 2.0}, {"stoploss": -0.6, "leverage": 2.0}),
        ({"stoploss": -0.2}, {"leverage": 2.0}, {"stoploss": -0.2}),
        ({"dry_run_wallet": {"USDT": 50, "BTC": 1}}, {}, {"wallet": 50.0}),
        ({"max_open_trades": -1, "stake_amount": 40}, {}, {"max_open_trades": 0}),
        ({"unfilledtimeout": {"exit": 5}}, {}, {"exit_timeout": 300.0}),
        ({"unfilledtimeout": {"exit": 5, "unit": "seconds"}}, {}, {"exit_timeout": 5.0}),
        ({"fee": 0.001}, {}, {"fee": 0.001}),
        ({"exchange": {"name": "hyperliquid"}}, {}, {"fee": 0.00045}),
        ({}, {"protections": [{"method": "CooldownPeriod"}]}, {"protections": []}),
        (
            {"enable_protections": True},
            {"protections": [{"method": "CooldownPeriod"}, {"method": "LowProfitPairs"}]},
            {"protections": [{"method": "CooldownPeriod"}]},
        ),
    ],
)
def test_rules_are_those_of_the_config(
    change: dict[str, Any], section: dict[str, Any], expected: dict[str, Any]
) -> None:
    rules = rules_of_config(CONFIG | change, Settings(**section), -0.3)._asdict()
    assert {name: rules[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({}, []),
        ({"minimal_roi": {"0": 100}, "use_exit_signal": True, "trailing_stop": False}, []),
        ({"minimal_roi": {"0": 100, "60": 0.02}}, ["minimal_roi"]),
        ({"minimal_roi": {}}, []),
        ({"trailing_stop": True}, ["trailing_stop"]),
        ({"use_exit_signal": False}, ["use_exit_signal"]),
        ({"exit_profit_only": True}, ["exit_profit_only"]),
        ({"available_capital": 500}, ["available_capital"]),
        ({"amend_last_stake_amount": True}, ["amend_last_stake_amount"]),
        ({"timeframe_detail": "5m"}, ["timeframe_detail"]),
        ({"enable_protections": True}, ["LowProfitPairs"]),
    ],
)
def test_what_is_not_simulated_is_named(change: dict[str, Any], names: list[str]) -> None:
    settings = Settings(protections=[{"method": "LowProfitPairs"}, *PROTECTIONS])
    assert left_out(CONFIG | change, settings) == names
