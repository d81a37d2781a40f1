"""Split pairs and times into parts for choosing, for checking and for testing."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import pandas as pd
from freqtrade.configuration import TimeRange
from freqtrade.exceptions import OperationalException

from perp_imbalance.errors import DataError, SettingsError
from perp_imbalance.research.pair_history import PairHistory

#: The parts of a split, in the order in which they are looked at.
DESIGN, VALIDATION, TEST = PARTS = ("design", "validation", "test")

_FIRST, _LAST = pd.Timestamp.min.tz_localize("UTC"), pd.Timestamp.max.tz_localize("UTC")


@dataclass(frozen=True)
class Part:
    """A part of the split: some pairs over some time.

    :ivar begin: opening time of the first candle.
    :ivar end: opening time of the first candle after the part.
    :ivar pairs: freqtrade's names; empty for all pairs.
    """

    name: str
    begin: pd.Timestamp = _FIRST
    end: pd.Timestamp = _LAST
    pairs: tuple[str, ...] = ()

    @classmethod
    def parse(cls, name: str, text: str) -> "Part":
        """Parse a part: ``FROM-TO``, or ``FROM-TO@PAIR,PAIR``.

        :raises SettingsError: naming the option and its format.

        >>> Part.parse("test", "20230101-@BTC/USDT:USDT").pairs
        ('BTC/USDT:USDT',)
        """
        times, at, names = text.partition("@")
        pairs = tuple(dict.fromkeys(pair for pair in names.split(",") if pair))
        try:
            parsed = TimeRange.parse_timerange(times)
        except OperationalException:
            parsed = TimeRange()
        if (at and not pairs) or (parsed.startdt is None and parsed.stopdt is None):
            raise SettingsError(
                f"--{name} is {text!r}: write a timerange, and pairs if not all are meant, such as "
                "20200101-20230101 or 20200101-20230101@BTC/USDT:USDT,ETH/USDT:USDT"
            )
        begin = _FIRST if parsed.startdt is None else pd.Timestamp(parsed.startdt)
        end = _LAST if parsed.stopdt is None else pd.Timestamp(parsed.stopdt)
        return cls(name, begin, end, pairs)

    def shares_with(self, other: "Part") -> bool:
        """Return whether a candle could belong to both parts."""
        is_apart = self.pairs and other.pairs and not set(self.pairs) & set(other.pairs)
        return not is_apart and self.begin < other.end and other.begin < self.end

    def of(self, candles: PairHistory) -> PairHistory | None:
        """Return the history of a pair up to the end of this part; None if it has no candles.

        Candles before the part stay, as history for the windows; later ones are removed.
        """
        if self.pairs and candles.match.perp not in self.pairs:
            return None
        dates = candles.perp["date"]
        end = int((dates < self.end).sum())
        begin = max(candles.begin, int((dates < self.begin).sum()))
        # A position needs a candle for its signal, one to begin and one to end on.
        if end - begin < 3:
            return None
        return replace(
            candles,
            perp=candles.perp.iloc[:end],
            premium=candles.premium[:end],
            band_close=candles.band_close[:end],
            funding=candles.funding[:end],
            series={name: values[:end] for name, values in candles.series.items()},
            begin=begin,
            market=None,
        )


#: What there is when nothing is split.
WHOLE = Part("all")


def check_parts(parts: Sequence[Part], pairs: Sequence[str]) -> None:
    """Refuse a split whose parts share candles or name a pair without candles.

    :param pairs: the pairs with candles.
    :raises SettingsError: if two parts share candles.
    :raises DataError: if a part names a pair without candles.
    """
    for one, other in combinations(parts, 2):
        if one.shares_with(other):
            raise SettingsError(
                f"--{one.name} and --{other.name} share candles: let them differ in time or in "
                "pairs, so that one part shows nothing of the other"
            )
    for part in parts:
        missing = [pair for pair in part.pairs if pair not in pairs]
        if missing:
            raise DataError(
                f"--{part.name} names pairs without candles: {', '.join(missing)}; pairs with "
                f"candles: {', '.join(pairs)}"
            )
