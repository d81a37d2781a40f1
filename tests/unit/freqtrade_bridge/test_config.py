"""Options win over files and environment; variables that no option touches keep working."""

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from freqtrade.enums import RunMode

from perp_imbalance.errors import BridgeError
from perp_imbalance.freqtrade_bridge.config import (
    ConfigFiles,
    complete_config,
    config_file,
    load_config,
    merged_config,
)
from perp_imbalance.freqtrade_bridge.exchange import pair_taker_fee, taker_fee
from perp_imbalance.freqtrade_bridge.process import child_environment
from perp_imbalance.freqtrade_bridge.strategies import (
    PROJECT_STRATEGIES,
    check_strategies,
    strategy_folder,
)


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "EXCHANGE__PAIR_WHITELIST": '["DOGE/USDT:USDT"]',
        "EXCHANGE__CCXT_CONFIG__httpsProxy": "http://proxy.invalid",
        "PERP_IMBALANCE__HTF_TIMEFRAME": "1d",
        "TIMEFRAME": "5m",
        "STRATEGY": "Other",
        "MAX_OPEN_TRADES": "7",
    }.items():
        monkeypatch.setenv(f"FREQTRADE__{name}", value)


@pytest.mark.usefixtures("variables")
def test_overlay_outranks_variables_and_they_outrank_files(tiny_config: Path) -> None:
    overlay: dict[str, Any] = {"timeframe": "1h", "exchange": {"pair_whitelist": ["A/B:B"]}}
    for config in (
        merged_config([tiny_config], overlay),
        load_config([tiny_config], overlay=overlay),
    ):
        assert config["timeframe"] == "1h"
        assert config["exchange"]["pair_whitelist"] == ["A/B:B"]
        assert config["max_open_trades"] == 7
        assert config["exchange"]["ccxt_config"]["httpsProxy"] == "http://proxy.invalid"


