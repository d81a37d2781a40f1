"""The strategy ``PerpImbalance`` with the preset "aggressive scalping"."""

from PerpImbalance import PerpImbalance

from perp_imbalance.strategy.parameters import with_preset


@with_preset("aggressive")
class PerpImbalanceAggressive(PerpImbalance):
    """Enter early and without gates."""
