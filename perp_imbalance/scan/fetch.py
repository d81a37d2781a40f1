"""Request the data of a scan through freqtrade's exchange, with public calls only."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import ccxt
from freqtrade.enums import CandleType, TradingMode
from freqtrade.exceptions import FreqtradeException
from freqtrade.exchange import date_minus_candles, timeframe_to_seconds
from freqtrade.misc import chunks
from freqtrade.util import dt_ts
from pandas import DataFrame, Timestamp

from perp_imbalance.errors import BridgeError, CommandError, DataError
from perp_imbalance.freqtrade_bridge.exchange import (
    match_perps,
    open_exchange,
    pair_taker_fee,
    price_step,
    public_client,
)
from perp_imbalance.freqtrade_bridge.logs import (
    quiet_freqtrade,
    silent_logs,
    translate_freqtrade_errors,
)
from perp_imbalance.freqtrade_bridge.pairs import without_blacklisted
from perp_imbalance.freqtrade_bridge.strategies import load_strategy
from perp_imbalance.indicators.gates import active_gates
from perp_imbalance.indicators.higher_timeframe import check_higher
from perp_imbalance.indicators.positioning import FUNDING_HOURS
from perp_imbalance.indicators.thresholds import PRESETS, TIMEFRAME, Thresholds
from perp_imbalance.markets.pair_premium import passed_over
from perp_imbalance.markets.spot_matching import SpotMatch, about_spotless, is_perp
from perp_imbalance.markets.spot_setting import check_spot_setting
from perp_imbalance.scan.records import Funding, Key, Rules, Snapshot
from perp_imbalance.strategy.gate_series import check_series, gate_series, gate_series_keys
from perp_imbalance.strategy.parameters import BIAS_MEMORY, STARTUP_CANDLES
from perp_imbalance.strategy.settings import Settings

#: Told what is being done: the text, steps done, steps in all.
Tell = Callable[[str, int, int], None]

# Series asked for in one go; freqtrade itself sends no more than 100 requests at once.
_AT_ONCE = 40


def rules_of(config: dict[str, Any], *, preset: str | None = None) -> Rules:
    """Return the thresholds for the ranking.

    :param preset: one of ``PRESETS``; by default the config's strategy with its parameter file.
    :raises CommandError: if freqtrade refuses the strategy, or it is not based on PerpImbalance.
    """
    settings = Settings.from_config(config)
    if preset:
        thresholds = settings.gated(PRESETS[preset])
        for gate in active_gates(thresholds):
            if gate.series:
                kind = CandleType(gate.series.candle_type)
                check_series(config["exchange"]["name"], kind, gate.switch)
        timeframe = str(config.get("timeframe", TIMEFRAME))
        rules = Rules(
            preset,
            timeframe,
            settings.htf_timeframe,
            thresholds,
            settings.max_stale_candles,
            settings.of_preset(preset).sides,
        )
    else:
        name = config.get("strategy")
        if not name:
            raise CommandError("the config names no strategy: name one with --strategy or --preset")
        strategy = load_strategy(config, with_parameters=True)
        if not isinstance(getattr(strategy, "settings", None), Settings):
            raise CommandError(f"{name} is not based on PerpImbalance: name a --preset")
        rules = Rules(
            name,
            str(config.get("timeframe", strategy.timeframe)),
            settings.htf_timeframe,
            strategy.thresholds(),
            int(strategy.max_stale_candles.value),
            strategy.settings.sides,
        )
    if rules.thresholds.use_htf:
        check_higher(rules.timeframe, rules.htf_timeframe)
    return rules


def candles_needed(thresholds: Thresholds) -> int:
    """Return the number of candles for an exact bias, at most the number that a bot loads."""
    return min(thresholds.lookback + BIAS_MEMORY, STARTUP_CANDLES)


class Feed:
    """An exchange with a cache of candles, for repeated scans.

    :ivar matches: the matches of all perps of the stake currency.
    :ivar wanted: matches that have a source of a premium.
    """

    def __init__(self, config: dict[str, Any], exchange: Any, rules: Rules) -> None:
        self.config, self.exchange, self.rules = config, exchange, rules
        self._settled: dict[str, SpotMatch] = {}
        self._match()
        if not self.wanted:
            source = Settings.from_config(config).premium_source
            why = about_spotless(self.matches, exchange.markets.values(), exchange.id)
            raise DataError(
                f"{exchange.id} has no {config['stake_currency']} perp with a price to compare it "
                f'with (premium_source "{source}"): {why or "see perp-imbalance pairs"}'
            )
        self._client = public_client(config, exchange)
        self._seen = False

    def _match(self) -> None:
        """Match the currently listed perps."""
        perps = self.exchange.get_markets(
            quote_currencies=[self.config["stake_currency"]], tradable_only=True, active_only=True
        )
        self.matches = match_perps(
            self.exchange.markets,
            Settings.from_config(self.config),
            str(self.config["exchange"]["name"]),
            without_blacklisted(
                self.config, [name for name, market in perps.items() if is_perp(market)], perps
            ),
        )
        self.matches = [self._settled.get(match.perp, match) for match in self.matches]
        self.wanted = [match for match in self.matches if match.spot is not None]

    def _match_anew(self) -> None:
        """Match perps again when freqtrade has reloaded the markets."""
        markets = self.exchange.markets
        self.exchange.reload_markets(load_leverage_tiers=False)
        if self.exchange.markets is not markets:
            self._match()
            self._client.set_markets(self.exchange.markets)

    @property
    def late_candle_grace(self) -> float:
        """Seconds after a close during which freqtrade requests a late candle."""
        return float(self.exchange.get_option("ohlcv_late_candle_grace_secs", 0))

    def snapshot(self, tell: Tell = lambda *_: None) -> Snapshot:
        """Return candles up to the last closed one, volumes, funding rates and fees.

        :raises BridgeError: if the exchange answers no request for candles.
        """
        now = Timestamp.now("UTC")
        if self._seen:
            # Without a network freqtrade logs a page, and goes on with the markets that it has.
            with silent_logs():
                self._match_anew()
        keys = [key for match in self.wanted for key in self._series(match)]
        frames: dict[Key, DataFrame] = {}
        with quiet_freqtrade():
            for part in chunks(keys, _AT_ONCE):
                tell(f"candles of {part[0][0]}", len(frames), len(keys))
                answered = self._candles(part)
                if not answered:
                    # The next requests would wait as long, and fail, too.
                    raise BridgeError(
                        f"{self.exchange.id} answers no request for candles: check the network "
                        "(it also refuses too many requests)"
                    )
                frames |= answered
            tell("volumes and funding", len(keys), len(keys))
            volume, funding = self._volumes(), self._funding(now)
        self._seen = True
        with quiet_freqtrade():
            self._settle(frames)
        step = {
            pair: price_step(self.exchange, pair)
            for match in self.wanted
            for pair in (match.perp, str(match.spot))
        }
        # Past funding rates have a timeframe of their own, which is no matter from here on.
        frames = {
            (
                pair,
                self.rules.timeframe if kind == CandleType.FUNDING_RATE else timeframe,
                kind,
            ): frame
            for (pair, timeframe, kind), frame in frames.items()
            if len(frame)
        }
        round_trip = {
            match.perp: 2e4 * pair_taker_fee(self.exchange, match.perp, self.config)
            for match in self.wanted
        }
        return Snapshot(frames, now, step, volume, funding, round_trip)

    def _settle(self, frames: dict[Key, DataFrame]) -> None:
        """Skip sources whose prices do not match the perp's; add the candles of the next ones."""
        while True:
            moved = []
            for match in self.wanted:
                perp, candles = (
                    frames.get((pair, self.rules.timeframe, kind), DataFrame())
                    for pair, kind in (
                        (match.perp, CandleType.FUTURES),
                        (str(match.spot), CandleType(match.source)),
                    )
                )
                reason = match.others and passed_over(
                    *(match, perp, candles, self.rules.timeframe), is_live=True
                )
                if reason:
                    moved.append(match.next(reason))
            if not moved:
                return
            self._settled |= {match.perp: match for match in moved}
            self._match()
            for part in chunks([key for match in moved for key in self._series(match)], _AT_ONCE):
                frames |= self._candles(part)

    def _series(self, match: SpotMatch) -> Iterator[Key]:
        timeframes = [self.rules.timeframe]
        if self.rules.thresholds.use_htf:
            timeframes.append(self.rules.htf_timeframe)
        for timeframe in timeframes:
            yield match.perp, timeframe, CandleType.FUTURES
            yield str(match.spot), timeframe, CandleType(match.source)
        funding_timeframe = str(self.exchange.get_option("funding_fee_timeframe"))
        kinds = gate_series(self.rules.thresholds)
        yield from gate_series_keys(match.perp, kinds, self.rules.timeframe, funding_timeframe)

    def _candles(self, keys: Sequence[Key]) -> dict[Key, DataFrame]:
        """Return candles: all that are needed the first time, later only new ones."""
        if self._seen:
            return dict(self.exchange.refresh_latest_ohlcv(list(keys), cache=True))
        frames: dict[Key, DataFrame] = {}
        for timeframe in dict.fromkeys(timeframe for _, timeframe, _ in keys):
            since = date_minus_candles(timeframe, candles_needed(self.rules.thresholds))
            frames |= self.exchange.refresh_latest_ohlcv(
                [key for key in keys if key[1] == timeframe], since_ms=dt_ts(since), cache=True
            )
        return frames

    def _volumes(self) -> dict[str, float]:
        """Return the 24 h volume by perp; empty if the exchange does not report it."""
        try:
            tickers = self.exchange.get_tickers(market_type=TradingMode.FUTURES)
        except FreqtradeException:
            return {}
        return _numbers(tickers, "quoteVolume")

    def _funding(self, now: Timestamp) -> dict[str, Funding]:
        """Return the funding by perp, if the exchange reports all perps in one answer."""
        client = self._client
        try:
            if hasattr(self.exchange, "fetch_funding_rates"):
                rates = self.exchange.fetch_funding_rates()
            else:
                rates = client.fetch_funding_rates([match.perp for match in self.wanted])
            intervals = rates
            # Binance tells intervals elsewhere, and only those that are not 8 hours.
            has_any = any(answer.get("interval") for answer in rates.values())
            if not has_any and client.has.get("fetchFundingIntervals") is True:
                intervals = client.fetch_funding_intervals()
        except (FreqtradeException, ccxt.BaseError):
            return {}
        return {
            pair: funding_of(
                rate,
                intervals.get(pair, {}).get("interval"),
                (rates[pair].get("fundingTimestamp"), rates[pair].get("nextFundingTimestamp")),
                now,
            )
            for pair, rate in _numbers(rates, "fundingRate").items()
        }


