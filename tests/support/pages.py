"""Every kind of HTML page, made from hand-made results: no backtest, no search, no bot."""

import html
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from perp_imbalance.indicators import PRESETS
from perp_imbalance.rehearsal import Comparison, Difference, Plan, page
from perp_imbalance.rehearsal.comparison import CAUSES, OpenTrade
from perp_imbalance.reporting.build import tables_of
from perp_imbalance.reporting.report_page import write_report
from perp_imbalance.research.account import Statistics
from perp_imbalance.research.event_study import ALL, Finding
from perp_imbalance.research.evidence import Report
from perp_imbalance.research.evidence_page import write_evidence
from perp_imbalance.research.grid_sweep import Selection
from perp_imbalance.research.heatmap import Map, write_sweep
from perp_imbalance.research.plateau import Around, Line, as_row
from perp_imbalance.research.trade_figures import Figures
from perp_imbalance.research.tuning.page import write_tuning
from perp_imbalance.research.walk_forward.page import write_walk_forward
from perp_imbalance.strategy.named_values import words_of, written_values
from perp_imbalance.strategy.palette import Palette, palette
from perp_imbalance.strategy.settings import Settings
from support.reports import EQUITY, PAIR, seen, trade

#: A name that would run as a script if a page did not escape it.
SCRIPT = "<script>isRun=1</script>"
LONG_PAIR = "1000PEPE/USDT:USDT"
FOLDER = "/a/long/folder" * 6
#: Sections of each kind of page, in order.
SECTIONS = {
    "report": [
        *("By preset", "Costs", "Equity and drawdown", "By pair", "Why there was no entry"),
        *("Worst trades", "Best trades", "Profit by exit tag", "Profit by side"),
        *("Profit by |z| at entry", "Profit by hour", "Profit by month", "Held, and time to cool"),
        "Premium and price",
    ],
    "sweep": [
        "Ranked combinations",
        f"{LONG_PAIR}: enter_z × exit_z (the best)",
        *(f"{LONG_PAIR}: enter_z × exit_z", "How to trade them", "How to read this"),
    ],
    "tune": [
        *("Not searched: the last part", "Parameters of the winner", "Searched part"),
        *("Folds of the searched part", "Next"),
    ],
    "evidence": [
        *("As traded", "Against signals that mean nothing", "By pair", "Many results at once"),
        *("Fixed horizons, pair by pair", "By year and by volatility"),
        "All figures over the whole time",
    ],
    "walk-forward": [
        *("Accounts, out of sample", "Equity, out of sample", "Windows", "Parameters by window"),
    ],
    "rehearse": [
        *("Trades", "Profit, bot minus backtest", "Differences by kind"),
        *("Differences by cause", "Each difference", "Open at the end"),
    ],
}


def page_text(file: Path) -> str:
    """Return the text of a page without HTML, styles and scripts."""
    body = file.read_text("utf-8").partition("<main>")[2].partition("</main>")[0]
    body = re.sub("<script.*?</script>", "", body, flags=re.S)
    return html.unescape(re.sub("<.*?>", "", body))


def write_kind(
    kind: str, folder: Path, name: str = "PerpImbalance", colors: Palette | None = None
) -> Path:
    """Write the page of a kind that shows ``name`` as a strategy or a pair."""
    file = folder / f"{kind}.html"
    _WRITERS[kind](file, name, colors or palette())
    return file


def _report(file: Path, name: str, colors: Palette) -> None:
    losses = (
        trade(100, 103, profit_ratio=-0.02, profit_abs=-4.0, exit_reason="stop_loss"),
        trade(200, 260, profit_ratio=-0.05, profit_abs=-10.0, is_short=False),
        trade(300, 301, profit_ratio=1.2345, pair=name),
    )
    reasons = {(0, "no bias"): 600, (-1, ""): 3, (-1, "sigma gate, HTF gate"): 90, (1, name): 7}
    runs = [
        replace(seen(*losses, name=name), no_entry=reasons),
        replace(seen(trade(20, 25), name="PerpImbalanceConservative"), no_entry=reasons),
    ]
    tables = tables_of(runs)
    write_report(
        file, f"Backtest of {name}", ["A note."], runs, tables, EQUITY / 1e3, colors=colors
    )


