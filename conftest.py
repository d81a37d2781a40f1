"""Names that the examples in docstrings may use without importing them."""

from typing import Any

import numpy as np
import pandas as pd
import pytest


@pytest.fixture(autouse=True)
def _example_names(doctest_namespace: dict[str, Any]) -> None:
    doctest_namespace.update(np=np, pd=pd)
