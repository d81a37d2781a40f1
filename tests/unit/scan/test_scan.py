"""A scan says of every perp what the strategy would say, most extreme first."""

import json
from collections.abc import Callable
from dataclasses import replace
from operator import attrgetter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from freqtrade.data.btanalysis import get_tick_size_over_time
from freqtrade.enums import CandleType
from hypothesis import given, settings
from hypothesis import strategies as st
from support.scan import NOW, candles, market, rules, snapshot

from perp_imbalance.doctor import Level
from perp_imbalance.doctor import candle_checks as doctor
from perp_imbalance.errors import CommandError
from perp_imbalance.indicators import PRESETS, imbalance_columns
from perp_imbalance.indicators.hysteresis import LONG, SHORT
from perp_imbalance.indicators.quality import most_decimals, premium_stdev
from perp_imbalance.indicators.signals import gates
from perp_imbalance.scan.fetch import candles_needed, funding_of
from perp_imbalance.scan.rank import rank
from perp_imbalance.scan.records import By, Funding, Row, Snapshot, Standing
from perp_imbalance.scan.show import footer, ranking_table
from perp_imbalance.scan.write import check_target, is_pairlist, write_pairlist

SCALES = {"1000PEPE/USDT:USDT": ("PEPE/USDT", 1000.0)}


@pytest.mark.parametrize(
    ("by", "value"),
    [
        ("deviation", attrgetter("deviation_bps")),
        ("premium", attrgetter("premium_pct")),
        ("z", attrgetter("z")),
        ("funding", attrgetter("funding.per_8_hours")),
    ],
)
def test_rows_are_ranked_by_the_size_of_what_is_asked(
    by: By, value: Callable[[Row], float]
) -> None:
    matches, given = market(8, 200)
    rates = {m.perp: Funding((-1) ** at * at * 1e-5, 8, None) for at, m in enumerate(matches)}
    found = rank(matches, given._replace(funding=rates), rules(), by=by)
    values = [value(row) for row in found.rows]
    assert [abs(one) for one in values] == sorted(map(abs, values), reverse=True)
    assert min(values) < 0 < max(values)
    assert list(found.standings.values()) == [Standing(value(r), r.bias) for r in found.rows]
    assert rank(matches, given._replace(funding=rates), rules(), 3, by=by).rows == found.rows[:3]


def test_deviation_counts_less_the_fees_of_its_perp() -> None:
    matches, given = market(4, 200)
    first, second, *_ = rank(matches, given, rules()).rows
    excess = abs(first.deviation_bps) - abs(second.deviation_bps)
    fees = {**given.round_trip_bps, first.perp: 10.0 + excess + 0.1}
    found = rank(matches, given._replace(round_trip_bps=fees), rules())
    assert [row.perp for row in found.rows[:2]] == [second.perp, first.perp]
    assert found.rows[0].after_fees_bps == pytest.approx(abs(second.deviation_bps) - 10)
    assert found.rows[1].premium_in_fees == pytest.approx(
        first.premium_pct * 100 / fees[first.perp]
    )


def test_perp_without_fees_has_no_premium_in_fees() -> None:
    matches, given = market(3, 200)
    free = dict.fromkeys(given.round_trip_bps, 0.0)
    row = rank(matches, given._replace(round_trip_bps=free), rules()).rows[0]
    assert row.as_dict()["premium_in_fees"] is None
    assert row.after_fees_bps == abs(row.deviation_bps)


def test_perp_without_what_is_ranked_by_is_last() -> None:
    matches, given = market(3, 200)
    rates = {matches[1].perp: Funding(-1e-6, 8, None)}
    found = rank(matches, given._replace(funding=rates), rules(), by="funding")
    assert found.rows[0].perp == matches[1].perp
    assert found.ranked == 3
    assert not found.is_unknown
    assert rank(matches, given, rules(), by="funding").is_unknown


def test_market_is_that_of_all_perps_not_of_the_rows() -> None:
    found = rank(*market(9, 200), rules(), 2)
    every = rank(*market(9, 200), rules()).rows
    premiums = np.array([row.premium_pct * 100 for row in every])
    deviations = np.array([row.deviation_bps for row in every])
    assert found.market == pytest.approx(
        (
            *(9, 9),
            *(premiums.mean(), np.median(premiums), np.mean(premiums <= -10)),
            *(deviations.mean(), np.median(deviations), np.mean(deviations <= -10)),
        )
    )
    assert 0 < np.mean(premiums <= -10) < 1


