"""Fixtures and settings for all tests."""

import os

import pytest
from freqtrade_fixtures import freqtrade, sample_datadir
from hypothesis import settings
from replay_fixtures import tiny_config, tiny_datadir, tiny_replay

__all__ = ["freqtrade", "sample_datadir", "tiny_config", "tiny_datadir", "tiny_replay"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the bots that live for minutes, each life on one of pytest's workers only."""

    def is_live(item: pytest.Item) -> bool:
        return item.path.name.startswith("test_live_")

    for item in filter(is_live, items):
        item.add_marker(pytest.mark.xdist_group(item.path.stem))
    items.sort(key=lambda item: not is_live(item))


# At a desk, every run tries new examples; in CI, a change fails for what it changed.
settings.register_profile("ci", derandomize=True)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE", "ci" if "CI" in os.environ else "default")
)
