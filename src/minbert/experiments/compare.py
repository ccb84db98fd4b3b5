"""Two groups of results and their dev sets -> what differs in scores, answers and parts of dev, and in the runs."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minbert.changes import changes
from minbert.comparison import (
    SEEDS_NEEDED,
    Answers,
    Churn,
    Difference,
    SeedEffect,
    Verdict,
    churn,
    difference,
    holm,
    mean_score,
    num_seeds,
    num_undefined,
    on_scale,
    seed_effect,
    verdict,
)
from minbert.errors import DataError, RunError, near, several, shown
from minbert.experiments.devsets import DevSet
from minbert.experiments.results import ABOUT, Group, Result
from minbert.experiments.slices import SMALLEST, Slice, columns, kind_of, slices
from minbert.metrics import CORRELATIONS
from minbert.tasks import SPLITS

SUM = "sum"
SEEDS_TO_TELL = 5
"""An arm, before that no effect of seeds shows may be taken for none: of effects that make seeds deviate 2.5 times as
far as their single answers do, five seeds miss one in six, three seeds one in three."""


@dataclass(frozen=True)
class ScoreLine:
    """One score of both groups, the mean over seeds of each, and what their difference is worth.

    A mean is None where no seed has the score; where only some have not, of left and right the `undefined`, it counts
    as 0 in those. With `same_seeds` the runs of a seed were paired. `smallest_visible` is the true difference that
    would be found four times in five in this family of tests. `seed_effects` tell whether seeds have an effect common
    to all examples, in each arm, and `paired_effect` in the difference seed by seed, where runs are paired.
    `sharper` keeps all seeds and resamples examples alone; it is None where such an effect shows in what is compared,
    or there are fewer seeds than `SEEDS_TO_TELL`.
    """

    score: str
    metric: str
    left: float | None
    right: float | None
    undefined: tuple[int, int]
    difference: Difference
    adjusted_p: float | None
    verdict: Verdict
    smallest_visible: float | None
    same_seeds: bool
    sharper: Difference | None
    seed_effects: tuple[SeedEffect | None, SeedEffect | None]
    paired_effect: SeedEffect | None
    churn: Churn | None


@dataclass(frozen=True)
class SliceLine:
    """One task's metric on a part of its dev set."""

    task: str
    kind: str
    name: str
    examples: int
    difference: Difference
    adjusted_p: float | None
    verdict: Verdict


@dataclass(frozen=True)
class Comparison:
    """Left beside right. `differing` says how the runs differ, in what was meant to and in what was not."""

    left: str
    right: str
    scores: list[ScoreLine]
    slices: list[SliceLine]
    differing: list[str]


@dataclass(frozen=True)
class _Case:
    """One score to compare: one task's answers on both sides, or those of all tasks for the sum."""

    score: str
    left: list[Answers]
    right: list[Answers]
    same_seeds: bool


def compare(left: Group, right: Group, dev: Mapping[str, DevSet], column: str | None = None) -> Comparison:
    """Every score that both groups have, their sum where they have the same tasks, and every part of dev.

    The scores are one family for Holm's correction, the parts another. Raises RunError where a run is on both sides.
    """
    cases = _cases(left, right, dev)
    of_tasks = {case.score: slices(dev[case.score], column) for case in cases if case.score != SUM}
    if column is not None and not any(part.kind == kind_of(column) for parts in of_tasks.values() for part in parts):
        raise DataError(_unfit(column, [dev[name] for name in of_tasks]))
    (scores,) = _lines([cases])
    parts = _slice_lines([case for case in cases if case.score != SUM], of_tasks)
    return Comparison(left[0].group, right[0].group, scores, parts, differing(left, right))


