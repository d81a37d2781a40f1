"""Load strategies with freqtrade, and find their folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from perp_imbalance.errors import BridgeError
from perp_imbalance.freqtrade_bridge.logs import silent_logs, translate_freqtrade_errors
from perp_imbalance.shipped import shipped

#: The strategies of this project.
PROJECT_STRATEGIES = shipped("strategies")


def strategy_folder(config: Mapping[str, Any], strategy: str = "PerpImbalance") -> Path:
    """Return the folder from which a strategy is loaded.

    This is the config's ``strategy_path``. Without one it is freqtrade's own folder if that
    contains the strategy, else the project's.

    :param config: freqtrade's config, with ``user_data_dir``.
    :param strategy: name of the class and of its file.
    """
    if path := config.get("strategy_path"):
        return Path(path)
    own = Path(config["user_data_dir"]) / "strategies"
    if (own / f"{strategy}.py").is_file() or not PROJECT_STRATEGIES.is_dir():
        return own
    return PROJECT_STRATEGIES


def load_strategy(
    config: dict[str, Any], *, with_parameters: bool = False, about: str | None = None
) -> Any:
    """Return the config's strategy, loaded as by the bot.

    :param config: freqtrade's config; loading writes the strategy's values into it.
    :param with_parameters: whether to load its parameter file too, as the bot does at start.
    :param about: subject of error messages; by default the strategy.
    :raises BridgeError: if freqtrade or the strategy refuses.
    """
    from perp_imbalance.freqtrade_bridge.internals import StrategyResolver

    with translate_freqtrade_errors(about or f"strategy {config.get('strategy')}"):
        strategy = StrategyResolver.load_strategy(config)
        if with_parameters:
            strategy.ft_load_hyper_params(False)
    return strategy


def check_strategies(names: Sequence[str], config: Mapping[str, Any]) -> None:
    """Raise unless each strategy has a class, or at least a file of its name.

    freqtrade itself reports errors in such a file.

    :raises BridgeError: naming the first missing strategy and the existing ones.
    """
    from perp_imbalance.freqtrade_bridge.internals import StrategyResolver

    folder = strategy_folder(config)
    folders = {"user_data_dir": config["user_data_dir"], "strategy_path": folder}
    is_deep = bool(config.get("recursive_strategy_search"))
    with silent_logs():
        found = StrategyResolver.search_all_objects(folders, False, recursive=is_deep)
    known = {str(each["name"]) for each in found}
    for name in names:
        # With a colon, it is not a name but the code itself.
        if name not in known and ":" not in name and not (folder / f"{name}.py").is_file():
            there = ", ".join(sorted(known)) or "none"
            raise BridgeError(f"there is no strategy {name} in {folder}; available: {there}")


def parameter_spaces(strategy: str, folder: Path, user_data: Path) -> list[str] | None:
    """Return the spaces of a strategy's parameters; None if there is no such class.

    The parameter file of the strategy is ignored.

    :raises BridgeError: if a file of the folder cannot be loaded.
    """
    from freqtrade.strategy.hyper import detect_all_parameters

    from perp_imbalance.freqtrade_bridge.internals import StrategyResolver

    with translate_freqtrade_errors(f"strategy {strategy}"):
        folders = {"user_data_dir": user_data, "strategy_path": folder}
        for found in StrategyResolver.search_all_objects(folders, enum_failed=False):
            if found["name"] == strategy:
                return list(detect_all_parameters(found["class"]))
    return None


def check_loss(loss: str, user_data: Path) -> None:
    """Raise unless hyperopt has a loss function of that name.

    :raises BridgeError: naming the loss function.
    """
    from perp_imbalance.freqtrade_bridge.internals import HyperOptLossResolver

    with translate_freqtrade_errors("--hyperopt-loss"):
        # freqtrade asks for one; the check does not depend on it.
        config = {"user_data_dir": user_data, "hyperopt_loss": loss, "timeframe": ""}
        HyperOptLossResolver.load_hyperoptloss(config)
