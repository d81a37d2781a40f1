"""Skip work of freqtrade in a rehearsal if its result is known.

Closed candles of a replay never change. So the bot requests new candles only, does not clean frames
without gaps, sums funding fees only after a new rate, and skips looks that cannot change anything.
Tests compare a bot with these shortcuts to one without them, byte for byte.
"""

import inspect
from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
from freqtrade.enums import CandleType
from freqtrade.exchange import timeframe_to_msecs
from freqtrade.persistence import Trade
from freqtrade.strategy import IStrategy
from pandas import DataFrame
from sqlalchemy import event
from sqlalchemy.engine import Engine

from perp_imbalance.freqtrade_bridge.internals import RunningBot
from perp_imbalance.replay import CandleStore
from perp_imbalance.replay.candle_store import Market
from perp_imbalance.strategy.feed import WatchedFeed
from perp_imbalance.strategy.positions import declaring_class

#: Minutes between two requests of the market list, which does not change in a rehearsal.
MARKETS_MINUTES = 24 * 60

Clean = Callable[..., DataFrame]

# For these two classes, a look is known to do nothing if no trade is open and no candle is new.
# A strategy that overrides a method that runs at each look may do anything.
_KNOWN = (IStrategy, WatchedFeed)
_AT_A_LOOK = (
    *("bot_loop_start", "analyze", "analyze_pair"),
    *(
        name
        for name, value in vars(WatchedFeed).items()
        if inspect.isroutine(value) and not name.startswith("_")
        if not getattr(value, "__isabstractmethod__", False)
    ),
)


def take_shortcuts(bot: RunningBot, store: CandleStore, now: Callable[[], int]) -> None:
    """Replace the parts of a running bot whose results are known.

    :param store: the candles that the bot receives; they must not change
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
    bot.strategy.IStrategy.analyze_pair = skip_known_candles(bot.strategy.IStrategy.analyze_pair)
    bot.freqtrade.FreqtradeBot.process = skip_idle_looks(bot.freqtrade.FreqtradeBot.process)


def leave_to_system(connection: Any, record: Any) -> None:
    """Make a database commit without waiting for the disk; only a machine crash can damage it."""
    connection.execute("PRAGMA synchronous = OFF")


def ask_for_new_candles(build: Callable[..., Any]) -> Callable[..., Any]:
    """Return freqtrade's candle request, changed to start at the newest candle it already has."""

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
        # freqtrade itself drops its candles if the new ones would leave a gap.
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
    """Return freqtrade's cleaning of candles, which is skipped if it would change nothing."""

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
    """Return candles one timeframe apart without duplicates; None if there are gaps or conflicts.

    :param candles: date, OHLCV; a candle may occur twice in a row
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
    """Return freqtrade's sum of funding fees, recomputed only after a new rate."""
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


def skip_known_candles(analyze: Callable[..., None]) -> Callable[..., None]:
    """Return freqtrade's analysis of a pair, which is skipped if the newest candle was analysed.

    freqtrade would otherwise copy all candles and discard the copy.
    """

    def analyze_unless_known(self: Any, pair: str) -> None:
        if self.process_only_new_candles:
            kind = self.config["candle_type_def"]
            frame = self.dp.ohlcv(pair, self.timeframe, copy=False, candle_type=kind)
            known = self._IStrategy__last_candle_seen_per_pair.get(pair)
            if len(frame) and frame["date"].iloc[-1] == known:
                return
        analyze(self, pair)

    return analyze_unless_known


def skip_idle_looks(process: Callable[[Any], None]) -> Callable[[Any], None]:
    """Return freqtrade's look at the market, which is skipped if it would change nothing."""

    def process_unless_idle(self: Any) -> None:
        if not (vars(self).get("rehearsal_looked") and is_idle(self)):
            # A failed look may have stopped at any point.
            self.rehearsal_looked = False
            process(self)
            self.rehearsal_looked = True
            return
        # Work that is due by the clock alone, in the order of a complete look.
        self.exchange.reload_markets()
        self._schedule.run_pending()
        Trade.commit()

    return process_unless_idle


def is_idle(bot: Any) -> bool:
    """Return whether a look would change nothing: no trade, order, entry or new candle.

    With a position, every look matters: the price may have reached its stop, an order may be
    filled or time out. Without one, a look enters on the signals of the newest candles, or fetches
    newer candles; freqtrade itself determines whether newer ones can exist.

    :param bot: freqtrade's bot, whose last complete look did not fail
    """
    strategy, pairs = bot.strategy, bot.active_pair_whitelist
    if not pairs or not strategy.process_only_new_candles or not bot.config["dry_run"]:
        return False
    kind = type(strategy)
    if any(declaring_class(kind, name) not in _KNOWN for name in _AT_A_LOOK if hasattr(kind, name)):
        return False
    if Trade.get_open_trade_count() or getattr(strategy, "awaits_market", False):
        return False
    if not all(_waits_for_next_candle(bot, pair) for pair in pairs):
        return False
    wanted = [*bot.pairlists.create_pair_list(pairs), *strategy.gather_informative_pairs()]
    exchange = bot.exchange
    return not any(
        key not in exchange._klines or exchange._now_is_time_to_refresh(*key) for key in wanted
    )


def _waits_for_next_candle(bot: Any, pair: str) -> bool:
    """Return whether a pair's newest candle has no entry, and no missing premium to report."""
    frame, _ = bot.dataprovider.get_analyzed_dataframe(pair, bot.strategy.timeframe)
    if frame.empty:
        return False
    last = frame.iloc[-1]
    return not (last.get("enter_long") or last.get("enter_short")) and bool(
        np.isfinite(last.get("premium", 0.0))
    )
