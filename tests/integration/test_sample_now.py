"""The shipped config on the shipped sample, as the README has it: the doctor lets it trade."""

import json
from pathlib import Path

import pytest
from support.freqtrade import ROOT, perp_imbalance

from perp_imbalance.replay import replay_config, running_replay

pytestmark = pytest.mark.freqtrade


def test_doctor_passes_the_shipped_config_on_a_sample_of_now(folder: Path) -> None:
    (folder / "strategies").symlink_to(ROOT / "strategies")
    written = perp_imbalance("sample", "--now", "--days", "40", cwd=folder)
    assert written.returncode == 0, written.stderr
    with running_replay(folder / "user_data" / "sample-now" / "binance") as replay:
        (folder / "replay.json").write_text(json.dumps(replay_config(replay.url)), "utf-8")
        configs = ["-c", "config.json", "-c", "replay.json"]
        examined = perp_imbalance("doctor", *configs, "--json", cwd=folder)
    assert examined.returncode == 0, examined.stdout + examined.stderr
    report = json.loads(examined.stdout)
    pairs = json.loads((folder / "config.json").read_text("utf-8"))["exchange"]["pair_whitelist"]
    assert sorted(pair["perp"] for pair in report["pairs"]) == sorted(pairs)
    found = {(check["name"], check["pair"]) for check in report["checks"] if check["level"] != "ok"}
    # A tick of PEPE's spot price is as wide as on Binance; nothing was downloaded for a backtest.
    assert found == {("tick noise", "1000PEPE/USDT:USDT"), ("local data", None)}
