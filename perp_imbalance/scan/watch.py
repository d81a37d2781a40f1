"""When to look again: after each close of a candle, and a little later for what came late."""

import time
from collections.abc import Callable

from freqtrade.exchange import (
    timeframe_to_next_date,
    timeframe_to_prev_date,
    timeframe_to_seconds,
)
from pandas import Timedelta, Timestamp

from perp_imbalance.scan.rank import Ranking

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


def watch(
    look: Callable[[], Ranking],
    show: Callable[[Ranking], None],
    *,
    timeframe: str,
    patience: float,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Look and show, again and again, until interrupted.

    :param look: asks the exchange.
    :param show: is called where something is new.
    """
    before = None
    while True:
        found = look()
        newest = [(row.perp, row.candle) for row in found.rows]
        if newest != before:
            show(found)
            before = newest
        sleep(seconds_to_wait(found, timeframe, Timestamp.now("UTC"), patience))
