"""The commands of docs/tutorials/from_question_to_bot.md work, in their order, as they stand."""

import re
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support.freqtrade import ROOT, perp_imbalance

PAGE = ROOT / "docs" / "tutorials" / "from_question_to_bot.md"
PORT = "8765"


def blocks(language: str) -> str:
    """Return the page's blocks of code of a language."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return "".join(text for name, text in found if name == language)


def commands() -> list[list[str]]:
    """Return the page's commands, each as words."""
    lines = blocks("").replace("\\\n", " ").splitlines()
    found = [shlex.split(line) for line in lines]
    assert all(words[0] == "perp-imbalance" for words in found)
    return [words[1:] for words in found]


def free_port() -> str:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return str(listening.getsockname()[1])


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What the page finds in this folder, with the replay on a port that is free."""
    ignored = shutil.ignore_patterns("__pycache__", "*.json")
    shutil.copytree(ROOT / "strategies", tmp_path / "strategies", ignore=ignored)
    shutil.copytree(ROOT / "config", tmp_path / "config")
    shutil.copy(ROOT / "config.json", tmp_path)
    (tmp_path / "user_data").mkdir()
    return tmp_path


@pytest.mark.freqtrade
def test_page_leads_from_a_question_to_a_bot(clone: Path) -> None:
    steps = commands()
    assert [words[0] for words in steps] == [
        *("sample", "sample", "replay", "tune", "preset", "backtest", "doctor"),
    ]
    port, replay = free_port(), steps[2]
    config = clone / "config" / "replay.json"
    config.write_text(config.read_text("utf-8").replace(PORT, port), encoding="utf-8")
    for words in steps[:2]:
        assert perp_imbalance(*words, cwd=clone).returncode == 0
    code = "from perp_imbalance.cli.main import run; run()"
    with subprocess.Popen(
        [sys.executable, "-c", code, *replay, "--port", port],
        cwd=clone,
        stdout=subprocess.PIPE,
        text=True,
    ) as serving:
        try:
            assert serving.stdout is not None
            assert serving.stdout.readline().startswith("Replaying ")
            said = ""
            for number, words in enumerate(steps[3:]):
                done = perp_imbalance(*words, cwd=clone)
                assert done.returncode == 0, (words, done.stdout, done.stderr)
                # Each was printed by the one before it.
                line = f"perp-imbalance {shlex.join(words)}\n"
                assert number == 0 or line in said, words
                said = done.stdout
                check_output(words[0], said)
        finally:
            serving.terminate()


def check_output(command: str, said: str) -> None:
    """Check that what the page shows and says of a command is what it prints."""
    if command == "tune":
        assert said.startswith(blocks("text").removesuffix("  …\n"))
        for figure in ("overfitting is 41%", "Sharpe of 2.52 ", "above 2.49", "not shown at 95%"):
            assert figure in said
    if command == "doctor":
        assert said.endswith("PASS\n")
