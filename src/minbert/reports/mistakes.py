"""A group's results and a task's dev set -> where they err: classes or parts of the range, confusions, worst rows.

Letters: S seeds, n examples, K classes.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from minbert.comparison import Answers, score_interval, seed_scores
from minbert.experiments.compare import answers_of
from minbert.experiments.devsets import DevSet
from minbert.experiments.results import Group
from minbert.experiments.slices import KINDS, SMALLEST
from minbert.labels import as_number
from minbert.metrics import Interval, confusion
from minbert.predictions import Predictions, answer
from minbert.reports.traits import Traits, traits
from minbert.resampling import RESAMPLED

Array = NDArray[np.float64]
MOST = 10  # rows, or confusions, of a list
DRAWS = 2_000  # of an interval alone: its ends then err by about 0.06 standard errors, in a fifth of the time


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its 95 % interval over seeds and examples.

    A seed without a value counts as 0, and without any the value is None. So is the interval of fewer than
    `SEEDS_NEEDED` seeds or `SMALLEST` rows.
    """

    value: float | None
    interval: Interval | None


@dataclass(frozen=True)
class ClassLine:
    """One class: `support` rows have it as label, and `called` (mean over seeds) were given it as answer."""

    name: str
    support: int
    called: float
    precision: Estimate
    recall: Estimate
    f1: Estimate


@dataclass(frozen=True)
class PartLine:
    """Scores of all of dev, or of a fifth of the labels' range; `bias` is the mean answer less the mean label."""

    name: str
    rows: int
    pearson: Estimate
    absolute_error: Estimate
    bias: Estimate


@dataclass(frozen=True)
class Confusion:
    """Rows of class `true` that were called another: the mean count over seeds, and its share of that class's rows."""

    true: str
    called: str
    count: float
    share: float


@dataclass(frozen=True)
class Row:
    """An example: its place among the usable rows of dev, from 1, and what it says."""

    place: int
    id: str
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Call:
    """An answer, and how many seeds gave it."""

    name: str
    seeds: int


@dataclass(frozen=True)
class WrongClass:
    """A row that most seeds get wrong. `calls` are all seeds' answers, the most frequent first.

    `distance` is how far they lie from the label, on average over seeds: of sets, in classes; None where classes are no
    more than two, or have names that are no numbers.
    """

    row: Row
    label: str
    calls: list[Call]
    share_wrong: float
    distance: float | None


@dataclass(frozen=True)
class WrongScore:
    """A row whose mean answer over seeds lies far from its label."""

    row: Row
    label: float
    mean: float
    lowest: float
    highest: float


@dataclass(frozen=True)
class ConfidentError:
    """A wrong answer, and the probability that one seed gave it: of a row the seed that was surest."""

    row: Row
    label: str
    called: str
    probability: float
    seed: int


@dataclass(frozen=True)
class ClassMistakes:
    """Where a group errs on a task with classes.

    `always_wrong` counts the rows that every seed gets wrong. `as_wrong` counts those that are as wrong as the last of
    `most_wrong`, of which the first in the file stand there. `confident` is None where no probabilities are known: they
    are in the runs' folders alone.
    """

    group: str
    task: str
    seeds: int
    rows: int
    classes: list[ClassLine]
    confusions: list[Confusion]
    traits: Traits
    always_wrong: int
    most_wrong: list[WrongClass]
    as_wrong: int
    confident: list[ConfidentError] | None


@dataclass(frozen=True)
class ScoreMistakes:
    """Where a group errs on a task with scores, as the heads gave them: they may leave the range."""

    group: str
    task: str
    seeds: int
    rows: int
    parts: list[PartLine]
    traits: Traits
    most_wrong: list[WrongScore]


