"""The simulation makes the trades of freqtrade's own backtest: each one, with its profit.

``make test`` compares two months of the sample market. With ``SIMULATION_PARITY=full`` it is the
whole sample and all real candles, in about half an hour.
"""

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.freqtrade import PRESET_STRATEGIES, SAMPLE_PAIRS, shared_candles
from support.simulation import REAL_CANDLES, assert_same_trades, backtest, real_overlay

from perp_imbalance.simulation import Rules

FULL = os.environ.get("SIMULATION_PARITY") == "full"
SAMPLE_SPAN: dict[str, Any] = {} if FULL else {"timerange": "20250101-20250301"}
DRIFT = Rules(max_entry_drift=0.01)

#: The presets' stops at both leverages; a stop that many trades meet; a leverage that liquidates.
SHORT = [
    (1, DRIFT._replace(stoploss=-0.10)),
    (3, DRIFT._replace(stoploss=-0.10, leverage=3.0, max_open_trades=2)),
    (1, DRIFT._replace(stoploss=-0.30, leverage=3.0, scale_out=0.5)),
    (3, DRIFT._replace(stoploss=-0.30, max_open_trades=3, stop_on_close=0.01)),
    (1, DRIFT._replace(stoploss=-0.90, leverage=3.0, scale_out=0.5, stop_on_close=0.02)),
    (3, DRIFT._replace(stoploss=-0.01, max_open_trades=3, stake_amount=50.0)),
    (3, DRIFT._replace(stoploss=-0.99, leverage=20.0, max_open_trades=3, stake_amount=20.0)),
]
ALL = SHORT + [
    (count, DRIFT._replace(stoploss=stop, leverage=leverage, scale_out=part, max_open_trades=slots))
    for count, slots in ((1, 1), (3, 2))
    for leverage in (1.0, 3.0)
    for stop in (-0.10, -0.30)
    for part in (0.0, 0.5)
]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """freqtrade would log every candle of a position that is adjusted."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def compare(
    datadir: Path,
    strategy: str,
    pairs: list[str],
    cases: list[tuple[int, Rules]],
    folder: Path,
    **overlay: Any,
) -> set[str]:
    """Compare the trades of every case; return the reasons for which they ended."""
    reasons: set[str] = set()
    with backtest(datadir, strategy, pairs, folder, **overlay) as prepared:
        for count, rules in cases:
            prepared.vary(pairs[:count], rules)
            expected = prepared.expected()
            assert len(expected), rules
            assert_same_trades(prepared.simulated(rules), expected, str(rules))
            reasons |= set(expected["exit_reason"])
    return reasons


@pytest.mark.freqtrade
@pytest.mark.parametrize("strategy", PRESET_STRATEGIES)
def test_trades_of_the_sample_are_those_of_freqtrade(
    strategy: str, sample_datadir: Path, tmp_path: Path
) -> None:
    cases = ALL if FULL else SHORT
    reasons = compare(sample_datadir, strategy, SAMPLE_PAIRS, cases, tmp_path, **SAMPLE_SPAN)
    assert reasons >= {"cooled", "stop_loss", "stop_on_close"}


@pytest.mark.freqtrade
@pytest.mark.parametrize("strategy", PRESET_STRATEGIES if FULL else PRESET_STRATEGIES[:1])
@pytest.mark.parametrize(("folder", "pairs", "timeframes", "span"), REAL_CANDLES)
def test_trades_of_real_candles_are_those_of_freqtrade(
    folder: str,
    pairs: list[str],
    timeframes: tuple[str, str],
    span: str,
    strategy: str,
    tmp_path: Path,
) -> None:
    overlay = real_overlay(timeframes, None if FULL else span)
    cases = ALL if FULL else SHORT[1:5]
    compare(shared_candles(folder), strategy, pairs, cases, tmp_path, **overlay)
