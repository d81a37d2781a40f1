"""What deploys the bot works as far as it can be tried without Docker and systemd."""

import importlib.util
import json
import os
import re
import secrets
import shutil
import string
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

import pytest
from freqtrade.config_schema import CONF_SCHEMA
from freqtrade.configuration import validate_config_consistency
from freqtrade.configuration.environment_vars import environment_vars_to_dict
from freqtrade.configuration.load_config import load_from_files
from freqtrade.enums import RPCMessageType, RunMode
from freqtrade.exceptions import ConfigurationError
from freqtrade.misc import deep_merge_dicts
from freqtrade.resolvers import StrategyResolver
from freqtrade.rpc import rpc_types
from support.deployment import Image, compose, dockerfile, env_example, without_options
from support.freqtrade import CONFIG, ROOT

from perp_imbalance.errors import SettingsError

EXAMPLES = sorted(path.name for path in (ROOT / "config").glob("*.example.json"))
FRAGMENTS = {
    "telegram.example.json": "FREQTRADE__TELEGRAM__",
    "webhook.example.json": "FREQTRADE__WEBHOOK__",
    "api-server.example.json": "FREQTRADE__API_SERVER__",
}
STRATEGIES = sorted(path.stem for path in (ROOT / "strategies").glob("*.py"))
SAMPLE = secrets.token_hex(32)
MESSAGES = {
    "strategy_msg": rpc_types.RPCStrategyMsg,
    "startup": rpc_types.RPCStatusMsg,
    "status": rpc_types.RPCStatusMsg,
    "warning": rpc_types.RPCStatusMsg,
    "exception": rpc_types.RPCStatusMsg,
    "entry_fill": rpc_types.RPCEntryMsg,
    "entry_cancel": rpc_types.RPCCancelMsg,
    "exit_fill": rpc_types.RPCExitMsg,
    "exit_cancel": rpc_types.RPCExitCancelMsg,
    "protection_trigger": rpc_types.RPCProtectionMsg,
    "protection_trigger_global": rpc_types.RPCProtectionMsg,
    "liquidation_warning": rpc_types.RPCLiquidationWarningMsg,
}


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The image's steps in a clean virtual environment, with what compose mounts."""
    built = Image(tmp_path_factory.mktemp("image"))
    built.build()
    built.mount(compose("docker-compose.yml")["volumes"])
    return built


