"""Answers of several runs -> what a difference between two methods is worth.

Letters: S seeds an arm (the runs of one method), n examples, D draws.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, stdtr, stdtrit  # scipy.stats, which has them too, takes a second to import

from minbert.metrics import CORRELATIONS, Interval
from minbert.resampling import RESAMPLED, resample

Numbers = NDArray[Any]  # class numbers or scores
Array = NDArray[np.float64]
Verdict = Literal["better", "worse", "no difference above 0.01", "undecided", "undecided (seeds)", "undefined"]

SEEDS_NEEDED = 3  # an arm; below, there is no verdict
FOUND = 0.8  # the share of experiments in which a difference that counts as visible is found
MARGIN = 0.01  # a difference below it is none; the verdict's text names it
FEWEST = math.ceil(3 / MARGIN)
"""Examples of a task, below which no difference is shown to be none. Where not one of n examples tells two arms apart,
up to 3/n of others still may (95 %; the rule of three), and draws of these n have no spread that would say so."""
LEVEL = 0.05
SCALES = {
    **dict.fromkeys((*CORRELATIONS, "precision-recall"), (-1.0, 1.0)),
    **dict.fromkeys(("mean", "gap", "part-rest"), (-math.inf, math.inf)),
}
"""What a statistic can be; one that is not here is a share."""
NO_VARIANCE = 1e-24  # of scores: what rounding leaves of nothing


@dataclass(frozen=True, eq=False)
class Answers:
    """What the seeds of one arm answered on one task: predictions [S, n] and labels [n], class numbers or scores.

    An arm is a sequence of them, one a task, whose rows are the same runs in every task.
    """

    metric: str
    predictions: Numbers
    labels: Numbers

    def __post_init__(self) -> None:
        assert self.metric in RESAMPLED
        assert self.predictions.shape[1:] == self.labels.shape
        assert self.predictions.size


@dataclass(frozen=True)
class Difference:
    """What a contrast of arms is worth, such as left minus right: the arms' scores, each times its factor, summed.

    An arm's score is the mean over seeds of the sum over tasks of the metric; an undefined metric counts as 0, and
    where it is undefined in every run there is no value. `interval` holds 95 % and `interval_90` 90 %; `p` is
    two-sided, and `standard_error` the draws' deviation. All four are None where an arm has fewer than `SEEDS_NEEDED`
    of the `seeds`: a bootstrap over the examples of one or two runs errs far more often than it says. `freedom` are the
    degrees of freedom of the standard error, None where it is taken for known; `examples` those of the smallest task.
    """

    value: float | None
    interval: Interval | None
    interval_90: Interval | None
    p: float | None
    standard_error: float | None
    seeds: tuple[int, ...]
    freedom: float | None = None
    examples: int = 0

    @property
    def is_small(self) -> bool:
        """Whether it is shown to be no more than `MARGIN`: two one-sided tests at 5 %, with `FEWEST` examples."""
        return self.is_not_above and self.interval_90 is not None and self.interval_90.low >= -MARGIN

    @property
    def is_not_above(self) -> bool:
        """Whether it is shown to be no more than `MARGIN` above 0."""
        return self.interval_90 is not None and self.interval_90.high <= MARGIN and self.examples >= FEWEST

    def smallest_visible(self, family: int = 1) -> float | None:
        """The smallest true difference that an experiment with this standard error finds four times in five.

        As the only one in a `family` of so many tests, since the smallest p is what Holm multiplies by all of them.
        None as well where no draw differs from another, which says nothing of how far others might.
        """
        if self.standard_error is None or self.standard_error**2 < NO_VARIANCE:
            return None
        return visible_errors(family, math.inf if self.freedom is None else self.freedom) * self.standard_error


def visible_errors(family: int = 1, freedom: float = math.inf) -> float:
    """How many standard errors a true difference must have to be found: 2.8 by a single test with a known error."""
    return exceeded(LEVEL / 2 / family, freedom) + exceeded(1 - FOUND, freedom)


def exceeded(p: float, freedom: float) -> float:
    """The value that Student's t exceeds with a chance of p, and with infinite freedom a normal variable does."""
    return -float(stdtrit(freedom, p))


@dataclass(frozen=True)
class SeedEffect:
    """Whether seeds differ by more than examples that change their answers one by one.

    `deviation` is that of the seeds' summed scores, `expected` what it would be without an effect common to all
    examples, `p` the chance of so large a deviation then.
    """

    deviation: float
    expected: float
    p: float

    @property
    def is_visible(self) -> bool:
        """Whether such an effect shows, so that nothing but the Multi-Bootstrap will do."""
        return self.p < LEVEL


