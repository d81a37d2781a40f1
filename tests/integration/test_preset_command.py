"""``perp-imbalance preset``: what it writes is what the strategy then trades with."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from freqtrade.enums import RunMode
from freqtrade.resolvers import StrategyResolver
from support.freqtrade import ROOT, assert_fails_in_one_line, perp_imbalance

from perp_imbalance.cli.main import EXIT_PIPE, build_parser
from perp_imbalance.errors import PerpImbalanceError, SettingsError
from perp_imbalance.indicators import PRESETS, Thresholds
from perp_imbalance.strategy.named_values import preset_said
from perp_imbalance.strategy.parameters import PARAMETER_NAMES


@pytest.fixture
def folder(folder: Path) -> Path:
    """A folder with config, strategies and ``user_data``, as a trader has it."""
    shutil.copytree(
        ROOT / "strategies",
        folder / "strategies",
        ignore=shutil.ignore_patterns("__pycache__", "*.json"),
    )
    return folder


def loaded(folder: Path, name: str = "PerpImbalance") -> Any:
    strategy: Any = StrategyResolver.load_strategy(
        {
            **{"strategy": name, "strategy_path": str(folder / "strategies")},
            **{"user_data_dir": folder / "user_data", "runmode": RunMode.BACKTEST},
            **{"trading_mode": "futures", "timeframe": "1h"},
        }
    )
    strategy.ft_bot_start()
    return strategy


def traded_with(folder: Path, name: str = "PerpImbalance") -> Thresholds:
    thresholds: Thresholds = loaded(folder, name).thresholds()
    return thresholds


def apply(folder: Path, params: Any, *options: str) -> Path:
    """Apply a parameter file in this process; return where the strategy's own is then."""
    file = folder / "part.json"
    file.write_text(json.dumps({"strategy_name": "X", "params": params}))
    parsed = build_parser().parse_args(["preset", "apply", "part.json", *options])
    assert parsed.run(parsed) == 0
    return folder / "strategies" / f"{parsed.strategy}.json"


def values(thresholds: Thresholds) -> dict[str, Any]:
    return {name: getattr(thresholds, name) for name in PARAMETER_NAMES}


@pytest.mark.parametrize("name", PRESETS)
def test_applied_preset_is_what_the_strategy_trades_with(folder: Path, name: str) -> None:
    process = perp_imbalance("preset", "apply", name, cwd=folder)
    assert process.returncode == 0, process.stderr
    assert process.stdout.startswith(f"PerpImbalance now trades with {name}: ")
    assert values(traded_with(folder)) == values(PRESETS[name])
    # Parameter files have no sides.
    assert ('set "sides": ["long"] in the config' in process.stdout) == (name == "deep_discount")


def test_tuned_file_is_kept_unless_told_otherwise(folder: Path) -> None:
    file = folder / "strategies" / "PerpImbalance.json"
    tuned = {
        "strategy_name": "PerpImbalance",
        "params": {"buy": {"enter_z": 2.7}, "roi": {"0": 100}, "stoploss": {"stoploss": -0.1}},
    }
    file.write_text(json.dumps(tuned))
    process = perp_imbalance("preset", "apply", "aggressive", cwd=folder)
    assert_fails_in_one_line(process, "PerpImbalance.json exists already: keep a copy, then")
    assert json.loads(file.read_text()) == tuned
    assert perp_imbalance("preset", "apply", "aggressive", "--force", cwd=folder).returncode == 0
    assert traded_with(folder).enter_z == PRESETS["aggressive"].enter_z
    assert list(file.parent.glob("*part*")) == []


def test_parameter_file_applies_to_another_strategy(folder: Path) -> None:
    found = folder / "winner.json"
    buy = {"enter_z": 2.7, "use_htf": True, "entry_mode": "flip"}
    found.write_text(json.dumps({"strategy_name": "X", "params": {"buy": buy}}))
    arguments = ("preset", "apply", "winner.json", "--strategy", "PerpImbalanceConservative")
    assert perp_imbalance(*arguments, cwd=folder).returncode == 0
    thresholds = traded_with(folder, "PerpImbalanceConservative")
    assert (thresholds.enter_z, thresholds.use_htf) == (2.7, True)
    assert thresholds.len_prem == PRESETS["conservative"].len_prem
    shown = perp_imbalance("preset", "show", "winner.json", "--json", cwd=folder)
    assert json.loads(shown.stdout) == buy
    written = json.loads((folder / "strategies" / "PerpImbalanceConservative.json").read_text())
    assert written["params"]["buy"]["entry_mode"] == "flip"
    assert "sell" not in written["params"]


