"""The thresholds as freqtrade parameters, with hyperopt's ranges and spaces."""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import replace
from typing import Any, TypeVar, get_args

from freqtrade.exceptions import OperationalException
from freqtrade.strategy import (
    BooleanParameter,
    CategoricalParameter,
    DecimalParameter,
    IntParameter,
    IStrategy,
)
from freqtrade.strategy.hyper import detect_all_parameters
from freqtrade.strategy.parameters import BaseParameter

from perp_imbalance.errors import PerpImbalanceError, SettingsError
from perp_imbalance.indicators.gates import OPTIONAL_GATES
from perp_imbalance.indicators.hysteresis import EntryMode
from perp_imbalance.indicators.rolling import MEMORY_CANDLES
from perp_imbalance.indicators.thresholds import PRESETS, Thresholds, check_threshold
from perp_imbalance.strategy.settings import Settings, check_setting, value_said, warn_once

logger = logging.getLogger(__name__)

Strategy = TypeVar("Strategy", bound=type)

#: A space of its own for the lookbacks, beside freqtrade's ``buy`` (entries) and ``sell`` (exits).
LOOKBACK_SPACE = "lookback"

# Ranges of enter_z and exit_z do not meet: no epoch has exit_z >= enter_z.
_DECIMALS = {
    "enter_z": (1.2, 3.5, "buy"),
    "exit_z": (0.1, 1.1, "sell"),
    "bb_k": (0.5, 3.0, "buy"),
    "htf_z_min": (0.0, 2.0, "buy"),
    "min_deviation_bps": (0.0, 30.0, "buy"),
    "funding_min": (0.0, 0.001, "buy"),
    "oi_min": (-0.1, 0.2, "buy"),
}
# A funding rate is a small number; a tenth of a basis point is nothing.
_PLACES = {"funding_min": 5, "min_deviation_bps": 1}
_INTEGERS = {
    "len_prem": (10, 200, LOOKBACK_SPACE),
    "smooth_len": (1, 10, LOOKBACK_SPACE),
    "bb_len": (20, 200, LOOKBACK_SPACE),
    "dev_len": (20, 200, LOOKBACK_SPACE),
    "oi_len": (1, 48, LOOKBACK_SPACE),
}
_BOOLEANS = {"use_sigma": "buy", "use_htf": "buy", "robust_z": LOOKBACK_SPACE}

# Robust z-scores have longer tails: below this they make entries of the everyday.
_ROBUST_ENTER_Z = 2.0

#: The thresholds that are parameters: all but ``hot_z``, which no signal uses.
PARAMETER_NAMES = (*_DECIMALS, *_INTEGERS, *_BOOLEANS)

#: The space of each, by its name.
PARAMETER_SPACES = {
    **{name: space for name, (_, _, space) in (_DECIMALS | _INTEGERS).items()},
    **_BOOLEANS,
}

#: The settings of the config that are parameters, too, with the space of each. Their values are the
#: config's until hyperopt or a parameter file says otherwise.
SETTING_SPACES = {
    "entry_mode": "buy",
    "max_stale_candles": "sell",
    **dict.fromkeys(OPTIONAL_GATES, "buy"),
}

#: The space of every parameter, by its name.
SPACES = PARAMETER_SPACES | SETTING_SPACES

#: The spaces of a parameter file that hold freqtrade's own options.
OPTION_SPACES = ("roi", "stoploss", "trailing", "max_open_trades")

# Those that freqtrade knows by itself: a class may have values for them without any parameter.
_FREQTRADE_SPACES = ("buy", "sell", "enter", "exit", "protection")

#: The longest lookback that a parameter may ask for.
LONGEST_LOOKBACK = Thresholds(
    len_prem=_INTEGERS["len_prem"][1],
    smooth_len=_INTEGERS["smooth_len"][1],
    bb_len=_INTEGERS["bb_len"][1],
).lookback

#: Candles that freqtrade loads before the first signal.
STARTUP_CANDLES = MEMORY_CANDLES

#: Candles after the lookback in which the bias meets its first event; from there on it is exact.
BIAS_MEMORY = STARTUP_CANDLES - LONGEST_LOOKBACK


def check_value(name: str, value: Any) -> None:
    """Refuse a value that a parameter cannot have.

    :param name: one of :data:`SPACES`.
    :raises SettingsError: one line with the allowed values.

    >>> check_value("len_prem", 20)
    """
    if name in SETTING_SPACES:
        check_setting(name, value)
        return
    wanted = type(getattr(PRESETS["balanced"], name))
    is_right = isinstance(value, (int, float) if wanted is float else wanted)
    if not is_right or (wanted is not bool and isinstance(value, bool)):
        raise SettingsError(f"{name} is {value_said(value)}, it must be {_WORDS[wanted]}")
    check_threshold(name, value)


def parameters_of(strategy: Any) -> dict[str, list[str]]:
    """Return the parameters of a strategy by space, including fixed ones."""
    return {space: list(found) for space, found in detect_all_parameters(strategy).items()}


