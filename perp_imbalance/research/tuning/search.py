"""Search for the best thresholds: all combinations if they are few, else by an Optuna sampler."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from perp_imbalance.errors import SettingsError
from perp_imbalance.indicators.thresholds import Thresholds
from perp_imbalance.research.pair_history import PairHistory
from perp_imbalance.research.processes import Processes
from perp_imbalance.research.threshold_trades import ThresholdTrades
from perp_imbalance.research.tuning.folds import Evaluator, Folds, Outcome
from perp_imbalance.research.tuning.names import SAMPLERS
from perp_imbalance.research.tuning.space import Space
from perp_imbalance.simulation import Rules
from perp_imbalance.strategy.settings import Settings

#: Trials that are proposed together, whatever the number of processes: the same seed proposes the
#: same. It is the size of a generation, too.
BATCH = 50
#: Neighbours of an exhaustive search that one process takes at a time.
_CHUNK = 25
_UNRANKED = -1e6

#: Does trials, and returns the outcome of each in their order.
Evaluate = Callable[[Sequence[Thresholds]], list[Outcome]]
#: Told how many trials are done, and how many there will be.
Tell = Callable[[int, int], None]


class Found(NamedTuple):
    """The result of a search.

    :ivar tried: the distinct trials, in order.
    :ivar outcomes: outcome of each trial.
    :ivar is_exhaustive: whether all combinations were tried.
    """

    tried: list[Thresholds]
    outcomes: list[Outcome]
    is_exhaustive: bool

    @property
    def best(self) -> int | None:
        """The number of the trial with the highest score; None if none has enough trades."""
        scores = [
            (outcome.score, -number)
            for number, outcome in enumerate(self.outcomes)
            if outcome.score is not None
        ]
        return -max(scores)[1] if scores else None

    @property
    def winner(self) -> Thresholds:
        """The trial with the highest score.

        :raises SettingsError: if none has enough trades.
        """
        if self.best is None:
            raise SettingsError(f"none of {len(self.tried)} trials has enough trades")
        return self.tried[self.best]


@dataclass(frozen=True)
class Search:
    """A search over a space of thresholds.

    :param trials: maximum number of trials.
    :param sampler: one of :data:`SAMPLERS`.
    """

    space: Space
    trials: int
    seed: int
    sampler: str = SAMPLERS[0]

    def run(self, evaluate: Evaluate, tell: Tell = lambda done, total: None) -> Found:
        """Run the search.

        :raises SettingsError: if no combination can be traded.
        """
        every = self.space.all(self.trials)
        if every is None:
            return self._sampled(evaluate, tell)
        if not every:
            raise SettingsError("no enter_z that may be tried is above any exit_z")
        outcomes: list[Outcome] = []
        tell(0, len(every))
        for begin in range(0, len(every), BATCH):
            outcomes += evaluate(every[begin : begin + BATCH])
            tell(len(outcomes), len(every))
        return Found(every, outcomes, is_exhaustive=True)

    def _sampled(self, evaluate: Evaluate, tell: Tell) -> Found:
        """Try the sampler's proposals, without repeating trials."""
        study, spaces = self._study(), _distributions(self.space)
        known: dict[Thresholds, Outcome] = {}
        asked = 0
        while asked < self.trials:
            tell(asked, self.trials)
            batch = [study.ask(spaces) for _ in range(min(BATCH, self.trials - asked))]
            asked += len(batch)
            proposed = [self.space.thresholds(self._values(trial.params)) for trial in batch]
            fresh = [one for one in dict.fromkeys(proposed) if one is not None and one not in known]
            known.update(zip(fresh, evaluate(fresh), strict=True))
            for trial, one in zip(batch, proposed, strict=True):
                study.tell(trial, _told(known.get(one) if one is not None else None))
        tell(asked, self.trials)
        return Found(list(known), list(known.values()), is_exhaustive=False)

    def _study(self) -> Any:
        # Late: it takes a second to import.
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        options: dict[str, Any] = {"seed": self.seed}
        if self.sampler.startswith("NSGA"):
            options["population_size"] = BATCH
        if self.sampler == "TPESampler":
            options |= {"multivariate": True, "constant_liar": True, "n_startup_trials": BATCH}
        with warnings.catch_warnings():
            # Its interface may change: it is pinned, and freqtrade's hyperopt uses it.
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = getattr(optuna.samplers, self.sampler)(**options)
        return optuna.create_study(sampler=sampler, direction="maximize")

    def _values(self, params: dict[str, Any]) -> dict[str, Any]:
        """Return the values of thresholds from the sampler's parameters."""
        return {name: self.space.axes[name][int(number)] for name, number in params.items()}


def _told(outcome: Outcome | None) -> float:
    """Return the score that a sampler gets; a trial without one gets less than any score."""
    if outcome is None:
        return 2 * _UNRANKED
    return _UNRANKED + outcome.trades if outcome.score is None else outcome.score


def _distributions(space: Space) -> dict[str, Any]:
    """Return Optuna's distributions for the values of each threshold."""
    from optuna.distributions import CategoricalDistribution, IntDistribution

    return {
        name: (
            CategoricalDistribution(tuple(range(len(values))))
            if isinstance(values[0], bool)
            else IntDistribution(0, len(values) - 1)
        )
        for name, values in space.axes.items()
    }


class Traded(NamedTuple):
    """Pairs and rules of their trades: everything that a process needs for trials."""

    histories: list[PairHistory]
    settings: Settings
    rules: Rules

    def trades(self) -> ThresholdTrades:
        """Return the pairs with their trades."""
        return ThresholdTrades(self.histories, self.settings, self.rules)


def _evaluator(traded: Traded, folds: Folds) -> Callable[[Sequence[Thresholds]], list[Outcome]]:
    """Return the function that computes trials in a process."""
    evaluator = Evaluator(traded.trades(), folds)
    return lambda trials: list(evaluator(trials))


@contextmanager
def evaluation(traded: Traded, folds: Folds, workers: int) -> Iterator[Evaluate]:
    """Yield the function that computes trials, in several processes or in this one.

    All processes end with the block.
    """
    if workers < 2:
        yield _evaluator(traded, folds)
        return
    with Processes(workers, _evaluator, (traded, folds)) as processes:
        yield partial(_shared, processes)


def _shared(processes: Processes, trials: Sequence[Thresholds]) -> list[Outcome]:
    """Compute trials in processes; trials that share the most go into one task."""
    order = sorted(range(len(trials)), key=lambda number: _similar(trials[number]))
    tasks = [order[begin : begin + _CHUNK] for begin in range(0, len(order), _CHUNK)]
    answers = processes.map([[trials[number] for number in task] for task in tasks])
    found = {
        number: outcome
        for task, outcomes in zip(tasks, answers, strict=True)
        for number, outcome in zip(task, outcomes, strict=True)
    }
    return [found[number] for number in range(len(trials))]


def _similar(thresholds: Thresholds) -> tuple[Any, ...]:
    """Sort so that neighbours share the parts that take longest to compute."""
    return (
        *(thresholds.robust_z, thresholds.z_len, thresholds.smooth_len),
        *(thresholds.dev_len, thresholds.bb_len, thresholds.bb_k),
    )