@dataclass(frozen=True)
class Churn:
    """How far single answers differ between two arms: means over pairs of a left and a right run.

    The pairs are those of one seed where both arms have the same seeds, else all. Of classes, `changed` is the share of
    examples with another answer, `gained` of those right in left alone, `lost` in right alone. Of scores, `changed` is
    the mean absolute difference, and `gained` and `lost` are None. `reseeded` is `changed` between two seeds of one
    arm; None where neither arm has two.
    """

    changed: float
    gained: float | None
    lost: float | None
    reseeded: float | None


def difference(
    left: Sequence[Answers],
    right: Sequence[Answers],
    draws: int = 10_000,
    seed: int = 0,
    over_seeds: bool = True,
    same_seeds: bool = False,
) -> Difference:
    """Left minus right: see `contrast`."""
    return contrast([(1, left), (-1, right)], draws, seed, over_seeds, same_seeds)


def contrast(
    arms: Sequence[tuple[float, Sequence[Answers]]],
    draws: int = 10_000,
    seed: int = 0,
    over_seeds: bool = True,
    same_seeds: bool = False,
) -> Difference:
    """A sum of arms, each times its factor, with the Multi-Bootstrap (Sellam et al. 2022): see `Difference`.

    In every draw each task's examples are resampled, the same in all arms, and each arm picks its seeds on its own, the
    same ones for all tasks. With `same_seeds` run s of every arm has the same seed: such runs share initial heads, data
    order and dropout as far as their recipes are alike, so that arms are not independent, and all of them pick the same
    seeds (the paper's paired case). A few seeds picked again cannot lie far apart, and their deviation is itself a
    guess: where it matters the draws are too sure. So interval and p are no sharper than Student's t with the same
    standard error makes them, its degrees of freedom by Satterthwaite (1946): S - 1 of an arm, or of all paired ones
    together, where seeds are all of the variance, and the more, the more of it the examples have.

    `over_seeds=False` keeps all seeds: sharper, and too sure where seeds have an effect common to all examples. Where
    they have none, the whole errs on the other side: up to sqrt(3) times the standard error.
    """
    seeds = tuple(num_seeds(arm) for _, arm in arms)
    assert not same_seeds or len(set(seeds)) == 1
    arms = sorted(arms, key=lambda arm: _bytes(arm[1]))  # in any order the same draws, so that only signs change
    factors, answers = [factor for factor, _ in arms], [arm for _, arm in arms]
    tasks = [_joined(of_task) for of_task in zip(*answers, strict=True)]
    ends = np.cumsum([num_seeds(arm) for arm in answers])[:-1]
    scores = np.split(seed_scores(tasks), ends)
    value = sum(factor * float(of_arm.mean()) for factor, of_arm in zip(factors, scores, strict=True))
    is_defined, examples = _is_defined(tasks), min(len(task.labels) for task in tasks)
    if min(seeds) < SEEDS_NEEDED or not is_defined:
        return Difference(value if is_defined else None, None, None, None, None, seeds, examples=examples)
    streams = np.random.default_rng(seed).spawn(len(tasks) + len(arms))
    drawn = np.split(_drawn_scores(tasks, draws, streams[: len(tasks)]), ends, axis=1)
    if not over_seeds:
        d: Array = np.tensordot(factors, [arm.mean(1) for arm in drawn], 1)  # [arms], [arms, D] -> [D]
        ends_95, ends_90 = percentile_interval(d, 0.05), percentile_interval(d, 0.10)
        return Difference(value, ends_95, ends_90, _p(d), float(d.std(ddof=1)), seeds, examples=examples)
    if same_seeds:  # what each seed makes of the whole contrast, as one arm
        scores, drawn, factors = [np.tensordot(factors, scores, 1)], [np.tensordot(factors, drawn, 1)], [1.0]
    d = np.tensordot(
        factors, [over_picked_seeds(arm, stream) for arm, stream in zip(drawn, streams[len(tasks) :], strict=False)], 1
    )
    error = float(d.std(ddof=1))
    parts = [(factor**2 * of.var(ddof=1) / len(of), len(of)) for factor, of in zip(factors, scores, strict=True)]
    freedom = degrees_of_freedom(error, parts)
    ends_95, ends_90 = (
        wider(percentile_interval(d, outside), value, error * exceeded(outside / 2, freedom))
        for outside in (0.05, 0.10)
    )
    p = max(_p(d), 2 * float(stdtr(freedom, -abs(value) / error))) if error else _p(d)
    return Difference(value, ends_95, ends_90, p, error, seeds, freedom if math.isfinite(freedom) else None, examples)


