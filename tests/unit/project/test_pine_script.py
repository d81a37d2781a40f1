"""``pine/perp_imbalance.pine`` computes what the strategy computes: a changed line fails here."""

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pandas as pd
import pytest
from support import pyne_spot
from support.pine_columns import PINE, PLOTS, TAGS, assert_equal, expected, market
from support.pine_to_pyne import PyneScript, UnknownPineError, translate
from support.pyne_run import run_pyne, symbol

from perp_imbalance.indicators import PRESETS, Thresholds
from perp_imbalance.indicators.higher_timeframe import timeframe_ns
from perp_imbalance.indicators.thresholds import PRESET_SIDES, THRESHOLD_NAMES, Side
from perp_imbalance.markets.spot_matching import match_spot
from perp_imbalance.strategy.alerts import TITLES, flip_alert, messages
from perp_imbalance.strategy.settings import Settings

#: The optional gates need series that a chart does not have in one place.
NOT_IN_PINE = {"use_funding", "funding_min", "use_oi", "oi_len", "oi_min"}
PINE_NAMES = [name for name in THRESHOLD_NAMES if name not in NOT_IN_PINE]


@pytest.fixture(scope="module")
def script() -> PyneScript:
    return translate(PINE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def btc(sample_datadir: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    return market(sample_datadir, "BTC", "BTC")


@pytest.fixture(scope="module")
def pepe(sample_datadir: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    return market(sample_datadir, "1000PEPE", "PEPE")


@pytest.mark.parametrize("preset", PRESETS)
def test_every_column_of_a_preset_equals_the_strategys(
    preset: str, script: PyneScript, btc: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path
) -> None:
    spots = {"BINANCE:BTCUSDT": btc[1]}
    found = run_pyne(script, btc[0], spots, tmp_path, plots=PLOTS, inputs={"preset": preset})
    sides = PRESET_SIDES.get(preset, get_args(Side))
    wanted = expected(btc, PRESETS[preset], sides=sides)
    assert set(wanted["bias"]) == {-1, 0, 1}
    assert wanted["enter_short"].any() == ("short" in sides)
    assert wanted["enter_long"].any()
    assert_equal(found, wanted)


def test_scale_in_the_name_is_divided_out(
    script: PyneScript, pepe: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path
) -> None:
    found = run_pyne(
        script,
        pepe[0],
        {"BINANCE:PEPEUSDT": pepe[1]},
        tmp_path,
        perp_symbol=symbol("1000PEPEUSDT.P"),
        plots=PLOTS,
    )
    assert found["scale"].iloc[-1] == 1000
    assert_equal(found, expected(pepe, PRESETS["balanced"], scale=1000))


@pytest.mark.parametrize(
    "more",
    [{}, {"min_deviation_bps": 3.0, "dev_len": 30}, {"robust_z": True, "dev_len": 120}],
    ids=["bands", "deviation", "robust"],
)
def test_inputs_act_with_the_preset_own(
    more: dict[str, Any], script: PyneScript, btc: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path
) -> None:
    own = Thresholds(
        enter_z=1.1,
        exit_z=0.6,
        len_prem=20,
        smooth_len=1,
        use_sigma=True,
        bb_len=30,
        bb_k=0.4,
        use_htf=True,
        htf_z_min=0.1,
        hot_z=2.0,
        **more,
    )
    inputs: dict[str, Any] = {f"own_{name}": getattr(own, name) for name in PINE_NAMES}
    inputs |= {"preset": "own", "entry_mode": "flip", "max_stale_candles": 3}
    spots = {"BINANCE:BTCUSDT": btc[1]}
    found = run_pyne(script, btc[0], spots, tmp_path, plots=PLOTS, inputs=inputs)
    wanted = expected(btc, own, mode="flip", max_stale_candles=3)
    assert (wanted["exit_tag"] == TAGS.index("stale_spot")).any()
    assert wanted["enter_short"].any()
    assert_equal(found, wanted)


@pytest.mark.parametrize("preset", [*PRESETS, "own"])
def test_thresholds_of_a_preset_are_the_strategys(
    preset: str, script: PyneScript, btc: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path
) -> None:
    """The inputs, which the preset own uses, have the values of balanced."""
    plots = {f"value of {name}": name for name in PINE_NAMES}
    found = run_pyne(
        script, btc[0].iloc[:1], {}, tmp_path, plots=plots, inputs={"preset": preset}
    ).iloc[0]
    values = {name: found[f"value of {name}"] for name in PINE_NAMES}
    assert Thresholds(**values) == PRESETS.get(preset, Thresholds())


def test_pine_rules_have_the_config_defaults(
    script: PyneScript, btc: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path
) -> None:
    plots = {
        "stale": "max_stale_candles",
        "zone": f"1 if entry_mode == '{Settings().entry_mode}' else 0",
        "htf": "htf_seconds",
        "balanced": "1 if preset == 'balanced' else 0",
    }
    found = run_pyne(script, btc[0].iloc[:1], {}, tmp_path, plots=plots).iloc[0]
    assert found["stale"] == Settings().max_stale_candles
    assert found["htf"] == timeframe_ns(Settings().htf_timeframe) / 10**9
    assert found["zone"] == 1
    assert found["balanced"] == 1


@pytest.mark.parametrize(
    ("base", "exchange"),
    [
        *(("BTC", "binance"), ("1000PEPE", "binance"), ("1000SATS", "binance")),
        *(("1MBABYDOGE", "binance"), ("1000000MOG", "bybit"), ("10000WEN", "bybit")),
        *(("10000000AIDOGE", "bybit"), ("SHIB1000", "bybit"), ("KPEPE", "hyperliquid")),
        *(("KAVA", "binance"), ("LUNA2", "binance"), ("DODOX", "binance"), ("1000", "binance")),
        *(("RAYSOL", "binance"), ("1INCH", "binance"), ("1M", "binance"), ("K", "hyperliquid")),
    ],
)
def test_spot_pair_and_scale_are_the_strategys(
    base: str,
    exchange: str,
    script: PyneScript,
    btc: tuple[pd.DataFrame, pd.DataFrame],
    tmp_path: Path,
) -> None:
    """Where every spot pair exists but the one of the same name, and where none but that does."""
    exists = {"symbol": "any", "spot": True, "active": True}
    name, same = f"{base}/USDT:USDT", f"{base}/USDT"
    other = match_spot(name, lambda spot: None if spot == same else exists, exchange=exchange)
    assert match_spot(name, {same: exists}.get, exchange=exchange).spot == same

    perp = symbol(f"{base}USDT.P", exchange.upper())
    found = run_pyne(script, btc[0].iloc[:1], {}, tmp_path, perp_symbol=perp)
    wanted = [same] if other.spot is None else [same, other.spot]
    assert pyne_spot.asked == [f"{exchange.upper()}:{pair.replace('/', '')}" for pair in wanted]
    assert found["scale"].iloc[-1] == other.scale


def test_spot_pair_of_the_same_name_needs_no_scale(
    script: PyneScript, btc: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path
) -> None:
    spots = {"BINANCE:1000SATSUSDT": btc[1], "BINANCE:SATSUSDT": btc[1]}
    perp = symbol("1000SATSUSDT.P")
    found = run_pyne(script, btc[0].iloc[:5], spots, tmp_path, perp_symbol=perp, plots=PLOTS)
    assert (found["scale"] == 1).all()
    assert found["premium"].notna().all()


def test_spot_pair_of_ones_own_is_asked_with_its_scale(
    script: PyneScript, btc: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path
) -> None:
    inputs = {"spot_symbol": "KRAKEN:XBTUSD", "spot_scale": 1.0}
    found = run_pyne(
        script, btc[0].iloc[:5], {"KRAKEN:XBTUSD": btc[1]}, tmp_path, plots=PLOTS, inputs=inputs
    )
    assert pyne_spot.asked == ["KRAKEN:XBTUSD"]
    assert found["premium"].notna().all()


def test_perp_without_a_spot_pair_has_no_premium_and_no_signal(
    script: PyneScript, btc: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path
) -> None:
    found = run_pyne(script, btc[0].iloc[:300], {}, tmp_path, plots=PLOTS)
    assert found["premium"].isna().all()
    assert found["bb_upper"].notna().any()
    assert not found[["bias", "enter_short", "enter_long"]].to_numpy().any()


def test_messages_are_those_of_the_bot(
    script: PyneScript,
    btc: tuple[pd.DataFrame, pd.DataFrame],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run_pyne(script, btc[0], {"BINANCE:BTCUSDT": btc[1]}, tmp_path)
    told = [line.partition("ALERT: ")[2] for line in capsys.readouterr().out.splitlines()]
    rows = expected(btc, PRESETS["balanced"])
    flips = (
        flip_alert(rows.iloc[: at + 1], pair="BTCUSDT.P", preset="balanced", kinds=list(TITLES))
        for at in range(len(rows))
    )
    wanted = [message for flip in flips if flip for message in messages([flip])]
    assert {message.partition(":")[0] for message in wanted} == set(TITLES.values())
    assert [message for message in told if message] == wanted


def test_every_kind_of_flip_has_an_alert_condition() -> None:
    pine = PINE.read_text(encoding="utf-8")
    for title in TITLES.values():
        assert f"alertcondition(flips and bias == {title.split()[1]}" in pine.replace(
            "bias == NONE", "bias == bias"
        )
        assert f', "{title}", \'{title}: ' in pine


def test_thresholds_that_cannot_be_traded_stop_the_script(
    script: PyneScript, btc: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path
) -> None:
    inputs = {"preset": "own", "own_enter_z": 0.5}
    with pytest.raises(Exception, match="enter_z must be above exit_z"):
        run_pyne(script, btc[0].iloc[:2], {}, tmp_path, inputs=inputs)


@pytest.mark.parametrize("line", ["for i = 0 to 9", "[a, b] = f()", "x = y => 1", "a += 1"])
def test_part_of_pine_that_is_not_read_is_refused(line: str) -> None:
    with pytest.raises(UnknownPineError):
        translate(f'//@version=6\nindicator("x")\n{line}\n')


def test_a_column_that_differs_is_noticed(btc: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    wanted = expected(btc, PRESETS["balanced"])
    found = expected(btc, replace(PRESETS["balanced"], enter_z=1.71))
    with pytest.raises(AssertionError, match="bias"):
        assert_equal(found.assign(**{"every htf_z": found["htf_z"]}), wanted)
