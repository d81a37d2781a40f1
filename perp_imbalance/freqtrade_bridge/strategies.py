"""Strategies as freqtrade loads them, and the folder in which they are found."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from perp_imbalance.errors import BridgeError
from perp_imbalance.freqtrade_bridge.logs import silent_logs, translate_freqtrade_errors
from perp_imbalance.shipped import shipped

#: The strategies of this project.
PROJECT_STRATEGIES = shipped("strategies")


def strategy_folder(config: Mapping[str, Any], strategy: str = "PerpImbalance") -> Path:
    """Return the folder that a strategy is loaded from.

    The config's ``strategy_path``; without one freqtrade's own folder where that has the strategy,
    and the project's otherwise.

    :param config: freqtrade's, with ``user_data_dir``.
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
    """Return the config's strategy as the bot loads it.

    :param config: freqtrade's; loading writes the strategy's values into it.
    :param with_parameters: whether to load its parameter file, too, as the bot does at its start.
    :param about: what an error is about; the strategy by default.
    :raises BridgeError: if freqtrade or the strategy refuses.
    """
    from perp_imbalance.freqtrade_bridge.internals import StrategyResolver

    with translate_freqtrade_errors(about or f"strategy {config.get('strategy')}"):
        strategy = StrategyResolver.load_strategy(config)
        if with_parameters:
            strategy.ft_load_hyper_params(False)
    return strategy


def check_strategies(names: Sequence[str], config: Mapping[str, Any]) -> None:
    """Raise unless there is a class of each name, or a file that should have it.

    What is wrong with such a file, freqtrade tells when it loads it.

    :raises BridgeError: naming the first that is missing, and those that there are.
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
            raise BridgeError(f"there is no strategy {name} in {folder}: there are {there}")


def parameter_spaces(strategy: str, folder: Path, user_data: Path) -> list[str] | None:
    """Return the spaces of a strategy's own parameters; None where there is no such class.

    The class as it is: what lies beside it as a parameter file is left out.

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
    """Raise unless hyperopt has a loss of that name.

    :raises BridgeError: naming it.
    """
    from perp_imbalance.freqtrade_bridge.internals import HyperOptLossResolver

    with translate_freqtrade_errors("--hyperopt-loss"):
        # freqtrade asks for one; the check does not depend on it.
        config = {"user_data_dir": user_data, "hyperopt_loss": loss, "timeframe": ""}
        HyperOptLossResolver.load_hyperoptloss(config)
