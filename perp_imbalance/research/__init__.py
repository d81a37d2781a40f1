"""Research on stored candles: what a signal was worth, before any hyperopt spends its hours."""
