"""The strategy ``PerpImbalance`` with the preset "conservative swing"."""

from PerpImbalance import PerpImbalance

from perp_imbalance.strategy.parameters import with_preset


@with_preset("conservative")
class PerpImbalanceConservative(PerpImbalance):
    """Enter late, with both gates, and hold longer."""
