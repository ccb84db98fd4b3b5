"""What a difference is worth, against simulated experiments, scipy's bootstrap and literal versions."""

import math
from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

import oracles_numeric
from minbert.comparison import (
    Answers,
    Difference,
    SeedEffect,
    churn,
    contrast,
    degrees_of_freedom,
    difference,
    holm,
    on_scale,
    over_picked_seeds,
    score_interval,
    seed_effect,
    seed_scores,
    verdict,
)
from minbert.metrics import METRICS, Interval

Array = NDArray[np.float64]
ALONE = float(stats.norm.isf(0.025) + stats.norm.isf(0.2))  # 2.8 standard errors: visible by a single test
SST = 1101  # examples of the course's dev set
CALM, COMMON = 0.0, 0.0166  # deviations of a seed's effect on all examples; the seeds' scores deviate by 0.007, 0.018


def difficulties(generator: np.random.Generator, n: int) -> Array:
    """Each example's chance to be answered right: half of them are, and between two seeds 11 % change sides."""
    a = 0.11 / (1 - 4 * 0.055)  # of Beta(a, a), so that p (1 - p) has the mean 0.055
    return generator.beta(a, a, n)


def classes(generator: np.random.Generator, chances: Array, seeds: int, common: float = 0.0) -> Answers:
    """Seeds that are right with these chances, and then turn answers by a share that all of a seed's examples have."""
    return turned(generator, generator.random((seeds, len(chances))) < chances, common)


def turned(generator: np.random.Generator, right: NDArray[np.bool_], common: float) -> Answers:
    """Answers that are right or not [S, n], after each seed's effect on all of them."""
    seeds, n = right.shape
    for s, effect in enumerate(generator.normal(0, common, seeds)):
        can_turn = ~right[s] if effect > 0 else right[s]
        right[s] ^= can_turn & (generator.random(n) < abs(effect) / can_turn.mean())
    return Answers("accuracy", right.astype(int), np.ones(n, dtype=int))


def scores(generator: np.random.Generator, truth: Array, seeds: int, noise: float, metric: str = "pearson") -> Answers:
    return Answers(metric, truth + noise * generator.normal(size=(seeds, len(truth))), truth)


def like(generator: np.random.Generator, arm: Answers, chances: Array, own: float, common: float = 0.0) -> Answers:
    """An arm of the same seeds: a share of each run's answers is drawn anew, and then its own effect of the seed."""
    fresh = classes(generator, chances, len(arm.predictions)).predictions
    right = np.where(generator.random(arm.predictions.shape) < own, fresh, arm.predictions)
    return turned(generator, right.astype(bool), common)


def coverage(
    seeds: int, common: float, repeats: int, draws: int, own: float | None = None, own_common: float = 0.0
) -> float:
    """How often the interval of two arms of one method holds 0; with `own`, of arms that share their seeds."""
    held = 0
    for repeat in range(repeats):
        generator = np.random.default_rng([seeds, repeat])
        chances = difficulties(generator, SST)
        one = classes(generator, chances, seeds, common)
        if own is None:
            other = classes(generator, chances, seeds, common)
        else:
            other = like(generator, one, chances, own, own_common)
        low, high = difference([one], [other], draws, repeat, same_seeds=own is not None).interval or (1, -1)
        held += low <= 0 <= high
    return held / repeats


@pytest.mark.parametrize("common", [CALM, COMMON])
def test_the_interval_of_two_arms_of_one_method_holds_zero(common: float) -> None:
    """Of 150 experiments at 93 % at least 131 do with a chance of 99 %."""
    assert coverage(5, common, repeats=150, draws=400) >= stats.binom.ppf(0.01, 150, 0.93) / 150


@pytest.mark.slow
@pytest.mark.parametrize("common", [CALM, COMMON])
def test_the_interval_of_two_arms_of_one_method_holds_zero_as_often_as_it_says(common: float) -> None:
    assert coverage(5, common, repeats=1000, draws=1000) >= 0.93


SHARED = [(CALM, 0.3, CALM), (COMMON, 0.3, CALM), (COMMON, 1.0, COMMON), (COMMON, 0.3, COMMON)]
"""A seed's effect on both arms, what of an arm's answers is its own, and a seed's effect on that arm alone: from runs
that hardly differ to runs that have nothing in common."""


@pytest.mark.parametrize(("common", "own", "own_common"), SHARED)
def test_the_interval_of_paired_arms_of_one_method_holds_zero(common: float, own: float, own_common: float) -> None:
    """Of 150 experiments at 93 % at least 131 do with a chance of 99 %."""
    found = coverage(5, common, repeats=150, draws=400, own=own, own_common=own_common)
    assert found >= stats.binom.ppf(0.01, 150, 0.93) / 150


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize(("common", "own", "own_common"), SHARED)
def test_the_interval_of_paired_arms_holds_zero_as_often_as_it_says(
    common: float, own: float, own_common: float, seeds: int
) -> None:
    """At 93 % of 1,000 experiments no fewer than 911 do with a chance of 99 %."""
    found = coverage(seeds, common, repeats=1000, draws=1000, own=own, own_common=own_common)
    print(f"{seeds} seeds, effects {common} and {own_common}, {own:.0%} of the answers drawn anew: {found:.1%}")
    assert found >= stats.binom.ppf(0.01, 1000, 0.93) / 1000


