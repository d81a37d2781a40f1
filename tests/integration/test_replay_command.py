"""``perp-imbalance replay`` serves until it is interrupted."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.freqtrade import TIMEOUT_SECONDS
from support.tiny_replay import HOUR, TINY_START, get, milliseconds

from perp_imbalance.replay import replay_config

ROOT = Path(__file__).resolve().parents[3]


def serving(datadir: Path, *options: str, cwd: Path = ROOT) -> "subprocess.Popen[str]":
    command = "from perp_imbalance.cli.main import run; run()"
    arguments = ["--datadir", str(datadir), "--port", "0", *options]
    return subprocess.Popen(
        [sys.executable, "-c", command, "replay", *arguments],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )


def test_the_command_offers_a_wallet(tiny_datadir: Path) -> None:
    with serving(tiny_datadir, "--wallet", "250.5") as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=TIMEOUT_SECONDS)
    assert "to trade its 250.5 USDT, -c config/replay-live.json behind it" in line


def test_the_command_serves_until_it_is_interrupted(tiny_datadir: Path) -> None:
    with serving(tiny_datadir, "--clock", "2024-01-01T12:00Z") as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "2 spot pairs and 2 perps from 2024-01-01 00:00 to 2024-02-10 00:00" in line
        url = next(word for word in line.split() if word.startswith("http://"))
        _, rows = get(url, "/fapi/v1/klines", symbol="BTCUSDT", interval="1h")
        assert rows[-1][0] == milliseconds(TINY_START) + 12 * HOUR
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == 130
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_replay_on_another_port_brings_its_config(
    tiny_datadir: Path, tmp_path: Path, number: int, code: int
) -> None:
    with serving(tiny_datadir, cwd=tmp_path) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        url = next(word for word in line.split() if word.startswith("http://"))
        file = tmp_path / "user_data" / f"replay-{url.rpartition(':')[2]}.json"
        assert f"add -c user_data/{file.name} to" in line
        assert json.loads(file.read_text("utf-8")) == replay_config(url)
        process.send_signal(number)
        _, errors = process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == code
    assert "Traceback" not in errors
    # A bot that is started now stops, and does not trade on what listens there next.
    assert not file.exists()
