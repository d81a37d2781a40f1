"""Draw docs/report.png: the report of a backtest of the presets on the SYNTHETIC sample market.

``make pictures`` runs it. Nothing here is a result; it shows what a report looks like.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

PICTURE = Path(__file__).with_name("report.png")
ROOT = PICTURE.parents[1]
# The verdict, the presets, their costs, equity and drawdown.
WIDTH, HEIGHT = 1200, 1590


def draw_report() -> None:
    """Backtest, write the report, and draw its beginning."""
    from perp_imbalance.cli.backtest import STRATEGIES
    from perp_imbalance.data.sample import write_sample_market
    from perp_imbalance.errors import CommandError
    from perp_imbalance.freqtrade_bridge.process import capture_freqtrade
    from perp_imbalance.plotting.picture import take_picture
    from perp_imbalance.replay import replay_config, running_replay
    from perp_imbalance.reporting.backtest_result import newest_result
    from perp_imbalance.reporting.build import make_report
    from perp_imbalance.strategy.palette import palette

    with TemporaryDirectory() as name:
        folder = Path(name)
        datadir = write_sample_market(folder / "binance").datadir
        with running_replay(datadir) as replay:
            overlay = {**replay_config(replay.url), "strategy_path": str(ROOT / "strategies")}
            options = ["backtesting", "--datadir", str(datadir), "--backtest-directory", name]
            options += ["--cache", "none", "--strategy-list", *STRATEGIES]
            process = capture_freqtrade(options, configs=[ROOT / "config.json"], overlay=overlay)
        if process.returncode:
            raise CommandError(process.stderr)
        page = folder / "report.html"
        make_report(
            newest_result(folder),
            datadir=datadir,
            fallback=datadir,
            strategies=ROOT / "strategies",
            output=page,
            palette=palette("classic", dark=True),
        )
        take_picture(page, PICTURE, width=WIDTH, height=HEIGHT)
    print(PICTURE, file=sys.stderr)


if __name__ == "__main__":
    draw_report()
