"""Simulate the trades of a preset on one pair as freqtrade's backtest makes them."""

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from perp_imbalance.indicators.bands import bollinger_bands
from perp_imbalance.indicators.hysteresis import LONG, SHORT, entry_rows, exits, zone_starts
from perp_imbalance.indicators.premium import open_times
from perp_imbalance.indicators.rolling import Bools, Floats
from perp_imbalance.indicators.signals import SIDES
from perp_imbalance.indicators.thresholds import Thresholds
from perp_imbalance.research.pair_history import PairHistory
from perp_imbalance.research.screen import Screen
from perp_imbalance.simulation import Markets, Rules, Signals, Terms, market, simulate, terms_of
from perp_imbalance.simulation.markets import ENTER_LONG, ENTER_SHORT, EXIT_LONG, EXIT_SHORT
from perp_imbalance.strategy.settings import Settings

Flags = NDArray[np.uint8]

#: The bits of a side: entry and exit.
BITS = {"long": (ENTER_LONG, EXIT_LONG), "short": (ENTER_SHORT, EXIT_SHORT)}

# Every trade has the same stake, and the wallet never limits one: returns are shares of it.
_STAKE, _WALLET = 100.0, 1e9


def rules_of(settings: Settings, fee: float, stoploss: float) -> Rules:
    """Return the strategy's trading rules: one position per pair, leverage 1.

    :param fee: fraction of an order's value, on entry and on exit.
    :param stoploss: distance of the stop from the entry, as a fraction of the price, above 0.
    :raises SettingsError: if these rules cannot be traded.
    """
    return Rules(
        fee=fee,
        stoploss=-stoploss,
        wallet=_WALLET,
        stake_amount=_STAKE,
        scale_out=settings.scale_out,
        stop_on_close=settings.stop_on_close,
        max_entry_drift=settings.max_entry_drift,
    )


class Earned(NamedTuple):
    """Results of trades, one value per trade, in the order of their signals.

    :ivar side: 1 for long, -1 for short.
    :ivar rows: rows of the signals' candles, counted from the first candle of the part.
    :ivar net: profit after fees and funding, as a fraction of the stake.
    :ivar held: candles from entry to exit.
    """

    side: NDArray[np.int64]
    rows: NDArray[np.int64]
    net: Floats
    held: NDArray[np.int64]


class Market:
    """One pair on which any signals can be traded.

    Funding is computed from the open of the candle, which differs from the mark price by about the
    premium.

    :param candles: the pair; candles before ``begin`` are not traded.
    :param rules: the result of :func:`rules_of`.
    """

    def __init__(self, candles: PairHistory, rules: Rules) -> None:
        perp = candles.perp.iloc[candles.begin :]
        self.times = open_times(perp, "perp")
        prices = {name: perp[name].to_numpy(np.float64) for name in ("open", "high", "low")}
        prices["close"] = perp["close"].to_numpy(np.float64)
        funding = candles.funding[candles.begin :]
        due = np.flatnonzero(funding)
        self._markets: Markets = market(
            self.times,
            prices,
            funding_times=self.times[due],
            funding_fees=funding[due] * prices["open"][due],
        )
        self._rules = rules
        self._terms: Terms = terms_of(rules)
        self._no_middle = np.full(self.times.size, np.nan)

    @cached_property
    def with_doubled_costs(self) -> Terms:
        """These rules with a doubled fee."""
        return terms_of(self._rules._replace(fee=2 * self._rules.fee))

    def trade(
        self, flags: Flags, middle: Floats | None = None, terms: Terms | None = None
    ) -> Earned:
        """Return the results of trading signals.

        :param flags: bits of the signals, one value per candle from ``begin`` on.
        :param middle: the middle Bollinger band, if the strategy scales out.
        """
        lines = self._no_middle if middle is None else middle
        trades = simulate(self._markets, Signals(flags, lines), terms or self._terms)
        # One position at a time: they close in the order in which they were entered.
        return Earned(
            trades["side"].copy(),
            trades["entry_row"] - 1,
            trades["profit_ratio"].copy(),
            trades["exit_row"] - trades["entry_row"],
        )


class Setup:
    """The signals of one preset on one pair, as the arrays from which null samples are made.

    :ivar bias: the bias from ``begin`` on.
    :ivar flags: bits of the signals.
    :ivar middle: the middle Bollinger band; None if the strategy does not scale out.
    """

    def __init__(
        self, screen: Screen, candles: PairHistory, thresholds: Thresholds, settings: Settings
    ) -> None:
        self._mode = settings.entry_mode
        self._sides: tuple[str, ...] = tuple(settings.sides)
        begin = candles.begin
        bias = screen.bias_of(thresholds)
        self.bias = bias[begin:]
        # What a gate says of the premium moves with it; what it says of price and series stays.
        self._moves, self._stays = (
            {
                side: screen.passes_of(thresholds, side, of_premium=moves)[begin:]
                for side in self._sides
            }
            for moves in (True, False)
        )
        self.entries = {side: screen.entries_of(thresholds, side) - begin for side in self._sides}
        self.flags = self._flags(bias, self.entries, begin)
        self.middle: Floats | None = None
        if settings.scale_out:
            bands = bollinger_bands(candles.band_close, thresholds.bb_len, thresholds.bb_k)
            self.middle = np.ascontiguousarray(bands.middle[begin:])

    def with_shifted_premium(self, rows: int) -> Flags:
        """Return the signals of a premium that is shifted to later rows."""
        bias = np.roll(self.bias, rows)
        starts = zone_starts(bias)
        entries = {}
        for side in self._sides:
            passes: Bools = np.roll(self._moves[side], rows) & self._stays[side]
            entries[side] = entry_rows(passes & (bias == SIDES[side]), starts, self._mode)
        return self._flags(bias, entries, 0)

    @staticmethod
    def _flags(bias: NDArray[np.int64], entries: dict[str, NDArray[np.int64]], begin: int) -> Flags:
        flags = np.zeros(bias.size - begin, np.uint8)
        for side, rows in entries.items():
            enter, leave = BITS[side]
            flags[rows] |= np.uint8(enter)
            flags[exits(bias, SIDES[side])[begin:]] |= np.uint8(leave)
        return flags


def inverted(flags: Flags) -> Flags:
    """Return signals with the sides exchanged.

    >>> inverted(np.array([ENTER_LONG, EXIT_LONG | ENTER_SHORT], np.uint8)).tolist()
    [4, 9]
    """
    swapped = np.zeros_like(flags)
    for one, other in zip(BITS["long"], BITS["short"], strict=True):
        swapped[(flags & one) > 0] |= np.uint8(other)
        swapped[(flags & other) > 0] |= np.uint8(one)
    return swapped


def planned_ends(
    flags: Flags, rows: Sequence[int] | NDArray[np.int64], side: str
) -> NDArray[np.int64]:
    """Return for each entry the row of its exit signal; the last row if there is none.

    >>> planned_ends(np.array([1, 0, 2, 0], np.uint8), [0], "long").tolist()
    [2]
    """
    leaves = np.flatnonzero(flags & BITS[side][1])
    ends = np.append(leaves, flags.size - 1)
    found: NDArray[np.int64] = ends[leaves.searchsorted(np.asarray(rows), side="right")]
    return found


#: A side's name by its number.
NAMES = {LONG: "long", SHORT: "short"}