def test_pairing_takes_away_what_a_seed_does_to_both_arms() -> None:
    """And nothing else: the other standard error is that of arms which have nothing in common."""
    generator = np.random.default_rng(20)
    chances = difficulties(generator, SST)
    one = classes(generator, chances, 5, 2 * COMMON)
    other = like(generator, one, chances, 0.1)
    paired, apart = (difference([one], [other], same_seeds=same) for same in (True, False))
    assert paired.value == apart.value
    assert paired.seeds == apart.seeds == (5, 5)
    assert (paired.standard_error or 1) < 0.4 * (apart.standard_error or 0)
    per_seed = (one.predictions - other.predictions).mean(1)
    parts = [(per_seed.var(ddof=1) / 5, 5)]
    assert paired.freedom == pytest.approx(degrees_of_freedom(paired.standard_error or 0, parts))


def test_arms_whose_seeds_oppose_each_other_are_no_surer_than_they_are() -> None:
    """A seed that helps one arm harms the other: taken for independent, the arms would be too sure of the mean."""
    effects = np.array([0.4, 0.1, 0.2, -0.1, 0.3])[:, None]
    left, right = ([Answers("mean", sign * effects + np.zeros(50), np.zeros(50))] for sign in (1, -1))
    paired, apart = (difference(left, right, same_seeds=same) for same in (True, False))
    t_test = stats.ttest_1samp(2 * effects[:, 0], 0)
    assert paired.p == pytest.approx(t_test.pvalue, rel=0.05)
    assert paired.interval == pytest.approx(t_test.confidence_interval(0.95), rel=0.05)
    assert (apart.standard_error or 0) < 0.75 * (paired.standard_error or 0)


def test_paired_arms_have_as_many_seeds() -> None:
    generator = np.random.default_rng(21)
    with pytest.raises(AssertionError):
        difference([classes(generator, np.full(9, 0.5), 3)], [classes(generator, np.full(9, 0.5), 4)], same_seeds=True)


def seeds_apart(generator: np.random.Generator, seeds: int, apart: float) -> list[Answers]:
    """300 scores a seed about 0, and a seed's effect on all of them."""
    return [
        Answers("mean", apart * generator.normal(size=(seeds, 1)) + generator.normal(size=(seeds, 300)), np.ones(300))
    ]


@pytest.mark.parametrize("apart", [0.05, 5.0])
@pytest.mark.parametrize(("factors", "most"), [([1.0], 0.09), ([1.0, -1.0], 0.05), ([1.0, -1.0, -1.0, 1.0], 0.05)])
def test_with_three_seeds_nothing_is_found_more_often_than_it_should(
    factors: list[float], most: float, apart: float
) -> None:
    """Examples and seeds alike, and seeds alone: there the bootstrap's own p errs in 13 % of experiments, in 19 % with
    one arm. Of 200 at `most` no more are wrong with a chance of 99 %; Satterthwaite's degrees of freedom are a guess,
    which shows where one arm of three seeds is all there is."""
    wrong = 0
    for repeat in range(200):
        generator = np.random.default_rng(repeat)
        found = contrast([(factor, seeds_apart(generator, 3, apart)) for factor in factors], draws=400)
        wrong += (found.p or 1) < 0.05
    assert wrong <= stats.binom.ppf(0.99, 200, most)


@pytest.mark.slow
@pytest.mark.parametrize(("factors", "seeds"), [([1.0], 3), ([1.0, -1.0], 3), ([1.0], 5), ([1.0, -1.0], 5)])
def test_at_the_small_levels_of_a_large_family_errors_stay_within_a_few_times_the_level(
    factors: list[float], seeds: int
) -> None:
    """Where the seeds' effect gives a mean three times the variance that its examples give, which an arm's seeds
    share: Satterthwaite's guess of the degrees of freedom matters most there."""
    ps, n = [], 300
    for repeat in range(2000):
        generator = np.random.default_rng([seeds, len(factors), repeat])
        arms = []
        for factor in factors:
            effects = math.sqrt(3 * seeds / n) * generator.normal(size=(seeds, 1))
            predictions = effects + generator.normal(size=(1, n)) + 0.2 * generator.normal(size=(seeds, n))
            arms.append((factor, [Answers("mean", predictions, np.ones(n))]))
        ps.append(contrast(arms, draws=2000).p or 1)
    single, of_16 = (float(np.mean(np.array(ps) < level)) for level in (0.05, 0.05 / 16))
    print(f"{len(factors)} arms of {seeds} seeds: {single:.3f} at 0.05, {of_16 / (0.05 / 16):.1f} times 0.05 / 16")
    assert single < 0.09
    assert of_16 < 8 * 0.05 / 16


