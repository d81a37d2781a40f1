"""Tables of a report, computed from trades and the columns of the strategy, without I/O."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from perp_imbalance.indicators.performance import drawdown
from perp_imbalance.indicators.signals import SIDES
from perp_imbalance.plotting.html_page import TOO_FEW
from perp_imbalance.research.account import LEAST_TRADES

#: Bounds of the groups by ``|z|`` at the entry.
Z_BOUNDS = (0.0, 1.5, 2.0, 2.5, 3.0, 4.0, np.inf)
#: The group of trades without z, whose candles are missing.
UNKNOWN = "unknown"

# freqtrade's placeholder for an undefined Sharpe ratio.
_NO_SHARPE = -100.0

#: Columns that :func:`with_signal_columns` takes from the candles; NaN without candles.
FROM_CANDLES = ("z_entry", "z_exit", "premium_entry", "premium_exit", "to_cool")


def with_signal_columns(
    trades: pd.DataFrame,
    frames: Mapping[str, pd.DataFrame],
    candle: pd.Timedelta,
    exit_z: float,
) -> pd.DataFrame:
    """Return trades with the signal's values at their entry and exit.

    ``z_entry``, ``premium_entry``: values of the signal's candle, the last one that had closed at
    the entry; ``z_exit``, ``premium_exit``: the same at the exit. ``held``: length in candles.
    ``to_cool``: candles from the signal to the first with ``|z| < exit_z``. ``price_move``
    (percent) and ``premium_captured`` (percentage points) are positive in favour of the side.
    ``turnover``, ``fees``: value and fees of all orders.

    :param trades: freqtrade's, at least one.
    :param frames: ``date``, ``z`` and ``premium_pct`` by pair.
    :param candle: length of a candle.
    """
    found = trades.reset_index(drop=True)
    for name in FROM_CANDLES:
        found[name] = np.nan
    for pair, frame in frames.items():
        rows = found.index[found["pair"] == pair]
        if len(rows) and len(frame):
            _fill(found, rows, frame, candle, exit_z)
    sign = np.where(found["is_short"], -1.0, 1.0)
    found["held"] = (
        found["close_date"] - found["open_date"]
    ).dt.total_seconds() / candle.total_seconds()
    found["price_move"] = sign * (found["close_rate"] / found["open_rate"] - 1.0) * 100.0
    found["premium_captured"] = sign * (found["premium_exit"] - found["premium_entry"])
    found["turnover"] = [
        float(sum(order["amount"] * order["safe_price"] for order in orders))
        for orders in found["orders"]
    ]
    found["fees"] = [
        _fees(orders, (fee_open, fee_close))
        for orders, fee_open, fee_close in zip(
            found["orders"], found["fee_open"], found["fee_close"], strict=True
        )
    ]
    return found


def _fill(
    found: pd.DataFrame,
    rows: "pd.Index[Any]",
    frame: pd.DataFrame,
    candle: pd.Timedelta,
    exit_z: float,
) -> None:
    """Set the columns that come from the candles of one pair."""
    dates = pd.DatetimeIndex(frame["date"])
    z, premium = (frame[name].to_numpy(dtype=float) for name in ("z", "premium_pct"))
    cool = np.flatnonzero(np.abs(z) < exit_z)
    for when, name in (("open_date", "entry"), ("close_date", "exit")):
        moments = pd.DatetimeIndex(found.loc[rows, when]) - candle
        at = dates.searchsorted(moments, side="right") - 1
        known = at >= 0
        found.loc[rows, f"z_{name}"] = np.where(known, z[at], np.nan)
        found.loc[rows, f"premium_{name}"] = np.where(known, premium[at], np.nan)
        if name == "entry":
            after = np.append(cool, -1)[np.searchsorted(cool, at, side="right")]
            found.loc[rows, "to_cool"] = np.where(known & (after >= 0), after - at, np.nan)


def _fees(orders: Sequence[Mapping[str, Any]], rates: tuple[float, float]) -> float:
    """Return the fees of all orders of a trade, in the stake currency.

    :param rates: fee rates of entry orders and of exit orders.
    """
    return float(
        sum(o["amount"] * o["safe_price"] * rates[0 if o["ft_is_entry"] else 1] for o in orders)
    )


def grouped(trades: pd.DataFrame, by: "pd.Series[Any]") -> pd.DataFrame:
    """Return one row per group: trades, share won, mean profit in percent, profit and fees.

    :param by: the group of each trade; groups are sorted by value.
    """
    groups = trades.groupby(by.rename("group"), observed=True)
    table = pd.DataFrame(
        {
            "trades": groups.size(),
            "won": groups["profit_abs"].agg(lambda profits: float((profits > 0).mean())),
            "mean_pct": groups["profit_ratio"].mean() * 100.0,
            "profit": groups["profit_abs"].sum(),
            "fees": groups["fees"].sum(),
        }
    )
    return table.reset_index().astype({"group": str})


def side_of(trades: pd.DataFrame) -> "pd.Series[Any]":
    """Return the side of each trade, ``short`` or ``long``."""
    return trades["is_short"].map({True: "short", False: "long"})


def z_group(trades: pd.DataFrame) -> "pd.Series[Any]":
    """Return the group of each trade by ``|z|`` at its entry, in ascending order.

    >>> z_group(pd.DataFrame({"z_entry": [-1.7, 9.0, np.nan]})).tolist()
    ['1.5–2', '≥ 4', 'unknown']
    """
    labels = [
        f"{low:g}–{high:g}" if np.isfinite(high) else f"≥ {low:g}"
        for low, high in pairwise(Z_BOUNDS)
    ]
    cut = pd.cut(trades["z_entry"].abs(), Z_BOUNDS, right=False, labels=labels)
    ordered = pd.Categorical(cut, [*labels, UNKNOWN], ordered=True)
    return pd.Series(ordered, index=trades.index).fillna(UNKNOWN)


#: All groupings of the tables: name, and the function that returns each trade's group.
GROUPINGS: dict[str, Callable[[pd.DataFrame], "pd.Series[Any]"]] = {
    "pair": lambda trades: trades["pair"],
    "exit tag": lambda trades: trades["exit_reason"],
    "side": side_of,
    "|z| at entry": z_group,
    "hour": lambda trades: trades["open_date"].dt.hour,
    "month": lambda trades: trades["close_date"].dt.strftime("%Y-%m"),
}


def by_strategy(trades: Mapping[str, pd.DataFrame], grouping: str) -> pd.DataFrame:
    """Return the table of a grouping from ``GROUPINGS``, with the rows of all strategies.

    :return: ``group`` is categorical; its categories have one order for all strategies.
    """
    group = GROUPINGS[grouping]
    groups = {strategy: group(found) for strategy, found in trades.items()}
    tables = []
    for strategy, found in trades.items():
        table = grouped(found, groups[strategy])
        table.insert(0, "strategy", strategy)
        tables.append(table)
    every = pd.concat(groups.values()).drop_duplicates().sort_values()
    order = pd.CategoricalDtype([str(name) for name in every], ordered=True)
    return pd.concat(tables, ignore_index=True).astype({"group": order})


def summary(
    strategy: str,
    trades: pd.DataFrame,
    stats: Mapping[str, Any],
    marked: "pd.Series[float] | None" = None,
) -> dict[str, Any]:
    """Return the result of a strategy.

    Keys in ``_pct`` are percent of the starting wallet, those in ``_bps`` are of the turnover;
    ``fees`` and ``funding`` (above 0 if received) are in the stake currency.

    :param trades: as :func:`with_signal_columns` returns them; may be empty.
    :param stats: freqtrade's own figures.
    :param marked: the wallet as :func:`marked_wallet` returns it; None without candles.
    """
    wallet = float(stats["starting_balance"])
    paid = funding = turnover = 0.0
    if len(trades):
        paid, funding, turnover = (
            float(trades[name].sum()) for name in ("fees", "funding_fees", "turnover")
        )
    # From the wallet's daily values, as in freqtrade's table; older results have trades only.
    sharpe = float(stats.get("wallet_stats", stats)["sharpe"])
    row = {
        "strategy": strategy,
        "trades": len(trades),
        "won": float(stats["winrate"]) if len(trades) else None,
        "profit_pct": float(stats["profit_total"]) * 100.0,
        "fees_pct": paid / wallet * 100.0,
        "fees": paid,
        "fees_bps": paid / turnover * 1e4 if turnover else None,
        "funding": funding,
        "funding_pct": funding / wallet * 100.0,
        "funding_bps": funding / turnover * 1e4 if turnover else None,
        "turnover": turnover / wallet,
        "before_costs_pct": (float(stats["profit_total_abs"]) + paid - funding) / wallet * 100.0,
        "drawdown_pct": float(stats["max_drawdown_account"]) * 100.0,
        "marked_drawdown_pct": None if marked is None else -float(drawdown(marked).min()),
        "sharpe": None if sharpe == _NO_SHARPE else sharpe,
        "profit_factor": float(stats["profit_factor"]),
    }
    return {**row, "verdict": verdict(row)}


def verdict(row: Mapping[str, Any]) -> str:
    """Return a few words about the result of a strategy, without a claim about significance.

    :param row: result of :func:`summary`.

    >>> verdict({"trades": 40, "profit_pct": -1.2, "before_costs_pct": 2.0})
    'costs exceed the gain'
    """
    if not row["trades"]:
        return "no trades"
    if row["trades"] < LEAST_TRADES:
        return f"{TOO_FEW} ({row['trades']})"
    if row["profit_pct"] > 0:
        return "gained"
    return "costs exceed the gain" if row["before_costs_pct"] > 0 else "lost"


#: Candle counts by bias and reason for no entry: "" is an entry, commas separate reasons.
Reasons = Mapping[tuple[int, str], int]


def signals(strategy: str, reasons: Reasons, trades: int) -> dict[str, Any]:
    """Return the number of candles with a bias and of entry signals."""
    row: dict[str, Any] = {"strategy": strategy, "candles": sum(reasons.values())}
    for name, side in SIDES.items():
        row[f"{name.upper()} bias"] = sum(n for (bias, _), n in reasons.items() if bias == side)
    row["entry signals"] = sum(n for (_, reason), n in reasons.items() if not reason)
    return {**row, "trades": trades}


def no_entry(strategy: str, reasons: Reasons) -> list[dict[str, Any]]:
    """Return the reasons for no entry, one row per bias and reason.

    :return: ``candles`` with that reason, their ``share`` of all candles of that bias, and how many
        have ``only this`` reason. The most frequent reason of a bias comes first.
    """
    rows = []
    for name, side in SIDES.items():
        counts = {tuple(many.split(", ")): n for (bias, many), n in reasons.items() if bias == side}
        candles = {
            reason: sum(n for many, n in counts.items() if reason in many)
            for reason in {reason for many in counts for reason in many if reason}
        }
        for reason in sorted(candles, key=lambda reason: (-candles[reason], reason)):
            row: dict[str, Any] = {"strategy": strategy, "bias": name.upper(), "reason": reason}
            row |= {"candles": candles[reason], "share": candles[reason] / sum(counts.values())}
            rows.append({**row, "only this": counts.get((reason,), 0)})
    return rows


def cooling(strategy: str, trades: pd.DataFrame) -> dict[str, Any]:
    """Return how many candles positions were held, and how many z took to cool."""
    both = trades[["held", "to_cool"]].dropna()
    row: dict[str, Any] = {"strategy": strategy, "trades": len(trades)}
    for name in ("held", "to_cool"):
        for share, said in ((0.5, "median"), (0.9, "90 %"), (1.0, "longest")):
            row[f"{name} {said}"] = _quantile(trades[name], share)
    row["left before it cooled"] = float((both["held"] < both["to_cool"]).mean())
    return row


def premium_against_price(strategy: str, trades: pd.DataFrame) -> dict[str, Any]:
    """Return the mean captured premium and the mean price move, both in favour of the side."""
    known = trades.dropna(subset=["premium_captured"])
    move, captured = known["price_move"], known["premium_captured"]
    return {
        "strategy": strategy,
        "trades": len(known),
        "captured, mean pp": _mean(captured),
        "price, mean %": _mean(move),
        "premium came back": _mean(captured > 0),
        "won where it did": _mean(known.loc[captured > 0, "profit_abs"] > 0),
        "won where it did not": _mean(known.loc[captured <= 0, "profit_abs"] > 0),
        "fees, mean %": _mean(known["fees"] / known["stake_amount"] * 100.0),
    }


def _mean(values: "pd.Series[Any]") -> float | None:
    return float(values.mean()) if len(values) else None


def _quantile(values: "pd.Series[Any]", share: float) -> float | None:
    known = values.dropna()
    return float(known.quantile(share)) if len(known) else None


def worst_trades(trades: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return the trades that lost the largest share of their stake, the worst first."""
    return trades[trades["profit_ratio"] < 0].nsmallest(count, "profit_ratio")


