"""Rehearse, backtest and compare in one call."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from perp_imbalance.rehearsal.backtested import backtest, price_range, within
from perp_imbalance.rehearsal.comparison import Comparison, compare
from perp_imbalance.rehearsal.late_candles import LateCandles
from perp_imbalance.rehearsal.plan import Plan, read_table
from perp_imbalance.rehearsal.run import rehearse


def held_against_backtest(
    plan: Plan,
    candle: timedelta,
    cwd: Path | None = None,
    tell: Callable[[str, int, int], None] = lambda text, done, steps: None,
) -> Comparison:
    """Rehearse a plan and return the bot's trades compared with a backtest's.

    :param candle: length of the plan's candles
    :param cwd: folder to run in, by default this process's
    :param tell: called with the current step, the candles done and the candles in total
    :raises RehearsalError: if the rehearsal or the backtest cannot run
    """
    candles = int((plan.end - plan.start) / candle) + 1
    each = len(plan.looks or (0,))
    rehearse(plan, cwd, lambda looks: tell("rehearsal", min(looks // each, candles), candles))
    tell("backtest", candles, candles)
    tested = backtest(plan, candle, cwd)
    bot = within(read_table(plan.database, "trades"), plan.end)
    first_look = plan.looks[0] if plan.looks else 1.0
    log = plan.log.read_text(encoding="utf-8")
    held_back = LateCandles.of(plan).held_back
    return compare(bot, tested, candle, first_look, price_range(plan), log, held_back)