def test_where_seeds_are_all_of_the_variance_it_is_welchs_t_test() -> None:
    left, right = [0.1, 0.5, 0.9, 0.4], [1.2, 1.1, 2.9]
    welch = stats.ttest_ind(left, right, equal_var=False)
    arms = [[Answers("mean", np.tile(np.array([values]).T, 20), np.ones(20))] for values in (left, right)]
    found = difference(*arms)
    assert found.p == pytest.approx(welch.pvalue, rel=0.05)  # the draws' error enters the t
    assert found.interval == pytest.approx(welch.confidence_interval(0.95), rel=0.05)
    assert found.interval_90 == pytest.approx(welch.confidence_interval(0.90), rel=0.05)
    parts = [(np.var(values, ddof=1) / len(values), len(values)) for values in (left, right)]
    assert degrees_of_freedom(math.sqrt(sum(part for part, _ in parts)), parts) == pytest.approx(welch.df)
    assert degrees_of_freedom(1.0, [(0.0, 3)]) == math.inf


def four_tasks(generator: np.random.Generator, seeds: int, noise: float) -> list[Answers]:
    """A small task of every metric, with the same labels whatever the seeds."""
    truth = np.random.default_rng(0).normal(size=30)
    kinds = np.digitize(truth, [-0.5, 0.5])
    guesses = np.where(generator.random((2, seeds, 30)) < noise, generator.integers(0, 3, (2, seeds, 30)), kinds)
    return [
        Answers("accuracy", guesses[0], kinds),
        Answers("macro-f1", guesses[1], kinds),
        scores(generator, truth, seeds, noise),
        scores(generator, np.round(truth), seeds, noise, "spearman"),
    ]


@pytest.mark.parametrize("same_seeds", [False, True])
def test_the_draws_are_those_of_a_literal_multi_bootstrap(same_seeds: bool) -> None:
    generator = np.random.default_rng(1)
    left, right = four_tasks(generator, 3, 0.3), four_tasks(generator, 3 if same_seeds else 4, 0.6)
    drawn = oracles_numeric.multi_bootstrap(left, right, 1500, generator, same_seeds)
    found = difference(left, right, 10_000, same_seeds=same_seeds)
    error = drawn.std(ddof=1)
    assert found.standard_error == pytest.approx(error, rel=0.06)  # a deviation of 1,500 draws errs by 0.018
    freedom = oracles_numeric.satterthwaite(left, right, error, same_seeds)
    for interval, outside in ((found.interval, 0.05), (found.interval_90, 0.10)):
        assert interval is not None
        low, high = np.quantile(drawn, [outside / 2, 1 - outside / 2])
        step = error * stats.t.isf(outside / 2, freedom)
        wider = min(low, found.value - step), max(high, found.value + step)
        assert interval == pytest.approx(wider, abs=0.2 * error)
    of_draws = 2 * min((drawn <= 0).mean(), (drawn >= 0).mean())
    assert found.p == pytest.approx(max(of_draws, 2 * stats.t.sf(abs(found.value) / error, freedom)), abs=0.02)


def test_the_value_is_the_sum_over_tasks_of_means_over_seeds() -> None:
    generator = np.random.default_rng(2)
    arms = four_tasks(generator, 2, 0.3), four_tasks(generator, 3, 0.6)
    means = [
        sum(np.mean([METRICS[task.metric](row, task.labels) or 0 for row in task.predictions]) for task in arm)
        for arm in arms
    ]
    found = difference(*arms)
    assert found.value == pytest.approx(means[0] - means[1], abs=1e-12)
    assert found.seeds == (2, 3)


def test_the_tasks_of_a_sum_have_examples_of_their_own() -> None:
    """Seeds kept as they are, the variances over examples add."""
    generator = np.random.default_rng(3)
    arms = four_tasks(generator, 3, 0.3), four_tasks(generator, 3, 0.6)
    singly = [difference([one], [two], over_seeds=False) for one, two in zip(*arms, strict=True)]
    found = difference(*arms, over_seeds=False)
    assert found.value == pytest.approx(sum(part.value for part in singly))
    assert found.standard_error == pytest.approx(math.hypot(*[part.standard_error or 0 for part in singly]), rel=0.03)


def test_an_undefined_metric_counts_as_zero() -> None:
    generator = np.random.default_rng(4)
    truth = generator.normal(size=50)
    constant = Answers("pearson", np.full((3, 50), 0.1), truth)
    good = scores(generator, truth, 3, 0.5)
    alone = seed_scores([good]).mean()
    found = difference([good], [constant], draws=400)
    assert found.value == pytest.approx(alone)
    assert verdict(found, found.p) == "better"


