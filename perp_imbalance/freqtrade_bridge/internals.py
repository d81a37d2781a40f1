"""The parts of freqtrade that it does not document for others, in one place.

freqtrade documents its commands and the interface of strategies. To open a config, an exchange or a
strategy as those commands do, there is no public way. Everything else of this project that opens
one goes through this package, so that a freqtrade without one of these names is one line.
"""

from perp_imbalance.errors import BridgeError

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
        f"freqtrade {freqtrade.__version__} lacks what this project needs of it ({error}): install "
        "the version that requirements.txt names"
    ) from None

__all__ = [
    "ENV_VAR_PREFIX",
    "MAP_EXCHANGE_CHILDCLASS",
    "ExchangeResolver",
    "HyperOptLossResolver",
    "StrategyResolver",
    "deep_merge_dicts",
    "environment_vars_to_dict",
    "exchange_classes",
    "load_config_file",
    "load_from_files",
    "setup_utils_configuration",
]
