"""The ``perp-imbalance`` command; each subcommand has its own module."""
