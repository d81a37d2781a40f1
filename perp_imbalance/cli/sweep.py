"""``perp-imbalance sweep``: a fast screen over thresholds, before hyperopt spends its hours."""

import argparse
import json
import logging
import textwrap
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perp_imbalance.cli.options import add_candles, add_config, check_writable, config_files
from perp_imbalance.cli.progress import progress
from perp_imbalance.cli.research_options import check_costs, lacking, pair_histories
from perp_imbalance.errors import SettingsError
from perp_imbalance.files import run_name
from perp_imbalance.indicators.thresholds import PRESETS, Thresholds
from perp_imbalance.research.cells import Span
from perp_imbalance.research.grid import AXES, Grid, parse_values
from perp_imbalance.research.plateau import RULE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perp_imbalance.research.grid_sweep import Plan, Sweep
    from perp_imbalance.research.pair_history import PairHistories
    from perp_imbalance.research.plateau import Plateau
    from perp_imbalance.strategy.settings import Settings

logger = logging.getLogger(__name__)

_EXAMPLE = """example:
  perp-imbalance sweep --datadir user_data/data/binance --pairs BTC/USDT:USDT \\
      --enter-z 1.2:3:0.1 --exit-z 0.2:1.1:0.1 --len-prem 25,50,100 --use-sigma yes,no

An axis is a list (25,50) or a range with its step (1.2:3:0.1, the last included). What is not
named keeps the preset's value. Results: a parquet file with a row per combination, side and
horizon, and an HTML page of heat maps. Returns are of the perp from the next candle's open on, per
unit of stake, less two taker fees, funding included; overlapping events count as one in the
t-value. In a rising market every long looks good: what holding made is said beside it. In --json
a plateau has enter_z and exit_z of its cell, which reach to enter_z_to and exit_z_to.

"""
_SHOWN = 10


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand ``sweep``."""
    parser = subparsers.add_parser(
        "sweep",
        help="screen thresholds over a grid, a thousand combinations a second",
        description="Try every combination of a grid of thresholds on stored candles.",
        epilog=_EXAMPLE + textwrap.fill(RULE, 100),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_config(parser)
    add_candles(parser)
    parser.add_argument(
        "--preset", choices=list(PRESETS), default="balanced", help="default: %(default)s"
    )
    for name in AXES:
        parser.add_argument(f"--{name.replace('_', '-')}", metavar="VALUES", dest=name)
    parser.add_argument("--sample", type=int, metavar="N", help="so many at random, not all")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the sample")
    parser.add_argument(
        "--horizons",
        default="4,12,24",
        metavar="N,N",
        help="candles to hold after an entry (default: %(default)s)",
    )
    parser.add_argument(
        "--fee",
        type=float,
        default=0.0005,
        metavar="SHARE",
        help="taker fee of one order (default: %(default)s)",
    )
    parser.add_argument(
        "--min-events",
        type=int,
        default=30,
        metavar="N",
        help="combinations with fewer do not count in their cell (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="summary for machines")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Sweep, write both files and say what stands out."""
    from perp_imbalance.freqtrade_bridge.config import check_timerange, load_config
    from perp_imbalance.research.grid_sweep import Plan, run_sweep
    from perp_imbalance.research.series_checks import with_every_gate
    from perp_imbalance.strategy.settings import Settings

    check_timerange(arguments.timerange)
    config = load_config(config_files(arguments))
    settings = Settings.from_config(config).of_preset(arguments.preset)
    horizons = parse_values(arguments.horizons, int, "number of candles to hold")
    check_costs(horizons, arguments.fee, arguments.seed)
    check_counts(arguments)
    plan = Plan(
        grid=grid_of(arguments, settings),
        settings=settings,
        horizons=sorted(set(horizons)),
        cost=2 * arguments.fee,
        sample=arguments.sample,
        seed=arguments.seed,
        min_events=arguments.min_events,
    )
    file = Path(config["user_data_dir"]) / "sweep" / f"{run_name('sweep')}.parquet"
    check_writable(file)
    gated = with_every_gate(plan.grid)
    folder, data = pair_histories(arguments, config, settings, uses_htf=gated.use_htf)
    pairs = data.pairs
    plan = with_cells_that_fit(plan, len(pairs))
    thin = [*data.notes, *check_series(folder, pairs, gated)]
    for said in thin:
        logger.warning("%s", said)
    steps = count()
    with progress() as tell:
        sweep = run_sweep(
            plan,
            folder.pairs(pairs),
            file,
            lambda pair: tell(pair, next(steps), plan.combinations * len(pairs)),
        )
    title = f"Sweep: {folder.datadir}, {folder.timeframe}, net of fees and funding"
    page = heat_map(sweep, file.with_suffix(".html"), title, thin) if plan.has_map else None
    found = {**summary(sweep, page, has_map=plan.has_map), "thin": thin}
    print(json.dumps(found, indent=2) if arguments.json else _text(found))
    return 0


def with_cells_that_fit(plan: "Plan", pairs: int) -> "Plan":
    """Return the plan without its heat map if that would have too many cells, and say so.

    :param pairs: how many are swept.
    """
    from perp_imbalance.research.cells import MAX_CELLS

    cells = plan.cells * pairs
    if cells <= MAX_CELLS:
        return plan
    logger.warning(
        "no heat map and no plateaus: they would have %d cells, above %d; the parquet file has "
        "every row; for a heat map take fewer pairs, horizons or values of len_prem",
        cells,
        MAX_CELLS,
    )
    return replace(plan, has_map=False)


