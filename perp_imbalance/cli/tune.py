"""``perp-imbalance tune``: tune thresholds on simulated trades and test them on unused candles."""

import argparse
import json
import logging
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perp_imbalance.cli.backtest import STRATEGIES, backtest_data, backtest_overlay
from perp_imbalance.cli.next_steps import apply_command, backtest_command, doctor_command
from perp_imbalance.cli.options import (
    add_candles,
    add_config,
    add_palette,
    add_strategy,
    check_seed,
    check_writable,
    config_files,
    named_values,
    refuse_existing,
)
from perp_imbalance.cli.progress import Tell, progress
from perp_imbalance.errors import CommandError, SettingsError
from perp_imbalance.files import atomic_write_text, run_name
from perp_imbalance.research.tuning.names import OBJECTIVE_NAMES, SAMPLERS
from perp_imbalance.strategy.palette import palette

if TYPE_CHECKING:
    from perp_imbalance.freqtrade_bridge.parameter_file import ParameterFile
    from perp_imbalance.indicators.thresholds import Thresholds
    from perp_imbalance.research.tuning.folds import Folds
    from perp_imbalance.research.tuning.last_part import LastPart
    from perp_imbalance.research.tuning.search import Found, Search, Traded
    from perp_imbalance.research.tuning.task import Candles

logger = logging.getLogger(__name__)

_EXAMPLE = """examples:
  perp-imbalance tune --datadir user_data/data/binance --pairs SOL/USDT:USDT \\
      --timerange 20240101-20251231
  perp-imbalance tune --datadir user_data/data/binance \\
      --vary enter_z=1.2:3:0.1 exit_z use_sigma --fix len_prem=50

The last quarter of the time range is not searched. On the rest, the trades of freqtrade's backtest
are simulated for each trial, all pairs on one wallet, and scored in folds of time: the mean of the
objective less half of its standard deviation across folds. Trades that cross a fold's border do not
count, nor do trades that open after it within the duration of the longest trade. Then freqtrade
itself backtests the winner, the presets and buy-and-hold on the last quarter, and the verdict
states the result. A winner that lost there, or whose probability of overfitting (CSCV) is above a
half, is written with --force only, and carries a warning.

Values are a list (25,50) or a range with its step (1.2:3:0.1). A name without values uses the
strategy's own range, as hyperopt does. Without --vary, everything varies that hyperopt varies,
except entry_mode and max_stale_candles. If there are at most --trials combinations, all are tried.

exit code: 0 if a parameter file was written, 1 if the winner is not worth it
"""
_DEFAULT = "default: %(default)s"


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand ``tune``."""
    parser = subparsers.add_parser(
        "tune",
        help="search thresholds and test the best on candles that were not searched",
        description="Search thresholds by thousands of simulated backtests, and test the best.",
        epilog=_EXAMPLE,
    )
    add_config(parser)
    add_candles(parser)
    add_strategy(parser, STRATEGIES[0])
    values = "NAME[=VALUES]"
    parser.add_argument("--vary", nargs="+", metavar=values, help="vary only these, within VALUES")
    parser.add_argument("--fix", nargs="+", metavar="NAME=VALUE", help="keep these values fixed")
    parser.add_argument(
        "--trials",
        type=int,
        default=2000,
        metavar="N",
        help=f"proposals of the sampler; repeated ones are tried once; {_DEFAULT}",
    )
    parser.add_argument(
        "--objective",
        choices=OBJECTIVE_NAMES,
        default=OBJECTIVE_NAMES[0],
        help=f"figure that scores a fold, {_DEFAULT}",
    )
    parser.add_argument(
        "--folds", type=int, default=8, metavar="N", help=f"an even number, {_DEFAULT}"
    )
    parser.add_argument(
        "--last",
        type=float,
        default=25.0,
        metavar="PERCENT",
        help=f"share of the time range that is not searched, {_DEFAULT}",
    )
    parser.add_argument(
        "--min-trades",
        type=int,
        default=100,
        metavar="N",
        help=f"least trades of a trial, {_DEFAULT}",
    )
    parser.add_argument(
        "--sampler",
        choices=SAMPLERS,
        default=SAMPLERS[0],
        metavar="NAME",
        help=f"Optuna's: %(choices)s; {_DEFAULT}",
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help=_DEFAULT)
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: cores)")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="default: a new name under user_data/tune"
    )
    parser.add_argument(
        "--force", action="store_true", help="write a winner even if it is not worth it"
    )
    add_palette(parser)
    parser.add_argument("--json", action="store_true", help="print the JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Search, test the winner, and write its parameter file."""
    from perp_imbalance.freqtrade_bridge.config import check_timerange, load_config
    from perp_imbalance.freqtrade_bridge.strategies import strategy_folder
    from perp_imbalance.research.tuning.page import write_tuning
    from perp_imbalance.research.tuning.result import judge

    check_timerange(arguments.timerange)
    check_numbers(arguments)
    config = load_config(config_files(arguments))
    arguments.datadir = arguments.datadir or Path(config["datadir"])
    file = arguments.out or Path(config["user_data_dir"], "tune", f"{run_name('tune')}.json")
    result_file = file.with_name(f"{file.stem}-result.json")
    page = result_file.with_suffix(".html")
    refuse_existing([file, result_file, page], force=False)
    check_writable(file)
    task = prepare(config, arguments)
    with progress() as tell:
        found = search(task, arguments, tell)
        winner = task.parameters(found.winner)
        tell("tune: freqtrade's backtest of the last part", len(found.tried), len(found.tried))
        tested = task.last.test(winner)
    judged = judge(found, task.folds, task.traded.trades(), task.last.window, tested)
    is_written = judged.warning is None or arguments.force
    own = Path(strategy_folder(config, arguments.strategy), f"{arguments.strategy}.json")
    result = {
        **task.as_dict(),
        "values": task.search.space.tuned(judged.thresholds),
        **judged.as_dict(),
        "notes": task.notes(judged.thresholds, tested["winner"]),
        "parameter_file": str(file) if is_written else None,
        "html": str(page),
        "next": next_steps(arguments, winner, file, replaces=own.exists()) if is_written else [],
    }
    if is_written:
        winner.model_copy(update={"warning": judged.warning}).write(file, arguments.strategy)
    write_tuning(page, result, palette(arguments.palette, arguments.dark))
    atomic_write_text(result_file, json.dumps(result, indent=1))
    said = [json.dumps(result, indent=1)] if arguments.json else _lines(result, result_file)
    print("\n".join(said))
    return 0 if is_written else 1


