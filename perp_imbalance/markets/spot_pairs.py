"""What a user may say in the config about the spot pair of a perp."""

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
    """Return the sources that a perp may be measured by, the preferred one first.

    >>> source_order("auto"), source_order(["premium_index", "spot"])
    (('spot', 'index', 'premium_index'), ('premium_index', 'spot'))
    """
    if isinstance(setting, str):
        return AUTO if setting == "auto" else (setting,)
    return tuple(setting)


def check_premium_source(value: Any) -> Any:
    """Refuse what is neither a source, nor ``auto``, nor a list of sources.

    In place of pydantic's union, which names each of its branches in an error.
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
    """The spot pair that the user assigns to a perp, and the coins in one unit of the perp."""

    model_config = STRICT

    pair: str
    scale: PositiveFloat = 1.0
