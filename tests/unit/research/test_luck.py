"""The best of many worthless combinations is known, however much they have in common."""

import numpy as np
import pytest
from scipy import stats

from perp_imbalance.research.luck import Best, Luck, said
from perp_imbalance.research.trade_figures import Weekly, clustered_t

WEEKS = 100


def worthless(rng: np.random.Generator) -> Weekly:
    counts = rng.poisson(3.0, WEEKS).astype(float)
    return Weekly(rng.normal(0.0, 0.02, WEEKS) * np.sqrt(counts), counts)


def best_of(combinations: list[Weekly], **options: int) -> Best:
    luck = Luck(WEEKS, **options)
    for weekly in combinations:
        luck.add(weekly)
    return luck.result()


def test_expected_best_of_independent_trials_equals_theory() -> None:
    rng = np.random.default_rng(1)
    found = best_of([worthless(rng) for _ in range(50)])
    # The expected maximum of 50 standard normal values is 2.249.
    assert found.expected == pytest.approx(2.249, abs=0.15)
    assert found.high == pytest.approx(stats.norm.ppf(0.95 ** (1 / 50)), abs=0.3)


def test_a_hundred_equal_results_count_as_one() -> None:
    one = worthless(np.random.default_rng(2))
    found = best_of([one] * 100)
    assert found.tried == 100
    assert found.expected == pytest.approx(0.0, abs=0.1)
    assert found.high == pytest.approx(stats.norm.ppf(0.95), abs=0.2)


def test_draws_are_the_t_of_flipped_weeks() -> None:
    one = worthless(np.random.default_rng(3))
    signs = Luck(WEEKS, draws=7, seed=5)._signs
    expected = [clustered_t(Weekly(sign * one.net, one.trades)) for sign in signs]
    assert best_of([one], draws=7, seed=5).drawn == pytest.approx(expected, abs=1e-3)


def test_p_is_uniform_for_worthless_combinations() -> None:
    """Of worthless families, one in five has a best with p of 0.2 or less."""
    rng = np.random.default_rng(4)
    low = 0
    for _ in range(200):
        family = [worthless(rng) for _ in range(5)]
        best = best_of(family, draws=99)
        low += best.p(max(map(clustered_t, family))) <= 0.2
    assert 25 <= low <= 56


def test_parts_join_to_the_whole() -> None:
    rng = np.random.default_rng(6)
    family = [worthless(rng) for _ in range(30)]
    whole, joined = best_of(family, seed=9), Luck(WEEKS, seed=9)
    for part in (family[:11], family[11:]):
        found = best_of(part, seed=9)
        joined.join(found.drawn, found.tried)
    assert joined.result().tried == 30
    np.testing.assert_allclose(joined.result().drawn, whole.drawn, rtol=1e-5)


def test_verdict_says_tried_t_and_luck() -> None:
    best = Best(80, np.linspace(1.0, 3.0, 999))
    words = said(best, 100, [1.2, 2.0])
    assert "100 combinations tried, 80 of them with enough trades" in words
    assert "would show t 2.0 on average, and above 2.9 one time in twenty" in words
    assert words.endswith("the highest here is 2.0, p 0.50: not more than such luck")
    assert said(best, 100, [3.5]).endswith("p 0.00: more than such luck")
    nothing = Luck(WEEKS).result()
    assert "luck cannot be estimated" in said(nothing, 100, [])
