"""Copy strategies and a config fragment into freqtrade's user data folder.

``write(plan_changes(Path("user_data")), force=False)`` installs or upgrades them.
"""

import json
import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path
from typing import Any

from perp_imbalance.errors import CommandError
from perp_imbalance.files import atomic_write
from perp_imbalance.shipped import shipped

FRAGMENT = "perp-imbalance.json"
STRATEGIES = "strategies"

#: Settings of the shipped config that the strategies need: no keys, pairs, stake or mode.
_NEEDED = (
    ("perp_imbalance",),
    ("enable_protections",),
    ("entry_pricing", "price_side"),
    ("exit_pricing", "price_side"),
    ("exchange", "ccxt_config", "options", "defaultType"),
    ("exchange", "_ft_has_params"),
)


@dataclass(frozen=True, slots=True)
class Change:
    """One file that ``init`` manages: its content now, and the content to write.

    :ivar file: path of the file, inside the folder as the user named it.
    :ivar content: content in the installed version.
    :ivar existing: content now; None if the file is missing.
    """

    file: Path
    content: bytes
    existing: bytes | None

    @property
    def differs(self) -> bool:
        """Whether the user's file exists with other content."""
        return self.existing is not None and self.existing != self.content

    def diff(self) -> str:
        """Return the unified diff from the user's file to the shipped one."""
        old, new = (
            (each or b"").decode("utf-8", "replace").splitlines()
            for each in (self.existing, self.content)
        )
        names = str(self.file), f"{self.file} (shipped)"
        return "\n".join(unified_diff(old, new, *names, lineterm=""))


def config_fragment() -> dict[str, Any]:
    """Return the settings of the shipped ``config.json`` that an existing config needs.

    >>> config_fragment()["exchange"]["ccxt_config"]
    {'options': {'defaultType': 'future'}}
    """
    config = json.loads(_read("config.json"))
    fragment: dict[str, Any] = {}
    for *sections, name in _NEEDED:
        source, target = config, fragment
        for section in sections:
            source, target = source[section], target.setdefault(section, {})
        target[name] = source[name]
    return fragment


def plan_changes(userdir: Path) -> list[Change]:
    """Return the files that ``init`` would write to a user data folder, with their content now.

    :param userdir: freqtrade's user data folder, as ``freqtrade create-userdir`` makes it.
    :raises CommandError: if it is not such a folder, or a path that must be a file is not one.
    """
    if not (userdir / STRATEGIES).is_dir():
        missing = userdir / STRATEGIES if userdir.is_dir() else userdir
        raise CommandError(
            f"there is no folder {missing}: make it with freqtrade create-userdir --userdir "
            f"{userdir}, or name freqtrade's own with --userdir"
        )
    contents = {
        userdir / STRATEGIES / source.name: source.read_bytes()
        for source in sorted(shipped(STRATEGIES).glob("*.py"))
    }
    fragment = json.dumps(config_fragment(), indent=4) + "\n"
    contents[userdir / FRAGMENT] = fragment.encode()
    return [Change(file, content, _existing(file)) for file, content in contents.items()]


def write(changes: Sequence[Change], *, force: bool = False) -> list[Path]:
    """Write missing files and return their paths; equal files stay as they are.

    :param force: whether to replace files that differ.
    :raises CommandError: if a file differs and ``force`` is false; nothing is written then.
    """
    differing = [str(change.file) for change in changes if change.differs]
    if differing and not force:
        verb = "differs" if len(differing) == 1 else "differ"
        raise CommandError(
            f"{', '.join(differing)} {verb} from what this version ships: nothing is "
            "written; replace with --force"
        )
    missing = [change for change in changes if change.content != change.existing]
    # All are written before the first one is replaced: a full disk leaves the old ones.
    with ExitStack() as parts:
        for change in missing:
            parts.enter_context(atomic_write(change.file)).write_bytes(change.content)
    return [change.file for change in missing]


def parameter_files(userdir: Path) -> list[Path]:
    """Return the parameter files of these strategies, which freqtrade reads next to them."""
    names = (source.stem for source in sorted(shipped(STRATEGIES).glob("*.py")))
    files = (userdir / STRATEGIES / f"{name}.json" for name in names)
    return [file for file in files if file.exists()]


def _existing(file: Path) -> bytes | None:
    if not os.path.lexists(file):
        return None
    if not file.is_file():
        raise CommandError(f"{file} is not a file: move it away, then run init again")
    return file.read_bytes()


def _read(name: str) -> str:
    try:
        return shipped(name).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CommandError(
            f"{shipped(name)} is missing: install perp-imbalance from its wheel, or clone it with "
            "git clone -c core.symlinks=true"
        ) from None
