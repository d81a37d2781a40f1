"""A command that meets a folder or disk that takes no file says so in one line."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from perp_imbalance.cli import main, pairs
from perp_imbalance.cli.main import DISK_ERRORS, run


@pytest.mark.parametrize("number", DISK_ERRORS)
def test_disk_error_is_one_line(
    number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(arguments: object) -> int:
        raise OSError(number, os.strerror(number), "/read/only/file")

    monkeypatch.setattr(pairs, "run", refuse)
    with pytest.raises(SystemExit) as left:
        run(["pairs"])
    assert left.value.code == main.EXIT_USAGE
    said = capsys.readouterr().err
    assert said == f"perp-imbalance: /read/only/file cannot be written: {os.strerror(number)}\n"


def test_other_errors_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(arguments: object) -> int:
        raise OSError(errno.EBADF, "a fault of ours")

    monkeypatch.setattr(pairs, "run", fail)
    with pytest.raises(OSError, match="a fault of ours"):
        run(["pairs"])


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "read-only"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "ro,size=64k", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a file system")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.parametrize(
    "command",
    [
        ["sample", "--datadir", "{place}/binance"],
        ["backtest", "-c", "{config}"],
        ["plot", "-c", "{config}", "--pair", "BTC/USDT:USDT"],
        ["evidence", "-c", "{config}"],
        ["download-data", "-c", "{config}", "--timerange", "20250101-"],
    ],
    ids=lambda command: command[0],
)
def test_read_only_folder_is_one_line(
    read_only: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    config = read_only.with_name("config.json")
    config.write_text(
        f'{{"user_data_dir": "{read_only}/user_data", "add_config_files": [], "dry_run": true, '
        '"exchange": {"name": "binance", "pair_whitelist": ["BTC/USDT:USDT"]}}',
        encoding="utf-8",
    )
    words = [word.format(place=read_only, config=config) for word in command]
    with pytest.raises(SystemExit) as left:
        run(words)
    said = capsys.readouterr().err
    assert left.value.code == main.EXIT_USAGE
    assert len(said.splitlines()) == 1
    assert "read-only" in said.lower()


def python(
    code: str, *words: str, stdout: int = subprocess.PIPE
) -> "subprocess.CompletedProcess[str]":
    """Run code in a process of its own."""
    # Output is kept until it is flushed, as at a user's.
    environment = {**os.environ, "PYTHONUNBUFFERED": ""}
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        env=environment,
    )


INTERRUPTED = """
import os, signal, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            print("importing", name, flush=True)
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder())
signal.signal(signal.SIGINT, signal.default_int_handler)
from perp_imbalance.cli.main import run
run(["backtest", "-c", "nowhere.json"])
"""


@pytest.mark.parametrize(
    ("module", "code"),
    [
        # Before there is anything to clean up, the signal itself ends the process.
        ("perp_imbalance.errors", -signal.SIGINT),
        ("argparse", main.EXIT_INTERRUPTED),
        ("perp_imbalance.cli.backtest", main.EXIT_INTERRUPTED),
        ("pandas", main.EXIT_INTERRUPTED),
    ],
)
def test_interrupt_during_imports_leaves_no_traceback(module: str, code: int) -> None:
    process = python(INTERRUPTED, module)
    assert (process.stdout, process.stderr) == (f"importing {module}\n", "")
    assert process.returncode == code


def test_handler_of_interrupts_is_put_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    for word in ("--version", "no-such-command"):
        with pytest.raises(SystemExit):
            run([word])
        assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["scan", "--help"]])
def test_closed_pipe_leaves_no_traceback(words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        process = python("from perp_imbalance.cli.main import run; run()", *words, stdout=writing)
    finally:
        os.close(writing)
    assert (process.returncode, process.stderr) == (main.EXIT_PIPE, "")
