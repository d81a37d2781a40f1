"""The page of a tuning: the winner's result on unused candles, and how it was found."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from perp_imbalance.plotting.html_page import (
    Commands,
    Figure,
    Part,
    Section,
    Table,
    number,
    write_page,
)
from perp_imbalance.research.account_page import ABOUT, accounts_table, percent
from perp_imbalance.strategy.palette import Palette

_STEPS = ("Take the parameters", "Backtest them", "Check the bot")


def write_tuning(file: Path, result: Mapping[str, Any], colors: Palette | None = None) -> None:
    """Write the page of a tuning, atomically.

    :param result: what ``perp-imbalance tune --json`` prints.
    :param colors: as :func:`perp_imbalance.plotting.html_page.write_page` takes them.
    :raises CommandError: if the file cannot be written.
    """
    searched = result["searched"]
    last: list[Part] = [
        f"freqtrade's backtest of {result['last_part']}, which was not searched. {ABOUT}",
        accounts_table(result["accounts"]),
    ]
    values = Table([{"parameter": name, "value": str(of)} for name, of in result["values"].items()])
    sections = [
        Section("Not searched: the last part", last),
        Section("Parameters of the winner", [values]),
        Section("Searched part", [_about(result), accounts_table({"winner": searched["account"]})]),
        Section("Folds of the searched part", _folds(result["objective"], searched)),
    ]
    if result["next"]:
        steps = list(zip(_STEPS, result["next"], strict=True))
        sections.append(Section("Next", [Commands(steps)]))
    warning = [f"Warning: {result['warning']}"] if result["warning"] else []
    title = f"Tuning: {result['strategy']}, {', '.join(result['pairs'])}, {result['timeframe']}"
    notes = [*warning, *result["notes"]]
    write_page(file, title, result["verdict"], sections, notes=notes, colors=colors)


def _about(result: Mapping[str, Any]) -> str:
    searched = result["searched"]
    how = "all combinations" if searched["is_exhaustive"] else "a sample of the combinations"
    text = (
        f"{result['search_part']}: {searched['trials']} trials ({how}), "
        f"{searched['with_enough_trades']} with enough trades. Objective: {result['objective']}, "
        f"mean less half of the standard deviation across folds; the winner's score is "
        f"{number(searched['score'])}. Embargo: {searched['embargo_hours']:.0f} hours."
    )
    if searched["overfitting"] is not None:
        text += f" Probability of overfitting: {percent(searched['overfitting'], 0)} %."
    return text


def _folds(objective: str, searched: Mapping[str, Any]) -> list[Part]:
    """Return the winner's figure per fold, and the result of choosing by earlier folds alone."""
    figures = searched["folds"]
    names = [str(place) for place in range(1, len(figures) + 1)]
    figure = go.Figure(go.Bar(x=names, y=figures, name=objective))
    figure.update_xaxes(type="category", title_text="fold")
    figure.update_layout(height=320, yaxis_title=objective)
    ahead = [
        {"fold": row["fold"], "profit, %": percent(row["profit"], sign=True)}
        for row in searched["chosen_ahead"]
    ]
    parts: list[Part] = [f"The winner's {objective} in each fold.", Figure(figure)]
    if ahead:
        about = "What the best trial of the folds before made in each fold, in % of the wallet."
        parts += [about, Table(ahead)]
    return parts