def search(task: "Task", arguments: argparse.Namespace, tell: Tell) -> "Found":
    """Search in parallel processes; by default one per core.

    :raises CommandError: if no trial has enough trades.
    """
    from perp_imbalance.research.tuning.search import evaluation

    workers = arguments.workers or os.cpu_count() or 1
    with evaluation(task.traded, task.folds, workers) as evaluate:
        found = task.search.run(evaluate, partial(tell, "tune: trials"))
    if found.best is None:
        raise CommandError(
            f"none of {len(found.tried)} trials has {arguments.min_trades} trades: take a longer "
            "--timerange, more pairs, or a lower --min-trades"
        )
    return found


def check_numbers(arguments: argparse.Namespace) -> None:
    """Raise if a numeric option is out of range.

    :raises SettingsError: naming the options.
    """
    workers = 1 if arguments.workers is None else arguments.workers
    if min(arguments.trials, arguments.min_trades, workers) < 1:
        raise SettingsError("--trials, --min-trades and --workers must be at least 1")
    check_seed(arguments.seed)
    if not 5 <= arguments.last <= 75:
        raise SettingsError(f"--last is {arguments.last:g}, it must be from 5 to 75 percent")


def space_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the thresholds to vary and to fix, from the options.

    :raises PerpImbalanceError: if a word cannot be read.
    """
    from perp_imbalance.freqtrade_bridge.parameter_file import ParameterFile
    from perp_imbalance.indicators.thresholds import PRESETS
    from perp_imbalance.research.grid import parse_values
    from perp_imbalance.strategy.parameters import PARAMETER_NAMES

    vary: dict[str, tuple[Any, ...] | None] = {}
    for word in arguments.vary or ():
        name, has_values, values = word.partition("=")
        if name in vary:
            raise SettingsError(f"--vary has {name} twice")
        if has_values and not values:
            raise SettingsError(f"--vary {word} has no values: write {name}=1,2 or {name} alone")
        # Unknown names are refused below, together with all others.
        is_known = bool(values) and name in PARAMETER_NAMES
        kind = type(getattr(PRESETS["balanced"], name)) if is_known else str
        vary[name] = tuple(parse_values(values, kind, f"value of {name}")) if is_known else None
    fixed = ParameterFile.of_words(named_values(arguments.fix or ())).by_name
    return {"vary": vary, "fixed": fixed}


@dataclass(frozen=True)
class Task:
    """A tuning task that is ready to run."""

    candles: "Candles"
    traded: "Traded"
    folds: "Folds"
    search: "Search"
    last: "LastPart"

    def parameters(self, thresholds: "Thresholds") -> "ParameterFile":
        """Return thresholds in the parameter file's format, with a record of the search."""
        from perp_imbalance.freqtrade_bridge.parameter_file import ParameterFile, TunedOn
        from perp_imbalance.strategy.parameters import PARAMETER_NAMES

        window, data = self.last.window, self.candles.data
        tuned_on = TunedOn(
            datadir=str(data.folder.datadir),
            timeframe=data.timeframe,
            pairs=data.pairs,
            timerange=f"{window.train:%Y%m%d}-{window.end:%Y%m%d}",
        )
        names = [name for name in PARAMETER_NAMES if getattr(self.candles.strategy, name).load]
        found = ParameterFile.of(thresholds, names)
        return found.model_copy(update={"tuned_on": tuned_on})

    def as_dict(self) -> dict[str, Any]:
        """Return what was searched as plain data."""
        window, data = self.last.window, self.candles.data
        return {
            "strategy": self.last.strategy,
            "pairs": data.pairs,
            "timeframe": data.timeframe,
            "search_part": f"{window.train:%Y-%m-%d} to {window.test:%Y-%m-%d}",
            "last_part": f"{window.test:%Y-%m-%d} to {window.end:%Y-%m-%d}",
            "seed": self.search.seed,
            "objective": self.folds.objective,
        }

    def notes(self, thresholds: "Thresholds", found: list[dict[str, Any]]) -> list[str]:
        """Return what the result leaves out, and where freqtrade's trades differ from simulated.

        :param found: freqtrade's trades with these thresholds on the last part.
        """
        from perp_imbalance.research.threshold_trades import left_out
        from perp_imbalance.research.tuning.task import differences

        notes = list(self.candles.data.notes)
        if missing := left_out(self.candles.config, self.candles.settings):
            said = ", ".join(missing)
            notes.append(f"used in a backtest of this config, left out by the search: {said}")
        traded = self.candles.traded(self.last.window.test_range)
        return notes + differences(traded.trades(), thresholds, found)


