"""A scan says of every perp what the strategy would say, most extreme first."""

import csv
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from freqtrade.data.btanalysis import get_tick_size_over_time
from freqtrade.data.history import load_pair_history
from freqtrade.enums import CandleType
from freqtrade_fixtures import (
    CONFIG,
    ROOT,
    SAMPLE_PAIRS,
    perp_imbalance,
    spot_to_index,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from perp_imbalance.commands.main import run
from perp_imbalance.doctor.candles import most_decimals
from perp_imbalance.errors import CommandError
from perp_imbalance.indicators import PRESETS, imbalance_columns
from perp_imbalance.pairs import SpotMatch
from perp_imbalance.replay import Replay, replay_config, running_replay
from perp_imbalance.sample import write_sample_market
from perp_imbalance.scan.fetch import candles_needed
from perp_imbalance.scan.rank import Key, Ranking, Rules, Snapshot, rank
from perp_imbalance.scan.show import ranking_table
from perp_imbalance.scan.watch import AGAIN_SECONDS, seconds_to_wait, watch
from perp_imbalance.scan.write import check_target, is_pairlist, write_pairlist

NOW = pd.Timestamp("2026-01-01 12:05", tz="UTC")
PAIRS, COMPUTING_SECONDS = 450, 2.0
SCALES = {"1000PEPE/USDT:USDT": ("PEPE/USDT", 1000.0)}


def candles(closes: Any, timeframe: str) -> pd.DataFrame:
    """Return candles of these closes, the last of which closed last before ``NOW``."""
    last = NOW.floor(timeframe) - pd.Timedelta(timeframe)
    closes = np.round(closes, 4)
    return pd.DataFrame(
        {
            "date": pd.date_range(end=last, periods=len(closes), freq=timeframe),
            **{name: closes + add for name, add in (("open", 1e-4), ("high", 2e-4))},
            "low": closes - 1e-4,
            "close": closes,
            "volume": 5.0,
        }
    )


def rules(preset: str = "balanced") -> Rules:
    return Rules(preset, "1h", "4h", PRESETS[preset], 12)


def snapshot(frames: dict[Key, pd.DataFrame]) -> Snapshot:
    return Snapshot(frames, NOW, {}, {}, {})


def market(pairs: int, count: int) -> tuple[list[SpotMatch], Snapshot]:
    """Return candles of so many perps with their spot pairs, on two timeframes."""
    rng = np.random.default_rng(3)
    matches, frames = [], {}
    for number in range(pairs):
        perp, spot = f"C{number}/USDT:USDT", f"C{number}/USDT"
        matches.append(SpotMatch(perp, spot, 1, "identical", None))
        for timeframe in ("1h", "4h"):
            closes = 100 * np.exp(np.cumsum(rng.normal(0, 5e-3, count)))
            premium = rng.normal(0, 1e-3, count)
            frames[perp, timeframe, CandleType.FUTURES] = candles(closes * (1 + premium), timeframe)
            frames[spot, timeframe, CandleType.SPOT] = candles(closes, timeframe)
    return matches, snapshot(frames)


@pytest.mark.parametrize("preset", ["balanced", "conservative"])
def test_450_pairs_take_less_than_two_seconds_of_computing(preset: str) -> None:
    matches, given = market(PAIRS, candles_needed(PRESETS[preset]))
    took = []
    for _ in range(3):
        began = time.process_time()
        found = rank(matches, given, rules(preset), 20)
        took.append(time.process_time() - began)
    assert found.ranked == PAIRS
    print(f"{preset}: {PAIRS} pairs in {min(took):.2f} s of computing")
    assert min(took) < COMPUTING_SECONDS


def test_rows_are_ranked_by_absolute_z() -> None:
    matches, given = market(8, 200)
    found = rank(matches, given, rules())
    sizes = [abs(row.z) for row in found.rows]
    assert sizes == sorted(sizes, reverse=True)
    assert any(row.z < 0 for row in found.rows)
    assert rank(matches, given, rules(), 3).rows == found.rows[:3]


def test_row_says_since_when_its_bias_holds() -> None:
    matches, given = market(1, 200)
    key = ("C0/USDT:USDT", "1h", CandleType.FUTURES)
    spot = given.frames["C0/USDT", "1h", CandleType.SPOT]["close"].to_numpy()
    premium = np.random.default_rng(1).normal(0, 1e-4, 200)
    premium[-4:] = 0.01
    calm = snapshot({**given.frames, key: candles(spot * (1 + premium), "1h")})
    (row,) = rank(matches, calm, rules()).rows
    assert row.bias == "short"
    # The first of the four extreme candles closed three hours before the last.
    assert row.since == NOW.floor("1h") - pd.Timedelta("3h")
    assert row.candle == NOW.floor("1h") - pd.Timedelta("1h")
    assert row.premium_pct == pytest.approx(1.0, abs=0.01)


def test_perp_that_cannot_be_ranked_is_named_with_the_reason() -> None:
    matches, given = market(5, 200)
    frames = dict(given.frames)
    del frames["C0/USDT", "1h", CandleType.SPOT]
    del frames["C1/USDT:USDT", "1h", CandleType.FUTURES]
    perp = frames["C2/USDT:USDT", "1h", CandleType.FUTURES]
    prices = ["open", "high", "low", "close"]
    frames["C2/USDT:USDT", "1h", CandleType.FUTURES] = perp.assign(**perp[prices] * 7)
    frames["C3/USDT:USDT", "1h", CandleType.FUTURES] = frames[
        "C3/USDT:USDT", "1h", CandleType.FUTURES
    ].iloc[:-3]
    found = rank(matches, snapshot(frames), rules())
    assert [row.perp for row in found.rows] == ["C4/USDT:USDT"]
    reasons = {perp.perp.split("/")[0]: perp.reason for perp in found.left_out}
    assert reasons["C0"] == "the exchange gave no 1h candles of C0/USDT"
    assert reasons["C1"] == "the exchange gave no 1h candles of it"
    assert "not the same coin" in reasons["C2"]
    assert "no z-score on the last closed candle (2026-01-01 08:00)" in reasons["C3"]


def test_perp_whose_tick_is_its_premium_is_not_sound() -> None:
    matches, given = market(1, 200)
    coarse = given._replace(precision={"C0/USDT": 1.0})
    (row,) = rank(matches, coarse, rules()).rows
    assert row.tick_noise > 1.9
    assert not row.is_sound
    (fine,) = rank(matches, given, rules()).rows
    assert fine.is_sound


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 10**9), st.integers(0, 8)), min_size=1, max_size=6))
def test_decimals_are_those_that_freqtrade_counts(prices: list[tuple[int, int]]) -> None:
    values = np.array([number / 10**decimals for number, decimals in prices])
    dates = pd.date_range("2026-01-01", periods=values.size, freq="1h")
    frame = pd.DataFrame({"date": dates, **dict.fromkeys(("open", "high", "low", "close"), values)})
    seen = get_tick_size_over_time(frame).min()
    expected = 0 if np.isnan(seen) else round(-np.log10(seen))
    assert most_decimals(values) == expected


