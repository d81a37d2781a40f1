"""The only code that touches freqtrade's insides: config, exchange, strategies, processes."""
