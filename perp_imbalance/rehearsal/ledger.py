"""One call: rehearse, backtest, compare."""

from datetime import timedelta
from pathlib import Path

from perp_imbalance.rehearsal.backtested import backtest, within
from perp_imbalance.rehearsal.comparison import Comparison, compare
from perp_imbalance.rehearsal.late_candles import LateCandles
from perp_imbalance.rehearsal.plan import Plan, read_table
from perp_imbalance.rehearsal.run import rehearse


def held_against_backtest(plan: Plan, candle: timedelta, cwd: Path | None = None) -> Comparison:
    """Let a bot live as planned and return its trades compared with a backtest's.

    :param candle: length of the plan's candles
    :param cwd: folder to run in, by default this process's
    :raises RehearsalError: if either could not be run
    """
    rehearse(plan, cwd)
    tested = backtest(plan, candle, cwd)
    bot = within(read_table(plan.database, "trades"), plan.end)
    first_look = plan.looks[0] if plan.looks else 1.0
    log = plan.log.read_text(encoding="utf-8")
    return compare(bot, tested, candle, first_look, log, LateCandles.of(plan).held_back)
