"""The doctor's findings one by one: pure functions from figures to a level."""

import numpy as np
import pandas as pd
import pytest
from freqtrade.data.history import get_datahandler
from freqtrade.enums import CandleType
from support.freqtrade import shared_candles

from perp_imbalance.doctor import Level, bot_checks, candle_checks, series_checks
from perp_imbalance.doctor.pair_checks import PairSnapshot, Plan, examine_pair
from perp_imbalance.indicators.columns import spot_premium
from perp_imbalance.indicators.premium import traded_close
from perp_imbalance.indicators.quality import (
    premium_stdev,
    relative_tick,
    tick_noise,
    tick_size,
    without_spot,
)
from perp_imbalance.indicators.thresholds import Thresholds
from perp_imbalance.markets.spot_matching import Rule, SpotMatch
from perp_imbalance.markets.spot_pairs import PremiumSource
from perp_imbalance.strategy.settings import Settings

BTC = "BTC/USDT:USDT"
HOUR_MS = 3_600_000


def hourly(closes: list[float], traded: list[int] | None = None) -> pd.DataFrame:
    """Return candles from 1970 on; all prices of a candle are its close.

    Closes must differ from one to the next: else a candle is one that freqtrade filled in.
    """
    dates = pd.date_range("1970-01-01", periods=len(closes), freq="h", tz="UTC")
    frame = pd.DataFrame({"date": dates, "close": closes})
    for name in ("open", "high", "low"):
        frame[name] = frame["close"]
    return frame.assign(volume=np.array(traded or [1] * len(closes), dtype=float))


@pytest.mark.parametrize(
    ("traded", "hours", "max_stale", "level"),
    [
        ([1, 1, 1, 1], 4.0, 0, Level.OK),
        ([1, 1, 1, 1], 4.9, 0, Level.OK),
        # The last candle has closed just now and may still come.
        ([1, 1, 1, 1], 5.001, 0, Level.OK),
        ([1, 1, 1, 1], 5.1, 0, Level.WARNING),
        ([1, 1, 1, 1], 6.5, 0, Level.WARNING),
        ([1, 1, 1, 1], 7.5, 0, Level.MUST_FIX),
        # A candle without volume is no price; that long a gap is usual here.
        ([1, 0, 0, 0, 1, 0, 0, 0], 8.5, 0, Level.WARNING),
        ([1, 0, 0, 0, 1, 0, 0, 0], 8.5, 2, Level.MUST_FIX),
    ],
)
def test_age_of_a_feed(traded: list[int], hours: float, max_stale: int, level: Level) -> None:
    frame = hourly([100.0 + row % 2 for row in range(len(traded))], traded)
    found = candle_checks.freshness(frame, "1h", int(hours * HOUR_MS), grace_ms=15_000)
    check = candle_checks.check_freshness("spot X/USDT", found, "1h", max_stale_candles=max_stale)
    assert check.level is level


def test_coarse_tick_is_seen_despite_exchange_precision() -> None:
    frame = hourly([0.0123, 0.0124, 0.0129])
    assert tick_size(frame, 1e-8) == pytest.approx(1e-4)
    assert tick_size(frame, 1e-2) == 1e-2
    assert tick_size(hourly([120.0, 130.0]), 0.5) == 0.5
    assert list(frame) == list(hourly([1.0]))


@pytest.mark.parametrize(
    ("noise", "level"),
    [
        (0.3, Level.OK),
        (1.2, Level.WARNING),
        (1.69, Level.WARNING),
        (1.7, Level.MUST_FIX),
        (np.inf, Level.MUST_FIX),
    ],
)
def test_tick_noise(noise: float, level: Level) -> None:
    check = candle_checks.check_tick_noise(noise, 86e-4, "spot PEPE/USDT", 1.7)
    assert check.level is level
    assert "inf" not in check.message


