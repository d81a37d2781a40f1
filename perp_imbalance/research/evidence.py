"""Collect evidence over many pairs: the strategy's trades compared with random signals."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from perp_imbalance.indicators.deviation import deviation_bps
from perp_imbalance.indicators.signals import SIDES
from perp_imbalance.indicators.thresholds import Thresholds
from perp_imbalance.research.as_traded import NAMES, Market, Setup, rules_of
from perp_imbalance.research.multiple import as_values, false_discovery, family_of, weekly_totals
from perp_imbalance.research.nulls import Nulls
from perp_imbalance.research.pair_history import PairHistory
from perp_imbalance.research.pooled import (
    DEV_LEN,
    LEVELS,
    MIN_TRADES,
    SIZES,
    by_class,
    lines,
    slopes,
    weeks_of,
)
from perp_imbalance.research.screen import Screen
from perp_imbalance.strategy.settings import Settings

BOTH = "both"

_LINE = ("part", "preset", "side")
_BPS = 1e4
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Costs:
    """The costs and the stop of a trade.

    :param fee: fraction of an order's value, on entry and on exit.
    :param stoploss: fraction of the price, above 0.
    """

    fee: float
    stoploss: float


@dataclass
class Collected:
    """The trades and events of all pairs, by part of the split.

    :param presets: thresholds by preset.
    :param horizons: fixed holding times in candles, in addition to the strategy's own exits.
    """

    presets: Mapping[str, Thresholds]
    settings: Settings
    costs: Costs
    horizons: Sequence[int]
    nulls: Nulls
    _traded: list[pd.DataFrame] = field(default_factory=list)
    _held: list[pd.DataFrame] = field(default_factory=list)

    def add(self, part: str, candles: PairHistory, left_out: Iterable[str] = ()) -> None:
        """Trade one pair and its nulls.

        :param left_out: presets for which this pair lacks the series of a gate.
        """
        market = Market(candles, rules_of(self.settings, self.costs.fee, self.costs.stoploss))
        screen = Screen(candles, self.settings, self.horizons, 2 * self.costs.fee)
        begin = candles.begin
        deviation = deviation_bps(candles.premium, DEV_LEN).bps[begin:]
        premium = candles.premium[begin:] * _BPS
        for preset, thresholds in self.presets.items():
            if preset in left_out:
                continue
            settings = self.settings.of_preset(preset)
            setup = Setup(screen, candles, settings.gated(thresholds), settings)
            real = market.trade(setup.flags, setup.middle)
            double = market.trade(setup.flags, setup.middle, market.with_doubled_costs)
            times = market.times[real.rows]
            names = {"part": part, "pair": candles.match.perp, "preset": preset}
            self._traded.append(
                pd.DataFrame(
                    {
                        **names,
                        "side": [NAMES[side] for side in real.side.tolist()],
                        "week": weeks_of(times),
                        "year": pd.DatetimeIndex(times).year,
                        "net": real.net,
                        "net_doubled": double.net,
                        "held": real.held,
                        "deviation": np.abs(deviation[real.rows]),
                        "premium": premium[real.rows],
                    }
                )
            )
            for side, rows in setup.entries.items():
                for number, horizon in enumerate(self.horizons):
                    net = screen.forward.of_side(SIDES[side], 2 * self.costs.fee)
                    earned = net[number][begin:][rows]
                    is_known = np.isfinite(earned)
                    events = {
                        **names,
                        **{"side": side, "held": horizon, "net": earned[is_known]},
                        "week": weeks_of(market.times[rows[is_known]]),
                    }
                    self._held.append(pd.DataFrame(events))
            self.nulls.add(part, preset, market, setup, real)

    @property
    def trades(self) -> pd.DataFrame:
        """All trades with their results and signals."""
        return pd.concat(self._traded, ignore_index=True) if self._traded else pd.DataFrame()

    @property
    def events(self) -> pd.DataFrame:
        """All entries with the result of holding for each horizon."""
        return pd.concat(self._held, ignore_index=True) if self._held else pd.DataFrame()


@dataclass(frozen=True)
class Report:
    """The tables of the evidence, as plain rows.

    :ivar traded: results of the trades, one row for each part, preset and side.
    :ivar families: for each part, whether the best row is better than not trading.
    """

    traded: Rows
    held: Rows
    by_pair: Rows
    by_year: Rows
    by_deviation: Rows
    by_premium: Rows
    slopes: Rows
    nulls: Rows
    inverted: Rows
    families: dict[str, dict[str, Any]]

    def as_values(self) -> dict[str, Any]:
        """Return all tables by name, with rounded figures."""
        return {
            name: value if isinstance(value, dict) else [_rounded(row) for row in value]
            for name, value in vars(self).items()
        }


def report_of(found: Collected, *, draws: int, seed: int) -> Report:
    """Return the tables of the collected evidence.

    :param draws: bootstrap samples for the tests of whole families.
    """
    trades, events = found.trades, found.events
    if trades.empty:
        return Report([], [], [], [], [], [], [], found.nulls.rows(), [], {})
    together = trades.assign(side=BOTH)
    traded = lines(trades, _LINE)
    _add_q(traded)
    traded += [row | {"q": None} for row in lines(together, _LINE)]
    doubled = {
        _name(row): row for row in lines(pd.concat([trades, together]), _LINE, "net_doubled")
    }
    held = pd.concat([trades, together]).groupby(list(_LINE), sort=False)["held"].mean()
    for row in traded:
        row["net_doubled"], row["t_doubled"] = (doubled[_name(row)][key] for key in ("net", "t"))
        row["held"] = float(held.loc[_name(row)])
    families = {}
    for part, rows in trades.groupby("part", sort=False):
        enough = rows.groupby(["preset", "side"])["net"].transform("size") >= MIN_TRADES
        if enough.any():
            totals = weekly_totals(rows[enough])
            families[str(part)] = as_values(family_of(totals, draws=draws, seed=seed))
    order = {name: number for number, name in enumerate(found.presets)}
    traded.sort(key=lambda row: (row["part"] != trades["part"].iloc[0], order[row["preset"]]))
    return Report(
        traded,
        lines(events, (*_LINE, "held")),
        lines(trades, (*_LINE, "pair")),
        lines(trades, (*_LINE, "year")),
        by_class(trades, _LINE, "deviation", SIZES),
        by_class(trades, _LINE, "premium", LEVELS),
        slopes(trades, _LINE, "deviation", SIZES),
        found.nulls.rows(),
        found.nulls.inverted(),
        families,
    )


def traded_verdict(report: Report) -> list[str]:
    """Return a sentence for each part that sums up its trades."""
    said = []
    for part, family in report.families.items():
        rows = [r for r in report.traded if r["part"] == part and r["t"] is not None]
        singles = [row for row in rows if row["side"] != BOTH]
        if not singles:
            continue
        best = max(singles, key=lambda row: row["t"])
        kept = [_words(row) for row in singles if row["q"] is not None and row["q"] <= 0.05]
        spa = "too few weeks to test it"
        if family["spa_p"] is not None:
            spa = (
                f"against not trading, Hansen's SPA test of the best gives p {family['spa_p']:.2f} "
                f"(weeks drawn in blocks of {family['block']})"
            )
        said.append(
            f"{part}: as traded, {sum(row['net'] > 0 for row in singles)} of {len(singles)} lines "
            f"of preset and side earned more than they cost; the best is {_words(best)} with "
            f"{best['net']:+.0f} bps a trade, t {best['t']:.1f}; {spa}; StepM keeps "
            f"{', '.join(family['better']) or 'none'} at 5 %, a false discovery rate of 5 % "
            f"{', '.join(kept) or 'none'}"
        )
    return said or ["as traded: too few trades or weeks for a conclusion"]


def _add_q(rows: Rows) -> None:
    """Add the false discovery rate over the rows of one part."""
    for part in {row["part"] for row in rows}:
        family = [row for row in rows if row["part"] == part]
        for row, q in zip(family, false_discovery([row["p"] for row in family]), strict=True):
            row["q"] = q


def _name(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[key] for key in _LINE)


def _words(row: Mapping[str, Any]) -> str:
    return f"{row['preset']} {row['side']}"


def _rounded(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return plain values: fractions with four decimals, other figures with one or two."""
    places = {"p": 4, "q": 4, "t": 2, "t_doubled": 2}
    return {
        key: round(float(value), places.get(key, 1)) if isinstance(value, float) else value
        for key, value in row.items()
    }