def _sweep(file: Path, name: str, colors: Palette) -> None:
    """Write a page with two lines and two maps, whose words are as long as possible."""
    thresholds = PRESETS["balanced"]
    figures = Figures(879, 150, 123.4, 2.25, 152.73, 1.41, 10.5, 1.27, 0.46)
    near = Around(4, 3, 0.94, 195, -7.9)
    selection = Selection(LONG_PAIR, None)
    lines = [Line(selection, thresholds, figures, 0.15, near) for _ in range(2)]
    values = " ".join(words_of(written_values(thresholds, Settings())))
    command = f"perp-imbalance backtest --datadir {FOLDER} --pairs {name} --set {values}"
    rows = [{**as_row(line), "values": values, "command": command} for line in lines]
    ys = [round(1.2 + 0.1 * n, 1) for n in range(19)]
    xs = [round(0.2 + 0.1 * n, 1) for n in range(9)]
    net = np.random.default_rng(1).normal(0, 20, (len(ys), len(xs)))
    table = {"net_bps": net, "t": net / 10, "trades": np.full(net.shape, 40.0)}
    maps = [Map(line, "exit_z", "enter_z", xs, ys, table) for line in lines]
    write_sweep(file, f"Sweep: {FOLDER}, 1h", ["1080 tried", "x" * 300], rows, maps, colors=colors)


def _accounts(name: str) -> dict[str, dict[str, Any]]:
    known = Statistics(50, 90, 1.23456, 0.12, 1.23, 0.6, 0.97, 1.5, 0.2)
    few = Statistics(3, 90, -0.01, 0.02, unsaid="too few trades for a conclusion: 3")
    return {name: known.as_dict(), "PerpImbalanceConservative": few.as_dict()}


def _tune(file: Path, name: str, colors: Palette) -> None:
    searched = {
        **{"trials": 2000, "with_enough_trades": 1500, "is_exhaustive": False, "score": 1.234},
        **{"folds": [0.5, -0.2, 1.5, 0.00006], "embargo_hours": 31.0, "overfitting": 0.6},
        **{"chosen_ahead": [{"fold": 3, "profit": 0.01}], "account": _accounts(name)[name]},
    }
    result = {
        **{"strategy": name, "pairs": [PAIR, LONG_PAIR], "timeframe": "1h", "objective": "sharpe"},
        **{"search_part": "2024-01-01 to 2024-10-01", "last_part": "2024-10-01 to 2025-01-01"},
        **{"values": asdict(PRESETS["balanced"]), "searched": searched, "notes": ["A note."]},
        **{"accounts": _accounts(name), "warning": "tuned thresholds: it lost out of sample"},
        **{"verdict": "Out of sample +3.0%: skill is not shown at 95%."},
        "next": [f"perp-imbalance preset apply {FOLDER}", "perp-imbalance backtest", "doctor"],
    }
    write_tuning(file, result, colors=colors)


def _finding(pair: str, preset: str, side: str, kind: Any, horizon: int, group: str) -> Finding:
    names = (pair, preset, side, kind, horizon, group)
    return Finding(*names, 120, 3.21, 0.4, 2.8, -1.0, 6.5, -6.79, -11.0, -2.5, 1.7)


