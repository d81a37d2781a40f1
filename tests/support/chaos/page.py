"""The tables of docs/chaos.md."""

import re
from collections import Counter
from typing import Any

from support.chaos.invariants import INVARIANTS, KNOWN
from support.chaos.schedule import ALL_KINDS
from support.freqtrade import ROOT
from support.reliability import table

PAGE = ROOT / "docs" / "chaos.md"


def write_page(lives: list[dict[str, Any]]) -> None:
    """Write the tables from the outcomes of all lives."""
    text = PAGE.read_text("utf-8")
    for name, part in (("run", _run(lives)), ("kinds", _kinds(lives)), ("known", _known(lives))):
        section = re.compile(rf"(<!-- {name} begin -->\n).*?(<!-- {name} end -->)", re.DOTALL)
        assert section.search(text), f"{PAGE.name} has no section {name}"
        text = section.sub(rf"\g<1>\n{part}\n\n\g<2>", text)
    PAGE.write_text(text, encoding="utf-8")


def _run(lives: list[dict[str, Any]]) -> str:
    total = {name: sum(life[name] for life in lives) for name in ("looks", "starts", "entries")}
    seconds = sum(life["seconds"] for life in lives)
    failed = [life for life in lives if life["broken"]]
    rows = [
        ["seeds", f"{lives[0]['seed']} to {lives[-1]['seed']}"],
        ["looks after which all was checked", str(total["looks"])],
        ["entries", str(total["entries"])],
        ["starts of a bot", str(total["starts"])],
        ["processor seconds a life", f"{seconds / len(lives):.1f}"],
        ["lives in which an invariant did not hold", str(len(failed))],
    ]
    rows += [
        [f"… {name}", ", ".join(_seeds(lives, "broken", name)) or "none"] for name in INVARIANTS
    ]
    return table(["what", "found"], rows)


def _kinds(lives: list[dict[str, Any]]) -> str:
    drawn: Counter[str] = Counter(kind for life in lives for kind in life["kinds"])
    met = Counter(kind for life in lives for kind, times in life["happened"].items() if times)
    failed = Counter(kind for life in lives if life["broken"] for kind in life["kinds"])
    rows = [[kind, str(drawn[kind]), str(met[kind]), str(failed[kind])] for kind in ALL_KINDS]
    return table(["kind", "drawn in lives", "met by the bot", "in lives that failed"], rows)


def _known(lives: list[dict[str, Any]]) -> str:
    rows = []
    for name, known in KNOWN.items():
        seeds = _seeds(lives, "known", name)
        times = sum(found[1] == name for life in lives for found in life["known"])
        rows.append([name, known.does, known.mend, str(times), ", ".join(seeds[:5])])
    header = ["freqtrade", "what it does", "what to do", "times", "seeds, for example"]
    return table(header, rows)


def _seeds(lives: list[dict[str, Any]], where: str, name: str) -> list[str]:
    return [str(life["seed"]) for life in lives if any(found[1] == name for found in life[where])]
