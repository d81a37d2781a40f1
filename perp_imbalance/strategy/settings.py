"""The config's section ``perp_imbalance``: all settings that are not thresholds."""

import logging
import reprlib
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Annotated, Any, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    Discriminator,
    Field,
    PlainValidator,
    PositiveFloat,
    Tag,
    ValidationError,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from perp_imbalance.errors import SettingsError
from perp_imbalance.indicators.gates import OPTIONAL_GATES
from perp_imbalance.indicators.hysteresis import EntryMode
from perp_imbalance.indicators.thresholds import (
    HTF_TIMEFRAME,
    MAX_STALE_CANDLES,
    PRESET_SIDES,
    Side,
    Thresholds,
)
from perp_imbalance.markets.spot_pairs import (
    STRICT,
    PremiumSetting,
    SpotPair,
    check_premium_source,
    source_order,
)
from perp_imbalance.strategy.alerts import AlertKind, CrossingAlert, CrossingKind
from perp_imbalance.strategy.order_rules import PROTECTIONS, misspelt_key

logger = logging.getLogger(__name__)

#: The name of the section in freqtrade's config.
SECTION = "perp_imbalance"


@cache
def warn_once(message: str) -> None:
    """Log a warning once per process."""
    logger.warning("%s", message)


def _perp_name(key: str) -> str:
    """Return the name of a perp; refuse that of a spot pair, which would have no effect."""
    if ":" not in key:
        raise PydanticCustomError("no_perp", "a perp's name such as BTC/USDT:USDT")
    return key


# What pydantic adds to the place of an error in ``alerts``: no key of the config.
_FLIP, _CROSSING = "<flip>", "<crossing>"

AlertSetting = Annotated[
    Annotated[AlertKind, Tag(_FLIP)] | Annotated[CrossingAlert, Tag(_CROSSING)],
    Discriminator(lambda value: _FLIP if isinstance(value, str) else _CROSSING),
]


class Settings(BaseModel):
    """Settings of the strategy, validated.

    :param htf_timeframe: the higher timeframe of the HTF gate.
    :param entry_mode: ``zone``: the first candle of a zone that passes the gates; ``flip``: only
        the candle on which the bias flips.
    :param sides: the sides that may be entered; by default those of the preset.
    :param max_stale_candles: consecutive candles without a premium that end a bias; 0 switches
        this off.
    :param premium_source: the source of the premium: one, or several in order of preference.
    :param use_funding: whether an entry needs the funding rate to agree.
    :param use_oi: whether an entry needs rising open interest.
    :param alerts: events that send a message: kinds of bias flips, and crossings of a level.
    :param alert_only: whether the bot only sends messages and never enters.
    :param log_candles: whether a running bot logs a line for each pair and closed candle.
    :param spot_pairs: spot pair and scale by perp, where matching by name fails.
    :param leverage: leverage of every position; at most the exchange's limit.
    :param max_entry_age_seconds: time after the close of the signal's candle in which an entry is
        allowed.
    :param max_entry_drift: most that the price may have moved from that close against the entry, as
        a fraction: up for a long, down for a short.
    :param scale_out: fraction of a position that is closed when the price returns to
        ``bb_middle``; 0 switches this off.
    :param stop_on_close: a candle that closes this fraction against a position ends it at the next
        open; 0 switches this off.
    :param protections: freqtrade's protections, in freqtrade's format.
    """

    model_config = STRICT

    htf_timeframe: str = HTF_TIMEFRAME
    entry_mode: EntryMode = "zone"
    sides: Annotated[list[Side], Field(min_length=1)] = list(get_args(Side))
    max_stale_candles: Annotated[int, Field(ge=0)] = MAX_STALE_CANDLES
    premium_source: Annotated[PremiumSetting, PlainValidator(check_premium_source)] = "spot"
    use_funding: bool = False
    use_oi: bool = False
    alerts: list[AlertSetting] = list(get_args(AlertKind))
    alert_only: bool = False
    log_candles: bool = True
    spot_pairs: dict[Annotated[str, AfterValidator(_perp_name)], SpotPair] = {}
    leverage: Annotated[float, Field(ge=1)] = 1.0
    max_entry_age_seconds: PositiveFloat = 120.0
    max_entry_drift: PositiveFloat = 0.01
    scale_out: Annotated[float, Field(ge=0, lt=1)] = 0.0
    stop_on_close: Annotated[float, Field(ge=0, lt=1)] = 0.0
    protections: list[dict[str, Any]] = list(PROTECTIONS)

    @property
    def entered_sides(self) -> list[Side]:
        """The sides that may be entered."""
        return [] if self.alert_only else self.sides

    @property
    def flip_alerts(self) -> list[AlertKind]:
        """The flips of the bias that send a message."""
        return [alert for alert in self.alerts if isinstance(alert, str)]

    def crossing_alerts(self, *kinds: str) -> list[CrossingAlert]:
        """Return the crossing alerts of given kinds."""
        return [
            alert
            for alert in self.alerts
            if isinstance(alert, CrossingAlert) and alert.kind in kinds
        ]

    @property
    def uses_spot(self) -> bool:
        """Return whether spot is one of the sources of the premium."""
        return "spot" in source_order(self.premium_source)

    def of_preset(self, preset: str) -> "Settings":
        """Return the settings with the sides of a preset, unless the config sets them.

        :param preset: one of ``PRESETS``.

        >>> Settings().of_preset("deep_discount").sides
        ['long']
        >>> Settings(sides=["long", "short"]).of_preset("deep_discount").sides
        ['long', 'short']
        """
        if preset not in PRESET_SIDES:
            return self
        if "sides" in self.model_fields_set:
            if set(self.sides) - set(PRESET_SIDES[preset]):
                warn_once(
                    f"the preset {preset} enters {' and '.join(PRESET_SIDES[preset])} only; the "
                    f"config's {SECTION}.sides is {' and '.join(self.sides)}, and counts"
                )
            return self
        return self.model_copy(update={"sides": list(PRESET_SIDES[preset])})

    def gated(self, thresholds: Thresholds) -> Thresholds:
        """Return thresholds with the optional gates that the config turns on."""
        return replace(thresholds, **{switch: getattr(self, switch) for switch in OPTIONAL_GATES})

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Settings":
        """Return the settings of a freqtrade config; defaults if it has no section.

        :raises SettingsError: one line that names the key, the error and the allowed values.

        >>> Settings.from_config({"perp_imbalance": {"entry_mode": "flip"}}).entry_mode
        'flip'
        """
        section = config.get(SECTION, {})
        if not isinstance(section, Mapping):
            raise SettingsError(f'the config\'s "{SECTION}" must be a section {{...}} of settings')
        try:
            settings = cls.model_validate(dict(section))
        except ValidationError as error:
            raise SettingsError(_one_line(error)) from None
        for number, protection in enumerate(settings.protections):
            if found := misspelt_key(protection):
                raise SettingsError(f"the config's {SECTION}.protections[{number}]: {found}")
        return settings


