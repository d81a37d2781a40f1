"""Walk-forward: fit on one span with freqtrade, trade the next one, and say what held."""
