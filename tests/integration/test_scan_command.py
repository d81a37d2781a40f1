"""``perp-imbalance scan`` on the replay exchange, and a bot that follows its pair list."""

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from freqtrade.data.history import load_pair_history
from freqtrade.enums import CandleType
from freqtrade.exchange import Exchange
from support.freqtrade import CONFIG, ROOT, SAMPLE_PAIRS, TIMEOUT_SECONDS
from support.rest_api import api_settings, free_port
from support.scan_bot import Bot

from perp_imbalance.cli.main import run
from perp_imbalance.freqtrade_bridge.config import load_config
from perp_imbalance.indicators import PRESETS, imbalance_columns
from perp_imbalance.replay import Replay, replay_config, running_replay
from perp_imbalance.replay.server import system_clock
from perp_imbalance.replay.testing import Delisted, HttpErrors, running_test_replay
from perp_imbalance.scan import watch as scan_watch
from perp_imbalance.scan.fetch import open_feed, rules_of
from perp_imbalance.scan.rank import rank

SCALES = {"1000PEPE/USDT:USDT": ("PEPE/USDT", 1000.0)}
BTC, ETH, PEPE = SAMPLE_PAIRS


@pytest.fixture(scope="module")
def replay(today: Path) -> Any:
    # NEW has a spot pair and no candles.
    with running_replay(today, extra_pairs=["NEW/USDT", "NEW/USDT:USDT"]) as running:
        yield running


Configure = Callable[..., list[str]]


@pytest.fixture
def configure(replay: Replay, tmp_path: Path) -> Configure:
    (tmp_path / "user_data").mkdir()

    def options(**settings: Any) -> list[str]:
        overlay = replay_config(replay.url)
        overlay["exchange"]["pair_whitelist"] = SAMPLE_PAIRS
        overlay["user_data_dir"] = str(tmp_path / "user_data")
        overlay["perp_imbalance"] = {"premium_source": "auto"}
        path = tmp_path / "overlay.json"
        path.write_text(json.dumps({**overlay, **settings}), encoding="utf-8")
        return ["-c", str(CONFIG), "-c", str(path)]

    return options


Output = pytest.CaptureFixture[str]


def scan(*arguments: str, output: Output, command: str = "scan") -> str:
    """Run a command in this process; return what it printed."""
    with pytest.raises(SystemExit) as ended:
        run([command, *arguments])
    said = output.readouterr()
    assert ended.value.code == 0, said.err
    return said.out


def test_scan_has_the_columns_of_the_strategy(
    configure: Configure, today: Path, replay: Replay, tmp_path: Path, capsys: Output
) -> None:
    before = len(replay.requests)
    table = tmp_path / "all.csv"
    options = [*configure(), "--preset", "conservative", "--json", "--csv", str(table)]
    found = json.loads(scan(*options, output=capsys))
    rows = {row["perp"]: row for row in found["rows"]}
    assert set(rows) == set(SAMPLE_PAIRS)
    assert rows["ETH/USDT:USDT"]["source"] == "index"
    for pair in ("BTC/USDT:USDT", "1000PEPE/USDT:USDT"):
        spot, scale = SCALES.get(pair, (pair.partition(":")[0], 1.0))
        frames = [
            load_pair_history(name, timeframe, today, candle_type=kind, data_format="feather")
            for timeframe in ("1h", "4h")
            for name, kind in ((pair, CandleType.FUTURES), (spot, CandleType.SPOT))
        ]
        columns = imbalance_columns(
            *frames[:2],
            scale=scale,
            thresholds=PRESETS["conservative"],
            timeframe="1h",
            htf=(frames[2], frames[3]),
        )
        last = columns[frames[0]["date"] == pd.Timestamp(rows[pair]["candle"])].iloc[0]
        assert rows[pair]["z"] == pytest.approx(last["z"], abs=1e-9)
        assert rows[pair]["premium_pct"] == pytest.approx(last["premium_pct"])
        assert rows[pair]["bias"] == {-1: "short", 0: "none", 1: "long"}[last["bias"]]
        day = frames[0][frames[0]["date"] <= pd.Timestamp(rows[pair]["candle"])].tail(24)
        turnover = float((day["volume"] * day["close"]).sum())
        # In the quote currency; the exchange counts a candle more or less.
        assert rows[pair]["volume_24h"] == pytest.approx(turnover, rel=0.2)
        deviation = last["deviation_bps"]
        assert rows[pair]["deviation_bps"] == pytest.approx(deviation, abs=1e-6)
        # Two fees of a taker, as ccxt has them for Binance's perps.
        assert rows[pair]["round_trip_bps"] == pytest.approx(10)
        assert rows[pair]["after_fees_bps"] == pytest.approx(abs(deviation) - 10, abs=1e-6)
        assert rows[pair]["funding_per_year"] == pytest.approx(rows[pair]["funding"] * 1095)
        assert 0 < rows[pair]["hours_to_funding"] <= rows[pair]["funding_interval_hours"] == 8
        assert set(rows[pair]["gates"]) == {"sigma gate", "HTF gate"}
    sizes = [row["after_fees_bps"] for row in found["rows"]]
    assert sizes == sorted(sizes, reverse=True)
    premiums = [row["premium_pct"] * 100 for row in found["rows"]]
    assert found["market"]["premium_mean"] == pytest.approx(sum(premiums) / len(premiums))
    assert found["left_out"] == [
        {"perp": "NEW/USDT:USDT", "reason": "the exchange gave no 1h candles of it"}
    ]
    with table.open() as stream:
        assert [row["perp"] for row in csv.DictReader(stream)] == list(rows)
    # One request a series, one for all volumes (with bids and asks), one for all funding rates.
    asked = [request.path.rpartition("/")[2] for request in replay.requests[before:]]
    assert asked.count("klines") <= 4 * 4
    assert asked.count("indexPriceKlines") == 2
    assert asked.count("24hr") == asked.count("premiumIndex") == 1


