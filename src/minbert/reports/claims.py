"""Claims, results and their dev sets -> each sentence supported, contradicted or undecided, and by what.

Letters: n examples.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import fmean
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from minbert.comparison import LEVEL, MARGIN, SEEDS_NEEDED, Answers, contrast, holm, lacks_a_score, seed_scores
from minbert.errors import DataError, near, shown
from minbert.experiments.compare import SUM, answers_of, differing, have_same_seeds
from minbert.experiments.devsets import DevSet
from minbert.experiments.results import Group, Groups, Result
from minbert.experiments.slices import NUMBERS, slices
from minbert.metrics import Interval
from minbert.reports.source import Claim, Requirement

Judgement = Literal["supported", "contradicted", "undecided", "undecided (seeds)", "not run"]


@dataclass(frozen=True)
class Finding:
    """What one requirement came to: the difference with its 95 % interval; of a curve, the range over seeds.

    There is no value where a run is missing, or where what was asked is undefined, as the correlation of one answer to
    everything. `lacking` are the groups that have no run. `differing` is what else differs between a group on the left
    and the one on the right that stands at its place, by the pair's name.
    """

    what: str
    value: float | None
    interval: Interval | None
    judgement: Judgement
    lacking: list[str]
    differing: dict[str, list[str]]


@dataclass(frozen=True)
class Judged:
    """A claim: contradicted where any of its findings is, supported where all are."""

    claim: Claim
    judgement: Judgement
    findings: list[Finding]


@dataclass(frozen=True)
class _Test:
    """One requirement for one score and one pair of sides."""

    need: Requirement
    score: str
    right: list[str]
    is_run: bool = False
    value: float | None = None
    interval: Interval | None = None
    interval_90: Interval | None = None
    p: float | None = None
    of_seeds: tuple[float, ...] = ()


def judge(
    claims: Sequence[Claim], groups: Groups, dev: Mapping[str, DevSet], tasks: Collection[str] = ()
) -> list[Judged]:
    """Judges every claim. All their tests that need a p are one family for Holm's correction, run or not.

    `tasks` are those that a claim may name although no run has them. Raises DataError where a claim asks for another
    task, or for a class or a part of dev that there is not.
    """
    if strange := {test.score for claim in claims for test in _tests(claim)} - {SUM, *dev, *tasks}:
        name = min(strange)
        raise DataError(
            f"a claim asks for '{shown(name)}'{near(name, [*dev, *tasks])}, and no run has a task of that name; "
            "correct the claim"
        )
    tests = [[_measured(test, groups, dev) for test in _tests(claim)] for claim in claims]
    adjusted = iter(holm([test.p for of_claim in tests for test in of_claim if _needs_p(test.need)]))
    judged = []
    for claim, of_claim in zip(claims, tests, strict=True):
        findings = [_finding(test, next(adjusted) if _needs_p(test.need) else None, groups) for test in of_claim]
        judged.append(Judged(claim, _together([finding.judgement for finding in findings]), findings))
    return judged


def _needs_p(need: Requirement) -> bool:
    return need.statistic != "curve" and need.direction != "never" and need.between is None


def _together(judgements: Sequence[Judgement]) -> Judgement:
    for one in JUDGEMENTS[:-1]:
        if one in judgements:
            return one
    return "supported"


JUDGEMENTS: tuple[Judgement, ...] = ("contradicted", "not run", "undecided (seeds)", "undecided", "supported")


def _tests(claim: Claim) -> Iterator[_Test]:
    for need in claim.needs:
        for score in need.scores:
            for right in [[one] for one in need.each_of] or [need.right]:
                yield _Test(need, score, right)


def _measured(test: _Test, groups: Groups, dev: Mapping[str, DevSet]) -> _Test:
    """The test with its difference, where all of its groups have runs that answered the task, or the same ones."""
    need, names = test.need, [*test.need.left, *test.right]
    if any(name not in groups for name in names):
        return test
    answered = [list(groups[name][0].answers) for name in names]
    tasks = answered[0] if test.score == SUM else [test.score]
    if any(set(of_one) != set(tasks) if test.score == SUM else test.score not in of_one for of_one in answered):
        return test
    test = replace(test, is_run=True)
    if need.statistic == "curve":
        changes = [_change(result, test) for result in groups[need.left[0]]]
        of_seeds = tuple(change for change in changes if change is not None)
        if len(of_seeds) < len(changes):
            return test
        return replace(test, value=fmean(of_seeds), interval=Interval(min(of_seeds), max(of_seeds)), of_seeds=of_seeds)
    factors = Counter(need.left)
    factors.subtract(test.right)  # a group named twice is one arm, not two that are independent
    arms = [(float(factor), _answers(need, groups[name], dev, tasks)) for name, factor in factors.items()]
    if need.statistic != "metric" and any(lacks_a_score(arm) for _, arm in arms):
        return test
    found = contrast(arms, same_seeds=have_same_seeds(*(groups[name] for name in factors)))
    of_seeds = tuple(seed_scores(arms[0][1]).tolist())
    return replace(
        test, value=found.value, interval=found.interval, interval_90=found.interval_90, p=found.p, of_seeds=of_seeds
    )


def _change(result: Result, test: _Test) -> float | None:
    """The metric's mean change from one epoch's end to the next, over epochs that trained the task or over the others.

    None where there is no such epoch.
    """
    metric = str(result.recipe.tasks[test.score].metric)
    changes = [
        (after.metrics[test.score][metric] or 0.0) - (before.metrics[test.score][metric] or 0.0)
        for before, after in pairwise(result.epoch_ends)
        if after.epoch == before.epoch + 1 and (result.task_of(after.epoch) in (None, test.score)) == test.need.trained
    ]
    return fmean(changes) if changes else None


def _answers(need: Requirement, group: Group, dev: Mapping[str, DevSet], tasks: Sequence[str]) -> list[Answers]:
    """What the statistic takes of a group: its answers, or what follows from them, one entry a task."""
    return [_statistic(need, answers, dev[name]) for name, answers in answers_of(group, dev, tasks).items()]


def _statistic(need: Requirement, answers: Answers, dev: DevSet) -> Answers:
    if need.statistic in ("cell", "gap", "precision-recall") and (dev.task.is_regression or dev.task.is_multi_label):
        raise DataError(
            f"a claim asks for '{need.statistic}' of task '{dev.name}', a {dev.task.kind} task; correct the claim"
        )
    chosen = np.ones(len(dev), dtype=bool)
    if need.part is not None:
        chosen &= _part(need.part, dev)
    if need.statistic == "gap":
        chosen &= dev.labels == _class(str(need.true), dev)
    predictions, labels = answers.predictions[:, chosen], answers.labels[chosen]
    if need.statistic == "gap":
        return Answers("gap", predictions, NUMBERS[str(need.feature)](dev)[chosen])
    if need.statistic == "cell":
        true, predicted = _class(str(need.true), dev), _class(str(need.predicted), dev)
        return Answers("mean", ((predictions == predicted) & (labels == true)).astype(np.float64), labels)
    return Answers(answers.metric if need.statistic == "metric" else need.statistic, predictions, labels)


def _class(name: str, dev: DevSet) -> int:
    classes = dev.task.class_numbers
    if name not in classes:
        raise DataError(f"task '{dev.name}' has no class '{shown(name)}'{near(name, list(classes))}; correct the claim")
    return classes[name]


def _part(name: str, dev: DevSet) -> NDArray[np.bool_]:
    parts = {part.name: part.members for part in slices(dev)}
    if name not in parts:
        raise DataError(
            f"dev of task '{dev.name}' has no part '{shown(name)}'{near(name, list(parts))}; correct the claim"
        )
    return parts[name]


def _finding(test: _Test, adjusted_p: float | None, groups: Groups) -> Finding:
    sides = " − ".join([" + ".join(test.need.left), *test.right])
    pairs = zip(test.need.left, test.right, strict=False) if test.is_run else []
    return Finding(
        what=f"{test.score}{_looked_at(test.need)}: {sides}",
        value=test.value,
        interval=test.interval,
        judgement=_judgement(test, adjusted_p),
        lacking=[name for name in (*test.need.left, *test.right) if name not in groups],
        differing={f"{one} − {other}": differing(groups[one], groups[other]) for one, other in pairs},
    )


def _looked_at(need: Requirement) -> str:
    """The statistic in words, but for a task's own metric on all of dev."""
    trained = "that train it" if need.trained else "that train another task"
    words = {
        "metric": "",
        "mean": ", mean prediction",
        "cell": f", share of dev with label {need.true} called {need.predicted}",
        "precision-recall": ", precision − recall",
        "gap": f", {need.feature} of rows with label {need.true} called 1 − called 0",
        "curve": f", mean change an epoch in epochs {trained}",
    }
    return words[need.statistic] + (f", {need.part}" if need.part else "")


