"""A backtest ends in one screen; what freqtrade says is shown where it fails."""

import argparse
import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from perp_imbalance.cli import backtest_screen
from perp_imbalance.cli.backtest import STRATEGIES, run_backtesting
from perp_imbalance.cli.backtest_screen import Ending
from perp_imbalance.freqtrade_bridge import process
from perp_imbalance.freqtrade_bridge.process import held_warnings
from perp_imbalance.reporting import backtest_result
from perp_imbalance.reporting.backtest_result import Outcome, Result

STATS = {
    **{"timeframe": "1h", "pairlist": ["BTC/USDT:USDT"], "starting_balance": 1000.0},
    **{"backtest_start_ts": 1737342000000, "backtest_end_ts": 1767222000000, "winrate": 0.5},
    **{"profit_total": -0.00001, "profit_total_abs": -0.01, "max_drawdown_account": 0.2901},
    **{"sharpe": 0.0, "profit_factor": 1.0},
}
ORDER = {"amount": 1.0, "safe_price": 2500.0, "ft_is_entry": True}
TRADE = {
    **{"pair": "BTC/USDT:USDT", "is_short": False, "open_rate": 2500.0, "close_rate": 2500.0},
    **{"open_date": pd.Timestamp("2025-02-01", tz="UTC"), "fee_open": 0.0005, "fee_close": 0.0005},
    **{"close_date": pd.Timestamp("2025-02-02", tz="UTC"), "orders": [ORDER], "profit_abs": 0.0},
    "funding_fees": -0.25,
}


def result(tmp_path: Path) -> Result:
    """One with a strategy of each number of trades."""
    outcomes = tuple(
        Outcome(name, pd.DataFrame([TRADE] * trades), STATS, pd.Series(dtype=float), None)
        for name, trades in zip(STRATEGIES, (0, 12, 1638, 225), strict=True)
    )
    return Result(tmp_path / "backtest-result.zip", {"stake_currency": "USDT"}, outcomes)


def test_screen_fits_80_columns_and_24_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = result(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(backtest_result, "read_result", lambda file: made)
    monkeypatch.setattr(
        backtest_screen, "page_console", lambda: Console(width=80, force_terminal=False)
    )
    notes = ["the time range 20250101- reaches past the candles"]
    Ending(made.file, made.file, notes, "perp-imbalance doctor", tmp_path).show()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    words = [line.split() for line in lines]
    assert [*STRATEGIES[:1], "0", "0.00", "29.01", "0.00", "0.00", "no", "trades"] in words
    assert lines[1] == "Candles: ."
    assert words[6][:6] == [STRATEGIES[2], "1638", "0.00", "29.01", "2047.50", "-409.50"]
    for line in (
        f"Note: {notes[0]}",
        "Results: backtest-result.zip",
        "Next: perp-imbalance doctor",
    ):
        assert line in lines


def test_json_has_the_figures_of_each_strategy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = result(tmp_path)
    monkeypatch.setattr(backtest_result, "read_result", lambda file: made)
    Ending(made.file, None, [], None, tmp_path).show(as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["synthetic"], told["datadir"]) == (False, str(tmp_path))
    assert [row["strategy"] for row in told["strategies"]] == list(STRATEGIES)
    row = told["strategies"][1]
    assert (row["trades"], row["fees"], row["funding"]) == (12, 15.0, -3.0)
    assert row["profit_pct"] == pytest.approx(-0.001)
    assert None not in row.values()


def run_with(
    monkeypatch: pytest.MonkeyPatch, code: int, notes: dict[str, None]
) -> "subprocess.CompletedProcess[str]":
    """Run a backtest in which freqtrade says the same, whatever its code."""
    errors = "log\nWarning: ETH gives no signals\nWarning: ETH gives no signals\n"
    ran = subprocess.CompletedProcess(["freqtrade"], code, "tables\n", errors)
    monkeypatch.setattr(process, "capture_freqtrade", lambda *_, **__: ran)
    arguments = argparse.Namespace(verbose=False, strategies=["PerpImbalance"])
    assert run_backtesting([], {}, arguments, notes) == ran.stdout
    return ran


def test_failed_backtest_shows_all_that_freqtrade_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        run_with(monkeypatch, 3, {})
    assert left.value.code == 3
    said = capsys.readouterr()
    assert said.out == "tables\n"
    assert said.err.startswith("log\nWarning: ETH")


def test_backtest_notes_each_warning_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    notes: dict[str, None] = {"mark prices are missing": None}
    run_with(monkeypatch, 0, notes)
    assert list(notes) == ["mark prices are missing", "ETH gives no signals"]
    said: Any = capsys.readouterr()
    assert said.out + said.err == ""


@pytest.mark.parametrize("fails", [False, True])
def test_held_warnings_are_logged_where_the_block_fails(
    fails: bool, caplog: pytest.LogCaptureFixture
) -> None:
    logger = logging.getLogger("perp_imbalance.data")
    try:
        with held_warnings() as held:
            for _ in range(2):
                logger.warning("no rates")
            assert caplog.messages == []
            if fails:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        assert fails
    assert list(held) == ["no rates"]
    assert caplog.messages == (["no rates"] if fails else [])


def test_capture_forwards_the_log_while_freqtrade_runs(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    code = (
        "import pathlib, sys\nprint('begun', file=sys.stderr, flush=True)\n"
        "while not pathlib.Path(sys.argv[1]).exists(): pass"
    )
    command = [sys.executable, "-c", code, str(seen)]
    process.run_child(
        command, capture=True, watch=lambda log: seen.touch() if log == "begun\n" else None
    )
    assert seen.exists()
