"""``perp-imbalance plot``: draw the indicator's chart from the columns of the strategy."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perp_imbalance.cli.backtest import (
    OR_SAMPLE,
    backtest_data,
    backtest_overlay,
    candle_folder,
    warn_of_parameter_files,
)
from perp_imbalance.cli.options import (
    add_config,
    add_datadir,
    add_htf_timeframe,
    add_palette,
    add_strategy,
    add_timeframe,
    add_timerange,
    config_files,
    refuse_existing,
)
from perp_imbalance.errors import CommandError, DataError
from perp_imbalance.files import run_name, temporary_folder

if TYPE_CHECKING:
    import pandas as pd

    from perp_imbalance.plotting.chart import Chart

EXAMPLE = """\
examples:
  perp-imbalance plot --pair BTC/USDT:USDT
  perp-imbalance plot --pair BTC/USDT:USDT --datadir user_data/data/binance \\
      --timerange 20250101-20250301 --trades --labels --dark
  perp-imbalance plot -p ETH/USDT:USDT -s PerpImbalanceConservative \\
      --png eth.png

One page that needs no network: price with bands, z with its thresholds and the bias as a tint, the
premium in percent. All times are UTC.
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand ``plot``."""
    parser = subparsers.add_parser(
        "plot",
        help="draw the indicator's chart of a pair as a page, or a picture",
        description="Draw what the strategy computes on stored candles of a pair.",
        epilog=EXAMPLE,
    )
    add_config(parser)
    parser.add_argument("-p", "--pair", required=True, metavar="PERP", help="such as BTC/USDT:USDT")
    add_datadir(parser, OR_SAMPLE)
    add_timeframe(parser)
    add_htf_timeframe(parser)
    add_timerange(parser)
    add_strategy(parser)
    parser.add_argument(
        "--trades",
        nargs="?",
        const="",
        metavar="RESULT",
        help="draw the trades of freqtrade's backtest of this pair and time range, or of an "
        "existing result file",
    )
    parser.add_argument("--funding", action="store_true", help="a panel of the funding rate")
    parser.add_argument("--labels", action="store_true", help="label the flips of the bias")
    parser.add_argument(
        "--levels",
        action="store_true",
        help="the week's VWAP, Monday's range, and POC, VAH and VAL of the day before: context, "
        "no entry depends on them",
    )
    add_palette(parser)
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="page to write (default: in user_data/plot)"
    )
    parser.add_argument("--png", type=Path, metavar="FILE", help="also write a picture")
    parser.add_argument("--force", action="store_true", help="replace existing files")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the chart page and print its path."""
    from rich.console import Console

    from perp_imbalance.freqtrade_bridge.config import check_timerange, load_config
    from perp_imbalance.plotting.chart import write_chart
    from perp_imbalance.plotting.picture import find_browser, take_picture
    from perp_imbalance.strategy.palette import palette

    check_timerange(arguments.timerange)
    config = load_config(config_files(arguments))
    output = arguments.output or default_output(Path(config["user_data_dir"]), arguments.pair)
    refuse_existing([output, arguments.png], force=arguments.force)
    if arguments.png:
        check_picture(arguments.png, output)
        find_browser()
    with Console(stderr=True).status("candles") as status:
        chart, notes = chart_of(arguments, config, status.update)
        status.update("drawing")
        colors = palette(arguments.palette, arguments.dark)
        write_chart(output, chart, colors, labels=arguments.labels)
        if arguments.png:
            take_picture(output, arguments.png)
    print("\n".join([drawn(chart), *notes]))
    print(output)
    if arguments.png:
        print(arguments.png)
    return 0


def chart_of(
    arguments: argparse.Namespace, config: dict[str, Any], tell: Callable[[str], None]
) -> "tuple[Chart, Sequence[str]]":
    """Return the chart of the pair, and what the candles lack.

    :param tell: called with the current step.
    :raises CommandError: if the trades are of other candles.
    """
    from perp_imbalance.data.sample import is_sample_market
    from perp_imbalance.freqtrade_bridge.config import merged_config
    from perp_imbalance.indicators.levels import levels
    from perp_imbalance.reporting.analysis import open_strategy_analysis

    strategy = arguments.strategy or config.get("strategy") or "PerpImbalance"
    warn_of_parameter_files([strategy], config)
    datadir = candle_folder(arguments, config)
    arguments.pairs = [arguments.pair]
    data = backtest_data(config, datadir, arguments, trades=arguments.trades is not None)
    merged = merged_config(config_files(arguments), backtest_overlay(config, data))
    tell(f"columns of {arguments.pair}")
    place, timerange = data.folder.for_freqtrade, arguments.timerange
    with open_strategy_analysis(
        merged, strategy=strategy, datadir=place, timerange=timerange
    ) as found:
        chart = found.chart(arguments.pair, funding=arguments.funding)
    if arguments.trades is not None:
        tell("backtest")
        if arguments.trades:
            trades = trades_of(Path(arguments.trades), strategy)
        else:
            trades = backtested(strategy, place, merged, timerange)
        chart = replace(chart, trades=trades)
        check_trades(chart, arguments.trades)
    if arguments.levels:
        chart = replace(chart, frame=chart.frame.join(levels(chart.frame)))
    if is_sample_market(datadir):
        chart = replace(chart, note="SYNTHETIC sample market, no real prices")
    return chart, data.notes