@pytest.mark.parametrize("seeds", [2, 3])
def test_where_no_run_has_a_score_there_is_no_difference_to_speak_of(seeds: int) -> None:
    truth = np.arange(50.0)
    one, other = (Answers("pearson", np.full((seeds, 50), value), truth) for value in (0.1, 0.2))
    found = difference([one], [other])
    assert found == Difference(None, None, None, None, None, (seeds, seeds), examples=50)
    assert verdict(found, None) == "undefined"


def scipy_bootstrap(left: Answers, right: Answers) -> tuple[Interval, float]:
    """scipy's paired percentile bootstrap of the difference of seed means, over examples alone."""
    S = len(left.predictions)

    def statistic(*columns: Array) -> float:
        *answers, labels = columns
        of_seeds = [METRICS[left.metric](column, labels) or 0.0 for column in answers]
        return float(np.mean(of_seeds[:S]) - np.mean(of_seeds[S:]))

    found = stats.bootstrap(
        (*left.predictions, *right.predictions, left.labels),
        statistic,
        n_resamples=2000,
        paired=True,
        vectorized=False,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    return Interval(*found.confidence_interval), float(found.standard_error)


@pytest.mark.parametrize("metric", ["accuracy", "macro-f1", "pearson", "spearman"])
def test_over_examples_alone_it_is_scipys_paired_bootstrap(metric: str) -> None:
    arms = [
        next(task for task in four_tasks(np.random.default_rng(seed), 3, noise) if task.metric == metric)
        for seed, noise in [(5, 0.4), (6, 0.6)]
    ]
    found = difference([arms[0]], [arms[1]], over_seeds=False)
    interval, error = scipy_bootstrap(*arms)
    assert found.standard_error == pytest.approx(error, rel=0.06)
    assert found.interval == pytest.approx(interval, abs=0.2 * error)


def all_or_nothing(right: Sequence[int], n: int = 20) -> Answers:
    """A seed is right or wrong on all examples, so that drawing examples changes nothing."""
    return Answers("accuracy", np.repeat(np.array(right)[:, None], n, axis=1), np.ones(n, dtype=int))


def test_without_variance_over_examples_the_standard_error_is_welchs() -> None:
    left, right = [1, 1, 1, 0, 0], [1, 0, 1, 0, 0, 1, 0]
    welch = math.sqrt(np.var(left, ddof=1) / 5 + np.var(right, ddof=1) / 7)
    found = difference([all_or_nothing(left)], [all_or_nothing(right)])
    assert found.standard_error == pytest.approx(welch, rel=0.02)  # a deviation of 10,000 draws errs by 0.007
    sharper = difference([all_or_nothing(left)], [all_or_nothing(right)], over_seeds=False)
    assert sharper.standard_error == pytest.approx(0, abs=1e-12)


def test_a_widened_mean_over_picked_seeds_has_the_variance_of_a_mean() -> None:
    values = np.array([0.1, 0.5, 0.2])
    drawn = over_picked_seeds(np.tile(values, (40_000, 1)), np.random.default_rng(0))
    assert drawn.mean() == pytest.approx(values.mean(), abs=0.003)
    assert drawn.var() == pytest.approx(values.var(ddof=1) / 3, rel=0.03)


def test_the_picked_seeds_are_the_same_runs_in_every_task() -> None:
    """Seeds that lose in one task what they win in the other differ in nothing."""
    left = [all_or_nothing([1, 0, 1, 0]), all_or_nothing([0, 1, 0, 1])]
    right = [all_or_nothing([1, 1, 0]), all_or_nothing([0, 0, 1])]
    found = difference(left, right, draws=200)
    assert found.value == pytest.approx(0, abs=1e-12)
    assert found.standard_error == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("seeds", [(1, 1), (2, 5), (5, 2), (1, 3)])
def test_below_three_seeds_an_arm_there_is_a_value_and_nothing_else(seeds: tuple[int, int]) -> None:
    generator = np.random.default_rng(7)
    one, two = (classes(generator, difficulties(generator, 200), count) for count in seeds)
    found = difference([one], [two])
    value = one.predictions.mean() - two.predictions.mean()
    assert found == Difference(pytest.approx(value), None, None, None, None, seeds, examples=200)
    assert found.smallest_visible() is None
    assert verdict(found, None) == "undecided (seeds)"


@pytest.mark.parametrize("over_seeds", [True, False])
def test_a_planted_difference_is_found(over_seeds: bool) -> None:
    generator = np.random.default_rng(8)
    chances = difficulties(generator, SST)
    good = [classes(generator, np.minimum(1, chances + 0.1), 5)]
    plain = [classes(generator, chances, 5)]
    found = difference(good, plain, over_seeds=over_seeds)
    low, high = found.interval or (0, 0)
    assert 0 < low < found.value < high
    assert verdict(found, *holm([found.p])) == "better"


def test_two_arms_of_one_method_are_not_told_apart() -> None:
    """A family of 20, so that Holm keeps false alarms in all of it below 5 %."""
    found = []
    for repeat in range(20):
        generator = np.random.default_rng(repeat)
        chances = difficulties(generator, SST)
        one, two = (classes(generator, chances, 5, COMMON) for _ in range(2))
        found.append(difference([one], [two], draws=2000))
    adjusted = holm([each.p for each in found])
    assert {verdict(each, p) for each, p in zip(found, adjusted, strict=True)} == {"undecided"}


def test_with_many_seeds_and_examples_equal_arms_have_no_difference() -> None:
    generator = np.random.default_rng(9)
    chances = difficulties(generator, 20_000)
    one, two = (classes(generator, chances, 8) for _ in range(2))
    found = difference([one], [two], draws=500)
    assert verdict(found, found.p) == "no difference above 0.01"


@pytest.mark.parametrize("over_seeds", [True, False])
def test_swapped_paired_arms_have_the_same_draws_with_the_other_sign(over_seeds: bool) -> None:
    generator = np.random.default_rng(10)
    one, two = four_tasks(generator, 4, 0.2), four_tasks(generator, 4, 0.7)
    there, back = (difference(*arms, 500, 0, over_seeds, same_seeds=True) for arms in ((one, two), (two, one)))
    assert (back.value, back.p, back.standard_error) == (-there.value, there.p, there.standard_error)
    assert back.interval == tuple(-end for end in reversed(there.interval or ()))


@pytest.mark.parametrize("over_seeds", [True, False])
@pytest.mark.parametrize("noises", [(0.2, 0.7), (0.5, 0.5)])
def test_swapped_arms_have_the_same_draws_with_the_other_sign(over_seeds: bool, noises: tuple[float, float]) -> None:
    generator = np.random.default_rng(10)
    one, two = four_tasks(generator, 3, noises[0]), four_tasks(generator, 5, noises[1])
    there = difference(one, two, draws=500, over_seeds=over_seeds)
    back = difference(two, one, draws=500, over_seeds=over_seeds)
    assert (back.value, back.p, back.standard_error) == (-there.value, there.p, there.standard_error)
    assert back.interval == tuple(-end for end in reversed(there.interval or ()))
    assert back.seeds == (5, 3)
    flipped = {"better": "worse", "undecided": "undecided"}
    assert verdict(back, back.p) == flipped[verdict(there, there.p)]
    assert there == difference(one, two, draws=500, over_seeds=over_seeds)
    assert there != difference(one, two, draws=500, seed=1, over_seeds=over_seeds)


def test_a_contrast_of_four_arms_is_a_difference_of_differences() -> None:
    generator = np.random.default_rng(12)
    of = [[classes(generator, np.full(900, chance), 4)] for chance in (0.8, 0.6, 0.7, 0.6)]
    found = contrast([(1, of[0]), (-1, of[1]), (-1, of[2]), (1, of[3])], draws=2000)
    pairs = difference(of[0], of[1]).value - difference(of[2], of[3]).value
    assert found.value == pytest.approx(pairs)
    assert found.value == pytest.approx(0.1, abs=0.05)
    assert found.seeds.count(4) == 4
    parts = [difference(of[0], of[1], draws=2000).standard_error, difference(of[2], of[3], draws=2000).standard_error]
    assert found.standard_error is not None
    assert found.standard_error**2 == pytest.approx(sum(part**2 for part in parts if part), rel=0.3)


def test_one_arm_alone_is_set_beside_zero() -> None:
    generator = np.random.default_rng(13)
    shares = Answers("mean", (generator.random((3, 400)) < 0.2).astype(float), np.zeros(400))
    found = contrast([(1, [shares])], draws=2000)
    assert found.value == pytest.approx(shares.predictions.mean())
    assert found.interval is not None
    assert found.interval.low < 0.2 < found.interval.high
    assert found.p is not None
    assert found.p < 0.01


def test_the_interval_leaves_zero_out_just_where_p_is_small() -> None:
    generator = np.random.default_rng(11)
    seen = set()
    for repeat in range(40):
        one = classes(generator, np.full(300, 0.5), 3)
        two = classes(generator, np.full(300, 0.5 + 0.003 * repeat), 3)
        found = difference([one], [two], draws=999)
        for interval, level in [(found.interval, 0.05), (found.interval_90, 0.10)]:
            low, high = interval or (0, 0)
            assert (low > 0 or high < 0) == ((found.p or 0) <= level)
            seen.add(low > 0 or high < 0)
    assert seen == {True, False}


def test_p_is_smoothed_and_at_most_one() -> None:
    sure = difference([all_or_nothing([1, 1, 1])], [all_or_nothing([0, 0, 0])], draws=99)
    assert sure.p == pytest.approx(2 / 100)
    same = difference([all_or_nothing([1, 1, 1])], [all_or_nothing([1, 1, 1])], draws=99)
    assert same.p == 1.0


def test_the_smallest_visible_difference_is_found_in_four_experiments_of_five() -> None:
    """Of a normal estimate with this error, at 5 % false alarms."""
    assert Difference(0, None, None, 0.5, 0.01, (5, 5)).smallest_visible() == pytest.approx(0.01 * ALONE)
    assert stats.norm.sf(1.96 - 2.8) == pytest.approx(0.80, abs=0.005)


@pytest.mark.parametrize(("family", "seeds", "apart"), [(1, 3, 5.0), (16, 5, 0.05), (16, 3, 0.05)])
def test_what_is_visible_is_found_in_its_family(family: int, seeds: int, apart: float) -> None:
    """Of 200 experiments with the difference that their like called visible; the share is that of normal estimates."""
    found = []
    for repeat in range(200):
        generator = np.random.default_rng([family, repeat])
        arms = [(factor, seeds_apart(generator, seeds, apart)) for factor in (1.0, -1.0)]
        found.append(contrast(arms, draws=400))
    true = float(np.median([one.smallest_visible(family) or 0 for one in found]))
    t = [(true + (one.value or 0)) / (one.standard_error or 1) for one in found]
    p = [2 * stats.t.sf(abs(value), one.freedom) for value, one in zip(t, found, strict=True)]
    assert 0.7 < np.mean(np.array(p) < 0.05 / family) < 0.92


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (all_or_nothing([1, 0, 1], n=4), all_or_nothing([1, 0, 1], n=5)),
        (Answers("accuracy", np.eye(3), np.ones(3)), Answers("macro-f1", np.eye(3), np.ones(3))),
    ],
    ids=["labels", "metric"],
)
def test_arms_of_different_tasks_are_not_compared(left: Answers, right: Answers) -> None:
    for compare in (lambda: difference([left], [right]), lambda: churn(left, right)):
        with pytest.raises(AssertionError):
            compare()


