"""``perp-imbalance walk-forward``: fit on one window, trade the next, and summarise the results."""

import argparse
import json
import logging
from datetime import UTC, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perp_imbalance.cli.backtest import STRATEGIES, backtest_data, backtest_overlay
from perp_imbalance.cli.options import (
    add_config,
    add_datadir,
    add_pairs,
    add_palette,
    add_strategy,
    add_timeframe,
    add_timerange,
    check_seed,
    config_files,
)
from perp_imbalance.cli.progress import progress
from perp_imbalance.errors import CommandError, SettingsError
from perp_imbalance.research.tuning.names import (
    LEAST_FOLD_DAYS,
    OBJECTIVE_NAMES,
    WINDOW_FOLDS,
)
from perp_imbalance.strategy.palette import palette

if TYPE_CHECKING:
    from perp_imbalance.research.walk_forward.task import Bundle, Fit
    from perp_imbalance.research.windows import Window

logger = logging.getLogger(__name__)

_EXAMPLE = """example:
  perp-imbalance walk-forward -c config.json --datadir user_data/data/binance \\
      --timerange 20200101-20231231 --train 180d --test 60d --epochs 200

For each window, thresholds are searched on simulated trades of the training part, as `tune` does
(or by freqtrade's hyperopt: --engine freqtrade), and freqtrade's own backtesting trades the best
on the test part after it. The trades of all test parts make one account. The same command run again
computes the missing windows. Results: report.html, report.json and winner.json, which
`perp-imbalance preset apply` accepts. The strategy's parameter file is ignored: its values may have
been found on the candles that are tested here.
Workers of a cluster (--scheduler) need the same version of this package and nothing else; candles
are sent to them. After a change of candles, strategies, options or code, start again with --out.
"""
_DEFAULT = "default: %(default)s"
_SPACES = ("buy", "sell", "lookback")
#: The engines of a fit, with the default epochs per window.
_EPOCHS = {"kernel": 2000, "freqtrade": 100}
_LOSS = "SharpeHyperOptLossDaily"


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand ``walk-forward``."""
    parser = subparsers.add_parser(
        "walk-forward",
        help="fit on one window, backtest on the next, through a whole time range",
        description="Test how fitted thresholds perform out of sample.",
        epilog=_EXAMPLE,
    )
    add_config(parser)
    add_datadir(parser)
    add_timeframe(parser)
    add_timerange(parser)
    add_pairs(parser)
    add_strategy(parser, STRATEGIES[0])
    parser.add_argument("--train", default="180d", metavar="LENGTH", help=f"to fit on, {_DEFAULT}")
    parser.add_argument("--test", default="60d", metavar="LENGTH", help=f"to trade, {_DEFAULT}")
    parser.add_argument(
        "--anchored", action="store_true", help="fit on everything before the test part"
    )
    parser.add_argument(
        "--spaces",
        nargs="+",
        default=_SPACES,
        metavar="SPACE",
        help=f"default: {' '.join(_SPACES)}",
    )
    parser.add_argument(
        "--engine", choices=list(_EPOCHS), default="kernel", help=f"of the fit, {_DEFAULT}"
    )
    epochs = ", ".join(f"{engine} {number}" for engine, number in _EPOCHS.items())
    parser.add_argument("-e", "--epochs", type=int, metavar="N", help=f"default: {epochs}")
    parser.add_argument(
        "--objective",
        choices=OBJECTIVE_NAMES,
        help=f"of kernel: figure that scores a fold (default: {OBJECTIVE_NAMES[0]})",
    )
    parser.add_argument(
        "--hyperopt-loss", "--hyperoptloss", metavar="NAME", help=f"of freqtrade (default: {_LOSS})"
    )
    parser.add_argument(
        "--min-trades",
        type=int,
        default=10,
        metavar="N",
        help=f"least trades of an epoch, {_DEFAULT}",
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help=f"of the fit, {_DEFAULT}")
    parser.add_argument(
        "--scheduler", metavar="tcp://…", help="Dask scheduler (default: a cluster on this machine)"
    )
    parser.add_argument("--workers", type=int, metavar="N", help="processes here (default: cores)")
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="default: user_data/walk_forward"
    )
    add_palette(parser)
    parser.add_argument("--json", action="store_true", help="print the JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the windows that have no result yet, and write the report."""
    from perp_imbalance.freqtrade_bridge.config import check_timerange, load_config
    from perp_imbalance.research.walk_forward.run import Cluster, Store, run_windows
    from perp_imbalance.research.walk_forward.summary import summarise, write_report, write_winner

    check_timerange(arguments.timerange)
    check_engine(arguments)
    workers = 1 if arguments.workers is None else arguments.workers
    if min(arguments.epochs, arguments.min_trades, workers) < 1:
        raise SettingsError("--epochs, --min-trades and --workers must be at least 1")
    check_seed(arguments.seed, least=1)
    config = load_config(config_files(arguments))
    arguments.datadir = arguments.datadir or Path(config["datadir"])
    bundle, windows, notes = prepare(config, arguments)
    folder = arguments.out or Path(config["user_data_dir"]) / "walk_forward"
    store = Store(folder, bundle.plan(windows))
    cluster = Cluster(arguments.scheduler, arguments.workers)
    with progress() as tell:
        found = run_windows(
            bundle,
            windows,
            store,
            cluster,
            lambda done, running, left: tell(
                f"walk-forward: {done} done, {running} running, {left - running} waiting",
                done,
                len(windows),
            ),
        )
    results = [found[window.name] for window in windows]
    summary = summarise(
        results, bundle.wallet, compounding=bundle.config.get("stake_amount") == "unlimited"
    )
    title = f"Walk-forward: {arguments.strategy}, {', '.join(bundle.pairs)}, "
    title += bundle.config["timeframe"]
    colors = palette(arguments.palette, arguments.dark)
    files = write_report(summary, folder, title=title, colors=colors)
    winner = write_winner(results, folder)
    if arguments.json:
        print(json.dumps(summary, indent=1))
        return 0
    print("\n".join([*_lines(summary), *notes, summary["verdict"], *map(str, files)]))
    print(winner or "no winner.json: the last window has no winner")
    return 0


