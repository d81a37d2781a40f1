"""What is known of a life across the processes that it takes."""

import pickle
from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from perp_imbalance.replay.testing import Account

# What the account of an exchange keeps when the bot's process has ended.
_ACCOUNT = ("wallet", "positions", "orders", "algos", "fills", "incomes", "_settled", "_split")


@dataclass
class Memory:
    """Findings, and what they are found with.

    :ivar broken: invariants that did not hold: hour of the life, name, what was there
    :ivar known: what freqtrade is known to get wrong, in the same way
    :ivar happened: how often each kind of fault was met
    :ivar done: events that have been done, by their number
    :ivar pending: for how many sound looks something has been wrong
    :ivar looks_before: how many looks there had been when this process began
    :ivar orders: how many orders of the account have been looked at
    :ivar read: how much of the log
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
    """Keep memory and account for the next process."""
    kept = {name: vars(account)[name] for name in _ACCOUNT}
    state = {"memory": memory, "account": kept, "ids": next(account._ids), "now": now}
    path.write_bytes(pickle.dumps(state))


def load(path: Path, account: Account) -> Memory:
    """Give an account back what it had, and return the memory."""
    if not path.exists():
        return Memory()
    state: dict[str, Any] = pickle.loads(path.read_bytes())
    vars(account).update(state["account"], _ids=count(state["ids"]))
    memory: Memory = state["memory"]
    return memory


def read_state(path: Path) -> dict[str, Any]:
    """Return what a process that has ended kept: ``memory``, ``now`` and more."""
    state: dict[str, Any] = pickle.loads(path.read_bytes())
    return state


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Keep it again, after a change."""
    path.write_bytes(pickle.dumps(state))
