"""``perp-imbalance rehearse`` holds a bot in freqtrade's live code against a backtest."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.freqtrade import ROOT, refused

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
    "strategy_path": str(ROOT / "strategies"),
    "exchange": dict(zip(("key", "secret"), KEYS, strict=True)),
}


@pytest.fixture
def place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a config of a bot that trades for real, to run commands in."""
    (folder / "real.json").write_text(json.dumps(REAL), encoding="utf-8")
    monkeypatch.chdir(folder)
    # Under pytest, freqtrade writes no file of its log.
    monkeypatch.delenv("PYTEST_VERSION")
    return folder


def test_rehearsal_equals_the_backtest_and_is_its_own(
    place: Path, sample_datadir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["rehearse", "-c", "config.json", "-c", "real.json", "--json"]
    command += ["--datadir", str(sample_datadir), "--timerange", "20250918-20250919"]
    with pytest.raises(SystemExit) as left:
        run([*command, "--strategy", "PerpImbalanceAggressive", "--output", "lived"])
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert left.value.code == 0
    assert told["explained"]
    assert told["entries"] == told["backtest_trades"] == told["bot_trades"] >= 4
    assert told["differences"] == []
    assert abs(told["profit_bps"]["rest"]) < 0.1
    # A dry-run takes a stop on the exchange for a maker's order, a backtest a taker's.
    assert told["profit_bps"]["fees"] > 0
    trades = read_table(place / "lived" / "rehearsal.sqlite", "trades")
    assert {"stoploss_on_exchange", "cooled"} <= set(trades["exit_reason"])
    assert not (place / "real.sqlite").exists()
    written = {file.name.partition("-")[0] for file in (place / "lived").iterdir()}
    assert written == {"rehearsal.sqlite", "rehearsal.log"}
    log = (place / "lived" / "rehearsal.log").read_text("utf-8")
    assert "Dry run is enabled" in log
    for secret in (*KEYS, "123:abc", "Enabling rpc.telegram"):
        assert secret not in log


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--timerange", "20250918-20250919"], "needs --datadir"),
        (["--datadir", "{data}"], "--timerange with both ends"),
        (["--datadir", "{data}", "--timerange", "20250918-"], "--timerange with both ends"),
        (["--datadir", "{data}", "--timerange", "2025091-20"], "such as 20250101-20250301"),
        (["--datadir", "{data}", "--timerange", "20250918-20250919", "--looks", "0"], "--looks 0"),
        (
            ["--datadir", "{data}", "--timerange", "20250918-20250919", "--output", "user_data"],
            "user_data is there already",
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