def test_settings_of_config_files_outrank_all_but_the_overlay(
    tiny_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    other = tmp_path / "other.json"
    other.write_text('{"user_data_dir": "/nowhere", "strategy_path": "/nowhere"}')
    monkeypatch.setenv("FREQTRADE__USER_DATA_DIR", "/elsewhere")
    monkeypatch.setenv("FREQTRADE__STRATEGY_PATH", "/elsewhere")
    monkeypatch.chdir(tmp_path)
    files = ConfigFiles([tiny_config, other], {"user_data_dir": "mine", "strategy_path": "own"})
    config = load_config(files)
    # As paths they do not depend on the folder that freqtrade is run in.
    assert config["user_data_dir"] == tmp_path / "mine"
    assert strategy_folder(config) == tmp_path / "own"
    assert config["exportdirectory"] == tmp_path / "mine" / "backtest_results"
    assert merged_config(files, {"strategy_path": "copy"})["strategy_path"] == "copy"
    assert files.words[-4:] == ["--userdir", "mine", "--strategy-path", "own"]


@pytest.mark.usefixtures("variables")
def test_options_of_freqtrade_outrank_variables(tiny_config: Path) -> None:
    config = load_config([tiny_config], runmode=RunMode.PLOT, strategy="Mine", timeframe="4h")
    assert (config["strategy"], config["timeframe"]) == ("Mine", "4h")


@pytest.mark.usefixtures("variables")
def test_complete_config_takes_nothing_of_the_environment(tiny_config: Path) -> None:
    raw = json.loads(tiny_config.read_text("utf-8"))
    config = complete_config(raw)
    assert config["timeframe"] == raw["timeframe"]
    assert config["max_open_trades"] == raw["max_open_trades"]
    assert config["original_config"]["exchange"] == raw["exchange"]
    # They are there again, for what else this process does.
    assert os.environ["FREQTRADE__TIMEFRAME"] == "5m"


@pytest.mark.usefixtures("variables")
def test_children_get_no_variables_and_local_ones_no_proxies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.invalid")
    monkeypatch.setenv("all_proxy", "http://proxy.invalid")
    assert not any(name.startswith("FREQTRADE__") for name in child_environment())
    assert "HTTPS_PROXY" in child_environment()
    assert not {"HTTPS_PROXY", "all_proxy"} & {*child_environment(proxies=False)}


def test_config_file_is_for_this_user_and_gone_afterwards() -> None:
    with config_file({"exchange": {"secret": "x"}}) as file:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert not file.parent.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no config file"),
        ("[]", "a config is a single JSON object"),
        ("null", "a config is a single JSON object"),
        ("5", "a config is a single JSON object"),
        ('{"a": ', "Parse error"),
        ('{"a": NaNa}', "Parse error"),
    ],
)
def test_unreadable_config_is_one_line(content: str | None, message: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(BridgeError, match=message) as refused:
        merged_config([file])
    assert "mine.json" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_folder_named_as_config_is_reported_as_a_folder(tmp_path: Path) -> None:
    with pytest.raises(BridgeError, match="is a folder, and a config is a file: name one with -c"):
        merged_config([tmp_path])


def test_wrong_type_deep_in_a_section_is_named(tiny_config: Path) -> None:
    section = {"external_message_consumer": {"enabled": True, "producers": "x"}}
    with pytest.raises(BridgeError, match=r"^external_message_consumer\.producers has the wrong"):
        load_config([tiny_config], overlay=section)


def test_variable_that_does_not_fit_the_config_is_one_line(
    tiny_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FREQTRADE__TIMEFRAME__HIGHER", "4h")
    with pytest.raises(BridgeError, match="a variable of the environment does not fit"):
        merged_config([tiny_config])


def test_add_config_files_are_merged_relative_to_their_file(tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    (folder / "part.json").write_text('{"timeframe": "4h"}')
    main = tmp_path / "main.json"
    main.write_text('{"add_config_files": ["parts/part.json"], "max_open_trades": 2}')
    assert merged_config([main]) == {"timeframe": "4h", "max_open_trades": 2}


@pytest.mark.usefixtures("variables")
def test_variables_are_read_without_a_log(
    tiny_config: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        merged_config([tiny_config])
    assert not caplog.records


def test_unknown_strategy_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "Broken.py").write_text("class Broken(")
    config: dict[str, Any] = {"user_data_dir": tmp_path / "x", "strategy_path": str(tmp_path)}
    check_strategies(["Broken", "Mine:Y2xhc3M="], config)
    check_strategies(["PerpImbalance"], {"user_data_dir": tmp_path})
    with pytest.raises(
        BridgeError, match=r"^there is no strategy Nobody in .*; available: PerpImb"
    ):
        check_strategies(["PerpImbalance", "Nobody"], {"user_data_dir": tmp_path})


def test_strategy_folder_is_found_by_one_rule(tmp_path: Path) -> None:
    config: dict[str, Any] = {"user_data_dir": tmp_path}
    assert strategy_folder(config) == PROJECT_STRATEGIES
    own = tmp_path / "strategies"
    own.mkdir()
    (own / "Mine.py").touch()
    assert strategy_folder(config, "Mine") == own
    assert strategy_folder(config) == PROJECT_STRATEGIES
    assert strategy_folder({**config, "strategy_path": "there"}, "Mine") == Path("there")


@pytest.mark.parametrize(
    ("exchange", "fee"),
    [
        *(("binance", 0.0005), ("binanceusdm", 0.0005), ("bybit", 0.0006), ("okx", 0.0005)),
        *(("gate", 0.0005), ("bitget", 0.0006), ("hyperliquid", 0.00045), ("nowhere", None)),
    ],
)
def test_taker_fee_is_that_of_linear_perps(exchange: str, fee: float | None) -> None:
    assert taker_fee(exchange) == fee


class FreeExchange:
    """Answers 0, as freqtrade does by a config's fee, or where none is known."""

    def get_fee(self, pair: str, taker_or_maker: str) -> float:
        return 0


@pytest.mark.parametrize(
    ("config", "fee"),
    [
        ({"dry_run": True, "fee": 0.0}, 0.0),
        ({"dry_run": True, "fee": None}, 0.001),
        ({"dry_run": True}, 0.001),
        # Of a bot that trades money, freqtrade does not ask the config.
        ({"dry_run": False, "fee": 0.0}, 0.001),
    ],
)
def test_fee_of_zero_counts_where_the_config_names_it(config: dict[str, Any], fee: float) -> None:
    assert pair_taker_fee(FreeExchange(), "BTC/USDT:USDT", config) == fee
