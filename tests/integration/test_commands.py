"""The commands: their output, and one line where something is wrong."""

import json
import logging
import pkgutil
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from freqtrade.data.btanalysis import load_backtest_stats
from freqtrade.data.history import get_datahandler
from freqtrade.enums import CandleType, TradingMode
from support.freqtrade import (
    CONFIG,
    SAMPLE_PAIRS,
    assert_fails_in_one_line,
    perp_imbalance,
    perp_imbalance_process,
)

from perp_imbalance import cli
from perp_imbalance.cli.backtest import warn_of_parameter_files
from perp_imbalance.cli.main import COMMANDS, run
from perp_imbalance.data.sample import write_sample_market
from perp_imbalance.freqtrade_bridge.process import REPEATED, Remembered
from perp_imbalance.replay import Replay, replay_config, running_replay

pytestmark = pytest.mark.freqtrade

SPOT_NAMES = ["1000SATS", "1000CAT", "1MBABYDOGE", "BEAMX", "SHIB", "LUNA"]
PERP_NAMES = ["1000SATS", "1000CAT", "CAT", "1MBABYDOGE", "BEAMX", "1000SHIB", "LUNA2", "BTCDOM"]

# The last day of the month is left to the exchange: freqtrade takes the newest candle that it is
# given for unfinished and drops it.
END = pd.Timestamp("2025-01-31", tz="UTC")

Configure = Callable[..., list[str]]


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A month of the sample market."""
    datadir = tmp_path_factory.mktemp("month") / "binance"
    write_sample_market(datadir, days=31, pairs=SAMPLE_PAIRS)
    return datadir


@pytest.fixture
def replay(month: Path) -> Iterator[Replay]:
    extra = [f"{name}/USDT" for name in SPOT_NAMES] + [f"{name}/USDT:USDT" for name in PERP_NAMES]
    with running_replay(month, extra_pairs=extra) as running:
        yield running


@pytest.fixture
def configure(replay: Replay, tmp_path: Path) -> Configure:
    """Return the options that point a command at the repository's config and the replay."""
    (tmp_path / "user_data").mkdir()

    def options(**settings: Any) -> list[str]:
        overlay = replay_config(replay.url)
        overlay["exchange"]["pair_whitelist"] = SAMPLE_PAIRS
        overlay["user_data_dir"] = str(tmp_path / "user_data")
        path = tmp_path / "overlay.json"
        path.write_text(json.dumps({**overlay, **settings}), encoding="utf-8")
        return ["-c", str(CONFIG), "-c", str(path)]

    return options


def test_pairs_lists_every_perp_of_the_exchange(configure: Configure) -> None:
    overrides = {"BTCDOM/USDT:USDT": {"pair": "BTC/USDT", "scale": 20}}
    process = perp_imbalance(
        "pairs", *configure(perp_imbalance={"spot_pairs": overrides}), "--json"
    )
    assert process.returncode == 0, process.stderr
    found = {row.pop("perp").split("/")[0]: row for row in json.loads(process.stdout)}
    assert set(found) == {*PERP_NAMES, "BTC", "ETH", "1000PEPE"}
    none = {"spot": None, "source": None, "scale": None, "rule": None}
    assert found["CAT"] == {**none, "reason": "no spot pair of CAT against USDT"}
    assert found["BTCDOM"] == {
        **{"spot": "BTC/USDT", "source": "spot", "scale": 20.0, "rule": "override"},
        "reason": None,
    }
    matched = {name: (row["spot"], row["scale"], row["rule"]) for name, row in found.items()}
    assert matched["1000PEPE"] == ("PEPE/USDT", 1000, "scale")
    assert matched["1000SATS"] == ("1000SATS/USDT", 1, "identical")
    assert matched["1000CAT"] == ("1000CAT/USDT", 1, "identical")
    assert matched["1MBABYDOGE"] == ("1MBABYDOGE/USDT", 1, "identical")
    assert matched["1000SHIB"] == ("SHIB/USDT", 1000, "scale")
    assert matched["LUNA2"] == ("LUNA/USDT", 1, "renamed")


