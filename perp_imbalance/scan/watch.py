"""When to look again, after each close of a candle and for late ones, and what has changed."""

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
    """Return how long it is until there can be something new.

    :param ranking: what was found last.
    :param patience: seconds after a close in which candles may come late.
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
    """A perp whose bias is another one."""

    perp: str
    before: str
    now: str


class Changes(NamedTuple):
    """What differs from a ranking of an earlier candle.

    :ivar since: when that candle opened.
    :ivar values: by how much what the ranking goes by differs, of each perp that was ranked.
    :ivar flips: of all perps that were and are ranked.
    :ivar entered: perps of the rows that were in none before.
    :ivar left: perps of the rows before that are in none now.
    :ivar premium_mean: by how much the mean premium of all perps differs, in bps.
    """

    since: Timestamp
    values: dict[str, float]
    flips: list[Flip]
    entered: list[str]
    left: list[str]
    premium_mean: float | None


def changes(before: Ranking, now: Ranking) -> Changes:
    """Return what differs between two rankings that go by the same and have rows."""
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
    """Look and show, again and again, until interrupted.

    :param look: asks the exchange.
    :param show: is called where something is new, with what differs from the last candle's ranking.
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
