"""What a rehearsal leaves out of freqtrade's work because its result is known already.

Candles of a replay never change once they are over. So it is enough to ask for new ones, frames
without gaps need no cleaning, and funding fees change only when a new rate has been set. A test
holds a bot with these shortcuts against one without, byte for byte.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
from freqtrade.enums import CandleType
from freqtrade.exchange import timeframe_to_msecs
from pandas import DataFrame
from sqlalchemy import event
from sqlalchemy.engine import Engine

from perp_imbalance.freqtrade_bridge.internals import RunningBot
from perp_imbalance.replay import CandleStore
from perp_imbalance.replay.candle_store import Market

#: Minutes between two readings of the market list, which here never changes.
MARKETS_MINUTES = 24 * 60

Clean = Callable[..., DataFrame]


def take_shortcuts(bot: RunningBot, store: CandleStore, now: Callable[[], int]) -> None:
    """Replace the parts of a running bot whose results are known.

    :param store: the candles that the bot is given; they must not change
    :param now: returns the time in ms
    """
    event.listen(Engine, "connect", leave_to_system)
    bot.exchange.Exchange._build_coroutine = ask_for_new_candles(
        bot.exchange.Exchange._build_coroutine
    )
    clean = skip_cleaning(bot.converter.clean_ohlcv_dataframe)
    bot.converter.clean_ohlcv_dataframe = bot.exchange.clean_ohlcv_dataframe = clean
    bot.exchange.Exchange._fetch_and_calculate_funding_fees = fund_when_due(
        bot.exchange.Exchange._fetch_and_calculate_funding_fees, store, now
    )


def leave_to_system(connection: Any, record: Any) -> None:
    """Let a database not wait for the disk; it is whole as long as the machine runs."""
    connection.execute("PRAGMA synchronous = OFF")


def ask_for_new_candles(build: Callable[..., Any]) -> Callable[..., Any]:
    """Return freqtrade's request of candles, from the newest that it has on."""

    def build_from_newest(
        self: Any,
        pair: str,
        timeframe: str,
        candle_type: CandleType,
        since_ms: int | None,
        cache: bool,
    ) -> Any:
        key = (pair, timeframe, candle_type)
        request = build(self, pair, timeframe, candle_type, since_ms, cache)
        # freqtrade itself drops what it has where a hole would come after it.
        held = self._klines.get(key) if cache and since_ms is None else None
        if held is None or held.empty:
            return request
        request.close()
        newest = int(held["date"].iloc[-1].timestamp() * 1000)
        return self._async_get_candle_history(
            pair, timeframe, since_ms=newest, candle_type=candle_type
        )

    return build_from_newest


def skip_cleaning(clean: Clean) -> Clean:
    """Return freqtrade's cleaning of candles, left out where it would change nothing."""

    def clean_if_needed(
        dataframe: DataFrame,
        timeframe: str,
        pair: str,
        *,
        fill_missing: bool,
        drop_incomplete: bool,
        candle_type: CandleType = CandleType.SPOT,
    ) -> DataFrame:
        once = without_repeats(dataframe, timeframe)
        if once is None:
            return clean(
                dataframe,
                timeframe,
                pair,
                fill_missing=fill_missing,
                drop_incomplete=drop_incomplete,
                candle_type=candle_type,
            )
        return once.iloc[:-1] if drop_incomplete else once

    return clean_if_needed


def without_repeats(candles: DataFrame, timeframe: str) -> DataFrame | None:
    """Return candles one timeframe apart, each once; None where they are not, or differ.

    :param candles: date, OHLCV; a candle may be there twice, one after the other
    """
    if "volume" not in candles.columns or len(candles) < 2:
        return None
    times = candles["date"].dt.as_unit("ms").to_numpy(np.dtype("datetime64[ms]")).astype(np.int64)
    steps = np.diff(times)
    repeated = steps == 0
    if not (repeated | (steps == timeframe_to_msecs(timeframe))).all():
        return None
    values = candles.iloc[:, 1:].to_numpy()
    again = np.flatnonzero(repeated)
    if not (values[again] == values[again + 1]).all() or not np.isfinite(values).all():
        return None
    kept = candles[np.append(True, ~repeated)] if len(again) else candles
    return kept.reset_index(drop=True)


def fund_when_due(
    fetch: Callable[..., float], store: CandleStore, now: Callable[[], int]
) -> Callable[..., float]:
    """Return freqtrade's sum of funding fees, computed anew when a rate has been set."""
    perps = {symbol.pair: symbol for symbol in store.symbols(Market.PERP).values()}
    known: dict[tuple[Any, ...], float] = {}

    def fees(
        self: Any,
        pair: str,
        amount: float,
        is_short: bool,
        open_date: datetime,
        close_date: datetime | None = None,
    ) -> float:
        rates = store.finest(perps[pair], CandleType.FUNDING_RATE).closed(now())
        key = (pair, amount, is_short, open_date, close_date, rates)
        if key not in known:
            known[key] = fetch(self, pair, amount, is_short, open_date, close_date)
        return known[key]

    return fees
