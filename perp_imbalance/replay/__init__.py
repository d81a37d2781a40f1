"""A replay exchange: the part of Binance's REST interface that freqtrade needs, from files.

freqtrade's backtesting asks the exchange for its market list even where the candles are local, and
its downloader asks for everything. The replay serves both on 127.0.0.1 from a folder of candles.
freqtrade itself is unchanged::

    with running_replay(Path("candles/binance")) as replay:
        config = local_config(merged_config(files), replay.url)
        run_freqtrade(arguments, local_config=config)

:mod:`perp_imbalance.replay.testing` adds an account that takes orders, and faults.
"""

from perp_imbalance.replay.candle_store import CandleStore
from perp_imbalance.replay.market_rules import perp_markets
from perp_imbalance.replay.overlay import (
    DEFAULT_PORT,
    HOST,
    account_config,
    local_config,
    replay_config,
)
from perp_imbalance.replay.running import Replay, running_replay
from perp_imbalance.replay.server import ServedRequest

__all__ = [
    "DEFAULT_PORT",
    "HOST",
    "CandleStore",
    "Replay",
    "ServedRequest",
    "account_config",
    "local_config",
    "perp_markets",
    "replay_config",
    "running_replay",
]