def check_setting(name: str, value: Any) -> None:
    """Refuse an invalid value of a setting that does not come from the config.

    :raises SettingsError: one line with the allowed values.

    >>> check_setting("entry_mode", "flip")
    """
    try:
        Settings.model_validate({name: value})
    except ValidationError as error:
        wanted = _wanted(error)
        raise SettingsError(f"{name} is {value_said(value)}, it should be {wanted}") from None


def value_said(value: object) -> str:
    """Return a wrong value as text for a message; for other objects, their type.

    >>> value_said("x"), value_said(None), value_said(property())
    ("'x'", 'None', 'a property')
    """
    if isinstance(value, str | int | float | list | dict | None):
        return reprlib.repr(value)
    return f"a {type(value).__name__}"


def _wanted(error: ValidationError) -> str:
    return error.errors()[0]["msg"].removeprefix("Input should be ")


def _alerts_said(error: ErrorDetails) -> str:
    """Return a text that describes the allowed alerts."""
    if error["type"] == "crossing":
        return error["msg"]
    names = ", ".join(repr(name) for name in get_args(AlertKind))
    kinds = " or ".join(repr(name) for name in get_args(CrossingKind))
    return f"{names} or a section {{...}} whose kind is {kinds}"


def _one_line(error: ValidationError) -> str:
    """Return one sentence about the first error in the section."""
    # A misspelt key is also one that is missing.
    first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    places = [str(part) for part in first["loc"] if part not in (_FLIP, _CROSSING)]
    key = ".".join([SECTION, *places])
    if first["type"] == "extra_forbidden":
        models: dict[str, type[BaseModel]] = {"spot_pairs": SpotPair, "alerts": CrossingAlert}
        model = models.get(places[0], Settings)
        known = ", ".join(model.model_fields)
        return f"the config has an unknown key {key}: known here are {known}"
    if first["type"] == "no_perp":
        return (
            f"the config's {SECTION}.spot_pairs has the key {first['input']!r}, it should be "
            f"{_wanted(error)}"
        )
    if first["type"] == "missing":
        return f"the config lacks {key}"
    if places[0] == "alerts" and len(places) == 2:
        return f"the config's {key} is {first['input']!r}, it should be {_alerts_said(first)}"
    return f"the config's {key} is {first['input']!r}, it should be {_wanted(error)}"
