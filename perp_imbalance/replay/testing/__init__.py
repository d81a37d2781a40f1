"""A replay exchange for tests of a bot: with a signed account that takes orders, and with faults.

Use: ``running_test_replay(datadir, account=AccountTerms(Decimal(1000)), faults=[...])``.
"""

from perp_imbalance.replay.testing.account import Account, AccountTerms
from perp_imbalance.replay.testing.answer_faults import (
    ClockSkew,
    HalfAnswers,
    LostAnswers,
    ReorderedCandles,
    RepeatedCandles,
)
from perp_imbalance.replay.testing.fault_file import FAULTS, AnyFault, read_faults
from perp_imbalance.replay.testing.faults import (
    BadPrices,
    Delisted,
    Fault,
    Halted,
    HttpErrors,
    LateCandles,
    MissingCandles,
    NoAnswer,
    TickChange,
)
from perp_imbalance.replay.testing.running import AccountReplay, running_test_replay
from perp_imbalance.replay.testing.signing import Credentials

__all__ = [
    "FAULTS",
    "Account",
    "AccountReplay",
    "AccountTerms",
    "AnyFault",
    "BadPrices",
    "ClockSkew",
    "Credentials",
    "Delisted",
    "Fault",
    "HalfAnswers",
    "Halted",
    "HttpErrors",
    "LateCandles",
    "LostAnswers",
    "MissingCandles",
    "NoAnswer",
    "ReorderedCandles",
    "RepeatedCandles",
    "TickChange",
    "read_faults",
    "running_test_replay",
]
