"""The config's section ``perp_imbalance``: settings that are no thresholds."""

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
    """Log a warning, the first time it is given in this process."""
    logger.warning("%s", message)


def _perp_name(key: str) -> str:
    """Refuse the name of a spot pair: no perp would ever be looked up by it."""
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
    :param sides: which sides may be entered; where the config names none, those of the preset.
    :param max_stale_candles: candles in a row without a premium that end a bias; 0: none do.
    :param premium_source: what the perp is compared with: one source, or several in the order in
        which they are tried.
    :param use_funding: whether an entry needs the funding rate to agree.
    :param use_oi: whether an entry needs rising open interest.
    :param alerts: what sends a message: flips of the bias by their names, and crossings of a level.
    :param alert_only: whether the bot only sends messages and enters nothing.
    :param log_candles: whether a running bot logs a line for each pair and closed candle.
    :param spot_pairs: spot pair and scale by perp, where the names do not tell.
    :param leverage: leverage of every position; the exchange's limit caps it.
    :param max_entry_age_seconds: time after the close of a signal's candle in which it may be
        entered.
    :param max_entry_drift: share by which the price may have moved from that close against the
        entry: up for a long, down for a short.
    :param scale_out: share of a position that is closed when the price is back at ``bb_middle``;
        0: none.
    :param stop_on_close: share of the price by which a candle that closes against a position ends
        it at the next open; 0: none does.
    :param protections: freqtrade's protections, in freqtrade's own words.
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
        """The sides that the bot enters."""
        return [] if self.alert_only else self.sides

    @property
    def flip_alerts(self) -> list[AlertKind]:
        """The flips of the bias that send a message."""
        return [alert for alert in self.alerts if isinstance(alert, str)]

    def crossing_alerts(self, *kinds: str) -> list[CrossingAlert]:
        """Return the crossings of some kinds that send a message."""
        return [
            alert
            for alert in self.alerts
            if isinstance(alert, CrossingAlert) and alert.kind in kinds
        ]

    @property
    def uses_spot(self) -> bool:
        """Tell whether a premium may be measured by a spot pair."""
        return "spot" in source_order(self.premium_source)

    def of_preset(self, preset: str) -> "Settings":
        """Return the settings with the sides of a preset, unless the config names some.

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
        """Return thresholds with the optional gates that the config switches on."""
        return replace(thresholds, **{switch: getattr(self, switch) for switch in OPTIONAL_GATES})

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Settings":
        """Return the settings of a freqtrade config; the defaults where it has no section.

        :raises SettingsError: one line that names the key, what is wrong and what is allowed.

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
    """Refuse a value of a setting that did not come from the config.

    :raises SettingsError: one line that says what is allowed.

    >>> check_setting("entry_mode", "flip")
    """
    try:
        Settings.model_validate({name: value})
    except ValidationError as error:
        wanted = _wanted(error)
        raise SettingsError(f"{name} is {value_said(value)}, it should be {wanted}") from None


def value_said(value: object) -> str:
    """Return what a message calls a wrong value: what was written, or else what kind it is.

    >>> value_said("x"), value_said(None), value_said(property())
    ("'x'", 'None', 'a property')
    """
    if isinstance(value, str | int | float | list | dict | None):
        return reprlib.repr(value)
    return f"a {type(value).__name__}"


def _wanted(error: ValidationError) -> str:
    return error.errors()[0]["msg"].removeprefix("Input should be ")


def _alerts_said(error: ErrorDetails) -> str:
    """Say what may stand in the list of alerts."""
    if error["type"] == "crossing":
        return error["msg"]
    names = ", ".join(repr(name) for name in get_args(AlertKind))
    kinds = " or ".join(repr(name) for name in get_args(CrossingKind))
    return f"{names} or a section {{...}} whose kind is {kinds}"


def _one_line(error: ValidationError) -> str:
    """Say the first thing that is wrong with the section in one sentence."""
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
