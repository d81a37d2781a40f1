"""Read, check and write parameter files: freqtrade's ``<Strategy>.json``.

A strategy trades with the values in its parameter file.
"""

import json
import logging
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from perp_imbalance.errors import DataError, SettingsError
from perp_imbalance.files import atomic_write
from perp_imbalance.indicators.thresholds import Thresholds
from perp_imbalance.strategy.named_values import check_decimals
from perp_imbalance.strategy.parameters import (
    PARAMETER_SPACES,
    SPACES,
    check_names,
    check_value,
)

#: Values by space and name, as freqtrade's parameter files have them.
Params = dict[str, dict[str, Any]]

_Number = Annotated[int | float, Field(allow_inf_nan=False)]
_Share = Annotated[int | float, Field(ge=0, le=1)]


class _Options(BaseModel):
    """freqtrade's own options in a parameter file; each may be missing."""

    model_config = ConfigDict(extra="forbid", strict=True)


class _Stoploss(_Options):
    stoploss: Annotated[int | float, Field(ge=-1, lt=0)] = -1


class _Trailing(_Options):
    # None is freqtrade's own "not set" where a trailing stop is off.
    trailing_stop: bool | None = None
    trailing_stop_positive: _Share | None = None
    trailing_stop_positive_offset: _Share | None = None
    trailing_only_offset_is_reached: bool | None = None


class _MaxOpenTrades(_Options):
    max_open_trades: Annotated[int | float, Field(ge=-1)] = -1


class _Spaces(BaseModel):
    """Values of freqtrade's options and of a strategy's parameters, grouped by hyperopt space."""

    model_config = ConfigDict(extra="allow", strict=True)
    __pydantic_extra__: dict[str, dict[str, Any]]

    roi: dict[Annotated[str, Field(pattern="^[0-9]+$")], _Number] = {}
    stoploss: _Stoploss | None = None
    trailing: _Trailing | None = None
    max_open_trades: _MaxOpenTrades | None = None

    @model_validator(mode="after")
    def _check_values(self) -> "_Spaces":
        for space, values in self.__pydantic_extra__.items():
            for name in values:
                if SPACES.get(name) == space:
                    try:
                        check_value(name, values[name])
                    except SettingsError as error:
                        said = f"{space}.{error}"
                        raise PydanticCustomError("value", "{said}", {"said": said}) from None
        return self


class TunedOn(_Options):
    """The candles on which a parameter file was tuned, as options of ``backtest``."""

    datadir: str
    timeframe: str
    pairs: list[str]
    timerange: str