def test_pairs_prints_a_table_of_the_whitelist(configure: Configure) -> None:
    process = perp_imbalance("pairs", *configure(), "--whitelist")
    assert process.returncode == 0, process.stderr
    assert "1000PEPE/USDT:USDT" in process.stdout
    assert "BTCDOM" not in process.stdout
    assert "3 of 3 perps have a spot pair." in process.stdout


def all_series(datadir: Path) -> dict[tuple[str, str, CandleType], pd.DataFrame]:
    """Return every file of a folder as freqtrade reads it."""
    handler = get_datahandler(datadir, "feather")
    keys = {
        key
        for mode in (TradingMode.SPOT, TradingMode.FUTURES)
        for key in handler.ohlcv_get_available_data(datadir, mode)
    }
    return {key: handler.ohlcv_load(*key, fill_missing=False, warn_no_data=False) for key in keys}


def test_download_data_brings_all_candles_and_appends_only(
    configure: Configure, month: Path, tmp_path: Path
) -> None:
    target = tmp_path / "downloaded"
    options = [*configure(), "--datadir", str(target), "--timerange"]
    first = perp_imbalance("download-data", *options, "20250101-20250115")
    assert first.returncode == 0, first.stderr
    half = {path: path.stat().st_size for path in target.rglob("*.feather")}
    marked = mark_first_close(target / "BTC_USDT-1h.feather")
    second = perp_imbalance("download-data", *options, f"20250101-{END:%Y%m%d}")
    assert second.returncode == 0, second.stderr
    source, found = all_series(month), all_series(target)
    # The config's premium comes from spot pairs.
    assert set(found) == {key for key in source if key[2] != CandleType.PREMIUMINDEX}
    assert set(half) == set(target.rglob("*.feather"))
    for key, frame in found.items():
        if key[:2] == ("BTC/USDT", "1h"):
            # What was there is not fetched again.
            assert frame["close"].iloc[0] == marked
            frame.loc[frame.index[0], "close"] = source[key]["close"].iloc[0]
        asked_for, brought = (table[table["date"] < END] for table in (source[key], frame))
        columns = [column for column in frame if column != "volume" or key[2] != CandleType.MARK]
        pd.testing.assert_frame_equal(
            brought[columns], asked_for[columns], check_dtype=False, obj=str(key)
        )


def mark_first_close(file: Path) -> float:
    """Change the first close of a file to a value that no exchange would send; return it."""
    candles = pd.read_feather(file)
    candles.loc[0, "close"] = 1.5
    candles.to_feather(file)
    return 1.5


def test_unknown_perp_is_named_before_any_download(configure: Configure, replay: Replay) -> None:
    exchange = replay_config(replay.url)["exchange"]
    exchange["pair_whitelist"] = ["BTC/USDT:USDT", "BTCC/USDT:USDT", "ETH/USDT"]
    options = [*configure(exchange=exchange), "--timerange", "20250101-"]
    process = perp_imbalance("download-data", *options)
    assert_fails_in_one_line(
        process, "no perp BTCC/USDT:USDT, ETH/USDT: did you mean ETH/USDT:USDT?"
    )


def test_backtest_names_its_results(configure: Configure, month: Path, tmp_path: Path) -> None:
    process = perp_imbalance(
        *("backtest", *configure(), "--datadir", str(month), "--strategy-list", "PerpImbalance"),
        "--no-report",
    )
    assert process.returncode == 0, process.stderr
    *_, last, step = process.stdout.strip().splitlines()
    assert step.startswith("Next: perp-imbalance doctor --strategy PerpImbalance -c ")
    assert last.startswith("Results: ")
    assert Path(last.removeprefix("Results: ")).is_file()
    assert "BACKTESTING REPORT" not in process.stdout
    assert "Note: " not in process.stdout


