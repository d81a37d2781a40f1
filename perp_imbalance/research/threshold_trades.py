"""Simulate the trades of any thresholds on the pairs of a folder.

The trades equal those of ``perp-imbalance backtest``, which a test checks. The simulation takes
microseconds where freqtrade takes a second or more.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perp_imbalance.errors import SettingsError
from perp_imbalance.freqtrade_bridge.exchange import taker_fee
from perp_imbalance.indicators.bands import bollinger_bands
from perp_imbalance.indicators.gates import GATES
from perp_imbalance.indicators.hysteresis import stale_rows
from perp_imbalance.indicators.rolling import Floats
from perp_imbalance.indicators.thresholds import Thresholds
from perp_imbalance.markets.exchange_name import exchange_name
from perp_imbalance.replay.overlay import SPOKEN
from perp_imbalance.research.pair_history import PairHistory
from perp_imbalance.research.screen import Screen, ZBasis, gate_key, z_basis, z_of
from perp_imbalance.simulation import (
    Markets,
    Rules,
    Statistics,
    Trades,
    Zones,
    join,
    not_simulated,
    simulate_many,
    statistics,
    terms_of,
)
from perp_imbalance.simulation.markets import ENTER_LONG, ENTER_SHORT, Ints
from perp_imbalance.strategy.order_rules import LIQUIDATION_BUFFER, stoploss_of_stake
from perp_imbalance.strategy.settings import Settings

# Combinations that are simulated at a time, and what the gates of so many may take.
_BATCH, _GATE_BYTES = 256, 32 * 2**20
_ENTERS = {"long": ENTER_LONG, "short": ENTER_SHORT}


class _GateRows:
    """Where gates pass on the candles of all pairs, one row per setting of a gate.

    :ivar rows: bits ``ENTER_LONG`` and ``ENTER_SHORT``; the first row shows where there is a
        premium, on the sides that may be entered.
    :ivar is_full: whether the next setting overwrites all others.
    """

    def __init__(
        self, screens: Sequence[Screen], histories: Sequence[PairHistory], sides: Sequence[str]
    ) -> None:
        self._screens = screens
        candles = sum(history.premium.size for history in histories)
        self.rows = np.zeros((max(2 * len(GATES), _GATE_BYTES // candles), candles), np.uint8)
        bits = sum(_ENTERS[side] for side in sides)
        has_premium = np.concatenate([np.isfinite(history.premium) for history in histories])
        self.rows[0] = has_premium * np.uint8(bits)
        self._gates = [(gate, gate.is_on, gate_key(gate)) for gate in GATES]
        self._kept: dict[Any, int] = {}

    @property
    def is_full(self) -> bool:
        return len(self._kept) + len(GATES) >= len(self.rows)

    def places(self, thresholds: Thresholds) -> list[int]:
        """Return the number of each gate's row; -1 for a gate that is off."""
        if self.is_full:
            self._kept.clear()
        found = [0]
        for gate, is_on, key_of in self._gates:
            if not is_on(thresholds):
                found.append(-1)
                continue
            key = gate.name, key_of(thresholds)
            place = self._kept.get(key)
            if place is None:
                place = self._kept[key] = len(self._kept) + 1
                passes = [screen.gate_passes(gate, thresholds) for screen in self._screens]
                self.rows[place] = 0
                for side, bit in _ENTERS.items():
                    rows = np.concatenate([of_pair[side] for of_pair in passes])
                    self.rows[place] |= rows * np.uint8(bit)
            found.append(place)
        return found


