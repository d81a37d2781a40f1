"""Run all windows of a walk-forward on Dask, and store each as soon as it is done."""

import json
import logging
import os
import uuid
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perp_imbalance.errors import CommandError
from perp_imbalance.files import atomic_write_text
from perp_imbalance.research.processes import interrupts_kept_here
from perp_imbalance.research.walk_forward.task import Bundle, changes
from perp_imbalance.research.windows import Window

logger = logging.getLogger(__name__)

#: Further tries of a window whose freqtrade was ended, beside Dask's own when a worker dies.
RETRIES = 2
_CONNECT_SECONDS = 10
_POLL_SECONDS = 0.5

#: Told how many windows are done, running and left.
Tell = Callable[[int, int, int], None]


class Store:
    """The folder of a run: its plan, and a file for each finished window.

    :param plan: the inputs of the run.
    :raises CommandError: if the folder belongs to a run with another plan, or cannot be written.
    """

    def __init__(self, folder: Path, plan: dict[str, Any]) -> None:
        self.folder = folder
        self._windows = folder / "windows"
        file = folder / "plan.json"
        try:
            self._windows.mkdir(parents=True, exist_ok=True)
            # A run that has not one window binds nobody to its options.
            if not file.exists() or not any(self._windows.glob("*.json")):
                atomic_write_text(file, json.dumps(plan, indent=1))
            stored = json.loads(file.read_text("utf-8"))
        except OSError as error:
            raise CommandError(f"{folder} cannot be written: {error.strerror}") from None
        except ValueError:
            raise CommandError(f"{file} is not JSON: name another folder with --out") from None
        if changed := changes(stored, plan):
            raise CommandError(
                f"{folder} holds a walk-forward that was begun before this changed: "
                f"{', '.join(changed)}; windows of both are not one account: name a new folder "
                "with --out, or go back to what it was begun with"
            )

    def finished(self, windows: Sequence[Window]) -> dict[str, dict[str, Any]]:
        """Return the stored results by the window's name."""
        found = {}
        for window in windows:
            file = self._windows / f"{window.name}.json"
            if file.exists():
                found[window.name] = json.loads(file.read_text("utf-8"))
        return found

    def keep(self, result: dict[str, Any]) -> None:
        """Store the result of a window."""
        atomic_write_text(self._windows / f"{result['window']}.json", json.dumps(result))


@dataclass(frozen=True)
class Cluster:
    """The Dask cluster on which windows run.

    :ivar scheduler: address of a Dask scheduler; None for a cluster on this machine.
    :ivar workers: processes of the local cluster; None for one per core.
    """

    scheduler: str | None = None
    workers: int | None = None

    @contextmanager
    def client(self) -> Iterator[Any]:
        """Connect to the scheduler, or start a local cluster that ends with the block.

        :raises CommandError: if the scheduler does not answer.
        """
        import dask
        from distributed import Client

        # Dask's account of each lost worker and each closed connection is for its own logs.
        for name in ("distributed", "tornado.application"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        with ExitStack() as stack:
            stack.enter_context(dask.config.set({"distributed.scheduler.worker-saturation": 1.0}))
            address: Any = self.scheduler
            if address is None:
                address = stack.enter_context(self._local())
            try:
                client = Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
            except (OSError, ValueError) as error:
                said = str(error).splitlines()[0] if str(error) else type(error).__name__
                raise CommandError(f"no Dask scheduler at {self.scheduler}: {said}") from None
            stack.enter_context(client)
            if not client.nthreads():
                logger.warning("the scheduler at %s has no workers yet: waiting", self.scheduler)
            yield client

    def _local(self) -> Any:
        """Start a local cluster whose processes ignore Ctrl-C."""
        from distributed import LocalCluster

        # The workers inherit it, those that replace a dead one as well.
        with interrupts_kept_here():
            return LocalCluster(
                n_workers=self.workers or os.cpu_count() or 1,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                # Any free port: without one named, a second run would complain of the first's.
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,
            )


def run_windows(
    bundle: Bundle, windows: Sequence[Window], store: Store, cluster: Cluster, tell: Tell
) -> dict[str, dict[str, Any]]:
    """Run the windows that are not stored yet; return the results of all windows.

    :raises CommandError: if freqtrade refuses a window, or its workers die repeatedly; finished
        windows stay stored.
    """
    results = store.finished(windows)
    missing = [window for window in windows if window.name not in results]
    done = len(results)
    tell(done, 0, len(missing))
    if not missing:
        logger.info("all %d windows were there already, nothing was run", done)
        return results
    if done:
        logger.info("%d of %d windows are there already", done, len(windows))
    lost: dict[str, str] = {}
    try:
        # Closed before the client is: it stops what runs, however the block is left.
        with (
            cluster.client() as client,
            closing(_finished(client, bundle, missing, tell, done)) as finished,
        ):
            for name, outcome in finished:
                if isinstance(outcome, str):
                    logger.error("window %s was lost: %s", name, outcome)
                    lost[name] = outcome
                    continue
                if "refused" in outcome:
                    raise CommandError(f"window {name}: {outcome['refused']}")
                store.keep(outcome)
                results[name] = outcome
    except KeyboardInterrupt:
        logger.warning(
            "stopped: %d of %d windows are there, the same command runs the others",
            len(results),
            len(windows),
        )
        raise
    if lost:
        raise CommandError(
            f"{len(lost)} of {len(windows)} windows were lost ({', '.join(sorted(lost))}); the "
            "others are kept, the same command runs what is missing"
        )
    return results


def _finished(
    client: Any, bundle: Bundle, windows: Sequence[Window], tell: Tell, before: int
) -> Generator[tuple[str, dict[str, Any] | str], None, None]:
    """Yield the result of each finished window, or the reason why it is lost."""
    from distributed import wait

    from perp_imbalance.research.walk_forward.worker import hold, run_window, stopped_at_exit

    run = f"walk-forward-{uuid.uuid4().hex[:12]}"
    with warnings.catch_warnings():
        # Candles are large, and sent once.
        warnings.filterwarnings("ignore", message="Sending large graph")
        shared = client.submit(hold, bundle, key=f"{run}-bundle", retries=RETRIES)
        names = {
            client.submit(
                run_window, shared, window, run, key=f"{run}-{window.name}", retries=RETRIES
            ): window.name
            for window in windows
        }
    with stopped_at_exit(client, run, [shared, *names]):
        left = set(names)
        while left:
            tell(before + len(names) - len(left), _running(client, len(left)), len(left))
            try:
                with client.as_current():
                    done = wait(left, timeout=_POLL_SECONDS, return_when="FIRST_COMPLETED").done
            except TimeoutError:
                continue
            left -= done
            for future in done:
                error = future.exception() if future.status != "finished" else None
                yield names[future], future.result() if error is None else _words(error)
        tell(before + len(names), 0, 0)


def _running(client: Any, left: int) -> int:
    """Return how many windows run at the same time: one per thread."""
    return min(left, int(sum(client.nthreads().values())))


def _words(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