def check_engine(arguments: argparse.Namespace) -> None:
    """Set the engine's defaults, and raise for options that the engine would ignore.

    :raises PerpImbalanceError: naming the option.
    """
    from perp_imbalance.research.windows import parse_length

    other = {"kernel": "hyperopt_loss", "freqtrade": "objective"}[arguments.engine]
    if getattr(arguments, other) is not None:
        takes = next(engine for engine in _EPOCHS if engine != arguments.engine)
        raise CommandError(f"--{other.replace('_', '-')} is only for --engine {takes}")
    if arguments.engine == "kernel":
        for space in arguments.spaces:
            if space not in _SPACES:
                raise CommandError(
                    f"--spaces: {space} is none of {', '.join(_SPACES)}: of others, freqtrade's "
                    "hyperopt knows more, with --engine freqtrade"
                )
        least = WINDOW_FOLDS * LEAST_FOLD_DAYS
        if (days := parse_length(arguments.train, "--train").days) < least:
            raise SettingsError(
                f"--train is {days} days, the search needs {least} or more: take a longer one, or "
                "--engine freqtrade"
            )
    arguments.epochs = _EPOCHS[arguments.engine] if arguments.epochs is None else arguments.epochs
    arguments.objective = arguments.objective or OBJECTIVE_NAMES[0]
    arguments.hyperopt_loss = arguments.hyperopt_loss or _LOSS


def prepare(
    config: dict[str, Any], arguments: argparse.Namespace
) -> "tuple[Bundle, list[Window], list[str]]":
    """Return the task for the workers, the windows, and notes on what the results leave out.

    :raises PerpImbalanceError: if candles, the strategy or complete windows are missing.
    """
    from freqtrade.exchange import timeframe_to_seconds

    from perp_imbalance.freqtrade_bridge.config import merged_config
    from perp_imbalance.research.pair_history import PairHistories
    from perp_imbalance.research.strategy_sources import sources
    from perp_imbalance.research.threshold_trades import left_out
    from perp_imbalance.research.walk_forward.task import (
        Bundle,
        candle_files,
        portable_config,
    )
    from perp_imbalance.research.windows import check_candles
    from perp_imbalance.strategy.parameters import STARTUP_CANDLES
    from perp_imbalance.strategy.settings import Settings

    settings = Settings.from_config(config)
    exchange = config["exchange"]["name"]
    data = backtest_data(config, arguments.datadir, arguments)
    folder = PairHistories(
        data.folder,
        data.timeframe,
        settings,
        exchange=exchange,
        data_format=config["dataformat_ohlcv"],
    )
    overlay = backtest_overlay(config, data)
    merged = merged_config(config_files(arguments), overlay)
    times = []
    for candles in folder.pairs(data.pairs):
        times += list(candles.perp["date"].dt.to_pydatetime())
    windows = windows_of(arguments, folder.timeframe, times)
    candle = timedelta(seconds=timeframe_to_seconds(folder.timeframe))
    check_candles(windows, times, STARTUP_CANDLES * candle)
    user_data = Path(config["user_data_dir"])
    place = Path(overlay["strategy_path"])
    texts = sources(place)
    fit = _fit_of(arguments, texts)
    _check_fit(fit, user_data, place)
    bundle = Bundle(
        fit=fit,
        pairs=data.pairs,
        wallet=_wallet(merged),
        config=portable_config(merged),
        files=candle_files(data, exchange),
        strategies=texts,
        losses=sources(user_data / "hyperopts"),
    )
    notes = list(data.notes)
    if arguments.engine == "kernel" and (missing := left_out(config, settings)):
        said = ", ".join(missing)
        notes.append(f"used in a backtest of this config, left out by the fits: {said}")
    return bundle, windows, notes


