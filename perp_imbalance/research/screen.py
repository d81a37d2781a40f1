"""Screening: the entries of one combination of thresholds after another, and what followed them."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from perp_imbalance.indicators.bands import bollinger_bands
from perp_imbalance.indicators.higher_timeframe import align_higher_timeframe
from perp_imbalance.indicators.hysteresis import (
    entry_rows,
    htf_gate,
    hysteresis,
    sigma_gate,
    zone_starts,
)
from perp_imbalance.indicators.positioning import change, funding_gate, oi_gate
from perp_imbalance.indicators.premium import open_times
from perp_imbalance.indicators.rolling import Bools, Floats
from perp_imbalance.indicators.signals import SIDES
from perp_imbalance.indicators.thresholds import Thresholds
from perp_imbalance.indicators.zscore import z_score
from perp_imbalance.research.forward import ForwardReturns, forward_returns, statistics
from perp_imbalance.research.pair_history import PairHistory
from perp_imbalance.strategy.settings import Settings

# Distinct bands and gates kept at a time: two booleans a candle each.
_CACHED = 64


class Row(NamedTuple):
    """What one side of a combination earned over one horizon, net, per unit of stake."""

    side: str
    horizon: int
    zones: int
    entries: int
    events: int
    mean: float
    median: float
    hit_rate: float
    t: float


class Bias(NamedTuple):
    """A bias as entries need it: the rows of each side, where zones begin, and how many do."""

    of: dict[str, Bools]
    starts: NDArray[np.int64]
    zones: dict[str, int]


class Screen:
    """One pair, ready to be asked for combination after combination.

    What consecutive combinations share is computed once: :meth:`Grid.combinations` gives them in an
    order in which they share much.

    :param candles: the pair.
    :param settings: entry mode, sides and the stale rule.
    :param horizons: candles to hold after an entry.
    :param cost: fees of the way in and out, as a fraction.
    """

    def __init__(
        self, candles: PairHistory, settings: Settings, horizons: Sequence[int], cost: float
    ) -> None:
        self._candles, self._settings = candles, settings
        self._close = candles.perp["close"].to_numpy(dtype=np.float64)
        self._rows = open_times(candles.perp, "perp")
        self._has_premium: Bools = np.isfinite(candles.premium)
        self.forward: ForwardReturns = forward_returns(candles, horizons)
        self._earned = {name: self.forward.of_side(side, cost) for name, side in SIDES.items()}
        self._z = lru_cache(1)(self._z_of)
        self._bias = lru_cache(1)(self._bias_of)
        self._sigma = lru_cache(_CACHED)(self._sigma_of)
        self._htf_z = lru_cache(1)(self._htf_z_of)
        self._htf = lru_cache(_CACHED)(self._htf_of)
        self._crowd = lru_cache(1)(self._crowd_of)

    def _z_of(self, len_prem: int, smooth_len: int) -> Floats:
        return z_score(self._candles.premium, len_prem, smooth_len).z

    def _bias_of(self, len_prem: int, smooth_len: int, enter_z: float, exit_z: float) -> Bias:
        bias = hysteresis(
            self._z(len_prem, smooth_len),
            self._has_premium,
            enter_z=enter_z,
            exit_z=exit_z,
            max_stale_candles=self._settings.max_stale_candles,
        )
        starts = zone_starts(bias)
        inside = bias[starts[starts.searchsorted(self._candles.begin) :]]
        return Bias(
            {name: bias == side for name, side in SIDES.items()},
            starts,
            {name: int(np.count_nonzero(inside == side)) for name, side in SIDES.items()},
        )

    def _sigma_of(self, bb_len: int, bb_k: float) -> dict[str, Bools]:
        bands = bollinger_bands(self._candles.band_close, bb_len, bb_k)
        above, below = sigma_gate(self._close, bands.upper, bands.lower)
        return {"short": above, "long": below}

    def _htf_z_of(self, len_prem: int, smooth_len: int) -> Floats:
        htf = self._candles.htf
        if htf is None:
            return np.full(self._rows.size, np.nan)
        z = z_score(htf.premium, len_prem, smooth_len).z
        return align_higher_timeframe(
            self._rows, self._candles.timeframe, htf.times, htf.timeframe, z
        )

    def _htf_of(self, len_prem: int, smooth_len: int, htf_z_min: float) -> dict[str, Bools]:
        high, low = htf_gate(self._htf_z(len_prem, smooth_len), htf_z_min)
        return {"short": high, "long": low}

    def _crowd_of(
        self, funding_min: float | None, oi_len: int, oi_min: float | None
    ) -> dict[str, Bools]:
        """Return where the optional gates that are on agree; None is one that is off."""
        passes = dict.fromkeys(SIDES, np.ones(self._rows.size, np.bool_))
        if funding_min is not None:
            longs_pay, shorts_pay = funding_gate(self._candles.funding_rate, funding_min)
            passes = {"short": longs_pay, "long": shorts_pay}
        if oi_min is not None:
            building = oi_gate(change(self._candles.open_interest, oi_len), oi_min)
            passes = {side: rows & building for side, rows in passes.items()}
        return passes

    def entries_of(self, thresholds: Thresholds, side: str) -> NDArray[np.int64]:
        """Return the rows on which the strategy would signal an entry of a side."""
        lookback = (thresholds.len_prem, thresholds.smooth_len)
        bias = self._bias(*lookback, thresholds.enter_z, thresholds.exit_z)
        passes = self._has_premium
        if thresholds.use_sigma:
            passes = passes & self._sigma(thresholds.bb_len, thresholds.bb_k)[side]
        if thresholds.use_htf:
            passes = passes & self._htf(*lookback, thresholds.htf_z_min)[side]
        if thresholds.use_funding or thresholds.use_oi:
            funding_min = thresholds.funding_min if thresholds.use_funding else None
            oi_min = thresholds.oi_min if thresholds.use_oi else None
            passes = passes & self._crowd(funding_min, thresholds.oi_len, oi_min)[side]
        rows = entry_rows(bias.of[side] & passes, bias.starts, self._settings.entry_mode)
        return rows[rows.searchsorted(self._candles.begin) :]

    def flips_of(self, thresholds: Thresholds, side: str) -> NDArray[np.int64]:
        """Return the rows on which the bias takes a side, gates or not."""
        bias = self._bias(
            *(thresholds.len_prem, thresholds.smooth_len, thresholds.enter_z, thresholds.exit_z)
        )
        rows = bias.starts[bias.of[side][bias.starts]]
        return rows[rows.searchsorted(self._candles.begin) :]

    def rows_of(self, thresholds: Thresholds) -> list[Row]:
        """Return one row of results per side and horizon."""
        lookback = (thresholds.len_prem, thresholds.smooth_len)
        zones = self._bias(*lookback, thresholds.enter_z, thresholds.exit_z).zones
        found = []
        last = self._rows.size - 1
        for side in self._settings.sides:
            positions = self.entries_of(thresholds, side)
            earned = self._earned[side][:, positions]
            for number, horizon in enumerate(self.forward.horizons):
                # The candles end before the horizon of the last ones does.
                known = int(positions.searchsorted(last - horizon))
                result = statistics(earned[number, :known], positions[:known], horizon)
                found.append(Row(side, horizon, zones[side], positions.size, *result))
        return found