@pytest.mark.parametrize(
    ("ps", "adjusted"),
    [
        (
            [0.01, 0.04, 0.03, 0.005],
            [0.03, 0.06, 0.06, 0.02],
        ),  # the worked example of Wikipedia's article on the method
        ([0.01, 0.02, 0.03, 0.04, 0.05], [0.05, 0.08, 0.09, 0.09, 0.09]),  # as R's p.adjust
        ([0.3], [0.3]),
        ([], []),
        ([0.6, 0.7], [1.0, 1.0]),
        ([None, 0.02, None, 0.04], [None, 0.08, None, 0.12]),  # a test without a p is one of the family
        ([None], [None]),
    ],
)
def test_holms_adjusted_ps(ps: list[float | None], adjusted: list[float | None]) -> None:
    assert holm(ps) == pytest.approx(adjusted)
    with_p, without = [p for p in ps if p is not None], ps.count(None)
    assert holm(with_p, not_run=without) == pytest.approx([p for p in adjusted if p is not None])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.001, 0.01, 0.02, 0.04, 0.05, 0.3, 0.9, 1.0]), min_size=1, max_size=8))
def test_an_adjusted_p_is_the_smallest_level_at_which_holm_rejects(ps: list[float]) -> None:
    adjusted = holm(ps)
    for level in (0.005, 0.015, 0.05, 0.07, 0.11, 0.35):
        below = [p is not None and p < level - 1e-12 for p in adjusted]
        not_above = [p is not None and p < level + 1e-12 for p in adjusted]
        for i, rejected in enumerate(oracles_numeric.holm_rejects(ps, level)):
            assert below[i] <= rejected <= not_above[i]
    assert all(raw <= (p or 0) <= 1 for raw, p in zip(ps, adjusted, strict=True))
    ordered = [adjusted[i] or 0 for i in sorted(range(len(ps)), key=lambda i: ps[i])]
    assert ordered == sorted(ordered)


