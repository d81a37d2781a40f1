"""What a search may try: the strategy's own ranges, each distinct combination once."""

import re
from typing import Any

import pytest
from support.tuning import strategy

from perp_imbalance.errors import SettingsError
from perp_imbalance.indicators.thresholds import Thresholds
from perp_imbalance.research.tuning.space import space_of


def test_own_ranges_are_those_of_hyperopt() -> None:
    space = space_of(strategy())
    assert (space.axes["enter_z"][0], space.axes["enter_z"][-1]) == (1.2, 3.5)
    assert len(space.axes["enter_z"]) == 2301
    assert space.axes["len_prem"] == tuple(range(10, 201))
    assert space.axes["use_htf"] == (False, True)
    # Of gates that the config has off.
    assert space.axes.keys().isdisjoint({"funding_min", "oi_min", "oi_len"})
    assert "funding_min" in space_of(strategy(use_funding=True)).axes


def test_spaces_limit_what_varies() -> None:
    assert list(space_of(strategy(), spaces=["sell"]).axes) == ["exit_z"]


def test_value_that_the_class_fixes_does_not_vary() -> None:
    space = space_of(strategy(fixed={"enter_z": 2.5}))
    assert "enter_z" not in space.axes
    assert space.base.enter_z == 2.5


def test_named_thresholds_alone_vary() -> None:
    space = space_of(strategy(), vary={"enter_z": (2.0, 1.5), "use_sigma": None})
    assert space.axes == {"enter_z": (1.5, 2.0), "use_sigma": (False, True)}


def test_fixed_values_are_rounded_as_freqtrade_does() -> None:
    space = space_of(strategy(), vary={"exit_z": None}, fixed={"min_deviation_bps": 5.26})
    assert space.base.min_deviation_bps == 5.3


def test_combinations_with_equal_signals_count_once() -> None:
    space = space_of(strategy(), vary={"use_sigma": None, "bb_k": (1.0, 2.0), "bb_len": (50, 80)})
    found = space.all(100)
    assert found is not None
    assert [(one.use_sigma, one.bb_k, one.bb_len) for one in found] == [
        (False, 1.25, 100),
        *((True, k, length) for k in (1.0, 2.0) for length in (50, 80)),
    ]
    assert space.tuned(found[0]) == {"use_sigma": False}
    assert space.all(4) is None


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        # Of a robust z-score, dev_len is the window; else len_prem is.
        ({"robust_z": True, "len_prem": 20, "dev_len": 30}, {"len_prem": 50, "dev_len": 30}),
        ({"robust_z": False, "len_prem": 20, "dev_len": 30}, {"len_prem": 20, "dev_len": 200}),
        ({"robust_z": True, "use_htf": True, "len_prem": 20}, {"len_prem": 50}),
        ({"min_deviation_bps": 5.0, "dev_len": 30}, {"dev_len": 30}),
        ({"use_htf": False, "htf_z_min": 1.5}, {"htf_z_min": 0.8}),
        ({"use_htf": True, "htf_z_min": 1.5}, {"htf_z_min": 1.5}),
    ],
)
def test_thresholds_without_influence_keep_the_base_value(
    values: dict[str, Any], expected: dict[str, Any]
) -> None:
    found = space_of(strategy()).thresholds(values)
    assert found is not None
    assert {name: getattr(found, name) for name in expected} == expected


def test_enter_z_below_exit_z_is_not_a_combination() -> None:
    space = space_of(strategy(), vary={"enter_z": (0.5, 1.0), "exit_z": (0.4, 0.8)})
    assert space.thresholds({"enter_z": 0.5, "exit_z": 0.8}) is None
    found = space.all(10)
    assert found is not None
    assert len(found) == 3
    assert found[0] == Thresholds(enter_z=0.5, exit_z=0.4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vary": {"enter": None}}, "enter is not a threshold to tune: enter_z, exit_z, bb_k"),
        ({"fixed": {"stoploss": -0.1}}, "stoploss is not a threshold to tune"),
        ({"vary": {"bb_k": None}, "fixed": {"bb_k": 1.0}}, "bb_k is to be varied and fixed"),
        ({"fixed": {"bb_k": "x"}}, "bb_k is 'x', it must be a number"),
        ({"vary": {"bb_k": (0.0, 1.0)}}, "bb_k is 0, it must be above 0"),
        ({"vary": {"exit_z": (0.0, 1.0)}}, "exit_z is 0, it must be above 0"),
        ({"vary": {"bb_k": (1.0,)}}, "nothing to tune: every threshold has one value only"),
        ({"vary": {"bb_len": (50, 500)}}, "look back 500 candles, at most 209 fit into the"),
        ({"vary": {"robust_z": None}, "fixed": {"dev_len": 250}}, "dev_len is 250, which looks"),
        ({"vary": {"enter_z": (1.0, 1.5)}, "fixed": {"exit_z": 1.8}}, "enter_z is 1.5, it must be"),
    ],
)
def test_what_cannot_be_traded_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)) as error:
        space_of(strategy(), **options)
    assert "\n" not in str(error.value)
