"""Rehearsal stages of the tests: an exchange with faults, and with an account."""

import pickle
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from freqtrade.worker import Worker

from perp_imbalance.freqtrade_bridge.internals import deep_merge_dicts
from perp_imbalance.rehearsal.stage import Stage
from perp_imbalance.replay.overlay import account_config
from perp_imbalance.replay.testing import (
    FAULTS,
    Account,
    AccountReplay,
    AccountTerms,
    Fault,
    running_test_replay,
)

#: The file that keeps an account between a bot's end and its restart.
ACCOUNT_FILE = "account.pickle"


class FaultyStage(Stage):
    """A stage with faults, and an account for the bot's orders that survives a restart.

    ``Plan.options`` has what :func:`faulty` returns.
    """

    replay: AccountReplay

    @contextmanager
    def exchange(self) -> Iterator[AccountReplay]:
        """Serve the exchange during the block."""
        options = self.plan.options
        wallet = options["wallet"]
        with running_test_replay(
            self.plan.datadir,
            account=AccountTerms(Decimal(wallet)) if wallet else None,
            faults=FAULTS.validate_python(options["faults"]),
        ) as self.replay:
            if not wallet:
                yield self.replay
                return
            file = self.plan.folder / ACCOUNT_FILE
            if file.exists():
                vars(self.replay.account).update(pickle.loads(file.read_bytes()))
            try:
                yield self.replay
            finally:
                file.write_bytes(pickle.dumps(account_state(self.replay.account)))

    def config(self, config: dict[str, Any]) -> Mapping[str, Any]:
        """Return the bot's config, with the keys of the account if there is one."""
        if not self.plan.options["wallet"]:
            return config
        merged: dict[str, Any] = deep_merge_dicts(account_config(), config)
        return merged


class NotingStage(FaultyStage):
    """Records the times of the bot's looks, and its end."""

    def looked(self, worker: Worker, now: float) -> None:
        """Record the time."""
        self._note(f"{now:.0f}")

    def ended(self) -> None:
        """Record the end."""
        self._note("end")

    def _note(self, line: str) -> None:
        with (self.plan.folder / "looks.txt").open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")


def account_state(account: Account) -> dict[str, Any]:
    """Return the state of an account, without its market."""
    return {name: value for name, value in vars(account).items() if name != "prices"}


def kept_account(folder: Path) -> Account:
    """Return the saved account of a bot that has ended."""
    account = Account.__new__(Account)
    vars(account).update(pickle.loads((folder / ACCOUNT_FILE).read_bytes()))
    return account


def faulty(faults: Sequence[Fault] = (), wallet: int | None = None) -> dict[str, Any]:
    """Return the options of a :class:`FaultyStage`.

    :param wallet: USDT of the account; None: the bot is in dry-run
    """
    return {"faults": [fault.model_dump(mode="json") for fault in faults], "wallet": wallet}