@pytest.mark.parametrize(
    ("value", "interval_90", "adjusted_p", "expected"),
    [
        (0.03, (0.01, 0.05), 0.049, "better"),
        (-0.03, (-0.05, -0.01), 0.049, "worse"),
        (0.03, (0.01, 0.05), 0.05, "undecided"),
        (0.004, (0.001, 0.007), 0.01, "better"),
        (0.002, (-0.009, 0.01), 0.6, "no difference above 0.01"),
        (0.002, (-0.009, 0.011), 0.6, "undecided"),
        (-0.002, (-0.011, 0.009), 0.6, "undecided"),
    ],
)
def test_verdicts(value: float, interval_90: tuple[float, float], adjusted_p: float, expected: str) -> None:
    found = Difference(value, None, Interval(*interval_90), 0.01, 0.01, (5, 5), examples=300)
    assert verdict(found, adjusted_p) == expected


def test_where_few_examples_differ_in_nothing_others_still_may() -> None:
    """Of 299 examples without a difference the rule of three leaves 0.01 and more open; of 300 it does not."""
    for n, expected in ((40, "undecided"), (299, "undecided"), (300, "no difference above 0.01")):
        same = [Answers("accuracy", np.ones((3, n)), np.ones(n))]
        small = [Answers("accuracy", np.ones((3, 40)), np.ones(40))]
        found = difference(same, same)
        assert (found.examples, found.interval_90) == (n, (0, 0))
        assert found.smallest_visible() is None, "it is not 0: others may differ"
        assert verdict(found, found.p) == expected
        both = difference(same + small, same + small)
        assert (both.examples, both.is_small, both.is_not_above) == (40, False, False)


