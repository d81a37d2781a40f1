"""Measure the speed of indicators and strategy: ``python -m benchmarks`` from the root."""
