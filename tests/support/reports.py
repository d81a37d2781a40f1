"""Hand-made trades and strategies of a report."""

from typing import Any

import numpy as np
import pandas as pd

from perp_imbalance.indicators import Thresholds
from perp_imbalance.plotting.chart import Chart
from perp_imbalance.reporting.backtest_result import Outcome
from perp_imbalance.reporting.strategy_runs import StrategyRun
from perp_imbalance.reporting.tables import with_signal_columns

HOUR = pd.Timedelta("1h")
START = pd.Timestamp("2024-01-31 20:00", tz="UTC")
PAIR = "BTC/USDT:USDT"
ROWS = 700
EQUITY = pd.Series(
    [1000.0, 700.0, 800.0, 1000.0, 1000.0, 1100.0],
    index=pd.date_range(START, periods=6, freq="1h"),
)
STATS = {
    **{"starting_balance": 1000, "winrate": 0.5, "profit_total": 0.002, "profit_total_abs": 2.0},
    **{"max_drawdown_account": 0.03, "sharpe": 9.0, "profit_factor": 1.5},
    **{"wallet_stats": {"sharpe": 0.7}},
}


def trade(opened: int, closed: int, **values: Any) -> dict[str, Any]:
    """Return a trade of 2 coins that opens and closes at the opens of these candles."""
    rates = {"open_rate": 100.0, "close_rate": 98.0, "fee_open": 0.0005, "fee_close": 0.001}
    rates |= {name: values[name] for name in rates if name in values}
    orders = [
        {"amount": 2.0, "safe_price": rates["open_rate"], "ft_is_entry": True},
        {"amount": 2.0, "safe_price": rates["close_rate"], "ft_is_entry": False},
    ]
    return {
        **{"pair": PAIR, "is_short": True, "exit_reason": "cooled", "funding_fees": 0.0},
        **{"open_date": START + opened * HOUR, "close_date": START + closed * HOUR},
        **{"profit_ratio": 0.01, "profit_abs": 2.0, "stake_amount": 200.0, "orders": orders},
        **rates,
        **values,
    }


def seen(*trades: dict[str, Any], name: str = "a") -> StrategyRun:
    """Return a strategy run whose premium grows from candle to candle."""
    columns = ("open", "high", "low", "close", "bb_upper", "bb_middle", "bb_lower", "spot_close")
    frame = pd.DataFrame(
        {
            "date": pd.date_range(START, periods=ROWS, freq="1h"),
            **dict.fromkeys((*columns, "z", "htf_z"), 1.0),
            "premium_pct": np.arange(ROWS) / 100.0,
            **{"bias": 0, "no_entry": "no bias"},
        }
    )
    entered = pd.DataFrame(list(trades)).assign(enter_tag="short_zone_z")
    found = with_signal_columns(entered, {PAIR: frame}, HOUR, exit_z=0.9)
    chart = Chart(PAIR, "1h", 3600, name, "4h", Thresholds(), frame)
    return StrategyRun(
        Outcome(name, found, STATS, EQUITY, None), Thresholds(), found, {PAIR: chart}
    )
