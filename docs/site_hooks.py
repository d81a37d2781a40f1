"""Pages of the site that are made from code, and files from outside ``docs/`` that are pages.

mkdocs loads this module; see ``hooks`` in ``mkdocs.yml``.
"""

import json
import os
import posixpath
import re
from contextlib import redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pandas as pd
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from perp_imbalance import imbalance_columns
from perp_imbalance.cli.main import run
from perp_imbalance.indicators.thresholds import BOUNDS, PRESETS, THRESHOLD_NAMES, Thresholds
from perp_imbalance.strategy.parameters import PARAMETER_SPACES, SPACES, new_parameter
from perp_imbalance.strategy.settings import Settings

ROOT = Path(__file__).parents[1]

#: Files outside of ``docs/`` that the site shows or offers, with their place in it.
OUTSIDE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "benchmarks/RESULTS.md": "research/speed.md",
    "benchmarks/README.md": "research/speed_notes.md",
    "pine/perp_imbalance.pine": "perp_imbalance.pine",
    "LICENSE": "LICENSE.txt",
}


def help_text(*words: str) -> str:
    """Return what a command prints for ``--help``, 80 columns wide.

    >>> help_text("sample").startswith("usage: perp-imbalance sample")
    True
    """
    printed = StringIO()
    wide = patch.dict(os.environ, COLUMNS="80")
    with wide, redirect_stdout(printed), suppress(SystemExit):
        run([*words, "--help"])
    return printed.getvalue()


def command_names(text: str) -> list[str]:
    r"""Return the subcommands that a help text lists.

    >>> command_names("    scan   rank\n    tune\n           find\n")
    ['scan', 'tune']
    """
    return re.findall(r"^ {4}([a-z][a-z-]*)(?= {2,}|$)", text, re.MULTILINE)


def table(header: list[str], rows: list[list[str]]) -> str:
    r"""Return a Markdown table.

    >>> print(table(["a"], [["1|2"]]))
    | a |
    |---|
    | 1\|2 |
    """
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    lines = [header, *escaped]
    text = ["| " + " | ".join(cells) + " |" for cells in lines]
    return "\n".join([text[0], "|" + "---|" * len(header), *text[1:]])


def described(owner: type) -> dict[str, str]:
    """Return the ``:param`` texts of a class by name, in Markdown.

    >>> described(Thresholds)["smooth_len"]
    'period of the EMA over the raw z-score; 1 does not smooth'
    """
    text = re.sub(r"\s+", " ", owner.__doc__ or "").partition(" :raises")[0]
    found = re.findall(r":param (\w+): (.*?)(?=\.? :param |\.?\s*$)", text)
    return {name: words.replace("``", "`") for name, words in found}


def shown(value: Any) -> str:
    """Return a value as users type it.

    >>> shown(True), shown(0.0), shown("4h")
    ('yes', '0', '4h')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def allowed(name: str) -> str:
    """Return which values a threshold may have.

    >>> allowed("enter_z"), allowed("len_prem"), allowed("use_sigma")
    ('above exit_z', 'at least 2', 'yes, no')
    """
    if name == "enter_z":
        return "above exit_z"
    if name not in BOUNDS:
        return "yes, no"
    low, is_above, _ = BOUNDS[name]
    return f"{'above' if is_above else 'at least'} {low:g}"


def searched(name: str) -> str:
    """Return what hyperopt tries for a threshold.

    >>> searched("len_prem"), searched("use_sigma"), searched("hot_z")
    ('10 to 200', 'yes, no', '')
    """
    if name not in SPACES or not new_parameter(name, getattr(Thresholds(), name)).optimize:
        return ""
    if name not in BOUNDS:
        return "yes, no"
    parameter = new_parameter(name, getattr(Thresholds(), name))
    return f"{parameter.low:g} to {parameter.high:g}"


def parameters() -> str:
    """Return two tables of the thresholds: their values, and their meanings."""
    values = [
        [
            f"`{name}`",
            *(shown(getattr(preset, name)) for preset in PRESETS.values()),
            *(allowed(name), searched(name), PARAMETER_SPACES.get(name, "")),
        ]
        for name in THRESHOLD_NAMES
    ]
    meanings = [[f"`{name}`", meaning] for name, meaning in described(Thresholds).items()]
    header = ["parameter", *PRESETS, "allowed", "hyperopt", "space"]
    return f"{table(header, values)}\n\n{table(['parameter', 'meaning'], meanings)}"


def settings() -> str:
    """Return the table of the config's section ``perp_imbalance``."""
    meaning = described(Settings)
    rows = []
    for name, field in Settings.model_fields.items():
        default = "below" if name == "protections" else f"`{json_text(field.default)}`"
        rows.append([f"`{name}`", default, meaning[name]])
    return table(["setting", "default", "meaning"], rows)