def _fit_of(arguments: argparse.Namespace, texts: dict[str, str]) -> "Fit":
    """Return how each window is fitted.

    :param texts: source code of the available strategies.
    :raises CommandError: if the strategy is not among them.
    """
    from perp_imbalance.research.walk_forward.task import Fit

    if not any(f"class {arguments.strategy}(" in text for text in texts.values()):
        raise CommandError(
            f"there is no strategy {arguments.strategy} among "
            f"{', '.join(sorted(texts)) or 'no files'}: name one with --strategy"
        )
    return Fit(
        strategy=arguments.strategy,
        spaces=arguments.spaces,
        epochs=arguments.epochs,
        loss=arguments.hyperopt_loss,
        min_trades=arguments.min_trades,
        seed=arguments.seed,
        presets=[name for name in STRATEGIES if f"{name}.py" in texts],
        engine=arguments.engine,
        objective=arguments.objective,
    )


def _check_fit(fit: "Fit", user_data: Path, place: Path) -> None:
    """Raise if hyperopt would refuse the fit's options or ignore some of them.

    :param place: folder of strategies.
    :raises PerpImbalanceError: naming an unknown space or loss function.
    """
    from freqtrade.constants import HYPEROPT_BUILTIN_SPACE_OPTIONS

    from perp_imbalance.freqtrade_bridge.strategies import check_loss, parameter_spaces

    own = parameter_spaces(fit.strategy, place, user_data)
    known = dict.fromkeys([*HYPEROPT_BUILTIN_SPACE_OPTIONS, *(own or fit.spaces)])
    for space in fit.spaces:
        if space not in known:
            raise CommandError(f"--spaces: there is no space {space}, only {', '.join(known)}")
    # Only loss functions that are sent to the workers.
    check_loss(fit.loss, user_data)


def windows_of(arguments: argparse.Namespace, timeframe: str, times: list[Any]) -> "list[Window]":
    """Return the windows that the options define within the available candles."""
    from freqtrade.configuration import TimeRange
    from freqtrade.exchange import timeframe_to_seconds

    from perp_imbalance.research.windows import clip, parse_length, split

    timerange = TimeRange.parse_timerange(arguments.timerange)
    length = timedelta(seconds=timeframe_to_seconds(timeframe))
    start, end = clip(
        timerange.startdt, timerange.stopdt, min(times).astimezone(UTC), max(times) + length
    )
    return split(
        start,
        end,
        parse_length(arguments.train, "--train"),
        parse_length(arguments.test, "--test"),
        anchored=arguments.anchored,
    )


def _wallet(config: dict[str, Any]) -> float:
    from freqtrade.util.dry_run_wallet import get_dry_run_wallet

    return float(get_dry_run_wallet(config))


def _lines(summary: dict[str, Any]) -> list[str]:
    """Return one line for each window and for each account."""
    lines = []
    for row in summary["windows"]:
        if row["unsaid"]:
            lines.append(f"{row['window']}  {row['unsaid']}")
            continue
        lines.append(
            f"{row['window']}  in sample {row['in_sample_profit']:+8.2%} with "
            f"{row['in_sample_trades']:>4} trades, out of sample {row['profit']:+8.2%} with "
            f"{row['trades']:>4}"
        )
    for name, found in summary["accounts"].items():
        said = found["unsaid"]
        if not said:
            said = f"Sharpe {found['sharpe']:+.2f} ± {found['sharpe_error']:.2f}"
        if found["deflated"] is not None:
            said += f", deflated {found['deflated']:.2f}"
        lines.append(
            f"{name:<26} profit {found['profit']:+8.2%}, drawdown {found['drawdown']:6.2%}, {said}"
        )
    return lines
