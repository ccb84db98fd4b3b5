"""Two groups of results and their dev sets -> what differs in scores, answers and parts of dev, and in the runs."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from minbert.comparison import (
    Answers,
    Churn,
    Difference,
    SeedEffect,
    Verdict,
    churn,
    difference,
    holm,
    num_seeds,
    seed_effect,
    seed_scores,
    verdict,
)
from minbert.errors import RunError
from minbert.experiments.devsets import DevSet
from minbert.experiments.results import Result
from minbert.experiments.slices import Slice, slices
from minbert.runs import changes

SUM = "sum"


@dataclass(frozen=True)
class ScoreLine:
    """One score of both groups, the mean over seeds of each, and what their difference is worth.

    `sharper` keeps all seeds and resamples examples alone; it is None where seeds have an effect common to all
    examples, which `seed_effects` tell of each arm, or too few seeds to tell.
    """

    score: str
    metric: str
    left: float
    right: float
    difference: Difference
    adjusted_p: float | None
    verdict: Verdict
    sharper: Difference | None
    seed_effects: tuple[SeedEffect | None, SeedEffect | None]
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
    """Left beside right. `differing` says what else differs between the runs than what was meant to."""

    left: str
    right: str
    scores: list[ScoreLine]
    slices: list[SliceLine]
    differing: list[str]


def compare(
    left: Sequence[Result], right: Sequence[Result], dev: Mapping[str, DevSet], column: str | None = None
) -> Comparison:
    """Every score that both groups have, their sum where they have the same tasks, and every part of dev.

    The scores are one family for Holm's correction, the parts another.
    """
    tasks = [name for name in left[0].answers if name in right[0].answers]
    if not tasks:
        raise RunError(f"{left[0].group} and {right[0].group} have no task in common that was scored on dev")
    one, other = (answers_of(group, dev, tasks) for group in (left, right))
    parts = {name: ([one[name]], [other[name]]) for name in tasks}
    if len(tasks) > 1 and left[0].answers.keys() == right[0].answers.keys():
        parts[SUM] = list(one.values()), list(other.values())
    return Comparison(
        left[0].group,
        right[0].group,
        _score_lines(parts),
        _slice_lines(one, other, {name: slices(dev[name], column) for name in tasks}),
        differing(left, right),
    )


def answers_of(group: Sequence[Result], dev: Mapping[str, DevSet], tasks: Sequence[str]) -> dict[str, Answers]:
    """A group's answers [S, n] to each of the tasks, by the metric that its recipe names."""
    return {
        name: Answers(
            str(group[0].recipe.tasks[name].metric),
            np.stack([result.answers[name] for result in group]),
            dev[name].labels,
        )
        for name in tasks
    }


def _score_lines(parts: Mapping[str, tuple[list[Answers], list[Answers]]]) -> list[ScoreLine]:
    found = {name: difference(*arms) for name, arms in parts.items()}
    adjusted = dict(zip(found, holm([one.p for one in found.values()]), strict=True))
    lines = []
    for name, arms in parts.items():
        effects = _seed_effect(arms[0]), _seed_effect(arms[1])
        is_sharper = found[name].p is not None and not any(effect and effect.is_visible for effect in effects)
        lines.append(
            ScoreLine(
                score=name,
                metric="" if name == SUM else arms[0][0].metric,
                left=float(seed_scores(arms[0]).mean()),
                right=float(seed_scores(arms[1]).mean()),
                difference=found[name],
                adjusted_p=adjusted[name],
                verdict=verdict(found[name], adjusted[name]),
                sharper=difference(*arms, over_seeds=False) if is_sharper else None,
                seed_effects=effects,
                churn=None if name == SUM else churn(arms[0][0], arms[1][0]),
            )
        )
    return lines


def _seed_effect(arm: Sequence[Answers]) -> SeedEffect | None:
    return seed_effect(arm) if num_seeds(arm) > 1 else None


def _slice_lines(
    left: Mapping[str, Answers], right: Mapping[str, Answers], parts: Mapping[str, Sequence[Slice]]
) -> list[SliceLine]:
    places = [(name, part) for name, of_task in parts.items() for part in of_task]
    found = [difference([within(left[name], part)], [within(right[name], part)]) for name, part in places]
    adjusted = holm([one.p for one in found])
    return [
        SliceLine(name, part.kind, part.name, int(part.members.sum()), one, p, verdict(one, p))
        for (name, part), one, p in zip(places, found, adjusted, strict=True)
    ]


def within(answers: Answers, part: Slice) -> Answers:
    """The answers to a part's examples alone."""
    return Answers(answers.metric, answers.predictions[:, part.members], answers.labels[part.members])


def differing(left: Sequence[Result], right: Sequence[Result]) -> list[str]:
    """What else differs between two groups: recipe, batches of each task, updates, seconds, machine, data."""
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
    seconds = [fmean(result.seconds for result in group) for group in (left, right)]
    found.append(f"seconds a run: {seconds[0]:,.0f} and {seconds[1]:,.0f}")
    for key in one.about:
        values = [sorted({str(result.about[key]) for result in group}) for group in (left, right)]
        found += [f"{key}: {', '.join(values[0])} and {', '.join(values[1])}"] if values[0] != values[1] else []
    return found
