"""The ``perp-imbalance`` command: options in, one call, output; a module for each subcommand."""
