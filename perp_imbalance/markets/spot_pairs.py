"""The settings about the spot pair of a perp."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, PositiveFloat
from pydantic_core import PydanticCustomError

#: Where a premium comes from: the perp's spot pair, the exchange's index of it, or the premium
#: index that the exchange itself publishes.
PremiumSource = Literal["spot", "index", "premium_index"]

#: What the config may say: one source, the first of several that a perp has, or ``auto``.
PremiumSetting = PremiumSource | Literal["auto"] | Sequence[PremiumSource]

#: What ``auto`` stands for.
AUTO: tuple[PremiumSource, ...] = get_args(PremiumSource)


def source_order(setting: PremiumSetting) -> tuple[PremiumSource, ...]:
    """Return the allowed sources of the premium, in order of preference.

    >>> source_order("auto"), source_order(["premium_index", "spot"])
    (('spot', 'index', 'premium_index'), ('premium_index', 'spot'))
    """
    if isinstance(setting, str):
        return AUTO if setting == "auto" else (setting,)
    return tuple(setting)


def check_premium_source(value: Any) -> Any:
    """Refuse a value that is not a source, ``auto`` or a list of sources.

    A pydantic union would name each of its branches in the error.
    """
    names = [value] if isinstance(value, str) else value
    is_list = isinstance(names, list) and names and all(isinstance(name, str) for name in names)
    is_known = is_list and set(AUTO).issuperset(names) and len(set(names)) == len(names)
    if not is_known and value != "auto":
        names = ", ".join(f'"{name}"' for name in AUTO)
        raise PydanticCustomError(
            "premium_source", f'{names}, "auto", or a list of the first three without repetition'
        )
    return value


#: How sections of the config are validated: unknown keys and wrong types are errors.
STRICT = ConfigDict(extra="forbid", strict=True, frozen=True)


class SpotPair(BaseModel):
    """The user's own spot pair of a perp, and the number of coins in one unit of the perp."""

    model_config = STRICT

    pair: str
    scale: PositiveFloat = 1.0
