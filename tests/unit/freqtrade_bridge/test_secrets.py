"""Secrets stay out of what is written and said; weak ones are refused."""

import json
import re
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
from freqtrade.configuration.config_secrets import _SENSITIVE_KEYS
from freqtrade.configuration.config_validation import validate_config_schema
from freqtrade.exceptions import ConfigurationError
from support.freqtrade import CONFIG

from perp_imbalance.errors import DataError, PerpImbalanceError, SettingsError
from perp_imbalance.freqtrade_bridge import secrets
from perp_imbalance.freqtrade_bridge.config import load_config
from perp_imbalance.freqtrade_bridge.secrets import (
    can_be_guessed,
    check_secrets,
    is_secret,
    redact,
    redact_result,
    refusal,
    without_secrets,
)

#: What must appear nowhere.
HIDDEN = "h1dden-Va1ue"
STRONG = "9f8d2c1b7a6e5d4c3b2a19f8e7d6c5b4a3f2e1d0"

CONFIGS: list[dict[str, Any]] = [
    {"api_server": {"jwt_secret_key": HIDDEN}},
    {"api_server": {"ws_token": [HIDDEN, HIDDEN]}},
    {"exchange": {"ccxt_config": {"headers": {"X-Mine": HIDDEN}}}},
    {"exchange": {"ccxt_async_config": {"aiohttp_proxy": f"http://me:{HIDDEN}@proxy:3128"}}},
    {"exchange": {"ccxt_config": {"httpsProxy": f"http://{HIDDEN}@proxy"}}},
    {"exchange": {"ccxt_sync_config": {"apiKey": HIDDEN, "options": {"privateKey": HIDDEN}}}},
    {"exchange": {"key": HIDDEN, "secret": HIDDEN}},
    {"external_message_consumer": {"producers": [{"name": "a", "ws_token": HIDDEN}]}},
    {"pairlists": [{"method": "RemotePairList", "bearer_token": HIDDEN}]},
    {"pairlists": [{"pairlist_url": f"https://host/list?api_key={HIDDEN}&page=1"}]},
    {"db_url": f"postgresql://bot:{HIDDEN}@localhost/trades"},
]


@pytest.mark.parametrize("config", CONFIGS)
def test_secrets_are_struck_out_wherever_they_stand(config: dict[str, Any]) -> None:
    redacted, _ = redact(config)
    assert HIDDEN in json.dumps(config)
    assert HIDDEN not in json.dumps(redacted)
    assert HIDDEN not in json.dumps(without_secrets(config))


def test_every_key_that_freqtrade_calls_sensitive_is_known() -> None:
    names = {key.rpartition(".")[2] for key in _SENSITIVE_KEYS} - {"url"}
    assert {name for name in names if not is_secret(name)} == set()


def test_settings_that_are_not_secrets_stay() -> None:
    config = json.loads(CONFIG.read_text("utf-8")) | {
        "pairlists": [{"method": "VolumePairList", "sort_key": "quoteVolume"}],
    }
    redacted, found = redact(config)
    assert found == []
    assert redacted["pairlists"] == config["pairlists"]
    assert redacted["exchange"]["ccxt_config"] == config["exchange"]["ccxt_config"]


def result_file(folder: Path, config: dict[str, Any]) -> Path:
    file = folder / "backtest-result-1.zip"
    with ZipFile(file, "w", ZIP_DEFLATED) as archive:
        archive.writestr(f"{file.stem}.json", '{"strategy": {}}')
        archive.writestr(f"{file.stem}_config.json", json.dumps(config))
        archive.writestr(f"{file.stem}_Mine.py", "code")
    return file


def test_result_is_rewritten_without_its_secrets(tmp_path: Path) -> None:
    config = {"api_server": {"jwt_secret_key": HIDDEN, "ws_token": HIDDEN}, "timeframe": "1h"}
    file = result_file(tmp_path, config)
    assert redact_result(file) == ["api_server.jwt_secret_key", "api_server.ws_token"]
    with ZipFile(file) as archive:
        texts = {name: archive.read(name).decode() for name in archive.namelist()}
    assert HIDDEN not in "".join(texts.values())
    assert texts[f"{file.stem}_Mine.py"] == "code"
    assert json.loads(texts[f"{file.stem}_config.json"])["timeframe"] == "1h"
    # There is nothing left to strike out.
    assert redact_result(file) == []
    assert list(tmp_path.iterdir()) == [file]


