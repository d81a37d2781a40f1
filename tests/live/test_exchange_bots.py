"""A dry-run bot lives through a day on each exchange, in its language, as a backtest says.

The exchange is served by :mod:`support.dialects`, and the bot uses freqtrade's and ccxt's own class
of it with the shipped fragment. The backtest beside it is that of a local run, which speaks
Binance's language whatever the exchange is: so its trades are checked as well. ``LIVE_CANDLES`` of
100 and more takes all exchanges.
"""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from freqtrade.misc import deep_merge_dicts
from support.dialects.market import EXCHANGES, write_exchange_market
from support.dialects.stage import ASKED
from support.freqtrade import ROOT
from support.parity import COLUMNS, SIGNALS, expected_columns
from support.rehearsal import live, sample_plan

from perp_imbalance.rehearsal import Plan, compare, read_table
from perp_imbalance.rehearsal.backtested import backtest, price_range, within

pytestmark = pytest.mark.freqtrade

START = datetime(2025, 9, 18, 0, 0, 1, tzinfo=UTC)
END = START + timedelta(days=1)
CANDLE = timedelta(hours=1)
# The other three take as long again.
FULL = int(os.environ.get("LIVE_CANDLES", "0")) >= 100
LIVED = [name for name in EXCHANGES if FULL or name in ("bybit", "okx")]


class Day(NamedTuple):
    """What a bot did on an exchange."""

    exchange: str
    plan: Plan
    recorded: pd.DataFrame


@pytest.fixture(scope="module", params=LIVED)
def day(
    request: pytest.FixtureRequest, sample_datadir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Day:
    name, folder = request.param, tmp_path_factory.mktemp(request.param)
    write_exchange_market(sample_datadir, folder / "candles", EXCHANGES[name])
    settings: dict[str, Any] = {
        # What has no spot pair is compared with the index, where there is one.
        "perp_imbalance": {"scale_out": 0.5, "premium_source": source(name)},
        "exchange": {"pair_whitelist": list(EXCHANGES[name].perps)},
    }
    fragment = (ROOT / "config" / f"exchange-{name}.json").read_text("utf-8")
    plan = sample_plan(
        *(folder / "candles", folder, START, END),
        settings=deep_merge_dicts(settings, json.loads(fragment)),
        stage="support.dialects.stage:DialectStage",
    )
    records = live(plan)
    recorded = pd.DataFrame(map(json.loads, records.read_text("utf-8").splitlines()))
    return Day(name, plan, recorded.assign(date=pd.to_datetime(recorded["date"], utc=True)))


def source(exchange: str) -> str:
    """Return the premium's source that the bot is told."""
    return "spot" if exchange == "hyperliquid" else "auto"


@pytest.mark.parametrize("names", [COLUMNS, SIGNALS], ids=["columns", "signals"])
def test_candles_equal_those_of_a_backtest(day: Day, names: list[str]) -> None:
    spots = {
        perp: (coin.spot and f"{coin.spot}/{EXCHANGES[day.exchange].quote}", coin.scale)
        for perp, coin in EXCHANGES[day.exchange].perps.items()
    }
    expected = expected_columns(day.plan.datadir, spots)
    both = day.recorded.merge(
        expected, on=["pair", "date"], how="left", suffixes=("", "_expected"), validate="1:1"
    )
    assert both["pair"].value_counts().to_dict() == dict.fromkeys(spots, 25)
    found = both[names].astype(float)
    assert (found.abs().groupby(both["pair"]).sum().sum(axis=1) > 0).all()
    wanted = both[[f"{name}_expected" for name in names]].astype(float)
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)


def test_trades_equal_those_of_a_backtest(
    day: Day, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECORD", str(tmp_path / "records.jsonl"))
    trades = within(read_table(day.plan.database, "trades"), END)
    tested = backtest(day.plan, CANDLE)
    log = day.plan.log.read_text("utf-8")
    found = compare(trades, tested, CANDLE, 1.0, price_range(day.plan), log)
    assert not found.differences
    assert found.explained
    # A local run takes the fee of the exchange as ccxt describes it.
    assert found.profit_bps["fees"] == pytest.approx(0)
    assert found.entries >= 8
    assert trades["is_short"].nunique() == 2
    assert trades["pair"].nunique() >= 3


def test_perp_without_a_spot_pair_trades_on_its_index(day: Day) -> None:
    found = day.recorded.groupby("pair")["premium_source"].unique().str.join("")
    wanted = {
        perp: "spot" if coin.spot else "index"
        for perp, coin in EXCHANGES[day.exchange].perps.items()
    }
    assert found.to_dict() == wanted


def test_unsupported_series_are_not_requested(day: Day) -> None:
    asked = json.loads((day.plan.folder / ASKED).read_text("utf-8"))
    assert not asked["unknown"]
    assert " - ERROR - " not in day.plan.log.read_text("utf-8")
