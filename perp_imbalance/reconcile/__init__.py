"""Hold the trades of a bot that has really run against a backtest of the same time.

The database is read and never written. Every difference gets the likely cause that database and log
show; where they show none, that is said.
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
