"""Parameter files: what one part of the project writes, every other reads and accepts."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perp_imbalance.doctor.bot_checks import check_parameter_file
from perp_imbalance.doctor.findings import Level
from perp_imbalance.errors import SettingsError
from perp_imbalance.freqtrade_bridge.parameter_file import OUR_PARAMETERS, ParameterFile, _Spaces
from perp_imbalance.indicators import PRESETS, Thresholds
from perp_imbalance.strategy.parameters import OPTION_SPACES, PARAMETER_NAMES, SPACES

FILE = Path("PerpImbalance.json")
NUMBERS = st.floats(-2, 200, allow_nan=False) | st.integers(-2, 200)
VALUES = NUMBERS | st.booleans() | st.none() | st.text(max_size=2) | st.sampled_from(["zone"])
NAMES = st.sampled_from([*SPACES, "stoploss", "trailing_stop", "max_open_trades", "0", "60", "x"])


def parsed(content: Any, source: object = FILE) -> ParameterFile:
    return ParameterFile.parse(json.dumps(content), source)


def reason(content: Any, known: dict[str, list[str]] = OUR_PARAMETERS) -> str | None:
    """Return why ``preset`` refuses a file."""
    try:
        parsed(content).check_names(FILE, known)
    except SettingsError as error:
        return str(error)
    return None


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_preset_survives_the_way_through_a_file(tmp_path: Path, preset: Thresholds) -> None:
    file = tmp_path / "PerpImbalance.json"
    ParameterFile.of(preset).write(file, "PerpImbalance")
    found = ParameterFile.read(file)
    assert set(found.values) == set(PARAMETER_NAMES)
    assert replace(Thresholds(hot_z=preset.hot_z), **found.values) == preset
    content = json.loads(file.read_bytes())
    assert (content["strategy_name"], content["ft_stratparam_v"]) == ("PerpImbalance", 1)
    assert found.as_dict() == content == json.loads(found.as_text())


@given(
    st.dictionaries(
        st.sampled_from([*OUR_PARAMETERS, *OPTION_SPACES, "protection", "other"]),
        st.dictionaries(NAMES, VALUES, max_size=3),
        max_size=4,
    )
)
def test_doctor_accepts_exactly_what_preset_applies(params: dict[str, dict[str, Any]]) -> None:
    content = {"strategy_name": "PerpImbalance", "params": params}
    check = check_parameter_file(
        FILE, json.dumps(content).encode(), "PerpImbalance", OUR_PARAMETERS
    )
    refused = reason(content)
    assert (check.level is Level.OK) == (refused is None)
    if refused is None:
        assert parsed(content).params == params
        assert reason({"params": params}) is None
    else:
        assert check.message == f"{refused}; mend or delete the file"
        assert refused.startswith(f"{FILE}: ")
        assert "\n" not in refused


def test_doctor_repeats_the_warning_of_a_tuned_file() -> None:
    content = {"strategy_name": "PerpImbalance", "params": {}, "warning": "it lost"}
    check = check_parameter_file(FILE, json.dumps(content).encode(), "PerpImbalance", {})
    assert (check.level, "it lost" in check.message) == (Level.WARNING, True)


@pytest.mark.parametrize(
    "params",
    [
        # What hyperopt writes with all of its spaces, with and without a trailing stop.
        {
            "buy": {"enter_z": 2.1, "entry_mode": "flip", "use_oi": True},
            "sell": {"exit_z": 1, "max_stale_candles": 4},
            "lookback": {"len_prem": 33},
            "protection": {},
            "roi": {"0": 0.3, "60": 0},
            "stoploss": {"stoploss": -0.2},
            "trailing": {
                "trailing_stop": True,
                "trailing_stop_positive": 0.01,
                "trailing_stop_positive_offset": 0.02,
                "trailing_only_offset_is_reached": False,
            },
            "max_open_trades": {"max_open_trades": -1},
        },
        {"trailing": {"trailing_stop": False, "trailing_stop_positive": None}},
    ],
)
def test_file_of_hyperopt_is_accepted(params: dict[str, Any]) -> None:
    assert reason({"params": params}) is None
    assert parsed({"params": params}).params == params


def test_options_have_the_names_of_a_config() -> None:
    params = {"roi": {"0": 1}, "trailing": {"trailing_stop": False}, "buy": {"enter_z": 2}}
    assert parsed({"params": params}).options == {"minimal_roi": {"0": 1}, "trailing_stop": False}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", " is not valid JSON: Parse error at offset 1: Missing a name for object member."),
        ("[" * 4000, " is not valid JSON"),
        (
            '{"params": {"buy": {"enter_z": 1e999}}}',
            " is not valid JSON: Parse error at offset 31:",
        ),
        (
            {"params": {"stoploss": {"stoploss": "x"}}},
            ": stoploss.stoploss is 'x', it should be a number",
        ),
        ({"params": {"roi": {"0": "x"}}}, ": roi.0 is 'x', it should be a number"),
        ('"x"', ' has no "params" by space, as hyperopt writes it'),
        ({}, ' has no "params" by space, as hyperopt writes it'),
        ({"params": [1]}, ' has no "params" by space, as hyperopt writes it'),
        ({"params": {"buy": 1}}, ' has no "params" by space, as hyperopt writes it'),
        ({"strategy_name": 1, "params": {}}, ': "strategy_name" is 1, it must be a name'),
        (
            {"params": {"buy": {"exit_z": 0.5}}},
            ": buy.exit_z is not a parameter of PerpImbalance: kn",
        ),
        (
            {"params": {"byu": {"x": 0.5}}},
            ": byu.x is not a parameter of PerpImbalance: known are bu",
        ),
        ({"params": {"buy": {"enter_z": "2"}}}, ": buy.enter_z is '2', it must be a number"),
        ({"params": {"buy": {"enter_z": True}}}, ": buy.enter_z is True, it must be a number"),
        ({"params": {"lookback": {"bb_len": 20.5}}}, ": lookback.bb_len is 20.5, it must be a wh"),
        ({"params": {"buy": {"enter_z": 1e308}}}, ": buy.enter_z is too high, it must be at mos"),
        ({"params": {"buy": {"use_htf": 1}}}, ": buy.use_htf is 1, it must be true or false"),
        ({"params": {"buy": {"entry_mode": "flop"}}}, ": buy.entry_mode is 'flop', it should be "),
        ({"params": {"stoploss": {"stoploss": None}}}, ": stoploss.stoploss is None, it should "),
        ({"params": {"stoploss": {"stoploss": 0.2}}}, ": stoploss.stoploss is 0.2, it should be"),
        (
            {"params": {"stoploss": {"stop": -1, "stoploss": -1}}},
            ": stoploss.stop is not an option of",
        ),
        ({"params": {"roi": {"soon": 1}}}, ": roi.soon is not a number of minutes"),
        ({"params": {"roi": {"0": None}}}, ": roi.0 is None, it should be "),
        ({"params": {"trailing": {"trailing_stop": "x"}}}, ": trailing.trailing_stop is 'x', it "),
    ],
)
def test_wrong_file_is_refused_with_its_name_and_key(content: Any, message: str) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    with pytest.raises(SettingsError) as caught:
        ParameterFile.parse(text, "tuned.json").check_names("tuned.json", OUR_PARAMETERS)
    assert str(caught.value).startswith(f"tuned.json{message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "keys", [{"warning": 3}, {"tuned_on": "here"}, {"tuned_on": {"datadir": "x", "more": 1}}]
)
def test_unknown_keys_of_our_section_are_refused_in_one_line(keys: dict[str, Any]) -> None:
    found = reason({"params": {"buy": {}}} | keys)
    assert found is not None
    assert "\n" not in found
    assert next(iter(keys)) in found


def test_spaces_of_freqtrades_options_are_those_of_the_model() -> None:
    assert set(_Spaces.model_fields) == set(OPTION_SPACES)
