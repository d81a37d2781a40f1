"""A backtest's columns of the sample market, to compare a running bot with."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from freqtrade.data.history import load_pair_history
from freqtrade.enums import CandleType

from perp_imbalance.indicators import PRESETS, entry_signals, exit_signals, imbalance_columns

HOUR = pd.Timedelta("1h")
# The preset of ``Recorder``.
PRESET = "aggressive"
SPOTS = {
    **{"BTC/USDT:USDT": ("BTC/USDT", 1), "ETH/USDT:USDT": ("ETH/USDT", 1)},
    **{"1000PEPE/USDT:USDT": ("PEPE/USDT", 1000)},
}
# Half of a position is closed at the middle band: the only feature that is off by default.
SETTINGS = {"perp_imbalance": {"scale_out": 0.5}}
COLUMNS = ["premium", "z_raw", "z", "bb_upper", "bb_lower", "bias"]
SIGNALS = ["enter_short", "enter_long", "exit_short", "exit_long"]


def expected_columns(
    datadir: Path, spots: Mapping[str, tuple[str | None, float]] = SPOTS
) -> pd.DataFrame:
    """Return a backtest's columns and signals of the sample market's candles.

    :param spots: spot pair and scale of each perp; None for its index
    """
    tables = []
    for pair, (spot_pair, scale) in spots.items():
        other = (spot_pair, CandleType.SPOT) if spot_pair else (pair, CandleType.INDEX)
        perp, spot = (
            load_pair_history(name, "1h", datadir, candle_type=kind, data_format="feather")
            for name, kind in ((pair, CandleType.FUTURES), other)
        )
        if spot_pair is None:
            # An index has no volume: where freqtrade filled a gap, the price does not move.
            still = spot[["open", "high", "low", "close"]].eq(spot["close"].shift(), axis=0)
            spot = spot.assign(volume=~still.all(axis=1))
        thresholds = PRESETS[PRESET]
        table = imbalance_columns(perp, spot, scale=scale, thresholds=thresholds)
        table = table.assign(pair=pair, date=perp["date"], close=perp["close"])
        signals = [entry_signals(table, thresholds), exit_signals(table)]
        tables.append(pd.concat([table, *signals], axis=1))
    return pd.concat(tables, ignore_index=True)


def as_candles(trades: pd.DataFrame) -> pd.DataFrame:
    """Return trades with the candles of their entry and exit."""
    dates = {name: pd.to_datetime(trades[f"{name}_date"], utc=True) for name in ("open", "close")}
    candles = {name: date.dt.floor("h") for name, date in dates.items()}
    return trades.assign(is_short=trades["is_short"].astype(bool), **candles)
