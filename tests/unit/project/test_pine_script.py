"""``pine/perp_imbalance.pine`` computes what the strategy computes: a changed line fails here."""

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pandas as pd
import pytest
from support import pyne_request
from support.pine_columns import (
    INTEREST,
    PINE,
    PLOTS,
    TAGS,
    assert_equal,
    expected,
    interest_candles,
    interest_of,
    market,
    reference_market,
)
from support.pine_to_pyne import PyneScript, UnknownPineError, translate
from support.pyne_run import run_pyne, symbol

from perp_imbalance.indicators import PRESETS, Thresholds
from perp_imbalance.indicators.gates import OPTIONAL_GATES
from perp_imbalance.indicators.higher_timeframe import timeframe_ns
from perp_imbalance.indicators.premium import is_same_coin, price_ratio
from perp_imbalance.indicators.thresholds import PRESET_SIDES, THRESHOLD_NAMES, Side
from perp_imbalance.markets.spot_matching import match_spot
from perp_imbalance.strategy.alerts import TITLES, flip_alert, messages
from perp_imbalance.strategy.settings import Settings

#: Thresholds that Pine cannot have, and why.
NOT_IN_PINE = {
    "use_funding": "a chart does not tell when a rate was settled, nor for how many hours",
    "funding_min": "it belongs to use_funding",
}
PINE_NAMES = [name for name in THRESHOLD_NAMES if name not in NOT_IN_PINE]
#: Inputs that count whatever the preset is, as the config's switches of the optional gates do.
OF_EVERY_PRESET = {"use_oi", *OPTIONAL_GATES["use_oi"]}


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
    [
        {},
        {"min_deviation_bps": 3.0, "dev_len": 30},
        {"robust_z": True, "dev_len": 120},
        {"use_oi": True, "oi_len": 5, "oi_min": 0.004},
    ],
    ids=["bands", "deviation", "robust", "open interest"],
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
    inputs: dict[str, Any] = {
        name if name in OF_EVERY_PRESET else f"own_{name}": getattr(own, name)
        for name in PINE_NAMES
    }
    inputs |= {"preset": "own", "entry_mode": "flip", "max_stale_candles": 3}
    interest = interest_of(btc[0])
    others = {"BINANCE:BTCUSDT": btc[1], INTEREST: interest_candles(interest)}
    found = run_pyne(script, btc[0], others, tmp_path, plots=PLOTS, inputs=inputs)
    wanted = expected(btc, own, mode="flip", max_stale_candles=3, interest=interest)
    assert (wanted["exit_tag"] == TAGS.index("stale_spot")).any()
    assert wanted["enter_short"].any()
    assert_equal(found, wanted)


def test_columns_of_real_candles_equal_the_strategys(script: PyneScript, tmp_path: Path) -> None:
    """Deep discounts of BTC in January 2021, with rising open interest asked for as well."""
    candles = reference_market("real_btc_2021h1")
    thresholds = replace(PRESETS["deep_discount"], use_oi=True)
    interest = interest_of(candles[0])
    found = run_pyne(
        script,
        candles[0],
        {"BINANCE:BTCUSDT": candles[1], INTEREST: interest_candles(interest)},
        tmp_path,
        plots=PLOTS,
        inputs={"preset": "deep_discount", "use_oi": True},
    )
    sides = PRESET_SIDES["deep_discount"]
    wanted = expected(candles, thresholds, sides=sides, interest=interest)
    without = expected(candles, PRESETS["deep_discount"], sides=sides)
    assert 0 < wanted["enter_long"].sum() < without["enter_long"].sum()
    assert_equal(found, wanted)


def test_no_entry_without_the_open_interest_asked_for(
    script: PyneScript, btc: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path
) -> None:
    others = {"BINANCE:BTCUSDT": btc[1].iloc[:400]}
    inputs = {"preset": "aggressive", "use_oi": True}
    found = run_pyne(script, btc[0].iloc[:400], others, tmp_path, plots=PLOTS, inputs=inputs)
    assert found["bias"].any()
    assert not found[["enter_short", "enter_long"]].to_numpy().any()


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
    assert pyne_request.asked == [f"{exchange.upper()}:{pair.replace('/', '')}" for pair in wanted]
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
    assert pyne_request.asked == ["KRAKEN:XBTUSD"]
    assert found["premium"].notna().all()


def test_perp_without_a_spot_pair_has_no_premium_and_no_signal(
    script: PyneScript, btc: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path
) -> None:
    found = run_pyne(script, btc[0].iloc[:300], {}, tmp_path, plots=PLOTS)
    assert found["premium"].isna().all()
    assert found["bb_upper"].notna().any()
    assert not found[["bias", "enter_short", "enter_long"]].to_numpy().any()


@pytest.mark.parametrize(("ratio", "has_premium"), [(1.3, True), (1.6, False)])
def test_pine_refuses_prices_per_candle_not_per_pair(
    ratio: float,
    has_premium: bool,
    script: PyneScript,
    btc: tuple[pd.DataFrame, pd.DataFrame],
    tmp_path: Path,
) -> None:
    """As ``docs/reference/signal.md`` says; the strategy refuses both spot pairs."""
    perp, spot = (candles.iloc[:5] for candles in btc)
    other = spot.assign(close=perp["close"] / ratio)
    found = run_pyne(script, perp, {"BINANCE:BTCUSDT": other}, tmp_path, plots=PLOTS)
    assert not is_same_coin(price_ratio((perp["close"] / other["close"] - 1).to_numpy()))
    assert found["premium"].notna().all() == has_premium
    assert found["premium"].isna().all() != has_premium


def test_pine_has_no_htf_z_after_a_missing_perp_candle(
    script: PyneScript, btc: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path
) -> None:
    """Of the 4h candle that ends on it; the strategy, whose candle is filled in, has it."""
    own = replace(Thresholds(), len_prem=5, smooth_len=1)
    perp, spot = (candles.iloc[:60].reset_index(drop=True) for candles in btc)
    last = 43
    filled = perp.copy()
    filled.loc[last:last, ["open", "high", "low", "close"]] = float(perp["close"].iloc[last - 1])
    filled.loc[last, "volume"] = 0.0
    wanted = expected((filled, spot), own)["htf_z"].drop(index=last)
    inputs = {"preset": "own", "own_len_prem": 5, "own_smooth_len": 1}
    chart = perp.drop(index=last)
    others = {"BINANCE:BTCUSDT": spot}
    found = run_pyne(script, chart, others, tmp_path, plots=PLOTS, inputs=inputs)
    htf_z = found["every htf_z"].set_axis(chart.index)
    pd.testing.assert_series_equal(
        htf_z.loc[: last - 1], wanted.loc[: last - 1], check_names=False, atol=1e-6
    )
    assert wanted.loc[last + 1 : last + 3].notna().all()
    assert htf_z.loc[last + 1 : last + 3].isna().all()
    assert htf_z.loc[last + 4 :].notna().all()


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
