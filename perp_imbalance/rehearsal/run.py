"""Start the process of a rehearsed bot."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from perp_imbalance.errors import RehearsalError
from perp_imbalance.files import temporary_folder
from perp_imbalance.freqtrade_bridge.process import error_line, run_child
from perp_imbalance.rehearsal.plan import STOPPED, Plan

EXIT_INTERRUPTED = 130
CHILD = (
    "-c",
    "from perp_imbalance.freqtrade_bridge.process import collect_rarely; collect_rarely(); "
    "from perp_imbalance.rehearsal.child import main; main()",
)
# The last line of a traceback.
_RAISED = re.compile(r"^[\w.]+(?:Exception|Error): (.*)", re.MULTILINE)


def rehearse(
    plan: Plan, cwd: Path | None = None, tell: Callable[[int], None] = lambda looks: None
) -> None:
    """Run the bot of a plan; its database and log are then in the plan's folder.

    A second plan with the same folder and a later start continues with this bot's database.

    :param cwd: folder to run in (by default the current one); relative paths in the config start
        from it
    :param tell: called at intervals with the number of iterations so far
    :raises RehearsalError: if the bot ended too early, with its last message
    :raises KeyboardInterrupt: if it was interrupted
    """
    plan.folder.mkdir(parents=True, exist_ok=True)
    logged = plan.log.stat().st_size if plan.log.exists() else 0
    # freqtrade keeps pairs in sets, whose order depends on hashes, and schedules by local time.
    variables = {"PYTHONHASHSEED": str(plan.seed % 2**32), "TZ": "UTC"}
    with temporary_folder() as folder:
        file, looks = (Path(folder, name) for name in ("plan.json", "looks"))
        looks.touch()
        file.touch(mode=0o600)
        file.write_text(plan.dumps(), encoding="utf-8")
        process = run_child(
            [sys.executable, *CHILD, str(file), str(looks)],
            cwd=cwd,
            proxies=False,
            capture=True,
            variables=variables,
            watch=lambda _: tell(looks.stat().st_size),
        )
    if process.returncode == EXIT_INTERRUPTED:
        raise KeyboardInterrupt
    if process.returncode:
        raise RehearsalError(_told(plan, process, logged))


def _told(plan: Plan, process: "subprocess.CompletedProcess[str]", logged: int) -> str:
    """Return why a bot ended, from its output and from its log after a position."""
    if not plan.log.exists():
        return error_line(process)
    with plan.log.open("rb") as file:
        file.seek(logged)
        log = file.read().decode("utf-8", errors="replace")
    reason, last = "", (process.stderr.splitlines() or [""])[-1]
    if last == STOPPED and (raised := _RAISED.findall(log)):
        reason = f"{STOPPED}: {raised[-1]}"
    else:
        if " - ERROR - " in log or not last:
            process.stderr += log
        reason = error_line(process)
    return f"{reason} (its log: {plan.log})"