def test_file_that_is_not_a_zip_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "result.zip"
    file.write_text("text")
    with pytest.raises(DataError, match=re.escape(f"{file} cannot be read")):
        redact_result(file)


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"exchange": {"key": [HIDDEN]}}, "exchange.key"),
        ({"exchange": {"secret": {"a": HIDDEN}}}, "wrong type"),
        ({"exchange": {"ccxt_config": HIDDEN}}, "exchange.ccxt_config: its value is not of type"),
        ({"exchange": {"pair_whitelist": HIDDEN}}, "exchange.pair_whitelist: its value is not"),
        ({"api_server": {"enabled": HIDDEN}}, "api_server.enabled: its value is not of type"),
        ({"telegram": {"topic_id": 5, "enabled": HIDDEN}}, "telegram."),
        ({"exchange": HIDDEN}, "exchange"),
        ({"exchange": [HIDDEN]}, "exchange"),
        ({"telegram": {"enabled": True, "token": [HIDDEN], "chat_id": "1"}}, "telegram.token"),
        ({"telegram": {"enabled": "no", "token": HIDDEN, "chat_id": "1"}}, "telegram.enabled"),
        ({"api_server": [{"password": HIDDEN}]}, "api_server"),
        ({"api_server": {"enabled": True, "password": HIDDEN}}, "api_server"),
    ],
)
def test_schema_error_names_the_place_and_no_secret(
    tmp_path: Path, settings: dict[str, Any], place: str
) -> None:
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(settings), encoding="utf-8")
    with pytest.raises(PerpImbalanceError) as refused:
        load_config([CONFIG, file])
    said = str(refused.value)
    assert HIDDEN not in said
    assert place in said
    assert "\n" not in said


def test_number_among_the_variables_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    # freqtrade makes a number of a variable that looks like one, which its schema then refuses.
    monkeypatch.setenv("FREQTRADE__EXCHANGE__KEY", "70707070")
    with pytest.raises(
        PerpImbalanceError, match=r"^exchange\.key: its value is not of type"
    ) as refused:
        load_config([CONFIG])
    assert "70707070" not in str(refused.value)


def test_other_values_are_named() -> None:
    with pytest.raises(ConfigurationError) as refused:
        validate_config_schema({**json.loads(CONFIG.read_text("utf-8")), "max_open_trades": "x"})
    assert refusal(refused.value).startswith("max_open_trades: 'x' is not of type")


@pytest.mark.parametrize(
    "password",
    [
        *("short", "x" * 40, "ab" * 20, "hunter2hunter2", "qwertyuiop[]", "1234567890123456"),
        *("poiuytrewq0987654321", "asdfghjklasdfghjkl", "abcdefghijklmnop", "Summer2025Summer2025"),
        *("SuperSecurePassword", "freqtrader-at-home", "aaaaaaaaaaaaB1x9Zk"),
    ],
)
def test_password_that_can_be_guessed_is_refused(password: str) -> None:
    config = {"enabled": True, "password": password, "jwt_secret_key": STRONG}
    with pytest.raises(SettingsError, match="FREQTRADE__API_SERVER__PASSWORD") as refused:
        check_secrets({"api_server": config})
    assert password == "short" or password not in str(refused.value)
    check_secrets({"api_server": {**config, "enabled": False}})
    check_secrets({"api_server": {**config, "password": "Xk2:9dQm_vR7tz"}})


def test_weak_token_of_the_websocket_is_refused() -> None:
    config = {"enabled": True, "password": STRONG, "jwt_secret_key": STRONG}
    check_secrets({"api_server": {**config, "ws_token": STRONG[:30]}})
    with pytest.raises(SettingsError, match="ws_token"):
        check_secrets({"api_server": {**config, "ws_token": [STRONG, "secret_ws_t0ken."]}})


def test_random_secrets_pass() -> None:
    import secrets as random_secrets

    for _ in range(300):
        assert not can_be_guessed(random_secrets.token_hex(32), 32)
        assert not can_be_guessed(random_secrets.token_urlsafe(25), 24)


@pytest.mark.parametrize("text", ["super-secret", "somethingRandom", "SuperSecurePassword"])
def test_examples_of_freqtrade_are_known(text: str) -> None:
    assert can_be_guessed(f"{text}{STRONG}", 12)
    assert secrets.REDACTED not in text
