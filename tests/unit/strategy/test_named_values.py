"""Values of parameters are read and written in one form."""

from dataclasses import replace
from typing import Any

import pytest

from perp_imbalance.cli.options import named_values
from perp_imbalance.errors import PerpImbalanceError
from perp_imbalance.freqtrade_bridge.parameter_file import ParameterFile
from perp_imbalance.indicators import PRESETS, Thresholds
from perp_imbalance.indicators.gates import OPTIONAL_GATES
from perp_imbalance.strategy.named_values import words_of, written_values
from perp_imbalance.strategy.parameters import PARAMETER_NAMES
from perp_imbalance.strategy.settings import Settings


def read(words: list[str]) -> dict[str, Any]:
    """Return what ``backtest --set`` and ``preset apply`` take of words."""
    params = ParameterFile.of_words(named_values(words)).params
    return {name: value for values in params.values() for name, value in values.items()}


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("enter_z", "'enter_z' is not a value: write NAME=VALUE, such as enter_z=2.2"),
        ("=2", "'=2' is not a value: write NAME=VALUE"),
        ("enterz=2", "enterz is not a parameter: known are enter_z, exit_z,"),
        ("hot_z=2", "hot_z is not a parameter"),
        ("enter_z=x", "enter_z is 'x'"),
        ("enter_z=nan", "enter_z is 'nan'"),
        ("len_prem=2.5", "len_prem is 2.5"),
        ("use_sigma=2", "use_sigma is 2"),
        ("enter_z=2.0004", "is 2.0004, which a strategy's parameter keeps as 2: take fewer"),
        ("entry_mode=x", "entry_mode is 'x', it should be 'zone' or 'flip'"),
    ],
)
def test_wrong_word_is_named(word: str, message: str) -> None:
    with pytest.raises(PerpImbalanceError) as error:
        read([word])
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_value_that_is_named_twice_is_refused() -> None:
    with pytest.raises(PerpImbalanceError, match="enter_z is given twice"):
        read(["enter_z=2", "enter_z=3"])


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("changes", [{}, {"use_htf": True, "robust_z": True, "use_oi": True}])
def test_what_is_written_makes_the_same_signals(preset: str, changes: dict[str, bool]) -> None:
    """All that is not written belongs to gates that are off, or to a z of the other kind."""
    thresholds = replace(PRESETS[preset], enter_z=2.345, oi_min=-0.05, **changes)
    words = words_of(written_values(thresholds, Settings(entry_mode="flip")))
    values = read(words)
    assert values.pop("entry_mode") == "flip"
    assert all(getattr(thresholds, name) == value for name, value in values.items())
    missing = {*PARAMETER_NAMES, *OPTIONAL_GATES} - values.keys()
    others = {name: getattr(Thresholds(), name) for name in missing}
    again = replace(thresholds, **others)
    assert written_values(again, Settings()) == written_values(thresholds, Settings())