def mistakes(
    group: Group, dev: DevSet, predictions: Mapping[int, Predictions] | None = None
) -> ClassMistakes | ScoreMistakes:
    """Where the seeds of a group err on a task. `predictions` hold probabilities: those of some seeds, by seed."""
    answers = answers_of(group, {dev.name: dev}, [dev.name])[dev.name]
    about = group[0].group, dev.name, len(group), len(dev)
    if dev.task.is_regression:
        return ScoreMistakes(
            *about,
            parts=list(_parts(answers, dev)),
            traits=traits(answers, dev),
            most_wrong=_most_wrong_scores(answers, dev),
        )
    most_wrong, as_wrong = _most_wrong_classes(answers, dev)
    return ClassMistakes(
        *about,
        classes=list(_classes(answers, dev)),
        confusions=_confusions(answers, dev),
        traits=traits(answers, dev),
        always_wrong=int((answers.predictions != answers.labels).all(0).sum()),
        most_wrong=most_wrong,
        as_wrong=as_wrong,
        confident=_confident(dev, predictions) if predictions else None,
    )


def _names(dev: DevSet) -> list[str]:
    assert dev.task.labels is not None
    return dev.task.labels


def _classes(answers: Answers, dev: DevSet) -> Iterator[ClassLine]:
    for place, name in enumerate(_names(dev)):
        called = dev.task.is_class(answers.predictions, place).astype(np.float64)  # [S, n]
        true = dev.task.is_class(answers.labels, place).astype(np.float64)
        support, fewest = int(true.sum()), int(called.sum(1).min())
        yield ClassLine(
            name=name,
            support=support,
            called=float(called.sum(1).mean()),
            precision=_estimate("precision", called, true, fewest),
            recall=_estimate("recall", called, true, support),
            f1=_estimate("f1", called, true, support),
        )


def _parts(answers: Answers, dev: DevSet) -> Iterator[PartLine]:
    fifths = {part.name: part.members for part in KINDS["label"](dev)}
    for name, members in ({"all": np.ones(len(dev), dtype=bool)} | fifths).items():
        predictions, labels, rows = answers.predictions[:, members], answers.labels[members], int(members.sum())
        yield PartLine(
            name=name,
            rows=rows,
            pearson=_estimate("pearson", predictions, labels, rows),
            absolute_error=_estimate("mean", np.abs(predictions - labels), labels, rows),
            bias=_estimate("mean", predictions - labels, labels, rows),
        )


def _estimate(statistic: str, predictions: Array, labels: Array, rows: int) -> Estimate:
    """A statistic of predictions [S, n] and labels [n] whose denominator holds so many rows, in every seed."""
    if not len(labels) or np.isnan(RESAMPLED[statistic](predictions, labels, np.ones((1, len(labels))))).all():
        return Estimate(None, None)
    arm = [Answers(statistic, predictions, labels)]
    return Estimate(float(seed_scores(arm).mean()), None if rows < SMALLEST else score_interval(arm, DRAWS))


def _confusions(answers: Answers, dev: DevSet) -> list[Confusion]:
    """The most frequent ones; of equals, by the order of classes. Sets of classes are not taken for one another."""
    if dev.task.is_multi_label:
        return []
    names = _names(dev)
    counts = np.mean([confusion(of_seed, answers.labels, len(names)) for of_seed in answers.predictions], axis=0)
    wrong = [(i, j) for i, j in np.argwhere(counts > 0) if i != j]
    frequent = sorted(wrong, key=lambda cell: -counts[cell])[:MOST]
    return [
        Confusion(names[i], names[j], float(counts[i, j]), float(counts[i, j] / counts[i].sum())) for i, j in frequent
    ]


def _row(dev: DevSet, place: int) -> Row:
    return Row(place + 1, dev.examples.ids[place], tuple(column[place] for column in dev.examples.texts))


def _most_wrong_classes(answers: Answers, dev: DevSet) -> tuple[list[WrongClass], int]:
    """Rows that more than half of the seeds get wrong, by distance where there is one, then by how many seeds.

    And how many rows are as wrong as the last of these.
    """
    share = (answers.predictions != answers.labels).mean(0)  # [S, n] -> [n]
    apart = _distances(answers, dev)
    order = np.lexsort((-share, np.zeros_like(share) if apart is None else -apart))
    calls = [Counter(sorted(of_row.tolist())).most_common() for of_row in answers.predictions.astype(int).T]
    places = [i for i in order.tolist() if share[i] > 0.5][:MOST]
    found = [
        WrongClass(
            row=_row(dev, i),
            label=_said(dev, dev.labels[i]),
            calls=[Call(_said(dev, called), seeds) for called, seeds in calls[i]],
            share_wrong=float(share[i]),
            distance=None if apart is None else float(apart[i]),
        )
        for i in places
    ]
    badness = share if apart is None else np.stack([share, apart])
    return found, int((badness == badness[..., [places[-1]]]).reshape(-1, len(share)).all(0).sum()) if places else 0