def score_interval(arm: Sequence[Answers], draws: int = 10_000) -> Interval | None:
    """The 95 % interval of an arm's own score, by `contrast`, no wider than what its metrics can be."""
    return on_scale(contrast([(1.0, arm)], draws).interval, [(1.0, arm)])


def on_scale(interval: Interval | None, arms: Sequence[tuple[float, Sequence[Answers]]]) -> Interval | None:
    """An interval of a contrast of arms, no wider than what its metrics can be."""
    if interval is None:
        return None
    ends = [np.multiply(factor, SCALES.get(task.metric, (0.0, 1.0))) for factor, arm in arms for task in arm]
    low, high = np.sum([np.sort(of_task) for of_task in ends], axis=0)
    return Interval(*(float(np.clip(end, low, high)) for end in interval))


def degrees_of_freedom(error: float, of_seeds: Sequence[tuple[float, int]]) -> float:
    """Satterthwaite's, of a standard error: `of_seeds` are its parts from each arm's S seeds, as variances, with S."""
    uncertain = sum(variance**2 / (S - 1) for variance, S in of_seeds)
    return error**4 / uncertain if uncertain else math.inf


def _bytes(arm: Sequence[Answers]) -> list[bytes]:
    return [task.predictions.tobytes() for task in arm]


def num_seeds(arm: Sequence[Answers]) -> int:
    """S, which all of an arm's tasks share."""
    (S,) = {len(task.predictions) for task in arm}
    return S


def _joined(arms: Sequence[Answers]) -> Answers:
    """One task's answers of all arms' seeds, so that every draw of examples serves them all."""
    first = arms[0]
    assert all(arm.metric == first.metric and np.array_equal(arm.labels, first.labels) for arm in arms)
    return Answers(first.metric, np.concatenate([arm.predictions for arm in arms]), first.labels)


def seed_scores(arm: Sequence[Answers]) -> Array:
    """Each seed's score on all examples, summed over the tasks: [S]; an undefined metric counts as 0."""
    return _summed(_task_scores(arm))


def mean_score(arm: Sequence[Answers]) -> float | None:
    """The mean of `seed_scores`; None where every metric is undefined in every seed."""
    return float(seed_scores(arm).mean()) if _is_defined(arm) else None


def num_undefined(arm: Sequence[Answers]) -> int:
    """Of the arm's seeds those in which some task's metric is undefined."""
    return int(np.any(np.isnan(_task_scores(arm)), axis=0).sum())


def _is_defined(arm: Sequence[Answers]) -> bool:
    return not all(np.isnan(of_task).all() for of_task in _task_scores(arm))


def _task_scores(arm: Sequence[Answers]) -> list[Array]:
    """Each task's metric on all examples: [S], NaN where it is undefined."""
    return [RESAMPLED[task.metric](task.predictions, task.labels, np.ones((1, len(task.labels))))[0] for task in arm]


def _drawn_scores(arm: Sequence[Answers], draws: int, streams: Sequence[np.random.Generator]) -> Array:
    """`seed_scores` in each draw of every task's examples: [D, S]."""
    pairs = zip(arm, streams, strict=True)
    return _summed([resample(task.metric, task.predictions, task.labels, draws, stream) for task, stream in pairs])


def _summed(scores: Sequence[Array]) -> Array:
    total: Array = np.sum([np.nan_to_num(score, nan=0.0) for score in scores], axis=0)
    return total


def over_picked_seeds(scores: Array, generator: np.random.Generator) -> Array:
    """An arm's value in each draw, the mean of S seeds picked with replacement: [D, S] -> [D].

    Of S values a resampled mean deviates by sqrt((S - 1) / S) of what it should; its step from the mean of all seeds
    is widened by as much.
    """
    D, S = scores.shape
    over_all = scores.mean(1)
    picked = np.take_along_axis(scores, generator.integers(0, S, size=(D, S)), axis=1).mean(1)
    widened: Array = over_all + math.sqrt(S / (S - 1)) * (picked - over_all)
    return widened


