"""Packages import as ``docs/architecture.md`` states, and it names every package."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_ERROR, EXIT_STATUS_SUCCESS
from support.freqtrade import ROOT

#: What only commands start: a strategy that imported it would bring it into the bot.
NOT_FOR_STRATEGIES = {
    *("cli", "data", "doctor", "freqtrade_bridge", "plotting"),
    *("replay", "reporting", "research", "scan", "simulation"),
}
DOCUMENT = ROOT / "docs" / "architecture.md"


def contracts_hold(config: Path) -> tuple[bool, str]:
    """In a process of its own: it switches off the loggers of all tests that would follow."""
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    process = subprocess.run(
        [sys.executable, "-c", code, "--config", str(config), "--no-cache"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert process.returncode in (EXIT_STATUS_SUCCESS, EXIT_STATUS_ERROR), process.stderr
    return process.returncode == EXIT_STATUS_SUCCESS, process.stdout


def layers() -> list[list[str]]:
    """Return the packages of every layer of the contract, the highest first."""
    contract = re.search(r"layers = \[(.*?)\]", pyproject(), re.DOTALL)
    assert contract
    return [re.findall(r"\w+", line) for line in re.findall(r'"(.*)"', contract[1])]


def pyproject() -> str:
    return (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def imported_packages(file: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    names = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    names |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    parts = [name.split(".") for name in names]
    return {part[1] for part in parts if part[0] == "perp_imbalance" and len(part) > 1}


def test_imports_go_down_only() -> None:
    holds, told = contracts_hold(ROOT / "pyproject.toml")
    assert holds, told
    assert "4 kept, 0 broken" in told


@pytest.mark.parametrize(
    ("old", "new", "broken"),
    [
        (': scan"', '"', "not listed as layers:\\s+- perp_imbalance.scan"),
        ('"freqtrade", "ccxt"', '"numpy", "ccxt"', "perp_imbalance.indicators.* -> numpy"),
        (
            '    "cli",\n    "doctor : reconcile : rehearsal : reporting : research : scan",',
            '    "doctor : reconcile : rehearsal : reporting : research : scan",\n    "cli",',
            "cli is not allowed to import perp_imbalance.doctor",
        ),
    ],
    ids=["a package without a layer", "an import from outside", "an import that goes up"],
)
def test_code_that_breaks_a_contract_is_noticed(
    old: str, new: str, broken: str, tmp_path: Path
) -> None:
    config = tmp_path / "pyproject.toml"
    assert old in pyproject()
    config.write_text(pyproject().replace(old, new), encoding="utf-8")
    holds, told = contracts_hold(config)
    assert not holds
    assert re.search(broken, told, re.IGNORECASE), told


def test_strategies_import_nothing_that_only_commands_start() -> None:
    strategies = sorted((ROOT / "strategies").glob("*.py"))
    assert len(strategies) >= 4
    for file in strategies:
        assert not imported_packages(file) & NOT_FOR_STRATEGIES, file.name
    assert "markets" in imported_packages(ROOT / "strategies" / "PerpImbalance.py")


def test_the_page_has_every_package_in_its_layer() -> None:
    rows = re.findall(r"^\| (\d+) \| (.*?) \|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    page: dict[int, set[str]] = {}
    for layer, packages in rows:
        page.setdefault(int(layer), set()).update(re.findall(r"`(\w+)`", packages))
    assert [page[layer] for layer in sorted(page, reverse=True)] == [set(row) for row in layers()]


def test_the_page_names_only_what_exists() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    for path in re.findall(r"`([\w/]+\.(?:py|pine|toml|md))`", text):
        places = (ROOT / path, ROOT / "perp_imbalance" / path, ROOT / "indicators" / path)
        assert any(place.is_file() for place in places), path
    code = "\n".join(
        file.read_text(encoding="utf-8")
        for folder in ("indicators", "perp_imbalance", "strategies", "tests")
        for file in (ROOT / folder).rglob("*.py")
    )
    in_code = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    for name in re.findall(r"`(?:\w+\.)?([a-z]+_[a-z_]+|[A-Z]+_[A-Z_]+)(?:\(\))?`", in_code):
        assert re.search(rf"\b{name}\b", code), name