def test_stoploss_and_roi_of_a_tuned_file_come_with_it(folder: Path) -> None:
    """What was tested is what the bot trades with."""
    beside = {
        "stoploss": {"stoploss": -0.213},
        "roi": {"0": 0.3, "60": 0.1},
        "trailing": {"trailing_stop": False},
        "max_open_trades": {"max_open_trades": 2},
    }
    params = {"buy": {"enter_z": 2.7}, **beside}
    (folder / "winner.json").write_text(json.dumps({"strategy_name": "X", "params": params}))
    process = perp_imbalance("preset", "apply", "winner.json", cwd=folder)
    assert process.returncode == 0, process.stderr
    strategy = loaded(folder)
    assert (strategy.stoploss, strategy.max_open_trades) == (-0.213, 2)
    assert strategy.minimal_roi == {0: 0.3, 60: 0.1}
    assert traded_with(folder).enter_z == 2.7
    shown = json.loads(perp_imbalance("preset", "show", "winner.json", "--json", cwd=folder).stdout)
    assert (shown["stoploss"], shown["minimal_roi"]) == (-0.213, beside["roi"])


def test_part_of_the_values_leaves_the_others_to_the_strategy(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the same file does when it is laid beside the strategy by hand."""
    monkeypatch.chdir(folder)
    name = "PerpImbalanceAggressive"
    params = {"buy": {"enter_z": 1.4}}
    file = folder / "strategies" / f"{name}.json"
    file.write_text(json.dumps({"strategy_name": name, "params": params}))
    by_hand = traded_with(folder, name)
    # Nor has what it replaces a say in it.
    file.write_text(json.dumps({"strategy_name": name, "params": {"lookback": {"len_prem": 99}}}))
    assert apply(folder, params, "--strategy", name, "--force") == file
    assert traded_with(folder, name) == by_hand == replace(PRESETS["aggressive"], enter_z=1.4)
    said = capsys.readouterr().out
    assert f"Not in part.json, kept from {name}: exit_z 0.7, bb_k 1.0, " in said
    assert "len_prem 25, " in said
    shown = build_parser().parse_args(["preset", "show", "part.json"])
    shown.run(shown)
    assert capsys.readouterr().out.split() == ["part.json", "enter_z", "1.4"]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "part.json has no value of any parameter"),
        ({"buy": {}, "roi": {}}, "part.json has no value of any parameter"),
        (
            {"stoploss": {"stoploss": 0.2}},
            "stoploss.stoploss is 0.2, it should be less than 0",
        ),
        ({"stoploss": {"stoploss": None}}, "part.json: stoploss.stoploss is None, it should be a"),
        (
            {"stoploss": {"stop": -0.2}},
            "part.json: stoploss.stop is not an option of freqtrade: known",
        ),
        ({"roi": {"0": "x"}}, "part.json: roi.0 is 'x', it should be a number"),
        ({"roi": {"soon": 0.1}}, "part.json: roi.soon is not a number of minutes"),
        (
            {"trailing": {"trailing_stop": True, "trailing_stop_positive": 0}},
            "The config trailing_stop_positive needs to be different from 0",
        ),
        ({"max_open_trades": {"max_open_trades": "x"}}, "max_open_trades.max_open_trades is 'x'"),
        (
            {"buy": {"exit_z": 0.5}},
            "part.json: buy.exit_z is not a parameter of PerpImbalance: known",
        ),
        ({"byu": {"enter_z": 2.0}}, "part.json: byu.enter_z is not a parameter of PerpImbalance"),
        ({"buy": {"enter_z": "2"}}, "part.json: buy.enter_z is '2', it must be a number"),
        ({"sell": {"exit_z": 1.9}}, "enter_z is 1.7, it must be above exit_z (1.9) (part.json for"),
        ({"lookback": {"bb_len": 600}}, "look back 600 candles, at most 209 fit into the candles"),
    ],
)
def test_unusable_parameter_file_is_refused_unwritten(
    folder: Path, monkeypatch: pytest.MonkeyPatch, params: dict[str, Any], message: str
) -> None:
    monkeypatch.chdir(folder)
    # freqtrade would put these in place of the file's, until they are taken out.
    config = json.loads((folder / "config.json").read_text())
    config |= {"stoploss": -0.3, "trailing_stop": False}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(PerpImbalanceError, match=re.escape(message)) as error:
        apply(folder, params)
    assert "\n" not in str(error.value)
    assert list(folder.glob("strategies/*.json*")) == []


def test_overridden_max_open_trades_is_accepted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit of none with all of the wallet as the stake: freqtrade starts, for the config's."""
    monkeypatch.chdir(folder)
    trailing = {"trailing_stop": False, "trailing_stop_positive": None}
    params = {"max_open_trades": {"max_open_trades": -1}, "trailing": trailing}
    assert json.loads(apply(folder, params).read_text())["params"] == params


@pytest.mark.parametrize(
    ("words", "params"),
    [
        (
            ["enter_z=2.2", "use_sigma=yes"],
            {"buy": {"enter_z": 2.2, "use_sigma": True}},
        ),
        (
            ["exit_z=1", "len_prem=80", "use_htf=off", "entry_mode=flip", "stoploss=-0.2"],
            {
                "sell": {"exit_z": 1},
                "lookback": {"len_prem": 80},
                "buy": {"use_htf": False, "entry_mode": "flip"},
                "stoploss": {"stoploss": -0.2},
            },
        ),
    ],
)
def test_typed_values_are_what_the_strategy_trades_with(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    params: dict[str, Any],
) -> None:
    monkeypatch.chdir(folder)
    parsed = build_parser().parse_args(["preset", "apply", *words, "--strategy", "PerpImbalance"])
    assert parsed.run(parsed) == 0
    file = folder / "strategies" / "PerpImbalance.json"
    assert json.loads(file.read_text())["params"] == params
    strategy = loaded(folder)
    for values in params.values():
        for name, value in values.items():
            assert getattr(getattr(strategy, name), "value", strategy.stoploss) == value
    said = capsys.readouterr().out
    assert f"PerpImbalance now trades with {' '.join(words)}: " in said
    assert said.endswith("Next: perp-imbalance backtest --strategy-list PerpImbalance\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["enter_z=x"], "enter_z=x: buy.enter_z is 'x', it must be a number"),
        (["enter_z=1", "use_sigma=2"], "buy.use_sigma is 2, it must be true or false"),
        (["len_prem=2.5"], "lookback.len_prem is 2.5, it must be a whole number"),
        (["enter=2"], "enter is not a parameter: known are enter_z, exit_z"),
        (["enter_z=2", "enter_z=3"], "enter_z is given twice: 2 and 3"),
        (["enter_z="], "'enter_z=' is not a value: write NAME=VALUE, such as enter_z=2.2"),
        (["balanced", "enter_z=2"], "'balanced' is not a value: write NAME=VALUE"),
        (["enter_z=0.5"], "enter_z is 0.5, it must be above exit_z (0.9) (enter_z=0.5 for Perp"),
        (["bb_len=600"], "look back 600 candles, at most 209 fit into the candles"),
        (["stoploss=3"], "stoploss.stoploss is 3, it should be less than 0"),
    ],
)
def test_invalid_typed_value_is_refused_unwritten(
    folder: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    monkeypatch.chdir(folder)
    parsed = build_parser().parse_args(["preset", "apply", *words])
    with pytest.raises(PerpImbalanceError, match=re.escape(message)) as error:
        parsed.run(parsed)
    assert "\n" not in str(error.value)
    assert list(folder.glob("strategies/*.json*")) == []


def test_warning_of_a_tuned_file_is_printed_and_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    tuned_on = {"datadir": "a b", "timeframe": "1h", "pairs": ["X/Y:Y"], "timerange": "2025-"}
    keys = {"warning": "tuned thresholds: it lost", "tuned_on": tuned_on}
    params = {"params": {"buy": {"enter_z": 2.7}}}
    (folder / "tuned.json").write_text(json.dumps(params | keys))
    parsed = build_parser().parse_args(["preset", "apply", "tuned.json", "-c", "config.json"])
    assert parsed.run(parsed) == 0
    said = capsys.readouterr().out
    assert "Warning: tuned thresholds: it lost\n" in said
    assert said.endswith(
        "Next: perp-imbalance backtest --strategy-list PerpImbalance -c config.json --datadir "
        "'a b' --timeframe 1h --timerange 2025- --pairs X/Y:Y\n"
    )
    written = json.loads((folder / "strategies" / "PerpImbalance.json").read_text())
    assert keys.items() <= written.items()
    # freqtrade reads around both.
    assert traded_with(folder).enter_z == 2.7


@pytest.mark.parametrize(
    "there", ['{"strategy_name": "Foreign", "params": {"buy": {}}}', "{broken"]
)
def test_foreign_file_is_replaced_only_with_force(
    folder: Path, monkeypatch: pytest.MonkeyPatch, there: str
) -> None:
    monkeypatch.chdir(folder)
    file = folder / "strategies" / "PerpImbalance.json"
    file.write_text(there)
    message = r"strategies/PerpImbalance.json exists already: .* replace it with --force"
    with pytest.raises(PerpImbalanceError, match=message):
        apply(folder, {"buy": {"enter_z": 2.7}})
    assert file.read_text() == there
    apply(folder, {"buy": {"enter_z": 2.7}}, "--force")
    assert traded_with(folder).enter_z == 2.7


def test_list_has_every_preset_for_people_and_for_machines(folder: Path) -> None:
    listed = json.loads(perp_imbalance("preset", "list", "--json", cwd=folder).stdout)
    sides = {name: found.pop("sides") for name, found in listed.items()}
    assert {name: Thresholds(**found) for name, found in listed.items()} == PRESETS
    assert [name for name, of in sides.items() if of != ["long", "short"]] == ["deep_discount"]
    assert sides["deep_discount"] == ["long"]
    text = perp_imbalance("preset", "list", cwd=folder).stdout
    assert text.split()[: len(PRESETS)] == list(PRESETS)
    assert re.search(r"^enter_z +2\.0 +1\.7 +1\.3 +1\.7$", text, re.MULTILINE)


def test_closed_pipe_is_not_an_error(folder: Path) -> None:
    code = "from perp_imbalance.cli.main import run; run()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "preset", "list", "--json"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout
    # Long before the other end is written to: Python needs a while to start.
    process.stdout.close()
    assert process.stderr
    assert process.stderr.read() == b""
    assert process.wait() == EXIT_PIPE


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "bold"], "there is no preset and no parameter file bold: presets are conservat"),
        (["apply", "balanced", "--strategy", "Nope"], "there is no strategy strategies/Nope.py"),
        (
            ["apply", "conservative", "--strategy", "RsiWithImbalance"],
            "RsiWithImbalance has no parameter enter_z: a preset is for PerpImbalance",
        ),
        (["show", "config.json"], 'config.json has no "params" by space, as hyperopt writes it'),
    ],
)
def test_wrong_name_is_refused_in_one_line(
    folder: Path, arguments: list[str], message: str
) -> None:
    assert_fails_in_one_line(perp_imbalance("preset", *arguments, cwd=folder), message)


