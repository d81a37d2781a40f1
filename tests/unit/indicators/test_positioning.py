"""Funding rate and open interest: when each becomes visible, and the gates they make."""

import numpy as np
import pandas as pd
import pytest
from freqtrade.enums import CandleType
from hypothesis import given
from hypothesis import strategies as st

from perp_imbalance.errors import SettingsError
from perp_imbalance.indicators import Thresholds, entry_signals
from perp_imbalance.indicators.columns import threshold_columns
from perp_imbalance.indicators.hysteresis import LONG, SHORT
from perp_imbalance.indicators.positioning import change, known_funding, open_interest
from perp_imbalance.strategy.gate_series import check_series, missing_series


def candles(first: str, last: str, timeframe: str) -> pd.DataFrame:
    dates = pd.date_range(first, last, freq=timeframe.replace("m", "min"), tz="UTC")
    return pd.DataFrame({"date": dates.as_unit("ms")})


def rates(**settled: float) -> pd.DataFrame:
    """Funding rates by the time of their settlement, such as ``at_0800=0.0001``."""
    dates = [f"2025-01-01 {name[3:5]}:{name[5:7]}:00.004" for name in settled]
    dates_utc = pd.to_datetime(dates, utc=True).as_unit("ms")
    return pd.DataFrame({"date": dates_utc, "funding_rate": list(settled.values())})


@pytest.mark.parametrize(
    ("timeframe", "blind", "first"),
    [("1h", "07:00", "08:00"), ("5m", "07:55", "08:00"), ("15m", "07:45", "08:00")],
)
def test_funding_rate_is_visible_after_its_settlement(
    timeframe: str, blind: str, first: str
) -> None:
    """The candle that closes at 08:00 has what was settled at 00:00, not what is at 08:00."""
    frame = candles("2025-01-01 00:00", "2025-01-01 12:00", timeframe)
    known = known_funding(frame, timeframe, rates(at_0000=0.0003, at_0800=0.0005))
    at = pd.Series(known["funding_rate_raw"], index=frame["date"].dt.strftime("%H:%M"))
    assert at["00:00"] == 0.0003
    assert at[blind] == 0.0003
    assert at[first] == 0.0005


def test_funding_rate_of_a_feed_that_stopped_is_forgotten() -> None:
    frame = candles("2025-01-01 00:00", "2025-01-02 12:00", "1h")
    known = known_funding(frame, "1h", rates(at_0000=0.0003))["funding_rate_raw"]
    # 16 hours after the settlement: by then another was due.
    assert np.isfinite(known[:16]).all()
    assert np.isnan(known[16:]).all()
    assert np.isnan(list(known_funding(frame, "1h", rates()).values())).all()


def settlements(*hours: float) -> pd.DataFrame:
    """Settlements of 0.0004 each, so many hours after the first candle opens."""
    first = pd.Timestamp("2025-01-01", tz="UTC")
    dates = pd.DatetimeIndex([first + pd.Timedelta(hours=hour) for hour in hours])
    return pd.DataFrame({"date": dates.as_unit("ms"), "funding_rate": 0.0004})


@pytest.mark.parametrize(
    ("hours", "at", "per_8_hours"),
    [
        ((0, 8, 16), 17, 0.0004),
        ((0, 1, 2), 2, 0.0032),
        ((0, 2, 4), 5, 0.0016),
        # 8 hours until 16:00, 4 from then on: the first of those shows it.
        ((0, 8, 16, 20, 24), 19, 0.0004),
        ((0, 8, 16, 20, 24), 20, 0.0008),
        ((0, 4, 8, 16), 16, 0.0004),
        # 12 hours are no interval: one of every 4 hours was missed.
        ((0, 4, 16), 17, 0.0008),
        # Its interval is not known yet.
        ((0, 8), 5, np.nan),
    ],
)
def test_funding_rate_is_per_8_hours_whatever_the_interval(
    hours: tuple[float, ...], at: int, per_8_hours: float
) -> None:
    frame = candles("2025-01-01 00:00", "2025-01-02 12:00", "1h")
    known = known_funding(frame, "1h", settlements(*hours))
    np.testing.assert_allclose(known["funding_rate"][at], per_8_hours)
    assert known["funding_rate_raw"][at] == 0.0004


@given(cut=st.integers(1, 40))
def test_funding_rates_to_come_change_nothing(cut: int) -> None:
    frame = candles("2025-01-01 00:00", "2025-01-02 16:00", "1h")
    every = settlements(0, 8, 16, 20, 24, 32).assign(funding_rate=np.arange(6) * 1e-4)
    close = frame["date"].iloc[cut - 1] + pd.Timedelta("1h")
    then = every[every["date"] < close]
    before = known_funding(frame, "1h", then)
    for name, values in known_funding(frame, "1h", every).items():
        np.testing.assert_array_equal(values[:cut], before[name][:cut])


def interest(dates: pd.Series, amount: float | None = 5.0) -> pd.DataFrame:
    columns = {"open_interest_amount": amount, "open_interest_value": 7.0}
    return pd.DataFrame({"date": dates, **columns}).astype(dict.fromkeys(columns, float))


