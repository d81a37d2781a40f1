"""The strategy class itself: what it refuses at start, and what its parameters are."""

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from freqtrade.enums import CandleType, HyperoptState, RunMode
from freqtrade.exceptions import OperationalException
from freqtrade.optimize.hyperopt_tools import HyperoptStateContainer
from support.data_provider import Candles
from support.freqtrade import CONFIG, PRESET_STRATEGIES, ROOT
from support.strategies import SAFE, copy_strategies, load

from perp_imbalance.freqtrade_bridge.config import load_config
from perp_imbalance.freqtrade_bridge.strategies import load_strategy
from perp_imbalance.indicators import PRESETS
from perp_imbalance.indicators.gates import OPTIONAL_GATES
from perp_imbalance.markets.spot_setting import check_spot_setting
from perp_imbalance.strategy.alerts import TITLES
from perp_imbalance.strategy.parameters import (
    BIAS_MEMORY,
    LONGEST_LOOKBACK,
    STARTUP_CANDLES,
)
from perp_imbalance.strategy.settings import warn_once

BINANCE_CANDLES_IN_ONE_REQUEST = 494


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the strategies, as in a trader's ``user_data/strategies``."""
    return copy_strategies(tmp_path)


@pytest.mark.parametrize("name", PRESET_STRATEGIES)
def test_parameters_start_as_the_preset(folder: Path, name: str) -> None:
    strategy = load(folder, name)
    assert strategy.thresholds() == PRESETS[strategy.preset]


def test_presets_share_no_parameter(folder: Path) -> None:
    balanced, aggressive = load(folder), load(folder, "PerpImbalanceAggressive")
    balanced.enter_z.value = 3.3
    assert aggressive.enter_z.value == PRESETS["aggressive"].enter_z


def test_parameter_file_next_to_the_strategy_is_used(folder: Path) -> None:
    (folder / "PerpImbalance.json").write_text(
        '{"strategy_name": "PerpImbalance", "params": {"buy": {"enter_z": 2.5}, '
        '"lookback": {"len_prem": 33}}}'
    )
    strategy = load(folder)
    assert (strategy.thresholds().enter_z, strategy.thresholds().len_prem) == (2.5, 33)
    assert load(folder, "PerpImbalanceAggressive").thresholds() == PRESETS["aggressive"]


@pytest.mark.parametrize("runmode", [RunMode.BACKTEST, RunMode.HYPEROPT, RunMode.DRY_RUN])
def test_parameter_file_overrides_a_config_setting(folder: Path, runmode: RunMode) -> None:
    def setting() -> tuple[str, int]:
        section = {"entry_mode": "flip", "max_stale_candles": 7}
        exchange = {"name": "binance", "ccxt_config": SAFE}
        config: dict[str, Any] = {
            "perp_imbalance": section,
            "exchange": exchange,
            "spaces": ["lookback"],
        }
        strategy = load(folder, runmode=runmode, **config)
        return strategy.entry_mode.value, strategy.max_stale_candles.value

    assert setting() == ("flip", 7)
    (folder / "PerpImbalance.json").write_text(
        '{"strategy_name": "PerpImbalance", "params": {"sell": {"max_stale_candles": 3}}}'
    )
    assert setting() == ("flip", 3)


