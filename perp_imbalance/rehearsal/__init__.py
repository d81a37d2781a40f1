"""Run a bot on past candles with freqtrade's own live code, on a stepped clock.

With an accelerated clock, the delay of an order would depend on the load of the machine. Here time
stops while the bot works and moves while it sleeps, so the same plan gives the same trades, orders
and locks, byte for byte, on any machine.
"""

from perp_imbalance.rehearsal.backtested import check_span
from perp_imbalance.rehearsal.clock import even_looks
from perp_imbalance.rehearsal.comparison import Comparison, Difference, compare
from perp_imbalance.rehearsal.ledger import held_against_backtest
from perp_imbalance.rehearsal.plan import Plan, read_table
from perp_imbalance.rehearsal.run import rehearse

__all__ = [
    "Comparison",
    "Difference",
    "Plan",
    "check_span",
    "compare",
    "even_looks",
    "held_against_backtest",
    "read_table",
    "rehearse",
]
