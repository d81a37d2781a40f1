"""Leverage brackets and maintenance margin of perps.

Binance shows them to account holders only. The replay exchange answers with the copy that
freqtrade ships for its dry-run.
"""

import json
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

# For a perp that freqtrade's copy does not have.
UNKNOWN_PERP = {
    "bracket": 1,
    "initialLeverage": 20,
    "notionalCap": 10_000_000,
    "notionalFloor": 0,
    "maintMarginRatio": 0.025,
    "cum": 0.0,
}


@cache
def _shipped() -> dict[str, list[dict[str, Any]]]:
    text = files("freqtrade.exchange").joinpath("binance_leverage_tiers.json").read_text("utf-8")
    return {pair: [tier["info"] for tier in tiers] for pair, tiers in json.loads(text).items()}


def brackets(pair: str) -> list[dict[str, Any]]:
    """Return the brackets of a perp in Binance's format, smallest positions first."""
    return _shipped().get(pair) or [UNKNOWN_PERP]


def maintenance(pair: str, notional: Decimal) -> tuple[Decimal, Decimal]:
    """Return the maintenance margin of a position: its rate and the amount that is deducted."""
    fitting = [
        bracket for bracket in brackets(pair) if Decimal(str(bracket["notionalFloor"])) <= notional
    ]
    return Decimal(str(fitting[-1]["maintMarginRatio"])), Decimal(str(fitting[-1]["cum"]))