def _evidence(file: Path, name: str, colors: Palette) -> None:
    keys = {"part": "design", "preset": "balanced", "side": "short"}
    mean = {"trades": 120, "weeks": 40, "net": 1234.5, "t": -2.3, "low": -11.0, "high": -2.5}
    row = {**keys, **mean, "p": 0.98765}
    traded = row | {"q": 0.99, "net_doubled": -16.8, "t_doubled": -5.0, "held": 7.3}
    few = traded | dict.fromkeys(("t", "low", "high", "p", "q"))
    null = {"null": "random side", "nulls": 200, "null_mean": -10.0, "null_low": -15.0}
    nulls = [keys | null | {"trades": 120, "net": -6.8, "null_high": -5.0, "percentile": 80.0}]
    family = {"results": 4, "spa_p": 0.61, "better": [], "block": 3}
    tables = {"by_pair": [row | {"pair": name}], "nulls": nulls, "families": {"design": family}}
    others = ("held", "by_year", "by_deviation", "by_premium", "slopes", "inverted")
    report = Report(traded=[traded, few], **{key: [] for key in others}, **tables)  # type: ignore[arg-type]
    findings = [
        _finding(pair, preset, side, kind, horizon, group)
        for pair in (PAIR, name)
        for preset in PRESETS
        for side in ("long", "short")
        for kind in ("flip", "entry")
        for horizon in (4, 24)
        for group in (ALL, "2024", "low volatility")
    ]
    verdicts = ["design: as traded, 0 of 8 lines earned more than they cost", "frozen"]
    title = f"Evidence: {FOLDER}, 1h"
    write_evidence(findings, file, title=title, report=report, verdicts=verdicts, colors=colors)


def _walk_forward(file: Path, name: str, colors: Palette) -> None:
    fitted = {
        **{"train": "2024-01-01 2024-07-01", "test": "2024-07-01 2024-09-01", "epochs": 2000},
        **{"in_sample_trades": 200, "in_sample_profit": 0.2, "in_sample_profit_a_day": 0.0006},
        **{"in_sample_sharpe": 2.345, "trades": 40, "profit": -0.01, "profit_a_day": -0.0006},
    }
    windows = [
        {"window": n, **fitted, "unsaid": None, "params": {"enter_z": 1.5 + n, "use_htf": n > 1}}
        for n in (1, 2, 3)
    ]
    without = {name: fitted[name] for name in ("train", "test", "epochs")}
    days = {f"2024-07-{day:02}": 1000.0 + day for day in range(1, 30)}
    spread = {"mean": 2.5, "stdev": 0.5, "min": 2.0, "max": 3.0}
    summary = {
        **{"verdict": "Out of sample: skill is not shown at 95%.", "wallet": 1000.0},
        **{"accounts": _accounts(name), "equity": {name: days, "buy and hold": days}},
        "windows": [*windows, {"window": 4, **without, "unsaid": "too few trades"}],
        "stability": {"enter_z": spread, "use_htf": spread},
    }
    write_walk_forward(file, f"Walk-forward: {name}, 1h", summary, colors=colors)


def _rehearse(file: Path, name: str, colors: Palette) -> None:
    time = datetime(2025, 9, 18, 4, tzinfo=UTC)
    differences = [
        Difference(
            "late",
            name,
            "short",
            time,
            "short_zone_z_sigma",
            "2025-09-18 05:00",
            "late spot",
            -16.14,
        ),
        Difference("exit", PAIR, "long", time, "cooled 2025-09-18 09:00", "open"),
    ]
    profit = dict.fromkeys(CAUSES, 0.0) | {"spread": -0.034}
    still_open = [OpenTrade(PAIR, "long", time, held) for held in ("bot", "both")]
    comparison = Comparison(7, 8, 6, 5, differences, still_open, profit)
    config = {"strategy": name, "exchange": {"pair_whitelist": [PAIR]}}
    plan = Plan(config, file.parent, file.parent, time, time, looks=(1.0, 1801.0))
    page.write(plan, comparison, file, colors=colors)


_WRITERS: dict[str, Callable[[Path, str, Palette], None]] = {
    "report": _report,
    "sweep": _sweep,
    "tune": _tune,
    "evidence": _evidence,
    "walk-forward": _walk_forward,
    "rehearse": _rehearse,
}
