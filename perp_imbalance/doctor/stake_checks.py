"""Check stakes that are too small to trade, and stoplosses that are too close to the price."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, NamedTuple

from freqtrade.exceptions import FreqtradeException
from freqtrade.strategy import IStrategy
from freqtrade.strategy.strategy_wrapper import strategy_safe_wrapper
from freqtrade.util import get_dry_run_wallet
from pandas import DataFrame

from perp_imbalance.doctor.findings import Check, Level
from perp_imbalance.doctor.opening import Loaded, is_live, only_tells, settings_of
from perp_imbalance.freqtrade_bridge.exchange import pair_taker_fee
from perp_imbalance.strategy.positions import (
    MARK,
    PRICE_TYPE,
    Positions,
    declaring_class,
    offers_mark_stops,
)
from perp_imbalance.strategy.settings import SECTION

STAKE, STOPLOSS = "stake", "stoploss"

# freqtrade raises a stake to the smallest one by as much.
_RAISED = 1.3

# A position is meant to last for as long as its bias: closer than this, any hour may end it.
_NARROW = 0.01


class Traded(NamedTuple):
    """Figures of a pair from its candles.

    :ivar price: the last price.
    :ivar swing: half the range of a typical candle, a fraction of the price: the usual move against
        a position within one candle.
    """

    pair: str
    price: float
    swing: float

    @classmethod
    def of(cls, pair: str, perp: DataFrame) -> "Traded":
        """Return price and swing of a perp from its candles. There must be at least one candle."""
        ranges = (perp["high"] - perp["low"]) / perp["close"] / 2
        return cls(pair, float(perp["close"].iloc[-1]), float(ranges[perp["volume"] > 0].median()))


class Stake(NamedTuple):
    """The stake of a position.

    :ivar amount: the stake; None if it depends on the balance of a live account.
    :ivar tradable: balance that all positions may use together; None if unknown.
    :ivar is_fixed: whether the config sets the amount.
    """

    amount: float | None
    tradable: float | None
    currency: str
    is_fixed: bool

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Stake":
        """Return the stake of a bot that starts with this config."""
        amount, currency = config["stake_amount"], config["stake_currency"]
        tradable = config.get("available_capital")
        if tradable is None and not is_live(config):
            tradable = get_dry_run_wallet(dict(config)) * config["tradable_balance_ratio"]
        if amount != "unlimited":
            return cls(float(amount), tradable, currency, True)
        trades = config["max_open_trades"]
        shared = None if tradable is None or trades <= 0 else tradable / trades
        return cls(shared, tradable, currency, False)

    def __str__(self) -> str:
        return f"{self.amount:.6g} {self.currency}"


def check_balance(stake: Stake, config: Mapping[str, Any]) -> list[Check]:
    """Check whether the balance covers the stake."""
    if not stake.is_fixed or stake.amount is None or stake.tradable is None:
        return []
    least = stake.amount
    if config["amend_last_stake_amount"]:
        least *= config["last_stake_amount_min_ratio"]
    if least <= stake.tradable:
        return []
    message = (
        f"stake_amount is {stake}, more than the {stake.tradable:.6g} that may be traded: no trade "
        "would ever be opened; lower it, or raise dry_run_wallet or available_capital"
    )
    return [Check(STAKE, Level.MUST_FIX, message)]


def check_stake(pair: str, stake: Stake, smallest: float | None, leverage: float) -> Check:
    """Check a stake against the exchange's smallest stake for a pair.

    :param smallest: the smallest stake, computed by freqtrade; None if there is no limit.
    :param leverage: the leverage for which it was computed.
    """
    if stake.amount is None:
        return Check(STAKE, Level.OK, "known only to a running bot", pair)
    if smallest is None or stake.amount >= smallest:
        return Check(STAKE, Level.OK, f"the exchange takes {stake}", pair)
    said = (
        f"a stake of {stake} is below the smallest one of {smallest:.6g} at leverage {leverage:g}"
    )
    if smallest <= min(stake.amount * _RAISED, stake.tradable or smallest):
        message = f"{said}, to which freqtrade raises it: positions are larger than configured"
        return Check(STAKE, Level.WARNING, message, pair)
    mend = "raise stake_amount" if stake.is_fixed else "raise the balance, lower max_open_trades"
    message = (
        f"{said}: no trade of it would ever be opened; {mend} or take the pair off the whitelist"
    )
    return Check(STAKE, Level.MUST_FIX, message, pair)


class StopDistance(NamedTuple):
    """The distance of a pair's stoploss, compared with other distances.

    :ivar move: distance to the stoploss, a fraction of the price.
    :ivar fees: fees of a round trip, a fraction of the price.
    :ivar swing: see :class:`Traded`.
    :ivar liquidation: distance to the nearer liquidation price, a fraction of the price; NaN if
        unknown.
    """

    pair: str
    leverage: float
    move: float
    fees: float
    swing: float
    liquidation: float = math.nan

    @property
    def finding(self) -> tuple[Level, str]:
        """The level and the message of the finding."""
        if self.move >= self.liquidation:
            return (
                Level.MUST_FIX,
                f"behind its liquidation price, which is {self.liquidation:.2%} away",
            )
        if self.move <= self.fees:
            return Level.MUST_FIX, f"no more than the fees of a round trip ({self.fees:.2%})"
        if self.move <= self.swing:
            return (
                Level.MUST_FIX,
                f"no more than half the range of its usual candle ({self.swing:.2%})",
            )
        if self.move < _NARROW:
            return Level.WARNING, f"less than {_NARROW:.0%}, so that noise ends it before its bias"
        return Level.OK, ""


def check_stoploss(stoploss: float, distances: Sequence[StopDistance]) -> list[Check]:
    """Check the stoploss of the pair for which it is closest to the price.

    :param stoploss: the strategy's, below 0.
    """
    if not distances:
        return []
    order = [Level.MUST_FIX, Level.WARNING, Level.OK]
    worst = min(distances, key=lambda distance: (order.index(distance.finding[0]), distance.move))
    level, why = worst.finding
    if level is Level.OK:
        message = f"at leverage {worst.leverage:g}, where the price has moved by {worst.move:.2%}"
        known = [distance for distance in distances if distance.liquidation > 0]
        if known:
            near = min(known, key=lambda distance: distance.liquidation - distance.move)
            message += f"; {near.pair} is liquidated {near.liquidation:.2%} from its entry"
        return [Check(STOPLOSS, level, message)]
    said = (
        f"at leverage {worst.leverage:g}, a stoploss of {abs(stoploss):.3g} of the stake ends a "
        f"position when the price of {worst.pair} has moved by {worst.move:.2%}"
    )
    others = sum(distance.finding[0] is level for distance in distances) - 1
    mend = "narrow" if worst.move >= worst.liquidation else "widen"
    more = f", and so for {others} more pair{'s' if others > 1 else ''}" if others else ""
    message = f"{said}, {why}{more}: lower {SECTION}.leverage, or {mend} the stoploss"
    return [Check(STOPLOSS, level, message)]


def check_stoploss_source(loaded: Loaded, overrides: Mapping[str, Any]) -> list[Check]:
    """Report a stoploss that the user has set, which freqtrade applies to the stake.

    :param overrides: the config's own values.
    """
    strategy = loaded.strategy
    if settings_of(strategy) is None:
        return []
    declaring = declaring_class(type(strategy), "stoploss")
    if "stoploss" in overrides:
        source = "the config"
    elif "stoploss" in loaded.params:
        source = "the parameter file"
    elif Positions not in declaring.__bases__:
        source = declaring.__name__
    else:
        return []
    message = (
        f"{source} sets it to {strategy.stoploss:g} of the stake, which leverage does not scale, "
        "in place of the strategy's own of the price"
    )
    return [Check(STOPLOSS, Level.OK, message)]


def check_price_type(exchange: Any, strategy: Any) -> list[Check]:
    """Report which price triggers the stop on the exchange.

    :param exchange: freqtrade's open exchange.
    """
    types = strategy.order_types
    if settings_of(strategy) is None or not types.get("stoploss_on_exchange"):
        return []
    own = types.get(PRICE_TYPE)
    if own is None and not offers_mark_stops(exchange):
        message = (
            f"{exchange.name} offers freqtrade no stop by the mark price: one trade at the stop's "
            "price triggers it"
        )
        return [Check(STOPLOSS, Level.WARNING, message)]
    return [Check(STOPLOSS, Level.OK, f"the {own or MARK} price triggers it on the exchange")]


def examine_money(
    config: Mapping[str, Any], exchange: Any, strategy: Any, traded: Sequence[Traded]
) -> tuple[list[Check], list[StopDistance]]:
    """Check stake and stoploss of every pair, computed as by freqtrade for an entry.

    :param exchange: freqtrade's open exchange.
    :param strategy: the strategy, loaded by freqtrade.
    :param traded: the pairs that have candles.
    """
    if only_tells(strategy):
        return [], []
    stake = Stake.of(config)
    # A strategy may stake what it likes.
    is_own = type(strategy).custom_stake_amount is not IStrategy.custom_stake_amount
    checks = [] if is_own else check_balance(stake, config)
    limits = _Limits(exchange, stake.amount or 0.0)
    distances = []
    for each in traded:
        leverage = limits.capped(each.pair, _leverage(strategy, each))
        if leverage is None:
            continue
        if not is_own:
            smallest = exchange.get_min_pair_stake_amount(
                each.pair, each.price, strategy.stoploss, leverage
            )
            checks.append(check_stake(each.pair, stake, smallest, leverage))
        move = abs(strategy.stoploss) / leverage
        liquidation = limits.liquidation(each, leverage)
        fees = 2 * pair_taker_fee(exchange, each.pair, config)
        distances.append(StopDistance(each.pair, leverage, move, fees, each.swing, liquidation))
    checks += check_stoploss(strategy.stoploss, distances) + check_price_type(exchange, strategy)
    return checks, distances


def _leverage(strategy: Any, traded: Traded) -> float | None:
    """Return the strategy's leverage without the exchange's limit; None if it cannot be computed.

    A strategy may need data that exists only in a running bot.
    """
    asked = strategy_safe_wrapper(strategy.leverage, supress_error=True)(
        pair=traded.pair,
        current_time=datetime.now(UTC),
        current_rate=traded.price,
        proposed_leverage=1.0,
        max_leverage=float("inf"),
        entry_tag=None,
        side="long",
    )
    return None if asked is None else max(1.0, float(asked))


class _Limits:
    """The exchange's leverage limits, requested only if a strategy uses leverage."""

    def __init__(self, exchange: Any, stake: float) -> None:
        self._exchange = exchange
        self._stake = stake

    def capped(self, pair: str, leverage: float | None) -> float | None:
        """Return a leverage, at most the exchange's limit if it is known."""
        if leverage is None or leverage <= 1:
            return leverage
        if self._are_known:
            try:
                return min(leverage, float(self._exchange.get_max_leverage(pair, self._stake)))
            except FreqtradeException:
                # A stake beyond all of them is capped elsewhere, and its leverage with it.
                return leverage
        limit = self._exchange.markets[pair]["limits"].get("leverage", {}).get("max")
        return min(leverage, float(limit)) if limit else leverage

    def liquidation(self, traded: Traded, leverage: float) -> float:
        """Return the distance to the nearer liquidation price, with freqtrade's buffer.

        A fraction of the price; NaN if unknown. It is the value of a dry-run and of a backtest; the
        exchange computes that of a live position.
        """
        if not self._are_known:
            return math.nan
        stake = self._stake or traded.price
        distances = []
        for is_short in (False, True):
            try:
                price = self._exchange.get_liquidation_price(
                    pair=traded.pair,
                    open_rate=traded.price,
                    is_short=is_short,
                    amount=stake * leverage / traded.price,
                    stake_amount=stake,
                    leverage=leverage,
                    wallet_balance=stake,
                )
            except FreqtradeException:
                continue
            if price is not None:
                distances.append(abs(price / traded.price - 1))
        return min(distances, default=math.nan)

    @cached_property
    def _are_known(self) -> bool:
        # Else freqtrade asks pair by pair, for a minute; without a key, it knows Binance's itself.
        if not self._exchange.exchange_has("fetchLeverageTiers"):
            return False
        try:
            self._exchange.fill_leverage_tiers()
        except FreqtradeException:
            return False
        return True
