"""freqtrade's backtest as compiled code: pure arrays in, trades or statistics out."""

from perp_imbalance.simulation.kernel import REASONS, TRADE, Terms
from perp_imbalance.simulation.markets import (
    Markets,
    Rules,
    Signals,
    join,
    join_signals,
    market,
    signals,
)
from perp_imbalance.simulation.simulate import (
    Statistics,
    Trades,
    simulate,
    statistics,
    terms_of,
)
from perp_imbalance.simulation.zones import zone_flags

__all__ = [
    "REASONS",
    "TRADE",
    "Markets",
    "Rules",
    "Signals",
    "Statistics",
    "Terms",
    "Trades",
    "join",
    "join_signals",
    "market",
    "signals",
    "simulate",
    "statistics",
    "terms_of",
    "zone_flags",
]
