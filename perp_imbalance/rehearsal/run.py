"""Starting the process that a bot is rehearsed in."""

import sys
from pathlib import Path

from perp_imbalance.errors import RehearsalError
from perp_imbalance.files import temporary_folder
from perp_imbalance.freqtrade_bridge.process import error_line, run_child
from perp_imbalance.rehearsal.plan import Plan

EXIT_INTERRUPTED = 130


def rehearse(plan: Plan, cwd: Path | None = None) -> None:
    """Let a bot live as planned; its database and log are in the plan's folder then.

    Afterwards, a plan with the same folder and a later start is the restart of that bot.

    :param cwd: folder to run in, by default this process's; a config's relative paths begin there
    :raises RehearsalError: if the bot ended before its time, with what it said last
    :raises KeyboardInterrupt: if it was interrupted
    """
    plan.folder.mkdir(parents=True, exist_ok=True)
    # freqtrade keeps pairs in sets, whose order depends on hashes, and schedules by local time.
    variables = {"PYTHONHASHSEED": str(plan.seed % 2**32), "TZ": "UTC"}
    with temporary_folder() as folder:
        file = Path(folder, "plan.json")
        file.touch(mode=0o600)
        file.write_text(plan.dumps(), encoding="utf-8")
        process = run_child(
            [sys.executable, "-m", "perp_imbalance.rehearsal.child", str(file)],
            cwd=cwd,
            proxies=False,
            capture=True,
            variables=variables,
        )
    if process.returncode == EXIT_INTERRUPTED:
        raise KeyboardInterrupt
    if process.returncode:
        raise RehearsalError(f"{error_line(process)} (more in {plan.log})")
