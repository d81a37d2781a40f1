"""``download-data`` against a disk that fills up and a process that is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pandas as pd
import pytest
from support.freqtrade import ROOT, TIMEOUT_SECONDS, assert_fails_in_one_line, perp_imbalance
from support.tiny_replay import TINY_START, write_market

from perp_imbalance.data.download import STAGING_PREFIX
from perp_imbalance.freqtrade_bridge.process import EXIT_DOWNLOAD
from perp_imbalance.replay import Replay, replay_config

pytestmark = pytest.mark.freqtrade

PAGE = 4096
RANGE = "20240101-20240209"


@pytest.fixture
def configs(tiny_config: Path, tiny_replay: Replay) -> list[str]:
    overlay = tiny_config.with_name("overlay.json")
    overlay.write_text(json.dumps(replay_config(tiny_replay.url)), encoding="utf-8")
    return ["-c", str(tiny_config), "-c", str(overlay)]


def half_market(datadir: Path) -> dict[Path, bytes]:
    """Write the first half of the market; return its files."""
    write_market(datadir, TINY_START, 480 + 300)
    return contents(datadir)


def contents(datadir: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in datadir.rglob("*.feather")}


def options(datadir: Path, configs: list[str]) -> list[str]:
    return [
        *("download-data", *configs, "--datadir", str(datadir), "--timerange", RANGE),
        *("--timeframes", "1h"),
    ]


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=700k", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a file system")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_full_disk_leaves_every_file_as_it_was(full_disk: Path, configs: list[str]) -> None:
    datadir = full_disk / "binance"
    before = half_market(datadir)
    state = os.statvfs(full_disk)
    free = state.f_bavail * state.f_frsize
    # What is left holds copies of the files that come first, and not what is to be added to them.
    copies = sum(-len(content) // PAGE * -PAGE for file, content in before.items() if perp(file))
    (full_disk / "filler").write_bytes(bytes(free - copies - 2 * PAGE))
    process = perp_imbalance(*options(datadir, configs))
    assert process.returncode in (1, 2, EXIT_DOWNLOAD), process.stderr
    last = process.stdout.splitlines()[-1:] or process.stderr.splitlines()[-1:]
    assert "as before" in last[0]
    after = contents(datadir)
    assert after.keys() == before.keys()
    changed = [file for file, content in after.items() if content != before[file]]
    assert len(changed) < len(before)
    for file in changed:
        assert len(pd.read_feather(file)) > len(pd.read_feather(BytesIO(before[file])))


def perp(file: Path) -> bool:
    return file.parent.name == "futures"


@pytest.mark.parametrize("moment", ["copied", "written", "installed"])
def test_killed_download_leaves_files_before_or_after(
    tmp_path: Path, configs: list[str], moment: str
) -> None:
    datadir = tmp_path / "binance"
    before = half_market(datadir)
    code = "from perp_imbalance.cli.main import run; run()"
    with subprocess.Popen(
        [sys.executable, "-c", code, *options(datadir, configs)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not reached(moment, datadir, before) and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    after = {file: data for file, data in contents(datadir).items() if staged(file) is False}
    assert after.keys() == before.keys()
    for file, content in before.items():
        assert after[file] == content or len(pd.read_feather(file)) > 780
    if moment != "written":
        return
    # The next run sweeps what was left, and ends with whole files.
    process_again = perp_imbalance(*options(datadir, configs))
    assert process_again.returncode == 0, process_again.stderr
    assert not list(datadir.glob(f"{STAGING_PREFIX}*"))
    assert contents(datadir).keys() == before.keys()
    assert all(len(pd.read_feather(file)) > 780 for file in before if "funding" not in file.name)


def staged(file: Path) -> bool:
    return any(part.startswith(STAGING_PREFIX) for part in file.parts)


def reached(moment: str, datadir: Path, before: dict[Path, bytes]) -> bool:
    """Tell whether a download has come to a moment."""
    if moment == "installed":
        return any(file.stat().st_size != len(content) for file, content in before.items())
    copies = [file for file in datadir.rglob("*.feather") if staged(file)]
    if moment == "copied":
        return bool(copies)
    sizes = {file.name: len(content) for file, content in before.items()}
    return any(file.exists() and file.stat().st_size > sizes[file.name] for file in copies)


def test_broken_file_is_refused_in_one_line(tmp_path: Path, configs: list[str]) -> None:
    datadir = tmp_path / "binance"
    before = half_market(datadir)
    broken = datadir / "BTC_USDT-1h.feather"
    broken.write_bytes(before[broken][:-9])
    process = perp_imbalance(*options(datadir, configs))
    assert_fails_in_one_line(process, f"{broken} cannot be read as candles")
    assert contents(datadir) == {**before, broken: before[broken][:-9]}
