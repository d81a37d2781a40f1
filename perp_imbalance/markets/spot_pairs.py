"""What a user may say in the config about the spot pair of a perp."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, PositiveFloat

#: What the perp is compared with: its spot pair, the exchange's index, or the index where there is
#: no spot pair.
PremiumSource = Literal["spot", "index", "auto"]


#: How sections of the config are validated: unknown keys and wrong types are errors.
STRICT = ConfigDict(extra="forbid", strict=True, frozen=True)


class SpotPair(BaseModel):
    """The spot pair that the user assigns to a perp, and the coins in one unit of the perp."""

    model_config = STRICT

    pair: str
    scale: PositiveFloat = 1.0
