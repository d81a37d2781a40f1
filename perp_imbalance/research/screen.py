"""Screening: compute the entries of many combinations of thresholds and their results."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from perp_imbalance.indicators.bands import bollinger_bands
from perp_imbalance.indicators.deviation import deviation_bps, robust_z_score
from perp_imbalance.indicators.gates import GATES, Gate
from perp_imbalance.indicators.higher_timeframe import align_higher_timeframe
from perp_imbalance.indicators.hysteresis import entry_rows, hysteresis, zone_starts
from perp_imbalance.indicators.premium import open_times
from perp_imbalance.indicators.rolling import MEMORY_CANDLES, Bools, Floats, check_memory
from perp_imbalance.indicators.signals import SIDES
from perp_imbalance.indicators.thresholds import Thresholds
from perp_imbalance.indicators.zscore import z_score
from perp_imbalance.markets.spot_matching import SpotMatch
from perp_imbalance.research.forward import ForwardReturns, forward_returns
from perp_imbalance.research.pair_history import PairHistory
from perp_imbalance.strategy.settings import Settings

# Settings of each gate kept at a time: two booleans a candle each.
_CACHED = 64

# Columns that come from prices or from series of their own, and not from the premium.
_NOT_PREMIUM = {
    *("close", "bb_upper", "bb_lower"),
    *(name for gate in GATES if gate.series for name in gate.columns),
}


class ZBasis(NamedTuple):
    """The parameters of a z-score."""

    length: int
    smooth_len: int
    is_robust: bool


class Bias(NamedTuple):
    """The bias in the form that entries need: rows of each side, and first rows of zones."""

    of: dict[str, Bools]
    starts: NDArray[np.int64]


def z_basis(thresholds: Thresholds) -> ZBasis:
    """Return the parameters with which thresholds compute z."""
    return ZBasis(thresholds.z_len, thresholds.smooth_len, thresholds.robust_z)


def z_of(premium: Floats, basis: ZBasis, match: SpotMatch) -> Floats:
    """Return a function that computes z-scores from their parameters.

    :param match: the source of the premium.
    """
    score = robust_z_score if basis.is_robust else z_score
    return score(premium, basis.length, basis.smooth_len, dead_zone=match.is_premium).z


def gate_key(gate: Gate) -> Callable[[Thresholds], Any]:
    """Return a key that is equal for thresholds with which a gate passes on the same rows."""
    # A switch may be the number that it compares with.
    names = [gate.switch, *gate.thresholds]
    if "len_prem" in names:
        names += ["z_len", "robust_z"]
    return attrgetter(*names)


class _KeptGate:
    """The rows where a gate passes, cached by the thresholds that affect it."""

    def __init__(
        self, gate: Gate, passes_of: Callable[[Gate, Thresholds], dict[str, Bools]]
    ) -> None:
        self.is_on, self._gate, self._passes_of = gate.is_on, gate, passes_of
        self.columns = gate.columns
        self._key = gate_key(gate)
        self._kept: dict[Any, dict[str, Bools]] = {}

    def passes(self, thresholds: Thresholds) -> dict[str, Bools]:
        """Return for each side where the gate passes."""
        key = self._key(thresholds)
        if key not in self._kept:
            if len(self._kept) == _CACHED:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = self._passes_of(self._gate, thresholds)
        return self._kept[key]


class Screen:
    """The entries of many combinations on one pair.

    Parts that consecutive combinations share are computed once; :meth:`Grid.combinations` yields
    them in an order in which they share much.

    :param candles: the pair with its candles.
    :param settings: entry mode, sides and ``max_stale_candles``.
    :param horizons: candles to hold after an entry.
    :param cost: fees of entry and exit together, as a fraction.
    :ivar earned: for each side, net result of an entry by horizon and signal candle.
    """

    def __init__(
        self, candles: PairHistory, settings: Settings, horizons: Sequence[int], cost: float
    ) -> None:
        self._candles, self._settings = candles, settings
        self._close = candles.perp["close"].to_numpy(dtype=np.float64)
        self._rows = open_times(candles.perp, "perp")
        self._has_premium: Bools = np.isfinite(candles.premium)
        self.forward: ForwardReturns = forward_returns(candles, horizons)
        self.earned = {name: self.forward.of_side(side, cost) for name, side in SIDES.items()}
        self._z = lru_cache(1)(self._z_of)
        self._bias = lru_cache(1)(self._bias_of)
        self._htf_z = lru_cache(1)(self._htf_z_of)
        self._columns = {"close": self._close, "premium": candles.premium, **candles.series}
        self._gates = [_KeptGate(gate, self.gate_passes) for gate in GATES]

    def _z_of(self, basis: ZBasis) -> Floats:
        return z_of(self._candles.premium, basis, self._candles.match)

    def _bias_of(self, basis: ZBasis, enter_z: float, exit_z: float) -> Bias:
        bias = hysteresis(
            self._z(basis),
            self._has_premium,
            enter_z=enter_z,
            exit_z=exit_z,
            max_stale_candles=self._settings.max_stale_candles,
        )
        return Bias({name: bias == side for name, side in SIDES.items()}, zone_starts(bias))

    def _htf_z_of(self, basis: ZBasis) -> Floats:
        htf = self._candles.htf
        if htf is None:
            return np.full(self._rows.size, np.nan)
        z = z_of(htf.premium, basis, self._candles.match)
        return align_higher_timeframe(
            self._rows, self._candles.timeframe, htf.times, htf.timeframe, z
        )

    def gate_passes(self, gate: Gate, thresholds: Thresholds) -> dict[str, Bools]:
        """Return for each side where a gate passes."""
        columns = self._columns | gate.own_columns(thresholds, self._columns)
        if "bb_upper" in gate.columns:
            bands = bollinger_bands(self._candles.band_close, thresholds.bb_len, thresholds.bb_k)
            columns |= {"bb_upper": bands.upper, "bb_lower": bands.lower}
        if "htf_z" in gate.columns:
            columns["htf_z"] = self._htf_z(z_basis(thresholds))
        if "deviation_bps" in gate.columns:
            check_memory(thresholds.dev_len, MEMORY_CANDLES)
            columns["deviation_bps"] = deviation_bps(self._candles.premium, thresholds.dev_len).bps
        short, long = gate.passes(thresholds, *(columns[name] for name in gate.columns))
        return {"short": short, "long": long}

    def z_of(self, thresholds: Thresholds) -> Floats:
        """Return the z-score of every candle."""
        return self._z(z_basis(thresholds))

    def entries_of(self, thresholds: Thresholds, side: str) -> NDArray[np.int64]:
        """Return the rows on which the strategy would signal an entry of a side."""
        bias = self._bias(z_basis(thresholds), thresholds.enter_z, thresholds.exit_z)
        passes = self._has_premium
        for gate in self._gates:
            if gate.is_on(thresholds):
                passes = passes & gate.passes(thresholds)[side]
        rows = entry_rows(bias.of[side] & passes, bias.starts, self._settings.entry_mode)
        return rows[rows.searchsorted(self._candles.begin) :]

    def flips_of(self, thresholds: Thresholds, side: str) -> NDArray[np.int64]:
        """Return the rows on which the bias begins or flips, without regard to gates."""
        bias = self._bias(z_basis(thresholds), thresholds.enter_z, thresholds.exit_z)
        rows = bias.starts[bias.of[side][bias.starts]]
        return rows[rows.searchsorted(self._candles.begin) :]

    def bias_of(self, thresholds: Thresholds) -> NDArray[np.int64]:
        """Return the bias of every candle."""
        bias = self._bias(z_basis(thresholds), thresholds.enter_z, thresholds.exit_z)
        sides = [np.where(bias.of[name], side, 0) for name, side in SIDES.items()]
        found: NDArray[np.int64] = np.sum(sides, axis=0)
        return found

    def passes_of(self, thresholds: Thresholds, side: str, *, of_premium: bool) -> Bools:
        """Return where all gates of one kind pass: those that depend on the premium, or the others.

        :param of_premium: True for gates of the premium, including having a premium.
        """
        passes: Bools = self._has_premium if of_premium else np.ones_like(self._has_premium)
        for gate in self._gates:
            if gate.is_on(thresholds) and of_premium != (_NOT_PREMIUM.issuperset(gate.columns)):
                passes = passes & gate.passes(thresholds)[side]
        return passes
