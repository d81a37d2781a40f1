"""Text of the result lines of a sweep, and the commands that trade them."""

import argparse
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perp_imbalance.cli.backtest import STRATEGIES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perp_imbalance.research.grid_sweep import Sweep
    from perp_imbalance.research.heatmap import Map
    from perp_imbalance.research.plateau import Line
    from perp_imbalance.strategy.palette import Palette
    from perp_imbalance.strategy.settings import Settings


def strategy_of(preset: str) -> str:
    """Return the class name of a preset's strategy.

    >>> strategy_of("deep_discount"), strategy_of("balanced")
    ('PerpImbalanceDeepDiscount', 'PerpImbalance')
    """
    return next(name for name, of in PRESET_OF.items() if of == preset)


def _preset_of(strategy: str) -> str:
    words = strategy.removeprefix(STRATEGIES[0])
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in words)[1:]


#: The preset of each strategy.
PRESET_OF = {name: _preset_of(name) or "balanced" for name in STRATEGIES}


class Command:
    """Builds the commands that trade a result line, as a user types them."""

    def __init__(
        self,
        arguments: argparse.Namespace,
        config: "Mapping[str, Any]",
        preset: str,
        settings: "Settings",
        pairs: "Sequence[str]",
    ) -> None:
        self._strategy, self._settings, self._pairs = strategy_of(preset), settings, pairs
        self._config = [] if arguments.config is None else arguments.config.words
        datadir = arguments.datadir or config["datadir"]
        self._before = ["perp-imbalance", "backtest", *self._config, "--datadir", str(datadir)]
        for option in ("timeframe", "htf_timeframe", "timerange"):
            if value := getattr(arguments, option):
                self._before += [f"--{option.replace('_', '-')}", value]
        self._after = [] if arguments.fee is None else ["--", "--fee", str(arguments.fee)]

    def values(self, line: "Line") -> str:
        """Return a line's thresholds as ``NAME=VALUE`` words."""
        return " ".join(self._words(line))

    def backtest(self, line: "Line") -> str:
        """Return the command that backtests a line with freqtrade."""
        from perp_imbalance.research.grid_sweep import ALL

        pairs = self._pairs if line.selection.pair == ALL else [line.selection.pair]
        words = ["--pairs", *pairs, "--strategy-list", self._strategy, "--set", *self._words(line)]
        return shlex.join([*self._before, *words, *self._after])

    def apply(self, line: "Line") -> str:
        """Return the command that writes a line's thresholds to the parameter file of the bot."""
        begin = ["perp-imbalance", "preset", "apply", *self._config, "--strategy", self._strategy]
        return shlex.join([*begin, *self._words(line)])

    def _words(self, line: "Line") -> list[str]:
        from perp_imbalance.strategy.named_values import words_of, written_values

        return words_of(written_values(line.thresholds, self._settings))


