"""freqtrade's backtest as compiled code: takes arrays, returns trades or statistics."""

from perp_imbalance.simulation.markets import (
    Markets,
    Rules,
    Signals,
    join,
    join_signals,
    market,
    signals,
)
from perp_imbalance.simulation.protections import not_simulated
from perp_imbalance.simulation.records import REASONS, TRADE
from perp_imbalance.simulation.simulate import (
    Statistics,
    Terms,
    Trades,
    Zones,
    simulate,
    simulate_many,
    statistics,
    terms_of,
)
from perp_imbalance.simulation.zones import zone_events

__all__ = [
    "REASONS",
    "TRADE",
    "Markets",
    "Rules",
    "Signals",
    "Statistics",
    "Terms",
    "Trades",
    "Zones",
    "join",
    "join_signals",
    "market",
    "not_simulated",
    "signals",
    "simulate",
    "simulate_many",
    "statistics",
    "terms_of",
    "zone_events",
]