class ParameterFile(BaseModel):
    """A parameter file whose values have the right types.

    freqtrade reads the first two fields and ignores other keys.

    :ivar strategy_name: the only class for which freqtrade uses the file.
    :ivar params: values by space.
    :ivar warning: reason not to trade with it; None if none is known.
    :ivar tuned_on: candles on which ``tune`` found the values.
    """

    model_config = ConfigDict(extra="allow", strict=True)

    strategy_name: str | None = None
    params_: _Spaces = Field(alias="params")
    warning: str | None = None
    tuned_on: TunedOn | None = None

    @classmethod
    def of(
        cls, thresholds: Thresholds, names: Collection[str] = tuple(PARAMETER_SPACES)
    ) -> "ParameterFile":
        """Return a parameter file with the thresholds that are parameters.

        :param names: names of the thresholds to include.

        >>> ParameterFile.of(Thresholds()).params["sell"]
        {'exit_z': 0.9}
        """
        params: Params = {}
        for name, space in PARAMETER_SPACES.items():
            if name in names:
                params.setdefault(space, {})[name] = getattr(thresholds, name)
        return cls.model_validate({"params": params})

    @classmethod
    def of_words(cls, words: Mapping[str, str]) -> "ParameterFile":
        """Return a parameter file with typed values.

        :param words: values by name, such as ``{"enter_z": "2.2", "use_sigma": "yes"}``.
        :raises SettingsError: one line that names the invalid value.

        >>> ParameterFile.of_words({"enter_z": "2.2", "use_sigma": "yes"}).values
        {'enter_z': 2.2, 'use_sigma': True}
        """
        params: Params = {}
        for name, word in words.items():
            space = SPACES.get(name) or _OPTION_SPACES.get(name)
            if space is None:
                known = ", ".join((*SPACES, *_OPTION_SPACES))
                raise SettingsError(f"{name} is not a parameter: known are {known}")
            params.setdefault(space, {})[name] = _value_of(word)
        said = " ".join(map("=".join, words.items()))
        try:
            found = cls.model_validate({"params": params})
        except ValidationError as error:
            raise SettingsError(_one_line(error, said)) from None
        for name in SPACES.keys() & words.keys():
            try:
                check_decimals(name, params[SPACES[name]][name])
            except SettingsError as error:
                raise SettingsError(f"{said}: {error}") from None
        return found

    @classmethod
    def parse(cls, content: str | bytes, source: object) -> "ParameterFile":
        """Parse the text of a parameter file.

        :param source: name of the file in messages.
        :raises SettingsError: one line that names the source and the invalid key.

        >>> ParameterFile.parse('{"params": {"roi": {"soon": 1}}}', "X.json")
        Traceback (most recent call last):
        perp_imbalance.errors.SettingsError: X.json: roi.soon is not a number of minutes
        """
        from freqtrade.optimize.hyperopt_tools import HyperoptTools

        try:
            return cls.model_validate(HyperoptTools.load_params(content))
        except ValidationError as error:
            raise SettingsError(_one_line(error, source)) from None
        except (ValueError, RecursionError) as error:
            why = str(error).splitlines()[0] if isinstance(error, ValueError) else "nested too deep"
            raise SettingsError(f"{source} is not valid JSON: {why}") from None

    @classmethod
    def read(cls, file: Path) -> "ParameterFile":
        """Read a parameter file.

        :raises DataError: if it cannot be read.
        :raises SettingsError: as in :meth:`parse`.
        """
        try:
            content = file.read_bytes()
        except OSError as error:
            raise DataError(f"{file} cannot be read: {error.strerror}") from None
        return cls.parse(content, file)

    @property
    def params(self) -> Params:
        """The values by space."""
        return self.params_.model_dump(exclude_unset=True)

    @property
    def values(self) -> dict[str, Any]:
        """The values of thresholds, by name.

        >>> buy = {"enter_z": 2, "entry_mode": "flip"}
        >>> ParameterFile.model_validate({"params": {"buy": buy}}).values
        {'enter_z': 2}
        """
        return {
            name: value
            for space, values in self.params.items()
            for name, value in values.items()
            if PARAMETER_SPACES.get(name) == space
        }

    @property
    def by_name(self) -> dict[str, Any]:
        """All values by name.

        >>> ParameterFile.of_words({"stoploss": "-0.2", "entry_mode": "flip"}).by_name
        {'stoploss': -0.2, 'entry_mode': 'flip'}
        """
        return {name: value for values in self.params.values() for name, value in values.items()}

    @property
    def options(self) -> dict[str, Any]:
        """The values of freqtrade's own options, under their names in a config.

        >>> params = {"stoploss": {"stoploss": -0.2}, "roi": {"0": 0.1}}
        >>> ParameterFile.model_validate({"params": params}).options
        {'minimal_roi': {'0': 0.1}, 'stoploss': -0.2}
        """
        params = self.params
        options = {"minimal_roi": params["roi"]} if "roi" in params else {}
        for space in _Spaces.model_fields.keys() - {"roi"}:
            options |= params.get(space, {})
        return options

    def check_names(
        self, source: object, known: Mapping[str, Collection[str]], owner: str = "PerpImbalance"
    ) -> None:
        """Refuse values that freqtrade would ignore silently.

        :param source: name of the file in messages.
        :param known: the parameters of the strategy by space.
        :param owner: the strategy's name.
        :raises SettingsError: one line that names the file and the first ignored value.
        """
        try:
            check_names(self.params_.__pydantic_extra__ or {}, known, owner)
        except SettingsError as error:
            raise SettingsError(f"{source}: {error}") from None

    def as_dict(self) -> dict[str, Any]:
        """Return the content of the file as plain values."""
        return self.model_dump(exclude_unset=True, by_alias=True)

    def as_text(self) -> str:
        """Return the text of the file."""
        return json.dumps(self.as_dict(), indent=2)

    def write(self, file: Path, strategy: str) -> None:
        """Write the file with freqtrade's own writer.

        :param file: path next to the strategy, with its name.
        :raises CommandError: if it cannot be written.
        """
        from freqtrade.optimize.hyperopt_tools import HyperoptTools

        details = {"params_details": self.params, "params_not_optimized": {}}
        # It would name the file below, which is gone by then.
        logging.getLogger(HyperoptTools.__module__).setLevel(logging.WARNING)
        ours = self.model_dump(include={"warning", "tuned_on"}, exclude_none=True)
        with atomic_write(file) as part:
            HyperoptTools.export_params(details, strategy, part)
            if ours:
                written = json.loads(part.read_text("utf-8"))
                part.write_text(json.dumps(written | ours, indent=2), encoding="utf-8")