def _unfit(column: str, dev: Sequence[DevSet]) -> str:
    """Why no part of any dev set goes by a column."""
    known = list(dict.fromkeys(title for of in dev for title in columns(of)))
    if column in known:
        return (
            f"column '{shown(column)}' has no value that {SMALLEST} rows or more have and as many have not; "
            "name another --column"
        )
    listed = ", ".join(f"'{shown(title, 40)}'" for title in known[:20])
    return f"no dev file has a column '{shown(column)}'{near(column, known)}; name one of {listed}"


def compare_scores(
    pairs: Sequence[tuple[Group, Group]], dev: Mapping[str, DevSet], not_run: int = 0
) -> list[list[ScoreLine]]:
    """The scores of each pair of groups; those of all pairs, and so many not run, are one family for Holm."""
    return _lines([_cases(left, right, dev) for left, right in pairs], not_run)


def _lines(cases: Sequence[Sequence[_Case]], not_run: int = 0) -> list[list[ScoreLine]]:
    """Those of each pair of groups."""
    found = [[_difference(case) for case in of_pair] for of_pair in cases]
    ps = [one.p for of_pair in found for one in of_pair]
    adjusted, family = iter(holm(ps, not_run)), len(ps) + not_run
    return [
        [_line(case, one, next(adjusted), family) for case, one in zip(*of_pair, strict=True)]
        for of_pair in zip(cases, found, strict=True)
    ]


def _cases(left: Group, right: Group, dev: Mapping[str, DevSet]) -> list[_Case]:
    """One for each task that both groups have, and one for the sum of several where that means the same in both."""
    runs = [{_identity(result): result.name for result in group} for group in (left, right)]
    if both := sorted(runs[0][one] for one in runs[0].keys() & runs[1].keys()):
        raise RunError(f"{several(both)} would stand on both sides; name other runs on one")
    tasks = [name for name in left[0].answers if name in right[0].answers]
    if not tasks:
        raise RunError(f"{left[0].group} and {right[0].group} have no task in common that was scored on dev")
    (left, right), same_seeds = paired([left, right])
    one, other = answers_of(left, dev, tasks), answers_of(right, dev, tasks)
    cases = [_Case(name, [one[name]], [other[name]], same_seeds) for name in tasks]
    if len(tasks) > 1 and left[0].answers.keys() == right[0].answers.keys():
        cases.append(_Case(SUM, list(one.values()), list(other.values()), same_seeds))
    return cases


def _identity(result: Result) -> tuple[object, ...]:
    """What two results have in common only where they are of one run; its answers where it has no folder."""
    if result.folder is not None:
        return (result.folder.resolve(),)
    return (result.name, *(answers.tobytes() for answers in result.answers.values()))


def paired(groups: Sequence[Group]) -> tuple[list[Group], bool]:
    """The groups as they are to be set beside each other, and whether run s of each has the same seed.

    Such runs share initial heads, order of the data and dropout as far as their recipes are alike. So where all groups
    have `SEEDS_NEEDED` seeds in common, or none has others, those are compared and others left out.
    """
    of_groups = [{result.seed: result for result in group} for group in groups]
    common = sorted(set.intersection(*(set(of_group) for of_group in of_groups)))
    if len(common) >= SEEDS_NEEDED or all(len(of_group) == len(common) for of_group in of_groups):
        return [[of_group[seed] for seed in common] for of_group in of_groups], True
    return list(groups), False


def answers_of(group: Group, dev: Mapping[str, DevSet], tasks: Sequence[str]) -> dict[str, Answers]:
    """A group's answers [S, n] to each of the tasks, by the metric that its recipe names."""
    return {
        name: Answers(
            str(group[0].recipe.tasks[name].metric),
            np.stack([result.answers[name] for result in group]),
            dev[name].labels,
        )
        for name in tasks
    }


def _difference(case: _Case) -> Difference:
    found = difference(case.left, case.right, same_seeds=case.same_seeds)
    return replace(found, interval=on_scale(found.interval, [(1, case.left), (-1, case.right)]))