def test_market_summary_works_without_deviations() -> None:
    found = rank(*market(3, 90), rules())
    assert found.ranked == 3
    assert found.market.with_deviation == 0
    assert found.market.deviation_mean is found.market.deviation_below is None
    assert found.rows[0].as_dict()["deviation_bps"] is None
    assert found.is_unknown


def test_row_says_since_when_its_bias_holds() -> None:
    matches, given = market(1, 200)
    key = ("C0/USDT:USDT", "1h", CandleType.FUTURES)
    spot = given.frames["C0/USDT", "1h", CandleType.SPOT]["close"].to_numpy()
    premium = np.random.default_rng(1).normal(0, 1e-4, 200)
    premium[-4:] = 0.01
    calm = snapshot({**given.frames, key: candles(spot * (1 + premium), "1h")})
    (row,) = rank(matches, calm, rules()).rows
    assert row.bias == "short"
    # The first of the four extreme candles closed three hours before the last.
    assert row.since == NOW.floor("1h") - pd.Timedelta("3h")
    assert row.candle == NOW.floor("1h") - pd.Timedelta("1h")
    assert row.candles_since == 4
    assert row.premium_pct == pytest.approx(1.0, abs=0.01)


def test_perp_that_cannot_be_ranked_is_named_with_the_reason() -> None:
    matches, given = market(5, 200)
    frames = dict(given.frames)
    del frames["C0/USDT", "1h", CandleType.SPOT]
    del frames["C1/USDT:USDT", "1h", CandleType.FUTURES]
    perp = frames["C2/USDT:USDT", "1h", CandleType.FUTURES]
    prices = ["open", "high", "low", "close"]
    frames["C2/USDT:USDT", "1h", CandleType.FUTURES] = perp.assign(**perp[prices] * 7)
    frames["C3/USDT:USDT", "1h", CandleType.FUTURES] = frames[
        "C3/USDT:USDT", "1h", CandleType.FUTURES
    ].iloc[:-3]
    found = rank(matches, snapshot(frames), rules())
    assert [row.perp for row in found.rows] == ["C4/USDT:USDT"]
    reasons = {perp.perp.split("/")[0]: perp.reason for perp in found.left_out}
    assert reasons["C0"] == "the exchange gave no 1h candles of C0/USDT"
    assert reasons["C1"] == "the exchange gave no 1h candles of it"
    assert "not the same coin" in reasons["C2"]
    assert "no z-score on the last closed candle (2026-01-01 08:00)" in reasons["C3"]


def test_perp_whose_tick_is_its_premium_is_not_sound() -> None:
    matches, given = market(1, 200)
    coarse = given._replace(precision={"C0/USDT": 1.0})
    (row,) = rank(matches, coarse, rules()).rows
    assert row.tick_noise > 1.9
    assert not row.is_sound
    found = rank(matches, coarse, rules())
    (written,) = footer(found, 2, Path("user_data/pairs.json"))
    assert "1 of 1 ranked perps" in written
    assert "1 of them not sound and not in pairs.json; 2 have nothing to compare with" in written
    assert "sound" not in footer(found, 0, None)[0]
    # One tick more or less is an entry, or is worth a warning, or next to nothing.
    others = [replace(row, tick_noise=noise) for noise in (1.7, 1.69, 0.9)]
    assert [one.is_sound for one in others] == [False, True, True]
    assert [one.is_doubtful for one in others] == [True, True, False]
    table, _ = ranking_table(found._replace(rows=[row, *others]), rules(), width=200)
    (shown,) = (column for column in table.columns if column.header == "sound")
    assert list(map(str, shown.cells)) == ["no", "no", "doubtful", "yes"]
    (fine,) = rank(matches, given, rules()).rows
    assert fine.is_sound


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(1, 10**9), st.integers(0, 8)), min_size=1, max_size=6))
def test_decimals_are_those_that_freqtrade_counts(prices: list[tuple[int, int]]) -> None:
    values = np.array([number / 10**decimals for number, decimals in prices])
    dates = pd.date_range("2026-01-01", periods=values.size, freq="1h")
    frame = pd.DataFrame({"date": dates, **dict.fromkeys(("open", "high", "low", "close"), values)})
    seen = get_tick_size_over_time(frame).min()
    expected = 0 if np.isnan(seen) else round(-np.log10(seen))
    assert most_decimals(values) == expected


def test_every_digit_that_a_price_was_written_with_counts() -> None:
    assert most_decimals(np.array([123456.78, 123456.789012, np.nan])) == 6


