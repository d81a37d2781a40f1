"""A walk-forward tests on what it was not fitted on, counts honestly and survives its workers."""

import math
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
from freqtrade_fixtures import (
    CONFIG,
    TIMEOUT_SECONDS,
    assert_fails_in_one_line,
    perp_imbalance,
)

from perp_imbalance.errors import CommandError, SettingsError
from perp_imbalance.walk_forward.account import (
    daily_sharpe,
    deflated_sharpe,
    describe,
    expected_best,
    growth_equity,
    sharpe_error,
    stability,
    stitch,
    trial_deviation,
    window_equity,
)
from perp_imbalance.walk_forward.report import summarise
from perp_imbalance.walk_forward.run import Store
from perp_imbalance.walk_forward.task import portable_config
from perp_imbalance.walk_forward.windows import Window, check_candles, clip, parse_length, split

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
def test_length_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="is no length"):
        parse_length(text, "--train")


def test_empty_part_of_a_window_is_named() -> None:
    windows = split(day("2024-01-01"), day("2024-01-31"), 10 * DAY, 10 * DAY)
    hours = [day("2024-01-01") + timedelta(hours=n) for n in range(20 * 24)]
    with pytest.raises(SettingsError, match="the test part of window 2 is empty"):
        check_candles(windows, hours)


def test_time_range_is_clipped_to_candles_and_whole_days() -> None:
    first, last = day("2024-01-01") + timedelta(hours=5), day("2024-02-01")
    assert clip(None, None, first, last) == (day("2024-01-02"), last)
    assert clip(day("2023-01-01"), day("2024-01-20"), day("2024-01-01"), last) == (
        *(day("2024-01-01"), day("2024-01-20")),
    )


