"""The documentation site builds, is complete, and asks no other server for anything."""

import doctest
import os
import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from support.freqtrade import ROOT

from perp_imbalance import __version__
from perp_imbalance.indicators.thresholds import THRESHOLD_NAMES
from perp_imbalance.strategy.settings import Settings

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def load_hooks() -> Any:
    """Load the module as mkdocs does: ``docs`` is no package."""
    spec = spec_from_file_location("site_hooks", ROOT / "docs" / "site_hooks.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


site_hooks = load_hooks()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built in a process as ``make docs`` builds it."""
    folder = tmp_path_factory.mktemp("site")
    command = re.search(r"^docs:.*\n\t.*?\$\(BIN\)/(mkdocs .*)$", MAKEFILE, re.MULTILINE)
    assert command
    assert "--strict" in command[1]
    # With it, mkdocs counts no warning, so that --strict refuses nothing.
    assert "--quiet" not in command[1]
    built = subprocess.run(
        [sys.executable, "-m", *command[1].split(), "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def text_of(page: Path) -> str:
    return re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8"))


def test_every_page_is_in_the_site(site: Path) -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        assert (site / page.relative_to(ROOT / "docs").with_suffix(".html")).is_file(), page
    for place in site_hooks.OUTSIDE.values():
        assert (site / place.replace(".md", ".html")).is_file(), place


def test_pages_load_nothing_from_another_server(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert pages
    for page in pages:
        html = page.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|link|iframe)\b[^>]*(?:src|href)=\"([^\"]*)", html)
        assert loaded
        assert [link for link in loaded if re.match(r"(https?:)?//", link)] == [], page


def test_reference_has_what_the_code_has(site: Path) -> None:
    reference = site / "reference"
    parameters = text_of(reference / "parameters.html")
    assert all(f"{name}\n" in parameters for name in THRESHOLD_NAMES)
    settings = text_of(reference / "settings.html")
    assert all(f"{name}\n" in settings for name in Settings.model_fields)
    commands = text_of(reference / "commands.html")
    assert all(f"usage: perp-imbalance {name}" in commands for name in command_names())
    assert "usage: perp-imbalance preset apply" in commands
    python = text_of(reference / "python.html")
    assert "coins in one unit of the perp" in python


def command_names() -> list[str]:
    names: list[str] = site_hooks.command_names(site_hooks.help_text())
    assert "backtest" in names
    return names


def test_readme_lists_every_command() -> None:
    listed = re.findall(r"^\| `perp-imbalance ([a-z-]+)` \|", README, re.MULTILINE)
    assert sorted(listed) == sorted(command_names())


def test_readme_has_at_most_900_words() -> None:
    assert len(README.split()) <= 900


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_in_the_repository_lead_to_files(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (ROOT / link).exists(), link


def test_build_of_the_site_refuses_an_unknown_column(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        site_hooks, "imbalance_columns", lambda *candles: {"depth": None, "premium": None}
    )
    with pytest.raises(LookupError, match="no column depth"):
        site_hooks.columns()


def test_examples_in_the_hooks_work() -> None:
    results = doctest.testmod(site_hooks)
    assert results.attempted
    assert not results.failed


def test_citation_is_of_the_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert citation["version"] == __version__
    assert f"## [{__version__}] - {citation['date-released']}" in changelog


def test_issue_templates_are_forms_that_github_reads() -> None:
    forms = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
    assert [form.stem for form in forms] == ["bug", "config", "feature"]
    for form in forms:
        content = yaml.safe_load(form.read_text(encoding="utf-8"))
        if form.stem != "config":
            assert {"name", "description", "body"} <= content.keys()
            assert all(
                part["type"] in ("markdown", "textarea", "input") for part in content["body"]
            )