def check_names(
    params: Mapping[str, Any], known: Mapping[str, Collection[str]], owner: str
) -> None:
    """Refuse values that freqtrade would ignore silently.

    :param params: values by space and name, as a parameter file or a class has them.
    :param known: the parameters of the strategy by space.
    :param owner: the strategy's name.
    :raises SettingsError: one line that names the first ignored value.

    >>> check_names({"buy": {"enter_z": 2.0}}, {"buy": ["enter_z"]}, "Mine")
    """
    for space, values in params.items():
        if not isinstance(values, Mapping):
            raise SettingsError(f"{space} is {value_said(values)}, it must be values by name")
        for name in values:
            if name not in known.get(space, ()):
                there = ", ".join(f"{place}.{key}" for place in known for key in known[place])
                raise SettingsError(
                    f"{space}.{name} is not a parameter of {owner}: known are {there}"
                )


def check_lookback(thresholds: Thresholds) -> None:
    """Refuse thresholds whose windows are longer than the candles loaded at start.

    :raises SettingsError: naming the window lengths.

    >>> check_lookback(Thresholds())
    """
    deviation = thresholds.z_lookback if thresholds.robust_z else thresholds.dev_len
    if deviation > STARTUP_CANDLES:
        twice = " with robust_z" if thresholds.robust_z else ""
        raise SettingsError(
            f"dev_len is {thresholds.dev_len}, which looks back {deviation} candles{twice}: "
            f"at most {STARTUP_CANDLES} are loaded at start"
        )
    lookback = replace(thresholds, robust_z=False, dev_len=2).lookback
    if lookback > LONGEST_LOOKBACK:
        raise SettingsError(
            f"len_prem, smooth_len and bb_len look back {lookback} candles, "
            f"at most {LONGEST_LOOKBACK} fit into the candles loaded at start"
        )


_WORDS = {bool: "true or false", int: "a whole number", float: "a number"}


def new_parameter(name: str, default: Any, *, is_fixed: bool = False) -> BaseParameter:
    """Return a new freqtrade parameter.

    :param name: one of :data:`SPACES`.
    :param is_fixed: whether neither hyperopt nor a parameter file may change it.
    """
    space = SPACES[name]
    optimize = not is_fixed and name not in OPTIONAL_GATES
    options: dict[str, Any] = {"default": default, "space": space, "optimize": optimize}
    options["load"] = not is_fixed
    if name in _DECIMALS:
        low, high, _ = _DECIMALS[name]
        # freqtrade rounds the value; a fixed one stays what it is.
        places = 15 if is_fixed else _PLACES.get(name, 3)
        return DecimalParameter(low, high, decimals=places, **options)
    if name in _INTEGERS or name == "max_stale_candles":
        begin, end, _ = _INTEGERS.get(name, (1, 48, space))
        return IntParameter(begin, end, **options)
    if name == "entry_mode":
        return CategoricalParameter(get_args(EntryMode), **options)
    return BooleanParameter(**options)


def own_parameter(name: str, declared: Any) -> BaseParameter:
    """Return a parameter from a class attribute; a plain value becomes a fixed parameter.

    :param name: one of :data:`SPACES`, or the name of a parameter that a subclass adds.
    :raises SettingsError: if the plain value is invalid.

    >>> own_parameter("enter_z", 3.0).value
    3.0
    """
    if not isinstance(declared, BaseParameter):
        check_value(name, declared)
        return new_parameter(name, declared, is_fixed=True)
    own = deepcopy(declared)
    if own.space is None:
        # freqtrade would derive "enter" from the name enter_z, and nothing from len_prem.
        own.space = SPACES.get(name)
    return own


