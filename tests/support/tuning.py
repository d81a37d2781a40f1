"""A strategy and a market for the search, without starting freqtrade and without candles."""

from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perp_imbalance.indicators.thresholds import Thresholds
from perp_imbalance.research.tuning.folds import DAY_NS
from perp_imbalance.simulation import TRADE
from perp_imbalance.strategy.parameters import PARAMETER_NAMES, new_parameter

HOUR_NS = DAY_NS // 24


def strategy(fixed: dict[str, Any] | None = None, **changed: Any) -> Any:
    """Return the parts of a strategy that a search reads.

    :param fixed: values that the strategy's class sets.
    :param changed: thresholds that differ from the preset.
    """
    thresholds = Thresholds(**(fixed or {}), **changed)
    parameters = {
        name: new_parameter(name, getattr(thresholds, name), is_fixed=name in (fixed or {}))
        for name in PARAMETER_NAMES
    }
    return SimpleNamespace(**parameters, thresholds=lambda: thresholds)


def trades(*rows: tuple[float, float, float]) -> NDArray[np.void]:
    """Return trades of one pair on hourly candles.

    :param rows: entry and exit of each trade in days, and its profit on a wallet of 1000.
    """
    found = np.zeros(len(rows), TRADE)
    for trade, (opened, closed, profit) in zip(found, rows, strict=True):
        trade["entry_row"], trade["exit_row"] = round(opened * 24), round(closed * 24)
        trade["profit_abs"], trade["profit_ratio"] = profit, profit / 100.0
    return found


def hours(days: int) -> list[NDArray[np.int64]]:
    """Return the opening times of one pair's candles."""
    return [np.arange(days * 24 + 1, dtype=np.int64) * HOUR_NS]
