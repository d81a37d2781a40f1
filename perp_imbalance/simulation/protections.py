"""Convert freqtrade's protections to records for the compiled code."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from perp_imbalance.errors import SettingsError
from perp_imbalance.simulation.records import METHODS, PROTECTION, Records


def not_simulated(protections: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the methods that are not simulated, since trades lack what they need.

    >>> not_simulated([{"method": "LowProfitPairs"}, {"method": "CooldownPeriod"}])
    ['LowProfitPairs']
    """
    return sorted({str(rule.get("method")) for rule in protections} - set(METHODS))


def protection_rows(protections: Sequence[Mapping[str, Any]]) -> Records:
    """Return a record for each protection, with the defaults of freqtrade.

    :param protections: as in freqtrade's config.
    :raises SettingsError: for a protection that is not simulated, or an invalid time.

    >>> protection_rows([{"method": "CooldownPeriod", "stop_duration_candles": 2}])["stop_candles"]
    array([2])
    """
    if missing := not_simulated(protections):
        raise SettingsError(
            f"protections that are not simulated: {', '.join(missing)}: leave them out, or use "
            "freqtrade's backtest"
        )
    rows = np.zeros(len(protections), PROTECTION)
    for row, rule in zip(rows, protections, strict=True):
        for name, value in _values(rule).items():
            row[name] = value
    return rows


def _values(rule: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {"method": METHODS.index(rule["method"]), "unlock": -1}
    if "lookback_period_candles" in rule:
        values["lookback_candles"] = int(rule["lookback_period_candles"])
    else:
        values["lookback"] = int(rule.get("lookback_period", 60))
    if "stop_duration_candles" in rule:
        values["stop_candles"] = int(rule["stop_duration_candles"])
    elif rule.get("unlock_at") is not None:
        try:
            at = datetime.strptime(rule["unlock_at"], "%H:%M")
        except (TypeError, ValueError):
            raise SettingsError(
                f"unlock_at is {rule['unlock_at']!r}, it should be a time such as 08:00"
            ) from None
        values["unlock"] = 60 * at.hour + at.minute
    else:
        values["stop"] = int(rule.get("stop_duration", 60))
    if rule["method"] == "StoplossGuard":
        values["trade_limit"] = rule.get("trade_limit", 10)
        values["limit"] = rule.get("required_profit", 0.0)
        values["per_pair"] = bool(rule.get("only_per_pair", False))
        values["per_side"] = bool(rule.get("only_per_side", False))
    elif rule["method"] == "MaxDrawdown":
        values["trade_limit"] = rule.get("trade_limit", 1)
        values["limit"] = rule.get("max_allowed_drawdown", 0.0)
        values["of_equity"] = rule.get("calculation_mode", "ratios") == "equity"
    return values
