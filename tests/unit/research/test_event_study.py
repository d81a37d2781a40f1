"""The event study finds an edge that is there, none in noise, and says when it cannot tell."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from perp_imbalance.errors import SettingsError
from perp_imbalance.indicators import PRESETS
from perp_imbalance.indicators.columns import HtfPremium
from perp_imbalance.indicators.premium import open_times
from perp_imbalance.indicators.signals import SIDES
from perp_imbalance.markets.spot_matching import SpotMatch
from perp_imbalance.research.event_study import ALL, MIN_BLOCKS, Finding, Method, study, verdict
from perp_imbalance.research.evidence_page import net_figure
from perp_imbalance.research.pair_history import PairHistory
from perp_imbalance.research.screen import Screen
from perp_imbalance.research.series_checks import missing_series, thin_series
from perp_imbalance.strategy.palette import palette
from perp_imbalance.strategy.settings import Settings

ROWS = 12_000
AGGRESSIVE = {"aggressive": PRESETS["aggressive"]}
METHOD = Method((1, 4), cost=0.001, block=100, draws=400, seed=1)


def market(
    seed: int, reaction: float = 0.0, closing: float = 0.0, size: float = 1e-3
) -> PairHistory:
    """A random walk of the coin, and a premium that comes and goes.

    :param reaction: what the coin does on the candle after a premium, as a share of it.
    :param closing: share of a premium that is gone one candle later; 0: all of it.
    :param size: of a premium; its way back is a move of the perp.
    """
    rng = np.random.default_rng(seed)
    premium = np.zeros(ROWS)
    shocks = rng.normal(0, size, ROWS)
    for row in range(1, ROWS):
        premium[row] = (1 - closing) * premium[row - 1] + shocks[row] if closing else shocks[row]
    steps = rng.normal(0, 2e-3, ROWS)
    steps[1:] += reaction * premium[:-1]
    spot = 100 * np.exp(np.cumsum(steps))
    close = spot * (1 + premium)
    dates = pd.date_range("2023-10-01", periods=ROWS, freq="1h", tz="UTC")
    # A candle opens where the one before closed.
    perp = pd.DataFrame({"date": dates, "open": np.append(close[0], close[:-1]), "close": close})
    match = SpotMatch("X/USDT:USDT", "X/USDT", 1, "identical", None)
    unknown = np.full(ROWS, np.nan)
    perp = perp.assign(volume=1.0)
    series = {"funding_rate": unknown, "open_interest": unknown}
    return PairHistory(match, "1h", perp, premium, close, None, np.zeros(ROWS), series, 0)


def overall(candles: PairHistory, settings: Settings | None = None) -> list[Finding]:
    found = study(candles, AGGRESSIVE, settings or Settings(), METHOD)
    return [finding for finding in found if finding.group == ALL]


def test_real_edge_is_found() -> None:
    """Premiums of about 0.1 % are followed by a move of four times their size."""
    found = overall(market(1, reaction=-4.0))
    assert {finding.side for finding in found} == set(SIDES)
    for finding in found:
        assert finding.has_edge, finding
        assert finding.excess_low < finding.excess < finding.excess_high
    assert "4 were followed by a move in their favour" in verdict(found)
    assert f"{len(found)} earned more than fees and funding and beat the drift" in verdict(found)


def test_trend_that_continues_is_evidence_against_the_signal() -> None:
    # From the open on: the signal candle's own premium is in the price already.
    found = overall(market(2, reaction=6.0))
    assert all(finding.excess_high < 0 for finding in found)
    assert not any(finding.has_edge for finding in found)


@pytest.mark.parametrize("seed", range(4))
def test_noise_has_no_edge_after_costs(seed: int) -> None:
    assert not any(finding.has_edge for finding in overall(market(seed, size=2e-4)))


def test_premium_reversion_differs_from_a_price_move() -> None:
    closes = overall(market(3, closing=0.5))
    for finding in closes:
        # All there is: the coin itself does not react.
        assert finding.premium_part == pytest.approx(finding.gross, abs=4.5)
        assert finding.premium_part > 3
    moves = overall(market(3, reaction=-4.0))
    coin = [finding.gross - finding.premium_part for finding in moves]
    assert min(coin) > 20


def test_drift_is_what_the_side_earned_from_any_candle() -> None:
    candles = market(5)
    perp = candles.perp.assign(
        **{name: candles.perp[name] * np.exp(2e-4 * np.arange(ROWS)) for name in ("open", "close")}
    )
    rising = replace(candles, perp=perp)
    for before, after in zip(overall(candles), overall(rising), strict=True):
        per_candle = SIDES[after.side] * 2.0
        assert after.drift - before.drift == pytest.approx(per_candle * after.horizon, abs=0.1)
        assert after.excess == pytest.approx(before.excess, abs=0.5)


def test_figures_are_those_of_the_screened_entries() -> None:
    candles = market(6, reaction=-2.0)
    screen = Screen(candles, Settings(), METHOD.horizons, METHOD.cost)
    found = next(f for f in overall(candles) if (f.side, f.horizon) == ("short", 4))
    net = screen.earned["short"][METHOD.horizons.index(4)]
    net = net[screen.entries_of(PRESETS["aggressive"], "short")]
    assert found.events == np.isfinite(net).sum()
    assert found.net == pytest.approx(np.nanmean(net) * 1e4)


def test_flips_that_all_are_entries_are_counted_once() -> None:
    """Without a gate every flip is an entry; one that holds some back, or for long, tells them."""
    aggressive = PRESETS["aggressive"]
    presets = {
        "aggressive": aggressive,
        "gated": replace(aggressive, use_sigma=True, bb_k=1.0),
        "touched": replace(aggressive, use_sigma=True, bb_k=1e-9),
    }
    found = [f for f in study(market(6), presets, Settings(), METHOD) if f.group == ALL]
    kinds = {name: {f.kind for f in found if f.preset == name} for name in presets}
    both = {"flip", "entry"}
    assert kinds == {"aggressive": {"entry"}, "gated": both, "touched": both}
    assert len(found) == (1 + 2 + 2) * 2 * 2
    assert verdict(found).startswith("of 20 combinations")


def test_groups_partition_the_events() -> None:
    fine = replace(METHOD, block=40)
    findings = list(study(market(7), AGGRESSIVE, Settings(sides=["long"]), fine))
    events = {f.group: f.events for f in findings if f.horizon == 1}
    assert set(events) == {ALL, "2023", "2024", "2025", "calm", "usual", "wild"}
    assert events["2023"] + events["2024"] + events["2025"] == events[ALL]
    regimes = events["calm"] + events["usual"] + events["wild"]
    assert events[ALL] - 20 <= regimes <= events[ALL]


def test_candles_before_the_time_range_are_not_in_the_drift() -> None:
    candles = replace(market(7), begin=ROWS // 2)
    found = next(iter(overall(candles)))
    move = Screen(candles, Settings(), METHOD.horizons, METHOD.cost).forward.move[0]
    assert found.drift == pytest.approx(SIDES[found.side] * np.nanmean(move[ROWS // 2 :]) * 1e4)
    assert overall(replace(candles, begin=ROWS - 60)) == []


def test_interval_is_as_wide_as_chance() -> None:
    candles = market(5)
    screen = Screen(candles, Settings(), METHOD.horizons, METHOD.cost)
    for found in overall(candles):
        if found.horizon == 1:
            after = screen.forward.move[0][screen.flips_of(PRESETS["aggressive"], found.side)]
            expected = 2 * 1.96 * np.nanstd(after) / np.sqrt(found.events) * 1e4
            assert found.excess_high - found.excess_low == pytest.approx(expected, rel=0.2)
            assert found.net_high - found.net_low == pytest.approx(expected, rel=0.2)


def test_events_and_drift_use_the_same_blocks() -> None:
    """Long rises and falls move the mean of the events, and hardly what is left of it."""
    candles = market(8)
    trend = np.exp(np.cumsum(3e-3 * np.where(np.arange(ROWS) // 500 % 2, 1, -1)))
    perp = candles.perp.assign(**{name: candles.perp[name] * trend for name in ("open", "close")})
    for found in overall(replace(candles, perp=perp)):
        excess = found.excess_high - found.excess_low
        assert excess < 0.7 * (found.net_high - found.net_low)


def test_regimes_are_thirds_of_the_time_from_calm_to_wild() -> None:
    candles = market(9, size=1e-4)
    louder = np.repeat([1.0, 2.0, 4.0], ROWS // 3)
    steps = np.diff(np.log(candles.perp["close"]), prepend=0.0) * louder
    close = np.exp(np.cumsum(steps))
    perp = candles.perp.assign(close=close, open=np.append(close[0], close[:-1]))
    found = study(replace(candles, perp=perp), AGGRESSIVE, Settings(sides=["long"]), METHOD)
    flips = {f.group: f for f in found if f.horizon == 4}
    regimes = [flips[name] for name in ("calm", "usual", "wild")]
    widths = [finding.excess_high - finding.excess_low for finding in regimes]
    assert widths == sorted(widths)
    for finding in regimes:
        assert finding.events == pytest.approx(flips[ALL].events / 3, rel=0.15)


def test_verdict_counts_what_chance_does_not_explain() -> None:
    some = replace(overall(market(1, reaction=-4.0))[0], kind="entry")
    chance = replace(some, excess_low=-1.0, excess_high=1.0)
    # Its net alone is drift.
    assert some.has_edge
    assert not chance.has_edge
    against = replace(some, excess_low=-2.0, excess_high=-1.0)
    said = verdict([some, chance, against, replace(some, group="2024")])
    assert said.startswith("of 3 combinations")
    assert "1 were followed by a move in their favour" in said
    assert "1 by one against them, and 1 earned more than fees and funding and beat" in said
    assert "1 after entries and 0 after flips, which are not trades" in said


def test_too_few_events_give_no_result() -> None:
    gated = {"gated": replace(PRESETS["aggressive"], use_htf=True)}
    # Without candles of the higher timeframe no gate of it passes.
    found = list(study(market(8), gated, Settings(), METHOD))
    assert {finding.kind for finding in found} == {"flip"}
    assert verdict([]).startswith("too few trades for a conclusion")


def test_span_of_few_blocks_gives_no_interval() -> None:
    candles = market(1, reaction=-4.0)
    # What is held for 4 candles is known of all but the last 5.
    enough = replace(candles, begin=ROWS - 5 - MIN_BLOCKS * METHOD.block)
    assert {finding.horizon for finding in overall(enough)} == {1, 4}
    fewer = replace(candles, begin=enough.begin + 1)
    assert {finding.horizon for finding in overall(fewer)} == {1}
    assert not METHOD.is_too_short(fewer)
    too_few = replace(candles, begin=enough.begin + 4)
    assert METHOD.is_too_short(too_few)
    assert list(study(too_few, AGGRESSIVE, Settings(), METHOD)) == []


def test_group_with_few_blocks_is_left_out() -> None:
    wide = replace(METHOD, block=250)
    findings = list(study(market(7), AGGRESSIVE, Settings(sides=["long"]), wide))
    # Of 2023 there are 2208 candles, of the regimes less than 4000 each.
    assert {finding.group for finding in findings} == {ALL, "2024"}


@pytest.mark.parametrize(("blocks", "kinds"), [(8, set()), (12, {"entry"})])
def test_events_in_few_blocks_give_no_interval(blocks: int, kinds: set[str]) -> None:
    """Of one block every draw has the same mean: an interval without width, above 0 or below."""
    candles = market(1, reaction=-4.0)
    there = np.arange(ROWS) < blocks * METHOD.block
    found = overall(replace(candles, premium=np.where(there, candles.premium, np.nan)))
    assert {finding.kind for finding in found} == kinds


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"block": 3}, r"block is 3, it must be at least the longest horizon \(4\)"),
        ({"draws": 99}, "draws is 99, it must be at least 100"),
    ],
)
def test_method_that_gives_false_intervals_is_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        replace(METHOD, **changes)


def test_preset_has_one_colour_and_side_one_dash() -> None:
    found = [replace(f, preset=name) for f in overall(market(6)) for name in PRESETS]
    # The first panel lacks a line that others have.
    found += [replace(f, pair="Y/USDT:USDT") for f in found]
    found = [f for f in found if (f.pair, f.preset) != ("X/USDT:USDT", "balanced")]
    figure = net_figure(found, palette()).figure
    looks: dict[str, set[tuple[str, str]]] = {}
    for trace in figure.data:
        looks.setdefault(trace.name, set()).add((trace.line.color, trace.line.dash))
    assert len(looks) == len(PRESETS) * len(SIDES)
    assert all(len(of) == 1 for of in looks.values())
    assert len(set.union(*looks.values())) == len(looks)
    assert sorted(t.name for t in figure.data if t.showlegend) == sorted(looks)


def test_partial_series_is_reported_with_its_effect() -> None:
    candles = market(1)
    rows = len(candles.perp)
    half = np.where(np.arange(rows) < rows // 2, 0.0001, np.nan)
    names = ("funding_rate", "funding_rate_raw", "open_interest")
    partly = replace(candles, series=dict.fromkeys(names, half))
    gated = replace(PRESETS["balanced"], use_funding=True, use_oi=True)
    free = "elsewhere net returns leave funding out"
    assert thin_series(partly, [PRESETS["balanced"]]) == [
        f"funding rates on 50% of the candles: {free}"
    ]
    assert thin_series(partly, [PRESETS["balanced"], gated]) == [
        f"funding rates on 50% of the candles: {free} and the gate lets nothing pass"
    ]
    # What lies before the time range is not looked at.
    late = replace(partly, begin=rows // 2)
    assert thin_series(late, [PRESETS["balanced"]]) == [
        "no funding rates: net returns leave funding out"
    ]
    whole = replace(candles, series={**candles.series, "funding_rate_raw": np.full(rows, 0.0001)})
    assert thin_series(whole, [PRESETS["balanced"]]) == []


@pytest.mark.parametrize(
    ("timeframe", "reason"),
    [
        ("1h", "the HTF gate has no 4h candles of it"),
        ("4h", "the HTF gate has no candles of a higher timeframe than 4h"),
    ],
)
def test_gate_without_a_series_differs_from_a_gate_that_is_off(timeframe: str, reason: str) -> None:
    candles = replace(market(1), timeframe=timeframe)
    assert missing_series(candles, PRESETS["conservative"], "4h") == reason
    assert missing_series(candles, PRESETS["balanced"], "4h") is None
    # Candles of it that end before the time range are none.
    times = open_times(candles.perp, "perp")[:400:4]
    htf = HtfPremium(times, np.zeros(times.size), "4h")
    hourly = replace(candles, timeframe="1h", htf=htf)
    assert missing_series(hourly, PRESETS["conservative"], "4h") is None
    later = replace(hourly, begin=1000)
    assert missing_series(later, PRESETS["conservative"], "4h") == (
        "the HTF gate has no 4h candles of it"
    )