def _said(dev: DevSet, value: float) -> str:
    return str(answer(dev.task, value)) or "none"


def _distances(answers: Answers, dev: DevSet) -> Array | None:
    """How far an example's answers lie from its label, mean over seeds [n], where classes are numbers or sets.

    Of sets it is the number of classes that one has and the other has not.
    """
    names = _names(dev)
    if dev.task.is_multi_label:
        different = answers.predictions.astype(np.int64) ^ answers.labels.astype(np.int64)  # [S, n]
        return np.bitwise_count(different).mean(0)  # type: ignore[no-any-return]
    numbers = [number for name in names if (number := as_number(name)) is not None]
    if len(names) < 3 or len(numbers) < len(names):
        return None
    values = np.array(numbers)
    apart: Array = np.abs(values[answers.predictions.astype(int)] - values[answers.labels.astype(int)]).mean(0)
    return apart


def _most_wrong_scores(answers: Answers, dev: DevSet) -> list[WrongScore]:
    means, low, high = answers.predictions.mean(0), answers.predictions.min(0), answers.predictions.max(0)
    order = np.argsort(-np.abs(means - dev.labels), kind="stable")[:MOST].tolist()
    return [
        WrongScore(_row(dev, i), float(dev.labels[i]), float(means[i]), float(low[i]), float(high[i])) for i in order
    ]


def _confident(dev: DevSet, predictions: Mapping[int, Predictions]) -> list[ConfidentError]:
    """The errors with the highest probability, a row once."""
    assert all(of_seed.ids == dev.examples.ids for of_seed in predictions.values())
    if dev.task.is_multi_label:
        return _confident_in_sets(dev, predictions)
    names, seeds = _names(dev), list(predictions)
    called = np.stack([of_seed.values.astype(int) for of_seed in predictions.values()])  # [S, n]
    probabilities = np.stack([of_seed.scores for of_seed in predictions.values()])  # [S, n, K]
    of_wrong = np.take_along_axis(probabilities, called[:, :, None], 2)[:, :, 0] * (called != dev.labels)
    surest, highest = of_wrong.argmax(0), of_wrong.max(0)  # [S, n] -> [n]
    order = np.argsort(-highest, kind="stable")[:MOST].tolist()
    return [
        ConfidentError(
            row=_row(dev, i),
            label=names[int(dev.labels[i])],
            called=names[called[surest[i], i]],
            probability=float(highest[i]),
            seed=seeds[surest[i]],
        )
        for i in order
        if highest[i] > 0
    ]


def _confident_in_sets(dev: DevSet, predictions: Mapping[int, Predictions]) -> list[ConfidentError]:
    """The surest wrong yes or no to a class, a row once."""
    names, seeds = _names(dev), list(predictions)
    probabilities = np.stack([of_seed.scores for of_seed in predictions.values()])  # [S, n, K]
    held = np.stack([dev.task.is_class(dev.labels, place) for place in range(len(names))], axis=1)  # [n, K]
    says_yes = probabilities > 0.5
    surest = np.where(says_yes, probabilities, 1 - probabilities) * (says_yes != held)
    highest = surest.max((0, 2))  # [S, n, K] -> [n]
    found = []
    for i in [i for i in np.argsort(-highest, kind="stable")[:MOST].tolist() if highest[i] > 0]:
        seed, place = np.unravel_index(surest[:, i].argmax(), surest[:, i].shape)
        called = names[place] if says_yes[seed, i, place] else f"not {names[place]}"
        found.append(ConfidentError(_row(dev, i), _said(dev, dev.labels[i]), called, float(highest[i]), seeds[seed]))
    return found