@pytest.mark.parametrize(
    ("pair", "spot", "scale", "level"),
    [
        ("1000PEPE/USDT:USDT", "PEPE/USDT", 1000, Level.MUST_FIX),
        (BTC, "BTC/USDT", 1, Level.OK),
    ],
)
def test_tick_noise_of_real_candles(pair: str, spot: str, scale: int, level: Level) -> None:
    """PEPE in January 2024: a spot tick of 86 bps, whose premium was rounding."""
    handler = get_datahandler(shared_candles("5m_2024h1"), "feather")
    perps, spots = (
        frame[frame["date"] < pd.Timestamp("2024-02-01", tz="UTC")].reset_index(drop=True)
        for frame in (
            handler.ohlcv_load(pair, "5m", CandleType.FUTURES, fill_missing=False),
            handler.ohlcv_load(spot, "5m", CandleType.SPOT, fill_missing=False),
        )
    )
    fraction = spot_premium(perps, spots, scale).fraction
    tick = relative_tick(spots, 1e-8, traded_close(spots))
    noise = tick / premium_stdev(fraction, 50)
    assert candle_checks.check_tick_noise(noise, tick, spot, 1.7).level is level


@pytest.mark.parametrize(
    ("share", "level"), [(0.0, Level.OK), (0.1, Level.WARNING), (0.6, Level.MUST_FIX)]
)
def test_share_without_spot(share: float, level: Level) -> None:
    size = 100
    fraction = np.full(size, 0.001)
    fraction[: int(size * share)] = np.nan
    found = without_spot(hourly([100.0 + row % 2 for row in range(size)]), fraction)
    assert found == pytest.approx(share)
    assert candle_checks.check_without_spot(found, "X/USDT").level is level


def test_candles_before_the_first_of_spot_need_none() -> None:
    # OKX gives 600 candles of a perp and 200 of its index, Gate 1999 and 1000 of spot.
    perp = hourly([100.0 + row % 2 for row in range(100)])
    spot = perp.iloc[80:].assign(volume=[0.0] * 5 + [1.0] * 15).reset_index(drop=True)
    match = SpotMatch(BTC, "BTC/USDT", 1, "identical", None)
    frames = {(BTC, "1h", CandleType.FUTURES): perp, ("BTC/USDT", "1h", CandleType.SPOT): spot}
    plan = Plan("1h", 459, Settings(max_stale_candles=0), Thresholds())
    found = examine_pair(match, PairSnapshot(frames, 100 * HOUR_MS, 0, {}), plan)
    assert found.figures.without_spot == pytest.approx(0.25)


def test_candle_without_a_trade_of_the_perp_needs_no_spot() -> None:
    frame = hourly([100.0, 101.0, 102.0, 103.0], [1, 1, 1, 0])
    assert without_spot(frame, np.array([0.001, np.nan, 0.001, np.nan])) == pytest.approx(1 / 3)


def test_one_extreme_hour_does_not_hide_a_coarse_tick() -> None:
    fraction = np.tile([-1e-4, 1e-4], 100)
    fraction[150] = 0.5
    assert premium_stdev(fraction, 10) == pytest.approx(1e-4)
    # Fewer than a window: all there are.
    assert premium_stdev(np.array([1.0, np.nan, 3.0]), 10) == 1.0


def test_premium_that_does_not_move_is_all_noise() -> None:
    assert tick_noise(1e-4, premium_stdev(np.zeros(20), 10)) == np.inf
    assert tick_noise(1e-4, premium_stdev(np.tile([-1e-4, 1e-4], 10), 10)) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("limits", "requests", "level"),
    [
        ((499, 499), 1, Level.OK),
        ((300, 300), 2, Level.WARNING),
        ((1000, 300), 1, Level.WARNING),
    ],
)
def test_startup_candles(limits: tuple[int, int], requests: int, level: Level) -> None:
    assert bot_checks.check_startup(459, *limits, requests).level is level


@pytest.mark.parametrize(
    ("installed", "level"),
    [("0.8.2", Level.OK), ("0.6.3", Level.MUST_FIX), (None, Level.MUST_FIX)],
)
def test_versions(installed: str | None, level: Level) -> None:
    required = ["TA-Lib<0.9,>=0.8", "numpy>=99", 'TA-Lib>=99; extra == "other"']
    assert bot_checks.check_versions({"TA-Lib": installed}, required).level is level