class OwnParameters(IStrategy):
    """The part of a strategy that holds the thresholds as parameters.

    Every class copies inherited parameters, and every strategy object those of its class, so that
    no two share a value. A subclass may replace a parameter by one with another range, or by a
    plain value, which neither hyperopt nor a parameter file changes.
    """

    settings: Settings

    # Set by with_preset, with ranges and spaces.
    preset: str
    enter_z: DecimalParameter
    exit_z: DecimalParameter
    len_prem: IntParameter
    smooth_len: IntParameter
    use_sigma: BooleanParameter
    bb_len: IntParameter
    bb_k: DecimalParameter
    use_htf: BooleanParameter
    htf_z_min: DecimalParameter
    min_deviation_bps: DecimalParameter
    dev_len: IntParameter
    robust_z: BooleanParameter
    entry_mode: CategoricalParameter
    max_stale_candles: IntParameter
    #: The names that the class itself gives a value.
    _declared: frozenset[str] = frozenset()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._declared = frozenset(vars(cls))
        for name, value in _declarations(cls):
            # A wrong value stops the class when it is used, not its whole folder.
            with suppress(SettingsError):
                setattr(cls, name, own_parameter(name, value))

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        self.own_parameters()

    def own_parameters(self) -> None:
        """Copy the parameters of the class for this strategy object.

        :raises OperationalException: one line, if the class declares an invalid value.
        """
        with self.refusing_in_one_line():
            for name, value in _declarations(self):
                if name not in vars(self) or not isinstance(value, BaseParameter):
                    setattr(self, name, own_parameter(name, value))

    def ft_load_hyper_params(self, hyperopt: bool = False) -> None:
        """Load the parameters, then refuse values that cannot be traded.

        This is freqtrade's only hook where an error stops the bot with one line: ``bot_start`` runs
        before the parameters are loaded, and its errors print a traceback.

        :raises OperationalException: one line, if the value of a parameter is invalid.
        """
        # Again, for what the subclass's __init__ set.
        self.own_parameters()
        with self.refusing_in_one_line():
            self.check_given_values()
            super().ft_load_hyper_params(hyperopt)
            self.take_config_settings()
            self.check_parameters()

    def check_given_values(self) -> None:
        """Refuse unknown parameters and invalid values in the class and in the parameter file.

        freqtrade would ignore unknown parameters, and fail with a traceback on invalid values.

        :raises SettingsError: naming the first one.
        """
        known = parameters_of(self)
        of_class = {
            space: values
            for space in {*known, *_FREQTRADE_SPACES}
            if (values := getattr(self, f"{space}_params", None)) is not None
        }
        of_file = {
            space: values
            for space, values in self._ft_params_from_file.items()
            if space not in OPTION_SPACES
        }
        for params in (of_class, of_file):
            check_names(params, known, type(self).__name__)
            for values in params.values():
                for name in SPACES.keys() & values.keys():
                    check_value(name, values[name])

    @contextmanager
    def refusing_in_one_line(self) -> Iterator[None]:
        """Convert this project's errors to freqtrade's, which it prints without a traceback."""
        try:
            yield
        except PerpImbalanceError as error:
            raise OperationalException(f"{type(self).__name__}: {error}") from None

    def take_config_settings(self) -> None:
        """Apply the settings that the config names, and log each one that changes a value.

        A parameter file outranks the config, since its values were tuned together. For the switches
        of gates the config outranks the file: hyperopt does not vary them, so an older file would
        otherwise switch off a gate that the config has added since.
        """
        for name in sorted(SETTING_SPACES.keys() & self.settings.model_fields_set):
            parameter, wanted = getattr(self, name), getattr(self.settings, name)
            in_file = name in self._ft_params_from_file.get(parameter.space, {}) and parameter.load
            if parameter.value == wanted or (in_file and name not in OPTIONAL_GATES):
                continue
            if in_file or parameter.value != Settings.model_fields[name].default:
                place = "parameter file" if in_file else "strategy"
                logger.warning(
                    "%s is %s in the config and %s in the %s: the config's counts",
                    *(name, wanted, parameter.value, place),
                )
            parameter.value = wanted

    def check_parameters(self) -> None:
        """Refuse values that cannot be traded.

        :raises SettingsError: naming the first of them.
        """
        for name in SPACES:
            check_value(name, getattr(self, name).value)
        thresholds = self.thresholds()
        check_lookback(thresholds)
        if thresholds.robust_z and thresholds.enter_z < _ROBUST_ENTER_Z:
            warn_once(
                f"robust_z is on and enter_z is {thresholds.enter_z:g}: robust z-scores have "
                f"longer tails, take at least {_ROBUST_ENTER_Z:g}"
            )
        needed = {"enter_z": thresholds.enter_z}
        needed |= {"htf_z_min": thresholds.htf_z_min} if thresholds.use_htf else {}
        for name, z in needed.items():
            if z > thresholds.highest_z:
                raise SettingsError(
                    f"{name} is {z:g}, which no z-score reaches: with len_prem "
                    f"{thresholds.len_prem} it is at most {thresholds.highest_z:.3g}"
                )

    def thresholds(self) -> Thresholds:
        """Return the thresholds as the parameters have them now."""
        names = (*PARAMETER_NAMES, *OPTIONAL_GATES)
        values = {name: getattr(self, name).value for name in names}
        return Thresholds(**values, hot_z=PRESETS[self.preset].hot_z)


def _declarations(owner: object) -> list[tuple[str, Any]]:
    """Return the parameters of a class or a strategy, and the plain values that replace some."""
    found = []
    for name in dir(owner):
        # Of the class first: a property of a strategy may need what it does not have yet.
        kind = owner if isinstance(owner, type) else type(owner)
        value = vars(owner).get(name, getattr(kind, name, None))
        if isinstance(value, BaseParameter) or name in SPACES:
            found.append((name, value))
    return found


def with_preset(name: str) -> Callable[[Strategy], Strategy]:
    """Return a class decorator that sets the parameters of a preset.

    Parameters that the class itself sets stay.

    Use: ``@with_preset("aggressive")`` above the class.
    """

    def decorate(strategy: Strategy) -> Strategy:
        defaults = {key: getattr(PRESETS[name], key) for key in PARAMETER_NAMES}
        defaults |= {key: Settings.model_fields[key].default for key in SETTING_SPACES}
        for key in defaults.keys() - getattr(strategy, "_declared", ()):
            setattr(strategy, key, new_parameter(key, defaults[key]))
        strategy.preset = name  # type: ignore[attr-defined]
        return strategy

    return decorate
