"""The parts of the strategy classes: parameters, settings, feed, positions, alerts."""