@pytest.mark.parametrize(
    ("running", "level"),
    [("2026.9", Level.OK), ("2026.9.1", Level.WARNING), ("2026.10", Level.WARNING)],
)
def test_newer_freqtrade_than_tested_is_a_warning(running: str, level: Level) -> None:
    assert bot_checks.check_versions({"freqtrade": running}, ["freqtrade>=2026.9"]).level is level


@pytest.mark.parametrize(
    ("offset", "level"),
    [
        (0, Level.OK),
        (-1_499, Level.OK),
        (2_000, Level.WARNING),
        (-11_000, Level.MUST_FIX),
        (None, Level.WARNING),
    ],
)
def test_clock(offset: int | None, level: Level) -> None:
    assert bot_checks.check_clock(offset, "binance").level is level


@pytest.mark.parametrize(
    ("grace", "level"),
    [(15, Level.WARNING), (60, Level.OK), (90, Level.OK), (120, Level.WARNING)],
)
def test_late_candle_grace_covers_the_entry_age(grace: float, level: Level) -> None:
    assert bot_checks.check_late_candles(grace, 120).level is level


def test_config_as_advised_passes_the_late_candle_check() -> None:
    message = bot_checks.check_late_candles(15, 40).message
    assert '{"ohlcv_late_candle_grace_secs": 30}' in message
    assert bot_checks.check_late_candles(30, 40).level is Level.OK


@pytest.mark.parametrize(
    ("protections", "enabled", "level"),
    [(4, True, Level.OK), (0, False, Level.OK), (4, False, Level.WARNING)],
)
def test_backtest_has_the_protections_of_the_bot(
    protections: int, enabled: bool, level: Level
) -> None:
    assert bot_checks.check_protections(protections, enabled).level is level


@pytest.mark.parametrize(
    ("entry", "exit_", "named"),
    [
        ("other", "other", None),
        ("same", "other", 'entry_pricing.price_side "same": '),
        ("other", "bid", 'exit_pricing.price_side "bid": '),
        # freqtrade's own default.
        (None, None, 'entry_pricing.price_side "same" and exit_pricing.price_side "same": '),
    ],
)
def test_price_side_other_than_other_is_a_warning(
    entry: str | None, exit_: str | None, named: str | None
) -> None:
    sides = {"entry_pricing": entry, "exit_pricing": exit_}
    config = {name: {"price_side": side} for name, side in sides.items() if side}
    check = bot_checks.check_price_side(config)
    assert check.level is (Level.WARNING if named else Level.OK)
    assert check.message.startswith(named or '"other"')


@pytest.mark.parametrize(("rule", "level"), [("override", Level.WARNING), ("identical", Level.OK)])
def test_own_spot_pair_is_a_warning(rule: Rule, level: Level) -> None:
    match = SpotMatch(BTC, "ETH/USDT", 1, rule, None)
    plan = Plan("1h", 459, Settings(), Thresholds())
    found = examine_pair(match, PairSnapshot({}, 0, 0, {}), plan)
    (check,) = (check for check in found.checks if check.name == "spot pair")
    assert check.level is level
    assert ("your own assignment" in check.message) is (rule == "override")


@pytest.mark.parametrize(
    ("source", "mend"),
    [
        ("index", 'set perp_imbalance.premium_source to "spot"'),
        ("auto", "assign one in perp_imbalance.spot_pairs"),
    ],
)
def test_missing_index_does_not_count_as_a_halt(source: PremiumSource, mend: str) -> None:
    match = SpotMatch(BTC, BTC, 1, "index", None, source="index")
    plan = Plan("1h", 459, Settings(premium_source=source), Thresholds())
    given = PairSnapshot({(BTC, "1h", CandleType.FUTURES): hourly([1.0, 2.0])}, 0, 0, {})
    (check,) = (each for each in examine_pair(match, given, plan).checks if each.level != Level.OK)
    assert check.message.startswith(f"the exchange gives no 1h candles with a price of index {BTC}")
    assert mend in check.message
    assert "halted" not in check.message


