"""The config's section is refused in one line, before anything trades with it."""

from dataclasses import replace
from typing import Any

import pytest

from perp_imbalance.errors import SettingsError
from perp_imbalance.indicators import PRESETS, Thresholds
from perp_imbalance.indicators.thresholds import BOUNDS
from perp_imbalance.strategy.settings import Settings


def test_config_without_the_section_has_the_defaults() -> None:
    settings = Settings.from_config({})
    assert settings.htf_timeframe == "4h"
    assert settings.entry_mode == "zone"
    assert settings.sides == ["long", "short"]
    assert settings.max_stale_candles == 12
    assert settings.spot_pairs == {}


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (
            {"entry_modus": "flip"},
            "the config has an unknown key perp_imbalance.entry_modus: known here are "
            "htf_timeframe, entry_mode, sides, max_stale_candles, premium_source, use_funding, "
            "use_oi, alerts, alert_only, log_candles, spot_pairs, leverage, max_entry_age_seconds, "
            "max_entry_drift, scale_out, stop_on_close, protections",
        ),
        (
            {"entry_mode": "flop"},
            "the config's perp_imbalance.entry_mode is 'flop', it should be 'zone' or 'flip'",
        ),
        *(
            (
                {"premium_source": source},
                f"the config's perp_imbalance.premium_source is {source!r}, it should be "
                '"spot", "index", "premium_index", "auto", or a list of the first three without '
                "repetition",
            )
            for source in ("premiumIndex", [], ["spot", "auto"], ["index", "index"], 1, [["spot"]])
        ),
        (
            {"max_stale_candles": "12"},
            "the config's perp_imbalance.max_stale_candles is '12', it should be a valid integer",
        ),
        (
            {"max_stale_candles": True},
            "the config's perp_imbalance.max_stale_candles is True, it should be a valid integer",
        ),
        (
            {"max_stale_candles": -1},
            "the config's perp_imbalance.max_stale_candles is -1, it should be greater than or "
            "equal to 0",
        ),
        *(
            (
                {"alerts": [alert]},
                f"the config's perp_imbalance.alerts.0 is {alert!r}, it should be 'enter_short', "
                "'enter_long', 'exit' or a section {...} whose kind is 'deviation' or 'premium' or "
                "'market'",
            )
            for alert in ("enter_shrt", "deviation", 5, ["exit"])
        ),
        (
            {"alerts": ["exit", {"kind": "deviaton", "level": 20}]},
            "the config's perp_imbalance.alerts.1.kind is 'deviaton', it should be 'deviation', "
            "'premium' or 'market'",
        ),
        (
            {"alerts": [{"kind": "deviation", "levl": 20}]},
            "the config has an unknown key perp_imbalance.alerts.0.levl: known here are kind, "
            "level, deviation_bps, cooldown_candles",
        ),
        ({"alerts": [{"kind": "premium"}]}, "the config lacks perp_imbalance.alerts.0.level"),
        (
            {"alerts": [{"kind": "premium", "level": float("inf")}]},
            "the config's perp_imbalance.alerts.0.level is inf, it should be a finite number",
        ),
        (
            {"alerts": [{"kind": "premium", "level": 1, "cooldown_candles": 0}]},
            "the config's perp_imbalance.alerts.0.cooldown_candles is 0, it should be greater than "
            "or equal to 1",
        ),
        (
            {"alerts": [{"kind": "premium", "level": 51}]},
            "the config's perp_imbalance.alerts.0 is {'kind': 'premium', 'level': 51}, it should "
            "be of a level up to 50 %: a premium further from 0 than 50 % is taken for an error of "
            "the feed",
        ),
        (
            {"alerts": [{"kind": "deviation", "level": 10001}]},
            "the config's perp_imbalance.alerts.0 is {'kind': 'deviation', 'level': 10001}, it "
            "should be of a level up to 10000 bps: a premium further from 0 than 50 % is taken for "
            "an error of the feed",
        ),
        (
            {"alerts": [{"kind": "market", "level": 101}]},
            "the config's perp_imbalance.alerts.0 is {'kind': 'market', 'level': 101}, it should "
            "be of a level up to 100 %, which is all pairs",
        ),
        (
            {"alerts": [{"kind": "premium", "level": 1, "deviation_bps": -10}]},
            "the config's perp_imbalance.alerts.0 is {'kind': 'premium', 'level': 1, "
            "'deviation_bps': -10}, it should be without deviation_bps, which is for 'market'",
        ),
        (
            {"stop_on_close": -0.1},
            "the config's perp_imbalance.stop_on_close is -0.1, it should be greater than or "
            "equal to 0",
        ),
        (
            {"stop_on_close": 1},
            "the config's perp_imbalance.stop_on_close is 1, it should be less than 1",
        ),
        (
            {"sides": ["up"]},
            "the config's perp_imbalance.sides.0 is 'up', it should be 'long' or 'short'",
        ),
        ({"spot_pairs": {"X:": {}}}, "the config lacks perp_imbalance.spot_pairs.X:.pair"),
        (
            {"spot_pairs": {"BTC/USDT": {"pair": "BTC/USDT"}}},
            "the config's perp_imbalance.spot_pairs has the key 'BTC/USDT', it should be a perp's "
            "name such as BTC/USDT:USDT",
        ),
        (
            {"spot_pairs": {"X:": {"pair": "A/B", "factor": 2}}},
            "the config has an unknown key perp_imbalance.spot_pairs.X:.factor: known here are "
            "pair, scale",
        ),
        (
            {"spot_pairs": {"X:": {"pair": "A/B", "scale": 0}}},
            "the config's perp_imbalance.spot_pairs.X:.scale is 0, it should be greater than 0",
        ),
        (
            {"protections": [{"method": "StoplossGuard"}, {"method": "MaxDrawdown", "fees": 3}]},
            "the config's perp_imbalance.protections[1]: MaxDrawdown has no fees, known are "
            "method, lookback_period, lookback_period_candles, stop_duration, "
            "stop_duration_candles, unlock_at, trade_limit, max_allowed_drawdown, calculation_mode",
        ),
        (
            {"protections": [{"method": "StoplossGuard", "trade_limits": 3}]},
            "the config's perp_imbalance.protections[0]: StoplossGuard has no trade_limits, write "
            "it as trade_limit",
        ),
        ([], 'the config\'s "perp_imbalance" must be a section {...} of settings'),
    ],
)
def test_wrong_section_is_refused_in_one_line(section: Any, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_config({"perp_imbalance": section})
    assert str(caught.value) == message


def test_empty_list_of_sides_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"perp_imbalance\.sides is \[\]"):
        Settings.from_config({"perp_imbalance": {"sides": []}})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"exit_z": 1.7}, r"enter_z is 1.7, it must be above exit_z \(1.7\)"),
        ({"exit_z": 0.0}, "exit_z is 0, it must be above 0"),
        ({"len_prem": 1}, "len_prem is 1, it must be at least 2"),
        ({"smooth_len": 0}, "smooth_len is 0, it must be at least 1"),
        ({"bb_len": 1}, "bb_len is 1, it must be at least 2"),
        ({"bb_k": 0.0}, "bb_k is 0, it must be above 0"),
        ({"htf_z_min": -0.1}, "htf_z_min is -0.1, it must be at least 0"),
        ({"hot_z": 0.0}, "hot_z is 0, it must be above 0"),
        ({"enter_z": float("nan")}, "enter_z is nan"),
        *(
            ({name: value}, f"{name} is too high, it must be at most ")
            for name in BOUNDS
            for value in (float("inf"), 1e308)
            if name != "exit_z"
        ),
    ],
)
def test_threshold_out_of_range_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Thresholds(**values)


