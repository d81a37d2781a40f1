"""The sample market: its shape, and that it is the same everywhere."""

import hashlib
import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from freqtrade.data.history import get_datahandler, load_pair_history
from freqtrade.enums import CandleType, TradingMode
from support.freqtrade import CONFIG

from perp_imbalance.data.sample import (
    DEFAULT_DAYS,
    DEFAULT_SEED,
    PAIRS,
    SampleMarket,
    draws,
    market,
    model,
    write_sample_market,
)
from perp_imbalance.errors import CommandError

COINS = {coin.base: coin for coin in model.COINS}
BPS = 1e-4
# All candles of the default seed. A change here is a new market: raise GENERATOR_VERSION.
FINGERPRINTS = {
    ("BTC/USDT:USDT", "ETH/USDT:USDT", "1000PEPE/USDT:USDT"): "bab8c75afbc9e2ef",
    PAIRS: "34d59f16caff9a42",  # pragma: allowlist secret
}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> SampleMarket:
    return write_sample_market(tmp_path_factory.mktemp("sample") / "binance")


def load(
    sample: SampleMarket, pair: str, timeframe: str = "1h", kind: str = "spot"
) -> pd.DataFrame:
    """Return what freqtrade's own loader reads, nothing filled up."""
    candles = load_pair_history(
        pair=pair,
        timeframe=timeframe,
        datadir=sample.datadir,
        data_format="feather",
        candle_type=CandleType.from_string(kind),
        fill_up_missing=False,
        drop_incomplete=False,
    )
    assert isinstance(candles, pd.DataFrame)
    return candles.set_index("date")


def excess_kurtosis(values: pd.Series) -> float:
    centred = values.to_numpy(dtype=float) - values.mean()
    return float((centred**4).mean() / (centred**2).mean() ** 2 - 3)


def spot(sample: SampleMarket, base: str) -> pd.DataFrame:
    return load(sample, COINS[base].spot_pair)


def perp(sample: SampleMarket, base: str) -> pd.DataFrame:
    return load(sample, COINS[base].perp_pair, kind="futures")


def premium(sample: SampleMarket, base: str) -> pd.Series:
    """Return the premium in bps where both sides traded."""
    candles = spot(sample, base)
    traded = candles.loc[candles["volume"] > 0, "close"]
    ratio = perp(sample, base)["close"] / COINS[base].scale / traded
    return (ratio.dropna() - 1) / BPS


def coarser_tick(sample: SampleMarket, base: str) -> float:
    """Return the coarser tick of perp and spot, a fraction of the price."""
    coin = COINS[base]
    tick = max(10.0**-coin.spot_decimals, 10.0**-coin.perp_decimals / coin.scale)
    return float(tick / spot(sample, base)["close"].median())


def hours(span: tuple[datetime, datetime]) -> pd.DatetimeIndex:
    return pd.date_range(*span, freq="h")


def fingerprint(market: market.Market) -> str:
    digest = hashlib.sha256()
    for series in market.series:
        digest.update(f"{series.pair} {series.timeframe} {series.kind}".encode())
        digest.update(series.frame["date"].astype("int64").to_numpy("<i8").tobytes())
        digest.update(series.frame.drop(columns="date").to_numpy("<f8").tobytes())
    return digest.hexdigest()[:16]


@pytest.mark.parametrize("base", COINS)
def test_premium_has_the_shape_of_a_real_one(sample: SampleMarket, base: str) -> None:
    values = premium(sample, base)
    assert abs(values.mean()) < 2
    assert 5.5 < values.std() < 8.5
    assert excess_kurtosis(values) > 10
    # What is left beside the mean of the default z-score's window.
    fast = values - values.rolling(50).mean()
    assert 0.55 < fast.autocorr(1) < 0.8
    assert values.autocorr(24) > 0.3, "the slow component is missing"
    assert 60 < values.max() < 180
    assert -180 < values.min() < -60