def test_pairlist_replaces_only_a_pairlist(tmp_path: Path) -> None:
    matches, given = market(3, 200)
    file = tmp_path / "pairs.json"
    rows = rank(matches, given, rules()).rows
    write_pairlist(file, [rows[0], replace(rows[1], tick_noise=5.0), rows[2]])
    assert json.loads(file.read_text())["pairs"] == [rows[0].perp, rows[2].perp]
    check_target(file, force=False, replaceable=is_pairlist)
    for text in ("{", "[]", "{}", '{"pairs": [], "exchange": {}}'):
        file.write_text(text)
        with pytest.raises(CommandError, match="exists already"):
            check_target(file, force=False, replaceable=is_pairlist)
        check_target(file, force=True, replaceable=is_pairlist)
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("missing", "noise"), [(0.5, 0.1), (0.51, 0.1), (0.1, 1.89), (0.1, 1.9), (0.1, np.inf)]
)
def test_row_is_sound_where_the_doctor_does_not_refuse_it(missing: float, noise: float) -> None:
    (row,) = rank(*market(1, 200), rules()).rows
    checks = (
        doctor.check_without_spot(missing, "X/USDT"),
        doctor.check_tick_noise(noise, 1e-4, "X/USDT", 1.7),
    )
    accepted = all(check.level is not Level.MUST_FIX for check in checks)
    assert replace(row, missing=missing, tick_noise=noise).is_sound is accepted


@pytest.mark.parametrize(("late", "ranked"), [(0, 1), (1, 1), (2, 0)])
def test_exchange_has_the_time_of_a_candle_to_publish_one(late: int, ranked: int) -> None:
    matches, given = market(1, 200)
    frames = {key: frame.iloc[: len(frame) - late] for key, frame in given.frames.items()}
    assert rank(matches, snapshot(frames), rules()).ranked == ranked


def without_trades(given: Snapshot, rows: slice) -> Snapshot:
    """Return the snapshot without a spot price on these candles."""
    key = ("C0/USDT", "1h", CandleType.SPOT)
    spot = given.frames[key].copy()
    spot.loc[spot.index[rows], "volume"] = 0.0
    return given._replace(frames={**given.frames, key: spot})


def test_perp_without_a_recent_spot_price_is_left_out() -> None:
    matches, given = market(1, 200)
    found = rank(matches, without_trades(given, slice(-1, None)), rules())
    assert found.rows == []
    assert "no z-score on the last closed candle (2026-01-01 11:00)" in found.left_out[0].reason


def test_gates_are_those_of_the_strategy_for_the_side_of_z() -> None:
    preset = replace(PRESETS["conservative"], htf_z_min=0.2)
    matches, given = market(40, candles_needed(preset))
    frames, random, seen = dict(given.frames), np.random.default_rng(4), set()
    for match in matches:
        # So dear or cheap that spot and perp are in different bands.
        closes = frames[str(match.spot), "1h", CandleType.SPOT]["close"].to_numpy()
        wide = closes * (1 + random.normal(0, 0.05, closes.size))
        frames[match.perp, "1h", CandleType.FUTURES] = candles(wide, "1h")
    given = snapshot(frames)
    for row in rank(matches, given, rules()._replace(thresholds=preset)).rows:
        perp, spot, *higher = (
            given.frames[pair, timeframe, kind]
            for timeframe in ("1h", "4h")
            for pair, kind in ((row.perp, CandleType.FUTURES), (row.against, CandleType.SPOT))
        )
        columns = imbalance_columns(
            perp, spot, thresholds=preset, timeframe="1h", htf=(higher[0], higher[1])
        ).assign(close=perp["close"])
        side = SHORT if row.z > 0 else LONG
        for name, passed in row.gates.items():
            assert passed == gates(columns, preset)[name][side][-1], (row.perp, name)
            seen.add((name, passed))
    assert len(seen) == 4


def test_no_gate_lets_a_side_enter_that_is_not_entered() -> None:
    preset = replace(PRESETS["balanced"], min_deviation_bps=1e-6)
    matches, given = market(20, candles_needed(preset))
    every = rules()._replace(thresholds=preset)
    both = rank(matches, given, every).rows
    longs = rank(matches, given, every._replace(sides=["long"])).rows
    assert {row.z > 0 for row in both if row.gates["deviation gate"]} == {True, False}
    for row, long in zip(both, longs, strict=True):
        assert long.gates == (row.gates if row.z < 0 else dict.fromkeys(row.gates, False))


