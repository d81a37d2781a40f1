"""A market for tests of the doctor: the sample's, and one coin for each kind of wrong spot."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from freqtrade.data.history import get_datahandler
from freqtrade.enums import CandleType
from freqtrade.misc import deep_merge_dicts

from perp_imbalance.data.sample import write_sample_market
from perp_imbalance.doctor import Check, Level, Report, examine
from perp_imbalance.replay import Replay, replay_config, running_replay
from support.freqtrade import CONFIG, ROOT, SAMPLE_PAIRS, add_open_interest

BTC, ETH, _ = SAMPLE_PAIRS
STALE_HOURS = 6

Examine = Callable[..., Report]
Configure = Callable[..., list[Path]]


def perp(base: str) -> str:
    return f"{base}/USDT:USDT"


@pytest.fixture(scope="module")
def doctor_market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample market around now, and one more coin for each kind of wrong spot candles."""
    datadir = tmp_path_factory.mktemp("market") / "binance"
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    write_sample_market(datadir, start=midnight - timedelta(days=60), days=62, pairs=SAMPLE_PAIRS)
    handler = get_datahandler(datadir, "feather")

    def load(pair: str, kind: CandleType) -> pd.DataFrame:
        return pd.DataFrame(handler.ohlcv_load(pair, "1h", kind, fill_missing=False))

    perps, spots = load(BTC, CandleType.FUTURES), load("BTC/USDT", CandleType.SPOT)
    prices = ["open", "high", "low", "close"]
    coarse, wrong, itself = spots.copy(), spots.copy(), perps.copy()
    coarse[prices] = coarse[prices].round(-3)
    wrong[prices] *= 3
    late = pd.Timestamp.now(UTC) - pd.Timedelta(hours=STALE_HOURS)
    for base, spot in {
        "WRONG": wrong,
        "STALE": spots[spots["date"] < late],
        "COARSE": scaled(coarse, prices),
        "SELF": itself,
        "LONELY": None,
    }.items():
        handler.ohlcv_store(
            perp(base),
            "1h",
            scaled(perps, prices) if base == "COARSE" else perps,
            CandleType.FUTURES,
        )
        if spot is not None:
            handler.ohlcv_store(f"{base}/USDT", "1h", spot, CandleType.SPOT)
    add_open_interest(datadir, [ETH])
    return datadir


def scaled(frame: pd.DataFrame, prices: list[str]) -> pd.DataFrame:
    """Return the candles of a coin so cheap that its tick is a decimal place, as in freqtrade."""
    return frame.assign(**{name: (frame[name] / 1e7).round(9) for name in prices})


@pytest.fixture(scope="module")
def doctor_replay(doctor_market: Path) -> Iterator[Replay]:
    with running_replay(doctor_market) as running:
        yield running


@pytest.fixture
def configure(doctor_replay: Replay, tmp_path: Path) -> Configure:
    """Return the config files of a bot on the replay, with the test's settings."""
    (tmp_path / "user_data").mkdir()

    def files(
        pairs: list[str] | None = None, url: str = doctor_replay.url, **settings: Any
    ) -> list[Path]:
        overlay = replay_config(url)
        overlay["exchange"]["pair_whitelist"] = SAMPLE_PAIRS if pairs is None else pairs
        overlay["user_data_dir"] = str(tmp_path / "user_data")
        path = tmp_path / "overlay.json"
        path.write_text(json.dumps(deep_merge_dicts(settings, overlay)), encoding="utf-8")
        return [CONFIG, path]

    return files


@pytest.fixture
def doctor(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> Examine:
    """Run the doctor in this process."""
    monkeypatch.chdir(ROOT)

    def run(pairs: list[str] | None = None, strategy: str | None = None, **settings: Any) -> Report:
        return examine(configure(pairs, **settings), strategy=strategy)

    return run


def to_fix(report: Report) -> list[Check]:
    """Return what must be fixed, after checking that verdict and exit code agree."""
    found = report.of(Level.MUST_FIX)
    assert (report.verdict, report.exit_code) == (("FIX", 1) if found else ("PASS", 0))
    assert all("\n" not in check.message for check in report.checks)
    return found


def only_fix(report: Report) -> Check:
    found = to_fix(report)
    assert len(found) == 1, found
    return found[0]


def command_line(files: list[Path]) -> list[str]:
    return [word for file in files for word in ("-c", str(file))]