def percentile_interval(drawn: Array, outside: float) -> Interval:
    """The percentile interval; it leaves 0 out just where p is no larger than `outside`."""
    k = int(outside / 2 * (len(drawn) + 1))
    assert k, "too few draws for such an interval"
    ordered = np.sort(drawn)
    return Interval(float(ordered[k - 1]), float(ordered[-k]))


def wider(interval: Interval, value: float, step: float) -> Interval:
    """The interval, where it does not reach as far as a step to either side of the value does, widened to it."""
    return Interval(min(interval.low, value - step), max(interval.high, value + step))


def _p(drawn: Array) -> float:
    fewer = min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))
    return min(1.0, 2 * (fewer + 1) / (len(drawn) + 1))


def holm(ps: Sequence[float | None], not_run: int = 0) -> list[float | None]:
    """p-values of a family, adjusted for the number of its tests (Holm 1979).

    A test without a p counts: one that is None and stays so, and those that are `not_run`. A family is what was
    written before the runs, and does not shrink by what of it cannot be told.
    """
    known = sorted((p, i) for i, p in enumerate(ps) if p is not None)
    adjusted: list[float | None] = [None] * len(ps)
    largest = 0.0
    for rank, (p, i) in enumerate(known):
        largest = max(largest, min(1.0, (len(ps) + not_run - rank) * p))
        adjusted[i] = largest
    return adjusted


def verdict(found: Difference, adjusted_p: float | None) -> Verdict:
    """What may be said of left beside right, given its p adjusted for the family."""
    if found.value is None:
        return "undefined"
    if adjusted_p is None or found.interval_90 is None:
        return "undecided (seeds)"
    if adjusted_p < LEVEL:
        return "better" if found.value > 0 else "worse"
    return "no difference above 0.01" if found.is_small else "undecided"


def seed_effect(
    arm: Sequence[Answers], less: Sequence[Answers] | None = None, draws: int = 2_000, seed: int = 0
) -> SeedEffect:
    """Whether the seeds of an arm, at least two, have an effect common to all examples.

    With `less`, an arm of the same seeds, on the difference of the two, seed by seed: there what a seed does to both
    arms alike is gone.

    Without one, half of the variance over examples of two seeds' difference is that of a seed's score; for an accuracy
    it is d / 2n, d the share of examples that one seed has right and the other wrong. The ratio of the two variances
    is tested by chi-square with S - 1 degrees of freedom.
    """
    S = num_seeds(arm)
    assert S > 1
    tasks = arm if less is None else [_joined(of_task) for of_task in zip(arm, less, strict=True)]
    drawn, scores = _drawn_scores(tasks, draws, np.random.default_rng(seed).spawn(len(arm))), seed_scores(tasks)
    if less is not None:
        drawn, scores = drawn[:, :S] - drawn[:, S:], scores[:S] - scores[S:]
    expected = float(np.mean([(drawn[:, s] - drawn[:, t]).var() / 2 for s, t in combinations(range(S), 2)]))
    observed = float(scores.var(ddof=1))
    is_known = expected >= NO_VARIANCE
    p = float(chdtrc(S - 1, (S - 1) * observed / expected)) if is_known else float(observed < NO_VARIANCE)
    return SeedEffect(math.sqrt(observed), math.sqrt(expected), p)


def churn(left: Answers, right: Answers, same_seeds: bool = False) -> Churn:
    """How many answers two arms, and two seeds of one arm, do not share.

    With `same_seeds` row s of both has the same seed, and only such runs are set beside each other.
    """
    assert left.metric == right.metric
    assert np.array_equal(left.labels, right.labels)
    are_scores = left.metric in CORRELATIONS
    rows = left.predictions, right.predictions
    between = list(zip(*rows, strict=True) if same_seeds else product(*rows))
    within = [pair for arm in (left, right) for pair in combinations(arm.predictions, 2)]

    def apart(pairs: Sequence[tuple[Numbers, Numbers]]) -> float:
        return float(np.mean([np.abs(one - other) if are_scores else one != other for one, other in pairs]))

    changed, reseeded = apart(between), apart(within) if within else None
    if are_scores:
        return Churn(changed, None, None, reseeded)
    y = left.labels
    gained = float(np.mean([(one == y) & (other != y) for one, other in between]))
    lost = float(np.mean([(one != y) & (other == y) for one, other in between]))
    return Churn(changed, gained, lost, reseeded)
