"""``perp-imbalance sweep``: simulate every combination of a grid of thresholds and rank them."""

import argparse
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from perp_imbalance.cli.options import (
    add_candles,
    add_config,
    add_palette,
    add_strategy_path,
    check_writable,
    config_files,
)
from perp_imbalance.cli.progress import progress
from perp_imbalance.cli.research_options import check_costs, lacking, pair_histories
from perp_imbalance.cli.sweep_lines import (
    PRESET_OF,
    Command,
    strategy_of,
    summary_of,
    text_of,
    write_page,
)
from perp_imbalance.errors import SettingsError
from perp_imbalance.files import run_name
from perp_imbalance.indicators.thresholds import PRESETS, THRESHOLD_NAMES, Thresholds
from perp_imbalance.research.grid_names import AXES, RANKS, WALLET_RANKS
from perp_imbalance.strategy.palette import palette

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perp_imbalance.research.grid import Grid
    from perp_imbalance.research.pair_history import PairHistories, PairHistory
    from perp_imbalance.simulation import Rules
    from perp_imbalance.strategy.settings import Settings

logger = logging.getLogger(__name__)

_EXAMPLE = """examples:
  perp-imbalance sweep -d user_data/data/binance -p BTC/USDT:USDT \\
      --enter-z 1.2:3:0.1 --exit-z 0.2:1.1:0.1 \\
      --len-prem 25,50,100 --use-sigma yes,no
  perp-imbalance sweep -d user_data/data/binance \\
      --from user_data/walk_forward/winner.json

An axis is a list (25,50) or a range with its step (1.2:3:0.1, the last included). Thresholds
without an axis keep the preset's value, or that of --from; with --from and no axis, a few steps
around each number are tried. Every combination is traded as `perp-imbalance backtest` would:
entries, exits, stop, stakes, fees, funding and protections of the config; several pairs share a
wallet (pair "all"), and each is also traded alone. With --horizons, entries are held for N candles
and all exits are ignored; a combination whose trades lose with the strategy's exits is still not
listed. Results: a parquet file with one row per combination and pair, and an HTML page.

"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand ``sweep``."""
    parser = subparsers.add_parser(
        "sweep",
        help="simulate a grid of thresholds, thousands of backtests a second, and rank it",
        description="Try every combination of a grid of thresholds on stored candles.",
        epilog=_EXAMPLE,
    )
    add_config(parser)
    add_candles(parser)
    add_strategy_path(parser)
    parser.add_argument(
        "--preset",
        choices=list(PRESETS),
        metavar="NAME",
        help="%(choices)s (default: balanced, or that of --from's strategy)",
    )
    parser.add_argument(
        "--from",
        type=Path,
        dest="tuned",
        metavar="FILE",
        help="parameter file whose values replace the preset's",
    )
    for name in AXES:
        parser.add_argument(f"--{name.replace('_', '-')}", metavar="VALUES", dest=name)
    parser.add_argument(
        "--sample", type=int, metavar="N", help="try N random combinations, not all"
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="seed of --sample and the luck test"
    )
    parser.add_argument(
        "--rank-by",
        choices=RANKS,
        default="t",
        metavar="NAME",
        help="%(choices)s (default: %(default)s, the mean of a trade divided by its error)",
    )
    parser.add_argument(
        "--min-trades",
        type=int,
        default=30,
        metavar="N",
        help="combinations with fewer are not ranked (default: %(default)s)",
    )
    parser.add_argument(
        "--horizons",
        metavar="N,N",
        help="hold entries for N candles instead of using the strategy's exits",
    )
    parser.add_argument(
        "--fee", type=float, metavar="SHARE", help="of one order (default: a backtest's)"
    )
    parser.add_argument(
        "--scheduler", metavar="tcp://…", help="Dask scheduler (default: this process)"
    )
    add_palette(parser)
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    parser.set_defaults(run=run)


class Start(NamedTuple):
    """The starting point of a sweep.

    :ivar base: values of the thresholds that have no axis in the grid.
    :ivar notes: what of the parameter file is left out.
    """

    preset: str
    base: Thresholds
    settings: "Settings"
    notes: list[str]