def _judgement(test: _Test, adjusted_p: float | None) -> Judgement:
    if not test.is_run:
        return "not run"
    if test.value is None:
        return "undecided"
    if test.need.direction == "never":
        enough: Judgement = "supported" if len(test.of_seeds) >= SEEDS_NEEDED else "undecided (seeds)"
        return "contradicted" if any(test.of_seeds) else enough
    if test.need.statistic == "curve":
        return _by_all_seeds(test)
    if test.interval is None:
        return "undecided (seeds)"
    differs = adjusted_p is not None and adjusted_p < LEVEL
    is_so, is_not = OUTCOMES["between" if test.need.between else test.need.direction](test, differs)
    return "supported" if is_so else "contradicted" if is_not else "undecided"


def _by_all_seeds(test: _Test) -> Judgement:
    """Of a curve no answers are kept, so nothing is known of new data: all seeds must agree."""
    if len(test.of_seeds) < SEEDS_NEEDED:
        return "undecided (seeds)"
    holds = [HOLDS[test.need.direction](value) for value in test.of_seeds]
    return "supported" if all(holds) else "contradicted" if not any(holds) else "undecided"


HOLDS: dict[str, Callable[[float], bool]] = {
    "higher": lambda value: value > 0,
    "lower": lambda value: value < 0,
    "equal": lambda value: abs(value) <= MARGIN,
    "not higher": lambda value: value <= MARGIN,
}


def _above(test: _Test, differs: bool) -> tuple[bool, bool]:
    assert test.value is not None
    return differs and test.value > 0, differs and test.value < 0


def _below(test: _Test, differs: bool) -> tuple[bool, bool]:
    above, below = _above(test, differs)
    return below, above


def _equal(test: _Test, differs: bool) -> tuple[bool, bool]:
    assert test.interval_90 is not None
    low, high = test.interval_90
    return low >= -MARGIN and high <= MARGIN, differs and (low > MARGIN or high < -MARGIN)


def _not_above(test: _Test, differs: bool) -> tuple[bool, bool]:
    assert test.interval_90 is not None
    return test.interval_90.high <= MARGIN, differs and test.interval_90.low > MARGIN


def _between(test: _Test, _differs: bool) -> tuple[bool, bool]:
    assert test.interval is not None
    assert test.need.between is not None
    low, high = test.need.between
    return low <= test.interval.low and test.interval.high <= high, test.interval.high < low or high < test.interval.low


OUTCOMES: dict[str, Callable[[_Test, bool], tuple[bool, bool]]] = {  # whether it is shown to be so, or not to be so
    "higher": _above,
    "lower": _below,
    "equal": _equal,
    "not higher": _not_above,
    "between": _between,
}
