"""Files appear whole or not at all, and a disk that refuses them is one line."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from perp_imbalance.errors import CommandError
from perp_imbalance.files import atomic_write, atomic_write_text, temporary_folder


def test_old_file_stays_until_the_new_one_is_complete(tmp_path: Path) -> None:
    file = tmp_path / "new" / "pairs.json"
    atomic_write_text(file, "zł")
    with atomic_write(file) as part:
        part.write_text("half")
        assert file.read_text("utf-8") == "zł"
    assert file.read_text("utf-8") == "half"
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_unfinished_output_is_removed(tmp_path: Path, error: Callable[[], BaseException]) -> None:
    file = tmp_path / "pairs.json"
    atomic_write_text(file, "before")

    def interrupted() -> None:
        with atomic_write(file) as part:
            part.write_text("half")
            raise error()

    with pytest.raises((KeyboardInterrupt, ValueError)):
        interrupted()
    assert list(tmp_path.iterdir()) == [file]
    assert file.read_text("utf-8") == "before"


def test_refusal_of_the_disk_is_one_line_with_the_file_in_it(tmp_path: Path) -> None:
    (tmp_path / "in the way").write_text("")
    file = tmp_path / "in the way" / "pairs.json"
    with pytest.raises(CommandError) as refused:
        atomic_write_text(file, "text")
    assert str(refused.value) == f"{file} cannot be written: File exists"


def test_full_disk_leaves_no_part_of_a_file(tmp_path: Path) -> None:
    def full() -> None:
        with atomic_write(tmp_path / "pairs.json") as part:
            part.write_text("half")
            raise OSError(28, "No space left on device")

    with pytest.raises(CommandError, match="No space left on device"):
        full()
    assert list(tmp_path.iterdir()) == []


def test_temporary_folders_of_killed_runs_are_swept(tmp_path: Path) -> None:
    code = (
        "import os, sys, time; from pathlib import Path\n"
        "from perp_imbalance.files import temporary_folder\n"
        f"with temporary_folder(Path({str(tmp_path)!r})) as folder:\n"
        "    (folder / 'content').write_text('')\n"
        "    print(folder, flush=True)\n"
        "    time.sleep(60)\n"
    )
    others = [tmp_path / "perp-imbalance-other", tmp_path / "other"]
    for other in others:
        other.mkdir()
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        held = Path(run.stdout.readline().strip())
        try:
            with temporary_folder(tmp_path) as mine, temporary_folder(tmp_path):
                # The other run is alive.
                assert held.is_dir()
                assert mine.is_dir()
        finally:
            run.kill()
    assert held.is_dir()
    with temporary_folder(tmp_path) as mine:
        assert set(tmp_path.iterdir()) == {mine, *others}
    assert set(tmp_path.iterdir()) == set(others)


def test_half_written_file_of_a_killed_run_is_swept(tmp_path: Path) -> None:
    code = (
        "import time; from pathlib import Path\n"
        "from perp_imbalance.files import atomic_write\n"
        f"with atomic_write(Path({str(tmp_path)!r}) / 'sweep-1.json') as part:\n"
        "    part.write_text('half')\n"
        "    print('written', flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        run.stdout.readline()
        atomic_write_text(tmp_path / "sweep-2.json", "of another run while that one lives")
        assert len(list(tmp_path.iterdir())) == 2
        run.kill()
    atomic_write_text(tmp_path / "sweep-3.json", "the next")
    assert {path.name for path in tmp_path.iterdir()} == {"sweep-2.json", "sweep-3.json"}
