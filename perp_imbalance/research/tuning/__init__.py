"""Search thresholds by simulated trades, judge the winner, test it on unseen candles."""
