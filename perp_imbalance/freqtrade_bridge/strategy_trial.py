"""A strategy with other parameters, loaded as a bot loads it, without touching what it has."""

import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

from perp_imbalance.errors import CommandError
from perp_imbalance.files import temporary_folder
from perp_imbalance.freqtrade_bridge.logs import translate_freqtrade_errors
from perp_imbalance.freqtrade_bridge.parameter_file import ParameterFile
from perp_imbalance.freqtrade_bridge.strategies import load_strategy
from perp_imbalance.strategy.parameters import PARAMETER_NAMES, parameters_of


def tried(
    config: dict[str, Any], source: Path, parameters: ParameterFile, name: str
) -> dict[str, Any]:
    """Return the parameters of a strategy with values in its parameter file.

    In a copy of its folder: its present parameter file, broken or of another strategy, is not
    read, and nothing is written that the bot would not start with.

    :param config: freqtrade's, with ``strategy``
    :param source: file of the strategy
    :param name: of the preset, the parameter file or the values, for messages
    :raises CommandError: naming what freqtrade or the strategy refuses
    """
    from freqtrade.configuration.config_validation import validate_config_consistency

    strategy_name, limit = config["strategy"], "max_open_trades"
    about = f"{name} for {strategy_name}; nothing was written"
    options = {key: value for key, value in parameters.options.items() if value is not None}
    with (
        temporary_folder() as place,
        translate_freqtrade_errors(about),
    ):
        copy_strategies(source.parent, place, [strategy_name])
        parameters.write(place / f"{strategy_name}.json", strategy_name)
        # A config's own value would win, and hide the file's until it is taken out.
        trial = {key: value for key, value in config.items() if key not in options}
        trial["strategy_path"] = str(place)
        strategy = load_strategy(trial, about=about)
        lacking = [parameter for parameter in PARAMETER_NAMES if not hasattr(strategy, parameter)]
        if lacking:
            raise CommandError(
                f"{strategy_name} has no parameter {lacking[0]}: a preset is for PerpImbalance and "
                "strategies that are based on it"
            )
        parameters.check_names(name, parameters_of(strategy), strategy_name)
        strategy.ft_load_hyper_params()
        # What a limit of trades allows depends on the stake: the one that counts is the config's.
        validate_config_consistency(trial | ({limit: config[limit]} if limit in config else {}))
        return {key: getattr(strategy, key).value for key in PARAMETER_NAMES}


def copy_strategies(folder: Path, place: Path, names: Collection[str]) -> None:
    """Copy a folder of strategies with all files that they may read.

    :param place: an empty folder
    :param names: strategies whose parameter files are not copied
    """
    left = {"__pycache__", *(f"{name}.json" for name in names)}
    for entry in folder.iterdir():
        if entry.suffix == ".py" and entry.is_file():
            # freqtrade follows a link to where the file lies, and to the parameters beside that.
            shutil.copyfile(entry, place / entry.name)
        elif entry.name not in left:
            # Where links need a privilege, a copy serves: the folder is small.
            target = place / entry.name
            try:
                target.symlink_to(entry.resolve())
            except OSError:
                (shutil.copytree if entry.is_dir() else shutil.copyfile)(entry, target)
