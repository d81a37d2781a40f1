"""A crossing counts once, whatever trembles at the level, and wherever the series begins."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perp_imbalance.indicators.crossing import crossings

NAN = float("nan")


@pytest.mark.parametrize(
    ("values", "sides"),
    [
        ([0, 0, 2, 2, 2], [0, 0, 1, 0, 0]),
        ([0, 0, -2, -3], [0, 0, -1, 0]),
        ([0, 0, 2, 1, 2, 1, 2], [0, 0, 1, 0, 0, 0, 0]),
        ([0, 0, 2, 1, 1, 2], [0, 0, 1, 0, 0, 1]),
        ([0, 0, 2, -2, 2], [0, 0, 1, -1, 0]),
        ([0, 0, 2, NAN, NAN, 2], [0, 0, 1, 0, 0, 0]),
        ([0, 0, NAN, 2], [0, 0, 0, 1]),
        ([2, 2, 2], [0, 0, 0]),
        ([NAN, NAN, NAN, 2, 2, 2], [0, 0, 0, 0, 0, 0]),
        ([NAN, NAN], [0, 0]),
        ([], []),
    ],
)
def test_crossing_counts_once(values: list[float], sides: list[int]) -> None:
    assert crossings(np.array(values, float), 2.0, 2).tolist() == sides


@given(
    st.lists(st.sampled_from([0.0, 1.0, 2.0, -2.0, NAN]), max_size=30),
    st.integers(1, 5),
    st.integers(0, 30),
)
def test_crossings_do_not_depend_on_start_and_end_rows(
    values: list[float], quiet: int, cut: int
) -> None:
    """A later beginning leaves crossings out, and finds none that are not there."""
    series = np.array(values)
    whole = crossings(series, 2.0, quiet)
    assert crossings(series[:cut], 2.0, quiet).tolist() == whole[:cut].tolist()
    late = crossings(series[cut:], 2.0, quiet)
    assert set(np.flatnonzero(late)) <= set(np.flatnonzero(whole[cut:]))
    assert set(np.flatnonzero(whole[cut:])) - set(np.flatnonzero(late)) <= set(
        range(int(np.isnan(series[cut:]).argmin() if len(series[cut:]) else 0) + quiet)
    )
