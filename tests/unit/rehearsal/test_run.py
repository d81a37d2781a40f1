"""Why a bot ended is told by what ended it."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from perp_imbalance.errors import RehearsalError
from perp_imbalance.rehearsal import Plan, rehearse, run

START = datetime(2025, 9, 18, tzinfo=UTC)
ROUTINE = "t - freqtrade.rpc - INFO - Cleaning up rpc modules ...\n"


@pytest.mark.parametrize(
    ("printed", "logged", "said"),
    [
        ("a look 9 s after\n", ROUTINE, "a look 9 s after"),
        ("a warning\n", f"t - freqtrade - ERROR - no market\n{ROUTINE}", "no market"),
        ("", ROUTINE, "t - freqtrade.rpc - INFO - Cleaning up rpc modules ..."),
    ],
)
def test_reason_for_the_end_is_not_the_last_log_line(
    printed: str, logged: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = Plan({}, tmp_path, tmp_path / "lived", START, START)

    def ended(*arguments: object, **choices: object) -> "subprocess.CompletedProcess[str]":
        plan.log.write_text(logged, encoding="utf-8")
        return subprocess.CompletedProcess([], 1, "", printed)

    monkeypatch.setattr(run, "run_child", ended)
    with pytest.raises(RehearsalError) as failed:
        rehearse(plan)
    assert str(failed.value) == f"{said} (its log: {plan.log})"