def test_fast_component_alone_has_the_autocorrelation_asked_for() -> None:
    shocks = draws.Draws(DEFAULT_SEED, 99).fat_tailed(50_000)
    fast = pd.Series(model.autoregressive(shocks, model.FAST_MEMORY))
    assert fast.autocorr(1) == pytest.approx(0.65, abs=0.02)


@pytest.mark.parametrize("base", COINS)
def test_returns_are_as_wild_as_the_coin_and_fat_tailed(sample: SampleMarket, base: str) -> None:
    returns = perp(sample, base)["close"].pct_change().dropna()
    assert returns.std() == pytest.approx(COINS[base].sigma, rel=0.2)
    assert excess_kurtosis(returns) > 5
    assert returns.abs().autocorr(1) > 0.08, "volatility does not cluster"


def test_coins_move_together(sample: SampleMarket) -> None:
    closes = pd.DataFrame({base: perp(sample, base)["close"] for base in COINS})
    returns = closes.pct_change(fill_method=None)
    assert 0.7 < returns["BTC"].corr(returns["ETH"]) < 0.95
    assert 0.5 < returns["BTC"].corr(returns["PEPE"]) < 0.85


@pytest.mark.parametrize("base", COINS)
def test_premium_follows_rallies_and_reverses_only_a_little(
    sample: SampleMarket, base: str
) -> None:
    values, closes = premium(sample, base), perp(sample, base)["close"]
    assert 0.05 < values.corr(closes.pct_change(24).reindex(values.index)) < 0.4
    fast = values - values.rolling(24).mean()
    ahead = closes.shift(-4) / closes - 1
    assert -0.1 < fast.corr(ahead.reindex(fast.index), method="spearman") < 0


@pytest.mark.parametrize("base", COINS)
def test_prices_are_on_the_grid_and_candles_hold_together(sample: SampleMarket, base: str) -> None:
    coin = COINS[base]
    for candles, decimals in (
        (spot(sample, base), coin.spot_decimals),
        (perp(sample, base), coin.perp_decimals),
    ):
        prices = candles[["open", "high", "low", "close"]]
        assert (prices > 0).all().all()
        pd.testing.assert_frame_equal(prices.round(decimals), prices, check_exact=True)
        assert (prices["high"] == prices.max(axis=1)).all()
        assert (prices["low"] == prices.min(axis=1)).all()
        assert (candles["high"] > candles["low"]).mean() > 0.99
        moved = (candles["open"] - candles["close"].shift()).abs() / 10.0**-decimals
        follows = candles.index.to_series().diff() == pd.Timedelta("1h")
        after_halt = pd.Timestamp(sample.halt[1]) + pd.Timedelta("1h")
        assert moved[follows & (candles.index != after_halt)].max() < 1.001
    assert (perp(sample, base)["volume"] > 0).all()


def test_rounding_is_visible_for_pepe_only(sample: SampleMarket) -> None:
    for base in COINS:
        smallest, largest = (0.5, 4) if base == "PEPE" else (0, 0.2)
        rounding = coarser_tick(sample, base) / 12**0.5 / BPS
        assert smallest <= rounding <= largest, base


@pytest.mark.parametrize("base", COINS)
def test_spot_goes_missing_and_freezes_while_the_perp_moves(
    sample: SampleMarket, base: str
) -> None:
    candles, other = spot(sample, base), perp(sample, base)
    every = pd.date_range(sample.start, sample.end, freq="h", inclusive="left")
    missing = every[~every.isin(candles.index)]
    assert list(missing) == list(hours(sample.outage))
    assert set(missing) <= set(other.index)
    halted = candles.loc[hours(sample.halt)]
    before = candles["close"].shift().loc[halted.index[0]]
    assert (halted["volume"] == 0).all()
    assert (halted[["open", "high", "low", "close"]] == before).all().all()
    assert (candles["volume"] == 0).sum() == len(halted)
    frozen = other.loc[halted.index[-1], "close"] / COINS[base].scale / before - 1
    assert abs(frozen) > 0.01


