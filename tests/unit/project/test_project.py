"""The version stands in one place; workflow and hooks run what a developer runs."""

import re
import tomllib
from pathlib import Path
from typing import Any

import freqtrade
import yaml  # type: ignore[import-untyped]
from packaging.requirements import Requirement
from packaging.version import Version
from support.freqtrade import ROOT

from perp_imbalance import __version__

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
CI = (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def loaded(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def workflow_job() -> dict[str, Any]:
    jobs: dict[str, dict[str, Any]] = loaded(".github/workflows/tests.yml")["jobs"]
    return jobs["tests"]


def test_version_is_written_once_and_the_changelog_is_of_it() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d$", changelog, re.MULTILINE)
    assert released[0] == __version__
    versions = [Version(text) for text in released]
    assert versions == sorted(versions, reverse=True)
    settings = project()
    assert settings["project"]["dynamic"] == ["version"]
    attribute = settings["tool"]["setuptools"]["dynamic"]["version"]["attr"]
    assert attribute == "perp_imbalance.__version__"
    elsewhere = [
        path
        for folder in ("perp_imbalance", "strategies", "deploy")
        for path in (ROOT / folder).rglob("*.py")
        if f'"{__version__}"' in path.read_text(encoding="utf-8")
    ]
    assert elsewhere == [ROOT / "perp_imbalance" / "__init__.py"]


def test_strategy_tells_the_version() -> None:
    source = (ROOT / "strategies" / "PerpImbalance.py").read_text(encoding="utf-8")
    assert re.search(r"def version\(self\) -> str:\n.*\n\s+return __version__\n", source)


def test_freqtrade_range_has_a_tested_lower_end_only() -> None:
    """A newer freqtrade may be installed; requirements.txt pins the one that is tested."""
    wanted = next(
        Requirement(text)
        for text in project()["project"]["dependencies"]
        if text.startswith("freqtrade")
    )
    pins = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    pinned = re.search(r"^freqtrade==(.*)$", pins, re.MULTILINE)
    assert pinned
    assert str(wanted.specifier) == f">={pinned[1]}"
    assert freqtrade.__version__ == pinned[1]
    assert f"`{wanted.specifier}`" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_workflow_runs_what_continuous_integration_runs() -> None:
    steps = [step["run"] for step in workflow_job()["steps"] if "run" in step]
    made = [line for line in steps if line.startswith("make ")]
    assert made == re.findall(r"^make .*$", CI, re.MULTILINE) == ["make lint", "make test"]
    for target in made:
        assert re.search(rf"^{target.removeprefix('make ')}:", MAKEFILE, re.MULTILINE)


def test_workflow_installs_the_debian_packages_of_ci() -> None:
    wanted = set(re.findall(r"apt-get install -y -qq (\w+)", CI))
    steps = " ".join(step.get("run", "") for step in workflow_job()["steps"])
    installed = re.search(r"apt-get install --yes (.*)", steps)
    assert installed
    assert wanted <= set(installed[1].split())


def test_workflow_tries_the_oldest_python_that_is_supported() -> None:
    pythons = workflow_job()["strategy"]["matrix"]["python"]
    assert all(isinstance(python, str) for python in pythons)
    assert f">={pythons[0]}" == project()["project"]["requires-python"]
    assert pythons == sorted(pythons, key=Version)


def test_hooks_run_the_commands_of_make_lint() -> None:
    repositories = loaded(".pre-commit-config.yaml")["repos"]
    assert [repository["repo"] for repository in repositories] == ["local"]
    hooks = {hook["id"]: hook["entry"] for hook in repositories[0]["hooks"]}
    linted = MAKEFILE.partition("\nlint:")[2].partition("\n\n")[0].replace("$(BIN)", ".venv/bin")
    assert hooks["mypy"] in linted
    assert hooks["ruff"].split()[:2] == [".venv/bin/ruff", "check"]
    assert hooks["ruff-format"].split()[:2] == [".venv/bin/ruff", "format"]
    for hook in ("ruff", "ruff-format", "mypy"):
        assert " ".join(hooks[hook].split()[:2]) in linted


def test_ci_job_for_another_freqtrade_names_existing_tests() -> None:
    named = re.search(r"^FREQTRADE_TESTS := (.*)$", MAKEFILE, re.MULTILINE)
    assert named
    assert all((ROOT / path).is_file() for path in named[1].split())
    assert Path(ROOT / ".ci" / "test-freqtrade").stat().st_mode & 0o100
