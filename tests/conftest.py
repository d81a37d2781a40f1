"""Fixtures for all tests."""

from replay_fixtures import tiny_config, tiny_datadir, tiny_replay

__all__ = ["tiny_config", "tiny_datadir", "tiny_replay"]