def test_optional_gates_of_the_config_are_columns(
    configure: Configure, today: Path, capsys: Output
) -> None:
    settings = {"use_funding": True, "use_oi": True}
    options = [*configure(perp_imbalance=settings), "--json"]
    found = json.loads(scan(*options, output=capsys))
    preset = json.loads(scan(*options, "--preset", "balanced", output=capsys))
    for row in found["rows"] + preset["rows"]:
        # Moments pass between the two.
        assert row.pop("hours_to_funding") > 0
    assert preset["rows"] == found["rows"]
    gates = ["sigma gate", "funding gate", "open interest gate"]
    assert [list(row["gates"]) for row in found["rows"]] == [gates, gates]
    for row in found["rows"]:
        stem = row["perp"].replace("/", "_").replace(":", "_")
        series = pd.read_feather(today / "futures" / f"{stem}-1h-open_interest.feather")
        known = series.set_index("date")["open_interest_amount"]
        thresholds = found["thresholds"]
        grown = known.pct_change(thresholds["oi_len"])[pd.Timestamp(row["candle"])]
        assert row["gates"]["open interest gate"] == (grown >= thresholds["oi_min"])


def test_watch_follows_listings_and_delistings(
    today: Path, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one feed, as often as freqtrade asks for the exchange's markets."""
    at = datetime.now(UTC) + timedelta(hours=1)
    faults = [Delisted(pair=ETH, end=at), Delisted(pair=PEPE, start=at)]
    hours = [0]

    def clock() -> int:
        return system_clock() + hours[-1] * 3_600_000

    with running_test_replay(today, clock=clock, faults=faults) as replay:
        options = replay_config(replay.url)["exchange"] | {"markets_refresh_interval": 0}
        files = [Path(name) for name in configure(exchange=options) if name != "-c"]
        config = load_config(files)
        rules = rules_of(config, preset="balanced")
        with open_feed(config, rules) as feed:
            found = []
            for later in (0, 0, 1):
                hours.append(later)
                ranking = rank(feed.matches, feed.snapshot(), rules)
                assert BTC in {row.perp for row in ranking.rows}
                found.append({match.perp for match in feed.wanted})
    assert found == [{BTC, PEPE}, {BTC, PEPE}, {BTC, ETH}]


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["*"], "binance gave no list of its markets: check the network"),
        (["*lines"], "binance answers no request for candles: check the network"),
        (["*/premiumIndex"], "no funding of any perp of binance is known now: try --by deviation"),
    ],
)
def test_exchange_without_an_answer_is_one_line(
    paths: list[str], message: str, today: Path, configure: Configure, capsys: Output
) -> None:
    with running_test_replay(today, faults=[HttpErrors(paths=paths, status=503)]) as replay:
        options = configure(exchange=replay_config(replay.url)["exchange"])
        with pytest.raises(SystemExit) as ended:
            run(["scan", *options, "--preset", "balanced", "--by", "funding"])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line


