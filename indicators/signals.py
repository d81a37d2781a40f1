"""Entries and exits under freqtrade's column names, from the columns of the signal."""

from collections.abc import Collection

import numpy as np
import pandas as pd

from perp_imbalance.indicators.rolling import Bools
from perp_imbalance.indicators.thresholds import Thresholds
from perp_imbalance.indicators.zones import (
    LONG,
    SHORT,
    EntryMode,
    entries,
    exit_reasons,
    exits,
    htf_gate,
    sigma_gate,
)

#: The sides by the names that freqtrade's columns and the config use.
SIDES = {"short": SHORT, "long": LONG}


def gate_passes(columns: pd.DataFrame, thresholds: Thresholds) -> dict[int, Bools]:
    """Return per side whether a candle has a premium and every active gate passes.

    Source: ``spec.md``, rule 8: gates act on signals, not on the bias.

    :param columns: ``close`` and the columns of the signal.
    :return: for ``SHORT`` and ``LONG``, booleans of the rows' length.
    """
    has_premium = np.isfinite(columns["premium"].to_numpy())
    short, long = has_premium, has_premium
    if thresholds.use_sigma:
        above, below = sigma_gate(
            columns["close"].to_numpy(),
            columns["bb_upper"].to_numpy(),
            columns["bb_lower"].to_numpy(),
        )
        short, long = short & above, long & below
    if thresholds.use_htf:
        high, low = htf_gate(columns["htf_z"].to_numpy(), thresholds.htf_z_min)
        short, long = short & high, long & low
    return {SHORT: short, LONG: long}


def entry_signals(
    columns: pd.DataFrame,
    thresholds: Thresholds,
    mode: EntryMode = "zone",
    sides: Collection[str] = ("short", "long"),
) -> pd.DataFrame:
    """Return ``enter_short``, ``enter_long`` (0 or 1) and ``enter_tag``.

    The tag names side, mode and what had to agree with z: ``short_zone_z_sigma_htf``.

    Source: ``spec.md``, rule 9.

    :param columns: ``close`` and the columns of the signal.
    :param mode: ``zone``: the first candle of a zone that passes; ``flip``: only the zone's first.
    :param sides: which of ``short`` and ``long`` may be entered.
    """
    bias = columns["bias"].to_numpy()
    passes = gate_passes(columns, thresholds)
    reason = "z" + "_sigma" * thresholds.use_sigma + "_htf" * thresholds.use_htf
    result = pd.DataFrame({"enter_short": 0, "enter_long": 0}, index=columns.index)
    tags = np.full(bias.size, None, dtype=object)
    for name, side in SIDES.items():
        if name in sides:
            enters = entries(bias, side, passes[side], mode)
            result[f"enter_{name}"] = enters.astype(np.int64)
            tags[enters] = f"{name}_{mode}_{reason}"
    result["enter_tag"] = pd.Series(tags, index=columns.index, dtype=object)
    return result


def exit_signals(columns: pd.DataFrame) -> pd.DataFrame:
    """Return ``exit_short``, ``exit_long`` (0 or 1) and ``exit_tag``.

    Source: ``spec.md``, rule 10: the bias leaves the position's side.

    :param columns: the columns of the signal.
    """
    bias = columns["bias"].to_numpy()
    leaves = {name: exits(bias, side) for name, side in SIDES.items()}
    result = pd.DataFrame(
        {f"exit_{name}": rows.astype(np.int64) for name, rows in leaves.items()},
        index=columns.index,
    )
    reasons = exit_reasons(bias, np.isfinite(columns["premium"].to_numpy()))
    reasons[~(leaves["short"] | leaves["long"])] = None
    result["exit_tag"] = pd.Series(reasons, index=columns.index, dtype=object)
    return result
