"""What a rehearsal is played on: the exchange, and who looks on."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from perp_imbalance.errors import RehearsalError
from perp_imbalance.rehearsal.plan import Plan
from perp_imbalance.replay import Replay, running_replay

if TYPE_CHECKING:
    from freqtrade.worker import Worker


class Stage:
    """The replay exchange of a plan's candles, where nothing goes wrong.

    A test derives from it: one with faults serves another exchange, one with invariants checks them
    after every look. :attr:`Plan.stage` names the class; it lives in the bot's process.

    :param plan: what is rehearsed
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    @contextmanager
    def exchange(self) -> Iterator[Replay]:
        """Serve the exchange until the block is left."""
        with running_replay(self.plan.datadir, walk=self.plan.walk) as replay:
            yield replay

    def config(self, config: dict[str, Any]) -> Mapping[str, Any]:
        """Return the bot's config from the one that a rehearsal would use."""
        return config

    def looked(self, worker: "Worker", now: float) -> None:
        """Do what is to be done when the bot has ended a look.

        :param worker: freqtrade's; its bot is ``worker.freqtrade``
        :param now: seconds since 1970
        """

    def ended(self) -> None:
        """Do what is to be done when the bot has ended, however it did."""


def stage_of(plan: Plan) -> Stage:
    """Return the stage that a plan names, ``package.module:Class``.

    :raises RehearsalError: if there is none of that name
    """
    if plan.stage is None:
        return Stage(plan)
    module, _, name = plan.stage.partition(":")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise RehearsalError(f"no stage {plan.stage} to rehearse on: {error}") from None
    stage: Stage = found(plan)
    return stage