# The table of the specification, written out: the one place where its values stand twice.
@pytest.mark.parametrize(
    ("preset", "values"),
    [
        ("conservative", (2.0, 1.0, 70, 5, True, 100, 1.5, True, 0.8, 3.0)),
        ("balanced", (1.7, 0.9, 50, 3, True, 100, 1.25, False, 0.8, 3.0)),
        ("aggressive", (1.3, 0.7, 25, 2, False, 100, 1.0, False, 0.6, 2.5)),
    ],
)
def test_presets_are_those_of_the_specification(preset: str, values: tuple[Any, ...]) -> None:
    assert Thresholds(*values) == PRESETS[preset]


def test_deep_discount_is_balanced_below_minus_10_bps_long_only() -> None:
    assert PRESETS["deep_discount"] == replace(PRESETS["balanced"], min_deviation_bps=10)
    assert Settings().of_preset("deep_discount").sides == ["long"]


def test_one_list_holds_alerts_of_all_kinds() -> None:
    alerts = ["exit", {"kind": "market", "level": 30}, {"kind": "premium", "level": 0.5}]
    settings = Settings.from_config({"perp_imbalance": {"alerts": alerts}})
    assert settings.flip_alerts == ["exit"]
    (premium,) = settings.crossing_alerts("deviation", "premium")
    (market,) = settings.crossing_alerts("market")
    assert (premium.level, premium.cooldown_candles) == (0.5, 12)
    assert (market.level, market.deviation_bps) == (30, -10)
