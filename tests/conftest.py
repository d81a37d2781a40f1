"""Fixtures for all tests."""

from freqtrade_fixtures import freqtrade, sample_datadir
from replay_fixtures import tiny_config, tiny_datadir, tiny_replay

__all__ = ["freqtrade", "sample_datadir", "tiny_config", "tiny_datadir", "tiny_replay"]