def summary_of(
    sweep: "Sweep", lines: "Sequence[Line]", losing: int, command: Command
) -> dict[str, Any]:
    """Return the summary: output files, recommended lines, and the result expected by chance."""
    from perp_imbalance.research.luck import said
    from perp_imbalance.research.plateau import as_row

    best = sweep.luck.result()
    listed = [
        {
            **as_row(line),
            "values": command.values(line),
            "thresholds": asdict(line.thresholds),
            "command": command.backtest(line),
            "apply": command.apply(line),
        }
        for line in lines
    ]
    return {
        "parquet": str(sweep.file),
        "html": None,
        "combinations": sweep.tried,
        "ranked": best.tried,
        "rank_by": sweep.plan.rank_by,
        "best_of_worthless_t": _rounded(best.expected),
        "best_of_worthless_t_95": _rounded(best.high),
        "verdict": said(best, sweep.tried, [line.figures.t for line in lines]),
        "losing_as_traded": losing,
        "held_pct": {pair: round(made, 2) for pair, made in sweep.held_pct.items()},
        "lines": listed,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def write_page(
    file: Path,
    title: str,
    summary: "Mapping[str, Any]",
    maps: "Sequence[Map]",
    colors: "Palette",
) -> None:
    """Write the page of a sweep."""
    from perp_imbalance.research.heatmap import write_sweep

    said = [summary["verdict"], *_left_out(summary), held_said(summary["held_pct"])]
    said += _order_said(summary)
    write_sweep(file, title, [*said, *summary["notes"]], summary["lines"], maps, colors)


def held_said(held_pct: dict[str, float]) -> str:
    """Return a sentence on the profit of buy-and-hold.

    >>> held_said({"BTC/USDT:USDT": 60.0})
    'Holding meanwhile: BTC/USDT:USDT +60 %'
    """
    return "Holding meanwhile: " + ", ".join(
        f"{pair} {made:+.0f} %" for pair, made in held_pct.items()
    )


def _left_out(summary: "Mapping[str, Any]") -> list[str]:
    losing = summary["losing_as_traded"]
    if not losing:
        return []
    return [f"{losing} left out: with their thresholds the strategy's own trades lose"]


def _order_said(summary: "Mapping[str, Any]") -> list[str]:
    """Return a sentence on the order of lines and on figures that freqtrade defines differently."""
    if not summary["lines"]:
        return []
    return [
        "In each selection, lines on a plateau come first, then those without enough neighbours, "
        f"then the others; within each by {summary['rank_by']}. Sharpe is of weekly returns, "
        "drawdown a share of the highest balance before it: freqtrade prints daily ones and its own"
    ]


def text_of(summary: dict[str, Any]) -> str:
    """Return the summary as text for the terminal."""
    from perp_imbalance.research.luck import SURE

    lines = [summary["verdict"], *_left_out(summary), held_said(summary["held_pct"])]
    if not summary["lines"]:
        lines.append("nothing to recommend: no combination with enough trades earned its costs")
    lines += _order_said(summary)
    for number, row in enumerate(summary["lines"], start=1):
        lines += [f"{number}. {_earned(row)}", f"   {row['values']}"]
        lines += [f"   {_judged(row, summary)}", f"   {row['command']}"]
    if summary["lines"]:
        first = summary["lines"][0]
        shown = first["p"] <= SURE and first["is_plateau"] is not False
        even_so = "" if shown else ", although it may be luck"
        lines += [
            "Whether it holds on candles that it was not chosen on: its command with another "
            "--timerange; a tuning on these candles would not tell",
            f"To let the bot trade the first{even_so}:",
            f"   {first['apply']}",
        ]
    files = [summary["parquet"], summary["html"]]
    return "\n".join([*lines, *summary["notes"], *(file for file in files if file)])


def _earned(row: "Mapping[str, Any]") -> str:
    """Return the result of a line as text."""
    pair = "all pairs together" if row["pair"] == "all" else row["pair"]
    said = f"{pair}: {row['net_bps']:+.1f} bps a trade, {row['trades']} trades, t {row['t']:.1f}"
    if row["horizon"]:
        traded = row["as_traded"]
        return (
            f"{said}, held {row['horizon']} candles; as traded {traded['net_bps']:+.1f} bps, "
            f"{traded['trades']} trades, profit {traded['profit_pct']:+.1f} %"
        )
    drawdown, factor = f"{row['drawdown_pct']:.1f} %", _number(row["profit_factor"])
    return (
        f"{said}, profit {row['profit_pct']:+.1f} %, weekly Sharpe {_number(row['sharpe'])}, "
        f"drawdown {drawdown}, profit factor {factor}, won {row['won']:.0%}"
    )


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.2f}"


def _judged(row: "Mapping[str, Any]", summary: "Mapping[str, Any]") -> str:
    """Return a line's p-value and the results of its neighbours as text."""
    luck = (
        f"p {row['p']:.2f} ({summary['combinations']} tried; the best of as many worthless ones: t "
        f"{summary['best_of_worthless_t']:.1f})"
    )
    if not row["neighbours"]:
        return f"{luck}; no neighbours in the grid: luck cannot be ruled out"
    said = f"{luck}; {row['earning']} of {row['neighbours']} neighbours earned"
    if row["shared"] is not None:
        said += f", with {row['shared']:.0%} of their trades shared"
    if row["is_plateau"] is None:
        return f"{said}; {row['others']} others are too few to distinguish a plateau from luck"
    what = "a plateau" if row["is_plateau"] else "NO PLATEAU"
    return f"{said}; the {row['others']} others {row['others_bps']:+.1f} bps: {what}"
