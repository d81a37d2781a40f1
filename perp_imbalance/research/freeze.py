"""Record what was decided before the test set was opened, and how often it was opened."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import perp_imbalance
from perp_imbalance.errors import DataError, SettingsError
from perp_imbalance.files import atomic_write_text
from perp_imbalance.indicators.higher_timeframe import align_higher_timeframe
from perp_imbalance.indicators.premium import open_times
from perp_imbalance.research.pair_history import PairHistory
from perp_imbalance.research.split import TEST, Part

_CANDLES = "candles"

# What decides a figure of the evidence: a change of these is another experiment.
_CODE = ("indicators", "markets", "research", "simulation", "strategy")


def code_version() -> dict[str, str]:
    """Return the version of the project and a hash of the code that computes the figures."""
    root = Path(perp_imbalance.__file__).parent
    digest = hashlib.sha256()
    for package in _CODE:
        for file in sorted((root / package).resolve().rglob("*.py")):
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return {"version": perp_imbalance.__version__, "code": digest.hexdigest()}


def _hash(decided: object) -> str:
    return hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest()


def candles_hash(candles: PairHistory, until: pd.Timestamp | None = None) -> dict[str, str]:
    """Return a hash of a pair's candles and of the data that belongs to them.

    :param until: only candles that open before this time count; by default the last candle, which
        may still be unfinished.

    Later candles do not change the hash: ``candles_hash(more, until)`` equals the frozen one.
    """
    opens, htf = open_times(candles.perp, "perp"), candles.htf
    until = pd.Timestamp(opens[-1], tz="UTC") if until is None else until
    rows = opens < until.as_unit("ns").value
    columns: dict[str, Any] = {"date": opens, "premium": candles.premium, **candles.series}
    columns |= {"band_close": candles.band_close, "funding": candles.funding}
    if htf is not None:
        columns["htf_premium"] = align_higher_timeframe(
            opens, candles.timeframe, htf.times, htf.timeframe, htf.premium
        )
    columns |= {name: candles.perp[name] for name in ("open", "high", "low", "close", "volume")}
    digest = hashlib.sha256()
    for name, values in columns.items():
        digest.update(name.encode() + b"\0" + np.ascontiguousarray(values)[rows].tobytes())
    return {"until": until.isoformat(), "hash": digest.hexdigest()}


class Freeze:
    """The file of ``--freeze``.

    All candles of the first run are frozen. Later runs may have newer candles if they belong to the
    test part only.

    :param file: path of the file, which need not exist yet.
    :param decided: thresholds, options and code of this run, as plain values.
    :param histories: the pairs of this run with their candles.
    :param parts: parts of the split.
    :ivar looks: the times at which the test set was opened before.
    :raises SettingsError: if the file belongs to another run.
    :raises DataError: if it cannot be read, or was changed by hand.
    """

    def __init__(
        self,
        file: Path,
        decided: Mapping[str, Any],
        histories: Iterable[PairHistory] = (),
        parts: Sequence[Part] = (),
    ) -> None:
        self.file, self.looks, self.exists = file, list[str](), file.exists()
        frozen: dict[str, Any] = self._read() if self.exists else {}
        known = frozen.get(_CANDLES, {})
        candles = {
            each.match.perp: candles_hash(each, _until(each, known, parts)) for each in histories
        }
        # As it comes back from a file: tuples are lists there.
        self._decided = json.loads(json.dumps({**decided, _CANDLES: candles}))
        if not self.exists:
            return
        other = [name for name in self._decided if self._decided[name] != frozen.get(name)]
        if _CANDLES in other:
            pairs = ", ".join(pair for pair in candles if candles[pair] != known.get(pair))
            other[other.index(_CANDLES)] = f"candles of {pairs}" if pairs else _CANDLES
        if other:
            raise SettingsError(
                f"{file} was frozen with other {', '.join(other)}: the test set is for what "
                "was frozen; go back to that, or freeze again to another file and count both looks"
            )

    def _read(self) -> dict[str, Any]:
        """Read the file: return what was decided, and set ``looks``."""
        try:
            content = json.loads(self.file.read_text("utf-8"))
            frozen, looks = content["frozen"], content["looks"]
            hashes = (content["hash"], content["looks_hash"])
            is_freeze = isinstance(frozen, dict) and isinstance(looks, list)
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            is_freeze = False
        if not is_freeze:
            raise DataError(
                f"{self.file} is not a file that --freeze wrote: name another one, which will be "
                "made"
            )
        if hashes != (_hash(frozen), _hash([_hash(frozen), looks])):
            raise DataError(
                f"{self.file} was changed after it was written: its hash does not match; freeze "
                "again to another file, and say so where you show the result"
            )
        self.looks = [str(look) for look in looks]
        return dict(frozen)

    @property
    def hash(self) -> str:
        """The hash of what was decided."""
        return _hash(self._decided)

    def write(self) -> None:
        """Write the file, before anything of the test set is computed."""
        self._write()

    def look(self) -> None:
        """Count one more look at the test set, before it is computed, so that no look is lost."""
        self.looks.append(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}")
        self._write()

    def _write(self) -> None:
        content = {"frozen": self._decided, "hash": self.hash, "looks": self.looks}
        content["looks_hash"] = _hash([self.hash, self.looks])
        atomic_write_text(self.file, json.dumps(content, indent=1))

    @property
    def said(self) -> str:
        """A sentence that tells the user about this freeze file."""
        if not self.looks:
            return (
                f"frozen in {self.file}, hash {self.hash[:12]}: the test set was not computed; the "
                "same command again computes it, and counts the look"
            )
        if len(self.looks) == 1:
            return f"first look at the test set, frozen in {self.file}, hash {self.hash[:12]}"
        return (
            f"look number {len(self.looks)} at this test set (the first was {self.looks[0]} UTC): "
            "what was changed in between rests on it, so it proves less than the first look did"
        )


def _until(
    candles: PairHistory, frozen: Mapping[str, Mapping[str, str]], parts: Sequence[Part]
) -> pd.Timestamp | None:
    """Return the end of a pair's frozen candles; None if no part may have later candles."""
    pair = candles.match.perp
    if pair not in frozen:
        return None
    until = pd.Timestamp(frozen[pair]["until"])
    others = [part for part in parts if part.name != TEST and pair in (part.pairs or [pair])]
    return until if all(part.end <= until for part in others) else None
