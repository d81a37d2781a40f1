"""Fixtures and settings for all tests."""

import os

from freqtrade_fixtures import freqtrade, sample_datadir
from hypothesis import settings
from replay_fixtures import tiny_config, tiny_datadir, tiny_replay

__all__ = ["freqtrade", "sample_datadir", "tiny_config", "tiny_datadir", "tiny_replay"]

# At a desk, every run tries new examples; in CI, a change fails for what it changed.
settings.register_profile("ci", derandomize=True)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE", "ci" if "CI" in os.environ else "default")
)
