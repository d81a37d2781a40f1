"""Each run finds its own result, even where two end in the same second."""

import json
from pathlib import Path
from zipfile import ZipFile

import pytest
from freqtrade.data.btanalysis import get_latest_backtest_filename, load_backtest_stats

from perp_imbalance.errors import CommandError
from perp_imbalance.files import run_name
from perp_imbalance.reporting.backtest_result import keep_result, newest_result, scratch_results

STEM = "backtest-result-2026-01-31_12-00-00"


def write_result(folder: Path, strategy: str) -> None:
    """Write a result as freqtrade does, always in the same second."""
    with ZipFile(folder / f"{STEM}.zip", "w") as archive:
        stats = {"strategy": {strategy: {"trades": []}}, "strategy_comparison": []}
        archive.writestr(f"{STEM}.json", json.dumps(stats))
        archive.writestr(f"{STEM}_config.json", "{}")
        archive.writestr(f"{STEM}_{strategy}.py", "")
    (folder / f"{STEM}.meta.json").write_text(json.dumps({strategy: {"run_id": strategy}}))
    (folder / ".last_result.json").write_text(json.dumps({"latest_backtest": f"{STEM}.zip"}))


def test_two_results_of_one_second_are_both_kept(tmp_path: Path) -> None:
    folder = tmp_path / "backtest_results"
    kept = {}
    with scratch_results(folder) as first, scratch_results(folder) as second:
        write_result(first, "A")
        write_result(second, "B")
        kept = {"A": keep_result(first, folder), "B": keep_result(second, folder)}
    for strategy, result in kept.items():
        assert result is not None
        assert list(load_backtest_stats(result)["strategy"]) == [strategy]
        meta = json.loads(result.with_suffix(".meta.json").read_text("utf-8"))
        assert list(meta) == [strategy]
        with ZipFile(result) as archive:
            assert f"{result.stem}_{strategy}.py" in archive.namelist()
    assert get_latest_backtest_filename(folder) == kept["B"].name  # type: ignore[union-attr]
    assert newest_result(folder) == kept["B"]
    names = {f"{STEM}{end}" for end in (".zip", ".meta.json", "-2.zip", "-2.meta.json")}
    assert {file.name for file in folder.iterdir()} == names | {".last_result.json"}


def test_run_without_a_result_keeps_none(tmp_path: Path) -> None:
    with scratch_results(tmp_path) as scratch:
        assert keep_result(scratch, tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(CommandError, match="cannot be written"),
        scratch_results(tmp_path / "file" / "results"),
    ):
        pass


def test_names_of_runs_differ_within_a_second() -> None:
    assert len({run_name("sweep") for _ in range(100)}) == 100