def test_robust_z_with_a_low_enter_z_warns_once(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    warn_once.cache_clear()
    (folder / "PerpImbalance.json").write_text(
        '{"strategy_name": "PerpImbalance", "params": {"lookback": {"robust_z": true}}}'
    )
    assert load(folder).thresholds() == replace(PRESETS["balanced"], robust_z=True)
    load(folder)
    warnings = [each.message for each in caplog.records if each.levelno >= logging.WARNING]
    assert [text for text in warnings if "robust_z" in text] == [
        "robust_z is on and enter_z is 1.7: robust z-scores have longer tails, take at least 2"
    ]


@pytest.mark.parametrize(
    ("name", "section", "sides"),
    [
        ("PerpImbalanceDeepDiscount", {}, ["long"]),
        ("PerpImbalanceDeepDiscount", {"sides": ["long", "short"]}, ["long", "short"]),
        ("PerpImbalanceDeepDiscount", {"sides": ["short"]}, ["short"]),
        ("PerpImbalanceDeepDiscount", {"alert_only": True}, []),
        ("PerpImbalance", {}, ["long", "short"]),
    ],
)
def test_sides_are_the_presets_unless_the_config_names_some(
    folder: Path, caplog: pytest.LogCaptureFixture, name: str, section: Any, sides: list[str]
) -> None:
    warn_once.cache_clear()
    strategy = load(folder, name, perp_imbalance=section)
    assert strategy.settings.entered_sides == sides
    warned = [text for text in caplog.messages if "deep_discount enters long only" in text]
    assert len(warned) == ("sides" in section)


def test_fragment_of_deep_discount_has_pairs_and_slots_for_it() -> None:
    config = load_config([CONFIG, ROOT / "config" / "deep-discount.json"])
    pairs = config["exchange"]["pair_whitelist"]
    assert len(set(pairs)) == len(pairs) == 30
    assert config["max_open_trades"] == 10
    strategy = load_strategy(config, with_parameters=True)
    assert strategy.preset == "deep_discount"
    assert strategy.settings.entered_sides == ["long"]
    check_spot_setting(config)


def test_fragment_of_alerts_has_every_kind_and_enters_nothing() -> None:
    config = load_config([CONFIG, ROOT / "config" / "alerts.json"])
    settings = load_strategy(config, with_parameters=True).settings
    assert settings.flip_alerts == list(TITLES)
    rules = settings.crossing_alerts("deviation", "premium", "market")
    assert [rule.kind for rule in rules] == ["deviation", "premium", "market"]
    assert settings.entered_sides == []
    assert config["pairlists"][0]["method"] == "VolumePairList"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ('"sell": {"exit_z": 1.9}', "PerpImbalance: enter_z is 1.7, it must be above exit_z (1.9)"),
        ('"lookback": {"len_prem": 1}', "PerpImbalance: len_prem is 1, it must be at least 2"),
        (
            '"lookback": {"len_prem": 400}',
            "PerpImbalance: len_prem, smooth_len and bb_len look back 402 candles, at most "
            f"{LONGEST_LOOKBACK} fit into the candles loaded at start",
        ),
        (
            '"lookback": {"dev_len": 500}',
            "PerpImbalance: dev_len is 500, which looks back 500 candles: at most "
            f"{STARTUP_CANDLES} are loaded at start",
        ),
        (
            '"lookback": {"dev_len": 240, "robust_z": true}',
            "PerpImbalance: dev_len is 240, which looks back 481 candles with robust_z: at most "
            f"{STARTUP_CANDLES} are loaded at start",
        ),
        (
            '"buy": {"min_deviation_bps": -5}',
            "PerpImbalance: min_deviation_bps is -5, it must be at least 0",
        ),
        (
            '"buy": {"entry_mode": "flop"}',
            "PerpImbalance: entry_mode is 'flop', it should be 'zone' or 'flip'",
        ),
    ],
)
def test_parameter_file_that_cannot_be_traded_stops_the_start(
    folder: Path, params: str, message: str
) -> None:
    (folder / "PerpImbalance.json").write_text(
        f'{{"strategy_name": "PerpImbalance", "params": {{{params}}}}}'
    )
    with pytest.raises(OperationalException) as caught:
        load(folder)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("name", "config", "message"),
    [
        (
            "PerpImbalance",
            {"perp_imbalance": {"side": "long"}},
            "the config has an unknown key perp_imbalance.side: known here are htf_timeframe, "
            "entry_mode, sides, max_stale_candles, premium_source, use_funding, use_oi, alerts, "
            "alert_only, log_candles, spot_pairs, leverage, max_entry_age_seconds, "
            "max_entry_drift, scale_out, stop_on_close, protections",
        ),
        (
            "PerpImbalance",
            {"trading_mode": "spot"},
            'PerpImbalance trades perps: set "trading_mode": "futures" and '
            '"margin_mode": "isolated" in the config',
        ),
        (
            "PerpImbalanceConservative",
            {"perp_imbalance": {"htf_timeframe": "90m"}},
            "PerpImbalanceConservative: htf_timeframe is 90m, it must be a multiple of the "
            "timeframe (1h) and longer than it",
        ),
        (
            "PerpImbalanceConservative",
            {"timeframe": "4h"},
            "PerpImbalanceConservative: htf_timeframe is 4h, it must be a multiple of the "
            "timeframe (4h) and longer than it",
        ),
    ],
)
def test_config_that_cannot_be_traded_stops_the_start(
    folder: Path, name: str, config: dict[str, Any], message: str
) -> None:
    with pytest.raises(OperationalException) as caught:
        load(folder, name, **config)
    assert str(caught.value) == message


SWAP = {"options": {"defaultType": "swap"}}


@pytest.mark.parametrize("runmode", [RunMode.DRY_RUN, RunMode.LIVE])
@pytest.mark.parametrize(
    "exchange",
    [
        {},
        {"ccxt_config": {"enableRateLimit": True}},
        {"ccxt_config": SWAP},
        {"ccxt_config": SAFE, "ccxt_async_config": SWAP},
        {"ccxt_sync_config": SAFE},
    ],
)
def test_bot_without_the_spot_setting_does_not_start(
    folder: Path, runmode: RunMode, exchange: dict[str, Any]
) -> None:
    with pytest.raises(OperationalException) as caught:
        load(folder, runmode=runmode, exchange={"name": "binance", **exchange})
    section = "ccxt_async_config" if "ccxt_async_config" in exchange else "ccxt_config"
    is_set = SWAP in exchange.values()
    assert str(caught.value) == (
        "Binance would answer for spot pairs with the candles of the perp: "
        f'{"set" if is_set else "add"} "{section}": {{"options": {{"defaultType": "future"}}}} '
        f'{"in" if is_set else "to"} "exchange" in the config'
    )


