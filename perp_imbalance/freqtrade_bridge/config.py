"""Merge all options into one complete config that no environment variable outranks.

freqtrade merges config files, then the environment's ``FREQTRADE__`` variables over them. An
option in one more config file would therefore lose to a variable. So this module merges files,
variables and options, in this order, and freqtrade reads the result without the variables.
"""

import copy
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from perp_imbalance.errors import BridgeError
from perp_imbalance.files import temporary_folder
from perp_imbalance.freqtrade_bridge.logs import silent_logs, translate_freqtrade_errors

if TYPE_CHECKING:
    from freqtrade.enums import RunMode

# Where a config came from: of a merged one, no file is to be read again.
_SOURCES = ("config_files", "add_config_files")


class ConfigFiles(list[Path]):
    """Config files, and settings of the command line that win over files and environment.

    :ivar settings: such as ``user_data_dir``, by freqtrade's names.

    >>> ConfigFiles([Path("config.json")], {"strategy_path": "mine"}).words
    ['-c', 'config.json', '--strategy-path', 'mine']
    """

    #: freqtrade's options, by the settings that they are kept in.
    OPTIONS: ClassVar = {"user_data_dir": "--userdir", "strategy_path": "--strategy-path"}

    def __init__(
        self, files: Sequence[Path] = (), settings: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(files)
        self.settings = dict(settings or {})

    @property
    def words(self) -> list[str]:
        """The options that say the same."""
        words = [word for file in self for word in ("-c", str(file))]
        for name, value in self.settings.items():
            words += [self.OPTIONS[name], value]
        return words


def load_config(
    files: Sequence[Path],
    *,
    runmode: "RunMode | None" = None,
    overlay: Mapping[str, Any] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Return the config of freqtrade's ``-c`` files, completed by freqtrade.

    :param files: merged in this order, later ones win.
    :param runmode: freqtrade's run mode; by default that of its utility commands.
    :param overlay: settings that win over files and environment.
    :param options: freqtrade's command-line options, by their names in ``freqtrade.commands``; they
        win over everything else.
    :raises BridgeError: if a file is missing, unreadable or no valid config.
    """
    return complete_config(
        merged_config(files, overlay), about=_names(files), runmode=runmode, **options
    )


def merged_config(
    files: Sequence[Path], overlay: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return files, environment and overlay merged, later ones over earlier ones.

    :param files: freqtrade's ``-c`` files, later ones win; of :class:`ConfigFiles`, their settings
        win over all but the overlay.
    :param overlay: settings that win over files and environment.
    :raises BridgeError: if a file is missing or unreadable, or a variable has a wrong type.
    """
    from perp_imbalance.freqtrade_bridge.internals import (
        deep_merge_dicts,
        environment_vars_to_dict,
        load_from_files,
    )

    for file in files:
        if not file.is_file():
            is_folder = f"{file} is a folder, and a config is a file"
            said = is_folder if file.is_dir() else f"there is no config file {file}"
            raise BridgeError(f"{said}: name one with -c")
    names = [str(file) for file in files]
    try:
        with translate_freqtrade_errors(_names(files)):
            config = load_from_files(names) if names else {}
    except (AttributeError, TypeError):
        raise _unfit_file(files) from None
    except OSError as error:
        raise BridgeError(f"{error.strerror} ({_names(files)})") from None
    for name in _SOURCES:
        config.pop(name, None)
    with silent_logs():
        variables = environment_vars_to_dict()
    try:
        deep_merge_dicts(variables, config)
    except (AttributeError, TypeError) as error:
        if _wrong_settings(config):
            raise _wrong_type(config, _names(files)) from None
        raise BridgeError(
            f"a variable of the environment does not fit the config: {error} ({_names(files)})"
        ) from None
    if isinstance(files, ConfigFiles):
        # A path is relative to where it was typed, whatever folder freqtrade runs in.
        config |= {name: str(Path(path).absolute()) for name, path in files.settings.items()}
    return dict(deep_merge_dicts(copy.deepcopy(dict(overlay or {})), config))


def complete_config(
    config: Mapping[str, Any],
    *,
    about: str = "config",
    runmode: "RunMode | None" = None,
    **options: Any,
) -> dict[str, Any]:
    """Return a config completed as by freqtrade's own commands, without the environment.

    :param config: the whole config, such as :func:`merged_config` returns.
    :param about: name of the config in error messages.
    :param runmode: see :func:`load_config`.
    :param options: see :func:`load_config`.
    :raises BridgeError: if freqtrade refuses it.
    """
    from freqtrade.enums import RunMode

    from perp_imbalance.freqtrade_bridge.internals import setup_utils_configuration

    with config_file(config) as file, without_variables(), translate_freqtrade_errors(about):
        arguments = {"config": [str(file)], **options}
        try:
            found = dict(setup_utils_configuration(arguments, runmode or RunMode.UTIL_EXCHANGE))
        except (AttributeError, TypeError):
            # freqtrade takes the types of sections for granted.
            raise _wrong_type(config, about) from None
    for place in (found, found["original_config"]):
        # It is gone.
        place.pop("config_files", None)
    return found


@contextmanager
def config_file(config: Mapping[str, Any]) -> Iterator[Path]:
    """Yield a config as a file that only this user can read, and remove it when the block ends."""
    with temporary_folder() as folder:
        file = Path(folder, "config.json")
        file.touch(mode=0o600)
        file.write_text(json.dumps(config), encoding="utf-8")
        yield file


def is_variable(name: str) -> bool:
    """Return whether freqtrade reads an environment variable as a part of its config."""
    from perp_imbalance.freqtrade_bridge.internals import ENV_VAR_PREFIX

    return name.startswith(ENV_VAR_PREFIX)


@contextmanager
def without_variables() -> Iterator[None]:
    """Hide freqtrade's environment variables during the block."""
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if is_variable(name)}
    try:
        yield
    finally:
        os.environ.update(hidden)


def _unfit_file(files: Sequence[Path]) -> BridgeError:
    """Return the error about the first file that freqtrade cannot merge with the others."""
    from perp_imbalance.freqtrade_bridge.internals import load_config_file

    for file in files:
        content: object = load_config_file(str(file))
        if not isinstance(content, Mapping):
            return BridgeError(f"a config is a single JSON object, {{...}} ({_names([file])})")
        if _wrong_settings(content):
            return _wrong_type(content, _names([file]))
    return _wrong_type({}, _names(files))


def _wrong_type(config: Mapping[str, Any], about: str) -> BridgeError:
    """Return the error about settings with a wrong type, without their values."""
    wrong = ", ".join(_wrong_settings(config)) or "a section or one of its settings"
    return BridgeError(f"{wrong} has the wrong type: compare it with the shipped config ({about})")


def _wrong_settings(config: Mapping[str, Any]) -> list[str]:
    """Return the settings of a config whose type differs from freqtrade's schema."""
    from freqtrade.config_schema import CONF_SCHEMA
    from jsonschema import Draft4Validator

    errors = Draft4Validator(CONF_SCHEMA).iter_errors(config)
    return [
        ".".join(map(str, error.absolute_path)) for error in errors if error.validator == "type"
    ]


def _names(files: Sequence[Path]) -> str:
    return f"config {' + '.join(map(str, files))}"


def check_timerange(timerange: str | None) -> None:
    """Raise unless freqtrade can read a timerange; None is all there is.

    :raises BridgeError: naming it.
    """
    from freqtrade.configuration import TimeRange

    with translate_freqtrade_errors("such as 20250101-20250301"):
        TimeRange.parse_timerange(timerange)


def whitelist(config: Mapping[str, Any]) -> list[str]:
    """Return the pairs that the config names.

    :raises BridgeError: if it names none.
    """
    pairs = list(config.get("exchange", {}).get("pair_whitelist", []))
    if not pairs:
        raise BridgeError("the config's exchange.pair_whitelist is empty: name the perps there")
    return pairs
