"""hyperopt: every parameter alone acts in an epoch, and an epoch is a plain backtest.

freqtrade's own hyperopt, with a sampler that changes one parameter an epoch.
"""

import json
import shutil
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest
from support.freqtrade import ROOT, add_open_interest, backtest_trades, run_freqtrade

from perp_imbalance.indicators import PRESETS
from perp_imbalance.indicators.gates import OPTIONAL_GATES
from perp_imbalance.strategy.parameters import (
    PARAMETER_NAMES,
    PARAMETER_SPACES,
    SETTING_SPACES,
)
from perp_imbalance.strategy.settings import Settings

pytestmark = pytest.mark.freqtrade

PAIRS = ["BTC/USDT:USDT", "1000PEPE/USDT:USDT"]
SPACES = PARAMETER_SPACES | SETTING_SPACES
TIMERANGE = "20250301-20250615"
#: What every epoch has but for one value: gates that are open wide enough for many trades.
BASE = {
    **{name: asdict(PRESETS["balanced"])[name] for name in PARAMETER_NAMES},
    **{"use_htf": True, "htf_z_min": 0.3, "entry_mode": "zone", "max_stale_candles": 12},
    **{"funding_min": 0.0, "oi_len": 12, "oi_min": -0.05, "min_deviation_bps": 2.0},
}
OTHER = {
    **{"enter_z": 1.4, "exit_z": 0.4, "len_prem": 30, "smooth_len": 2, "use_sigma": False},
    **{"bb_len": 40, "bb_k": 0.8, "use_htf": False, "htf_z_min": 1.2},
    **{"entry_mode": "flip", "max_stale_candles": 1},
    **{"funding_min": 0.0003, "oi_len": 3, "oi_min": 0.02},
    **{"min_deviation_bps": 6.0, "dev_len": 20, "robust_z": True},
}

STRATEGY = """
from perp_imbalance.strategy.parameters import with_preset
from PerpImbalance import PerpImbalance


@with_preset("balanced")
class {name}(PerpImbalance):
    pass
"""
HYPEROPT = (
    STRATEGY.format(name="OneByOne")
    + f"""
    class HyperOpt:
        def generate_estimator(dimensions, **kwargs):
            return OneChanged()


from optuna.samplers import BaseSampler


class OneChanged(BaseSampler):
    def infer_relative_search_space(self, study, trial):
        return {{}}

    def sample_relative(self, study, trial, search_space):
        return {{}}

    def sample_independent(self, study, trial, name, distribution):
        changed = [None, *OTHER][trial.number % (len(OTHER) + 1)]
        return (OTHER if name == changed else BASE)[name]


BASE = {BASE!r}
OTHER = {OTHER!r}
"""
)
TRADE = [
    *("pair", "is_short", "open_date", "close_date", "open_rate", "close_rate", "enter_tag"),
    *("exit_reason", "profit_abs"),
]


class Outcome(NamedTuple):
    """The trades of each epoch, and of the plain backtest with the same values, by parameter."""

    epochs: dict[str, pd.DataFrame]
    backtests: dict[str, pd.DataFrame]
    best: str
    exported: pd.DataFrame
    parameter_file: dict[str, Any]


