"""What is kept of compiled code is of these sources."""

from typing import Any

import pytest

from perp_imbalance.simulation.compiling import SOURCES
from perp_imbalance.simulation.kernel import run_once, summarize
from perp_imbalance.simulation.zones import run_many


@pytest.mark.parametrize("function", [run_once, run_many, summarize])
def test_cached_code_depends_on_all_files(function: Any) -> None:
    assert function._cache._cache_file._source_stamp == SOURCES