def test_one_candle_of_one_perp_is_missing(sample: SampleMarket) -> None:
    hours_of_sample = DEFAULT_DAYS * 24
    missing = {base: hours_of_sample - len(perp(sample, base)) for base in COINS}
    assert missing == {base: int(base == "ETH") for base in COINS}


def test_extremes_come_on_both_sides_with_a_crash_or_rally(sample: SampleMarket) -> None:
    values, closes = premium(sample, "BTC"), spot(sample, "BTC")["close"]
    assert {side for _, side in sample.extremes} == {1, -1}
    for peak, side in sample.extremes:
        around = side * values.loc[peak - timedelta(hours=2) : peak + timedelta(hours=2)]
        assert 40 < around.max() < 190
        assert side * (closes[peak] / closes[peak - timedelta(hours=14)] - 1) > 0.01
        assert side * values[peak + timedelta(hours=18)] < around.max() / 2


@pytest.mark.parametrize("base", COINS)
@pytest.mark.parametrize("kind", ["spot", "futures"])
def test_higher_timeframe_is_made_of_the_lower_one(
    sample: SampleMarket, base: str, kind: str
) -> None:
    pair = COINS[base].spot_pair if kind == "spot" else COINS[base].perp_pair
    low, high = load(sample, pair, "1h", kind), load(sample, pair, "4h", kind)
    expected = low.resample("4h").agg(
        {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    )
    expected = expected[expected["volume"] > 0]
    pd.testing.assert_frame_equal(high, expected, check_freq=False, rtol=1e-12)


def test_higher_timeframe_has_no_candle_where_nothing_traded(sample: SampleMarket) -> None:
    high = load(sample, "BTC/USDT", "4h")
    gaps = high.index.to_series().diff() > pd.Timedelta("4h")
    assert gaps.sum() == 1
    assert (high["volume"] > 0).all()


@pytest.mark.parametrize("base", COINS)
def test_funding_follows_the_premium_within_its_clamps(sample: SampleMarket, base: str) -> None:
    rates = load(sample, COINS[base].perp_pair, kind="funding_rate")["funding_rate"]
    expected_dates = pd.date_range(sample.start, sample.end, freq="8h", inclusive="left")
    assert list(rates.index) == list(expected_dates)
    assert rates.abs().max() <= 0.003
    assert (rates == 0.0001).mean() > 0.2
    # Eight hours of closes, each known at the open of the next candle.
    average = (premium(sample, base) * BPS).shift(freq="1h").rolling("8h").mean()
    average = average[average.index.isin(rates.index)]
    expected = average + (0.0001 - average).clip(-0.0005, 0.0005)
    difference = (rates - expected.clip(-0.003, 0.003)).abs().dropna()
    # All but the hours around outage and halt, and but for the rounding to ticks.
    assert difference.quantile(0.98) < max(coarser_tick(sample, base) / 3, 0.05 * BPS)


@pytest.mark.parametrize("base", COINS)
def test_mark_price_stays_close_to_the_perp(sample: SampleMarket, base: str) -> None:
    mark = load(sample, COINS[base].perp_pair, kind="mark")
    assert len(mark) == DEFAULT_DAYS * 24
    gap = (mark["close"] / perp(sample, base)["close"] - 1).dropna() / BPS
    assert 0 < gap.std() < 5
    assert gap.abs().max() < 60


@pytest.mark.parametrize(("base", "zeros"), [("BTC", 0.12), ("ETH", 0.25), ("PEPE", 0.62)])
def test_premium_index_is_zero_inside_the_impact_spread(
    sample: SampleMarket, base: str, zeros: float
) -> None:
    index = load(sample, COINS[base].perp_pair, kind="premiumIndex")
    assert np.mean(index["close"] == 0) == pytest.approx(zeros, abs=0.02)
    traded = premium(sample, base).reindex(index.index)
    outside = index["close"] != 0
    both = outside & traded.notna()
    # It is the premium, less what the spread hides.
    assert np.mean(np.sign(index["close"][both]) == np.sign(traded[both])) > 0.95
    assert index["close"][both].abs().mean() < traded[both].abs().mean()
    assert (index["high"] >= index[["open", "close"]].max(axis=1)).all()
    assert (index["low"] <= index[["open", "close"]].min(axis=1)).all()
    assert (index["volume"] == 0).all()


def test_freqtrade_lists_and_reads_every_file(sample: SampleMarket) -> None:
    handler = get_datahandler(sample.datadir, "feather")
    listed = handler.ohlcv_get_available_data(sample.datadir, TradingMode.SPOT)
    listed += handler.ohlcv_get_available_data(sample.datadir, TradingMode.FUTURES)
    assert len(listed) == len(sample.files) == 8 * len(COINS)
    assert {pair for pair, _, _ in listed} == set(sample.pairs)
    for pair, timeframe, kind in listed:
        candles = load(sample, pair, timeframe, kind)
        assert len(candles) > DEFAULT_DAYS
        assert candles.index.is_monotonic_increasing
        assert candles.index.is_unique
        assert not candles.isna().any().any()


@pytest.mark.parametrize("pairs", FINGERPRINTS)
def test_same_seed_gives_the_same_market_to_the_last_digit(pairs: tuple[str, ...]) -> None:
    start = datetime(2025, 1, 1, tzinfo=UTC)
    made = [market.generate_market(DEFAULT_SEED + more, start, 365, pairs) for more in (0, 1)]
    assert fingerprint(made[0]) == FINGERPRINTS[pairs]
    assert fingerprint(made[1]) != FINGERPRINTS[pairs]


def test_sample_has_the_pairs_of_the_shipped_config(sample: SampleMarket) -> None:
    config = json.loads(CONFIG.read_text("utf-8"))
    assert list(PAIRS) == config["exchange"]["pair_whitelist"]
    assert set(PAIRS) == {pair for pair in sample.pairs if ":" in pair}


def test_a_pair_that_the_sample_lacks_is_refused() -> None:
    with pytest.raises(CommandError, match=r"does not have BNB/USDT:USDT; it has BTC/USDT:USDT, "):
        market.generate_market(1, datetime(2025, 1, 1, tzinfo=UTC), 30, ["BNB/USDT:USDT"])


@pytest.mark.parametrize("days", [30, 182, 1000])
@pytest.mark.parametrize("seed", [0, 1, 2**40])
def test_any_seed_and_length_gives_a_sound_market(seed: int, days: int) -> None:
    made = market.generate_market(seed, datetime(2024, 2, 1, tzinfo=UTC), days)
    marks = {event.peak for event in made.events.episodes}
    marks |= {made.events.outage[0], made.events.halt[0], made.events.missing_perp}
    assert np.diff(sorted(marks)).min() > 24
    assert {episode.side for episode in made.events.episodes} == {1, -1}
    for series in made.series:
        values = series.frame.drop(columns="date").to_numpy()
        assert np.isfinite(values).all()
        if series.kind not in ("funding_rate", "premiumIndex"):
            assert (values[:, :4] > 0).all()


def test_draws_are_standardised() -> None:
    stream = draws.Draws(1, 0)
    uniform = stream.uniform(100_000)
    assert 0 < uniform.min() < uniform.max() < 1
    for values in (stream.normal(100_000), stream.fat_tailed(100_000)):
        assert values.mean() == pytest.approx(0, abs=0.02)
        assert values.std() == pytest.approx(1, abs=0.03)
    assert excess_kurtosis(pd.Series(stream.fat_tailed(100_000))) > 8
