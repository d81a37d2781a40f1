"""The whole market at one look: every perp with a premium, the most extreme first.

``fetch`` asks the exchange, ``rank`` computes ``records``, ``show`` and ``write`` say it; ``watch`` does it
again at each candle.
"""
