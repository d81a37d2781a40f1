"""The list of all faults, and a reader of fault files."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from perp_imbalance.errors import SettingsError
from perp_imbalance.replay.testing.answer_faults import (
    ClockSkew,
    HalfAnswers,
    LostAnswers,
    ReorderedCandles,
    RepeatedCandles,
)
from perp_imbalance.replay.testing.faults import (
    BadPrices,
    Delisted,
    Halted,
    HttpErrors,
    LateCandles,
    MissingCandles,
    NoAnswer,
    TickChange,
)

AnyFault = Annotated[
    LateCandles
    | MissingCandles
    | RepeatedCandles
    | ReorderedCandles
    | BadPrices
    | Delisted
    | Halted
    | TickChange
    | HttpErrors
    | NoAnswer
    | HalfAnswers
    | LostAnswers
    | ClockSkew,
    Field(discriminator="fault"),
]
#: Faults as plain values, each naming its kind as ``fault``.
FAULTS: TypeAdapter[list[AnyFault]] = TypeAdapter(list[AnyFault])


def read_faults(path: Path) -> list[AnyFault]:
    """Return the faults of a JSON file: a list of objects that name their kind as ``fault``.

    :raises SettingsError: one line that says what is wrong and where
    """
    try:
        return FAULTS.validate_json(path.read_bytes())
    except OSError as error:
        raise SettingsError(f"cannot read the faults in {path}: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SettingsError(
            f"the faults in {path} are wrong at {where or 'the top'}: {first['msg']}"
        ) from None
