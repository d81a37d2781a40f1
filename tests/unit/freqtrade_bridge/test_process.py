"""freqtrade's process ends without POSIX process groups, too, and without collecting garbage."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from perp_imbalance import files
from perp_imbalance.freqtrade_bridge import process

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
print(child.pid, flush=True)
child.wait()
"""


@pytest.fixture
def without_posix(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((os, "killpg"), (os, "getsid"), (signal, "SIGHUP")):
        monkeypatch.delattr(module, name)
    monkeypatch.setattr(files, "fcntl", None)


@pytest.mark.usefixtures("without_posix")
def test_command_runs_without_process_groups() -> None:
    found = process.run_child([sys.executable, "-c", "print(7)"], capture=True)
    assert (found.returncode, found.stdout.strip()) == (0, "7")
    with files.temporary_folder() as folder:
        assert folder.is_dir()
    assert not folder.exists()


@pytest.mark.usefixtures("without_posix")
def test_child_and_its_children_end_without_process_groups() -> None:
    child = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert child.stdout
    grandchild = psutil.Process(int(child.stdout.readline()))
    process._end(child)
    assert child.returncode
    psutil.wait_procs([grandchild])
    assert not grandchild.is_running() or grandchild.status() == psutil.STATUS_ZOMBIE


@pytest.mark.usefixtures("without_posix")
def test_watch_over_the_parent_is_left_out_without_sessions() -> None:
    process._end_with_parent()


def test_child_is_watched_while_it_runs(tmp_path: Path) -> None:
    """It ends when it has seen what the watcher does."""
    file = tmp_path / "seen"
    code = "import pathlib, sys\nwhile not pathlib.Path(sys.argv[1]).exists(): pass\nprint(7)"
    command = [sys.executable, "-c", code, str(file)]
    found = process.run_child(command, capture=True, watch=lambda _: file.touch())
    assert (found.returncode, found.stdout) == (0, "7\n")


def test_process_ends_without_collecting_and_loses_no_file(tmp_path: Path) -> None:
    code = (
        "import gc, sys\n"
        "from perp_imbalance.freqtrade_bridge.process import collect_rarely\n"
        "collect_rarely()\n"
        "class Loop:\n"
        "    def __init__(self): self.own = self\n"
        "    def __del__(self): print('collected')\n"
        "Loop()\n"
        "print(gc.get_threshold()[0])\n"
        "file = open(sys.argv[1], 'w')\n"
        "file.write('kept')\n"
    )
    written = tmp_path / "file"
    ended = subprocess.run(
        [sys.executable, "-c", code, str(written)], capture_output=True, text=True, check=True
    )
    assert ended.stdout == "50000\n"
    assert written.read_text("utf-8") == "kept"