@pytest.fixture(scope="module")
def start() -> ModuleType:
    """The file that the image and the systemd unit start the bot with."""
    spec = importlib.util.spec_from_file_location("start", ROOT / "deploy" / "start.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def setenv(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set variables of .env, with no others of freqtrade's around."""
    for name in os.environ:
        if name.startswith("FREQTRADE__"):
            monkeypatch.delenv(name)

    def set_variables(*names: str, value: str = SAMPLE) -> None:
        for name in names:
            monkeypatch.setenv(name, value)

    return set_variables


def merged(*names: str) -> dict[str, Any]:
    """Return config.json, files of config/ and the environment as freqtrade merges them."""
    files = [str(CONFIG), *(str(ROOT / "config" / name) for name in names)]
    config: dict[str, Any] = deep_merge_dicts(environment_vars_to_dict(), load_from_files(files))
    return config


def validate(config: dict[str, Any]) -> None:
    """Validate as freqtrade does before it trades; the strategy has set its own by then."""
    ours = {"runmode": RunMode.LIVE, "stoploss": -0.1, "minimal_roi": {"0": 100}}
    validate_config_consistency({**config, **ours})


def variables(prefix: str) -> list[str]:
    return [line["name"] for line in env_example() if line["name"].startswith(prefix)]


# The image


def test_image_is_of_the_pinned_freqtrade() -> None:
    tag = dict(dockerfile())["FROM"].partition(":")[2]
    assert f"freqtrade=={tag}" in (ROOT / "requirements.txt").read_text("utf-8").splitlines()


def test_docker_is_given_what_it_copies_and_nothing_else() -> None:
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    patterns = [line for line in lines if not line.startswith("#")]
    copied = {
        source
        for name, rest in dockerfile()
        if name == "COPY"
        for source in without_options(rest)[:-1]
    }
    assert patterns[0] == "*"
    assert {line[1:] for line in patterns if line.startswith("!")} == copied


@pytest.mark.freqtrade
def test_image_has_the_package_and_all_strategies(image: Image) -> None:
    where = image.run(["python", "-c", "import perp_imbalance as p; print(p.__file__)"])
    assert Path(where.stdout.strip()).is_relative_to(image.venv), where
    listed = image.start("list-strategies", "--config", "config.json", "-1")
    assert sorted(listed.stdout.split()) == STRATEGIES, listed
    help_text = image.run(["perp-imbalance", "--help"])
    assert help_text.returncode == 0, help_text.stderr


@pytest.mark.freqtrade
def test_image_merges_the_live_example_over_the_config(image: Image) -> None:
    shown = image.start(
        *("show-config", "--config", "config.json", "--config", "config/live.example.json"),
        environment={"FREQTRADE__EXCHANGE__API_KEY": SAMPLE, "FREQTRADE__EXCHANGE__SECRET": SAMPLE},
    )
    config = json.loads(shown.stdout[shown.stdout.index("{") :])
    own = json.loads((ROOT / "config" / "live.example.json").read_text("utf-8"))
    base = json.loads(CONFIG.read_text("utf-8"))
    assert own["dry_run"] is False
    assert {name: config[name] for name in own} == own
    assert config["margin_mode"] == base["margin_mode"] == "isolated"
    assert config["exchange"]["api_key"] == "REDACTED"
    assert config["exchange"]["ccxt_config"] == base["exchange"]["ccxt_config"]
    assert SAMPLE not in shown.stdout + shown.stderr


@pytest.mark.freqtrade
def test_image_does_not_start_with_an_empty_password(image: Image) -> None:
    empty = dict.fromkeys(variables("FREQTRADE__API_SERVER__"), "")
    configs = ("--config", "config.json", "--config", "config/api-server.example.json")
    refused = image.start("trade", *configs, environment=empty)
    assert refused.returncode == 2
    assert refused.stderr.splitlines() == [
        "perp-imbalance: api_server is enabled without a password: "
        "set FREQTRADE__API_SERVER__PASSWORD in .env"
    ]


# Compose and systemd


def test_compose_keeps_data_and_restarts() -> None:
    bot = compose("docker-compose.yml")
    assert bot["build"] == "."
    assert bot["restart"] == "unless-stopped"
    assert bot["env_file"] == ".env"
    workdir = dict(dockerfile())["WORKDIR"]
    assert bot["volumes"] == [
        f"./user_data:{workdir}/user_data",
        f"./config.json:{workdir}/config.json:ro",
        f"./config:{workdir}/config:ro",
    ]
    assert {"max-size", "max-file"} <= set(bot["logging"]["options"])
    assert re.fullmatch(r"trade \$\{BOT_CONFIG:\?.+\}", bot["command"])


def test_api_server_is_opt_in_and_on_loopback() -> None:
    bot, api = compose("docker-compose.yml"), compose("docker-compose.api.yml")
    assert not {"ports", "healthcheck", "environment"} & set(bot)
    server = merged("api-server.example.json")["api_server"]
    assert server["listen_ip_address"] == "127.0.0.1"
    port = server["listen_port"]
    assert api["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert f"127.0.0.1:{port}/api/v1/ping" in api["healthcheck"]["test"][-1]
    for name in variables("FREQTRADE__API_SERVER__"):
        assert api["environment"][name].startswith(f"${{{name}:?")
    others = [name for name in EXAMPLES if name != "api-server.example.json"]
    for name in ("dry-run.json", "replay.json", *others):
        assert "api_server" not in merged(name), name


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    text = (ROOT / "deploy" / "perp-imbalance.service").read_text("utf-8")
    exec_start = re.search(r"^ExecStart=(.+)$", text, re.MULTILINE)
    assert exec_start is not None
    python, script, *arguments = exec_start[1].split()
    assert python == "/opt/perp-imbalance/.venv/bin/python"
    assert (ROOT / script).is_file()
    assert arguments == ["trade", "--sd-notify", "$BOT_CONFIG"]
    assert "/home/" not in text
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd-analyze here: the unit was only read")
    unit = tmp_path / "perp-imbalance.service"
    # The placeholder's interpreter does not exist here, and systemd looks for it.
    unit.write_text(text.replace(python, "/bin/true"), encoding="utf-8")
    done = subprocess.run(
        [analyze, "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    )
    assert unit.name not in done.stderr, done.stderr


# Secrets


def test_variables_of_the_example_are_keys_of_freqtrade(setenv: Callable[..., None]) -> None:
    names = variables("FREQTRADE__")
    assert len(names) >= 7
    for name in names:
        setenv(name)
    found = environment_vars_to_dict()
    for name in names:
        schema: dict[str, Any] = CONF_SCHEMA
        value: Any = found
        for part in name.lower().split("__")[1:]:
            schema = schema["properties"][part]
            if "$ref" in schema:
                schema = CONF_SCHEMA["definitions"][schema["$ref"].rpartition("/")[2]]
            value = value[part]
        assert value == SAMPLE, name
        assert "string" in schema["type"], name


def test_variables_of_the_example_are_empty() -> None:
    for line in env_example():
        if line["name"].startswith("FREQTRADE__"):
            assert line["value"] == "", line["name"]


def test_copied_env_example_starts_a_dry_run(setenv: Callable[..., None]) -> None:
    on = {line["name"]: line["value"].strip('"') for line in env_example() if not line["off"]}
    configs = on.pop("BOT_CONFIG").split()
    assert configs[0::2] == ["--config"] * (len(configs) // 2)
    assert configs[1] == CONFIG.name
    setenv(*on, value="")
    config = merged(*(Path(name).name for name in configs[3::2]))
    validate(config)
    assert config["dry_run"] is True
    assert config["db_url"] != merged("live.example.json")["db_url"]


@pytest.mark.parametrize("name", FRAGMENTS)
def test_example_needs_its_variables_and_no_more(name: str, setenv: Callable[..., None]) -> None:
    needed = variables(FRAGMENTS[name])
    section = json.loads((ROOT / "config" / name).read_text("utf-8"))
    assert [settings["enabled"] for settings in section.values()] == [True]
    setenv(*needed)
    validate(merged(name))
    validate(merged("live.example.json", name))


def test_live_example_leaves_the_stoploss_on_the_exchange(tmp_path: Path) -> None:
    config = merged("live.example.json")
    config |= {"runmode": RunMode.LIVE, "user_data_dir": tmp_path}
    config["strategy_path"] = str(ROOT / "strategies")
    strategy = StrategyResolver.load_strategy(config)
    validate_config_consistency(config)
    assert strategy.order_types["stoploss_on_exchange"] is True
    assert strategy.stoploss < 0


def test_freqtrade_itself_refuses_an_api_server_without_secrets(
    setenv: Callable[..., None],
) -> None:
    with pytest.raises(ConfigurationError):
        validate(merged("api-server.example.json"))
    setenv("FREQTRADE__API_SERVER__PASSWORD")
    with pytest.raises(ConfigurationError):
        validate(merged("api-server.example.json"))


@pytest.mark.parametrize(
    "password", ["", "short", "x" * 40, "SuperSecurePassword", "my-example-for-tests"]
)
def test_start_refuses_a_password_that_can_be_guessed(
    start: ModuleType, setenv: Callable[..., None], password: str
) -> None:
    setenv("FREQTRADE__API_SERVER__JWT_SECRET_KEY")
    setenv("FREQTRADE__API_SERVER__PASSWORD", value=password)
    with pytest.raises(SettingsError, match="FREQTRADE__API_SERVER__PASSWORD"):
        start.check_secrets(merged("api-server.example.json"))


@pytest.mark.parametrize(
    "key",
    ["", "somethingRandomSomethingRandom123", SAMPLE[:31]],
    ids=["empty", "published", "too short"],
)
def test_start_refuses_a_signing_key_that_can_be_guessed(
    start: ModuleType, setenv: Callable[..., None], key: str
) -> None:
    setenv("FREQTRADE__API_SERVER__PASSWORD")
    setenv("FREQTRADE__API_SERVER__JWT_SECRET_KEY", value=key)
    with pytest.raises(SettingsError, match="FREQTRADE__API_SERVER__JWT_SECRET_KEY"):
        start.check_secrets(merged("api-server.example.json"))


@pytest.mark.parametrize("name", FRAGMENTS)
def test_start_becomes_freqtrade_once_the_secrets_are_there(
    start: ModuleType,
    setenv: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda program, arguments: started.append(arguments))
    command = ["trade", "-c", str(CONFIG), "-c", str(ROOT / "config" / name)]
    names = variables(FRAGMENTS[name])
    setenv(*names)
    start.main(command)
    assert started.pop()[1:] == ["-m", "freqtrade", *command]
    setenv(names[0], value="")
    with pytest.raises(SystemExit, match="2"):
        start.main(command)
    assert started == []
    assert names[0] in capsys.readouterr().err


# Messages


def test_webhook_example_says_only_what_freqtrade_tells() -> None:
    webhook = merged("webhook.example.json")["webhook"]
    assert set(MESSAGES) == set(webhook) & {str(kind) for kind in RPCMessageType}
    # Without it freqtrade forwards no message of a strategy to a webhook.
    assert webhook["allow_custom_messages"] is True
    for kind, message in MESSAGES.items():
        fields = {field for _, field, _, _ in string.Formatter().parse(webhook[kind]["text"])}
        assert fields - {None} <= set(get_type_hints(message)), kind
    assert webhook["strategy_msg"]["text"] == "{msg}"


def test_telegram_example_names_message_types_of_freqtrade() -> None:
    telegram = merged("telegram.example.json")["telegram"]
    assert telegram["allow_custom_messages"] is True
    assert set(telegram["notification_settings"]) <= {str(kind) for kind in RPCMessageType}
    assert telegram["notification_settings"]["strategy_msg"] == "on"
