"""State of a life that its successive processes share."""

import pickle
from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from perp_imbalance.replay.testing import Account

# The state of the exchange's account that outlives the bot's process.
_ACCOUNT = ("wallet", "positions", "orders", "algos", "fills", "incomes", "_settled", "_split")


@dataclass
class Memory:
    """Findings, and the state from which they are made.

    :ivar broken: invariants that did not hold: hour of the life, name, details
    :ivar known: known errors of freqtrade that occurred, in the same form
    :ivar happened: number of occurrences of each kind of fault
    :ivar done: numbers of the events that have been done
    :ivar pending: number of fault-free looks for which something has been wrong
    :ivar looks_before: number of looks before this process began
    :ivar orders: number of the account's orders that have been checked
    :ivar read: position in the log up to which it was read
    """

    broken: list[tuple[float, str, str]] = field(default_factory=list)
    known: list[tuple[float, str, str]] = field(default_factory=list)
    happened: Counter[str] = field(default_factory=Counter)
    done: set[int] = field(default_factory=set)
    pending: dict[tuple[str, str], int] = field(default_factory=dict)
    orders: int = 0
    read: int = 0
    looks: int = 0
    looks_before: int = 0
    sound: int = 0
    starts: int = 0
    entries: int = 0
    flips: set[str] = field(default_factory=set)
    told: dict[str, str] = field(default_factory=dict)
    fills: Counter[str] = field(default_factory=Counter)
    reloaded: set[int] = field(default_factory=set)
    lost: int = 0
    ended: bool = False


def save(path: Path, memory: Memory, account: Account, now: float) -> None:
    """Save memory and account for the next process."""
    kept = {name: vars(account)[name] for name in _ACCOUNT}
    state = {"memory": memory, "account": kept, "ids": next(account._ids), "now": now}
    path.write_bytes(pickle.dumps(state))


def load(path: Path, account: Account) -> Memory:
    """Restore an account and return the memory."""
    if not path.exists():
        return Memory()
    state: dict[str, Any] = pickle.loads(path.read_bytes())
    vars(account).update(state["account"], _ids=count(state["ids"]))
    memory: Memory = state["memory"]
    return memory


def read_state(path: Path) -> dict[str, Any]:
    """Return the saved state of an ended process: ``memory``, ``now`` and more."""
    state: dict[str, Any] = pickle.loads(path.read_bytes())
    return state


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Save the state after a change."""
    path.write_bytes(pickle.dumps(state))
