"""No file that git tracks holds a key, a secret, a token or a password that could be real."""

import re
import secrets
import shutil
import string
import subprocess
from pathlib import Path

import pytest
from support.freqtrade import ROOT

NAMES = (
    "api_?key|key|secret|password|passphrase|token|ws_token|jwt_secret_key|private_?key"
    "|wallet_?address|uid|account_?id|chat_id|webhook_url|url"
)
# A name that freqtrade or ccxt knows, then a value in quotes, in any language.
QUOTED = re.compile(rf"""\b(?:{NAMES})["']?\s*[:=]\s*["']([^"'\s]+)["']""", re.IGNORECASE)
# A line of an environment file, a unit or a script.
VARIABLE = re.compile(
    rf"""\bFREQTRADE__\w*(?:{NAMES})["']?[ \t]*[:=][ \t]*["']?([^"'\s]+)""", re.IGNORECASE
)
TELEGRAM = re.compile(r"\b(\d{8,10}:[\w-]{35})\b")
# Binance's keys: 64 letters of both cases and digits, whatever stands before them.
EXCHANGE = re.compile(r"\b((?=\w*[a-z])(?=\w*[A-Z])(?=\w*\d)[A-Za-z0-9]{64})\b")
WORDS = ("example", "dummy", "placeholder", "for-this-test", "your", "127.0.0.1", "localhost")
# Shorter ones protect nothing; code is full of them: key="date".
SHORTEST = 8


def is_harmless(value: str, *, code: bool) -> bool:
    """Tell whether a value is empty, a reference, an obvious placeholder or plain code."""
    if value.startswith(("$", "<", "{")) or any(word in value.lower() for word in WORDS):
        return True
    if len(set(value)) < 4:
        return True
    letters_and_digits = any(map(str.isdigit, value)) and any(map(str.isalpha, value))
    return code and (len(value) < SHORTEST or not letters_and_digits)


def leaks(path: Path) -> list[str]:
    """Return the values in a file that could be secrets; none of a file that is not text."""
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError:
        return []
    code = path.suffix in {".py", ".md", ".csv"}
    named = [*QUOTED.findall(text), *VARIABLE.findall(text)]
    found = [value for value in named if not is_harmless(value, code=code)]
    return found + TELEGRAM.findall(text) + EXCHANGE.findall(text)


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: nothing is tracked")
    listed = subprocess.run(
        [git, "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]


def test_no_tracked_file_holds_a_secret(tracked: list[Path]) -> None:
    assert ROOT / "config.json" in tracked
    found = {str(path.relative_to(ROOT)): leaks(path) for path in tracked}
    assert {name: values for name, values in found.items() if values} == {}


def test_git_tracks_neither_env_nor_own_configs(tracked: list[Path]) -> None:
    names = {str(path.relative_to(ROOT)) for path in tracked}
    own = [".env", ".env.live", "config/live.json", "user_data/tradesv3.live.sqlite"]
    assert not names & set(own)
    git = shutil.which("git")
    assert git is not None
    ignored = subprocess.run(
        [git, "check-ignore", "--no-index", *own, ".env.example", "config/live.example.json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ignored.stdout.split() == own


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("live.json", '{{"exchange": {{"key": "{key}"}}}}'),
        ("live.json", '{{"exchange": {{"api_key": "", "secret": "{short}"}}}}'),
        ("live.json", '{{"api_server": {{"password": "hunter2"}}}}'),
        ("live.json", '{{"webhook": {{"url": "https://hooks.invalid/{short}"}}}}'),
        (".env", "FREQTRADE__EXCHANGE__SECRET={short}"),
        ("compose.yml", "FREQTRADE__API_SERVER__PASSWORD: {short}"),
        ("unit.service", 'Environment="FREQTRADE__EXCHANGE__API_KEY={key}"'),
        ("page.md", "the key is {key}"),
        ("page.md", 'then set "secret": "{short}"'),
        ("code.py", 'ccxt.binance({{"apiKey": "{key}"}})'),
        ("code.py", 'Exchange(secret="{short}")'),
        ("page.md", "the bot 123456789:{token}"),
    ],
)
def test_a_secret_would_be_found(tmp_path: Path, name: str, text: str) -> None:
    letters = string.ascii_letters + string.digits
    drawn = "aZ9" + "".join(secrets.choice(letters) for _ in range(61))
    path = tmp_path / name
    path.write_text(text.format(key=drawn, short=drawn[:20], token=drawn[:35]), encoding="utf-8")
    assert leaks(path)


@pytest.mark.parametrize(
    "text",
    [
        '{"key": "", "secret": "${FREQTRADE__EXCHANGE__SECRET:?}"}',
        '{"key": "dummy-key", "password": "<your password>"}',
        """FREQTRADE__EXCHANGE__SECRET=
NEXT=1""",
        '{"url": "http://127.0.0.1:8765/api/v3"}',
    ],
)
def test_what_is_no_secret_is_let_pass(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(text, encoding="utf-8")
    assert leaks(path) == []
