"""A walk-forward tests on what it was not fitted on, counts honestly and survives its workers."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.freqtrade import CONFIG, ROOT, TIMEOUT_SECONDS, Freqtrade, backtest_trades
from support.pages import page_text

from perp_imbalance.cli.main import build_parser
from perp_imbalance.errors import PerpImbalanceError, SettingsError
from perp_imbalance.freqtrade_bridge.parameter_file import ParameterFile
from perp_imbalance.indicators import PRESETS
from perp_imbalance.research.walk_forward.task import portable_config
from perp_imbalance.research.windows import (
    Window,
    check_candles,
    clip,
    parse_length,
    split,
)

BTC = "BTC/USDT:USDT"
DAY = timedelta(days=1)


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_windows_roll_and_their_tests_follow_each_other() -> None:
    windows = split(day("2024-01-01"), day("2024-03-11"), 30 * DAY, 20 * DAY)
    assert [(w.train, w.test, w.end) for w in windows] == [
        (day("2024-01-01"), day("2024-01-31"), day("2024-02-20")),
        (day("2024-01-21"), day("2024-02-20"), day("2024-03-11")),
    ]


def test_anchored_windows_grow_from_the_beginning() -> None:
    windows = split(day("2024-01-01"), day("2024-03-11"), 30 * DAY, 20 * DAY, anchored=True)
    assert [w.train for w in windows] == [day("2024-01-01")] * 2
    assert windows[1].test == day("2024-02-20")


def test_no_candle_is_in_both_parts() -> None:
    window = Window(1, day("2024-01-01"), day("2024-01-31"), day("2024-02-20"))
    begin, end = (int(stamp) for stamp in window.train_range.split("-"))
    # freqtrade takes the candle that opens at the end of a time range.
    assert (begin, end) == (day("2024-01-01").timestamp(), day("2024-01-31").timestamp() - 1)
    assert window.test_range.startswith(f"{day('2024-01-31').timestamp():.0f}-")


def test_span_too_short_for_a_window_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"49 days, too short for one window of 30 \+ 20 days"):
        split(day("2024-01-01"), day("2024-02-19"), 30 * DAY, 20 * DAY)


@pytest.mark.parametrize("text", ["180", "0d", "-3d", "1.5d", "6m", ""])
def test_invalid_length_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="is not a length"):
        parse_length(text, "--train")


def test_empty_part_of_a_window_is_named() -> None:
    windows = split(day("2024-01-01"), day("2024-01-31"), 10 * DAY, 10 * DAY)
    hours = [day("2024-01-01") + timedelta(hours=n) for n in range(20 * 24)]
    with pytest.raises(SettingsError, match="the test part of window 2 is empty"):
        check_candles(windows, hours, timedelta(0))


def test_training_part_that_is_mostly_start_up_is_named() -> None:
    windows = split(day("2024-01-01"), day("2024-02-10"), 20 * DAY, 20 * DAY)
    hours = [day("2024-01-01") + timedelta(hours=n) for n in range(40 * 24)]
    check_candles(windows, hours, 10 * DAY)
    with pytest.raises(SettingsError, match="no signal before 2024-01-12: begin --timerange there"):
        check_candles(windows, hours, 11 * DAY)
    # Candles before the time range serve.
    earlier = [time - 5 * DAY for time in hours] + hours
    check_candles(windows, earlier, 11 * DAY)


def test_time_range_is_clipped_to_candles_and_whole_days() -> None:
    first, last = day("2024-01-01") + timedelta(hours=5), day("2024-02-01")
    assert clip(None, None, first, last) == (day("2024-01-02"), last)
    assert clip(day("2023-01-01"), day("2024-01-20"), day("2024-01-01"), last) == (
        *(day("2024-01-01"), day("2024-01-20")),
    )


def test_config_travels_without_secrets() -> None:
    found = portable_config(
        {
            "stake_currency": "USDT",
            "telegram": {"token": "t"},
            "exchange": {
                "name": "binance",
                **{"key": "k", "secret": "s"},
                "ccxt_config": {"apiKey": "k", "options": {"defaultType": "future"}},
            },
        }
    )
    assert found == {
        "stake_currency": "USDT",
        "exchange": {
            "name": "binance",
            "ccxt_config": {"options": {"defaultType": "future"}},
        },
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--timerange", "20251201-20251210"], "9 days, too short for one window of 180 + 60 days"),
        (["--timerange", "20300101-"], "the time range 20300101- has no candles: "),
        (["--timerange", "-20200101"], "the time range -20200101 has no candles: "),
        (["--train", "x"], "--train 'x' is not a length: write days or weeks"),
        (["--epochs", "0"], "--epochs, --min-trades and --workers must be at least 1"),
        (["--seed", str(2**32)], "--seed is 4294967296, it must be from 1 to 2147483647"),
        (["--strategy", "Nix"], "there is no strategy Nix among PerpImbalance.py"),
        (
            ["--spaces", "buy", "foo", "--engine", "freqtrade"],
            "--spaces: there is no space foo, only default, all, buy, sell",
        ),
        (
            ["--hyperopt-loss", "Nix", "--engine", "freqtrade"],
            "Impossible to load HyperoptLoss 'Nix'.",
        ),
        (["--train", "19d", "--test", "5d"], "--train is 19 days, the search needs 20 or more"),
        (["--hyperopt-loss", "Nix"], "--hyperopt-loss is only for --engine freqtrade"),
        (["--objective", "t", "--engine", "freqtrade"], "--objective is only for --engine kernel"),
        (["--spaces", "buy", "roi"], "--spaces: roi is none of buy, sell, lookback: of others,"),
        (["--pairs", "X/USDT:USDT"], "no 1h candles of X/USDT:USDT"),
        (["--scheduler", "tcp://127.0.0.1:1"], "no Dask scheduler at tcp://127.0.0.1:1"),
    ],
)
def test_wrong_walk_forward_is_refused(
    tmp_path: Path,
    sample_datadir: Path,
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("perp_imbalance.research.walk_forward.run._CONNECT_SECONDS", 1)
    out = tmp_path / "out"
    words = ["walk-forward", "--datadir", str(sample_datadir), "--out", str(out), *arguments]
    parsed = build_parser().parse_args(words)
    with pytest.raises(PerpImbalanceError, match=re.escape(message)) as error:
        parsed.run(parsed)
    assert "\n" not in str(error.value)
    assert not list(out.glob("windows/*"))


# With freqtrade itself, on two windows of the sample market.

TIMERANGE = "20250301-20250719"


def command(datadir: Path, out: Path, *options: str, engine: str = "freqtrade") -> list[str]:
    """Return the command line of a short walk-forward."""
    code = "from perp_imbalance.cli.main import run; run()"
    return [
        *(sys.executable, "-c", code, "walk-forward", "-c", str(CONFIG)),
        *("--datadir", str(datadir), "--out", str(out), "--timerange", TIMERANGE, "--pairs", BTC),
        *("--train", "60d", "--test", "40d", "--epochs", "3", "--min-trades", "1", "--anchored"),
        *("--engine", engine),
        *options,
    ]


def wait_until(condition: Callable[[], Any]) -> Any:
    end = time.monotonic() + TIMEOUT_SECONDS
    while not (found := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)
    return found


def freqtrades(folder: Path) -> list[psutil.Process]:
    """Return freqtrade's processes that work below a folder, the oldest first."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = process.cmdline()
            if "perp_imbalance.freqtrade_bridge.process" in words and str(folder) in " ".join(
                words
            ):
                found.append(process)
    return sorted(found, key=lambda process: process.create_time())


