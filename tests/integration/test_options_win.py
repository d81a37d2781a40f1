"""The options of a command win over every FREQTRADE__ variable of the environment."""

import json
import shutil
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from freqtrade.data.btanalysis import load_backtest_stats
from support.freqtrade import CONFIG, ROOT, SAMPLE_PAIRS, backtest_trades
from support.loopback_guard import loopback_only

from perp_imbalance.cli.main import run
from perp_imbalance.data.sample import write_sample_market
from perp_imbalance.replay import replay_config, running_replay

pytestmark = pytest.mark.freqtrade

PAIR, TIMEFRAME, STRATEGY = "ETH/USDT:USDT", "1h", "PerpImbalanceAggressive"


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A month of the sample market."""
    datadir = tmp_path_factory.mktemp("month") / "binance"
    write_sample_market(datadir, days=31, pairs=SAMPLE_PAIRS)
    return datadir


@pytest.fixture
def userdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set variables that say otherwise than every option, and one that no option touches."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for name, value in {
        "EXCHANGE__PAIR_WHITELIST": '["DOGE/USDT:USDT"]',
        "EXCHANGE__NAME": "bybit",
        "EXCHANGE__CCXT_CONFIG__httpsProxy": "http://proxy.invalid:1",
        "PERP_IMBALANCE__HTF_TIMEFRAME": "1d",
        "TIMEFRAME": "5m",
        "STRATEGY": "RsiWithImbalance",
        "DATADIR": "/nowhere",
        "USER_DATA_DIR": str(folder),
    }.items():
        monkeypatch.setenv(f"FREQTRADE__{name}", value)
    monkeypatch.chdir(ROOT)
    return folder


def ran(*arguments: str) -> None:
    with pytest.raises(SystemExit) as left:
        run(arguments)
    assert left.value.code == 0


def options(month: Path, *more: str) -> list[str]:
    return ["-c", str(CONFIG), "--datadir", str(month), "--timeframe", TIMEFRAME, *more]


def test_local_commands_do_what_their_options_say(
    month: Path, userdir: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with loopback_only(tmp_path):
        htf = ["--htf-timeframe", "4h"]
        ran("backtest", *options(month, "--pairs", PAIR, *htf, "--strategy-list", STRATEGY))
        assert "Report: " in capfd.readouterr().out
        trades = backtest_trades(userdir)[STRATEGY]
        assert {*trades["pair"]} == {PAIR}
        # The variable no option touches: candles of that exchange, with its fee.
        assert {*trades["fee_open"]} == {0.0006}
        (result,) = (userdir / "backtest_results").glob("*.zip")
        assert load_backtest_stats(result)["strategy"][STRATEGY]["timeframe"] == TIMEFRAME
        with ZipFile(result) as archive:
            config = json.loads(archive.read(f"{result.stem}_config.json"))
        assert config["datadir"] == str(month.resolve())
        assert config["perp_imbalance"]["htf_timeframe"] == "4h"

        ran("report", str(result), "-c", str(CONFIG), "--force", "--json")
        tables = json.loads(capfd.readouterr().out)["tables"]
        assert [row["strategy"] for row in tables["preset"]] == [STRATEGY]

        page = tmp_path / "chart.html"
        ran(
            *("plot", *options(month, "--pair", PAIR, *htf, "--strategy", STRATEGY)),
            *("--trades", "--output", str(page)),
        )
        assert f", {len(trades)} trades, " in capfd.readouterr().out
        assert STRATEGY in page.read_text("utf-8")

        research = options(month, "--pairs", PAIR, *htf, "--horizons", "4")
        ran("evidence", *research, "--block", "12", "--json")
        found = json.loads(capfd.readouterr().out)
        assert (found["timeframe"], found["htf_timeframe"]) == (TIMEFRAME, "4h")
        assert {row["pair"] for row in found["findings"]} == {PAIR}
        ran("sweep", *research, "--enter-z", "1.3,1.7", "--json")
        assert PAIR in capfd.readouterr().out


def test_walk_forward_takes_its_options_to_the_workers(
    month: Path, userdir: Path, tmp_path: Path
) -> None:
    out = tmp_path / "walk_forward"
    with loopback_only(tmp_path):
        ran(
            *("walk-forward", *options(month, "--pairs", PAIR, "--strategy", STRATEGY)),
            *("--timerange", "20250122-20250130", "--train", "4d", "--test", "4d"),
            *("--epochs", "2", "--min-trades", "1", "--workers", "1", "--out", str(out)),
            *("--engine", "freqtrade"),
        )
    config = json.loads((out / "plan.json").read_text("utf-8"))["config"]
    assert config["timeframe"] == TIMEFRAME
    assert config["exchange"]["pair_whitelist"] == [PAIR]
    (window,) = (json.loads(file.read_text("utf-8")) for file in out.glob("windows/*.json"))
    traded = [trade["pair"] for trades in window["presets"].values() for trade in trades]
    assert {*traded} == {PAIR}


def test_preset_is_written_for_the_strategy_that_is_named(
    userdir: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(
        ROOT / "strategies",
        folder / "strategies",
        ignore=shutil.ignore_patterns("__pycache__", "*.json"),
    )
    monkeypatch.chdir(folder)
    ran("preset", "apply", "conservative", "--strategy", STRATEGY, "-c", str(CONFIG))
    written = list((folder / "strategies").glob("*.json"))
    assert written == [folder / "strategies" / f"{STRATEGY}.json"]
    assert json.loads(written[0].read_text("utf-8"))["strategy_name"] == STRATEGY
    assert str(userdir) not in capfd.readouterr().out


def test_scan_and_pairs_do_what_their_options_say(
    today: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(ROOT)
    (tmp_path / "user_data").mkdir()
    with running_replay(today) as replay, loopback_only(tmp_path):
        settings: dict[str, Any] = replay_config(replay.url)
        settings["user_data_dir"] = str(tmp_path / "user_data")
        file = tmp_path / "replay.json"
        file.write_text(json.dumps(settings), encoding="utf-8")
        named = ["-c", str(CONFIG), "-c", str(file)]
        for name, value in {
            "STRATEGY": "RsiWithImbalance",
            "STRATEGY_PATH": str(tmp_path),
            "EXCHANGE__PAIR_WHITELIST": f'["{PAIR}"]',
        }.items():
            monkeypatch.setenv(f"FREQTRADE__{name}", value)
        ran("scan", *named, "--preset", "conservative", "--json")
        found = json.loads(capfd.readouterr().out)
        assert {*found["rows"][0]["gates"]} == {"sigma gate", "HTF gate"}
        # All perps with a spot pair, whatever the whitelist: that is what a scan is for.
        assert {row["perp"] for row in found["rows"]} == {*SAMPLE_PAIRS} - {PAIR}
        ran("pairs", *named, "--json")
        assert {row["perp"] for row in json.loads(capfd.readouterr().out)} == {*SAMPLE_PAIRS}
        # The variable that no option touches.
        ran("pairs", *named, "--whitelist", "--json")
        assert [row["perp"] for row in json.loads(capfd.readouterr().out)] == [PAIR]
        monkeypatch.delenv("FREQTRADE__STRATEGY_PATH")
        ran("scan", *named, "--strategy", STRATEGY, "--json")
        assert json.loads(capfd.readouterr().out)["thresholds_of"] == STRATEGY


def test_commands_on_an_exchange_do_what_their_options_say(
    month: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(ROOT)
    (tmp_path / "user_data").mkdir()
    for name, value in {"STRATEGY": "RsiWithImbalance", "TRADING_MODE": "futures"}.items():
        monkeypatch.setenv(f"FREQTRADE__{name}", value)
    with running_replay(month) as replay:
        settings: dict[str, Any] = replay_config(replay.url)
        settings["exchange"]["pair_whitelist"] = [PAIR]
        settings["user_data_dir"] = str(tmp_path / "user_data")
        file = tmp_path / "replay.json"
        file.write_text(json.dumps(settings), encoding="utf-8")
        named = ["-c", str(CONFIG), "-c", str(file)]
        with pytest.raises(SystemExit):
            run(["doctor", *named, "--strategy", STRATEGY, "--json"])
        assert STRATEGY in capfd.readouterr().out
        target = tmp_path / "candles"
        ran(
            *("download-data", *named, "--datadir", str(target)),
            *("--timerange", "20250101-20250103", "--timeframes", "4h"),
        )
    names = {path.name for path in target.rglob("*.feather")}
    assert {"ETH_USDT-4h.feather", "ETH_USDT_USDT-4h-futures.feather"} <= names
    assert not any("1h-futures" in name for name in names)