def by_space(values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    params: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        params.setdefault(SPACES[name], {})[name] = value
    return params


def class_of(name: str) -> str:
    return "Only" + name.title().replace("_", "")


@pytest.fixture(scope="module")
def strategies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of strategies: one for hyperopt, and one for each epoch with a parameter file."""
    folder = tmp_path_factory.mktemp("hyperopt") / "strategies"
    shutil.copytree(ROOT / "strategies", folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "OneByOne.py").write_text(HYPEROPT, encoding="utf-8")
    for name in ("base", *OTHER):
        values = {**BASE, **({name: OTHER[name]} if name in OTHER else {})}
        source = folder / f"{class_of(name)}.py"
        source.write_text(STRATEGY.format(name=class_of(name)), encoding="utf-8")
        params = {"strategy_name": class_of(name), "params": by_space(values)}
        source.with_suffix(".json").write_text(json.dumps(params), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def datadir(sample_datadir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample market, whose spot of BTC does not trade now and then, in zones, too."""
    datadir = tmp_path_factory.mktemp("holes") / "binance"
    shutil.copytree(sample_datadir, datadir)
    file = datadir / "BTC_USDT-1h.feather"
    spot = pd.read_feather(file)
    spot.drop(spot.index[::37]).reset_index(drop=True).to_feather(file)
    add_open_interest(datadir, PAIRS)
    return datadir


def trades_of(trades: Any) -> pd.DataFrame:
    frame = pd.DataFrame(trades)[TRADE]
    for column in ("open_date", "close_date"):
        frame[column] = pd.to_datetime(frame[column], utc=True)
    return frame


@pytest.fixture(scope="module")
def outcome(strategies: Path, datadir: Path) -> Outcome:
    userdir = strategies.parent / "user_data"
    overlay = {"perp_imbalance": dict.fromkeys(OPTIONAL_GATES, True)}
    freqtrade = partial(run_freqtrade, userdir, datadir=datadir, pairs=PAIRS, overlay=overlay)
    process = freqtrade(
        *("hyperopt", "--strategy", "OneByOne", "--strategy-path", str(strategies)),
        *("--spaces", "buy", "sell", "lookback", "--epochs", str(len(OTHER) + 1), "-j", "2"),
        *("--hyperopt-loss", "SharpeHyperOptLossDaily", "--timerange", TIMERANGE),
    )
    assert process.returncode == 0, process.stderr
    assert "will be evaluated with its static start value" not in process.stderr
    file = next((userdir / "hyperopt_results").glob("*.fthypt"))
    epochs, best = {}, ""
    for line in file.read_text("utf-8").splitlines():
        epoch = json.loads(line)
        changed = [name for name in OTHER if epoch["params_dict"][name] == OTHER[name]]
        (name,) = changed or ["base"]
        epochs[name] = trades_of(epoch["results_metrics"]["trades"])
        best = name if epoch["is_best"] else best
    names = [class_of(name) for name in ("base", *OTHER)]
    process = freqtrade(
        *("backtesting", "--strategy-path", str(strategies), "--cache", "none"),
        *("--strategy-list", *names, "OneByOne", "--timerange", TIMERANGE),
    )
    assert process.returncode == 0, process.stderr
    found = {name: trades_of(trades) for name, trades in backtest_trades(userdir).items()}
    exported = json.loads((strategies / "OneByOne.json").read_text("utf-8"))
    backtests = {name: found[class_of(name)] for name in epochs}
    return Outcome(epochs, backtests, best, found["OneByOne"], exported["params"])


def test_each_parameter_has_an_epoch_of_its_own(outcome: Outcome) -> None:
    assert set(OTHER) == set(SPACES) - set(OPTIONAL_GATES)
    assert set(outcome.epochs) == {"base", *OTHER}
    assert set(Settings.model_fields) >= set(SETTING_SPACES)


@pytest.mark.parametrize("name", OTHER)
def test_parameter_alone_changes_the_trades_of_an_epoch(outcome: Outcome, name: str) -> None:
    assert not outcome.epochs[name].equals(outcome.epochs["base"])


@pytest.mark.parametrize("name", ["base", *OTHER])
def test_epoch_is_a_plain_backtest_trade_by_trade(outcome: Outcome, name: str) -> None:
    assert len(outcome.epochs[name]) > 5
    pd.testing.assert_frame_equal(outcome.epochs[name], outcome.backtests[name])


def test_exported_parameters_trade_as_the_best_epoch(outcome: Outcome) -> None:
    pd.testing.assert_frame_equal(outcome.exported, outcome.epochs[outcome.best])
    values = {**BASE, **({outcome.best: OTHER[outcome.best]} if outcome.best in OTHER else {})}
    values |= dict.fromkeys(OPTIONAL_GATES, True)
    for space, params in by_space(values).items():
        assert outcome.parameter_file[space] == params