def best_trades(trades: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return the trades that gained the largest share of their stake, the best first."""
    return trades[trades["profit_ratio"] > 0].nlargest(count, "profit_ratio")


def marked_wallet(
    trades: pd.DataFrame, closes: pd.DataFrame, starting_balance: float
) -> "pd.Series[float]":
    """Return the wallet's value at each candle's close, with open positions at that price.

    An open position counts with its price move and the entry fee; funding counts when it closes.
    freqtrade's own wallet of a backtest includes closed positions only.

    :param trades: freqtrade's.
    :param closes: one column per pair, one row per candle, indexed by open time.
    :param starting_balance: in the stake currency.
    """
    dates = pd.DatetimeIndex(closes.index)
    wallet = np.full(len(dates), starting_balance)
    first = dates.searchsorted(pd.DatetimeIndex(trades["open_date"]), side="right") - 1
    last = dates.searchsorted(pd.DatetimeIndex(trades["close_date"]), side="right") - 1
    prices = {pair: closes[pair].ffill().to_numpy(dtype=float) for pair in closes}
    every: Iterable[Any] = trades.itertuples()
    for trade, opened, closed in zip(every, first, last, strict=True):
        wallet[max(closed, 0) :] += trade.profit_abs
        if opened < 0 or trade.pair not in prices:
            continue
        move = prices[trade.pair][opened:closed] - trade.open_rate
        value = trade.amount * (-move if trade.is_short else move)
        wallet[opened:closed] += value - trade.amount * trade.open_rate * trade.fee_open
    return pd.Series(wallet, index=dates)


def thinned(values: "pd.Series[float]", most: int, keep: str = "last") -> "pd.Series[float]":
    """Return at most ``most`` values: the last or the lowest of each stretch.

    >>> thinned(pd.Series([4, 1, 3, 2]), 2, "min").tolist()
    [1, 2]
    """
    if len(values) <= most:
        return values
    stretch = np.arange(len(values)) * most // len(values)
    groups = values.groupby(stretch)
    result = groups.agg(keep)
    last = np.flatnonzero(np.diff(stretch, append=stretch[-1] + 1))
    return result.set_axis(values.index[last])


def cumulative_share(values: "pd.Series[float]") -> tuple[Sequence[float], Sequence[float]]:
    """Return the distinct values, and the percentage of all values that are at most each of them.

    NaN (unknown, possibly longer than any value) counts in the total only.

    >>> cumulative_share(pd.Series([3.0, 1.0, 3.0, np.nan]))
    ([1.0, 3.0], [25.0, 75.0])
    """
    counts = values.value_counts().sort_index()
    shares = counts.cumsum() / max(len(values), 1) * 100.0
    return counts.index.tolist(), shares.tolist()
