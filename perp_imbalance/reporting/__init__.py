"""What a trader asks after a backtest and freqtrade's own table does not show."""
