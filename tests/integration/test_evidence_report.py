"""A report of pooled trades shows an edge that is planted, and none in noise."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from support.history import made_history

from perp_imbalance.indicators import PRESETS
from perp_imbalance.plotting.html_page import Table
from perp_imbalance.research.evidence import (
    BOTH,
    Collected,
    Costs,
    Report,
    report_of,
    traded_verdict,
)
from perp_imbalance.research.evidence_page import traded_lines, traded_sections
from perp_imbalance.research.nulls import KINDS, Nulls
from perp_imbalance.research.pair_history import PairHistory
from perp_imbalance.strategy.settings import Settings

SETTINGS = Settings()
AGGRESSIVE = PRESETS["aggressive"]
GATED = {"aggressive": AGGRESSIVE, "gated": replace(AGGRESSIVE, use_sigma=True, bb_k=0.5)}
COSTS = Costs(fee=0.0005, stoploss=0.30)


def report(*histories: PairHistory, nulls: int = 200, costs: Costs = COSTS) -> Report:
    collected = Collected(GATED, SETTINGS, costs, (1, 4), Nulls(nulls, 1))
    for candles in histories:
        collected.add("all", candles)
    return report_of(collected, draws=500, seed=1)


@pytest.fixture(scope="module")
def planted() -> Report:
    return report(*(made_history(n, reaction=-4.0, pair=f"X{n}/USDT:USDT") for n in range(3)))


@pytest.fixture(scope="module")
def noise() -> Report:
    return report(*(made_history(n, size=2e-4, pair=f"X{n}/USDT:USDT") for n in range(3)))


def test_planted_edge_is_found(planted: Report) -> None:
    for row in planted.traded:
        assert row["net"] > 5, row
        assert row["t"] > 3
        assert row["low"] > 0
        assert row["net_doubled"] == pytest.approx(row["net"] - 10, abs=0.2)
        assert row["side"] == BOTH or row["q"] < 0.01
    family = planted.families["all"]
    assert family["spa_p"] < 0.01
    assert len(family["better"]) == family["results"] == 4
    assert "4 of 4 lines of preset and side earned more" in traded_verdict(planted)[0]


def test_planted_edge_beats_every_null(planted: Report) -> None:
    kinds = {row["null"] for row in planted.nulls}
    assert kinds == set(KINDS)
    for row in planted.nulls:
        assert row["nulls"] == 200
        assert row["percentile"] == 100, row
        assert row["p"] == pytest.approx(1 / 201)
        assert row["null_low"] < row["null_mean"] < row["null_high"] < row["net"]
    for row in planted.inverted:
        assert row["net_inverted"] < -20


def test_nulls_lose_what_they_cost(planted: Report) -> None:
    for row in planted.nulls:
        if row["null"] in ("shifted zones", "shifted premium", "random entries"):
            assert row["null_mean"] == pytest.approx(-10, abs=3), row


def test_more_deviation_earns_more_where_it_should(planted: Report, noise: Report) -> None:
    for row in planted.slopes:
        assert row["net"] > 10
        assert row["t"] > 3
    assert {row["deviation"] for row in planted.by_deviation} <= {
        *("0 to 5", "5 to 10", "10 to 20", "20 to 30", "> 30")
    }
    assert all(abs(row["t"]) < 3 for row in noise.slopes)


def test_noise_shows_no_edge(noise: Report) -> None:
    for row in noise.traded:
        assert row["net"] == pytest.approx(-10, abs=6)
        assert row["q"] is None or row["q"] > 0.05
    assert noise.families["all"]["spa_p"] > 0.2
    assert noise.families["all"]["better"] == []
    assert (
        "StepM keeps none at 5 %, a false discovery rate of 5 % none" in (traded_verdict(noise)[0])
    )
    # Real signals of noise stand among the nulls, not beyond them.
    assert np.mean([row["p"] < 0.05 for row in noise.nulls]) < 0.3


def test_groups_partition_the_trades(planted: Report) -> None:
    for row in planted.traded:
        if row["side"] == BOTH:
            continue
        for table in (planted.by_pair, planted.by_year, planted.by_premium):
            rows = [r for r in table if all(r[k] == row[k] for k in ("part", "preset", "side"))]
            assert sum(r["trades"] for r in rows) == row["trades"]
    assert {type(row["year"]) for row in planted.by_year} == {int}


def test_table_that_is_read_first_comes_first(planted: Report) -> None:
    table = traded_sections(planted)[0].parts[0]
    assert isinstance(table, Table)
    assert "95 % interval, bps" in table.rows[0]
    lines = traded_lines(planted)
    assert len(lines) == 1 + len(planted.traded)
    assert "net bps" in lines[0]


def test_stop_ends_trades(planted: Report) -> None:
    tight = report(made_history(0), nulls=0, costs=replace(COSTS, stoploss=0.001))
    loose = report(made_history(0), nulls=0)
    assert tight.nulls == []
    for short, long in zip(tight.traded, loose.traded, strict=True):
        assert short["trades"] == long["trades"]
        assert short["held"] < long["held"]


def test_slow_libraries_are_imported_when_they_are_needed() -> None:
    modules = "perp_imbalance.cli.evidence, perp_imbalance.research.evidence_page"
    code = f"import sys, {modules}; print({{'arch', 'statsmodels', 'patsy'}} & {{*sys.modules}})"
    command = [sys.executable, "-c", code]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert output.strip() == "set()"
