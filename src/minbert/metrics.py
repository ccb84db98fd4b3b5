"""Predictions and labels -> accuracy, F1, correlations, a confusion matrix, and a score's own interval.

An undefined metric is None, never NaN. Letters in shapes: N examples, K classes.
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Z = 1.959964  # 95 % of a normal distribution lie within so many deviations


class Interval(NamedTuple):
    """The two ends of an interval, of 95 % where nothing else is said."""

    low: float
    high: float


def accuracy(predictions: Array, labels: Array) -> float | None:
    """The share of equal entries of [N] and [N]; None for no examples."""
    return float((predictions == labels).mean()) if len(labels) else None


def macro_f1(predictions: Array, labels: Array) -> float | None:
    """The mean of 2 tp / (2 tp + fp + fn) over the classes that occur in either array; None for no examples."""
    classes = np.union1d(predictions, labels)
    scores = [f1(predictions == c, labels == c) for c in classes]
    return float(np.mean([score for score in scores if score is not None])) if len(classes) else None


def f1(predicted: NDArray[np.bool_], true: NDArray[np.bool_]) -> float | None:
    """2 tp / (2 tp + fp + fn) for one class; None where the class neither occurs nor is predicted."""
    total = int(predicted.sum()) + int(true.sum())
    return 2 * int((predicted & true).sum()) / total if total else None


def micro_f1(predictions: Array, labels: Array) -> float | None:
    """2 tp / (2 tp + fp + fn) over all examples and classes of sets [N], each the sum of 2^place.

    None where no set holds anything.
    """
    predicted, true = predictions.astype(np.int64), labels.astype(np.int64)
    total = int(np.bitwise_count(predicted).sum()) + int(np.bitwise_count(true).sum())
    return 2 * int(np.bitwise_count(predicted & true).sum()) / total if total else None


def label_f1(predictions: Array, labels: Array) -> float | None:
    """The mean of F1 over the classes that occur in sets [N] of either array, each the sum of 2^place."""
    scores = [f1(predicted, true) for predicted, true in members(predictions, labels)]
    known = [score for score in scores if score is not None]
    return float(np.mean(known)) if known else None


def members(*sets: Array) -> Iterator[list[NDArray[np.bool_]]]:
    """For each class in turn, which sets hold it, array by array; a set is the sum of 2^place."""
    whole = [array.astype(np.int64) for array in sets]
    highest = max((int(array.max(initial=0)) for array in whole), default=0)
    for place in range(highest.bit_length()):
        yield [(array >> place) & 1 == 1 for array in whole]


def pearson(scores: Array, labels: Array) -> float | None:
    """Pearson's r; None for fewer than two examples, and where either side is constant or not finite."""
    x, y = _deviation(scores), _deviation(labels)
    return None if x is None or y is None else float(np.clip(x @ y, -1, 1))


def _deviation(values: Array) -> Array | None:
    """The deviations from the mean, scaled to length 1; None where there are none. Any finite size will do."""
    size = np.abs(values).max(initial=0.0)
    if not 0 < size < math.inf:
        return None
    x = values / size - (values / size).mean()
    if np.abs(x).max() <= 1e-12:  # a constant array keeps a rest of rounding
        return None
    unit: Array = x / np.abs(x).max()
    return unit / math.sqrt(float(unit @ unit))


def spearman(scores: Array, labels: Array) -> float | None:
    """Pearson's r of the ranks (ties share their mean rank)."""
    return pearson(_ranks(scores), _ranks(labels)) if len(labels) else None


def _ranks(values: Array) -> Array:
    """From 1 by size, equal values at their mean rank: [N]; a NaN has none."""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Array = (sizes.cumsum() - (sizes - 1) / 2)[group]
    return np.where(np.isnan(values), np.nan, ranks)


def confusion(predictions: Array, labels: Array, num_classes: int) -> NDArray[np.int64]:
    """Counts [K, K]: a row is a true class, a column a predicted one."""
    counts = np.zeros((num_classes, num_classes), dtype=np.int64)
    np.add.at(counts, (labels.astype(int), predictions.astype(int)), 1)
    return counts


def proportion_interval(share: float, n: int) -> Interval:
    """Wilson's 95 % interval for a proportion of n examples (Wilson 1927)."""
    center = (share + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    return Interval(max(0.0, center - half), min(1.0, center + half))


def correlation_interval(r: float, n: int) -> Interval | None:
    """Fisher's 95 % interval for a correlation of n examples: tanh(atanh r ± 1.96 / sqrt(n - 3))."""
    if n <= 3:
        return None
    if abs(r) >= 1:
        return Interval(r, r)
    half = Z / math.sqrt(n - 3)
    return Interval(math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half))


METRICS: dict[str, Callable[[Array, Array], float | None]] = {
    "accuracy": accuracy,
    "macro-f1": macro_f1,
    "micro-f1": micro_f1,
    "label-f1": label_f1,
    "pearson": pearson,
    "spearman": spearman,
}
CORRELATIONS = ("pearson", "spearman")


def total(scores: dict[str, float | None]) -> float:
    """The paper's sum of the tasks' metrics; an undefined one counts 0."""
    return sum(score or 0.0 for score in scores.values())


def course(scores: dict[str, float | None], metrics: dict[str, str]) -> float:
    """The course's leaderboard: the mean over tasks, a correlation r entering as (r + 1) / 2.

    An undefined metric enters as 0, so that it never beats a defined one.
    """
    parts = [
        0.0 if score is None else (score + 1) / 2 if metrics[task] in CORRELATIONS else score
        for task, score in scores.items()
    ]
    return sum(parts) / len(parts)
