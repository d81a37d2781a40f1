"""Floats that round as freqtrade's and ccxt's decimals do."""

from decimal import ROUND_DOWN, Decimal
from typing import Any

import pytest
from freqtrade.util import FtPrecise
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from perp_imbalance.simulation import decimals

CALLS: dict[str, Any] = {}


def call(name: str, *arguments: float) -> Any:
    """Call compiled code that has no way in from Python."""
    if name not in CALLS:
        compiled = getattr(decimals, name)
        CALLS[name] = njit(lambda *values: compiled(*values))
    return CALLS[name](*arguments)


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("product", (0.1, 3.0), (0.30000000000000004, -2.7755575615628914e-17)),
        ("nearest", (2.5,), 2.0),
        ("nearest", (3.4,), 3.0),
        ("floored", (2.9,), 2.0),
        ("floored", (-2.1,), -3.0),
        ("worth", (3.0, 10.0, 9995.0, 1000000.0), 0.29985),
        ("steps_below", (0.3, 10.0), 3.0),
        ("steps_below", (0.29999, 10.0), 2.0),
        ("steps_above", (0.3, 10.0), 3.0),
        ("steps_above", (0.30000000000000004, 10.0), 4.0),
        ("steps_nearest", (0.25, 10.0), 3.0),
        ("steps_nearest", (0.2499, 10.0), 2.0),
    ],
)
def test_values_round_as_decimals(
    name: str, arguments: tuple[float, ...], expected: float | tuple[float, float]
) -> None:
    assert call(name, *arguments) == expected


@settings(deadline=None)
@given(st.floats(-1e6, 1e6))
def test_profits_round_as_in_python(value: float) -> None:
    assert call("round8", value) == round(value, 8)


@settings(deadline=None)
@given(
    stake=st.floats(5.0, 1e5),
    share=st.sampled_from([0.25, 0.5, 0.9]),
    steps=st.integers(2, 10**7),
    places=st.integers(0, 6),
)
def test_share_of_an_amount_is_that_of_freqtrade(
    stake: float, share: float, steps: int, places: int
) -> None:
    part, amount = stake * share, steps / 10**places
    divided = float(FtPrecise(part) * FtPrecise(amount) / FtPrecise(stake))
    cut = Decimal(repr(divided)).quantize(Decimal(1).scaleb(-places), ROUND_DOWN)
    found = call("share_of_amount", part, stake, float(steps), 10.0**places)
    assert found / 10**places == float(cut)
