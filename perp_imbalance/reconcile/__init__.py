"""Compare the trades of a real bot with a backtest of the same time range.

The database is opened read-only. Each difference gets the likely cause that database and log
show, or a note that they show none.
"""

from perp_imbalance.reconcile.band import Band, Lock
from perp_imbalance.reconcile.database import BotRecord, read_record
from perp_imbalance.reconcile.ledger import Reconciliation, reconcile
from perp_imbalance.reconcile.log import BotLog, read_log

__all__ = [
    "Band",
    "BotLog",
    "BotRecord",
    "Lock",
    "Reconciliation",
    "read_log",
    "read_record",
    "reconcile",
]
