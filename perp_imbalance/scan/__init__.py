"""Scan the whole market: rank every perp with a premium, the most dislocated first.

``fetch`` requests the data, ``rank`` makes ``records`` from it, ``show`` and ``write`` output them;
``watch`` repeats this at each candle.
"""
