"""Write the results of a walk-forward: a JSON file, a page, and the winner's parameter file."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from pandas import DataFrame
from plotly.subplots import make_subplots

from perp_imbalance.files import atomic_write_text
from perp_imbalance.freqtrade_bridge.parameter_file import ParameterFile
from perp_imbalance.plotting.html_page import html_table, write_page
from perp_imbalance.research.account import (
    LEAST_TRADES,
    TOO_FEW_TRADES,
    describe,
    growth_equity,
    stability,
    stitch,
    trial_deviation,
    window_equity,
)

WALK_FORWARD = "walk-forward"
HOLD = "buy and hold"
_YEAR = 365**0.5
#: From this probability on the verdict calls something shown.
SURE = 0.95

Result = Mapping[str, Any]


def summarise(
    results: Sequence[Result],
    wallet: float,
    *,
    compounding: bool,
    least_trades: int = LEAST_TRADES,
) -> dict[str, Any]:
    """Return the content of the report as plain data.

    :param results: results of all windows, in order.
    :param wallet: the initial wallet.
    :param compounding: whether profits compound.
    """
    spans: list[Any] = [tuple(map(datetime.fromisoformat, result["test"])) for result in results]
    trials = sum(result["epochs"] for result in results)
    deviation = trial_deviation(
        [result["epoch_sharpes"] for result in results],
        [_days(*map(datetime.fromisoformat, result["train"])) for result in results],
        sum(_days(*span) for span in spans),
    )
    traded = {WALK_FORWARD: [result.get("trades", []) for result in results]}
    for name in results[0]["presets"]:
        traded[name] = [result["presets"][name] for result in results]
    accounts, equities = {}, {}
    for name, windows in traded.items():
        each = [
            window_equity(DataFrame(trades), wallet, *span)
            for trades, span in zip(windows, spans, strict=True)
        ]
        equities[name] = stitch(each, wallet, compounding=compounding)
        chosen = name == WALK_FORWARD
        accounts[name] = describe(
            equities[name],
            sum(map(len, windows)),
            trials=trials if chosen else 1,
            deviation=deviation if chosen else 0.0,
            least_trades=least_trades,
        ).as_dict()
    equities[HOLD] = _held(results, spans, wallet)
    accounts[HOLD] = describe(equities[HOLD], None).as_dict()
    rows = [_window_row(result, wallet) for result in results]
    return {
        "wallet": wallet,
        "compounding": compounding,
        "epochs": trials,
        "verdict": verdict(accounts, rows),
        "accounts": accounts,
        "windows": rows,
        "stability": stability([r["params"] for r in results if r["parameter_file"]]),
        "equity": {name: _by_day(equity) for name, equity in equities.items()},
    }


def _days(begin: datetime, end: datetime) -> float:
    return (end - begin) / timedelta(days=1)


def _held(
    results: Sequence[Result], spans: Sequence[tuple[datetime, ...]], wallet: float
) -> "pd.Series[float]":
    """Return the equity of buy and hold of all pairs over all test parts."""
    each = [
        growth_equity(result["hold"]["days"], wallet, *span)
        for result, span in zip(results, spans, strict=True)
    ]
    return stitch(each, wallet)


def _window_row(result: Result, wallet: float) -> dict[str, Any]:
    """Return in- and out-of-sample results of a window; profits are fractions of the wallet."""
    train, test = (_days(*map(datetime.fromisoformat, result[part])) for part in ("train", "test"))
    row: dict[str, Any] = {
        "window": result["window"],
        "train": " ".join(day[:10] for day in result["train"]),
        "test": " ".join(day[:10] for day in result["test"]),
        "epochs": result["epochs"],
    }
    if not result["parameter_file"]:
        return row | {"unsaid": f"{TOO_FEW_TRADES}: no epoch had enough, so nothing was traded"}
    found = result["in_sample"]
    profit = sum(trade["profit_abs"] for trade in result["trades"]) / wallet
    ratio = found["daily_sharpe"]
    return row | {
        "in_sample_trades": found["total_trades"],
        "in_sample_profit": found["profit_total"],
        "in_sample_profit_a_day": found["profit_total"] / train,
        "in_sample_sharpe": None if ratio is None else ratio * _YEAR,
        "trades": len(result["trades"]),
        "profit": profit,
        "profit_a_day": profit / test,
        "params": dict(result["params"]),
        "unsaid": None,
    }


def _by_day(equity: "pd.Series[float]") -> dict[str, float]:
    return {f"{day:%Y-%m-%d}": round(float(value), 8) for day, value in equity.items()}


def verdict(accounts: Mapping[str, Mapping[str, Any]], windows: Sequence[Mapping[str, Any]]) -> str:
    """Return one sentence about what the out-of-sample trades show."""
    found = accounts[WALK_FORWARD]
    if found["unsaid"]:
        return f"Out of sample: {found['unsaid']}."
    fitted = [row for row in windows if not row["unsaid"]]
    held = sum(row["profit"] > 0 for row in fitted)
    low, high = (found["sharpe"] + sign * 1.96 * found["sharpe_error"] for sign in (-1, 1))
    said = (
        f"Out of sample {found['profit']:+.1%} in {found['days']} days, "
        f"{held} of {len(windows)} windows with a profit, Sharpe {found['sharpe']:.2f} "
        f"[{low:.2f}, {high:.2f}]. The true one is above 0 with {found['above_zero']:.0%}"
    )
    if found["deflated"] is None:
        return f"{said}."
    if found["above_zero"] <= SURE:
        proof = "skill is not shown"
    elif found["deflated"] <= SURE:
        proof = "more than 0 is shown, more than the luck of so many trials is not"
    else:
        proof = "skill is shown"
    return (
        f"{said}, and above {found['expected_best']:.2f}, the best of as many worthless epochs "
        f"(deflated), with {found['deflated']:.0%}: {proof} at {SURE:.0%}."
    )


def write_report(summary: Mapping[str, Any], folder: Path, *, title: str) -> list[Path]:
    """Write ``report.json`` and ``report.html``; return both."""
    file, page = folder / "report.json", folder / "report.html"
    atomic_write_text(file, json.dumps(summary, indent=1))
    parts: list[Any] = [
        html_table([{"account": name, **_shown(row)} for name, row in summary["accounts"].items()]),
        _equity(summary["equity"]),
        html_table([_shown(_flat(row)) for row in summary["windows"]]),
        _in_against_out(summary["windows"]),
        html_table(
            [{"parameter": name, **_shown(row)} for name, row in summary["stability"].items()]
        ),
        _parameters(summary["windows"]),
    ]
    said = [
        summary["verdict"],
        "Each window's parameters come from its training part alone. Its trades are freqtrade's "
        "backtest of the test part, which begins and ends without a position; profit is counted "
        "when a trade closes.",
    ]
    write_page(page, title, said, [part for part in parts if part is not None])
    return [page, file]


def write_winner(results: Sequence[Result], folder: Path) -> Path | None:
    """Write the last window's parameters as a parameter file; return None if it has none."""
    file = folder / "winner.json"
    found = results[-1]["parameter_file"]
    if found is None:
        file.unlink(missing_ok=True)
        return None
    atomic_write_text(file, ParameterFile.model_validate(found).as_text())
    return file


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()
    }


