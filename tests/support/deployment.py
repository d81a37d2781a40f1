"""Read the deployment files as Docker, compose and a shell do."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sysconfig
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from support.freqtrade import ROOT, TIMEOUT_SECONDS

# A variable assignment as a shell writes it, possibly commented out.
ENV_LINE = re.compile(r"^(?P<off>#?)(?P<name>[A-Z][A-Z0-9_]*)=(?P<value>.*)$", re.MULTILINE)


def compose(name: str) -> dict[str, Any]:
    """Return the only service of a compose file."""
    services = yaml.safe_load((ROOT / name).read_text("utf-8"))["services"]
    assert list(services) == ["bot"]
    service: dict[str, Any] = services["bot"]
    return service


def env_example() -> list[re.Match[str]]:
    return list(ENV_LINE.finditer((ROOT / ".env.example").read_text("utf-8")))


def dockerfile() -> list[tuple[str, str]]:
    """Return the Dockerfile's instructions: name and the rest of the line."""
    lines = (ROOT / "Dockerfile").read_text("utf-8").splitlines()
    steps = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    return [(name, rest) for name, rest in steps]


def without_options(rest: str) -> list[str]:
    return [word for word in shlex.split(rest) if not word.startswith("--")]


class Image:
    """Runs the Dockerfile's steps in a folder and a virtual environment instead of an image.

    The dependencies of freqtrade's image are replaced by the installed, pinned ones, added to the
    environment's path by a .pth file: nothing is downloaded. That path does not read the packages'
    own .pth files, so the editable install of the project is not found through it.
    """

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.venv = folder / "venv"
        self.workdir = self.root
        self.entrypoint: list[str] = []
        self.environment = self._environment(folder)
        venv.create(self.venv, with_pip=False, symlinks=True)
        paths = sysconfig.get_paths(vars={"base": str(self.venv), "platbase": str(self.venv)})
        installed = sysconfig.get_paths()
        Path(paths["purelib"], "image.pth").write_text(
            "\n".join({installed["purelib"], installed["platlib"]}), encoding="utf-8"
        )

    def _environment(self, folder: Path) -> dict[str, str]:
        return {
            "PATH": f"{self.venv / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder),
            "COLUMNS": "220",
            # pip's variable for --no-build-isolation: the pinned setuptools builds offline.
            "PIP_NO_BUILD_ISOLATION": "0",
            "PIP_NO_INDEX": "1",
            # Leaves the checkout's own installation unchanged.
            "PIP_IGNORE_INSTALLED": "1",
        }

    def build(self) -> None:
        for name, rest in dockerfile():
            getattr(self, f"_{name.lower()}")(rest)

    def mount(self, volumes: Sequence[str]) -> None:
        """Copy the files that compose mounts; folders that git does not track are made empty."""
        for volume in volumes:
            source, target = volume.split(":")[:2]
            if (ROOT / source).is_file():
                shutil.copy(ROOT / source, self.path(target))
            elif source == "./config":
                shutil.copytree(ROOT / source, self.path(target))
            else:
                self.path(target).mkdir()

    def path(self, target: str) -> Path:
        """Return the local path of a path in the image."""
        return self.root / target.lstrip("/") if target.startswith("/") else self.workdir / target

    def start(
        self, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run the entry point with arguments, as ``docker compose run bot`` does."""
        return self.run([*self.entrypoint, *arguments], environment)

    def run(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        program = shutil.which(command[0], path=self.environment["PATH"])
        assert program is not None
        return subprocess.run(
            [program, *command[1:]],
            cwd=self.workdir,
            env={**self.environment, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )

    def _from(self, rest: str) -> None:
        assert rest.startswith("freqtradeorg/freqtrade:")

    def _env(self, rest: str) -> None:
        self.environment.update(dict(word.split("=", 1) for word in shlex.split(rest)))

    def _workdir(self, rest: str) -> None:
        self.workdir = self.path(rest)
        self.workdir.mkdir(parents=True, exist_ok=True)

    def _copy(self, rest: str) -> None:
        *sources, target = without_options(rest)
        assert target.endswith("/"), rest
        into = self.path(target)
        for source in sources:
            if (ROOT / source).is_dir():
                ignore = shutil.ignore_patterns("__pycache__")
                shutil.copytree(ROOT / source, into, symlinks=True, ignore=ignore)
            else:
                into.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / source, into)

    def _run(self, rest: str) -> None:
        done = self.run(["sh", "-c", rest])
        assert done.returncode == 0, done.stdout + done.stderr

    def _entrypoint(self, rest: str) -> None:
        self.entrypoint = json.loads(rest)

    def _cmd(self, rest: str) -> None:
        assert json.loads(rest) == ["trade"]