class ThresholdTrades:
    """Pairs of a folder with one wallet, on which any thresholds can be traded.

    Use: ``ThresholdTrades(list(folder.traded(pairs)), settings, rules).trades(Thresholds())``

    :param histories: result of :meth:`PairHistories.traded`, in the order of the whitelist.
    :param settings: sides, entry mode and ``max_stale_candles``; its other settings are in
        ``rules``.
    :param rules: result of :func:`rules_of_config`.
    :ivar pairs: names of the pairs.
    :ivar times: opening times of each pair's candles in ns; row 0 is the first candle that can be
        traded, and rows of trades count from it.
    :raises SettingsError: if the rules cannot be simulated.
    """

    def __init__(self, histories: Sequence[PairHistory], settings: Settings, rules: Rules) -> None:
        self._histories, self._settings, self.rules = histories, settings, rules
        self._screens = [Screen(history, settings, (), 0.0) for history in histories]
        markets = [_market_of(history) for history in histories]
        self._markets, self._terms = join(markets), terms_of(rules)
        self._z_of, self._middle_of = lru_cache(1)(self._z), lru_cache(1)(self._middle)
        self._first = np.cumsum([0, *(history.premium.size for history in histories)])
        self._is_stale = np.zeros(self._first[-1], np.uint8)
        if settings.max_stale_candles:
            for first, history in zip(self._first, histories, strict=False):
                rows = stale_rows(np.isfinite(history.premium), settings.max_stale_candles)
                self._is_stale[first + rows] = 1
        self._gates = _GateRows(self._screens, histories, settings.entered_sides)
        self.pairs = [history.match.perp for history in histories]
        self.times: list[NDArray[np.int64]] = [market.times for market in markets]

    def trades(self, thresholds: Thresholds) -> Trades:
        """Return the trades, records of ``TRADE``, in the order in which they close."""
        return next(self.each([thresholds]))

    def each(self, combinations: Iterable[Thresholds]) -> Iterator[Trades]:
        """Yield the trades of many thresholds; fast in the order of ``Grid``.

        They are computed in batches, so that memory does not grow with their number.
        """
        for trades, ends in self._batches(combinations):
            first = 0
            for end in ends.tolist():
                yield trades[first:end].copy()
                first = end

    def statistics(self, combinations: Iterable[Thresholds]) -> Iterator[Statistics]:
        """Yield the statistics of the trades of many thresholds."""
        wallet = self.rules.wallet
        for trades, ends in self._batches(combinations):
            first = 0
            for end in ends.tolist():
                yield statistics(trades[first:end], wallet)
                first = end

    def alone(self) -> list["ThresholdTrades"]:
        """Return one object per pair, each with its own wallet."""
        return [
            ThresholdTrades([history], self._settings, self.rules) for history in self._histories
        ]

    def _batches(self, combinations: Iterable[Thresholds]) -> Iterator[tuple[Trades, Ints]]:
        """Yield trades as :func:`simulate_many` does, for combinations with the same z-scores."""
        levels: list[tuple[float, float]] = []
        chosen: list[list[int]] = []
        shared: tuple[ZBasis, int] = z_basis(Thresholds()), 0
        scales_out = self.rules.scale_out > 0
        for thresholds in combinations:
            wants = z_basis(thresholds), thresholds.bb_len if scales_out else 0
            if levels and (wants != shared or len(levels) == _BATCH or self._gates.is_full):
                yield from self._simulated(levels, chosen, *shared)
                levels, chosen = [], []
            shared = wants
            levels.append((thresholds.enter_z, thresholds.exit_z))
            chosen.append(self._gates.places(thresholds))
        if levels:
            yield from self._simulated(levels, chosen, *shared)

    def _simulated(
        self, levels: list[tuple[float, float]], chosen: list[list[int]], basis: ZBasis, bb_len: int
    ) -> Iterator[tuple[Trades, Ints]]:
        only_flips = self._settings.entry_mode == "flip"
        gates = self._gates.rows
        zones = Zones(self._z_of(basis), self._is_stale, gates, self._first, only_flips)
        yield from simulate_many(
            self._markets,
            zones,
            np.array(levels, np.float64),
            np.array(chosen, np.int64),
            self._terms,
            self._middle_of(bb_len) if bb_len else None,
        )

    def _z(self, basis: ZBasis) -> Floats:
        return np.concatenate(
            [z_of(history.premium, basis, history.match) for history in self._histories]
        )

    def _middle(self, bb_len: int) -> Floats:
        """Return the middle Bollinger band."""
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
    """Return the rules with which freqtrade backtests a strategy of this project.

    :param config: the complete config.
    :param settings: its section ``perp_imbalance``.
    :param stoploss_of_price: stoploss of the strategy's class, below 0; the config's outranks it.
    :param fee: fee of an order, as a fraction; None for that of a backtest.
    :return: rules with the protections that the config enables, except those that
        :func:`left_out` names.
    """
    wallet, stake = config["dry_run_wallet"], config["stake_amount"]
    if not isinstance(wallet, (int, float)):
        wallet = wallet.get(config["stake_currency"], 0)
    stoploss, buffer = config.get("stoploss"), config.get("liquidation_buffer", LIQUIDATION_BUFFER)
    if stoploss is None:
        stoploss = stoploss_of_stake(stoploss_of_price, settings.leverage, buffer)
    slots, timeout = config["max_open_trades"], config.get("unfilledtimeout", {})
    protections = settings.protections if config.get("enable_protections") else []
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
        liquidation_buffer=buffer,
        exit_timeout=float(timeout.get("exit", 10) * seconds),
        protections=[rule for rule in protections if not not_simulated([rule])],
    )


#: Of freqtrade's settings, those that change trades and are not simulated, with what they must be
#: for that.
_NOT_SIMULATED: Mapping[str, Callable[[Any], bool]] = {
    "minimal_roi": lambda table: min(table.values(), default=np.inf) < _NEVER_REACHED,
    "trailing_stop": bool,
    "use_exit_signal": lambda is_used: not is_used,
    "exit_profit_only": bool,
    "available_capital": lambda capital: capital is not None,
    "amend_last_stake_amount": bool,
    "timeframe_detail": bool,
}
# A share of the stake; freqtrade's own word for "no ROI table" is {"0": 100}.
_NEVER_REACHED = 10.0


def left_out(config: Mapping[str, Any], settings: Settings) -> list[str]:
    """Return the settings and protections of a config that the simulation ignores.

    >>> config = {"enable_protections": True, "trailing_stop": True}
    >>> left_out(config, Settings(protections=[{"method": "LowProfitPairs"}]))
    ['trailing_stop', 'LowProfitPairs']
    """
    named = [
        name for name, changes in _NOT_SIMULATED.items() if name in config and changes(config[name])
    ]
    is_protected = config.get("enable_protections")
    return named + (not_simulated(settings.protections) if is_protected else [])


def backtest_fee(config: Mapping[str, Any]) -> float:
    """Return the fee that ``perp-imbalance backtest`` uses: the exchange's taker fee.

    >>> backtest_fee({"exchange": {"name": "binance"}})
    0.0005
    """
    if config.get("fee") is not None:
        return float(config["fee"])
    fee = taker_fee(exchange_name(config))
    return float(taker_fee(SPOKEN) if fee is None else fee)  # type: ignore[arg-type]