def test_backtests_at_once_name_their_own_results(
    configure: Configure, month: Path, tmp_path: Path
) -> None:
    options = ["backtest", *configure(), "--datadir", str(month), "--no-report", "--strategy-list"]
    names = ["PerpImbalance", "PerpImbalanceAggressive"]
    with ThreadPoolExecutor() as threads:
        runs = list(threads.map(lambda name: perp_imbalance_process(*options, name), names))
    for name, process in zip(names, runs, strict=True):
        assert process.returncode == 0, process.stderr
        last = process.stdout.strip().splitlines()[-2]
        assert list(load_backtest_stats(last.removeprefix("Results: "))["strategy"]) == [name]


def test_backtest_takes_no_config_behind_the_dashes(capsys: pytest.CaptureFixture[str]) -> None:
    for option in ("-c", "-cmine.json", "--config", "--config=mine.json"):
        with pytest.raises(SystemExit) as left:
            run(["backtest", "--", option])
        assert left.value.code == 2
        assert "name config files before it" in capsys.readouterr().err


def test_backtest_names_no_result_of_another_run(
    configure: Configure, month: Path, tmp_path: Path
) -> None:
    options = [*configure(), "--datadir", str(month), "--strategy-list", "PerpImbalance"]
    assert perp_imbalance("backtest", *options, "--no-report").returncode == 0
    for asked in (["--backtest-directory", str(tmp_path / "other")], ["--export", "none"]):
        process = perp_imbalance("backtest", *options, "--", *asked)
        assert process.returncode == 0, process.stderr
        note = process.stdout.strip().splitlines()[-1]
        assert note.startswith("Note: No result in ")
        assert "Results: " not in process.stdout
        # What freqtrade found is shown nowhere else.
        assert "BACKTESTING REPORT" in process.stdout


@pytest.mark.parametrize("shown", ["--json", "--verbose"])
def test_backtest_notes_pairs_without_signals_once(
    configure: Configure, month: Path, tmp_path: Path, shown: str
) -> None:
    datadir = tmp_path / "binance"
    shutil.copytree(month, datadir)
    file = datadir / "ETH_USDT-1h.feather"
    spot = pd.read_feather(file)
    spot[["open", "high", "low", "close"]] *= 3
    spot.to_feather(file)
    process = perp_imbalance(
        *("backtest", *configure(), "--datadir", str(datadir), "--no-report", shown),
        *("--strategy-list", "PerpImbalance", "PerpImbalanceAggressive"),
    )
    assert process.returncode == 0, process.stderr
    said = "ETH/USDT:USDT gives no signals: its price is 0.333 times"
    if shown == "--verbose":
        assert process.stderr.strip().splitlines()[-1].startswith(f"Warning: {said}")
        assert process.stderr.count("Warning: ") == 1
        assert "STRATEGY SUMMARY" in process.stdout
        assert "freqtrade.optimize.backtesting" in process.stderr
        return
    assert process.stderr == ""
    found = json.loads(process.stdout)
    assert [row["strategy"] for row in found["strategies"]] == [
        *("PerpImbalance", "PerpImbalanceAggressive")
    ]
    assert Path(found["result"]).is_file()
    (note,) = found["notes"]
    assert note.startswith(said)
    assert found["report"] is None


