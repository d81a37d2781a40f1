"""Walk-forward: fit on one time range, test on the next, and judge all tests together."""
