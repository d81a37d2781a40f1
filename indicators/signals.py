"""Entries and exits under freqtrade's column names, from the columns of the signal."""

from collections.abc import Collection

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from perp_imbalance.indicators.gates import active_gates
from perp_imbalance.indicators.hysteresis import (
    LONG,
    NONE,
    SHORT,
    EntryMode,
    entries,
    exit_reasons,
    exits,
    zone_starts,
)
from perp_imbalance.indicators.rolling import Bools
from perp_imbalance.indicators.thresholds import Thresholds

#: A column of an entry or exit: integers, or tags on the rows of the frame.
Signal = NDArray[np.int64] | pd.Series
#: The sides by the names that freqtrade's columns and the config use.
SIDES = {"short": SHORT, "long": LONG}

#: Reasons for which a candle does not enter. The names of gates that fail are reasons, too.
NO_BIAS, NO_PREMIUM = "no bias", "no premium"
ENTERED, NOT_FIRST, SIDE_OFF = "entered in this zone before", "not the flip", "side is off"


def gates(columns: pd.DataFrame, thresholds: Thresholds) -> dict[str, dict[int, Bools]]:
    """Return where each active gate passes, by name and side; the first gate is having a premium.

    Source: ``docs/reference/signal.md``, rule 8: gates act on signals, not on the bias.

    :param columns: ``close`` and the columns of the signal.
    :return: for ``SHORT`` and ``LONG``, booleans of the rows' length.
    """
    has_premium = np.isfinite(columns["premium"].to_numpy())
    passes = {NO_PREMIUM: {SHORT: has_premium, LONG: has_premium}}
    for gate in active_gates(thresholds):
        short, long = gate.passes(thresholds, *(columns[name].to_numpy() for name in gate.columns))
        passes[gate.name] = {SHORT: short, LONG: long}
    return passes


def gate_passes(columns: pd.DataFrame, thresholds: Thresholds) -> dict[int, Bools]:
    """Return for each side whether a candle has a premium and every active gate passes.

    :param columns: ``close`` and the columns of the signal.
    :return: for ``SHORT`` and ``LONG``, booleans of the rows' length.
    """
    return _all_pass(gates(columns, thresholds))


def _all_pass(found: dict[str, dict[int, Bools]]) -> dict[int, Bools]:
    """Return for each side where all the given gates pass."""
    by_gate = found.values()
    return {side: np.logical_and.reduce([gate[side] for gate in by_gate]) for side in (SHORT, LONG)}


def entry_signals(
    columns: pd.DataFrame,
    thresholds: Thresholds,
    mode: EntryMode = "zone",
    sides: Collection[str] = ("short", "long"),
) -> pd.DataFrame:
    """Return ``enter_short``, ``enter_long`` (0 or 1) and ``enter_tag``.

    The tag names the side, the mode and the active gates: ``short_zone_z_sigma_htf``.

    Source: ``docs/reference/signal.md``, rule 9.

    :param columns: ``close`` and the columns of the signal.
    :param mode: ``zone``: the first candle of a zone that passes; ``flip``: only the zone's first.
    :param sides: which of ``short`` and ``long`` may be entered.
    """
    return pd.DataFrame(entry_columns(columns, thresholds, mode, sides), index=columns.index)


def entry_columns(
    columns: pd.DataFrame,
    thresholds: Thresholds,
    mode: EntryMode = "zone",
    sides: Collection[str] = ("short", "long"),
) -> dict[str, Signal]:
    """Return the columns of :func:`entry_signals` by name, without building a dataframe.

    This saves time on every candle of a bot with hundreds of pairs.
    """
    bias = columns["bias"].to_numpy()
    passes = gate_passes(columns, thresholds)
    reason = "_".join(["z", *(gate.tag for gate in active_gates(thresholds))])
    signals: dict[str, Signal] = {f"enter_{name}": np.zeros(bias.size, np.int64) for name in SIDES}
    tags = np.full(bias.size, None, dtype=object)
    for name, side in SIDES.items():
        if name in sides:
            enters = entries(bias, side, passes[side], mode)
            signals[f"enter_{name}"][enters] = 1
            tags[enters] = f"{name}_{mode}_{reason}"
    return {**signals, "enter_tag": pd.Series(tags, index=columns.index, dtype=object)}


