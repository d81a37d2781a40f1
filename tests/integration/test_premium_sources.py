"""A perp is measured by the first source that it has and that its prices allow, everywhere."""

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from freqtrade.enums import CandleType
from support.freqtrade import CONFIG, SAMPLE_PAIRS
from support.simulation import assert_same_trades, backtest, named
from support.wrong_spot import LONELY, WRONG

from perp_imbalance.cli.main import run
from perp_imbalance.doctor import Level, examine
from perp_imbalance.indicators import PRESETS
from perp_imbalance.replay import Replay, replay_config, running_replay
from perp_imbalance.research.pair_history import PairHistories
from perp_imbalance.research.threshold_trades import ThresholdTrades, rules_of_config
from perp_imbalance.strategy.settings import Settings

pytestmark = pytest.mark.freqtrade

BTC = SAMPLE_PAIRS[0]
FALLBACK = {BTC: "spot", WRONG: "premium_index", LONELY: "premium_index"}
Configure = Callable[..., list[Path]]


@pytest.fixture(scope="module")
def replay(wrong_spot: Path) -> Iterator[Replay]:
    with running_replay(wrong_spot) as running:
        yield running


@pytest.fixture
def configure(replay: Replay, tmp_path: Path) -> Configure:
    (tmp_path / "user_data").mkdir()

    def files(source: Any, **options: str) -> list[Path]:
        overlay = replay_config(replay.url)
        overlay["exchange"]["ccxt_config"]["options"] = {"defaultType": "future", **options}
        overlay["exchange"]["pair_whitelist"] = list(FALLBACK)
        overlay["user_data_dir"] = str(tmp_path / "user_data")
        overlay["perp_imbalance"] = {"premium_source": source}
        path = tmp_path / "overlay.json"
        path.write_text(json.dumps(overlay), encoding="utf-8")
        return [CONFIG, path]

    return files


def run_command(*arguments: str, files: list[Path]) -> int:
    config = [word for file in files for word in ("-c", str(file))]
    with pytest.raises(SystemExit) as ended:
        run([*arguments, *config])
    return int(ended.value.code or 0)


def test_scan_passes_over_a_spot_pair_of_another_price(
    configure: Configure, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command("scan", "--preset", "balanced", "--json", files=configure("auto")) == 0
    rows = {row["perp"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    assert {pair: rows[pair]["source"] for pair in FALLBACK} == FALLBACK
    assert rows[WRONG]["z"] == rows[LONELY]["z"]
    assert rows[WRONG]["missing"] == 0
    assert rows[WRONG]["tick_noise"] < 0.1


@pytest.mark.parametrize("source", ["auto", "premium_index"])
def test_doctor_names_the_source_and_compares_premiums(configure: Configure, source: str) -> None:
    report = examine(configure(source))
    assert [check.message for check in report.of(Level.MUST_FIX)] == []
    pairs = {pair.perp: pair for pair in report.pairs}
    assert pairs[WRONG].rule == pairs[LONELY].rule == "premium_index"
    assert (pairs[BTC].rule == "identical") == (source == "auto")
    assert (pairs[BTC].second == "BTC/USDT") == (source == "premium_index")
    assert pairs[BTC].correlation > 0.9
    assert pairs[BTC].equal_sign > 0.9
    assert pairs[LONELY].second is None
    warned = {check.pair: check.message for check in report.of(Level.WARNING)}
    why = "the premium index of SOL/USDT:USDT, because its price is 0.333 times that of"
    assert (WRONG in warned) == (source == "auto")
    assert source != "auto" or warned[WRONG].startswith(why)


def test_premium_index_needs_no_spot_setting(configure: Configure) -> None:
    report = examine(configure("premium_index", defaultType="swap"))
    assert [check.message for check in report.of(Level.MUST_FIX)] == []
    assert "spot setting" not in {check.name for check in report.checks}


def test_download_brings_what_replaces_a_wrong_spot_pair(
    configure: Configure, wrong_spot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = pd.read_feather(wrong_spot / "BTC_USDT-1h.feather")["date"].iloc[0]
    span = f"{first + pd.Timedelta('40D'):%Y%m%d}-"
    target = tmp_path / "candles"
    options = ["--timerange", span, "--datadir", str(target), "--timeframes", "1h"]
    files = configure(["spot", "premium_index"])
    assert run_command("download-data", *options, files=files) == 0
    names = {file.name for file in (target / "futures").glob("*premiumIndex*")}
    assert names == {f"{base}_USDT_USDT-1h-premiumIndex.feather" for base in ("SOL", "XRP")}
    source, copy = (
        pd.read_feather(folder / "futures" / "SOL_USDT_USDT-1h-premiumIndex.feather")
        for folder in (wrong_spot, target)
    )
    both = copy.merge(source, on="date", suffixes=("", "_source"))
    assert len(both) >= len(copy) - 1 > 400
    # The newest candle may be one that has not closed.
    pd.testing.assert_series_equal(
        both["close"][:-1], both["close_source"][:-1], check_names=False, check_exact=True
    )


@pytest.mark.parametrize(
    ("source", "strategy"),
    [
        ("auto", "PerpImbalanceAggressive"),
        ("premium_index", "PerpImbalanceConservative"),
    ],
)
def test_simulated_trades_are_those_of_freqtrade(
    wrong_spot: Path, tmp_path: Path, source: str, strategy: str
) -> None:
    logging.disable(logging.WARNING)
    overlay = {"perp_imbalance": {"premium_source": source}, "enable_protections": True}
    try:
        with backtest(wrong_spot, strategy, list(FALLBACK), tmp_path, **overlay) as prepared:
            config = prepared.freqtrade.config
            own = Settings.from_config(config).of_preset(prepared.strategy.preset)
            folder = PairHistories(config["datadir"], "1h", own)
            histories = list(folder.traded(prepared.pairs))
            sources = {each.match.perp: each.match.premium_source for each in histories}
            assert sources == (FALLBACK if source == "auto" else dict.fromkeys(FALLBACK, source))
            for pair, frame in prepared.frames.items():
                assert set(frame["premium_source"].dropna()) == {sources[pair]}
            rules = rules_of_config(config, own, -0.30)
            trades = ThresholdTrades(histories, own, rules).trades(
                PRESETS[prepared.strategy.preset]
            )
            expected = prepared.expected()
            assert len(expected)
            assert_same_trades(named(trades, prepared.signals()), expected)
    finally:
        logging.disable(logging.NOTSET)


def test_backtest_tells_which_source_a_pair_fell_back_to(wrong_spot: Path) -> None:
    from perp_imbalance.data.backtest_data import open_backtest_data

    settings = Settings(premium_source=["spot", "premium_index"])
    data = open_backtest_data(wrong_spot, "1h", settings, pairs=[BTC, WRONG])
    (line,) = [note for note in data.notes if "measured by" in note]
    assert line.startswith(f"{WRONG} is measured by its premium index: its price is 0.333 times")
    assert data.matches[1].source == CandleType.PREMIUMINDEX
