"""``python -m support.chaos``: run bots with the faults that their seeds draw."""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from support.chaos.life import Outcome

AT_ONCE = 2
#: Environment variables of all processes, so that a seed determines a run completely.
FIXED = {"PYTHONHASHSEED": "1", "TZ": "UTC"}
POLL_SECONDS = 0.05
#: Runs with at least this many seeds write the tables of docs/chaos.md.
PUBLISHED = 200
_signals: list[int] = []


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m support.chaos", description=__doc__)
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--seeds", type=int, help="let the seeds from 1 to this one live")
    chosen.add_argument(
        "--seed", type=int, nargs="+", help="let these live, and keep their folders"
    )
    parser.add_argument("--folder", type=Path, help="where lives leave database and log")
    parser.add_argument("--json", type=Path, help="write what came of each life")
    options = parser.parse_args(arguments)
    if min(options.seed or [options.seeds]) < 1:
        parser.error("a seed is 1 or more")
    seeds = options.seed or list(range(1, options.seeds + 1))
    folder = options.folder or Path(tempfile.mkdtemp(prefix="chaos-"))
    # The logs and databases of 200 lives take too much disk space.
    keep = bool(options.seed) or options.folder is not None
    try:
        return _live(seeds, folder, keep, options)
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def _live(seeds: list[int], folder: Path, keep: bool, options: argparse.Namespace) -> int:
    from support.chaos.page import write_page
    from support.chaos.reports import as_dict, line, summary

    outcomes = []
    begun = time.monotonic()
    for outcome in outcomes_of(seeds, folder, keep):
        outcomes.append(as_dict(outcome))
        print(f"[{len(outcomes)}/{len(seeds)}] {line(outcomes[-1])}", flush=True)
        if options.json:
            options.json.write_text(json.dumps(outcomes, indent=1), encoding="utf-8")
    print(summary(outcomes, time.monotonic() - begun))
    if keep:
        print(f"databases and logs: {folder}")
    if (options.seeds or 0) >= PUBLISHED:
        write_page(outcomes)
    return int(any(outcome["broken"] for outcome in outcomes))


def outcomes_of(seeds: Sequence[int], folder: Path, keep: bool) -> "Iterator[Outcome]":
    """Yield the outcome of each seed; two lives run at a time, and none is left running."""
    from support.chaos.life import Life
    from support.chaos.market import sample_market

    datadir = sample_market(folder / "sample")
    waiting, lives = list(reversed(seeds)), list[Life]()
    try:
        while waiting or lives:
            if _signals:
                raise KeyboardInterrupt
            while waiting and len(lives) < AT_ONCE:
                seed = waiting.pop()
                lives.append(Life(seed, datadir, folder / f"seed-{seed}"))
                if keep:
                    print(f"seed {seed} begins: {lives[-1].folder}", flush=True)
            for life in list(lives):
                if outcome := life.step():
                    lives.remove(life)
                    if not keep:
                        shutil.rmtree(life.folder)
                    yield outcome
            time.sleep(POLL_SECONDS)
    finally:
        for life in lives:
            life.stop()


def _note(number: int, _: object) -> None:
    """Record a signal: an exception raised in the middle of a fork would be lost."""
    _signals.append(number)


if __name__ == "__main__":
    if any(os.environ.get(name) != value for name, value in FIXED.items()):
        os.execve(
            sys.executable,
            [sys.executable, "-m", "support.chaos", *sys.argv[1:]],
            {**os.environ, **FIXED},
        )
    signal.signal(signal.SIGINT, _note)
    signal.signal(signal.SIGTERM, _note)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
