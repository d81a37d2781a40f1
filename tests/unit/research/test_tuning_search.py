"""The search tries all there is, or what a sampler proposes; the same seed finds the same."""

from collections.abc import Sequence

import numpy as np
import pytest
from support.tuning import strategy

from perp_imbalance.errors import SettingsError
from perp_imbalance.indicators.thresholds import Thresholds
from perp_imbalance.research.tuning.folds import Outcome
from perp_imbalance.research.tuning.names import SAMPLERS
from perp_imbalance.research.tuning.search import Found, Search
from perp_imbalance.research.tuning.space import space_of

NOTHING = np.zeros(4)


class Market:
    """Earns most near one value of ``enter_z``, and notes what was tried."""

    def __init__(self, best: float = 2.3) -> None:
        self.best, self.tried = best, list[Thresholds]()

    def __call__(self, trials: Sequence[Thresholds]) -> list[Outcome]:
        self.tried += trials
        return [self.outcome(trial) for trial in trials]

    def outcome(self, trial: Thresholds) -> Outcome:
        score = -abs(trial.enter_z - self.best) - abs(trial.exit_z - 0.5)
        return Outcome(50, 50, 0, score, NOTHING, NOTHING, NOTHING, 0.1, 0.0)


class DullMarket(Market):
    """Has too few trades above a value of ``enter_z``."""

    def outcome(self, trial: Thresholds) -> Outcome:
        found = super().outcome(trial)
        return found._replace(trades=3, score=None) if trial.enter_z > 1.5 else found


def search(trials: int, seed: int = 1, sampler: str = SAMPLERS[0]) -> tuple[Found, Market]:
    space = space_of(strategy(), vary={"enter_z": None, "exit_z": None})
    market = Market()
    return Search(space, trials, seed, sampler).run(market), market


def test_few_combinations_are_all_tried() -> None:
    space = space_of(strategy(), vary={"enter_z": (1.5, 2.0, 2.5), "exit_z": (0.4, 0.6)})
    told = list[tuple[int, int]]()
    market = Market()
    found = Search(space, 6, 1).run(market, lambda *done: told.append(done))
    assert found.is_exhaustive
    assert len(found.tried) == 6
    assert found.best is not None
    assert (found.tried[found.best].enter_z, found.tried[found.best].exit_z) == (2.5, 0.4)
    assert told == [(0, 6), (6, 6)]
    assert not Search(space, 5, 1).run(market).is_exhaustive


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_same_seed_finds_the_same(sampler: str) -> None:
    first, second = (search(70, seed=3, sampler=sampler)[0] for _ in range(2))
    assert first.tried == second.tried
    assert first.tried != search(70, seed=4, sampler=sampler)[0].tried


def test_sampler_finds_profitable_thresholds() -> None:
    found, _ = search(400)
    assert found.best is not None
    assert found.outcomes[found.best].score == pytest.approx(0.0, abs=0.1)
    scores = np.array([outcome.score for outcome in found.outcomes], dtype=float)
    assert np.median(scores[-50:]) > np.median(scores[:50])


def test_no_trial_is_made_twice() -> None:
    space = space_of(strategy(), vary={"use_sigma": None, "bb_k": None, "use_htf": None})
    market = Market()
    found = Search(space, 100, 1).run(market)
    assert len(market.tried) == len(set(market.tried)) == len(found.tried) < 100


def test_trials_with_too_few_trades_cannot_win() -> None:
    space = space_of(strategy(), vary={"enter_z": None, "exit_z": None})
    found = Search(space, 200, 1).run(DullMarket())
    assert found.best is not None
    assert found.tried[found.best].enter_z <= 1.5
    # A sampler is led to where trades are.
    assert sum(trial.enter_z <= 1.5 for trial in found.tried[-50:]) > 20
    none = Search(space_of(strategy(), vary={"enter_z": (2.0, 3.0)}), 9, 1).run(DullMarket())
    assert none.best is None


def test_first_of_equal_trials_wins() -> None:
    space = space_of(strategy(), vary={"bb_k": (1.0, 2.0)})
    assert Search(space, 9, 1).run(Market()).best == 0


def test_valid_settings_are_not_refused() -> None:
    space = space_of(strategy(), vary={"enter_z": (0.3, 1.0), "exit_z": (0.9, 0.95)})
    alone = type(space)(space.base, {"enter_z": (0.3, 0.4), "exit_z": (0.9, 0.95)})
    with pytest.raises(SettingsError, match="no enter_z that may be tried is above any exit_z"):
        Search(alone, 9, 1).run(Market())