@contextmanager
def dask(*arguments: str, folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a part of a Dask cluster as a user starts it."""
    with (folder / "dask.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            env={**os.environ, "TMPDIR": str(folder)},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def interrupted(datadir: Path, folder: Path) -> None:
    """Run the first of two windows on this machine, then interrupt."""
    process = subprocess.Popen(
        command(datadir, folder / "out", "--workers", "1"),
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_until(lambda: process.poll() is not None or list(folder.glob("out/windows/*.json")))
    wait_until(lambda: process.poll() is not None or freqtrades(folder))
    # As a terminal does it: to all processes in the foreground.
    os.killpg(process.pid, signal.SIGINT)
    out, said = process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert "stopped: 1 of 2 windows are there, the same command runs the others" in said
    assert not out
    wait_until(lambda: not freqtrades(folder))


def resumed(datadir: Path, folder: Path) -> dict[str, Any]:
    """Run what is missing on a cluster of two workers, of which one is killed in the middle."""
    address, places = (
        folder / "scheduler.json",
        ("--scheduler-file", str(folder / "scheduler.json")),
    )
    cli = "distributed.cli.dask_"
    options = (*places, "--no-nanny", "--nthreads", "1", "--no-dashboard")
    listen = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard")
    with (
        dask(cli + "scheduler", *listen, *places, folder=folder),
        ExitStack() as workers,
    ):
        wait_until(address.exists)
        scheduler = json.loads(address.read_text("utf-8"))["address"]
        process = subprocess.Popen(
            command(datadir, folder / "out", "--scheduler", scheduler, "--json"),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_until(lambda: psutil.Process(process.pid).net_connections("tcp"))
        first, second = (
            workers.enter_context(dask(cli + "worker", *options, folder=folder)) for _ in range(2)
        )
        begun = wait_until(lambda: process.poll() is not None or freqtrades(folder))
        victim = {worker.pid: worker for worker in (first, second)}[begun[0].ppid()]
        victim.kill()
        # What it had begun ends with it, and the other begins anew.
        again = wait_until(lambda: [p for p in freqtrades(folder) if p.pid != begun[0].pid])
        assert again[0].ppid() != victim.pid
        out, said = process.communicate(timeout=TIMEOUT_SECONDS)
        assert process.returncode == 0, said
        assert not begun[0].is_running()
    assert "1 of 2 windows are there already" in said
    assert f"the scheduler at {scheduler} has no workers yet: waiting" in said
    report: dict[str, Any] = json.loads(out)
    return report


@pytest.mark.freqtrade
def test_walk_forward_survives_interrupt_and_worker_death(
    sample_datadir: Path, freqtrade: Freqtrade, tmp_path: Path
) -> None:
    """One test, because each window is three runs of freqtrade."""
    names = ["001-20250430-20250609", "002-20250609-20250719"]
    first, second = (tmp_path / "out" / "windows" / f"{name}.json" for name in names)
    interrupted(sample_datadir, tmp_path)
    # Windows are independent: either may be the first that is done.
    (done,) = (file for file in (first, second) if file.exists())
    written = done.stat().st_mtime_ns

    found = resumed(sample_datadir, tmp_path)
    assert done.stat().st_mtime_ns == written
    assert [row["window"] for row in found["windows"]] == names
    assert found["epochs"] == 6
    accounts = ["walk-forward", "PerpImbalance", "PerpImbalanceConservative"]
    accounts += ["PerpImbalanceAggressive", "PerpImbalanceDeepDiscount", "buy and hold"]
    assert list(found["accounts"]) == accounts
    assert all(len(equity) == 81 for equity in found["equity"].values())
    assert found == json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert found["verdict"] in page_text(tmp_path / "out" / "report.html")
    winner = replace(
        PRESETS["balanced"], **ParameterFile.read(tmp_path / "out" / "winner.json").values
    )
    assert winner.enter_z == pytest.approx(found["windows"][-1]["params"]["enter_z"])

    trained = [json.loads(file.read_text("utf-8"))["train"][0][:10] for file in (first, second)]
    assert trained == ["2025-03-01"] * 2
    check_test_part(json.loads(second.read_text("utf-8")), sample_datadir, freqtrade, tmp_path)


@pytest.mark.freqtrade
def test_freqtrade_trades_a_window_fitted_by_simulation(
    sample_datadir: Path, freqtrade: Freqtrade, tmp_path: Path
) -> None:
    options = ["--epochs", "60", "--workers", "1", "--timerange", "20250410-20250719", "--json"]
    words = command(sample_datadir, tmp_path / "out", *options, engine="kernel")
    process = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    found = json.loads(process.stdout)
    (window,) = found["windows"]
    assert window["window"] == "001-20250609-20250719"
    assert 30 < found["epochs"] <= 60
    file = tmp_path / "out" / "windows" / f"{window['window']}.json"
    result = json.loads(file.read_text("utf-8"))
    assert len(result["epoch_sharpes"]) == found["epochs"]
    written = ParameterFile.read(tmp_path / "out" / "winner.json").values
    assert written["enter_z"] == window["params"]["enter_z"]
    assert result["trades"] != result["presets"]["PerpImbalance"]
    check_test_part(result, sample_datadir, freqtrade, tmp_path)


def check_test_part(
    window: dict[str, Any], datadir: Path, freqtrade: Freqtrade, folder: Path
) -> None:
    """Check that a plain backtest of the test part, with the winner's file, has the same trades."""
    strategies = folder / "strategies"
    strategies.mkdir()
    shutil.copy(ROOT / "strategies" / "PerpImbalance.py", strategies)
    (strategies / "PerpImbalance.json").write_text(json.dumps(window["parameter_file"]))
    process = freqtrade(
        *("backtesting", "--strategy-list", "PerpImbalance", "--strategy-path", str(strategies)),
        # freqtrade takes the candle that opens at the end of a time range.
        *("--timerange", f"20250609-{day('2025-07-19').timestamp() - 3600:.0f}"),
        *("--cache", "none"),
        datadir=datadir,
        pairs=[BTC],
    )
    assert process.returncode == 0, process.stderr
    plain = backtest_trades(folder / "user_data")["PerpImbalance"]
    assert len(plain) == len(window["trades"]) > 0
    for trade, wanted in zip(window["trades"], plain.to_dict("records"), strict=True):
        assert trade == pytest.approx({key: wanted[key] for key in trade})
    assert min(trade["open_date"] for trade in window["trades"]) >= "2025-06-09"
    assert window["in_sample"]["total_trades"] > 0
