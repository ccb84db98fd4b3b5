"""Model and encoded examples -> predictions -> metrics, with the trivial baseline beside them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from minbert import metrics
from minbert.comparison import percentile_interval
from minbert.metrics import Interval
from minbert.model import MultitaskModel
from minbert.predictions import Predictions, metric_input
from minbert.resampling import resample
from minbert.tasks import KINDS, Task
from minbert.text import Encoded

DRAWS = 1000  # of the bootstrap
FEWEST_DRAWN = 10  # examples; with fewer, samples of them tell little


@dataclass(frozen=True)
class TaskScore:
    """What one task's predictions are worth.

    `value` is the task's own metric and `baseline` what the best constant answer for this very split gets;
    each is None where undefined. `metrics` holds every metric of the task's kind. `is_constant` says that every
    example was given the same class; `classes` are their names, none for scores and sets. `parts` are the scores of
    each named dev set.
    """

    metric: str
    value: float | None
    interval: Interval | None
    baseline: float | None
    metrics: dict[str, float | None]
    examples: int
    classes: list[str]
    is_constant: bool = False
    parts: dict[str, "TaskScore"] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """Scores and predictions of one split, by task; with the two scores over tasks (metrics.total, .course)."""

    scores: dict[str, TaskScore]
    predictions: dict[str, Predictions]

    @property
    def sum(self) -> float:
        return metrics.total(self._values())

    @property
    def course(self) -> float | None:
        values = self._values()
        return metrics.course(values, {name: s.metric for name, s in self.scores.items()}) if values else None

    def selected(self, select_on: str) -> float | None:
        """The number by which models are chosen: sum, course, or a task's metric; None where it is undefined."""
        chosen = {"sum": self.sum, "course": self.course} | self._values()
        return chosen.get(select_on)

    def _values(self) -> dict[str, float | None]:
        return {name: score.value for name, score in self.scores.items()}


def evaluate(
    model: MultitaskModel, encoded: Mapping[str, Encoded], places: Mapping[str, Mapping[str, slice]] | None = None
) -> Evaluation:
    """Predicts and scores labelled examples, task by task; `places` says where a task's named dev sets stand."""
    predictions = {name: model.predict_encoded(name, examples) for name, examples in encoded.items()}
    scores = {n: score(model.tasks[n], predicted, (places or {}).get(n)) for n, predicted in predictions.items()}
    return Evaluation(scores, predictions)


def score(task: Task, predictions: Predictions, places: Mapping[str, slice] | None = None) -> TaskScore:
    """Every metric of the task's kind, the interval of its own one, and the constant answer's score; of parts too."""
    assert predictions.labels is not None
    given = metric_input(task, predictions)
    values = every_metric(task, given, predictions.labels)
    is_constant = not task.is_regression and len(np.unique(predictions.values)) == 1
    parts = {name: score(task, predictions.part(place)) for name, place in (places or {}).items()}
    found = task_score(task, values, predictions.labels)
    interval = found.interval
    if interval is None and found.value is not None and found.examples >= FEWEST_DRAWN:
        interval = _drawn_interval(found.metric, given, predictions.labels)
    return replace(found, interval=interval, is_constant=is_constant, parts=parts)


def task_score(task: Task, values: dict[str, float | None], labels: metrics.Array) -> TaskScore:
    """A score from metrics that are known already, and the labels [N] that they were taken on."""
    metric = task.metric or KINDS[task.kind].metrics[0]
    constants = [labels.mean()] if task.is_regression else _constants(task, labels)
    baselines = [metrics.METRICS[metric](np.full_like(labels, constant), labels) for constant in constants]
    return TaskScore(
        metric=metric,
        value=values[metric],
        interval=_interval(metric, values[metric], len(labels)),
        baseline=max((value for value in baselines if value is not None), default=None),
        metrics=values,
        examples=len(labels),
        classes=[] if task.is_multi_label else task.labels or [],
    )


def every_metric(task: Task, answers: metrics.Array, labels: metrics.Array) -> dict[str, float | None]:
    """The value of each metric of the task's kind; answers and labels [N] as `metric_input` gives them."""
    return {name: metrics.METRICS[name](answers, labels) for name in KINDS[task.kind].metrics}


def _drawn_interval(metric: str, answers: metrics.Array, labels: metrics.Array) -> Interval:
    """The 95 % percentile interval of a score over bootstrap samples of its examples, where no formula is known."""
    drawn = resample(metric, answers[None], labels, DRAWS, np.random.default_rng(0))[:, 0]
    return percentile_interval(np.nan_to_num(drawn), 0.05)


def _constants(task: Task, labels: metrics.Array) -> list[float]:
    """Answers that may be the best one for all: the most frequent; of sets, those of the most frequent classes too."""
    values, counts = np.unique(labels, return_counts=True)
    found = [float(values[counts.argmax()])]
    if task.is_multi_label:
        places = range(len(task.labels or ()))
        frequent = sorted(places, key=lambda place: -int(task.is_class(labels, place).sum()))
        found += [float(sum(2**place for place in frequent[:size])) for size in range(1, len(frequent) + 1)]
    return found


def _interval(metric: str, value: float | None, n: int) -> Interval | None:
    """The 95 % interval of one model's score on other examples of the same kind; None where no formula is known."""
    if value is None or metric not in ("accuracy", "pearson"):
        return None
    return metrics.proportion_interval(value, n) if metric == "accuracy" else metrics.correlation_interval(value, n)
