"""The columns of the signal, from the candles of a perp and of its spot pair."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from perp_imbalance.indicators.bands import bollinger_bands
from perp_imbalance.indicators.deviation import (
    Deviation,
    RobustZScore,
    deviation_bps,
    robust_z_score,
)
from perp_imbalance.indicators.gates import active_gates
from perp_imbalance.indicators.higher_timeframe import align_higher_timeframe, check_higher
from perp_imbalance.indicators.hysteresis import hysteresis
from perp_imbalance.indicators.memo import memoize
from perp_imbalance.indicators.premium import (
    Grid,
    Source,
    believable_close,
    check_candles,
    mask_outliers,
    on_rows_of,
    open_times,
    premium,
    source_values,
    traded_close,
)
from perp_imbalance.indicators.rolling import MEMORY_CANDLES, Floats, check_memory
from perp_imbalance.indicators.thresholds import HTF_TIMEFRAME, MAX_STALE_CANDLES, Thresholds
from perp_imbalance.indicators.zscore import ZScore, z_score

_kept_z_score, _kept_bands = memoize(z_score), memoize(bollinger_bands)
_kept_robust, _kept_deviation = memoize(robust_z_score), memoize(deviation_bps)


class HtfPremium(NamedTuple):
    """Premiums of a higher timeframe: opening times (nanoseconds), fractions, its length."""

    times: np.ndarray[tuple[int], np.dtype[np.int64]]
    premium: Floats
    timeframe: str


class SpotPremium(NamedTuple):
    """On the rows of a perp: the closes of its spot pair, and the premium they give."""

    spot_close: Floats
    fraction: Floats


def spot_premium(
    perp: pd.DataFrame,
    spot: pd.DataFrame,
    scale: float = 1.0,
    *,
    source: Source = "spot",
    timeframe: str = "",
) -> SpotPremium:
    """Return the unfiltered premium, for sanity checks of the prices.

    :param perp: candles, columns ``date``, ``close``, ``volume``; one row a candle, in order.
    :param spot: candles of the spot pair, same columns; rows may be missing.
    :param scale: coins in one unit of the perp.
    :param source: the type of the candles ``spot``; a premium index is the premium itself, and
        the result then has no spot price.
    :param timeframe: named in error messages.
    :raises DataError: if candles lack a column, or are not in order of time.
    """
    perp_name, spot_name = f"perp {timeframe}".rstrip(), f"spot {timeframe}".rstrip()
    check_candles(perp, perp_name)
    check_candles(spot, spot_name)
    rows, times = open_times(perp, perp_name), open_times(spot, spot_name)
    values, close = on_rows_of(rows, times, source_values(spot, source)), traded_close(perp)
    if source == "premiumIndex":
        return SpotPremium(np.full(rows.size, np.nan), np.where(np.isnan(close), np.nan, values))
    return SpotPremium(values, premium(close, values, scale))


def premium_columns(found: SpotPremium) -> dict[str, Floats]:
    """Return ``spot_close``, ``premium`` and ``premium_pct``, NaN where a price is an outlier.

    The result does not depend on thresholds, so hyperopt computes it once.
    """
    fraction = mask_outliers(found.fraction)
    return {
        "spot_close": found.spot_close,
        "premium": fraction,
        "premium_pct": fraction * 100.0,
    }


def source_column(fraction: Floats, source: str) -> "pd.Categorical[str]":
    """Return the source of each candle's premium; missing where the candle has no premium.

    :param fraction: the premiums.
    :param source: ``spot``, ``index`` or ``premium_index``.

    >>> source_column(np.array([0.1, np.nan]), "index").tolist()
    ['index', nan]
    """
    codes = np.where(np.isfinite(fraction), 0, -1).astype(np.int8)
    return pd.Categorical.from_codes(codes, categories=pd.Index([source]))


def htf_premium(
    perp: pd.DataFrame,
    spot: pd.DataFrame,
    timeframe: str,
    scale: float = 1.0,
    *,
    source: Source = "spot",
) -> HtfPremium:
    """Return the premiums of a higher timeframe.

    :param perp: the perp's candles on that timeframe.
    :param spot: the spot pair's candles on that timeframe.
    :param source: their type.
    """
    found = spot_premium(perp, spot, scale, source=source, timeframe=timeframe)
    times = open_times(perp, f"perp {timeframe}")
    return HtfPremium(times, mask_outliers(found.fraction), timeframe)


def threshold_columns(
    perp: pd.DataFrame,
    fraction: Floats,
    spot_close: Floats,
    thresholds: Thresholds,
    *,
    timeframe: str = "",
    htf: HtfPremium | None = None,
    max_stale_candles: int = MAX_STALE_CANDLES,
    memory: int = MEMORY_CANDLES,
    series: Mapping[str, Floats] = MappingProxyType({}),
    keep: bool = False,
) -> dict[str, np.ndarray[tuple[int], np.dtype[np.float64] | np.dtype[np.int64]]]:
    """Return the columns that depend on thresholds: z-scores, deviation, bands and bias.

    :param perp: candles, columns ``date``, ``close`` and ``volume``.
    :param fraction: the premium of each.
    :param spot_close: traded closes of the spot pair; all NaN with a premium index.
    :param timeframe: the length of these candles; needed with ``htf`` only.
    :param htf: premiums of the higher timeframe; without, ``htf_z`` is NaN.
    :param memory: most candles that a window may span, on either timeframe.
    :param series: columns of the gates' series by name; an active gate whose series is missing
        gets no column.
    :param keep: whether to cache z-scores and bands for the next call with the same candles, as
        hyperopt needs.
    """
    bands_of = _kept_bands if keep else bollinger_bands
    deviation_of = _kept_deviation if keep else deviation_bps
    if thresholds.min_deviation_bps > 0:
        check_memory(thresholds.dev_len, memory)
    times = pd.DatetimeIndex(perp["date"].array, copy=False).asi8
    grid = Grid(times, memory)
    filled = grid.fill(fraction)
    # A premium without a price of spot is one that the exchange publishes.
    dead_zone = bool(np.any(np.isfinite(fraction) & np.isnan(spot_close)))
    z = z_by(thresholds, filled, memory, dead_zone=dead_zone, keep=keep)
    # The robust z-score is made of deviations.
    deviation: Deviation | RobustZScore = (
        z if isinstance(z, RobustZScore) else deviation_of(filled, thresholds.dev_len, memory)
    )
    close = grid.fill(believable_close(perp, spot_close, fraction))
    bands = bands_of(close, thresholds.bb_len, thresholds.bb_k, memory)
    bias = hysteresis(
        z.z,
        np.isfinite(filled),
        enter_z=thresholds.enter_z,
        exit_z=thresholds.exit_z,
        max_stale_candles=max_stale_candles,
    )
    if htf is None:
        htf_z = np.full(fraction.size, np.nan)
    else:
        htf_grid = Grid(htf.times, memory)
        higher = z_by(
            *(thresholds, htf_grid.fill(htf.premium), memory), dead_zone=dead_zone, keep=keep
        )
        rows, values = open_times(perp, "perp"), htf_grid.pick(higher.z)
        htf_z = align_higher_timeframe(rows, timeframe, htf.times, htf.timeframe, values)
    own: dict[str, Floats] = {}
    sources = {"premium": filled, **{name: grid.fill(values) for name, values in series.items()}}
    for gate in active_gates(thresholds):
        own |= gate.own_columns(thresholds, sources)
    return {
        "z_raw": grid.pick(z.raw),
        "z": grid.pick(z.z),
        "bb_middle": grid.pick(bands.middle),
        "bb_upper": grid.pick(bands.upper),
        "bb_lower": grid.pick(bands.lower),
        "bias": grid.pick(bias),
        "htf_z": htf_z,
        "deviation_bps": grid.pick(deviation.bps),
        **{name: grid.pick(values) for name, values in own.items()},
    }


def z_by(
    thresholds: Thresholds,
    fraction: Floats,
    memory: int = MEMORY_CANDLES,
    *,
    dead_zone: bool = False,
    keep: bool = False,
) -> ZScore | RobustZScore:
    """Return the z-scores, standard or robust, as the thresholds say.

    :param fraction: premiums.
    :param dead_zone: whether they come from a premium index.
    :param keep: whether to cache the result for the next call with the same premiums.
    """
    plain, kept = (
        (robust_z_score, _kept_robust) if thresholds.robust_z else (z_score, _kept_z_score)
    )
    z_of: Callable[..., ZScore | RobustZScore] = kept if keep else plain
    return z_of(fraction, thresholds.z_len, thresholds.smooth_len, memory, dead_zone)


def with_columns(
    candles: pd.DataFrame, columns: "Mapping[str, np.ndarray[Any, Any] | pd.Categorical[str]]"
) -> pd.DataFrame:
    """Return the candles with new columns added.

    All columns are added in one step, which takes pandas about as long as inserting one.
    """
    return pd.concat([candles, pd.DataFrame(columns, index=candles.index, copy=False)], axis=1)


def imbalance_columns(
    perp: pd.DataFrame,
    spot: pd.DataFrame,
    *,
    scale: float = 1.0,
    thresholds: Thresholds | None = None,
    timeframe: str = "",
    htf: tuple[pd.DataFrame, pd.DataFrame] | None = None,
    htf_timeframe: str = HTF_TIMEFRAME,
    max_stale_candles: int = MAX_STALE_CANDLES,
    memory: int = MEMORY_CANDLES,
) -> pd.DataFrame:
    """Return all columns of the signal, for use in your own strategy.

    In ``populate_indicators`` of any freqtrade strategy::

        spot = self.dp.get_pair_dataframe("BTC/USDT", self.timeframe, "spot")
        dataframe = dataframe.join(imbalance_columns(dataframe, spot))

    and ``dataframe["bias"]`` is -1 where perp longs are crowded, 1 where perp shorts are, else 0.

    Source: ``docs/reference/signal.md``, "Columns". A value on a row depends on that row and on
    earlier ones only.

    :param perp: candles of the perp: ``date``, ``close``, ``volume``; one row a candle, in order.
    :param spot: candles of its spot pair on the same timeframe; rows may be missing.
    :param scale: coins in one unit of the perp (1000 for 1000PEPE).
    :param thresholds: one of ``PRESETS`` or your own; the default is the preset "balanced".
    :param timeframe: the length of these candles, such as ``1h``; needed with ``htf`` only.
    :param htf: candles of perp and spot on the higher timeframe; without them ``htf_z`` is NaN.
    :param htf_timeframe: length of the higher timeframe, such as ``4h``.
    :param max_stale_candles: consecutive candles without a premium that end a bias; 0 switches
        this off.
    :param memory: most candles that a window may span, on either timeframe: the number that a
        bot loads at start.
    :return: ``spot_close, premium, premium_pct, z_raw, z, bb_middle, bb_upper, bb_lower, bias,
        htf_z, deviation_bps``, with the index of ``perp``.
    :raises DataError: if candles lack a column, or are not in order of time.
    :raises SettingsError: if the higher timeframe is not a multiple of the timeframe, or a window
        is longer than the memory.
    """
    htf_fraction = None
    if htf is not None:
        check_higher(timeframe, htf_timeframe)
        htf_fraction = htf_premium(*htf, htf_timeframe, scale)
    columns = premium_columns(spot_premium(perp, spot, scale))
    derived = threshold_columns(
        perp,
        columns["premium"],
        columns["spot_close"],
        thresholds or Thresholds(),
        timeframe=timeframe,
        htf=htf_fraction,
        max_stale_candles=max_stale_candles,
        memory=memory,
    )
    return pd.DataFrame({**columns, **derived}, index=perp.index, copy=False)