def test_table_has_a_column_for_each_active_gate() -> None:
    matches, given = market(2, 300)
    for preset, gates in (("conservative", ["sigma gate", "HTF gate"]), ("aggressive", [])):
        table = ranking_table(rank(matches, given, rules(preset)).rows, rules(preset))
        headings = [str(column.header) for column in table.columns]
        assert [heading for heading in headings if "gate" in heading] == gates


def test_watch_shows_only_what_is_new_and_waits_for_the_next_candle() -> None:
    matches, given = market(2, 200)
    ranking = rank(matches, given, rules())
    shown: list[Ranking] = []
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch(lambda: ranking, shown.append, timeframe="1h", patience=90, sleep=sleep)
    assert shown == [ranking]


def test_watch_looks_again_for_late_candles_within_its_patience_only() -> None:
    matches, given = market(2, 200)
    ranking = rank(matches, given, rules())
    opened = NOW.floor("1h")
    soon, later = opened + pd.Timedelta("20s"), opened + pd.Timedelta("5min")
    until_next = (pd.Timedelta("1h") - pd.Timedelta("20s")).total_seconds()
    assert seconds_to_wait(ranking, "1h", soon, 90) == pytest.approx(until_next + 4)
    late = Ranking(ranking.rows, 2, [*ranking.left_out, ("C9", "late")])  # type: ignore[list-item]
    assert seconds_to_wait(late, "1h", soon, 90) == AGAIN_SECONDS
    assert seconds_to_wait(late, "1h", later, 90) == pytest.approx(55 * 60 + 4)


