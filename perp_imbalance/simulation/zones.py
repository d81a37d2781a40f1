"""Compiled code that computes signals and trades for many sets of thresholds.

It follows the same rules as ``perp_imbalance.indicators.hysteresis``; a test checks that the two
agree. It jumps from one extreme z-score to the next, and skips most candles.
"""

from perp_imbalance.simulation.compiling import cached, compiled
from perp_imbalance.simulation.kernel import run
from perp_imbalance.simulation.markets import (
    ENTER_LONG,
    ENTER_SHORT,
    EXIT_LONG,
    EXIT_SHORT,
    Flags,
    Floats,
    Ints,
)
from perp_imbalance.simulation.records import Records


@compiled
def zone_events(  # noqa: C901
    z: Floats,
    is_stale: Flags,
    gates: Flags,
    chosen: Ints,
    number: int,
    extremes: Ints,
    place: int,
    last: int,
    end: int,
    enter_z: float,
    exit_z: float,
    only_flips: bool,
    begin: int,
    shift: int,
    events: Records,
    count: int,
) -> int:
    """Append the signals of one pair; return the new number of signals.

    :param z: z-scores of all pairs.
    :param is_stale: whether a run of candles without a premium ends a bias here.
    :param gates: bits ``ENTER_LONG`` and ``ENTER_SHORT`` where a gate passes, one row per gate.
    :param chosen: the gates that must pass, one row for each ``number``; -1 for none.
    :param extremes: rows that include all with ``|z|`` of at least ``enter_z``; the pair's are
        those from ``place`` up to ``last``.
    :param end: the row after the pair's last one.
    :param only_flips: True for entry mode ``flip``, False for ``zone``.
    :param begin: the pair's first row that can be traded; earlier signals are not written.
    :param shift: row of ``Markets`` minus row of ``z``.
    """
    done = 0
    for at in range(place, last):
        row = extremes[at]
        if row < done or (-enter_z < z[row] < enter_z):
            continue
        side = -1 if z[row] > 0.0 else 1
        bits, may_enter = 0, True
        while True:
            if may_enter:
                wanted = ENTER_LONG if side > 0 else ENTER_SHORT
                for column in range(chosen.shape[1]):
                    gate = chosen[number, column]
                    if gate >= 0 and not gates[gate, row] & wanted:
                        wanted = 0
                        break
                may_enter = wanted == 0 and not only_flips
                bits |= wanted
            if bits and row >= begin:
                event = events[count]
                event.row = row + shift
                event.bits = bits
                count += 1
            row += 1
            if row >= end or side == 0:
                break
            bits, value, before = 0, z[row], side
            if value >= enter_z:
                side = -1
            elif value <= -enter_z:
                side = 1
            elif -exit_z < value < exit_z or is_stale[row]:
                side = 0
            if side != before:
                bits = EXIT_LONG if before > 0 else EXIT_SHORT
                may_enter = side != 0
        done = row
    return count


@cached
def run_many(
    candles: Records,
    funding: Floats,
    first: Ints,
    limits: Records,
    tiers: Records,
    middle: Floats | None,
    terms: Records,
    protections: Records,
    z: Floats,
    is_stale: Flags,
    gates: Flags,
    z_first: Ints,
    only_flips: bool,
    extremes: Ints,
    extreme_first: Ints,
    levels: Floats,
    chosen: Ints,
    begin: int,
    events: Records,
    event_first: Ints,
    positions: Records,
    wallets: Records,
    trades: Records,
    ends: Ints,
) -> int:
    """Write the trades of many sets of thresholds; return the number of sets that fit into memory.

    The parameters are those of :func:`run` and :func:`zone_events`, and:

    :param z_first: each pair's first row of ``z``, and the number of all rows; the last rows of a
        pair match ``Markets``, earlier ones are history.
    :param extreme_first: each pair's first element of ``extremes``, and the number of elements.
    :param levels: ``enter_z`` and ``exit_z``, one row per set.
    :param begin: number of sets done before.
    :param events: working memory as long as ``z``, together with ``event_first``.
    :param ends: output: number of trades up to and including each set's.
    """
    pairs, used = first.size - 1, 0
    event_first[0] = 0
    for number in range(begin, levels.shape[0]):
        entries = 0
        for p in range(pairs):
            shift = first[p + 1] - z_first[p + 1]
            event_first[p + 1] = zone_events(
                z,
                is_stale,
                gates,
                chosen,
                number,
                extremes,
                extreme_first[p],
                extreme_first[p + 1],
                z_first[p + 1],
                levels[number, 0],
                levels[number, 1],
                only_flips,
                first[p] - shift,
                shift,
                events,
                event_first[p],
            )
        for event in range(event_first[pairs]):
            if events[event].bits & (ENTER_LONG | ENTER_SHORT) != 0:
                entries += 1
        if used + entries > trades.size:
            return number
        used += run(
            candles,
            funding,
            first,
            limits,
            tiers,
            events,
            event_first,
            middle,
            terms,
            protections,
            positions,
            wallets,
            trades[used:],
        )
        ends[number] = used
    return int(levels.shape[0])
