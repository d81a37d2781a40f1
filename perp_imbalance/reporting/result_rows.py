"""The figures of a backtest: one row for each strategy, with a verdict."""

from typing import Any

import pandas as pd
from freqtrade.exchange import timeframe_to_seconds

from perp_imbalance.reporting.backtest_result import Result
from perp_imbalance.reporting.tables import summary, with_signal_columns


def result_rows(result: Result) -> list[dict[str, Any]]:
    """Return the figures of each strategy of a result, in the order of the result.

    ``net_pct`` and ``drawdown_pct`` (of closed trades) are percent of the initial wallet; ``fees``
    and ``funding`` (above 0 if received) are in the stake currency.

    >>> [row["verdict"] for row in result_rows(result)]  # doctest: +SKIP
    ['costs exceed the gain', 'too few trades (12)']
    """
    candle = pd.Timedelta(seconds=timeframe_to_seconds(result.timeframe))
    rows = []
    for outcome in result.outcomes:
        trades, funding = outcome.trades, 0.0
        if len(trades):
            # Of their columns only the fees are read, which need no candles.
            trades = with_signal_columns(trades, {}, candle, 0.0)
            funding = float(trades["funding_fees"].sum())
        made = summary(outcome.strategy, trades, outcome.stats)
        rows.append(
            {
                "strategy": outcome.strategy,
                "trades": made["trades"],
                "net_pct": made["profit_pct"],
                "drawdown_pct": made["drawdown_pct"],
                "fees": made["fees"],
                "funding": funding,
                "verdict": made["verdict"],
            }
        )
    return rows
