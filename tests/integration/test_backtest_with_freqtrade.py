"""freqtrade's own backtesting, hyperopt and bias analyses run on the strategies as they are."""

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from freqtrade.data.history import load_pair_history
from freqtrade.enums import CandleType
from support.freqtrade import (
    CONFIG,
    PRESET_STRATEGIES,
    ROOT,
    SAMPLE_PAIRS,
    Freqtrade,
    assert_fails_in_one_line,
    backtest_trades,
    shared_candles,
    spot_to_index,
)

from perp_imbalance.indicators import PRESETS, entry_signals, imbalance_columns

pytestmark = pytest.mark.freqtrade

# How our warnings begin that are repeated below freqtrade's tables.
AGAIN = "Warning: "
FINGERPRINT = ROOT / "tests" / "support" / "sample_trades.csv"
FINGERPRINT_COLUMNS = [
    *("strategy", "pair", "is_short", "open_date", "close_date"),
    *("enter_tag", "exit_reason", "profit_ratio"),
]
REAL_1H = ("1h_2020_2023", "1h", "4h")
REAL_5M = ("5m_2024h1", "5m", "1h")


def fingerprint(trades: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Every trade in a line, with the profit as far as all machines agree on it."""
    table = pd.concat(frame.assign(strategy=name) for name, frame in trades.items())
    table["open_date"] = table["open_date"].str[:16]
    table["close_date"] = table["close_date"].str[:16]
    table["profit_ratio"] = table["profit_ratio"].round(6)
    return table[FINGERPRINT_COLUMNS].reset_index(drop=True)


def test_sample_trades_equal_the_fingerprint(
    freqtrade: Freqtrade, sample_datadir: Path, tmp_path: Path
) -> None:
    """After a change that is meant to change trades: copy the file that the message names."""
    process = freqtrade(
        "backtesting", "--strategy-list", *PRESET_STRATEGIES, datadir=sample_datadir
    )
    assert process.returncode == 0, process.stderr
    trades = fingerprint(backtest_trades(tmp_path / "user_data"))
    found = tmp_path / FINGERPRINT.name
    trades.to_csv(found, index=False)
    expected = pd.read_csv(FINGERPRINT)
    pd.testing.assert_frame_equal(
        pd.read_csv(found), expected, rtol=0, atol=2e-6, obj=f"{found} (found, expected)"
    )


def test_config_json_alone_names_strategy_and_its_folder(
    freqtrade: Freqtrade, sample_datadir: Path, tmp_path: Path
) -> None:
    process = freqtrade("backtesting", "--timerange", "20250301-20250401", datadir=sample_datadir)
    assert process.returncode == 0, process.stderr
    assert list(backtest_trades(tmp_path / "user_data")) == ["PerpImbalance"]


def test_example_strategy_trades_both_sides(
    freqtrade: Freqtrade, sample_datadir: Path, tmp_path: Path
) -> None:
    process = freqtrade("backtesting", "--strategy", "RsiWithImbalance", datadir=sample_datadir)
    assert process.returncode == 0, process.stderr
    trades = backtest_trades(tmp_path / "user_data")["RsiWithImbalance"]
    assert set(trades["is_short"]) == {True, False}


def test_readme_strategy_trades_with_a_spotless_perp(
    freqtrade: Freqtrade, sample_datadir: Path, tmp_path: Path
) -> None:
    """As printed there, with nothing added."""
    section = (ROOT / "README.md").read_text("utf-8").split("## Your own strategy")[1]
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "mine.py").write_text(section.split("```python\n")[1].split("```")[0])
    datadir = tmp_path / "candles"
    shutil.copytree(sample_datadir, datadir)
    for file in datadir.glob("ETH_USDT-*"):
        file.unlink()
    process = freqtrade(
        *("backtesting", "--strategy", "Mine", "--strategy-path", str(tmp_path / "own")),
        *("--timerange", "20250201-20250401"),
        datadir=datadir,
        pairs=["BTC/USDT:USDT", "ETH/USDT:USDT"],
    )
    assert process.returncode == 0, process.stderr
    trades = backtest_trades(tmp_path / "user_data")["Mine"]
    assert set(trades["pair"]) == {"BTC/USDT:USDT"}
    assert set(trades["is_short"]) == {True, False}


def strategies_of_a_trader(tmp_path: Path) -> dict[str, Any]:
    """Copy the strategies beside a trader's own modules; return what makes freqtrade use them."""
    folder = tmp_path / "user_data" / "strategies"
    folder.mkdir(parents=True)
    for file in (ROOT / "strategies").glob("*.py"):
        shutil.copy(file, folder)
    for name in ("indicators", "zones", "settings", "columns"):
        (folder / f"{name}.py").write_text("def mine():\n    return 1\n")
    return {"configs": [own_config(tmp_path)], "cwd": tmp_path}


def own_config(tmp_path: Path) -> Path:
    config = json.loads(CONFIG.read_text("utf-8"))
    del config["strategy_path"]
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    return path


def test_hyperopt_with_two_workers_varies_what_lookbacks_do(
    freqtrade: Freqtrade, sample_datadir: Path, tmp_path: Path
) -> None:
    """From a copy in user_data/strategies, beside a trader's modules of our modules' names."""
    trader = strategies_of_a_trader(tmp_path)
    process = freqtrade(
        *("hyperopt", "--epochs", "6", "-j", "2", "--spaces", "lookback", "--random-state", "3"),
        *("--hyperopt-loss", "SharpeHyperOptLossDaily", "--timerange", "20250301-20250601"),
        datadir=sample_datadir,
        pairs=["BTC/USDT:USDT", "1000PEPE/USDT:USDT"],
        **trader,
    )
    assert process.returncode == 0, process.stderr
    assert "will be evaluated with its static start value" not in process.stderr
    results = next((tmp_path / "user_data" / "hyperopt_results").glob("*.fthypt"))
    epochs = [json.loads(line) for line in results.read_text("utf-8").splitlines()]
    outcomes = {
        tuple(sorted(epoch["params_dict"].items())): epoch["results_metrics"]["profit_total_abs"]
        for epoch in epochs
    }
    assert len(set(outcomes.values())) == len(outcomes) > 1
    exported = tmp_path / "user_data" / "strategies" / "PerpImbalance.json"
    best = json.loads(exported.read_text("utf-8"))["params"]["lookback"]
    # What belongs to a gate that is off is exported, too, but not varied.
    assert set(best) == {"len_prem", "smooth_len", "bb_len", "oi_len", "dev_len", "robust_z"}
    assert not any("oi_len" in epoch["params_dict"] for epoch in epochs)


@pytest.mark.parametrize("strategy", PRESET_STRATEGIES)
def test_lookahead_analysis_finds_no_bias_on_the_sample(
    freqtrade: Freqtrade, sample_datadir: Path, tmp_path: Path, strategy: str
) -> None:
    lookahead_analysis(freqtrade, sample_datadir, tmp_path, strategy, "20250401-20250801")


def test_lookahead_analysis_finds_no_bias_on_real_candles(
    freqtrade: Freqtrade, tmp_path: Path
) -> None:
    datadir = shared_candles(REAL_1H[0])
    lookahead_analysis(
        freqtrade, datadir, tmp_path, "PerpImbalanceConservative", "20210101-20210901"
    )


def lookahead_analysis(
    freqtrade: Freqtrade, datadir: Path, tmp_path: Path, strategy: str, timerange: str
) -> None:
    """Run freqtrade's lookahead-analysis and check its verdict."""
    report = tmp_path / "lookahead.csv"
    process = freqtrade(
        *("lookahead-analysis", "--strategy", strategy, "--timerange", timerange),
        *("--minimum-trade-amount", "5", "--targeted-trade-amount", "8"),
        *("--lookahead-analysis-exportfilename", str(report)),
        datadir=datadir,
        pairs=["BTC/USDT:USDT", "ETH/USDT:USDT"],
    )
    assert process.returncode == 0, process.stderr
    with report.open(newline="") as file:
        (verdict,) = csv.DictReader(file)
    assert verdict["has_bias"] == "False"
    assert int(verdict["total_signals"]) >= 5
    assert verdict["biased_indicators"] == ""


def test_recursive_analysis_finds_no_variance_on_the_sample(
    freqtrade: Freqtrade, sample_datadir: Path
) -> None:
    recursive_analysis(freqtrade, sample_datadir, "20250801-20250901")


def test_recursive_analysis_finds_no_variance_on_real_candles(freqtrade: Freqtrade) -> None:
    recursive_analysis(freqtrade, shared_candles(REAL_1H[0]), "20210501-20210520")


def recursive_analysis(freqtrade: Freqtrade, datadir: Path, timerange: str) -> None:
    """Run freqtrade's recursive-analysis: its table lists variances in percent."""
    process = freqtrade(
        *("recursive-analysis", "--strategy", "PerpImbalanceConservative"),
        *("--timerange", timerange, "-p", "BTC/USDT:USDT"),
        datadir=datadir,
    )
    assert process.returncode == 0, process.stderr
    assert "No lookahead bias on indicators found" in " ".join(process.stderr.split())
    table = process.stdout[process.stdout.index("Recursive Analysis") :]
    assert re.findall(r"\b(?:z|htf_z|bb_upper)\b", table)
    shares = [abs(float(share)) for share in re.findall(r"(-?\d+\.\d+)%", table)]
    assert shares
    assert max(shares) == 0.0
    assert "nan" not in table


@pytest.mark.parametrize(("folder", "timeframe", "higher"), [REAL_1H, REAL_5M])
def test_real_candles_give_trades_on_the_preset_sides(
    freqtrade: Freqtrade, tmp_path: Path, folder: str, timeframe: str, higher: str
) -> None:
    timerange = {"1h": "20210101-20210601", "5m": "20240301-20240318"}[timeframe]
    pairs = {"1h": SAMPLE_PAIRS[:2], "5m": SAMPLE_PAIRS}[timeframe]
    process = freqtrade(
        *("backtesting", "--strategy-list", *PRESET_STRATEGIES),
        *("--timeframe", timeframe, "--timerange", timerange),
        datadir=shared_candles(folder),
        pairs=pairs,
        overlay={"perp_imbalance": {"htf_timeframe": higher}},
    )
    assert process.returncode == 0, process.stderr
    trades = backtest_trades(tmp_path / "user_data")
    for strategy in PRESET_STRATEGIES:
        sides = {False} if strategy == "PerpImbalanceDeepDiscount" else {True, False}
        assert set(trades[strategy]["is_short"]) == sides, strategy
    assert set(trades["PerpImbalance"]["pair"]) == set(pairs)


HALTS = ["2021-02-11 03:00", "2023-03-24 11:00", "2023-03-24 12:00", "2023-03-24 13:00"]


@pytest.mark.parametrize("pair", ["BTC", "ETH"])
def test_halted_spot_gives_no_premium_and_no_entry(pair: str) -> None:
    """freqtrade itself loads the candles and fills the gaps with flat ones, as for a strategy."""
    datadir = shared_candles(REAL_1H[0])
    perp = load_pair_history(
        f"{pair}/USDT:USDT", "1h", datadir, candle_type=CandleType.FUTURES, data_format="feather"
    )
    spot = load_pair_history(f"{pair}/USDT", "1h", datadir, data_format="feather")
    halts = perp["date"].isin(pd.to_datetime(HALTS, utc=True)).to_numpy()
    spot_at = spot.set_index("date")["close"].reindex(perp["date"]).to_numpy()
    naive = (perp["close"].to_numpy() / spot_at - 1)[halts]
    traded = spot.set_index("date")["volume"].reindex(perp["date"][halts]).to_numpy() > 0
    assert not traded.all()
    assert np.abs(naive[~traded]).max() > 0.005
    for thresholds in PRESETS.values():
        columns = imbalance_columns(perp, spot, thresholds=thresholds)
        signals = entry_signals(columns.assign(close=perp["close"]), thresholds)
        assert columns["premium"][halts][~traded].isna().all()
        assert signals[["enter_short", "enter_long"]][halts][~traded].to_numpy().sum() == 0


def wrong_spot(sample_datadir: Path, tmp_path: Path) -> Path:
    """A market where ETH's spot is another coin, PEPE's the perp itself, and DOGE's is gone."""
    datadir = tmp_path / "binance"
    shutil.copytree(sample_datadir, datadir)
    for timeframe in ("1h", "4h"):
        file = datadir / f"ETH_USDT-{timeframe}.feather"
        candles = pd.read_feather(file)
        candles[["open", "high", "low", "close"]] *= 3
        candles.to_feather(file)
        perp = pd.read_feather(
            datadir / "futures" / f"1000PEPE_USDT_USDT-{timeframe}-futures.feather"
        )
        perp[["open", "high", "low", "close"]] /= 1000
        perp.to_feather(datadir / f"PEPE_USDT-{timeframe}.feather")
    for kind in ("1h-futures", "4h-futures", "1h-mark", "1h-funding_rate"):
        file = datadir / "futures" / f"{{}}_USDT_USDT-{kind}.feather"
        shutil.copy(str(file).format("ETH"), str(file).format("DOGE"))
    return datadir


def test_refused_pairs_are_named_and_others_trade(
    freqtrade: Freqtrade, sample_datadir: Path, tmp_path: Path
) -> None:
    process = freqtrade(
        *("backtesting", "--timerange", "20250301-20250601"),
        datadir=wrong_spot(sample_datadir, tmp_path),
        pairs=[*SAMPLE_PAIRS, "DOGE/USDT:USDT"],
    )
    assert process.returncode == 0, process.stderr
    lines = process.stderr.splitlines()
    logged = " ".join(" ".join(line for line in lines if not line.startswith(AGAIN)).split())
    again = [line for line in lines if line.startswith(AGAIN)]
    refusals = (
        "ETH/USDT:USDT gives no signals: its price is 0.333 times that of ETH/USDT (scale 1)",
        "DOGE/USDT:USDT gives no signals: no spot pair of DOGE against USDT",
        "1000PEPE/USDT:USDT gives no signals: the candles of PEPE/USDT are those of the perp",
    )
    for refusal in refusals:
        assert logged.count(refusal) == 1
        assert sum(line.startswith(f"{AGAIN}{refusal}") for line in again) == 1
    assert len(again) == len(refusals)
    trades = backtest_trades(tmp_path / "user_data")["PerpImbalance"]
    assert set(trades["pair"]) == {"BTC/USDT:USDT"}


def test_perp_without_spot_trades_against_the_index(
    freqtrade: Freqtrade, sample_datadir: Path, tmp_path: Path
) -> None:
    datadir, perp = tmp_path / "binance", "1000PEPE/USDT:USDT"
    shutil.copytree(sample_datadir, datadir)
    arguments = ("backtesting", "--timerange", "20250301-20250601", "--cache", "none")
    process = freqtrade(*arguments, datadir=datadir, pairs=[perp])
    assert process.returncode == 0, process.stderr
    against_spot = backtest_trades(tmp_path / "user_data")["PerpImbalance"]

    spot_to_index(datadir, "PEPE", "1000PEPE", scale=1000)
    process = freqtrade(*arguments, datadir=datadir, pairs=[perp])
    said = " ".join(process.stderr.split())
    assert "1000PEPE/USDT:USDT gives no signals: no spot pair" in said
    for source in ("auto", "index"):
        overlay = {"perp_imbalance": {"premium_source": source}}
        process = freqtrade(*arguments, datadir=datadir, pairs=[perp], overlay=overlay)
        assert process.returncode == 0, process.stderr
        against_index = backtest_trades(tmp_path / "user_data")["PerpImbalance"]
        assert len(against_index) > 10
        same = ["open_date", "close_date", "is_short", "enter_tag", "exit_reason"]
        pd.testing.assert_frame_equal(against_index[same], against_spot[same])


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (
            {"entry_mode": "flop"},
            "the config's perp_imbalance.entry_mode is 'flop', it should be 'zone' or 'flip'",
        ),
        (
            {"htf_timeframe": "90m"},
            "PerpImbalanceConservative: htf_timeframe is 90m, it must be a multiple of the "
            "timeframe (1h) and longer than it",
        ),
    ],
)
def test_wrong_config_ends_freqtrade_with_one_line(
    freqtrade: Freqtrade, sample_datadir: Path, section: dict[str, str], message: str
) -> None:
    process = freqtrade(
        *("backtesting", "--strategy", "PerpImbalanceConservative"),
        datadir=sample_datadir,
        overlay={"perp_imbalance": section},
    )
    assert_fails_in_one_line(process, message)