def no_entry_reasons(
    columns: pd.DataFrame,
    thresholds: Thresholds,
    mode: EntryMode = "zone",
    sides: Collection[str] = ("short", "long"),
) -> NDArray[np.object_]:
    """Return for each row the reasons why there is no entry; an empty text on an entry.

    The parameters are those of :func:`entry_signals`.
    """
    bias = columns["bias"].to_numpy()
    found = gates(columns, thresholds)
    passes = _all_pass(found)
    starts = zone_starts(bias)
    in_zone = np.full(bias.size, "", dtype=object)
    for name, side in SIDES.items():
        rows = bias == side
        enters = entries(bias, side, passes[side], mode)
        # Entries up to a row, less those up to where its zone began.
        count = np.cumsum(enters)
        zone = starts.searchsorted(np.arange(bias.size), side="right") - 1
        before = np.append(0, count)[starts[zone]] if starts.size else 0
        holds = {gate: ~passed[side] for gate, passed in found.items()}
        holds[ENTERED] = (count - before > 0) & ~enters
        if mode == "flip":
            first = np.zeros(bias.size, np.bool_)
            first[starts] = True
            holds[NOT_FIRST] = ~first
        if name not in sides:
            holds = {SIDE_OFF: np.ones(bias.size, np.bool_)}
        for reason, where in holds.items():
            told = rows & where
            in_zone[told & (in_zone != "")] += ", "
            in_zone[told] += reason
    in_zone[bias == NONE] = NO_BIAS
    return in_zone


def no_entry_reason(
    columns: pd.DataFrame,
    thresholds: Thresholds,
    row: int,
    mode: EntryMode = "zone",
    sides: Collection[str] = ("short", "long"),
) -> str:
    """Return the reason for one row, equal to that row's of :func:`no_entry_reasons`.

    It depends on the row's own zone only.

    :param row: number of the row, from 0.

    >>> no_entry_reason(pd.DataFrame({"bias": [-1, 0]}), Thresholds(), 1)
    'no bias'
    """
    bias = columns["bias"].to_numpy()
    if bias[row] == NONE:
        return NO_BIAS
    others = np.flatnonzero(bias[:row] != bias[row])
    # With the row before its zone, so that the zone begins where it does.
    zone = columns.iloc[others[-1] if others.size else 0 : row + 1]
    return str(no_entry_reasons(zone, thresholds, mode, sides)[-1])


def exit_signals(columns: pd.DataFrame) -> pd.DataFrame:
    """Return ``exit_short``, ``exit_long`` (0 or 1) and ``exit_tag``.

    Source: ``docs/reference/signal.md``, rule 10: the bias leaves the position's side.

    :param columns: the columns of the signal.
    """
    return pd.DataFrame(exit_columns(columns), index=columns.index)


def exit_columns(columns: pd.DataFrame) -> dict[str, Signal]:
    """Return the columns of :func:`exit_signals` by name, without building a dataframe."""
    bias = columns["bias"].to_numpy()
    leaves = {name: exits(bias, side) for name, side in SIDES.items()}
    signals: dict[str, Signal] = {
        f"exit_{name}": rows.astype(np.int64) for name, rows in leaves.items()
    }
    reasons = exit_reasons(bias, np.isfinite(columns["premium"].to_numpy()))
    reasons[~(leaves["short"] | leaves["long"])] = None
    return {**signals, "exit_tag": pd.Series(reasons, index=columns.index, dtype=object)}


def overdue_exit(
    columns: pd.DataFrame,
    side: str,
    age: int,
    max_stale_candles: int,
    since_signal: int | None = None,
) -> str | None:
    """Return why a position must end whose exit signal was missed; None where it may stay.

    An exit signal lasts one candle, and a bot that was down misses it. A position that was entered
    without a bias of its side, by hand, has no such exit.

    :param columns: the columns of the signal up to now, at least one row.
    :param side: ``short`` or ``long``: the side of the position.
    :param age: candles for which the position has been open.
    :param max_stale_candles: consecutive candles without a premium that end a bias; 0 switches
        this off.
    :param since_signal: rows from the candle before its entry on; None where that candle is
        older than the columns.
    """
    bias = columns["bias"].to_numpy()
    has_premium = np.isfinite(columns["premium"].to_numpy())
    if bias[-1] == SIDES[side]:
        return None
    if not has_premium.any() and not 0 < max_stale_candles <= age:
        # Nothing is known of the bias: no candle at hand has a spot price.
        return None
    in_zone = since_signal is None or SIDES[side] in bias[bias.size - since_signal :]
    if has_premium.any() and not in_zone:
        return None
    since = np.flatnonzero(bias != bias[-1])
    left = int(since[-1]) + 1 if since.size else 0
    return str(exit_reasons(bias, has_premium)[left])


def reached_middle(columns: pd.DataFrame, side: str) -> bool:
    """Return whether the price returned to the middle Bollinger band on the last candle.

    The close must have been on the outer side of the middle before: a position that was entered on
    the inner side cannot return to it.

    :param columns: ``close`` and ``bb_middle`` from the signal's candle up to now.
    :param side: ``short`` or ``long``: the side of the position.

    >>> rows = pd.DataFrame({"close": [9.0, 8.5, 7.9], "bb_middle": [8.0, 8.0, 8.0]})
    >>> reached_middle(rows, "short"), reached_middle(rows, "long")
    (True, False)
    """
    distance = (columns["close"] - columns["bb_middle"]).to_numpy() * -SIDES[side]
    return bool(distance.size) and bool(distance[-1] <= 0) and bool((distance[:-1] > 0).any())
