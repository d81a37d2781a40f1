"""Values of parameters as words: ``enter_z=2.2 use_sigma=no``, as commands take and print them."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from perp_imbalance.errors import SettingsError
from perp_imbalance.indicators.gates import GATES
from perp_imbalance.indicators.thresholds import THRESHOLD_NAMES, Thresholds
from perp_imbalance.strategy.parameters import SETTING_SPACES, SPACES, check_value, new_parameter
from perp_imbalance.strategy.settings import Settings

#: How a switch is written.
SWITCHES = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}


def parse_values(words: Iterable[str], option: str = "--set") -> dict[str, Any]:
    """Return the values of parameters that words name.

    :param option: what a message calls the place of the words.
    :raises SettingsError: one line that names the first word that is wrong.

    >>> parse_values(["enter_z=2.2", "use_sigma=no", "entry_mode=flip"])
    {'enter_z': 2.2, 'use_sigma': False, 'entry_mode': 'flip'}
    """
    values: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise SettingsError(f"{option} {word}: write NAME=VALUE, such as enter_z=2.2")
        if name not in SPACES:
            raise SettingsError(f"{option} {word}: no parameter is {name}; {', '.join(SPACES)} are")
        if name in values:
            raise SettingsError(f"{option} names {name} twice")
        try:
            value = _parsed(text, _kind_of(name))
            check_value(name, value)
            check_decimals(name, value)
        except (KeyError, ValueError):
            raise SettingsError(f"{option} {word}: {text!r} is {_WRONG[_kind_of(name)]}") from None
        except SettingsError as error:
            raise SettingsError(f"{option} {word}: {error}") from None
        values[name] = value
    return values


def _kind_of(name: str) -> type:
    if name in THRESHOLD_NAMES:
        return type(getattr(Thresholds(), name))
    return type(Settings.model_fields[name].default)


_WRONG = {bool: "neither yes nor no", int: "no whole number", float: "no number"}


def _parsed(text: str, kind: type) -> Any:
    if kind is bool:
        return SWITCHES[text.lower()]
    value = kind(text)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError
    return value


def check_decimals(name: str, value: Any) -> None:
    """Refuse a value that a strategy's parameter would round.

    :raises SettingsError: naming what it would become.

    >>> check_decimals("enter_z", 2.125)
    """
    kept = new_parameter(name, value).value
    if kept != value:
        raise SettingsError(
            f"{name} is {value:.10g}, which a strategy's parameter keeps as {kept:g}: take fewer "
            "decimals"
        )


def words_of(values: Mapping[str, Any]) -> list[str]:
    """Return values as the words that :func:`parse_values` reads.

    >>> words_of({"enter_z": 2.0, "use_sigma": False})
    ['enter_z=2', 'use_sigma=no']
    """
    return [f"{name}={_word(value)}" for name, value in values.items()]


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def by_space(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return values by the space of their parameter, as parameter files have them.

    >>> by_space({"enter_z": 2.0, "exit_z": 1.0})
    {'buy': {'enter_z': 2.0}, 'sell': {'exit_z': 1.0}}
    """
    spaces: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        spaces.setdefault(SPACES[name], {})[name] = value
    return spaces


def written_values(thresholds: Thresholds, settings: Settings) -> dict[str, Any]:
    """Return every value that decides signals: all switches, and what belongs to those that are on.

    :param settings: whose entry mode and stale rule are named where they are not the default.

    >>> words_of(written_values(Thresholds(use_sigma=False), Settings()))[4:]
    ['robust_z=no', 'use_sigma=no', 'use_htf=no', 'min_deviation_bps=0']
    """
    window = "dev_len" if thresholds.robust_z else "len_prem"
    names = ["enter_z", "exit_z", window, "smooth_len", "robust_z"]
    for gate in GATES:
        # Those that no preset has on are off unless named.
        if gate.series is None or gate.is_on(thresholds):
            names.append(gate.switch)
        if gate.is_on(thresholds):
            names += gate.thresholds
    values = {name: getattr(thresholds, name) for name in dict.fromkeys(names)}
    for name in SETTING_SPACES:
        default = Settings.model_fields[name].default
        if name not in THRESHOLD_NAMES and getattr(settings, name) != default:
            values[name] = getattr(settings, name)
    return values