def heat_map(sweep: "Sweep", page: Path, title: str, thin: "Sequence[str]") -> Path | None:
    """Write the page, and return where it is; None where it would have nothing to show.

    :param thin: sentences about series that pairs have in part only.
    """
    from perp_imbalance.research.heatmap import write_heatmap

    if not any(cell.has_enough for cell in sweep.cells.values()):
        logger.warning(
            "too few trades to say anything: no combination has %d events, so there is no heat "
            "map; take more candles, or a lower --min-events",
            sweep.min_events,
        )
        return None
    said = [held_said(sweep.held_pct), *thin]
    write_heatmap(sweep, page, title=title, said=said)
    return page


def check_series(folder: "PairHistories", pairs: "Sequence[str]", gated: Thresholds) -> list[str]:
    """Refuse pairs that lack the series of a gate, before the first of them is swept.

    :param gated: thresholds with every gate on that any combination has on.
    :return: sentences about series that pairs have in part only.
    :raises DataError: naming the first pair, its gate and the series.
    """
    from perp_imbalance.data.backtest_data import by_sentence
    from perp_imbalance.research.series_checks import thin_series

    said = []
    for candles in folder.pairs(pairs):
        lacking(candles, {"sweep": gated}, folder)
        said += [(candles.match.perp, sentence) for sentence in thin_series(candles, [gated])]
    return by_sentence(said)


def check_counts(arguments: argparse.Namespace) -> None:
    """Refuse counts that leave nothing to sweep over, or to say.

    :raises SettingsError: naming the first.
    """
    for option in ("sample", "min_events"):
        count = getattr(arguments, option)
        if count is not None and count < 1:
            name = option.replace("_", "-")
            raise SettingsError(f"--{name} is {count}, it must be at least 1")


def grid_of(arguments: argparse.Namespace, settings: "Settings") -> Grid:
    """Return the grid that the options name.

    :raises SettingsError: if they name none, or values that cannot be traded with.
    """
    base = settings.gated(PRESETS[arguments.preset])
    axes = {
        name: parse_values(text, type(getattr(base, name)))
        for name in AXES
        if (text := getattr(arguments, name)) is not None
    }
    if not axes:
        raise SettingsError("nothing to sweep over: name an axis, such as --enter-z 1.2:3:0.1")
    for name, values in axes.items():
        for value in values:
            # Each alone beside values that always fit: what is wrong then is the value.
            fitting: dict[str, Any] = {"enter_z": 1e9} if name == "exit_z" else {"exit_z": 1e-9}
            replace(base, **{**fitting, name: value})
    return Grid(axes, base)


def summary(sweep: "Sweep", page: Path | None, *, has_map: bool) -> dict[str, Any]:
    """Return where the files are and the best plateaus.

    :param page: None where there is none.
    :param has_map: whether cells were kept; if not, nothing is said of them.
    """
    from perp_imbalance.research.plateau import plateaus

    speaking = [cell for cell in sweep.cells.values() if cell.has_enough]
    return {
        "parquet": str(sweep.file),
        "html": str(page) if page else None,
        "combinations": sweep.combinations,
        "cells": len(speaking) if has_map else None,
        "cells_above_0": (
            sum(round(cell.mean * 1e4, 2) > 0 for cell in speaking) if has_map else None
        ),
        "held_pct": {pair: round(made, 2) for pair, made in sweep.held_pct.items()},
        "plateaus": [_as_row(one) for one in plateaus(sweep)[:_SHOWN]],
    }


def _as_row(one: "Plateau") -> dict[str, Any]:
    return {
        **dict(zip(("pair", "side", "horizon", "len_prem"), one.selection, strict=True)),
        "enter_z": one.enter_z.low,
        "enter_z_to": one.enter_z.high,
        "exit_z": one.exit_z.low,
        "exit_z_to": one.exit_z.high,
        "mean_bps": round(one.cell.mean * 1e4, 2),
        "worst_around_bps": round(one.worst * 1e4, 2),
        "neighbours_with_events": one.with_events,
        "neighbours": one.neighbours,
        "events": round(one.cell.events / one.cell.combinations),
    }


def held_said(held_pct: dict[str, float]) -> str:
    """Return in words what holding would have made.

    >>> held_said({"BTC/USDT:USDT": 60.0})
    'Holding meanwhile: BTC/USDT:USDT +60 %'
    """
    return "Holding meanwhile: " + ", ".join(
        f"{pair} {made:+.0f} %" for pair, made in held_pct.items()
    )


def _text(found: dict[str, Any]) -> str:
    cells = (
        "no heat map"
        if found["cells"] is None
        else f"{found['cells_above_0']} of {found['cells']} cells with enough events earned more "
        "than fees and funding"
    )
    lines = [f"{found['combinations']} combinations; {cells}", held_said(found["held_pct"])]
    if found["plateaus"]:
        lines.append("best by the worst of a cell and its neighbours (bps an event, net):")
    elif found["cells"]:
        lines.append(
            "no plateau: no cell has neighbours enough, of the grid's next enter_z and exit_z and "
            "with enough events, to be told from a lucky one"
        )
    for cell in found["plateaus"]:
        lines.append(
            f"  {cell['pair']} {cell['side']:<5} {cell['horizon']:>3} candles, "
            f"len_prem {cell['len_prem']}, enter_z {Span(cell['enter_z'], cell['enter_z_to'])}, "
            f"exit_z {Span(cell['exit_z'], cell['exit_z_to'])}: "
            f"worst {cell['worst_around_bps']:+.1f}, cell {cell['mean_bps']:+.1f}, "
            f"{cell['events']} events, {cell['neighbours_with_events']} of {cell['neighbours']} "
            "neighbours"
        )
    lines += found["thin"]
    files = [found["parquet"], found["html"]]
    return "\n".join([*lines, *(file for file in files if file)])