def prepare(config: dict[str, Any], arguments: argparse.Namespace) -> Task:
    """Return the search task, and the data on which the winner is tested.

    :raises PerpImbalanceError: if candles, the strategy or values are missing or invalid.
    """
    from perp_imbalance.freqtrade_bridge.config import merged_config
    from perp_imbalance.research.strategy_sources import sources
    from perp_imbalance.research.tuning.last_part import LastPart
    from perp_imbalance.research.tuning.search import Search
    from perp_imbalance.research.tuning.space import space_of
    from perp_imbalance.research.tuning.task import (
        Candles,
        check_gates,
        folds_of,
        strategy_alone,
    )
    from perp_imbalance.research.walk_forward.task import portable_config

    options = space_options(arguments)
    data = backtest_data(config, arguments.datadir, arguments)
    overlay = backtest_overlay(config, data)
    texts = sources(Path(overlay["strategy_path"]))
    strategy = strategy_alone(config, arguments.strategy, texts)
    space = space_of(strategy, **options)
    candles = Candles(data, {**config, "timeframe": data.timeframe}, strategy)
    window = candles.window(arguments.timerange, arguments.last / 100)
    traded = candles.traded(window.train_range)
    check_gates(traded, space)
    last = LastPart(
        window=window,
        datadir=data.folder.for_freqtrade,
        config=portable_config(merged_config(config_files(arguments), overlay)),
        pairs=data.pairs,
        strategies=texts,
        strategy=arguments.strategy,
        presets=[name for name in STRATEGIES if f"{name}.py" in texts],
    )
    return Task(
        candles=candles,
        traded=traded,
        folds=folds_of(traded, window, arguments.folds, arguments.objective, arguments.min_trades),
        search=Search(space, arguments.trials, arguments.seed, arguments.sampler),
        last=last,
    )


def next_steps(
    arguments: argparse.Namespace, winner: "ParameterFile", file: Path, *, replaces: bool
) -> list[str]:
    """Return the commands that lead from the parameter file to a bot, in order.

    :param replaces: whether the strategy already has a parameter file.
    """
    strategy, configs = arguments.strategy, arguments.config
    return [
        apply_command(file, strategy, configs, force=replaces),
        backtest_command(strategy, configs, winner.tuned_on),
        doctor_command(strategy, configs),
    ]


def _lines(found: dict[str, Any], result_file: Path) -> list[str]:
    """Return the result as lines of text."""
    searched = found["searched"]
    account = searched["account"]
    how = "all there are" if searched["is_exhaustive"] else "of very many"
    values = ", ".join(f"{name} {value}" for name, value in found["values"].items())
    ahead = [row["profit"] for row in searched["chosen_ahead"]]
    lines = [
        f"{searched['trials']} trials, {how}, on {found['search_part']}: "
        f"{searched['with_enough_trades']} with enough trades",
        f"winner: {values}",
        f"searched: score {searched['score']:+.2f}, profit {account['profit']:+.1%}, drawdown "
        f"{account['drawdown']:.1%}, {account['trades']} trades, embargo "
        f"{searched['embargo_hours']:.0f} h",
        f"chosen by earlier folds alone: {sum(profit > 0 for profit in ahead)} of {len(ahead)} "
        f"folds with a profit, {sum(ahead):+.1%} in all",
        f"freqtrade's backtest of {found['last_part']}, which was not searched:",
    ]
    for name, row in found["accounts"].items():
        said = row["unsaid"] or f"Sharpe {row['sharpe']:+.2f} ± {row['sharpe_error']:.2f}"
        trades = "" if row["trades"] is None else f", {row['trades']} trades"
        lines.append(
            f"  {name:<26} profit {row['profit']:+8.2%}, drawdown {row['drawdown']:6.2%}, "
            f"{said}{trades}"
        )
    lines += [f"Note: {note}" for note in found["notes"]]
    lines += [found["verdict"]]
    if found["warning"]:
        lines.append(f"Warning: {found['warning']}")
    if found["parameter_file"] is None:
        lines += ["No parameter file was written: --force writes it anyway"]
        return [*lines, str(result_file), found["html"]]
    files = [found["parameter_file"], str(result_file), found["html"]]
    return [*lines, *files, "Next:", *found["next"]]
