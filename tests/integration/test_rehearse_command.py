"""``perp-imbalance rehearse`` compares a bot in freqtrade's live code with a backtest."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.freqtrade import ROOT, SAMPLE_PAIRS, refused
from support.pages import page_text

from perp_imbalance.cli.main import run
from perp_imbalance.rehearsal import read_table

pytestmark = pytest.mark.freqtrade

KEYS = ("a-key-of-an-account", "and-what-signs-with-it")
REAL = {
    "telegram": {"enabled": True, "token": "123:abc", "chat_id": "1"},
    "webhook": {"enabled": True, "url": "http://192.0.2.1/hook"},
    "dry_run": False,
    # So near that candles of the sample market reach it.
    "stoploss": -0.01,
    "db_url": "sqlite:///real.sqlite",
    "logfile": "real.log",
    # With one to show, freqtrade asks another machine for coins.
    "fiat_display_currency": "USD",
    "internals": {"sd_notify": True},
    "strategy_path": str(ROOT / "strategies"),
    "exchange": dict(zip(("key", "secret"), KEYS, strict=True)),
}
# What a bot's environment may say, which freqtrade lets win over every config.
VARIABLES = {
    "DRY_RUN": "false",
    "DB_URL": "sqlite:///variable.sqlite",
    "LOGFILE": "variable.log",
    "INITIAL_STATE": "stopped",
    "EXCHANGE__KEY": "a-key-of-a-variable",
    "EXCHANGE__SECRET": "and-its-secret",
    "TELEGRAM__ENABLED": "true",
    "TELEGRAM__TOKEN": "456:def",
    "TELEGRAM__CHAT_ID": "1",
    "WEBHOOK__ENABLED": "true",
    "WEBHOOK__URL": "http://192.0.2.1/variable",
    "DISCORD__ENABLED": "true",
    "DISCORD__WEBHOOK_URL": "http://192.0.2.1/discord",
    "API_SERVER__ENABLED": "true",
    "API_SERVER__LISTEN_IP_ADDRESS": "127.0.0.1",
    "API_SERVER__LISTEN_PORT": "8080",
    "API_SERVER__USERNAME": "trader",
    "API_SERVER__PASSWORD": "456:def",
    "FIAT_DISPLAY_CURRENCY": "EUR",
}
SECRETS = (*KEYS, "123:abc", "456:def", "a-key-of-a-variable", "and-its-secret")


@pytest.fixture
def place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a config of a bot that trades for real, to run commands in."""
    (folder / "real.json").write_text(json.dumps(REAL), encoding="utf-8")
    monkeypatch.chdir(folder)
    # Under pytest, freqtrade writes no file of its log.
    monkeypatch.delenv("PYTEST_VERSION")
    return folder


def test_rehearsal_equals_its_backtest(
    place: Path,
    sample_datadir: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in VARIABLES.items():
        monkeypatch.setenv(f"FREQTRADE__{name}", value)
    command = ["rehearse", "-c", "config.json", "-c", "real.json", "--json"]
    command += ["--datadir", str(sample_datadir), "--timerange", "20250918-20250919"]
    with pytest.raises(SystemExit) as left:
        run([*command, "--strategy", "PerpImbalanceAggressive", "--output", "lived"])
    printed = capsys.readouterr()
    assert left.value.code == 0, printed.err
    told: dict[str, Any] = json.loads(printed.out)
    assert left.value.code == 0
    assert told["explained"]
    assert told["entries"] == told["backtest_trades"] == told["bot_trades"] >= 4
    assert told["differences"] == []
    assert abs(told["profit_bps"]["rest"]) < 0.1
    # A dry-run takes a stop on the exchange for a maker's order, a backtest a taker's.
    assert told["profit_bps"]["fees"] > 0
    trades = read_table(place / "lived" / "rehearsal.sqlite", "trades")
    assert {"stoploss_on_exchange", "cooled"} <= set(trades["exit_reason"])
    assert (told["strategy"], told["looks"]) == ("PerpImbalanceAggressive", 6)
    assert sorted(told["pairs"]) == sorted(SAMPLE_PAIRS)
    page = page_text(place / "lived" / "rehearsal.html")
    for each in told["still_open"]:
        assert each["pair"] in page
    for said in ("PerpImbalanceAggressive", *told["profit_bps"], "SYNTHETIC"):
        assert said in page
    for name in ("real", "variable"):
        assert not list(place.glob(f"{name}.*[gqe]"))
    written = {file.name.partition("-")[0] for file in (place / "lived").iterdir()}
    assert written == {"rehearsal.sqlite", "rehearsal.log", "rehearsal.html"}
    # The database alone has all trades.
    assert not sum(file.stat().st_size for file in (place / "lived").glob("*-wal"))
    log = (place / "lived" / "rehearsal.log").read_text("utf-8")
    assert "Dry run is enabled" in log
    for word in (*SECRETS, "Enabling rpc", "FIAT", "192.0.2.1"):
        assert word not in log + page, word


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--timerange", "20250918-20250919"], "user_data/data/binance has no candles"),
        (["--datadir", "{data}"], "--timerange with both ends"),
        (["--datadir", "{data}", "--timerange", "20250918-"], "--timerange with both ends"),
        (["--datadir", "{data}", "--timerange", "2025091-20"], "such as 20250101-20250301"),
        (["--datadir", "{data}", "--timerange", "20250918-20250919", "--looks", "0"], "--looks 0"),
        (
            ["--datadir", "{data}", "--timerange", "20250918-20250919", "--looks", "3600"],
            "in a candle of 1h are at most 3599",
        ),
        (
            ["--datadir", "{data}", "--timerange", "20250918-20250919", "--output", "user_data"],
            "user_data exists already",
        ),
        (
            ["--datadir", "{data}", "--timerange", "20250918-20250919", "--output", "/dev/null/x"],
            "/dev/null/x cannot be written: /dev/null: Not a directory",
        ),
        (
            ["--datadir", "{data}", "--timerange", "20250105-20250201"],
            "candles are needed before the time range: start it at 20250121 or later",
        ),
        (["--datadir", "nowhere", "--timerange", "20250918-20250919"], "no folder nowhere"),
    ],
)
def test_what_cannot_be_rehearsed_is_refused_in_one_line(
    options: list[str],
    said: str,
    place: Path,
    sample_datadir: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    named = [option.format(data=sample_datadir) for option in options]
    message = refused(named, capsys, "rehearse")
    assert said in message
    assert message.count("\n") == 1
