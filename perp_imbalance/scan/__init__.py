"""The whole market at one look: every perp with a premium, the most dislocated first.

``fetch`` asks the exchange, ``rank`` makes ``records`` of it, ``show`` and ``write`` say it;
``watch`` does it again at each candle.
"""
