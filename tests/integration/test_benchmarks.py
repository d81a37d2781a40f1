"""The benchmark compares only what is equal, and judges by what it measured."""

import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
from support.freqtrade import ROOT

from perp_imbalance.indicators import imbalance_columns


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The command ``python -m benchmarks``, which is run from the root."""
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import __main__ as module

    return module


def test_quick_run_reports_on_everything(benchmark: ModuleType, tmp_path: Path) -> None:
    output = tmp_path / "RESULTS.md"
    assert benchmark.main(["--quick", "--output", str(output)]) == 0
    text = output.read_text("utf-8")
    for variant in (benchmark.OURS, benchmark.HOLES, benchmark.PANDAS, benchmark.TALIB):
        assert len(re.findall(rf"^\| [\d,]+ \| {variant} \|", text, re.MULTILINE)) == 2
    assert len(
        re.findall(
            r"at (?:most|least) .* \| [\d.,]+ (?:×|ms|/s|%|s) \| "
            r"(?:met|\*\*missed by \d+%\*\*) \|",
            text,
        )
    ) == 20 + (find_spec("vectorbt") is not None)
    assert str(ROOT) not in text


def off_by_a_little(values: "pd.Series[float]") -> "pd.Series[float]":
    return values + 1e-5 * values.abs().median()


def one_row_off(values: "pd.Series[float]") -> "pd.Series[float]":
    return values.where(values.index != values.index[-1], 7)


BREAKS: dict[str, Callable[["pd.Series[float]"], "pd.Series[float]"]] = {
    "premium": off_by_a_little,
    "z_raw": off_by_a_little,
    "z": one_row_off,
    "bb_upper": off_by_a_little,
    "bias": one_row_off,
    "htf_z": lambda values: values.fillna(0.0),
}


@pytest.mark.parametrize("column", BREAKS)
def test_broken_column_ends_the_run_without_a_table(
    benchmark: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    column: str,
) -> None:
    def broken(perp: pd.DataFrame, spot: pd.DataFrame) -> pd.DataFrame:
        columns = imbalance_columns(perp, spot)
        return columns.assign(**{column: BREAKS[column](columns[column])})

    monkeypatch.setattr(benchmark, "imbalance_columns", broken)
    output = tmp_path / "RESULTS.md"
    assert benchmark.main(["--quick", "--output", str(output)]) == 1
    assert not output.exists()
    said = capsys.readouterr()
    assert said.out == ""
    assert f"{column} of the imbalance_columns differs from plain pandas" in said.err


def test_variants_run_in_turn_and_are_compared_round_by_round(benchmark: ModuleType) -> None:
    order: list[str] = []
    # Begin and end of a and b in each of three rounds: 2 and 1, 9 and 3, 4 and 4 seconds.
    clock = iter([0, 2, 2, 3, 3, 12, 12, 15, 15, 19, 19, 23])
    times = benchmark.paired(
        {"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 3, lambda: next(clock)
    )
    assert order == ["a", "b"] * 4
    assert times.seconds == {"a": (2, 9, 4), "b": (1, 3, 4)}
    assert (times.ratio("a", "b"), times.median("a"), times.minimum("b")) == (2, 4, 1)


MET = ["met"] * 3
#: What the simulation reaches: rates, growth, ratios to hyperopt and vectorbt, seconds; and what is
#: said of it.
FAST = (20_000.0, 900.0, 1.0, 2_500.0, 30.0, (0.2, 1.5)), ["met"] * 7
SLOW = (
    (9_000.0, 400.0, 1.5, 200.0, 10.0, (0.6, 4.0)),
    [f"**missed by {share}%**" for share in (10, 20, 25, 90, 50, 100, 100)],
)
Reached = tuple[tuple[float, float, float, float, float, tuple[float, float]], list[str]]


@pytest.mark.parametrize(
    ("ours", "preset", "tuning", "reached", "verdicts"),
    [
        (2.5, 5e-3, (1000, 0.95, 100), FAST, ["met", "met", "met", "met", *MET]),
        (
            *(3.0, 1e-3, (5000, 2, 81), FAST),
            ["**missed by 20%**", "met", "**missed by 20%**", "met", *MET],
        ),
        (
            *(5.0, 6e-3, (900, 0.76, 125), SLOW),
            [f"**missed by {share}%**" for share in (100, 50, 100, 20, 10, 20, 25)],
        ),
    ],
)
def test_targets_are_judged_by_what_was_measured(
    benchmark: ModuleType,
    ours: float,
    preset: float,
    tuning: tuple[float, float, float],
    reached: Reached,
    verdicts: list[str],
) -> None:
    from benchmarks.hyperopt import EXAMPLE, OURS, Epochs
    from benchmarks.live_market import Live
    from benchmarks.report import ROBUST_Z, Z, targets
    from benchmarks.simulation import Speeds
    from benchmarks.timing import Times

    seconds = {benchmark.OURS: (ours,), benchmark.PANDAS: (10.0,), benchmark.TALIB: (1.0,)}
    seconds |= {Z: (1.0,), ROBUST_Z: (2 * ours,)}
    combinations, rate, trades = tuning
    (alone, portfolio, growth, times_hyperopt, vectorbt, first), said = reached
    epochs = {OURS: Epochs((rate,), trades), EXAMPLE: Epochs((1.0,), 100.0)}
    results = benchmark.Results(
        *({10: Times(seconds)}, 10, Times({"balanced": (preset,)}), 5),
        *(combinations, 26_000, epochs),
        Speeds(26_000, alone, 100.0, portfolio, growth, times_hyperopt * rate, vectorbt, first),
        {1: 8.0, 6: 4.0},
        Live(
            *(450, 9.0, 5.0, 1.0, 0.5, 0.2, 0.8, 0.4, 1),
            *({"futures": (1500.0, 2400), "spot": (9000.0, 6000)}, {}, 500.0),
        ),
    )
    rehearsed = ["met", "**missed by 20%**", "**missed by 25%**", "met", "met", "**missed by 50%**"]
    assert [target.verdict for target in targets(results)] == verdicts + said + rehearsed