def test_pairlist_has_the_sound_pairs_and_replaces_only_its_own_kind(tmp_path: Path) -> None:
    matches, given = market(3, 200)
    file = tmp_path / "pairs.json"
    rows = rank(matches, given, rules()).rows
    write_pairlist(file, rows)
    assert json.loads(file.read_text())["pairs"] == [row.perp for row in rows]
    check_target(file, force=False, replaceable=is_pairlist)
    for text in ("{", "[]", "{}", '{"pairs": [], "exchange": {}}'):
        file.write_text(text)
        with pytest.raises(CommandError, match="is there already"):
            check_target(file, force=False, replaceable=is_pairlist)
        check_target(file, force=True, replaceable=is_pairlist)
    assert list(tmp_path.iterdir()) == [file]


@pytest.fixture(scope="module")
def today(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sample market around now, in which ETH has an index in place of a spot pair."""
    datadir = tmp_path_factory.mktemp("scan") / "binance"
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    # 4h candles of the conservative preset: 350 of them are 58 days.
    write_sample_market(datadir, start=midnight - timedelta(days=60), days=62)
    spot_to_index(datadir, "ETH", "ETH")
    return datadir


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


@pytest.mark.freqtrade
def test_scan_has_the_columns_of_the_strategy(
    configure: Configure, today: Path, replay: Replay, tmp_path: Path
) -> None:
    before = len(replay.requests)
    table = tmp_path / "all.csv"
    process = perp_imbalance(
        *("scan", *configure(), "--preset", "conservative", "--json", "--csv", str(table))
    )
    assert process.returncode == 0, process.stderr
    found = json.loads(process.stdout)
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
        assert rows[pair]["volume_24h"] > 0
        assert rows[pair]["funding"] is not None
        assert set(rows[pair]["gates"]) == {"sigma gate", "HTF gate"}
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


@pytest.mark.freqtrade
def test_scan_takes_the_parameter_file_of_its_strategy(
    configure: Configure, tmp_path: Path
) -> None:
    folder = tmp_path / "strategies"
    folder.mkdir()
    for source in (ROOT / "strategies").glob("*.py"):
        (folder / source.name).write_text(source.read_text("utf-8"), encoding="utf-8")
    options = [*configure(strategy_path=str(folder))]
    applied = perp_imbalance("preset", "apply", "aggressive", *options)
    assert applied.returncode == 0, applied.stderr
    process = perp_imbalance("scan", *options, "--json")
    assert process.returncode == 0, process.stderr
    found = json.loads(process.stdout)
    assert found["thresholds_of"] == "PerpImbalance"
    assert found["thresholds"]["enter_z"] == PRESETS["aggressive"].enter_z


@pytest.mark.freqtrade
def test_watch_prints_a_table_and_ends_with_ctrl_c(configure: Configure, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.json"
    code = "from perp_imbalance.commands.main import run; run()"
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
        _, errors = process.communicate(timeout=30)
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
        ({}, ["--pairlist", "config.json"], "config.json is there already"),
        ({}, ["--csv", "README.md"], "README.md is there already"),
        ({}, ["--strategy", "RsiWithImbalance"], "is none of this project's strategies"),
        ({}, ["--top", "-1"], "--top is -1, it must be at least 0"),
        ({}, ["--watch", "--json"], "leave out --json, or --watch"),
    ],
)
def test_bad_input_fails_in_one_line(
    configure: Configure,
    config: dict[str, Any],
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit) as ended:
        run(["scan", *configure(**config), *arguments])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line


def test_unknown_preset_is_refused_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(["scan", "--preset", "wild"])
    assert ended.value.code == 2
    assert "invalid choice: 'wild'" in capsys.readouterr().err
