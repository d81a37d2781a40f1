"""The undocumented parts of freqtrade that this project uses.

freqtrade documents its commands and the strategy interface. There is no public way to open a
config, an exchange or a strategy as the commands do. All other modules use this package for that,
so that a freqtrade without one of these names is reported in one line.
"""

from operator import attrgetter
from typing import Any, NamedTuple

from perp_imbalance.errors import BridgeError

_INSTALL = "install the version that requirements.txt names"

try:
    from freqtrade import exchange as exchange_classes
    from freqtrade.configuration import setup_utils_configuration
    from freqtrade.configuration.environment_vars import environment_vars_to_dict
    from freqtrade.configuration.load_config import load_config_file, load_from_files
    from freqtrade.constants import ENV_VAR_PREFIX
    from freqtrade.exchange.common import MAP_EXCHANGE_CHILDCLASS
    from freqtrade.misc import deep_merge_dicts
    from freqtrade.resolvers import ExchangeResolver, StrategyResolver
    from freqtrade.resolvers.hyperopt_resolver import HyperOptLossResolver
except ImportError as error:
    import freqtrade

    raise BridgeError(
        f"freqtrade {freqtrade.__version__} lacks what this project needs of it ({error}): "
        f"{_INSTALL}"
    ) from None

__all__ = [
    "ENV_VAR_PREFIX",
    "MAP_EXCHANGE_CHILDCLASS",
    "ExchangeResolver",
    "HyperOptLossResolver",
    "RunningBot",
    "StrategyResolver",
    "deep_merge_dicts",
    "environment_vars_to_dict",
    "exchange_classes",
    "load_config_file",
    "load_from_files",
    "running_bot",
    "setup_utils_configuration",
]


class RunningBot(NamedTuple):
    """The parts of a running bot that a rehearsal replaces: waiting, random ids, repeated work.

    freqtrade has no setting for the clock of ``freqtrade trade``. Calls of ``time`` and
    ``datetime`` follow a replaced clock; these names cover how the bot waits, where order ids come
    from, and what it recomputes from unchanged candles.

    :ivar worker: the class whose ``_sleep(seconds)`` is the pause between two iterations
    :ivar backoff: the module whose ``asyncio.sleep`` is the pause before a request is retried
    :ivar client: ccxt's class whose coroutine ``fetch`` sends one request
    :ivar receiver: ccxt's class whose ``on_rest_response`` receives the answers of all clients
    :ivar exchange: the module whose ``uuid4`` creates order ids in a dry-run, with the base class
        of exchanges
    :ivar converter: the module that cleans candles
    :ivar freqtrade: the module with the class whose ``process`` is one iteration
    :ivar strategy: the module with the base class of strategies, whose ``analyze_pair`` analyses
        one pair
    """

    worker: Any
    backoff: Any
    client: Any
    receiver: Any
    exchange: Any
    converter: Any
    freqtrade: Any
    strategy: Any


# What is replaced in each of them.
_REPLACED = {
    "worker": ("_sleep",),
    "backoff": ("asyncio",),
    "client": ("fetch",),
    "receiver": ("on_rest_response",),
    "exchange": (
        "uuid4",
        "clean_ohlcv_dataframe",
        "Exchange._build_coroutine",
        "Exchange._async_get_candle_history",
        "Exchange._fetch_and_calculate_funding_fees",
        "Exchange._now_is_time_to_refresh",
    ),
    "converter": ("clean_ohlcv_dataframe",),
    "freqtrade": ("FreqtradeBot.process",),
    # Python's own name of the attribute ``__last_candle_seen_per_pair``.
    "strategy": ("IStrategy.analyze_pair",),
}


def running_bot() -> RunningBot:
    """Return the parts of a running bot, after checking that each has the replaced names.

    :raises BridgeError: if this version of freqtrade lacks a name
    """
    # Here, because the bot itself takes seconds to import that other commands need not.
    import freqtrade
    from ccxt.async_support.base.exchange import Exchange
    from freqtrade import freqtradebot
    from freqtrade.data.converter import converter
    from freqtrade.exchange import common, exchange
    from freqtrade.strategy import interface
    from freqtrade.worker import Worker

    # Asynchronous and other clients share one base.
    receiver = next((base for base in Exchange.__mro__ if "on_rest_response" in vars(base)), None)
    ccxt_parts = (Exchange, receiver or Exchange)
    bot = RunningBot(Worker, common, *ccxt_parts, exchange, converter, freqtradebot, interface)
    for part, names in _REPLACED.items():
        for name in names:
            try:
                attrgetter(name)(getattr(bot, part))
            except AttributeError:
                raise BridgeError(
                    f"freqtrade {freqtrade.__version__} lacks {getattr(bot, part).__name__}.{name},"
                    f" which a rehearsal replaces: {_INSTALL}"
                ) from None
    return bot