def run(arguments: argparse.Namespace) -> int:
    """Run the sweep, write both files and print the best lines."""
    from perp_imbalance.freqtrade_bridge.config import check_timerange, load_config
    from perp_imbalance.research.grid_sweep import Plan, run_sweep
    from perp_imbalance.research.heatmap import maps_of
    from perp_imbalance.research.plateau import lines_of
    from perp_imbalance.research.walk_forward.run import Cluster

    check_timerange(arguments.timerange)
    config = load_config(config_files(arguments))
    check_counts(arguments)
    horizons = horizons_of(arguments)
    start = start_of(arguments, config)
    grid = grid_of(arguments, start)
    file = Path(config["user_data_dir"]) / "sweep" / f"{run_name('sweep')}.parquet"
    check_writable(file)
    histories, folder, notes = read_pairs(arguments, config, start.settings, grid)
    rules, left_out = rules_of(arguments, config, start)
    notes = [*start.notes, *notes, *left_out]
    for said in notes:
        logger.warning("%s", said)
    plan = Plan(
        grid=grid,
        histories=histories,
        settings=start.settings,
        rules=rules,
        horizons=horizons,
        sample=arguments.sample,
        seed=arguments.seed,
        rank_by=arguments.rank_by,
        min_trades=arguments.min_trades,
    )
    cluster = Cluster(arguments.scheduler) if arguments.scheduler else None
    with progress() as tell:
        sweep = run_sweep(plan, file, tell, cluster)
        total = sweep.tried
        found = lines_of(sweep, lambda pair: tell(f"{pair}: neighbours", total, total))
        maps = list(maps_of(plan, found.lines))
    words = Command(arguments, config, start.preset, start.settings, plan.pairs)
    summary = summary_of(sweep, found.lines, found.losing, words)
    summary["notes"] = notes
    if summary["ranked"]:
        page = file.with_suffix(".html")
        title = f"Sweep: {folder.datadir}, {folder.timeframe}"
        write_page(page, title, summary, maps, palette(arguments.palette, arguments.dark))
        summary["html"] = str(page)
    print(json.dumps(summary, indent=2) if arguments.json else text_of(summary))
    return 0


def horizons_of(arguments: argparse.Namespace) -> list[int]:
    """Return the holding times in candles; empty if the strategy's exits are simulated.

    :raises SettingsError: if they cannot be read, or options do not fit together.
    """
    from perp_imbalance.research.grid import parse_values

    fee = 0.0 if arguments.fee is None else arguments.fee
    if arguments.horizons is None:
        check_costs([1], fee, arguments.seed)
        return []
    horizons = sorted(set(parse_values(arguments.horizons, int, "number of candles to hold")))
    check_costs(horizons, fee, arguments.seed)
    if arguments.rank_by in WALLET_RANKS:
        raise SettingsError(
            f"--rank-by {arguments.rank_by} is of a wallet, which entries that are held for a "
            "fixed time (--horizons) do not share: rank by t or net_bps"
        )
    return horizons


def start_of(arguments: argparse.Namespace, config: "Mapping[str, Any]") -> Start:
    """Return the starting thresholds of the options, and the settings with these thresholds.

    :raises PerpImbalanceError: if the parameter file is invalid or cannot be read.
    """
    from perp_imbalance.freqtrade_bridge.parameter_file import OUR_PARAMETERS, ParameterFile
    from perp_imbalance.indicators.gates import OPTIONAL_GATES
    from perp_imbalance.strategy.parameters import SETTING_SPACES
    from perp_imbalance.strategy.settings import Settings

    settings = Settings.from_config(config)
    if arguments.tuned is None:
        preset = arguments.preset or "balanced"
        settings = settings.of_preset(preset)
        return Start(preset, settings.gated(PRESETS[preset]), settings, [])
    tuned = ParameterFile.read(arguments.tuned)
    tuned.check_names(arguments.tuned, OUR_PARAMETERS)
    preset = arguments.preset or PRESET_OF.get(str(tuned.strategy_name), "balanced")
    settings = settings.of_preset(preset)
    named = tuned.by_name
    own = {name: named[name] for name in SETTING_SPACES if name in named}
    # Same order as in the strategy: the file overrides the config, except for gate switches.
    kept = {name for name in OPTIONAL_GATES if name in settings.model_fields_set}
    settings = settings.model_copy(
        update={name: value for name, value in own.items() if name not in kept}
    )
    kinds = {name: type(getattr(Thresholds(), name)) for name in THRESHOLD_NAMES}
    values = {name: kinds[name](value) for name, value in tuned.values.items()}
    if not values:
        raise SettingsError(f"{arguments.tuned} has no value of any threshold to sweep around")
    notes = []
    if options := sorted(tuned.options):
        notes.append(
            f"{arguments.tuned}: {', '.join(options)} left out: a sweep has the strategy's own"
        )
    base = settings.gated(replace(PRESETS[preset], **values))
    return Start(preset, base, settings, notes)


