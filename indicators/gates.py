"""The gates of an entry, one object each.

Signals, entry tags, the reasons of the chart, the sweep's masks, the scan's columns, the doctor's
questions, the series that are downloaded and the switches of the config read :data:`GATES`.

Source: ``spec.md``, rule 8: gates act on signals, not on the bias.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd

from perp_imbalance.indicators.positioning import change, known_funding, open_interest
from perp_imbalance.indicators.rolling import Bools, Floats
from perp_imbalance.indicators.thresholds import Thresholds

#: Where a gate lets a SHORT pass, and where a LONG. A NaN passes nothing.
Passes = tuple[Bools, Bools]


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """A series that a gate needs besides candles of perp and spot. Not every exchange has it.

    :ivar candle_type: freqtrade's name of it.
    :ivar ability: ccxt's name of the ability to fetch its history.
    :ivar words: its name in messages.
    :ivar column: the column that the gate reads.
    :ivar on_rows: returns this column, and others made from the series, by name; takes the
        perp's candles, their timeframe and the series.
    :ivar with_candles: whether freqtrade downloads it together with the candles of perps.
    """

    candle_type: str
    ability: str
    words: str
    column: str
    on_rows: Callable[[pd.DataFrame, str, pd.DataFrame], dict[str, Floats]]
    with_candles: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Gate:
    """A condition that an entry must meet besides its bias.

    :ivar name: its name in charts, scans and messages.
    :ivar tag: its word in the entry tag.
    :ivar switch: the threshold that turns it on: when true, or above 0.
    :ivar thresholds: the other thresholds that :attr:`passes` and its columns depend on.
    :ivar columns: the columns it reads; where the first is NaN, the result is unknown.
    :ivar passes: takes the thresholds and those columns, returns where the gate passes.
    :ivar source: the column from which :attr:`derive` computes the first of its columns; None
        where every run has that column.
    :ivar series: a series it needs besides candles. Such a gate is on or off for a whole run,
        and no preset turns it on.
    """

    name: str
    tag: str
    switch: str
    thresholds: tuple[str, ...]
    columns: tuple[str, ...]
    passes: Callable[..., Passes]
    source: str | None = None
    derive: Callable[[Thresholds, Floats], Floats] | None = None
    series: Series | None = None

    def is_on(self, thresholds: Thresholds) -> bool:
        """Return whether the thresholds turn the gate on."""
        return bool(getattr(thresholds, self.switch) > 0)

    def own_columns(
        self, thresholds: Thresholds, sources: Mapping[str, Floats]
    ) -> dict[str, Floats]:
        """Return the column that the gate computes itself, if any.

        :param sources: columns by name; without its source column the gate returns none.
        """
        if self.derive is None or self.source is None or self.source not in sources:
            return {}
        return {self.columns[0]: self.derive(thresholds, sources[self.source])}


def _sigma(_: Thresholds, upper: Floats, lower: Floats, close: Floats) -> Passes:
    # On a frozen price both sides would pass, so the bands must be apart.
    apart = upper > lower
    return apart & (close >= upper), apart & (close <= lower)


def _htf(thresholds: Thresholds, htf_z: Floats) -> Passes:
    return htf_z >= thresholds.htf_z_min, htf_z <= -thresholds.htf_z_min


def _deviation(thresholds: Thresholds, bps: Floats) -> Passes:
    return bps >= thresholds.min_deviation_bps, bps <= -thresholds.min_deviation_bps


def _funding(thresholds: Thresholds, rate: Floats) -> Passes:
    # The crowded side pays, so much per 8 hours: longs where the rate is positive.
    return rate >= thresholds.funding_min, rate <= -thresholds.funding_min


def _open_interest(thresholds: Thresholds, oi_change: Floats) -> Passes:
    # Positions are still being built, on whichever side.
    building = oi_change >= thresholds.oi_min
    return building, building


#: All gates, in the order in which tags and reasons name them.
GATES = (
    Gate(
        name="sigma gate",
        tag="sigma",
        switch="use_sigma",
        thresholds=("bb_len", "bb_k"),
        columns=("bb_upper", "bb_lower", "close"),
        passes=_sigma,
    ),
    Gate(
        name="HTF gate",
        tag="htf",
        switch="use_htf",
        thresholds=("len_prem", "smooth_len", "htf_z_min"),
        columns=("htf_z",),
        passes=_htf,
    ),
    Gate(
        name="deviation gate",
        tag="deviation",
        switch="min_deviation_bps",
        thresholds=("dev_len",),
        columns=("deviation_bps",),
        passes=_deviation,
    ),
    Gate(
        name="funding gate",
        tag="funding",
        switch="use_funding",
        thresholds=("funding_min",),
        columns=("funding_rate",),
        passes=_funding,
        series=Series(
            candle_type="funding_rate",
            ability="fetchFundingRateHistory",
            words="past funding rates",
            column="funding_rate",
            on_rows=known_funding,
            with_candles=True,
        ),
    ),
    Gate(
        name="open interest gate",
        tag="oi",
        switch="use_oi",
        thresholds=("oi_len", "oi_min"),
        columns=("oi_change",),
        passes=_open_interest,
        source="open_interest",
        derive=lambda thresholds, interest: change(interest, thresholds.oi_len),
        series=Series(
            candle_type="open_interest",
            ability="fetchOpenInterestHistory",
            words="past open interest",
            column="open_interest",
            on_rows=lambda candles, _, interest: {
                "open_interest": open_interest(candles, interest)
            },
        ),
    ),
)

#: The gates that need a series, with it, by their switch.
GATE_SERIES = {gate.switch: gate.series for gate in GATES if gate.series}

#: The thresholds that belong to each of these gates, by its switch.
OPTIONAL_GATES = {gate.switch: gate.thresholds for gate in GATES if gate.series}


def active_gates(thresholds: Thresholds) -> list[Gate]:
    """Return the gates that are on.

    >>> [gate.tag for gate in active_gates(Thresholds(use_oi=True))]
    ['sigma', 'oi']
    """
    return [gate for gate in GATES if gate.is_on(thresholds)]
