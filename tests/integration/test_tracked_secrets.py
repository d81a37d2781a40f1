"""No tracked file holds a secret, by detect-secrets with the audited ``.secrets.baseline``."""

import json
import secrets
import shutil
import string
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.freqtrade import ROOT

BASELINE = ROOT / ".secrets.baseline"
#: Data and pictures, in which only a person finds a secret, and the licence.
NOT_SCANNED = {".png", ".csv"}
SKIPPED = {"LICENSE", ".secrets.baseline"}


def git(*arguments: str) -> str:
    """Run git in the checkout; the test is skipped where this is none."""
    command = shutil.which("git")
    if command is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: nothing is tracked")
    return subprocess.run(
        [command, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout


def found_secrets(*files: str, cwd: Path) -> set[tuple[str, str]]:
    """Return what detect-secrets finds: file and hash. Line numbers move with every edit."""
    command = [sys.executable, "-m", "detect_secrets", "scan", *files]
    said = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True).stdout
    return hashes(json.loads(said))


def hashes(report: dict[str, Any]) -> set[tuple[str, str]]:
    return {
        (name, secret["hashed_secret"])
        for name, secrets_of in report["results"].items()
        for secret in secrets_of
    }


def test_no_tracked_file_holds_a_secret() -> None:
    names = [name for name in git("ls-files", "-z").split("\0") if name]
    assert "config.json" in names
    files = [
        name
        for name in names
        if (ROOT / name).is_file() and Path(name).suffix not in NOT_SCANNED and name not in SKIPPED
    ]
    audited = hashes(json.loads(BASELINE.read_text("utf-8")))
    assert found_secrets(*files, cwd=ROOT) - audited == set()


def test_git_tracks_neither_env_nor_own_configs() -> None:
    names = set(git("ls-files", "-z").split("\0"))
    own = [".env", ".env.live", "config/live.json", "user_data/tradesv3.live.sqlite"]
    assert not names & set(own)
    examples = [".env.example", "config/live.example.json"]
    assert git("check-ignore", "--no-index", *own, *examples).split() == own


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("live.json", '{{"exchange": {{"key": "{key}"}}}}'),
        ("live.json", '{{"exchange": {{"api_key": "", "secret": "{short}"}}}}'),
        ("live.json", '{{"api_server": {{"password": "hunter2"}}}}'),
        ("bot.env", "FREQTRADE__EXCHANGE__SECRET={short}"),
        ("compose.yml", "FREQTRADE__API_SERVER__PASSWORD: {short}"),
        ("unit.service", 'Environment="FREQTRADE__EXCHANGE__API_KEY={key}"'),
        ("page.md", 'then set "secret": "{short}"'),
        ("code.py", 'ccxt.binance({{"apiKey": "{key}"}})'),
        ("page.md", "the bot 123456789:{token}"),
    ],
)
def test_scanner_finds_a_secret(tmp_path: Path, name: str, text: str) -> None:
    letters = string.ascii_letters + string.digits
    drawn = "aZ9" + "".join(secrets.choice(letters) for _ in range(61))
    path = tmp_path / name
    path.write_text(text.format(key=drawn, short=drawn[:20], token=drawn[:35]), encoding="utf-8")
    assert found_secrets(name, cwd=tmp_path)
