"""What an experiment is likely to show, against its formula written out and simulated experiments."""

import math

import numpy as np
import pytest
from scipy import stats

from minbert.comparison import visible_errors
from minbert.experiments.power import RENEWED, smallest_visible_difference

ALONE = float(stats.norm.isf(0.025) + stats.norm.isf(0.2))  # 2.8 standard errors: visible by a single test


def test_one_metric_written_out() -> None:
    error = math.sqrt(2 * 0.22 * 0.25 / 1101 * (1 + 1 / 4))
    assert smallest_visible_difference([("accuracy", 1101)], 5) == pytest.approx(ALONE * error)
    error = math.sqrt(2 * 0.22 * (1 - 0.5**2) ** 2 / 863 * (1 + 1 / 2))
    assert smallest_visible_difference([("pearson", 863)], 3) == pytest.approx(ALONE * error)


def test_of_a_sum_the_variances_add() -> None:
    parts = [("accuracy", 1101), ("accuracy", 1998), ("pearson", 863)]
    squares = [(smallest_visible_difference([part], 5) or 0) ** 2 for part in parts]
    assert smallest_visible_difference(parts, 5) == pytest.approx(math.sqrt(sum(squares)))


@pytest.mark.parametrize("seeds", [1, 2])
def test_below_three_seeds_nothing_is_promised(seeds: int) -> None:
    assert smallest_visible_difference([("accuracy", 1101)], seeds) is None


def test_a_metric_without_a_formula_is_unknown() -> None:
    assert smallest_visible_difference([], 5) is None
    assert smallest_visible_difference([("accuracy", 1101), ("macro-f1", 100)], 5) is None


def test_no_number_of_seeds_makes_a_hundredth_visible_on_the_courses_sst() -> None:
    found = [smallest_visible_difference([("accuracy", 1101)], seeds) for seeds in (3, 5, 10, 1000)]
    assert found == sorted(found, key=lambda value: -(value or 0))
    assert (found[-1] or 0) > 0.01


@pytest.mark.parametrize("seeds", [3, 5, 8])
def test_the_error_is_that_of_simulated_experiments(seeds: int) -> None:
    """Runs that are right half of the time; the methods' expected answers lie as far apart as those of two seeds.
    What the widening by S/(S - 1) adds stays below an eighth."""
    generator, n = np.random.default_rng(seeds), 1101
    share = 2 * RENEWED * 0.25  # of the answers, that change sides
    by_seed = 1 - math.sqrt(1 - 2 * share)  # of the answers, that a seed draws anew: half of two such draws differ

    def renewed(right: np.ndarray, part: float) -> np.ndarray:
        return np.where(generator.random(n) < part, generator.random(n) < 0.5, right)

    def accuracy(method: np.ndarray) -> float:
        return float(np.mean([renewed(method, by_seed) for _ in range(seeds)]))

    differences = []
    for _ in range(1500):
        one = generator.random(n) < 0.5
        differences.append(accuracy(one) - accuracy(renewed(one, 2 * share / (1 - by_seed) ** 2)))
    error = (smallest_visible_difference([("accuracy", n)], seeds) or 0) / visible_errors()
    assert error / 1.12 < np.std(differences) < error * 1.03
