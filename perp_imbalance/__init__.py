"""Perp Imbalance Zones for freqtrade: everything that is neither an indicator nor a strategy."""

__version__ = "0.2.0"