def grid_of(arguments: argparse.Namespace, start: Start) -> "Grid":
    """Return the grid that the options define.

    :raises SettingsError: if it has no axis, or values that the strategy cannot trade with.
    """
    from perp_imbalance.research.grid import Grid, axes_around, parse_values
    from perp_imbalance.strategy.named_values import check_decimals

    axes = {
        name: parse_values(text, type(getattr(start.base, name)))
        for name in AXES
        if (text := getattr(arguments, name)) is not None
    }
    if not axes and arguments.tuned is None:
        raise SettingsError("nothing to sweep over: name an axis, such as --enter-z 1.2:3:0.1")
    for name, values in axes.items():
        for value in values:
            # Check each value next to values that always fit: an error is then due to this value.
            fitting: dict[str, Any] = {"enter_z": 1e9} if name == "exit_z" else {"exit_z": 1e-9}
            replace(start.base, **{**fitting, name: value})
            check_decimals(name, value)
    return Grid(axes or axes_around(start.base), start.base)


def check_counts(arguments: argparse.Namespace) -> None:
    """Raise if a count leaves nothing to sweep or to print.

    :raises SettingsError: naming the first such option.
    """
    for option in ("sample", "min_trades"):
        count = getattr(arguments, option)
        if count is not None and count < 1:
            name = option.replace("_", "-")
            raise SettingsError(f"--{name} is {count}, it must be at least 1")


def read_pairs(
    arguments: argparse.Namespace,
    config: "Mapping[str, Any]",
    settings: "Settings",
    grid: "Grid",
) -> "tuple[list[PairHistory], PairHistories, list[str]]":
    """Return the pairs of the folder, and notes on what the results leave out.

    :raises DataError: naming the first pair that lacks the series of a gate, and that series.
    """
    from perp_imbalance.data.backtest_data import by_sentence
    from perp_imbalance.research.series_checks import thin_series, with_every_gate

    gated = with_every_gate(grid)
    folder, data = pair_histories(
        *(arguments, config, settings), uses_htf=gated.use_htf, costs=("mark prices",)
    )
    histories = list(folder.traded(data.pairs, config.get("futures_funding_rate")))
    said = []
    for candles in histories:
        lacking(candles, {"sweep": gated}, folder)
        said += [(candles.match.perp, sentence) for sentence in thin_series(candles, [gated])]
    return histories, folder, [*data.notes, *by_sentence(said)]


def rules_of(
    arguments: argparse.Namespace, config: "dict[str, Any]", start: Start
) -> "tuple[Rules, list[str]]":
    """Return the trading rules that a backtest of the preset's strategy uses.

    :return: the rules, and a note on what they leave out.
    """
    from perp_imbalance.freqtrade_bridge.strategies import load_strategy, strategy_folder
    from perp_imbalance.research.threshold_trades import left_out, rules_of_config

    name = strategy_of(start.preset)
    loaded = {**config, "strategy": name, "strategy_path": str(strategy_folder(config, name))}
    # The strategy's stoploss scales with the leverage, unless the config sets a stoploss.
    stoploss = load_strategy(loaded).stoploss
    found = {**config, "stoploss": stoploss}
    rules = rules_of_config(found, start.settings, stoploss, arguments.fee)
    names = left_out(config, start.settings)
    said = f"used in a backtest of this config, left out by a sweep: {', '.join(names)}"
    return rules, [said] if names else []