_KNOWN: dict[str, list[str]] = {
    "stoploss": list(_Stoploss.model_fields),
    "trailing": list(_Trailing.model_fields),
    "max_open_trades": list(_MaxOpenTrades.model_fields),
}

#: The words that switch something on and off where values are typed.
SWITCHES = {
    **dict.fromkeys(("yes", "true", "on"), True),
    **dict.fromkeys(("no", "false", "off"), False),
}

#: The options of freqtrade that can be typed as a single value.
_OPTION_SPACES = {name: space for space, names in _KNOWN.items() for name in names}

#: The parameters of PerpImbalance by space.
OUR_PARAMETERS: dict[str, list[str]] = {}
for _name, _space in SPACES.items():
    OUR_PARAMETERS.setdefault(_space, []).append(_name)


def _value_of(word: str) -> Any:
    """Parse a typed value: a switch, a number, or the word itself."""
    if word.lower() in SWITCHES:
        return SWITCHES[word.lower()]
    try:
        # A word such as zone is none, nor are NaN and infinity values of anything.
        return json.loads(word, parse_constant=lambda _: word)
    except ValueError:
        return word


def _one_line(error: ValidationError, source: object) -> str:
    """Return one sentence about the first error in a parameter file."""
    first = error.errors()[0]
    place = [str(part) for part in first["loc"]]
    if first["type"] == "value":
        return f"{source}: {first['msg']}"
    if place[:1] in (["warning"], ["tuned_on"]):
        return f"{source}: {'.'.join(place)} is not as `tune` writes it: leave {place[0]} out"
    if len(place) < 3 or place[0] != "params":
        if place[:1] == ["strategy_name"]:
            return f'{source}: "strategy_name" is {first["input"]!r}, it must be a name'
        return f'{source} has no "params" by space, as hyperopt writes it'
    space, name = place[1:3]
    if first["type"] == "extra_forbidden":
        known = ", ".join(f"{space}.{option}" for option in _KNOWN[space])
        return f"{source}: {space}.{name} is not an option of freqtrade: known are {known}"
    if place[-1] == "[key]":
        return f"{source}: {space}.{name} is not a number of minutes"
    # Of a whole number or another, pydantic names the first.
    is_number = first["type"] in ("int_type", "float_type")
    wanted = "a number" if is_number else first["msg"].removeprefix("Input should be ")
    return f"{source}: {space}.{name} is {first['input']!r}, it should be {wanted}"