@pytest.mark.parametrize(
    ("key", "warned"),
    [
        *(("perp_imblance", True), ("perp-imbalance", True), ("PerpImbalance", True)),
        *(("_perp_imbalances", True), ("perp_imbalance", False), ("position_adjustment", False)),
        *(("pairlists", False), ("perp_imbalanced", False)),
    ],
)
def test_misspelt_section_is_a_warning(key: str, warned: bool) -> None:
    found = bot_checks.check_section(["stake_currency", key], {"perp_imbalanced"})
    assert [check.level for check in found] == [Level.WARNING] * warned
    assert all(
        f'"{key}", which nothing reads: write it as "perp_imbalance"' in c.message for c in found
    )


@pytest.mark.parametrize(
    ("timeframe", "htf", "use_htf", "warned"),
    [
        *(("5m", "3m", False, True), ("4h", "4h", False, True), ("1h", "90m", False, True)),
        *(("1h", "4h", False, False), ("5m", "3m", True, False)),
    ],
)
def test_unusable_htf_is_a_warning_while_its_gate_is_off(
    timeframe: str, htf: str, use_htf: bool, warned: bool
) -> None:
    found = bot_checks.check_idle_higher_timeframe(timeframe, htf, Thresholds(use_htf=use_htf))
    assert [check.level for check in found] == [Level.WARNING] * warned
    assert all(f"htf_timeframe is {htf}" in check.message for check in found)


OI, FUNDING = CandleType.OPEN_INTEREST, CandleType.FUNDING_RATE
ROWS = 40


def interest(rows: range) -> pd.DataFrame:
    """Return open interest of some of the candles of :func:`hourly`."""
    dates = pd.to_datetime([row * HOUR_MS for row in rows], unit="ms", utc=True)
    amount = np.arange(1.0, len(rows) + 1)
    columns = {"open_interest_amount": amount, "open_interest_value": amount}
    return pd.DataFrame({"date": dates, **columns})


def rates(hours: list[int]) -> pd.DataFrame:
    dates = pd.to_datetime([hour * HOUR_MS for hour in hours], unit="ms", utc=True)
    return pd.DataFrame({"date": dates, "funding_rate": 0.0001})


@pytest.mark.parametrize(
    ("frame", "kind", "level", "said"),
    [
        (interest(range(ROWS)), OI, Level.OK, "known on 40 1h candles"),
        (interest(range(0)), OI, Level.MUST_FIX, "the open interest gate has no open interest of"),
        # oi_len is 12: 13 candles are enough, 12 are not.
        (interest(range(27, ROWS)), OI, Level.OK, "known on 13"),
        (interest(range(28, ROWS)), OI, Level.MUST_FIX, "needs 13 1h candles of it and the exch"),
        (interest(range(38)), OI, Level.WARNING, "1970-01-02 13:00 UTC, unknown to the last 2"),
        (interest(range(37)), OI, Level.MUST_FIX, "unknown to the last 3 candles"),
        (interest(range(-9, -3)), OI, Level.MUST_FIX, "the newest is of 1969-12-31 20:00 UTC"),
        (rates([0, 8, 16, 24]), FUNDING, Level.OK, "known on"),
        (rates([]), FUNDING, Level.MUST_FIX, "the funding gate has no funding rate of it"),
        # The last candle closes at 40:00, and a rate is known for 16 hours.
        (rates([15, 23]), FUNDING, Level.MUST_FIX, "unknown to the last 1 candles"),
    ],
)
def test_gate_needs_its_series_on_the_newest_candle(
    frame: pd.DataFrame, kind: CandleType, level: Level, said: str
) -> None:
    perp = hourly([100.0 + row % 2 for row in range(ROWS)])
    check = series_checks.check_series(perp, frame, kind, "1h", Thresholds())
    assert check.level is level
    assert said in check.message
    switch = "use_oi" if kind == OI else "use_funding"
    assert (f"set {switch} to false" in check.message) is (level is not Level.OK)


def test_gap_in_open_interest_is_a_warning() -> None:
    frame = interest(range(ROWS)).drop(index=ROWS - 13)
    perp = hourly([100.0 + row % 2 for row in range(ROWS)])
    check = series_checks.check_series(perp, frame, OI, "1h", Thresholds())
    assert check.level is Level.WARNING
    assert "no entry on this candle" in check.message