@pytest.mark.parametrize("unknown", [[], [0], [0, 1]])
def test_gate_without_data_differs_from_a_failing_gate(unknown: list[int]) -> None:
    matches, given = market(2, 200)
    thresholds = replace(PRESETS["balanced"], use_oi=True, oi_min=0.5)
    amounts = given.frames[matches[0].perp, "1h", CandleType.FUTURES][["date"]]
    series = {
        (match.perp, "1h", CandleType.OPEN_INTEREST): amounts.assign(
            open_interest_amount=1.0, open_interest_value=7.0
        )
        for at, match in enumerate(matches)
        if at not in unknown
    }
    given = given._replace(frames=dict(given.frames) | series)
    found = rank(matches, given, rules()._replace(thresholds=thresholds))
    passes = {row.perp: row.gates["open interest gate"] for row in found.rows}
    assert passes == {m.perp: None if at in unknown else False for at, m in enumerate(matches)}


def test_row_has_the_volume_and_funding_of_its_perp() -> None:
    matches, given = market(2, 200)
    paid = Funding(-1e-4, 4, NOW + pd.Timedelta("90min"))
    told = given._replace(volume={"C0/USDT:USDT": 5e6}, funding={"C1/USDT:USDT": paid})
    rows = {row.perp: row for row in rank(matches, told, rules()).rows}
    first, second = rows["C0/USDT:USDT"], rows["C1/USDT:USDT"]
    assert (first.volume_24h, first.funding, first.hours_to_funding) == (5e6, None, None)
    assert (second.volume_24h, second.funding, second.hours_to_funding) == (None, paid, 1.5)
    plain = second.as_dict()
    assert plain["funding"] == -1e-4
    assert plain["funding_per_year"] == pytest.approx(-0.1095)
    assert plain["funding_interval_hours"] == 4
    assert plain["next_funding"] == "2026-01-01T13:35:00+00:00"
    assert first.as_dict()["funding_per_year"] is None


@pytest.mark.parametrize(
    ("interval", "factor"), [("8h", 1), ("4h", 2), ("1h", 8), (None, 1), ("480m", 1)]
)
def test_funding_rates_of_all_intervals_compare(interval: str | None, factor: int) -> None:
    due = [NOW.timestamp() * 1000 - 1, None, NOW.timestamp() * 1000 + 3_600_000]
    found = funding_of(1e-4, interval, due, NOW)
    assert found.per_8_hours == pytest.approx(factor * 1e-4)
    assert found.hours == 8 / factor
    assert found.per_year == pytest.approx(factor * 0.1095)
    # What was paid already is not to come.
    assert found.due == NOW + pd.Timedelta("1h")


def test_missing_and_tick_noise_are_of_the_premium() -> None:
    matches, given = market(1, 200)
    gaps = without_trades(given, slice(50, 70))._replace(precision={"C0/USDT": 1.0})
    (row,) = rank(matches, gaps, rules()).rows
    assert row.missing == pytest.approx(0.1)
    perp, spot = (
        gaps.frames[pair, "1h", kind]
        for pair, kind in (("C0/USDT:USDT", CandleType.FUTURES), ("C0/USDT", CandleType.SPOT))
    )
    traded = spot["close"][spot["volume"] > 0]
    stdev = premium_stdev(imbalance_columns(perp, spot)["premium"].to_numpy(), rules()[3].len_prem)
    assert row.tick_noise == pytest.approx(1.0 / traded.median() / stdev)


def test_infinite_noise_is_none_in_plain_data() -> None:
    (row,) = rank(*market(1, 200), rules()).rows
    assert row.as_dict()["tick_noise"] == row.tick_noise
    assert replace(row, tick_noise=np.inf).as_dict()["tick_noise"] is None


def test_first_rows_leave_the_number_of_all_that_are_ranked() -> None:
    found = rank(*market(8, 200), rules(), 3)
    assert (len(found.rows), found.ranked) == (3, 8)


@pytest.mark.parametrize(("stale", "bias"), [(12, "short"), (3, "none")])
def test_bias_ends_by_the_stale_rule_of_the_strategy(stale: int, bias: str) -> None:
    matches, given = market(1, 200)
    key = ("C0/USDT:USDT", "1h", CandleType.FUTURES)
    spot = given.frames["C0/USDT", "1h", CandleType.SPOT]["close"].to_numpy()
    premium = np.random.default_rng(1).normal(0, 1e-4, 200)
    # Extreme, five candles without a price, then between exit_z and enter_z.
    premium[-8:-6], premium[-1] = 0.002, 0.0006
    calm = given._replace(frames={**given.frames, key: candles(spot * (1 + premium), "1h")})
    thresholds = replace(PRESETS["balanced"], smooth_len=1)
    ours = rules()._replace(thresholds=thresholds, max_stale_candles=stale)
    (row,) = rank(matches, without_trades(calm, slice(-6, -1)), ours).rows
    assert thresholds.exit_z < row.z < thresholds.enter_z
    assert row.bias == bias
