"""Names that the examples in docstrings may use without importing them."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

# Links to strategies/, which freqtrade imports by names of their own.
collect_ignore_glob = ["perp_imbalance/shipped/strategies/*"]


@pytest.fixture(autouse=True)
def _example_names(doctest_namespace: dict[str, Any]) -> None:
    doctest_namespace.update(np=np, pd=pd)
