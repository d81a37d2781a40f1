"""What was decided before the test set was opened, and how often it was opened since."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import perp_imbalance
from perp_imbalance.errors import DataError, SettingsError
from perp_imbalance.files import atomic_write_text

# What decides a figure of the evidence: a change of these is another experiment.
_CODE = ("indicators", "markets", "research", "simulation", "strategy")


def code_version() -> dict[str, str]:
    """Return the version of the project, and a hash of the code that makes the figures."""
    root = Path(perp_imbalance.__file__).parent
    digest = hashlib.sha256()
    for package in _CODE:
        for file in sorted((root / package).resolve().rglob("*.py")):
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return {"version": perp_imbalance.__version__, "code": digest.hexdigest()}


def _hash(decided: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest()


class Freeze:
    """The file of ``--freeze``.

    :param file: where it lies, or shall lie.
    :param decided: thresholds, options and code of this run, as plain values.
    :ivar looks: the times at which the test set was opened before.
    :raises SettingsError: if the file was made of something else than this run.
    :raises DataError: if it cannot be read, or was changed by hand.
    """

    def __init__(self, file: Path, decided: Mapping[str, Any]) -> None:
        # As it comes back from a file: tuples are lists there.
        self._decided = json.loads(json.dumps(decided))
        self.file, self.looks, self.exists = file, list[str](), file.exists()
        if not self.exists:
            return
        try:
            content = json.loads(file.read_text("utf-8"))
            frozen, looks = content["frozen"], list(content["looks"])
            is_whole = content["hash"] == _hash(frozen) and isinstance(frozen, dict)
        except (OSError, ValueError, TypeError, KeyError):
            raise DataError(
                f"{file} is not a file that --freeze wrote: name another one, which will be made"
            ) from None
        if not is_whole:
            raise DataError(
                f"{file} was changed after it was written: its hash does not fit; freeze anew to "
                "another file, and say so where you show the result"
            )
        differing = [name for name in self._decided if self._decided[name] != frozen.get(name)]
        if differing:
            raise SettingsError(
                f"{file} was frozen with other {', '.join(differing)}: the test set is for what "
                "was frozen; go back to that, or freeze anew to another file and count both looks"
            )
        self.looks = [str(look) for look in looks]

    @property
    def hash(self) -> str:
        """The hash of what was decided."""
        return _hash(self._decided)

    def write(self) -> None:
        """Write the file, before anything of the test set is computed."""
        self._write()

    def look(self) -> None:
        """Count one more look at the test set: before it is computed, so that none is lost."""
        self.looks.append(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}")
        self._write()

    def _write(self) -> None:
        content = {"frozen": self._decided, "hash": self.hash, "looks": self.looks}
        atomic_write_text(self.file, json.dumps(content, indent=1))

    @property
    def said(self) -> str:
        """What to say of it in a sentence."""
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
