"""Speed of the indicators and of the strategy: ``python -m benchmarks`` from the root."""
