"""The trades of any thresholds on the pairs of a folder, as ``perp-imbalance backtest`` makes them.

freqtrade takes a second or more for what takes the simulation some microseconds; the trades are the
same (``tests/integration/test_threshold_trades.py``).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perp_imbalance.errors import SettingsError
from perp_imbalance.freqtrade_bridge.exchange import taker_fee
from perp_imbalance.indicators.bands import bollinger_bands
from perp_imbalance.indicators.rolling import Floats
from perp_imbalance.indicators.thresholds import Thresholds
from perp_imbalance.markets.exchange_name import exchange_name
from perp_imbalance.replay.overlay import SPOKEN
from perp_imbalance.research.pair_history import PairHistory
from perp_imbalance.research.screen import Screen
from perp_imbalance.simulation import (
    Markets,
    Rules,
    Signals,
    Trades,
    join,
    simulate,
    terms_of,
    zone_flags,
)
from perp_imbalance.strategy.order_rules import stoploss_of_stake
from perp_imbalance.strategy.settings import Settings


class ThresholdTrades:
    """Pairs of a folder with one wallet, ready to be traded by any thresholds.

    Use: ``ThresholdTrades(list(folder.traded(pairs)), settings, rules).trades(Thresholds())``

    :param histories: of :meth:`PairHistories.traded`, in the order of the whitelist.
    :param settings: sides, entry mode and the stale rule; what else it has of trading is in
        ``rules``.
    :param rules: of :func:`rules_of_config`.
    :ivar pairs: their names.
    :ivar times: of each pair the opening of its candles in ns; row 0 is the first that can be
        traded, and rows of trades count from there.
    :raises SettingsError: if the rules cannot be simulated.
    """

    def __init__(self, histories: Sequence[PairHistory], settings: Settings, rules: Rules) -> None:
        self._histories, self._settings, self.rules = histories, settings, rules
        self._screens = [Screen(history, settings, (), 0.0) for history in histories]
        self._has_premium = [np.isfinite(history.premium) for history in histories]
        markets = [_market_of(history) for history in histories]
        self._markets = join(markets)
        self._terms = terms_of(rules)
        self._middle_of = lru_cache(1)(self._middle)
        self.pairs = [history.match.perp for history in histories]
        self.times: list[NDArray[np.int64]] = [market.times for market in markets]

    def trades(self, thresholds: Thresholds) -> Trades:
        """Return the trades, records of ``TRADE``, in the order in which they close."""
        flags = [self._flags(place, thresholds) for place in range(len(self.pairs))]
        middle = self._middle_of(thresholds.bb_len if self.rules.scale_out else 0)
        return simulate(self._markets, Signals(np.concatenate(flags), middle), self._terms)

    def each(self, combinations: Iterable[Thresholds]) -> Iterator[Trades]:
        """Return the trades of many, quick where neighbours share much, as ``Grid`` gives them."""
        return map(self.trades, combinations)

    def alone(self) -> list["ThresholdTrades"]:
        """Return each pair with a wallet of its own."""
        return [
            ThresholdTrades([history], self._settings, self.rules) for history in self._histories
        ]

    def _flags(self, place: int, thresholds: Thresholds) -> NDArray[np.uint8]:
        screen, has_premium = self._screens[place], self._has_premium[place]
        nowhere = np.zeros_like(has_premium)
        passes = {
            side: screen.passes_of(thresholds, side)
            for side in ("long", "short")
            if side in self._settings.entered_sides
        }
        flags = np.empty(has_premium.size, np.uint8)
        zone_flags(
            screen.z_of(thresholds),
            has_premium,
            passes.get("long", nowhere),
            passes.get("short", nowhere),
            thresholds.enter_z,
            thresholds.exit_z,
            self._settings.max_stale_candles,
            self._settings.entry_mode == "flip",
            flags,
        )
        return flags[self._histories[place].begin :]

    def _middle(self, bb_len: int) -> Floats:
        """Return the middle of the bands; NaN where nothing asks for it."""
        if not bb_len:
            return np.full(self._markets.times.size, np.nan)
        lines = [
            bollinger_bands(history.band_close, bb_len, 1.0).middle[history.begin :]
            for history in self._histories
        ]
        return np.concatenate(lines)


def _market_of(history: PairHistory) -> Markets:
    if history.market is None:
        raise SettingsError(f"{history.match.perp} was not read by PairHistories.traded")
    return history.market


def rules_of_config(
    config: Mapping[str, Any],
    settings: Settings,
    stoploss_of_price: float,
    fee: float | None = None,
) -> Rules:
    """Return the rules by which freqtrade backtests a strategy of this project.

    :param config: freqtrade's, complete.
    :param settings: its section ``perp_imbalance``.
    :param stoploss_of_price: of the strategy's class, below 0; a stoploss of the config counts.
    :param fee: of an order, as a fraction; None for that of a backtest.
    """
    wallet, stake = config["dry_run_wallet"], config["stake_amount"]
    if not isinstance(wallet, (int, float)):
        wallet = wallet.get(config["stake_currency"], 0)
    stoploss = config.get("stoploss")
    if stoploss is None:
        stoploss = stoploss_of_stake(stoploss_of_price, settings.leverage)
    slots, timeout = config["max_open_trades"], config.get("unfilledtimeout", {})
    seconds = 1 if timeout.get("unit") == "seconds" else 60
    return Rules(
        fee=backtest_fee(config) if fee is None else fee,
        stoploss=float(stoploss),
        leverage=settings.leverage,
        wallet=float(wallet),
        stake_amount=0.0 if stake == "unlimited" else float(stake),
        tradable_balance_ratio=config["tradable_balance_ratio"],
        max_open_trades=0 if slots in (-1, float("inf")) else int(slots),
        scale_out=settings.scale_out,
        stop_on_close=settings.stop_on_close,
        max_entry_drift=settings.max_entry_drift,
        amount_reserve=config.get("amount_reserve_percent", 0.05),
        liquidation_buffer=config.get("liquidation_buffer", 0.05),
        exit_timeout=float(timeout.get("exit", 10) * seconds),
    )


def backtest_fee(config: Mapping[str, Any]) -> float:
    """Return the fee with which ``perp-imbalance backtest`` computes: a taker's of the exchange.

    >>> backtest_fee({"exchange": {"name": "binance"}})
    0.0005
    """
    if config.get("fee") is not None:
        return float(config["fee"])
    fee = taker_fee(exchange_name(config))
    return float(taker_fee(SPOKEN) if fee is None else fee)  # type: ignore[arg-type]
