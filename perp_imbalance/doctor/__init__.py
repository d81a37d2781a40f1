"""Check whether a bot would trade correctly, before it trades.

``examine([Path("config.json")])`` opens config, strategy and exchange as the bot does, and returns
a :class:`Report`. It sends no order and uses no key.
"""

from perp_imbalance.doctor.examine import examine
from perp_imbalance.doctor.findings import Check, Level, PairFigures, Report

__all__ = ["Check", "Level", "PairFigures", "Report", "examine"]
