"""Claims, results and their dev sets -> each sentence supported, contradicted or undecided, and by what.

Letters: n examples.
"""

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import fmean
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from minbert.comparison import (
    LEVEL,
    MARGIN,
    SEEDS_NEEDED,
    Answers,
    Difference,
    contrast,
    holm,
    num_undefined,
    on_scale,
    seed_scores,
)
from minbert.errors import DataError, counted, near, shown
from minbert.experiments.compare import SUM, answers_of, differing, paired
from minbert.experiments.devsets import DevSet
from minbert.experiments.results import Group, Groups, Result
from minbert.experiments.slices import NUMBERS, slices
from minbert.metrics import Interval
from minbert.reports.source import Claim, Requirement

Judgement = Literal["supported", "contradicted", "undecided", "undecided (seeds)", "not run"]


@dataclass(frozen=True)
class Finding:
    """What one requirement came to: the difference with its 95 % interval; of a curve, the range over several seeds.

    `is_small` where it stays undecided, and a score's difference is shown to be no more than 0.01.

    There is no value where a run is missing, or where what was asked is undefined, as the correlation of one answer to
    everything. `adjusted_p` is Holm's over all tests, and `smallest_visible` the true difference that is found four
    times in five among them; both are None where no test is made. `seeds` are those of each group, the runs of a seed
    paired with `same_seeds`. `lacking` are the groups that have no run. `differing` is what else differs between a
    group on the left and the one on the right that stands at its place, by the pair's name.
    """

    what: str
    value: float | None
    interval: Interval | None
    is_of_curve: bool
    is_small: bool
    adjusted_p: float | None
    smallest_visible: float | None
    seeds: tuple[int, ...]
    same_seeds: bool
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
    """One requirement for one score and one pair of sides, with what was found where it is run."""

    need: Requirement
    score: str
    right: list[str]
    found: Difference | None = None
    same_seeds: bool = False
    of_seeds: tuple[float, ...] = ()

    @property
    def factors(self) -> dict[str, int]:
        """How often each group is added: one that is named twice is one arm, not two that are independent."""
        factors = Counter(self.need.left)
        factors.subtract(self.right)
        return dict(factors)

    @property
    def hypothesis(self) -> tuple[object, ...]:
        """What the p is of: the same for a difference that is asked for twice, in any direction, or turned about."""
        ordered, need = sorted(self.factors.items()), self.need
        unit = math.gcd(*self.factors.values()) * (1 if ordered[0][1] > 0 else -1)
        looked_at = (need.statistic, need.true, need.predicted, need.feature, need.part)
        return (self.score, *looked_at, *((name, factor // unit) for name, factor in ordered))


def judge(
    claims: Sequence[Claim], groups: Groups, dev: Mapping[str, DevSet], tasks: Collection[str] = ()
) -> list[Judged]:
    """Judges every claim. All their tests that need a p are one family for Holm's correction, run or not.

    A difference that several of them ask for is one test.

    `tasks` are those that a claim may name although no run has them. Raises DataError where a claim asks for another
    task, or for a class or a part of dev that there is not.
    """
    tests = [_measured_all(claim, groups, dev, {SUM, *dev, *tasks}) for claim in claims]
    ps = {t.hypothesis: t.found.p if t.found else None for of_one in tests for t in of_one if _needs_p(t.need)}
    adjusted = dict(zip(ps, holm(list(ps.values())), strict=True))
    judged = []
    for claim, of_claim in zip(claims, tests, strict=True):
        findings = [_finding(test, adjusted, groups, dev) for test in of_claim]
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


def _measured_all(claim: Claim, groups: Groups, dev: Mapping[str, DevSet], scores: Collection[str]) -> list[_Test]:
    """A claim's tests with what was found. Raises DataError, naming the claim."""
    try:
        tests = list(_tests(claim))
        if strange := {test.score for test in tests} - {*scores}:
            name = min(strange)
            known = near(name, [score for score in scores if score != SUM])
            raise DataError(f"asks for '{shown(name)}'{known}, and no run has a task of that name; correct the claim")
        return [_measured(test, groups, dev) for test in tests]
    except DataError as error:
        raise DataError(f"claim '{shown(claim.name)}': {error}") from None


def _measured(test: _Test, groups: Groups, dev: Mapping[str, DevSet]) -> _Test:
    """The test with its difference, where all of its groups have runs that answered the task, or the same ones."""
    need, names = test.need, [*test.need.left, *test.right]
    if any(name not in groups for name in names):
        return test
    answered = [list(groups[name][0].answers) for name in names]
    tasks = answered[0] if test.score == SUM else [test.score]
    if any(set(of_one) != set(tasks) if test.score == SUM else test.score not in of_one for of_one in answered):
        return test
    of_groups, same_seeds = paired([groups[name] for name in test.factors])
    undefined = Difference(None, None, None, None, None, tuple(map(len, of_groups)))
    if need.statistic == "curve":
        if not need.trained and of_groups[0][0].recipe.schedule.kind == "simultaneous":
            name = of_groups[0][0].group
            raise DataError(f"every epoch of {name} trains every task, so that there is no other; correct the claim")
        changes = [_change(result, test) for result in of_groups[0]]
        of_seeds = tuple(change for change in changes if change is not None)
        if len(of_seeds) < len(changes):
            return replace(test, found=undefined)
        ends = Interval(min(of_seeds), max(of_seeds)) if len(of_seeds) > 1 else None
        return replace(test, found=replace(undefined, value=fmean(of_seeds), interval=ends), of_seeds=of_seeds)
    arms = [
        (float(factor), _answers(need, group, dev, tasks))
        for factor, group in zip(test.factors.values(), of_groups, strict=True)
    ]
    if need.statistic != "metric" and any(num_undefined(arm) for _, arm in arms):
        return replace(test, found=undefined)
    found = contrast(arms, same_seeds=same_seeds)
    happens_never = need.direction == "never" and not found.value  # so that no draw can tell how rare it is
    found = replace(found, interval=None if happens_never else on_scale(found.interval, arms))
    return replace(test, found=found, same_seeds=same_seeds, of_seeds=tuple(seed_scores(arms[0][1]).tolist()))


def _change(result: Result, test: _Test) -> float | None:
    """The metric's mean change from one epoch's end to the next, over epochs that trained the task or over the others.

    From the end of the first epoch that trained it on: what goes before is a head that has learned nothing. None where
    there is no such epoch, or evaluations did not fall on the ends of epochs.
    """
    if result.recipe.training.evaluate_every is not None:
        return None
    metric = str(result.recipe.tasks[test.score].metric)
    trains = {end.epoch: result.task_of(end.epoch) in (None, test.score) for end in result.epoch_ends}
    first = min((epoch for epoch, does in trains.items() if epoch and does), default=math.inf)
    changes = [
        (after.metrics[test.score][metric] or 0.0) - (before.metrics[test.score][metric] or 0.0)
        for before, after in pairwise(result.epoch_ends)
        if before.epoch >= first and after.epoch == before.epoch + 1 and trains[after.epoch] == test.need.trained
    ]
    return fmean(changes) if changes else None


def _answers(need: Requirement, group: Group, dev: Mapping[str, DevSet], tasks: Sequence[str]) -> list[Answers]:
    """What the statistic takes of a group: its answers, or what follows from them, one entry a task."""
    return [_statistic(need, answers, dev[name]) for name, answers in answers_of(group, dev, tasks).items()]


def _statistic(need: Requirement, answers: Answers, dev: DevSet) -> Answers:
    if (why := _unfit(need, dev)) is not None:
        raise DataError(f"asks for '{need.statistic}' of task '{dev.name}', {why}; correct the claim")
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


def _unfit(need: Requirement, dev: DevSet) -> str | None:
    """Why a task has no such statistic, or None."""
    if need.statistic not in ("cell", "gap", "precision-recall"):
        return None
    if dev.task.is_regression or dev.task.is_multi_label:
        return f"a {dev.task.kind} task"
    if need.statistic != "cell" and len(dev.task.class_numbers) != 2:
        return f"which has {len(dev.task.class_numbers)} classes, not two"
    if need.statistic == "gap" and not dev.task.is_pair:
        return f"whose examples are single texts, so that they have no {need.feature}"
    return None


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


def _finding(
    test: _Test, adjusted: Mapping[tuple[object, ...], float | None], groups: Groups, dev: Mapping[str, DevSet]
) -> Finding:
    """`adjusted` are the family's p-values by hypothesis."""
    adjusted_p, found = (adjusted[test.hypothesis] if _needs_p(test.need) else None), test.found
    judgement = _judgement(test, adjusted_p)
    stays_open = judgement == "undecided" and test.need.statistic == "metric"
    sides = " − ".join([" + ".join(test.need.left), *test.right])
    pairs = zip(test.need.left, test.right, strict=False) if found else []
    return Finding(
        what=f"{test.score}{_looked_at(test.need, dev.get(test.score))}: {sides}{_happened(test)}",
        value=found.value if found else None,
        interval=found.interval if found else None,
        is_of_curve=test.need.statistic == "curve",
        is_small=stays_open and found is not None and found.is_small,
        adjusted_p=adjusted_p,
        smallest_visible=found.smallest_visible(len(adjusted)) if found and _needs_p(test.need) else None,
        seeds=found.seeds if found else (),
        same_seeds=test.same_seeds,
        judgement=judgement,
        lacking=[name for name in (*test.need.left, *test.right) if name not in groups],
        differing={f"{one} − {other}": differing(groups[one], groups[other]) for one, other in pairs},
    )


def _happened(test: _Test) -> str:
    """Of a confusion that must never happen in how many rows it did."""
    if test.need.direction != "never" or test.need.statistic != "cell" or test.found is None or not test.of_seeds:
        return ""
    rows = round(max(test.of_seeds) * test.found.examples)
    return f", {counted(rows, 'row')}{' at most' * (len(test.of_seeds) > 1)} a seed" if rows else ", no row"


def _looked_at(need: Requirement, dev: DevSet | None) -> str:
    """The statistic in words, but for a task's own metric on all of dev."""
    trained = "that train it" if need.trained else "that train another task"
    classes = list(dev.task.class_numbers) if dev else []
    no, yes = classes if len(classes) == 2 else ("0", "1")
    words = {
        "metric": "",
        "mean": ", mean prediction",
        "cell": f", share of dev with label {need.true} called {need.predicted}",
        "precision-recall": f", precision − recall of {yes}",
        "gap": f", {need.feature} of rows with label {need.true} called {yes} − called {no}",
        "curve": f", mean change an epoch in epochs {trained}",
    }
    return words[need.statistic] + (f", {need.part}" if need.part else "")


def _judgement(test: _Test, adjusted_p: float | None) -> Judgement:
    found = test.found
    if found is None:
        return "not run"
    if found.value is None:
        return "undecided"
    if test.need.direction == "never":
        enough: Judgement = "supported" if len(test.of_seeds) >= SEEDS_NEEDED else "undecided (seeds)"
        return "contradicted" if any(test.of_seeds) else enough
    if test.need.statistic == "curve":
        return _by_all_seeds(test)
    if found.interval is None or found.interval_90 is None:
        return "undecided (seeds)"
    if test.need.between is not None:
        is_so, is_not = _between(found.interval, *test.need.between)
    else:
        differs = adjusted_p is not None and adjusted_p < LEVEL
        is_so, is_not = OUTCOMES[test.need.direction](found, differs)
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


def _above(found: Difference, differs: bool) -> tuple[bool, bool]:
    assert found.value is not None
    return differs and found.value > 0, differs and found.value < 0


def _below(found: Difference, differs: bool) -> tuple[bool, bool]:
    above, below = _above(found, differs)
    return below, above


def _equal(found: Difference, differs: bool) -> tuple[bool, bool]:
    assert found.interval_90 is not None
    low, high = found.interval_90
    return found.is_small, differs and (low > MARGIN or high < -MARGIN)


def _not_above(found: Difference, differs: bool) -> tuple[bool, bool]:
    assert found.interval_90 is not None
    return found.is_not_above, differs and found.interval_90.low > MARGIN


OUTCOMES: dict[str, Callable[[Difference, bool], tuple[bool, bool]]] = {
    "higher": _above,
    "lower": _below,
    "equal": _equal,
    "not higher": _not_above,
}
"""Whether it is shown to be so, or not to be so, from the difference, and whether it differs from 0."""


def _between(interval: Interval, low: float, high: float) -> tuple[bool, bool]:
    return low <= interval.low and interval.high <= high, interval.high < low or high < interval.low