def trades(*rows: tuple[str, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["close_date", "profit_abs"])


def test_equity_counts_profit_on_the_day_a_trade_closes() -> None:
    found = window_equity(
        trades(
            ("2024-01-01 05:00:00+00:00", 10.0),
            ("2024-01-01 23:00:00+00:00", -5.0),
            ("2024-01-03 00:00:00+00:00", 20.0),
            ("2024-01-04 00:00:00+00:00", 1.0),  # closed by the end of the test
        ),
        1000,
        day("2024-01-01"),
        day("2024-01-04"),
    )
    assert list(found) == [1000, 1005, 1005, 1026]
    assert list(found.index) == list(pd.date_range("2023-12-31", "2024-01-03", tz="UTC"))


def test_windows_compound_on_the_wallet_unless_stakes_are_fixed() -> None:
    windows = [
        window_equity(trades(("2024-01-01", 100.0)), 1000, day("2024-01-01"), day("2024-01-03")),
        window_equity(trades(("2024-01-04", 100.0)), 1000, day("2024-01-03"), day("2024-01-05")),
    ]
    assert list(stitch(windows, 1000)) == pytest.approx([1000, 1100, 1100, 1100, 1210])
    assert list(stitch(windows, 1000, compounding=False)) == [1000, 1100, 1100, 1100, 1200]


def test_held_pairs_are_equity_too() -> None:
    found = growth_equity(
        {"2024-01-01": 1.1, "2024-01-03": 0.9}, 1000, day("2024-01-01"), day("2024-01-04")
    )
    assert list(found) == pytest.approx([1000, 1100, 1100, 900])


def test_sharpe_of_daily_returns() -> None:
    equity = pd.Series(
        [100, 101, 102.01, 100.9899], index=pd.date_range("2024-01-01", periods=4, tz="UTC")
    )
    returns = np.array([0.01, 0.01, -0.01])
    assert daily_sharpe(equity) == pytest.approx(returns.mean() / returns.std())
    assert daily_sharpe(equity * 0 + 100) is None


def test_sharpe_error_and_deflated_sharpe_of_the_paper() -> None:
    # Bailey and López de Prado (2014), the numerical example: 100 trials with a variance of 1/2 a
    # year, 1250 daily returns with skew -3 and kurtosis 10, an annual Sharpe of 2.5.
    ratio = 2.5 / math.sqrt(250)
    luck = expected_best(100, math.sqrt(0.5 / 250))
    assert luck == pytest.approx(0.1132, abs=5e-5)
    error = sharpe_error(ratio, 1250, -3, 10)
    assert deflated_sharpe(ratio, luck, error) == pytest.approx(0.9004, abs=5e-5)
    # Normal returns: Lo's sqrt((1 + SR²/2) / n).
    assert sharpe_error(1.0, 101, 0, 3) == pytest.approx(math.sqrt(1.5 / 100))
    assert expected_best(1, 0.1) == 0


def test_deviation_of_trials_is_around_each_windows_mean() -> None:
    # Two windows, one good market and one bad: their means are not the trials' spread.
    assert trial_deviation([[1.0, 3.0, None], [11.0, 13.0]]) == pytest.approx(math.sqrt(2))
    assert trial_deviation([[1.0], []]) == 0


def test_more_epochs_deflate_more() -> None:
    rng = np.random.default_rng(3)
    steps = 1 + rng.normal(0.002, 0.01, 200)
    equity = pd.Series(steps.cumprod(), index=pd.date_range("2024-01-01", periods=200, tz="UTC"))
    said = [describe(equity, 100, trials=count, deviation=0.05) for count in (2, 100, 10_000)]
    deflated = [found.deflated or 0 for found in said]
    assert deflated[0] > deflated[1] > deflated[2] > 0
    assert describe(equity, 100).deflated is None


def test_too_few_trades_say_so_instead_of_a_number() -> None:
    equity = pd.Series([100.0, 101, 102], index=pd.date_range("2024-01-01", periods=3, tz="UTC"))
    said = describe(equity, 29)
    assert said.sharpe is None
    assert said.unsaid == "too few trades to say anything: 29, fewer than 30"
    assert said.profit == pytest.approx(0.02)


def test_stability_of_parameters() -> None:
    found = stability([{"enter_z": 1.0, "use_htf": True}, {"enter_z": 2.0, "use_htf": False}])
    assert found["enter_z"] == {"mean": 1.5, "stdev": math.sqrt(0.5), "min": 1.0, "max": 2.0}
    assert found["use_htf"]["mean"] == 0.5


def test_window_without_a_winner_is_cash() -> None:
    result: dict[str, Any] = {
        **{"window": "001", "train": ["2024-01-01T00:00:00+00:00", "2024-01-11T00:00:00+00:00"]},
        **{"test": ["2024-01-11T00:00:00+00:00", "2024-01-16T00:00:00+00:00"], "presets": {}},
        **{"epochs": 3, "epoch_sharpes": [None] * 3, "params": {}, "in_sample": {}},
        **{"parameter_file": None, "hold": {"pairs": {BTC: 0.1}, "days": {"2024-01-11": 1.1}}},
    }
    found = summarise([result], 1000, compounding=True)
    assert set(found["equity"]["walk-forward"].values()) == {1000}
    assert found["accounts"]["buy and hold"]["profit"] == pytest.approx(0.1)
    assert "too few trades to say anything" in found["verdict"]
    assert "nothing was traded" in found["windows"][0]["unsaid"]


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


def test_another_plan_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    Store(tmp_path, {"fit": {"epochs": 3}, "pairs": [BTC]})
    Store(tmp_path, {"fit": {"epochs": 3}, "pairs": [BTC]})
    with pytest.raises(CommandError, match="a walk-forward with other fit: name another folder"):
        Store(tmp_path, {"fit": {"epochs": 4}, "pairs": [BTC]})


# With freqtrade itself, on two windows of the sample market.

OPTIONS = (
    *("--pairs", BTC, "--train", "40d", "--test", "20d", "--epochs", "3", "--min-trades", "1"),
    *("--spaces", "buy", "sell", "lookback", "--hyperopt-loss", "SharpeHyperOptLossDaily"),
)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--timerange", "20251201-20251210"], "9 days, too short for one window of 180 + 60 days"),
        (["--train", "x"], "--train 'x' is no length: write days or weeks"),
        (["--epochs", "0"], "--epochs, --min-trades, --seed and --workers must be at least 1"),
        (["--strategy", "Nix"], "there is no strategy Nix in"),
        (["--pairs", "X/USDT:USDT"], "no 1h candles of X/USDT:USDT"),
    ],
)
def test_wrong_walk_forward_is_refused_in_one_line(
    tmp_path: Path, sample_datadir: Path, arguments: list[str], message: str
) -> None:
    process = perp_imbalance(
        *("walk-forward", "--datadir", str(sample_datadir), "--out", str(tmp_path / "out")),
        *arguments,
    )
    assert_fails_in_one_line(process, message)
    assert not (tmp_path / "out").exists()


def command(datadir: Path, out: Path, *options: str) -> list[str]:
    code = "from perp_imbalance.commands.main import run; run()"
    return [
        *(sys.executable, "-c", code, "walk-forward", "-c", str(CONFIG)),
        *("--datadir", str(datadir), "--out", str(out), *options),
    ]


def wait_until(condition: Callable[[], Any], seconds: float = TIMEOUT_SECONDS) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)
    return found


def processes(folder: Path) -> list[psutil.Process]:
    """Return freqtrade's processes that work below a folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if any(str(folder) in word for word in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return [process for process in found if "perp_imbalance.freqtrade_process" in process.cmdline()]