def test_open_interest_is_visible_on_its_own_candle() -> None:
    frame = candles("2025-01-01 00:00", "2025-01-01 05:00", "1h")
    known = open_interest(frame, interest(frame["date"].iloc[2:4]))
    np.testing.assert_array_equal(known, [np.nan, np.nan, 5, 5, np.nan, np.nan])


def test_open_interest_is_in_money_only_where_no_coins_are_told() -> None:
    frame = candles("2025-01-01 00:00", "2025-01-01 01:00", "1h")
    assert open_interest(frame, interest(frame["date"])).tolist() == [5, 5]
    assert open_interest(frame, interest(frame["date"], None)).tolist() == [7, 7]
    partly = interest(frame["date"]).assign(open_interest_amount=[np.nan, 5.0])
    np.testing.assert_array_equal(open_interest(frame, partly), [np.nan, 5])
    assert np.isnan(open_interest(frame, interest(frame["date"], 0.0))).all()
    assert np.isnan(open_interest(frame, pd.DataFrame(columns=["date"]))).all()


def test_change_needs_both_values() -> None:
    found = change(np.array([1.0, np.nan, 2.0, 4.0]), 2)
    np.testing.assert_array_equal(found, [np.nan, np.nan, 1.0, np.nan])
    assert np.isnan(change(np.ones(3), 3)).all()


ROWS = pd.DataFrame(
    {
        "bias": [0, SHORT, SHORT, SHORT, 0, LONG, LONG, LONG],
        "premium": 0.001,
        "close": 1.0,
        "funding_rate": [0, np.nan, 0.0001, 0.0002, 0, 0.0002, -0.0001, -0.0002],
        "oi_change": [0, 0.5, 0.5, np.nan, 0, 0.5, 0.009, 0.01],
    }
)
PLAIN = Thresholds(use_sigma=False)


@pytest.mark.parametrize(
    ("thresholds", "short", "long", "tag"),
    [
        (PLAIN, 1, 5, "z"),
        (Thresholds(use_sigma=False, use_funding=True), 2, 6, "z_funding"),
        (Thresholds(use_sigma=False, use_funding=True, funding_min=0.0002), 3, 7, "z_funding"),
        (Thresholds(use_sigma=False, use_oi=True), 1, 5, "z_oi"),
        (Thresholds(use_sigma=False, use_oi=True, oi_min=0.6), None, None, "z_oi"),
        (Thresholds(use_sigma=False, use_funding=True, use_oi=True), 2, 7, "z_funding_oi"),
    ],
)
def test_entry_waits_for_every_gate_that_is_on(
    thresholds: Thresholds, short: int | None, long: int | None, tag: str
) -> None:
    signals = entry_signals(ROWS, thresholds)
    for side, row in (("short", short), ("long", long)):
        entered = signals.index[signals[f"enter_{side}"] == 1].tolist()
        assert entered == ([] if row is None else [row])
        assert set(signals["enter_tag"].iloc[entered]) <= {f"{side}_zone_{tag}"}


def test_open_interest_has_a_column_only_where_it_is_given() -> None:
    frame = candles("2025-01-01 00:00", "2025-01-05 00:00", "1h").assign(close=1.0, volume=1.0)
    premium, spot = np.zeros(len(frame)), np.ones(len(frame))
    assert "oi_change" not in threshold_columns(frame, premium, spot, Thresholds(use_oi=True))
    rising = np.arange(1.0, len(frame) + 1)
    thresholds = Thresholds(use_oi=True, oi_len=2)
    found = threshold_columns(frame, premium, spot, thresholds, series={"open_interest": rising})
    np.testing.assert_allclose(found["oi_change"][2:4], [2.0, 1.0])


@pytest.mark.parametrize(
    ("exchange", "kind", "setting", "said"),
    [
        (
            *("bitget", CandleType.OPEN_INTEREST, "use_oi"),
            "past open interest: set perp_imbalance.use_oi to false in the config",
        ),
        # It gives the rate of now.
        (
            *("bitflyer", CandleType.FUNDING_RATE, "use_funding"),
            "past funding rates: set perp_imbalance.use_funding to false in the config",
        ),
        (
            *("hyperliquid", CandleType.INDEX, 'premium_source "index"'),
            'index prices: remove perp_imbalance.premium_source "index" from the config',
        ),
        (
            *("okx", CandleType.PREMIUMINDEX, 'premium_source "premium_index"'),
            'premium index: remove perp_imbalance.premium_source "premium_index" from the config',
        ),
    ],
)
def test_exchange_without_a_series_is_refused_in_one_line(
    exchange: str, kind: CandleType, setting: str, said: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        check_series(exchange, kind, setting)
    assert str(caught.value) == f"{exchange} gives no {said}"
    check_series("binance", kind, setting)


def test_gate_without_any_value_is_named() -> None:
    nothing = np.full(2, np.nan)
    assert missing_series({"funding_rate": np.zeros(2)}) is None
    assert missing_series({"funding_rate": np.array([np.nan, 0.0])}) is None
    said = missing_series({"funding_rate": np.zeros(2), "open_interest": nothing})
    assert said == "the open interest gate has no open interest of it"
