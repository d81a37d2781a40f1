"""Lines about perps of a folder that cannot be traded."""

from collections.abc import Sequence

from perp_imbalance.data.folder import CandleFolder
from perp_imbalance.errors import DataError

#: More pairs than these are told of by their count.
FEW = 3

#: What perps that are left out have in common, by how the reason of one begins.
_KINDS = {
    "no ": "without spot candles",
    "outside": "outside the time range",
    "it has no ": "never traded at the time of the spot pair",
    "its price is": "with another price than the spot pair",
    "the candles of": "with the perp's own candles as spot",
}


def left_out_line(folder: CandleFolder, left_out: Sequence[tuple[str, str]]) -> str:
    """Return one line about all perps that are left out, with their count.

    :param left_out: pairs with the reason of each.
    """
    if len(left_out) == 1:
        ((pair, reason),) = left_out
        return f"{pair} in {folder.datadir} is left out: {reason}"
    reasons: dict[str, list[str]] = {}
    for pair, reason in left_out:
        kind = next((kind for start, kind in _KINDS.items() if reason.startswith(start)), reason)
        reasons.setdefault(kind, []).append(pair)
    said = "; ".join(f"{len(pairs)} {kind} ({named(pairs)})" for kind, pairs in reasons.items())
    return f"{len(left_out)} perps in {folder.datadir} are left out: {said}"


def none_tradable(folder: CandleFolder, left_out: Sequence[tuple[str, str]]) -> DataError:
    """Return the error for a folder of which every perp is left out, with what to do.

    :param left_out: as :func:`left_out_line`.
    """
    remedy = ""
    # Other reasons say themselves what to do.
    if any(reason.startswith("no ") for _, reason in left_out):
        remedy = (
            ": download what is missing with perp-imbalance download-data, or name another perp"
        )
    return DataError(f"{left_out_line(folder, left_out)}; no perp can be traded{remedy}")


def named(pairs: Sequence[str]) -> str:
    """Return the first names of a list, and how many more there are.

    >>> named(["A", "B", "C", "D", "E"])
    'A, B, C and 2 more'
    """
    more = len(pairs) - FEW
    return ", ".join(pairs[:FEW]) + (f" and {more} more" if more > 0 else "")
