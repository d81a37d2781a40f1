"""One result row per strategy of a backtest, and a short verdict on each."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from freqtrade.exchange import timeframe_to_seconds

from perp_imbalance.reporting.backtest_result import Result
from perp_imbalance.reporting.tables import summary, with_signal_columns

#: With fewer trades, profit and loss are not meaningful.
FEW_TRADES = 30


def result_rows(result: Result) -> list[dict[str, Any]]:
    """Return the figures of each strategy of a result, in the result's order.

    ``net_pct``, ``drawdown_pct`` (of closed trades) and ``costs_pct`` (fees less funding) are
    percent of the starting wallet; ``fees`` and ``funding`` (above 0: received) are in the stake
    currency.

    >>> [row["verdict"] for row in result_rows(result)]  # doctest: +SKIP
    ['gained 2.9 %, costs 7.6 %', 'too few trades (12)']
    """
    candle = pd.Timedelta(seconds=timeframe_to_seconds(result.timeframe))
    rows = []
    for outcome in result.outcomes:
        trades, funding = outcome.trades, 0.0
        if len(trades):
            # Only the fees are used, which need no candles.
            trades = with_signal_columns(trades, {}, candle, 0.0)
            funding = float(trades["funding_fees"].sum())
        made = summary(outcome.strategy, trades, outcome.stats)
        row = {
            "strategy": outcome.strategy,
            "trades": made["trades"],
            "net_pct": made["profit_pct"],
            "drawdown_pct": made["drawdown_pct"],
            "fees": made["fees"],
            "funding": funding,
            "costs_pct": made["fees_pct"] - made["funding_pct"],
        }
        rows.append(row | {"verdict": verdict(row)})
    return rows


def verdict(row: Mapping[str, Any]) -> str:
    """Return a short verdict on a row of :func:`result_rows`, without a claim about significance.

    >>> verdict({"trades": 12})
    'too few trades (12)'
    >>> verdict({"trades": 200, "net_pct": -3.12, "costs_pct": 5.04})
    'lost 3.1 %, costs 5.0 %'
    """
    if row["trades"] < FEW_TRADES:
        return f"too few trades ({row['trades']})" if row["trades"] else "no trades"
    net, costs = round(row["net_pct"], 1), round(row["costs_pct"], 1)
    made = f"{'gained' if net > 0 else 'lost'} {abs(net):.1f} %" if net else "neither gain nor loss"
    return f"{made}, costs {costs:.1f} %" if costs > 0 else made
