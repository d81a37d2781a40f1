"""Texts about the outcomes of lives."""

from collections import Counter
from typing import Any

from support.chaos.life import Outcome, failures


def as_dict(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome as plain values."""
    memory = outcome.memory
    return {
        "seed": outcome.seed,
        "kinds": outcome.schedule.kinds,
        "happened": dict(memory.happened),
        "broken": failures(outcome),
        "known": memory.known,
        "looks": memory.looks,
        "starts": memory.starts,
        "entries": memory.entries,
        "seconds": round(outcome.seconds, 1),
    }


def line(life: dict[str, Any]) -> str:
    """Return one line about a life, and one more for each invariant that did not hold."""
    lines = [
        f"seed {life['seed']}: {life['looks']} looks, {life['entries']} entries, "
        f"{life['starts']} starts, {len(life['known'])} known of freqtrade, "
        f"{life['seconds']:.0f} s: {'FAILED' if life['broken'] else 'held'}"
    ]
    for name in ("broken", "known"):
        lines += [f"    {name}: hour {hour}: {what}: {text}" for hour, what, text in life[name]]
    return "\n".join(lines)


def summary(lives: list[dict[str, Any]], seconds: float) -> str:
    """Return how many lives held all invariants, and which did not."""
    failed = [life for life in lives if life["broken"]]
    counts = Counter(what for life in failed for what in {what for _, what, _ in life["broken"]})
    number = f"{len(lives)} li{'fe' if len(lives) == 1 else 'ves'}"
    lines = [f"{number} in {seconds:.0f} s: {len(failed)} failed"]
    lines += [f"  {count} × {what}" for what, count in counts.most_common()]
    if failed:
        numbers = " ".join(str(life["seed"]) for life in failed)
        lines.append(f'  again: make chaos SEED="{numbers}"')
    return "\n".join(lines)