def json_text(value: Any) -> str:
    """Return a default as a config has it.

    >>> json_text(["long"]), json_text(False)
    ('["long"]', 'false')
    """
    return json.dumps(value)


def commands() -> str:
    """Return the help of every command."""
    parts = []
    for name in command_names(help_text()):
        text = help_text(name)
        parts.append(f"## {name}\n\n```text\n{text.rstrip()}\n```")
        for action in command_names(text) if "ACTION" in text else ():
            parts.append(f"### {name} {action}\n\n```text\n{help_text(name, action).rstrip()}\n```")
    return "\n\n".join(parts)


def columns() -> str:
    """Return the table of columns of the signal's contract.

    :raises LookupError: if it lacks a column that the code computes.
    """
    contract = (ROOT / "docs" / "reference" / "signal.md").read_text(encoding="utf-8")
    found = contract.partition("## Columns\n")[2].partition("\n## ")[0]
    text = found[found.index("| column") :].rstrip()
    hours = pd.DataFrame({"date": pd.date_range("2025", periods=2, freq="h", tz="UTC")})
    candles = hours.assign(close=1.0, volume=1.0)
    for name in imbalance_columns(candles, candles):
        if f"`{name}`" not in text:
            raise LookupError(f"docs/reference/signal.md has no column {name}")
    return text


#: What stands in the place of ``<!-- made from code: NAME -->``.
MADE = {
    "parameters": parameters,
    "settings": settings,
    "columns": columns,
    "commands": commands,
}
_PLACE = re.compile(r"<!-- made from code: (\w+) -->")
_CODE = re.compile(r"`[^`\n]+`")
_LINK = re.compile(r"(?<=\]\()([^)\s:]+?)(#[^)\s]*)?(?=\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files from outside of ``docs/``."""
    for source, place in OUTSIDE.items():
        content = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, place, content=content))
    return files


def relinked(markdown: str, place: str) -> str:
    """Return a page whose links, written for the repository, lead to pages of the site.

    :param place: the page's path in the site.

    >>> relinked("[a](docs/chaos.md#run) [b](LICENSE)", "index.md")
    '[a](chaos.md#run) [b](LICENSE.txt)'
    >>> relinked("[a](../CHANGELOG.md)", "chaos.md")
    '[a](changelog.md)'
    """
    sources = {site: source for source, site in OUTSIDE.items()}
    folder = posixpath.dirname(sources.get(place, f"docs/{place}"))

    def to_site(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, link[1]))
        site = OUTSIDE.get(target, target.removeprefix("docs/"))
        return posixpath.relpath(site, posixpath.dirname(place) or ".") + (link[2] or "")

    return _LINK.sub(to_site, markdown)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make the parts that come from code, and mend links of the repository."""
    linked = relinked(markdown, page.file.src_uri)
    made = _PLACE.sub(lambda found: MADE[found[1]](), linked)
    # In code within a table, a repository's page needs \| and this site needs |.
    return _CODE.sub(lambda code: code[0].replace("\\|", "|"), made)
