"""Run the whole life of a seed, one process after the other."""

import os
import re
import signal
import sys
import traceback
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

from perp_imbalance.rehearsal.child import rehearse
from perp_imbalance.replay.testing import HalfAnswers
from perp_imbalance.replay.testing.faults import HttpFault
from support.chaos.invariants import ALIVE, HALF, INVARIANTS, NO_START
from support.chaos.memory import Memory, read_state, write_state
from support.chaos.schedule import HOUR, Schedule, draw_schedule
from support.chaos.stage import KILLED, RESTART, STATE
from support.rehearsal import sample_plan

STAGE = "support.chaos.stage:ChaosStage"
SETTINGS = {"perp_imbalance": {"leverage": 3}}
#: Seconds after which a supervisor restarts a bot that ended.
RESTARTED_AFTER = 600.0
MOST_STARTS = 20
_ERROR = re.compile(
    r"^(?:\S+ \S+ - \S+ - ERROR - |[\w.]*\b\w*(?:Error|Exception|Protection|Nonce|Timeout): )(.*)",
    re.MULTILINE,
)


@dataclass
class Outcome:
    """The outcome of a life.

    :ivar seconds: of processor time
    """

    seed: int
    schedule: Schedule
    memory: Memory
    seconds: float


class Life:
    """A life that advances with each call of :meth:`step`.

    Its processes are forks of this one, which has already imported what a bot needs.

    :param folder: used by this life only
    """

    def __init__(self, seed: int, datadir: Path, folder: Path) -> None:
        self.seed, self.datadir, self.folder = seed, datadir, folder
        self.schedule = draw_schedule(seed)
        self.seconds = 0.0
        folder.mkdir(parents=True)
        self._start(self.schedule.start + timedelta(seconds=1))

    def _start(self, start: datetime) -> None:
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid:
            return
        code = 1
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        try:
            self._live(start)
            code = 0
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else int(left.code is not None)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)

    def _live(self, start: datetime) -> None:
        with (self.folder / "printed.txt").open("a") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        os.environ["RECORD"] = str(self.folder / "records.jsonl")
        # Under pytest, freqtrade writes no log file.
        os.environ.pop("PYTEST_VERSION", None)
        plan = sample_plan(
            *(self.datadir, self.folder, start, self.schedule.end),
            settings=SETTINGS,
            looks=self.schedule.looks,
            shortcuts=False,
            stage=STAGE,
            options={"seed": self.seed},
        )
        rehearse(plan, BytesIO())

    def step(self) -> Outcome | None:
        """Start the next process if one has ended; return the outcome at the end."""
        pid, status, usage = os.wait4(self.pid, os.WNOHANG)
        if not pid:
            return None
        self.pid = 0
        self.seconds += usage.ru_utime + usage.ru_stime
        code, path = os.waitstatus_to_exitcode(status), self.folder / STATE
        if not path.exists():
            never = Memory(broken=[(0.0, ALIVE, f"it never began: {self._said()}")])
            return Outcome(self.seed, self.schedule, never, self.seconds)
        state = read_state(path)
        down = RESTARTED_AFTER
        if code in (RESTART, KILLED):
            kind = "restart" if code == RESTART else "kill"
            down = next(e.values["down"] for e in self.schedule.events if e.kind == kind)
        elif code:
            self._died(state["memory"], state["now"])
            write_state(path, state)
        start = datetime.fromtimestamp(state["now"] + down, UTC)
        memory: Memory = state["memory"]
        if code == 0 or memory.starts >= MOST_STARTS or start >= self.schedule.end:
            return Outcome(self.seed, self.schedule, memory, self.seconds)
        self._start(start)
        return None

    def _died(self, memory: Memory, now: float) -> None:
        hours = round((now - self.schedule.start.timestamp()) / HOUR.total_seconds(), 2)
        refused = any(
            isinstance(fault, HttpFault) and fault.lasts(int(now * 1000))
            for fault in self.schedule.faults
        )
        half = any(
            isinstance(fault, HalfAnswers)
            and fault.announced == "half"
            and fault.lasts(int(now * 1000))
            for fault in self.schedule.faults
        )
        if half:
            memory.known.append((hours, HALF, self._said()))
        elif refused and memory.looks == memory.looks_before:
            memory.known.append((hours, NO_START, self._said()))
        else:
            memory.broken.append((hours, ALIVE, self._said()))

    def _said(self) -> str:
        """Return the last error in the bot's log."""
        text = ""
        for name in ("printed.txt", "rehearsal.log"):
            file = self.folder / name
            text += file.read_text("utf-8", errors="replace")[-20_000:] if file.exists() else ""
        errors = _ERROR.findall(text) or text.splitlines() or [""]
        return str(errors[-1])[:200]

    def stop(self) -> None:
        """End the running process, if any."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0


def failures(outcome: Outcome) -> list[tuple[float, str, str]]:
    """Return the invariants that did not hold."""
    return [found for found in outcome.memory.broken if found[1] in INVARIANTS]
