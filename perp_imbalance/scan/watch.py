"""Repeat a scan after each close and for late candles, and find what has changed."""

import time
from collections.abc import Callable
from typing import NamedTuple

from freqtrade.exchange import (
    timeframe_to_next_date,
    timeframe_to_prev_date,
    timeframe_to_seconds,
)
from pandas import Timedelta, Timestamp

from perp_imbalance.scan.records import Ranking

#: Time that an exchange takes to publish a candle, and between looks for one that is late.
PUBLISHED_SECONDS, AGAIN_SECONDS = 4.0, 15.0


def seconds_to_wait(ranking: Ranking, timeframe: str, now: Timestamp, patience: float) -> float:
    """Return the seconds until new candles can exist.

    :param ranking: the last ranking.
    :param patience: seconds after a close in which candles may be late.
    """
    opened = Timestamp(timeframe_to_prev_date(timeframe, now.to_pydatetime()))
    length = Timedelta(seconds=timeframe_to_seconds(timeframe))
    if not ranking.rows:
        return AGAIN_SECONDS
    late = any(row.candle + length < opened for row in ranking.rows) or bool(ranking.left_out)
    if late and (now - opened).total_seconds() + AGAIN_SECONDS <= patience:
        return AGAIN_SECONDS
    following = Timestamp(timeframe_to_next_date(timeframe, now.to_pydatetime()))
    return float((following - now).total_seconds()) + PUBLISHED_SECONDS


class Flip(NamedTuple):
    """A perp whose bias has changed."""

    perp: str
    before: str
    now: str


class Changes(NamedTuple):
    """The changes since a ranking of an earlier candle.

    :ivar since: opening time of the earlier candle.
    :ivar values: change of the ranked value, for perps in both rankings.
    :ivar flips: flips of perps in both rankings.
    :ivar entered: perps that are new in the rows.
    :ivar left: perps that are no longer in the rows.
    :ivar premium_mean: change of the mean premium of all perps, in bps.
    """

    since: Timestamp
    values: dict[str, float]
    flips: list[Flip]
    entered: list[str]
    left: list[str]
    premium_mean: float | None


def changes(before: Ranking, now: Ranking) -> Changes:
    """Return the changes between two rankings by the same value, both with rows."""
    both = [perp for perp in now.standings if perp in before.standings]
    pairs = {perp: (before.standings[perp], now.standings[perp]) for perp in both}
    shown, shows = ([row.perp for row in one.rows] for one in (before, now))
    means = before.market.premium_mean, now.market.premium_mean
    return Changes(
        before.candle,
        {perp: new.value - old.value for perp, (old, new) in pairs.items()},
        [
            Flip(perp, old.bias, new.bias)
            for perp, (old, new) in pairs.items()
            if old.bias != new.bias
        ],
        [perp for perp in shows if perp not in shown],
        [perp for perp in shown if perp not in shows],
        None if means[0] is None or means[1] is None else means[1] - means[0],
    )


def watch(
    look: Callable[[], Ranking],
    show: Callable[[Ranking, Changes | None], None],
    *,
    timeframe: str,
    patience: float,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Repeat the scan until interrupted.

    :param look: scans the exchange.
    :param show: called with each new ranking and the changes since the last candle.
    """
    # What was shown last, and last of an earlier candle: a late candle is no news of another.
    shown: Ranking | None = None
    earlier: Ranking | None = None
    candles = None
    while True:
        found = look()
        newest = [(row.perp, row.candle) for row in found.rows]
        if newest != candles:
            if found.rows:
                if shown and found.candle > shown.candle:
                    earlier = shown
                shown = found
            show(found, changes(earlier, found) if earlier and found.rows else None)
            candles = newest
        sleep(seconds_to_wait(found, timeframe, Timestamp.now("UTC"), patience))
