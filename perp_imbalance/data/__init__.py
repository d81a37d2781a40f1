"""Candle folders: what is there, reading them as freqtrade does, and the sample market."""