def test_message_names_the_preset_that_the_values_are() -> None:
    balanced, aggressive = PRESETS["balanced"], PRESETS["aggressive"]
    for found, said in (
        (balanced, "balanced"),
        # Neither is of the preset: a switch of the config, and what is drawn only.
        (replace(balanced, use_funding=True, hot_z=2.0), "balanced"),
        # Applied to the strategy of another preset.
        (replace(aggressive, hot_z=balanced.hot_z), "aggressive"),
        (replace(balanced, enter_z=2.2), "balanced, tuned"),
    ):
        assert preset_said(found, "balanced") == said


def test_subclass_with_a_fixed_value_keeps_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    (folder / "strategies" / "MyOwn.py").write_text(
        "from freqtrade.strategy import IntParameter\nfrom PerpImbalance import PerpImbalance\n"
        "class MyOwn(PerpImbalance):\n    enter_z = 3.0\n"
        '    cooldown = IntParameter(1, 9, default=2, space="protection")\n'
    )
    params = {"buy": {"enter_z": 2.0, "bb_k": 1.5}, "protection": {"cooldown": 5}}
    apply(folder, params, "--strategy", "MyOwn")
    assert "Fixed by MyOwn, unlike in part.json: enter_z 3.0\n" in capsys.readouterr().out
    strategy = loaded(folder, "MyOwn")
    assert (strategy.enter_z.value, strategy.bb_k.value, strategy.cooldown.value) == (3.0, 1.5, 5)
    with pytest.raises(
        SettingsError, match=r"part.json: protection.cooldown is not a parameter of"
    ):
        apply(folder, params)
