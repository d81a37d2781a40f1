"""A plan is read back as it was written, and one that makes no sense is refused."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from perp_imbalance.errors import RehearsalError
from perp_imbalance.rehearsal import Plan

START = datetime(2025, 9, 18, tzinfo=UTC)


def plan(**choices: Any) -> Plan:
    times = {"start": START, "end": START + timedelta(hours=1)}
    usual = {"folder": Path("folder"), **times}
    return Plan({"timeframe": "1h"}, Path("candles"), **{**usual, **choices})


@pytest.mark.parametrize("looks", [None, (0.0,), (1.0, 1801.0)])
def test_plan_is_read_back_as_it_was(looks: tuple[float, ...] | None) -> None:
    written = plan(looks=looks, seed=7, walk=True)
    assert Plan.loads(written.dumps()) == written


def test_database_of_an_odd_folder_is_named_for_freqtrade(tmp_path: Path) -> None:
    odd = plan(folder=tmp_path / "one? 100%25 #ü")
    assert make_url(odd.db_url).database == str(odd.database)
    assert make_url(odd.db_url).query == {}


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"start": START.replace(tzinfo=None)}, "timezone"),
        ({"end": datetime(2025, 9, 18, 1)}, "timezone"),
        ({"end": START - timedelta(seconds=1)}, "cannot end"),
        ({"looks": ()}, "looks"),
        ({"looks": (-1.0,)}, "looks"),
        ({"looks": (60.0, 1.0)}, "looks"),
        ({"looks": (1.0, 1.0)}, "looks"),
    ],
)
def test_plan_that_makes_no_sense_is_refused(choices: dict[str, Any], said: str) -> None:
    with pytest.raises(RehearsalError, match=said):
        plan(**choices)
