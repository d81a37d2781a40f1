"""Bias from z-scores, zones from the bias, entries and exits from zones and gates."""

from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from perp_imbalance.indicators.rolling import Bools, Floats

Ints = NDArray[np.int64]
_AnyInt = TypeVar("_AnyInt", bound=np.signedinteger[Any])

#: The bias: perp longs crowded, perp shorts crowded, neither.
SHORT, LONG, NONE = -1, 1, 0

#: Why a bias left its side; freqtrade's exit tags.
COOLED, FLIPPED, STALE_SPOT = "cooled", "flipped", "stale_spot"

EntryMode = Literal["zone", "flip"]


def previous(bias: NDArray[_AnyInt]) -> NDArray[_AnyInt]:
    """Return the bias one candle earlier; 0 before the first candle."""
    before = np.empty_like(bias)
    before[:1] = NONE
    before[1:] = bias[:-1]
    return before


def stale_rows(has_premium: Bools, max_stale_candles: int) -> Ints:
    """Return the rows that end a run of at least this many candles without a premium.

    >>> stale_rows(np.array([False, True, False, False, False]), 2)
    array([3, 4])
    """
    missing = np.flatnonzero(~has_premium)
    last = missing[max_stale_candles - 1 :]
    first = missing[: last.size]
    ends: Ints = last[last - first == max_stale_candles - 1]
    return ends


def hysteresis(
    z: Floats, has_premium: Bools, *, enter_z: float, exit_z: float, max_stale_candles: int
) -> Ints:
    """Return the bias: it begins at an extreme z and ends when ``|z|`` falls below ``exit_z``.

    ``z >= enter_z`` is SHORT, ``z <= -enter_z`` LONG, ``|z| < exit_z`` none; between them, and
    where z is NaN, the bias stays. An opposite extreme flips it directly. A run of
    ``max_stale_candles`` candles without a premium ends it; 0 switches this off.

    Each event (begin or end) depends on the z-score of its own candle only, so the last event up
    to a row decides the bias, and no state is carried from candle to candle.

    Source: ``docs/reference/signal.md``, rules 5 and 6.

    :param z: z-scores, NaN where undefined.
    :param has_premium: whether the candle has a premium; same length.

    >>> z = np.array([0.0, 2.0, 1.2, 0.5])
    >>> hysteresis(z, z == z, enter_z=1.7, exit_z=0.9, max_stale_candles=12)
    array([ 0, -1, -1,  0])
    """
    bias_at_event = (z <= -enter_z).astype(np.int8) - (z >= enter_z).astype(np.int8)
    is_event = (bias_at_event != NONE) | (np.abs(z) < exit_z)
    if max_stale_candles > 0:
        is_event[stale_rows(has_premium, max_stale_candles)] = True
    # Before the first candle the bias is none.
    is_event[:1] = True
    events = np.flatnonzero(is_event)
    states = bias_at_event[events]
    is_change = states != previous(states)
    is_change[:1] = True
    changes = np.flatnonzero(is_change)
    candles_until_next = np.diff(events[changes], append=z.size)
    return np.repeat(states[changes].astype(np.int64), candles_until_next)


def zone_starts(bias: NDArray[_AnyInt]) -> Ints:
    """Return the first row of each zone: a longest run of rows with one bias other than 0.

    >>> zone_starts(np.array([0, -1, -1, 1]))
    array([1, 3])
    """
    return np.flatnonzero((bias != NONE) & (bias != previous(bias)))


def entry_rows(candidates: Bools, starts: Ints, mode: EntryMode) -> Ints:
    """Return the rows on which a position is entered: at most one per zone.

    Source: ``docs/reference/signal.md``, rule 9.

    :param candidates: rows inside zones of the side that have a premium and pass every gate.
    :param starts: the first row of every zone, of either side.
    :param mode: ``zone``: the first candidate of a zone; ``flip``: only the zone's first row.
    """
    rows = np.flatnonzero(candidates)
    if mode == "flip":
        return rows[np.isin(rows, starts, assume_unique=True)]
    zone = starts.searchsorted(rows, side="right")
    first = np.empty(rows.size, np.bool_)
    first[:1] = True
    np.not_equal(zone[1:], zone[:-1], out=first[1:])
    return rows[first]


def entries(bias: Ints, side: int, passes: Bools, mode: EntryMode) -> Bools:
    """Return the candles on which a position of this side is entered.

    :param bias: the hysteresis state.
    :param side: ``SHORT`` or ``LONG``.
    :param passes: whether the candle has a premium and every active gate passes.
    :param mode: ``zone``: the first candle of a zone that passes; ``flip``: only the zone's first.

    >>> bias = np.array([0, -1, -1, -1])
    >>> entries(bias, SHORT, np.array([True, False, True, True]), "zone")
    array([False, False,  True, False])
    """
    result = np.zeros(bias.size, np.bool_)
    result[entry_rows(passes & (bias == side), zone_starts(bias), mode)] = True
    return result


def exits(bias: Ints, side: int) -> Bools:
    """Return the candles on which the bias leaves this side.

    Source: ``docs/reference/signal.md``, rule 10.

    >>> exits(np.array([-1, -1, 0, 0]), SHORT)
    array([False, False,  True, False])
    """
    leaves: Bools = (previous(bias) == side) & (bias != side)
    return leaves


def exit_reasons(bias: Ints, has_premium: Bools) -> NDArray[np.object_]:
    """Return the exit tag for each row: why the bias left its side there.

    The z-score ends a bias only on a candle with a premium; missing data only on one without.
    """
    reasons = np.where(has_premium, COOLED, STALE_SPOT).astype(object)
    reasons[bias != NONE] = FLIPPED
    return reasons