@pytest.mark.parametrize(
    ("runmode", "exchange"),
    [
        (RunMode.LIVE, {"name": "binance", "ccxt_config": SAFE}),
        (RunMode.LIVE, {"name": "binance", "ccxt_async_config": SAFE}),
        (RunMode.LIVE, {"name": "bybit"}),
        (RunMode.BACKTEST, {"name": "binance"}),
    ],
)
def test_bot_that_gets_spot_candles_starts(
    folder: Path, runmode: RunMode, exchange: dict[str, Any]
) -> None:
    assert load(folder, runmode=runmode, exchange=exchange).settings


def test_htf_timeframe_matters_only_with_the_htf_gate(folder: Path) -> None:
    assert load(folder, timeframe="4h").timeframe == "4h"


def test_startup_fits_into_one_request() -> None:
    assert STARTUP_CANDLES == LONGEST_LOOKBACK + BIAS_MEMORY
    assert STARTUP_CANDLES < BINANCE_CANDLES_IN_ONE_REQUEST


def test_no_hyperopt_epoch_has_exit_z_at_or_above_enter_z(folder: Path) -> None:
    strategy = load(folder)
    assert strategy.exit_z.high < strategy.enter_z.low


@pytest.mark.parametrize("on", [True, False])
def test_hyperopt_varies_optional_gates_only_when_on(folder: Path, on: bool) -> None:
    config: dict[str, Any] = {"spaces": ["all"], "exchange": {"name": "binance"}}
    section = {"use_oi": on, "use_funding": on}
    strategy = load(folder, runmode=RunMode.HYPEROPT, perp_imbalance=section, **config)
    for switch, names in OPTIONAL_GATES.items():
        assert getattr(strategy, switch).value is on
        assert not getattr(strategy, switch).optimize
        assert [getattr(strategy, name).optimize for name in names] == [on] * len(names)


@pytest.mark.parametrize("on", [True, False])
def test_indicators_read_no_parameter_that_hyperopt_varies(
    folder: Path,
    sample_datadir: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    on: bool,
) -> None:
    """freqtrade would warn that all epochs are evaluated with its start value."""
    strategy = load(
        folder,
        runmode=RunMode.HYPEROPT,
        spaces=["all"],
        exchange={"name": "binance"},
        perp_imbalance=dict.fromkeys(OPTIONAL_GATES, on),
    )
    strategy.dp = Candles(sample_datadir)
    pair = {"pair": "BTC/USDT:USDT"}
    candles = strategy.dp.get_pair_dataframe(pair["pair"], "1h", CandleType.FUTURES)
    monkeypatch.setattr(HyperoptStateContainer, "state", HyperoptState.INDICATORS)
    assert strategy.informatives_of(pair["pair"])
    strategy.populate_indicators(candles.iloc[:1000].copy(), pair)
    assert "static start value" not in caplog.text
    assert strategy.enter_z.value
    assert "Parameter 'enter_z' is part of this hyperopt run" in caplog.text


@pytest.mark.parametrize(
    ("section", "filed", "found"),
    [
        ({"use_funding": True}, False, True),
        ({"use_funding": False}, True, False),
        ({"use_funding": True}, True, True),
        ({}, True, True),
        ({}, False, False),
    ],
)
def test_gate_switch_in_the_config_wins_over_a_file(
    folder: Path,
    section: dict[str, bool],
    filed: bool,
    found: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """hyperopt writes the switch into its file as it was, and never varies it."""
    params = {"buy": {"use_funding": filed, "enter_z": 2.5}}
    (folder / "PerpImbalance.json").write_text(
        json.dumps({"strategy_name": "PerpImbalance", "params": params})
    )
    strategy = load(folder, exchange={"name": "binance"}, perp_imbalance=section)
    assert (strategy.thresholds().use_funding, strategy.thresholds().enter_z) == (found, 2.5)
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    said = f"use_funding is {found} in the config and {filed} in the parameter file: "
    assert told == ([] if found == filed else [f"{said}the config's counts"])


def test_gate_without_a_series_on_the_exchange_is_refused(folder: Path) -> None:
    section = {"use_oi": True}
    with pytest.raises(OperationalException) as caught:
        load(folder, exchange={"name": "bitget"}, perp_imbalance=section)
    assert str(caught.value) == (
        "PerpImbalance: bitget gives no past open interest: set perp_imbalance.use_oi to false "
        "in the config"
    )