def test_an_interval_of_a_difference_stays_on_its_scale() -> None:
    labels, ends = np.zeros(60), Interval(-3.0, 3.0)
    share, turned = Answers("accuracy", np.zeros((3, 60)), labels), Answers("pearson", np.zeros((3, 60)), labels)
    assert on_scale(ends, [(1, [share]), (-1, [share])]) == (-1, 1)
    assert on_scale(ends, [(1, [share])]) == (0, 1)
    assert on_scale(ends, [(-2, [share])]) == (-2, 0)
    assert on_scale(ends, [(1, [turned]), (-1, [share])]) == (-2, 1)
    assert on_scale(Interval(-0.1, 0.1), [(1, [share]), (-1, [share])]) == (-0.1, 0.1)
    assert on_scale(None, [(1, [share])]) is None


@pytest.mark.parametrize("seeds", [2, 5])
def test_of_an_accuracy_seeds_should_deviate_by_the_root_of_d_over_2n(seeds: int) -> None:
    generator = np.random.default_rng(12)
    arm = classes(generator, difficulties(generator, SST), seeds)
    pairs = [(one != other).mean() for i, one in enumerate(arm.predictions) for other in arm.predictions[:i]]
    found = seed_effect([arm])
    assert found.expected == pytest.approx(math.sqrt(np.mean(pairs) / (2 * SST)), rel=0.05)
    assert found.deviation == pytest.approx(arm.predictions.mean(1).std(ddof=1))
    ratio = (found.deviation / found.expected) ** 2
    assert found.p == pytest.approx(stats.chi2.sf((seeds - 1) * ratio, seeds - 1))


def effects(common: float, repeats: int) -> list[SeedEffect]:
    found = []
    for repeat in range(repeats):
        generator = np.random.default_rng([13, repeat])
        arm = classes(generator, difficulties(generator, SST), 5, common)
        found.append(seed_effect([arm], draws=200))
    return found


def test_seeds_without_a_common_effect_rarely_show_one() -> None:
    """At most as often as 5 % of 200 experiments would with a chance of 99 %."""
    found = effects(CALM, 200)
    assert sum(each.is_visible for each in found) <= stats.binom.ppf(0.99, 200, 0.05)
    assert np.mean([each.deviation for each in found]) == pytest.approx(0.007, abs=5e-4)


def test_a_common_effect_of_seeds_mostly_shows() -> None:
    """The ratio of the variances is (0.018 / 0.007)^2; chi-square's tail gives the share of experiments that see it."""
    found = effects(COMMON, 100)
    ratio = 1 + (COMMON / 0.007) ** 2
    power = stats.chi2.sf(stats.chi2.isf(0.05, 4) / ratio, 4)
    assert np.mean([each.is_visible for each in found]) == pytest.approx(power, abs=0.12)
    assert math.sqrt(np.mean([each.deviation**2 for each in found])) == pytest.approx(0.018, abs=2e-3)


def test_the_seed_effect_of_a_sum_takes_its_tasks_together() -> None:
    """The expected variances of independent tasks add; the observed scores are sums."""
    arm = four_tasks(np.random.default_rng(14), 4, 0.5)
    found = seed_effect(arm, draws=4000)
    singly = [seed_effect([task], draws=4000).expected for task in arm]
    assert found.expected == pytest.approx(math.hypot(*singly), rel=0.05)
    of_seeds = [sum(METRICS[task.metric](task.predictions[s], task.labels) or 0 for task in arm) for s in range(4)]
    assert found.deviation == pytest.approx(np.std(of_seeds, ddof=1))