_COLUMNS = (
    *("window", "train", "test", "epochs", "in_sample_trades", "in_sample_profit"),
    *("in_sample_sharpe", "trades", "profit", "unsaid"),
)


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row.get(name) for name in _COLUMNS}


def _equity(equities: Mapping[str, Mapping[str, float]]) -> go.Figure:
    figure = go.Figure(
        [
            go.Scatter(x=list(equity), y=list(equity.values()), name=name, mode="lines")
            for name, equity in equities.items()
        ]
    )
    return figure.update_layout(title="Equity, out of sample", yaxis_title="wallet", height=480)


def _in_against_out(windows: Sequence[Mapping[str, Any]]) -> go.Figure | None:
    rows = [row for row in windows if not row["unsaid"]]
    if not rows:
        return None
    names = [row["window"] for row in rows]
    bars = {"in sample": "in_sample_profit_a_day", "out of sample": "profit_a_day"}
    figure = go.Figure(
        [go.Bar(x=names, y=[row[key] for row in rows], name=name) for name, key in bars.items()]
    )
    return figure.update_layout(
        title="Profit a day, as a share of the wallet", barmode="group", height=400
    )


def _parameters(windows: Sequence[Mapping[str, Any]]) -> go.Figure | None:
    rows = [row for row in windows if not row["unsaid"]]
    names = sorted({name for row in rows for name in row["params"]})
    if not names:
        return None
    figure = make_subplots(rows=len(names), cols=1, shared_xaxes=True, subplot_titles=names)
    for number, name in enumerate(names, start=1):
        values = [row["params"].get(name) for row in rows]
        trace = go.Scatter(
            x=[row["window"] for row in rows],
            y=[int(value) if isinstance(value, bool) else value for value in values],
            mode="lines+markers",
            showlegend=False,
        )
        figure.add_trace(trace, row=number, col=1)
    return figure.update_layout(title="Parameters by window", height=140 * len(names) + 120)
