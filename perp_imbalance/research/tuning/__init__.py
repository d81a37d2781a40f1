"""Search thresholds by simulated trades, judge the choice, test it on what was left out."""
