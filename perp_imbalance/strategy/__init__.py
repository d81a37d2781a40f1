"""What the strategy classes are made of: parameters, settings, feed, positions, alerts."""
