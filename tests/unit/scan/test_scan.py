"""A scan says of every perp what the strategy would say, most extreme first."""

import json
from dataclasses import replace
from functools import partial
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
from perp_imbalance.scan.fetch import candles_needed
from perp_imbalance.scan.rank import Ranking, Snapshot, rank
from perp_imbalance.scan.show import footer, ranking_table
from perp_imbalance.scan.watch import AGAIN_SECONDS, seconds_to_wait, watch
from perp_imbalance.scan.write import check_target, is_pairlist, write_pairlist

SCALES = {"1000PEPE/USDT:USDT": ("PEPE/USDT", 1000.0)}


def test_rows_are_ranked_by_absolute_z() -> None:
    matches, given = market(8, 200)
    found = rank(matches, given, rules())
    sizes = [abs(row.z) for row in found.rows]
    assert sizes == sorted(sizes, reverse=True)
    assert any(row.z < 0 for row in found.rows)
    assert rank(matches, given, rules(), 3).rows == found.rows[:3]


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
    written = footer(found, 2, Path("user_data/pairs.json"))
    assert "1 of 1 ranked perps" in written
    assert "1 of them not sound and not in pairs.json; 2 have nothing to compare with" in written
    assert "sound" not in footer(found, 0, None)
    # One tick more or less is an entry, or is worth a warning, or next to nothing.
    others = [replace(row, tick_noise=noise) for noise in (1.7, 1.69, 0.9)]
    assert [one.is_sound for one in others] == [False, True, True]
    assert [one.is_doubtful for one in others] == [True, True, False]
    table = ranking_table([row, *others], rules())
    (shown,) = (column for column in table.columns if column.header == "sound")
    assert list(shown.cells) == ["no", "no", "[yellow]doubtful[/]", "yes"]
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


def test_table_has_a_column_for_each_active_gate() -> None:
    matches, given = market(2, 300)
    for preset, active in (("conservative", ["sigma gate", "HTF gate"]), ("aggressive", [])):
        table = ranking_table(rank(matches, given, rules(preset)).rows, rules(preset))
        headings = [str(column.header) for column in table.columns]
        assert [heading for heading in headings if "gate" in heading] == active


def test_watch_shows_only_news_and_waits_for_a_candle() -> None:
    matches, given = market(2, 200)
    ranking = rank(matches, given, rules())
    shown: list[Ranking] = []
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch(lambda: ranking, shown.append, timeframe="1h", patience=90, sleep=sleep)
    assert shown == [ranking]


def test_watch_retries_late_candles_within_its_limit() -> None:
    matches, given = market(2, 200)
    ranking = rank(matches, given, rules())
    opened = NOW.floor("1h")
    soon, later = opened + pd.Timedelta("20s"), opened + pd.Timedelta("5min")
    until_next = (pd.Timedelta("1h") - pd.Timedelta("20s")).total_seconds()
    assert seconds_to_wait(ranking, "1h", soon, 90) == pytest.approx(until_next + 4)
    assert seconds_to_wait(Ranking([], 0, []), "1h", later, 90) == AGAIN_SECONDS
    late = Ranking(ranking.rows, 2, [*ranking.left_out, ("C9", "late")])  # type: ignore[list-item]
    assert seconds_to_wait(late, "1h", soon, 90) == AGAIN_SECONDS
    assert seconds_to_wait(late, "1h", later, 90) == pytest.approx(55 * 60 + 4)


def test_pairlist_replaces_only_a_pairlist(tmp_path: Path) -> None:
    matches, given = market(3, 200)
    file = tmp_path / "pairs.json"
    rows = rank(matches, given, rules()).rows
    write_pairlist(file, [rows[0], replace(rows[1], tick_noise=5.0), rows[2]])
    assert json.loads(file.read_text())["pairs"] == [rows[0].perp, rows[2].perp]
    check_target(file, force=False, replaceable=is_pairlist)
    for text in ("{", "[]", "{}", '{"pairs": [], "exchange": {}}'):
        file.write_text(text)
        with pytest.raises(CommandError, match="is there already"):
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
def test_gate_that_knows_nothing_is_told_from_one_that_fails(unknown: list[int]) -> None:
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
    told = given._replace(volume={"C0/USDT:USDT": 5e6}, funding={"C1/USDT:USDT": -1e-4})
    rows = {row.perp: row for row in rank(matches, told, rules()).rows}
    first, second = rows["C0/USDT:USDT"], rows["C1/USDT:USDT"]
    assert (first.volume_24h, first.funding) == (5e6, None)
    assert (second.volume_24h, second.funding) == (None, -1e-4)


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


def test_noise_that_has_no_number_is_none_as_plain_data() -> None:
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


def test_table_shows_what_the_row_says() -> None:
    (row,) = rank(*market(1, 200), rules()).rows
    known = replace(
        row,
        bias="short",
        since=NOW.floor("1h"),
        funding=1e-4,
        volume_24h=1e6,
        gates={"sigma gate": True},
        missing=0.125,
    )
    rows = [
        known,
        replace(known, bias="long", since=None, tick_noise=np.inf, gates={"sigma gate": False}),
        replace(known, bias="none", funding=None, volume_24h=None, gates={"sigma gate": None}),
    ]
    table = ranking_table(rows, rules())
    cells = {str(column.header): list(column.cells) for column in table.columns}
    assert cells["bias"] == ["[red]short[/]", "[green]long[/]", ""]
    assert cells["since (UTC)"] == ["01-01 12:00", "earlier", ""]
    assert cells["funding % / 8h"] == ["+0.0100", "+0.0100", ""]
    assert cells["24h"] == ["1M", "1M", ""]
    assert cells["sigma gate"] == ["yes", "no", "?"]
    assert (cells["missing"][0], cells["tick noise"][1]) == ("12.5%", "all")
    # What the doctor would refuse is dim.
    assert [line.style for line in table.rows] == [None, "dim", None]


def test_watch_shows_the_same_candles_in_a_new_order() -> None:
    ranking = rank(*market(2, 200), rules())
    other = ranking._replace(rows=ranking.rows[::-1])
    found = iter([ranking, ranking, other])
    shown: list[Ranking] = []
    with pytest.raises(StopIteration):
        watch(lambda: next(found), shown.append, timeframe="1h", patience=90, sleep=lambda _: None)
    assert shown == [ranking, other]


def test_watch_waits_for_a_missing_candle() -> None:
    ranking = rank(*market(1, 200), rules())
    closed = NOW.floor("1h") + pd.Timedelta("1h")
    wait = partial(seconds_to_wait, ranking, "1h", patience=90)
    assert wait(now=closed + pd.Timedelta("75s")) == AGAIN_SECONDS
    # Another look would come after its patience.
    assert wait(now=closed + pd.Timedelta("76s")) == pytest.approx(3600 - 76 + 4)
