"""A replay exchange: the part of Binance's REST interface that freqtrade needs, from files.

freqtrade's backtesting asks the exchange for its market list even where the candles are local, and
its downloader asks for everything. Both are served here on 127.0.0.1 from a folder of candles,
while freqtrade itself stays as it is::

    with running_replay(Path("candles/binance")) as replay:
        run_freqtrade(arguments, configs=configs, overlay=replay_config(replay.url))

Given what an account begins with, it takes orders, too: see :class:`~.account.AccountTerms`.
"""

from perp_imbalance.replay.account import Account, AccountTerms
from perp_imbalance.replay.candles import CandleStore
from perp_imbalance.replay.config import DEFAULT_PORT, HOST, account_config, replay_config
from perp_imbalance.replay.faults import (
    BadPrices,
    Delisted,
    Fault,
    Halted,
    HttpErrors,
    LateCandles,
    MissingCandles,
    NoAnswer,
    read_faults,
)
from perp_imbalance.replay.running import Replay, running_replay
from perp_imbalance.replay.server import ServedRequest
from perp_imbalance.replay.signing import Credentials

__all__ = [
    "DEFAULT_PORT",
    "HOST",
    "Account",
    "AccountTerms",
    "BadPrices",
    "CandleStore",
    "Credentials",
    "Delisted",
    "Fault",
    "Halted",
    "HttpErrors",
    "LateCandles",
    "MissingCandles",
    "NoAnswer",
    "Replay",
    "ServedRequest",
    "account_config",
    "read_faults",
    "replay_config",
    "running_replay",
]
