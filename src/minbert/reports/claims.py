"""Claims, results and their dev sets -> each sentence supported, contradicted or undecided, and by what.

Letters: n examples.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import fmean
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from minbert.comparison import LEVEL, MARGIN, SEEDS_NEEDED, Answers, contrast, holm, seed_scores
from minbert.errors import DataError, near
from minbert.experiments.compare import SUM, answers_of, differing
from minbert.experiments.devsets import DevSet
from minbert.experiments.results import Result
from minbert.experiments.slices import NUMBERS, slices
from minbert.metrics import Interval
from minbert.reports.source import Claim, Requirement

Groups = Mapping[str, Sequence[Result]]
Judgement = Literal["supported", "contradicted", "undecided", "undecided (seeds)", "not run"]


@dataclass(frozen=True)
class Finding:
    """What one requirement came to: the difference with its 95 % interval; of a curve, the range over seeds."""

    what: str
    value: float | None
    interval: Interval | None
    judgement: Judgement
    differing: list[str]


@dataclass(frozen=True)
class Judged:
    """A claim: contradicted where any of its findings is, supported where all are."""

    claim: Claim
    judgement: Judgement
    findings: list[Finding]


@dataclass(frozen=True)
class _Test:
    """One requirement for one score and one pair of sides. `p` is None where the judgement needs none."""

    need: Requirement
    score: str
    right: list[str]
    value: float | None = None
    interval: Interval | None = None
    interval_90: Interval | None = None
    p: float | None = None
    of_seeds: tuple[float, ...] = ()


def judge(claims: Sequence[Claim], groups: Groups, dev: Mapping[str, DevSet]) -> list[Judged]:
    """Judges every claim; all their tests are one family for Holm's correction, whether they could be run or not."""
    tests = [[_measured(test, groups, dev) for test in _tests(claim)] for claim in claims]
    adjusted = iter(holm([test.p for of_claim in tests for test in of_claim]))
    judged = []
    for claim, of_claim in zip(claims, tests, strict=True):
        findings = [_finding(test, next(adjusted), groups) for test in of_claim]
        judged.append(Judged(claim, _together([finding.judgement for finding in findings]), findings))
    return judged


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
    """The test with its difference, where all of its groups have runs."""
    need, names = test.need, [*test.need.left, *test.right]
    if any(name not in groups for name in names):
        return test
    if need.statistic == "curve":
        of_seeds = tuple(_change(result, test) for result in groups[need.left[0]])
        return replace(test, value=fmean(of_seeds), interval=Interval(min(of_seeds), max(of_seeds)), of_seeds=of_seeds)
    arms = [(1.0, _answers(test, groups[name], dev)) for name in need.left]
    arms += [(-1.0, _answers(test, groups[name], dev)) for name in test.right]
    of_seeds = tuple(seed_scores(arms[0][1]).tolist())
    found = contrast(arms)
    return replace(
        test, value=found.value, interval=found.interval, interval_90=found.interval_90, p=found.p, of_seeds=of_seeds
    )


def _change(result: Result, test: _Test) -> float:
    """The metric's mean change an epoch, over the epochs that trained the task or over the others."""
    order, metric = result.recipe.schedule.order or [], str(result.recipe.tasks[test.score].metric)
    is_turns = result.recipe.schedule.kind == "round-robin"
    values = [point.metrics[test.score][metric] or 0.0 for point in result.curve]
    changes = [after - before for before, after in pairwise(values)]
    trains = [not is_turns or order[epoch % len(order)] == test.score for epoch in range(len(changes))]
    return fmean(change for change, trained in zip(changes, trains, strict=True) if trained == test.need.trained)


def _answers(test: _Test, group: Sequence[Result], dev: Mapping[str, DevSet]) -> list[Answers]:
    """What the statistic takes of a group: its answers, or what follows from them, one entry a task."""
    tasks = list(group[0].answers) if test.score == SUM else [test.score]
    answers = answers_of(group, dev, tasks)
    return [_statistic(test.need, answers[name], dev[name]) for name in tasks]


def _statistic(need: Requirement, answers: Answers, dev: DevSet) -> Answers:
    chosen = np.ones(len(dev), dtype=bool)
    if need.part is not None:
        chosen &= _part(need.part, dev)
    if need.statistic == "gap":
        chosen &= dev.labels == dev.task.class_numbers[str(need.true)]
    predictions, labels = answers.predictions[:, chosen], answers.labels[chosen]
    if need.statistic == "gap":
        return Answers("gap", predictions, NUMBERS[str(need.feature)](dev)[chosen])
    if need.statistic == "cell":
        true, predicted = (dev.task.class_numbers[str(name)] for name in (need.true, need.predicted))
        return Answers("mean", ((predictions == predicted) & (labels == true)).astype(np.float64), labels)
    return Answers(answers.metric if need.statistic == "metric" else need.statistic, predictions, labels)


def _part(name: str, dev: DevSet) -> NDArray[np.bool_]:
    parts = {part.name: part.members for part in slices(dev)}
    if name not in parts:
        raise DataError(f"dev of task '{dev.name}' has no part '{name}'{near(name, list(parts))}; correct the claim")
    return parts[name]


def _finding(test: _Test, adjusted_p: float | None, groups: Groups) -> Finding:
    left, right = " + ".join(test.need.left), " + ".join(test.right)
    what = f"{test.score}: {left}" + (f" − {right}" if right else "")
    is_run = test.value is not None
    confounds = differing(groups[test.need.left[0]], groups[test.right[0]]) if is_run and test.right else []
    return Finding(what, test.value, test.interval, _judgement(test, adjusted_p), confounds)


def _judgement(test: _Test, adjusted_p: float | None) -> Judgement:
    if test.value is None:
        return "not run"
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