def _line(case: _Case, found: Difference, adjusted_p: float | None, family: int) -> ScoreLine:
    left, right = case.left, case.right
    effects = _seed_effect(left), _seed_effect(right)
    paired_effect = seed_effect(left, right) if case.same_seeds and num_seeds(left) > 1 else None
    may_matter = [paired_effect] if case.same_seeds else effects
    is_sharper = found.p is not None and min(found.seeds) >= SEEDS_TO_TELL
    is_sharper &= not any(effect and effect.is_visible for effect in may_matter)
    sharper = difference(left, right, over_seeds=False, same_seeds=case.same_seeds) if is_sharper else None
    return ScoreLine(
        score=case.score,
        metric="" if case.score == SUM else left[0].metric,
        left=mean_score(left),
        right=mean_score(right),
        undefined=(num_undefined(left), num_undefined(right)),
        difference=found,
        adjusted_p=adjusted_p,
        verdict=verdict(found, adjusted_p),
        smallest_visible=found.smallest_visible(family),
        same_seeds=case.same_seeds,
        sharper=sharper,
        seed_effects=effects,
        paired_effect=paired_effect,
        churn=None if case.score == SUM else churn(left[0], right[0], case.same_seeds),
    )


def _seed_effect(arm: Sequence[Answers]) -> SeedEffect | None:
    return seed_effect(arm) if num_seeds(arm) > 1 else None


def _slice_lines(cases: Sequence[_Case], parts: Mapping[str, Sequence[Slice]]) -> list[SliceLine]:
    places = [
        (case, part)
        for case in cases
        for part in parts[case.score]
        if not (case.left[0].metric in CORRELATIONS and is_constant(case.left[0].labels[part.members]))
    ]
    found = [
        _difference(replace(case, left=[within(case.left[0], part)], right=[within(case.right[0], part)]))
        for case, part in places
    ]
    adjusted = holm([one.p for one in found])
    return [
        SliceLine(case.score, part.kind, part.name, int(part.members.sum()), one, p, verdict(one, p))
        for (case, part), one, p in zip(places, found, adjusted, strict=True)
    ]


def is_constant(labels: NDArray[Any]) -> bool:
    """Whether all labels are one value, with which nothing correlates."""
    return bool((labels == labels[0]).all())


def within(answers: Answers, part: Slice) -> Answers:
    """The answers to a part's examples alone."""
    return Answers(answers.metric, answers.predictions[:, part.members], answers.labels[part.members])


def differing(left: Group, right: Group) -> list[str]:
    """How two groups differ: recipe, data, machine, mean seconds; and, of their first seeds, batches and updates."""
    one, other = left[0], right[0]
    found = [
        f"{change.key}: {change.before} and {change.now}"
        for change in changes(one.recipe, other.recipe)
        if change.key not in ("name", "seed")
    ]
    for name in dict.fromkeys(itertools.chain(one.batches, other.batches)):
        counts = [result.batches.get(name, 0) for result in (one, other)]
        found += [f"batches of {name}: {counts[0]:,} and {counts[1]:,}"] if len(set(counts)) > 1 else []
    if one.updates != other.updates:
        found.append(f"updates: {one.updates:,} and {other.updates:,}")
    seconds = [float(f"{fmean(result.seconds for result in group):.2g}") for group in (left, right)]  # no more is known
    found.append("seconds a run: " + " and ".join(f"{one:,.0f}" if one >= 10 else f"{one:g}" for one in seconds))
    for name in dict.fromkeys(itertools.chain(one.data, other.data)):
        splits = [split for split in SPLITS if len({str(r.data.get(name, {}).get(split)) for r in (*left, *right)}) > 1]
        found += [f"rows of {name}: other files for {' and '.join(splits)}"] if splits else []
    for key in ABOUT:
        values = [sorted({str(result.about.get(key)) for result in group}) for group in (left, right)]
        found += [f"{key}: {', '.join(values[0])} and {', '.join(values[1])}"] if values[0] != values[1] else []
    return found