def drawn(chart: "Chart") -> str:
    """Return one line that describes the content of a chart."""
    first, last = chart.frame["date"].iloc[[0, -1]]
    count = "" if chart.trades is None else f", {len(chart.trades_drawn)} trades"
    span = f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC"
    note = f"; {chart.note}" if chart.note else ""
    return f"{len(chart.frame)} candles{count}, {span}{note}"


def check_picture(picture: Path, page: Path) -> None:
    """Raise if the picture's file name does not fit.

    :raises CommandError: if it names the page itself, or has the extension of another format.
    """
    if picture.absolute() == page.absolute():
        raise CommandError(f"{picture} is the page: name another file for the picture")
    if picture.suffix.lower() != ".png":
        raise CommandError(f"{picture} would be a PNG: name it {picture.stem}.png")


def check_trades(chart: "Chart", result: str) -> None:
    """Raise if the result's trades of the pair are of other candles than the chart's.

    :param result: file of the trades; empty if the backtest was run for this chart.
    :raises DataError: naming the difference.
    """
    trades = chart.trades
    if not result or trades is None or trades.empty:
        return
    trades = trades[trades["pair"] == chart.pair]
    first, last = chart.frame["date"].iloc[[0, -1]]
    if trades.empty:
        raise DataError(f"{result} has no trades of {chart.pair}: name another result")
    if chart.trades_drawn.empty:
        raise DataError(
            f"{result} has trades of {chart.pair} from {trades['open_date'].min():%Y-%m-%d} to "
            f"{trades['close_date'].max():%Y-%m-%d}, and {first:%Y-%m-%d} to {last:%Y-%m-%d} is "
            "drawn: name another --timerange or result"
        )
    # freqtrade fills orders within the candle; stored prices are rounded to the exchange's tick.
    opened = trades.merge(
        chart.frame, left_on="open_date", right_on="date", suffixes=("_trade", "")
    )
    outside = ~opened["open_rate"].between(opened["low"] * 0.999, opened["high"] * 1.001)
    if outside.any():
        bad = opened[outside].iloc[0]
        raise DataError(
            f"{result} is of other candles: it has an entry of {chart.pair} at "
            f"{bad['open_rate']:g} on {bad['open_date']:%Y-%m-%d %H:%M}, where the candle "
            f"drawn goes from {bad['low']:g} to {bad['high']:g}: name its --datadir"
        )


def default_output(user_data_dir: Path, pair: str) -> Path:
    """Return a file name for the page that does not exist yet."""
    from freqtrade.misc import pair_to_filename

    return user_data_dir / "plot" / f"{run_name(f'chart-{pair_to_filename(pair)}')}.html"


def trades_of(result: Path, strategy: str) -> "pd.DataFrame":
    """Return a strategy's trades from a result file.

    :raises DataError: if the file has no trades of the strategy, or is not a result.
    """
    from perp_imbalance.freqtrade_bridge.logs import quiet_freqtrade
    from perp_imbalance.reporting.backtest_result import read_result

    with quiet_freqtrade():
        outcomes = {outcome.strategy: outcome for outcome in read_result(result).outcomes}
    if strategy not in outcomes:
        raise DataError(f"{result} has no trades of {strategy}, but of {', '.join(outcomes)}")
    return outcomes[strategy].trades


def backtested(
    strategy: str, datadir: Path, config: Mapping[str, Any], timerange: str | None
) -> "pd.DataFrame":
    """Run a backtest and return its trades.

    :param config: the complete config, as ``merged_config`` returns it.
    :raises CommandError: if freqtrade refuses the config.
    """
    from freqtrade.data.btanalysis import load_backtest_data

    from perp_imbalance.freqtrade_bridge.logs import quiet_freqtrade
    from perp_imbalance.freqtrade_bridge.process import capture_freqtrade, error_line
    from perp_imbalance.replay import local_config, running_replay

    with (
        temporary_folder() as folder,
        running_replay(datadir) as replay,
    ):
        options = ["backtesting", "--datadir", str(datadir), "--strategy", strategy]
        options += ["--cache", "none", "--backtest-directory", str(folder)]
        if timerange:
            options += ["--timerange", timerange]
        process = capture_freqtrade(options, local_config=local_config(config, replay.url))
        if process.returncode:
            raise CommandError(f"freqtrade backtesting: {error_line(process)}")
        with quiet_freqtrade():
            trades: pd.DataFrame = load_backtest_data(Path(folder), strategy)
    return trades
