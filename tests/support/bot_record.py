"""Hand-made records of a bot's database and a backtest, for tests of reconcile."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

PAIR, OTHER = "BTC/USDT:USDT", "ETH/USDT:USDT"
CANDLE = pd.Timedelta(hours=1)
SETTINGS: dict[str, Any] = {
    "version": "0.3.0",
    "thresholds": {"enter_z": 1.7},
    "settings": {"max_entry_age_seconds": 120.0},
    "config": {"max_open_trades": 2},
}


def at(hour: float, day: int = 1) -> pd.Timestamp:
    """Return a time on a day of March 2025."""
    return pd.Timestamp(2025, 3, day, tz="UTC") + pd.Timedelta(hours=hour)


def with_config(**values: Any) -> dict[str, Any]:
    """Return stored settings with another config."""
    return {**SETTINGS, "config": {**SETTINGS["config"], **values}}


def trades(*rows: Mapping[str, Any]) -> pd.DataFrame:
    """Return trades with the columns of a comparison: longs of one pair from 12:00 to 15:00."""
    usual = {
        **{"pair": PAIR, "is_short": False, "leverage": 1.0, "enter_tag": "long_zone_z"},
        **{"open_date": at(12), "close_date": at(15), "exit_reason": "cooled", "is_open": False},
        **{"open_rate": 100.0, "close_rate": 101.0, "fee_open": 0.0005, "fee_close": 0.0005},
        **{"close_profit": 0.01, "profit_ratio": 0.01, "funding_fees": 0.0, "stake_amount": 100.0},
    }
    frame = pd.DataFrame([{**usual, "id": number, **row} for number, row in enumerate(rows, 1)])
    if frame.empty:
        frame = pd.DataFrame(columns=[*usual, "id"])
    for name in ("open_date", "close_date"):
        frame[name] = pd.to_datetime(frame[name], utc=True)
    return frame


def locks(*rows: tuple[str, str, str, float, float]) -> pd.DataFrame:
    """Return locks: pair, side, reason, and the hours from and to which they hold."""
    names = ["pair", "side", "reason", "lock_time", "lock_end_time"]
    return pd.DataFrame([(*row[:3], at(row[3]), at(row[4])) for row in rows], columns=names)


def orders(*rows: Mapping[str, Any]) -> pd.DataFrame:
    """Return cancelled sell orders of the first trade."""
    usual = {"ft_trade_id": 1, "ft_order_side": "sell", "status": "canceled", "filled": 0.0}
    names = [*usual, "order_date"]
    return pd.DataFrame([{**usual, **row} for row in rows], columns=names)