def test_what_a_seed_does_to_both_arms_is_no_effect_on_their_difference() -> None:
    generator = np.random.default_rng(22)
    chances = difficulties(generator, SST)
    one = classes(generator, chances, 5, 3 * COMMON)
    same, own = like(generator, one, chances, 0.05), like(generator, one, chances, 0.05, 3 * COMMON)
    assert seed_effect([one]).is_visible
    assert seed_effect([same]).is_visible
    assert not seed_effect([one], [same]).is_visible
    assert seed_effect([one], [own]).is_visible
    between = one.predictions - same.predictions
    assert seed_effect([one], [same]).deviation == pytest.approx(between.mean(1).std(ddof=1))
    apart = [(a - b).var() / (2 * SST) for i, a in enumerate(between) for b in between[:i]]
    assert seed_effect([one], [same]).expected == pytest.approx(math.sqrt(np.mean(apart)), rel=0.05)


def test_seeds_that_are_alike_or_wholly_unlike() -> None:
    alike, unlike = seed_effect([all_or_nothing([1, 1, 1])]), seed_effect([all_or_nothing([1, 0, 1])])
    assert (alike.deviation, alike.expected, alike.p) == (0.0, 0.0, 1.0)
    assert (unlike.expected, unlike.p, unlike.is_visible) == (0.0, 0.0, True)
    with pytest.raises(AssertionError):
        seed_effect([all_or_nothing([1])])


def test_the_churn_of_classes_counted_one_by_one() -> None:
    generator = np.random.default_rng(15)
    labels = generator.integers(0, 3, 20)
    left, right = (Answers("accuracy", generator.integers(0, 3, (S, 20)), labels) for S in (2, 3))
    triples = [
        (a, b, y)
        for one, two in product(left.predictions, right.predictions)
        for a, b, y in zip(one, two, labels, strict=True)
    ]
    found = churn(left, right)
    assert found.changed == pytest.approx(sum(a != b for a, b, _ in triples) / len(triples))
    assert found.gained == pytest.approx(sum(a == y != b for a, b, y in triples) / len(triples))
    assert found.lost == pytest.approx(sum(b == y != a for a, b, y in triples) / len(triples))
    (a, b), (c, d, e) = left.predictions, right.predictions
    pairs = [(a, b), (c, d), (c, e), (d, e)]
    assert found.reseeded == pytest.approx(np.mean([one != two for one, two in pairs]))
    assert (found.gained or 0) - (found.lost or 0) == pytest.approx(difference([left], [right]).value)


def test_the_churn_of_paired_arms_sets_runs_of_one_seed_beside_each_other() -> None:
    labels = np.array([0, 1, 1, 0])
    left = Answers("accuracy", np.array([[0, 1, 1, 0], [1, 0, 0, 1]]), labels)
    right = Answers("accuracy", np.array([[0, 1, 1, 1], [1, 0, 0, 1]]), labels)
    found = churn(left, right, same_seeds=True)
    assert (found.changed, found.gained, found.lost) == (1 / 8, 1 / 8, 0)
    assert found.reseeded == churn(left, right).reseeded == (1 + 3 / 4) / 2
    assert (found.gained or 0) - (found.lost or 0) == pytest.approx(difference([left], [right]).value)
    assert churn(left, right).changed == pytest.approx((1 / 8 + (1 + 3 / 4) / 2) / 2)


@pytest.mark.parametrize("metric", ["pearson", "spearman"])
def test_the_churn_of_scores_is_their_mean_absolute_difference(metric: str) -> None:
    left = Answers(metric, np.array([[0.0, 1.0, 2.0]]), np.arange(3.0))
    right = Answers(metric, np.array([[0.0, 1.0, 5.0], [3.0, 1.0, 2.0]]), np.arange(3.0))
    found = churn(left, right)
    assert (found.changed, found.gained, found.lost, found.reseeded) == (1.0, None, None, 2.0)


def test_of_single_seeds_nothing_is_known_about_reseeding() -> None:
    found = churn(all_or_nothing([1]), all_or_nothing([0]))
    assert (found.changed, found.gained, found.lost, found.reseeded) == (1.0, 1.0, 0.0, None)


def test_an_interval_of_a_score_stays_on_its_scale() -> None:
    """Three seeds that lie far apart: Student's t alone would go past both ends."""
    labels = np.zeros(60)
    predictions = np.array([np.zeros(60), np.zeros(60), np.ones(60)])
    raw = contrast([(1.0, [Answers("accuracy", predictions, labels)])]).interval
    assert raw is not None
    assert raw.low < 0
    assert raw.high > 1
    assert score_interval([Answers("accuracy", predictions, labels)]) == (0, 1)
    assert (
        score_interval([Answers("mean", predictions, labels)])
        == contrast([(1.0, [Answers("mean", predictions, labels)])]).interval
    )
    ranks = np.arange(60.0)
    turned = Answers("pearson", np.array([ranks, ranks, -ranks]), ranks)
    assert score_interval([turned]) == (-1, 1)
    assert score_interval([turned, Answers("accuracy", predictions, labels)]) == (-1, 2)
    assert score_interval([Answers("accuracy", predictions[:2], labels)]) is None