def test_watch_says_once_that_the_network_is_lost(
    today: Path,
    configure: Configure,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Output,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """And goes on when it is back."""
    now = datetime.now(UTC)
    away = HttpErrors(
        status=503, start=now + timedelta(hours=1), end=now + timedelta(hours=2, minutes=30)
    )
    hours = [0]

    def clock() -> int:
        return system_clock() + hours[0] * 3_600_000

    def sleep(_: float) -> None:
        hours[0] += 1
        if hours[0] > 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(scan_watch, "watch", partial(scan_watch.watch, sleep=sleep))
    # The exchange's clock runs ahead of this process's: each look is at a new candle.
    monkeypatch.setattr(Exchange, "_now_is_time_to_refresh", lambda *_: True)
    with running_test_replay(today, clock=clock, faults=[away]) as replay:
        options = replay_config(replay.url)["exchange"] | {"markets_refresh_interval": 0}
        with pytest.raises(SystemExit) as ended:
            run(["scan", *configure(exchange=options), "--preset", "balanced", "--watch"])
    assert ended.value.code == 130
    shown = capsys.readouterr().out
    assert shown.count("3 of 3 ranked perps") == 2
    assert shown.count("Since the candle of ") == 1
    said = [record.getMessage() for record in caplog.records if record.levelname != "INFO"]
    assert said == [
        "binance answers no request for candles: check the network (it also refuses too "
        "many requests)"
    ]


def test_scan_takes_the_parameter_file_of_its_strategy(
    configure: Configure, tmp_path: Path, capsys: Output
) -> None:
    folder = tmp_path / "strategies"
    folder.mkdir()
    for source in (ROOT / "strategies").glob("*.py"):
        (folder / source.name).write_text(source.read_text("utf-8"), encoding="utf-8")
    options = [*configure(strategy_path=str(folder))]
    scan("apply", "aggressive", *options, output=capsys, command="preset")
    found = json.loads(scan(*options, "--json", output=capsys))
    assert found["thresholds_of"] == "PerpImbalance"
    assert found["thresholds"]["enter_z"] == PRESETS["aggressive"].enter_z


@pytest.mark.freqtrade
def test_watch_prints_a_table_and_ends_with_ctrl_c(configure: Configure, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.json"
    code = "from perp_imbalance.cli.main import run; run()"
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", code, "scan", *configure(), "--watch"),
            *("--pairlist", str(pairs)),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        seen = ""
        for line in process.stdout:
            seen += line
            if "ranked perps" in line:
                break
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=TIMEOUT_SECONDS)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert errors.count("NEW/USDT:USDT is left out") == 1
    assert "3 of 3 ranked perps" in seen
    assert set(json.loads(pairs.read_text())["pairs"]) <= set(SAMPLE_PAIRS)


@pytest.mark.parametrize(
    ("config", "arguments", "message"),
    [
        ({"stake_currency": "EUR"}, [], "binance has no EUR perp with a price to compare it with"),
        ({}, ["--pairlist", "nowhere/pairs.json"], "nowhere/pairs.json cannot be written"),
        ({}, ["--pairlist", "config.json"], "config.json exists already"),
        ({}, ["--csv", "README.md"], "README.md exists already"),
        ({}, ["--strategy", "RsiWithImbalance"], "is not based on PerpImbalance"),
        (
            *({"perp_imbalance": {"htf_timeframe": "90m"}}, ["--preset", "conservative"]),
            "htf_timeframe",
        ),
        ({}, ["--top", "-1"], "--top is -1, it must be at least 0"),
        ({}, ["--watch", "--json"], "leave out --json, or --watch"),
        ({}, ["--columns", "z,wild"], "--columns has no column 'wild': known are perp, dev"),
        ({}, ["--columns", ","], "--columns is empty: name columns"),
    ],
)
def test_bad_input_fails_in_one_line(
    configure: Configure,
    config: dict[str, Any],
    arguments: list[str],
    message: str,
    capsys: Output,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit) as ended:
        run(["scan", *configure(**config), *arguments])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line


def test_unknown_preset_is_refused_with_the_known_ones(capsys: Output) -> None:
    with pytest.raises(SystemExit) as ended:
        run(["scan", "--preset", "wild"])
    assert ended.value.code == 2
    assert "invalid choice: 'wild'" in capsys.readouterr().err


@pytest.fixture
def bot(configure: Configure, tmp_path: Path) -> Iterator[Bot]:
    """A dry-run with the shipped fragment in the folder of ``user_data``, started by the test."""
    fragment = json.loads((ROOT / "config" / "pairlist-scan.json").read_text("utf-8"))
    # The only change: a test does not wait for a minute.
    fragment["pairlists"][0]["refresh_period"] = 1
    port, log = free_port(), tmp_path / "bot.log"
    options = configure(
        **fragment,
        strategy_path=str(ROOT / "strategies"),
        internals={"process_throttle_secs": 1},
        api_server=api_settings(port),
    )
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "freqtrade", "trade", "--db-url", "sqlite://", *options],
            cwd=tmp_path,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env={**os.environ, "COLUMNS": "220"},
        )
    try:
        yield Bot(port, process, log)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=TIMEOUT_SECONDS)
        finally:
            process.kill()


@pytest.mark.freqtrade
def test_running_bot_follows_the_pair_list(
    configure: Configure, tmp_path: Path, capsys: Output, request: pytest.FixtureRequest
) -> None:
    file = tmp_path / "user_data" / "pairs.json"
    options = [*configure(), "--json", "--pairlist", str(file)]
    ranked = [row["perp"] for row in json.loads(scan(*options, output=capsys))["rows"]]
    assert json.loads(file.read_text("utf-8")) == {"pairs": ranked}
    scan(*options, "--top", "1", output=capsys)
    bot = request.getfixturevalue("bot")
    bot.wait_for_whitelist(ranked[:1])
    scan(*options, output=capsys)
    bot.wait_for_whitelist(ranked)
    # What is no list of pairs leaves the bot the last one.
    file.write_text("{", encoding="utf-8")
    log = bot.wait_for_words("Keeping last fetched pairlist")
    bot.wait_for_whitelist(ranked)
    assert "ERROR" not in log
    assert "Traceback" not in log