@pytest.mark.parametrize(("number", "rest"), [(10, None), (12, 2)])
def test_warnings_are_repeated_once_each_and_the_first_of_many(
    number: int, rest: int | None, capsys: pytest.CaptureFixture[str]
) -> None:
    remembered = Remembered()
    for pair in range(number):
        for _ in range(2):
            remembered.handle(logging.makeLogRecord({"levelno": 30, "msg": f"pair {pair}"}))
    remembered.repeat()
    more = [] if rest is None else [f"Warning: {rest} more like these in freqtrade's log"]
    first = [f"Warning: pair {pair}" for pair in range(REPEATED)]
    assert capsys.readouterr().err.splitlines() == first + more


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--datadir", "nowhere"], "there is no folder nowhere"),
        (["--datadir", "{month}", "--timeframe", "15m"], "has no 15m candles of any perp"),
        (
            ["--datadir", "{month}", "--timeframe", "1x"],
            "has no 1x candles of any perp; timeframes there: 1h, 4h",
        ),
        (
            ["--datadir", "{month}", "--htf-timeframe", "1w"],
            "has no 1w candles for the HTF gate; timeframes there: 1h, 4h",
        ),
        (
            ["--datadir", "{month}", "--htf-timeframe", "30m"],
            "htf_timeframe is 30m, it must be a multiple of the timeframe (1h) and longer than it",
        ),
        (["--timerange", "2025"], 'Incorrect syntax for timerange "2025"'),
        (
            ["-d", "{month}", "-p", "BTC/USDT", "ethusdt"],
            "has no 1h candles of BTC/USDT, ethusdt: did you mean BTC/USDT:USDT, ETH/USDT:USDT?",
        ),
        (
            ["--datadir", "{month}", "--pairs", "SOL/USDT:USDT"],
            "has no 1h candles of SOL/USDT:USDT; perps there on 1h: 1000PEPE/USDT:USDT, "
            "BTC/USDT:USDT, ETH/USDT:USDT; timeframes there: 1h, 4h",
        ),
    ],
)
def test_backtest_without_candles_fails_in_one_line(
    month: Path, arguments: list[str], message: str
) -> None:
    arguments = [argument.format(month=month) for argument in arguments]
    process = perp_imbalance("backtest", *arguments)
    assert_fails_in_one_line(process, message)
    assert len(process.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("command", ["pairs", "backtest", "download-data --timerange 20250101-"])
def test_missing_config_fails_in_one_line(command: str) -> None:
    process = perp_imbalance(*command.split(), "-c", "nowhere.json")
    assert_fails_in_one_line(process, "there is no config file nowhere.json: name one with -c")
    assert len(process.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "perp-imbalance: Parse error at offset 1"),
        ('{"trading_mode": "x"}', "perp-imbalance: 'x' is not a valid TradingMode"),
        ('{"max_open_trades": "x"}', "max_open_trades: 'x' is not of type 'integer', 'number'"),
        ('{"exchange": {"name": "nowhere"}}', 'Exchange "nowhere" is not known to the ccxt'),
    ],
)
def test_config_that_freqtrade_refuses_fails_in_one_line(
    tmp_path: Path, text: str, message: str
) -> None:
    config = tmp_path / "mine.json"
    config.write_text(text, encoding="utf-8")
    process = perp_imbalance("pairs", "-c", str(CONFIG), "-c", str(config))
    assert_fails_in_one_line(process, message)
    assert "mine.json" in process.stderr
    assert len(process.stderr.strip().splitlines()) == 1


def test_exchange_that_does_not_answer_fails_in_one_line(configure: Configure) -> None:
    options = configure(**replay_config("http://127.0.0.1:9"))
    process = perp_imbalance("pairs", *options, "--whitelist")
    assert_fails_in_one_line(process, "binance gave no list of its markets: check the network")
    assert len(process.stderr.strip().splitlines()) == 1


#: Modules of the package that are no subcommand.
SHARED_MODULES = {
    *("backtest_screen", "completion", "console", "main", "next_steps", "options", "parser"),
    *("progress", "research_options", "sweep_lines"),
}


def test_every_command_is_listed() -> None:
    modules = [module.name for module in pkgutil.iter_modules(cli.__path__)]
    named = {module for module in modules if module not in SHARED_MODULES}
    assert named == {command.removesuffix("-data").replace("-", "_") for command in COMMANDS}


def test_parameter_file_in_place_of_a_preset_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "PerpImbalance.json").write_text("{}")
    config = {"strategy_path": str(tmp_path)}
    warn_of_parameter_files(["PerpImbalance", "PerpImbalanceAggressive"], config)
    (message,) = caplog.messages
    assert message.startswith("PerpImbalance trades with ")
