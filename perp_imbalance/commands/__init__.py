"""The ``perp-imbalance`` command: one module a subcommand, ``main`` puts them together."""