def funding_of(
    rate: float, interval: str | None, due: Sequence[float | None], now: Timestamp
) -> Funding:
    """Return a funding rate with its interval, scaled so that different intervals are comparable.

    :param interval: interval of payments in ccxt's format; None for 8 hours.
    :param due: times of payments in ms from the exchange; the first future one is used.

    >>> now = pd.Timestamp("2026-01-01 12:05", tz="UTC")
    >>> round(funding_of(0.0001, "4h", (), now).per_8_hours, 9), funding_of(0.0001, None, (), now)
    (0.0002, Funding(per_8_hours=0.0001, hours=8.0, due=None))
    """
    hours = float(FUNDING_HOURS) if interval is None else timeframe_to_seconds(interval) / 3600
    times = [Timestamp(at, unit="ms", tz="UTC") for at in due if at]
    return Funding(
        rate * FUNDING_HOURS / hours, hours, min((at for at in times if at > now), default=None)
    )


def _numbers(answers: Mapping[str, Mapping[str, Any]], name: str) -> dict[str, float]:
    found = {pair: answer.get(name) for pair, answer in answers.items()}
    return {pair: float(value) for pair, value in found.items() if value is not None}


@contextmanager
def open_feed(config: dict[str, Any], rules: Rules) -> Iterator[Feed]:
    """Open the exchange, and close it when the block ends.

    :raises CommandError: if the exchange is unknown or does not answer.
    :raises DataError: if it has no perp with a premium.
    """
    if Settings.from_config(config).uses_spot:
        check_spot_setting(config)
    name = config["exchange"]["name"]
    with open_exchange(config) as exchange:
        with translate_freqtrade_errors(f"exchange {name}"):
            feed = Feed(config, exchange, rules)
            # Of a candle that follows, freqtrade keeps as many before it as are said here.
            exchange.validate_config(
                {**config, "startup_candle_count": candles_needed(rules.thresholds)}
            )
        yield feed
