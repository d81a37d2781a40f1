"""The stage of a rehearsal: the exchange, and observers of the bot."""

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
    """The replay exchange of a plan's candles, without faults.

    Tests derive from it: a subclass can serve an exchange with faults, or check invariants after
    every iteration of the bot. :attr:`Plan.stage` names the class; it runs in the bot's process.

    :param plan: the plan of the rehearsal
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    @contextmanager
    def exchange(self) -> Iterator[Replay]:
        """Serve the exchange during the block."""
        with running_replay(self.plan.datadir, walk=self.plan.walk) as replay:
            yield replay

    def config(self, config: dict[str, Any]) -> Mapping[str, Any]:
        """Return the bot's config, based on the default rehearsal config."""
        return config

    def looked(self, worker: "Worker", now: float) -> None:
        """React to the end of an iteration of the bot.

        :param worker: freqtrade's worker; its bot is ``worker.freqtrade``
        :param now: seconds since 1970
        """

    def ended(self) -> None:
        """React to the end of the bot, normal or by an error."""


def stage_of(plan: Plan) -> Stage:
    """Return the stage that a plan names, ``package.module:Class``.

    :raises RehearsalError: if there is no such class
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
