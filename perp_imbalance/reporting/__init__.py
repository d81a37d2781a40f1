"""Answers to a trader's questions after a backtest that freqtrade's own tables do not show."""
