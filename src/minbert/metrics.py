"""Predictions and labels -> accuracy, F1, correlations, a confusion matrix, and a score's own interval.

An undefined metric is None, never NaN. Letters in shapes: N examples, K classes.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]


class Interval(NamedTuple):
    """The two ends of a 95 % interval."""

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


def pearson(scores: Array, labels: Array) -> float | None:
    """Pearson's r; None for fewer than two examples or where either side is constant."""
    if len(labels) < 2:
        return None
    x, y = scores - scores.mean(), labels - labels.mean()
    scale = math.sqrt(float(x @ x)) * math.sqrt(float(y @ y))
    # A constant array keeps a rest of rounding; anything of that size is no variance.
    smallest = 1e-12 * len(labels) * max(1e-300, float(np.abs(scores).max() * np.abs(labels).max()))
    return float(np.clip(x @ y / scale, -1, 1)) if scale > smallest else None


def spearman(scores: Array, labels: Array) -> float | None:
    """Pearson's r of the ranks (ties share their mean rank)."""
    return pearson(stats.rankdata(scores), stats.rankdata(labels)) if len(labels) else None


def confusion(predictions: Array, labels: Array, num_classes: int) -> NDArray[np.int64]:
    """Counts [K, K]: a row is a true class, a column a predicted one."""
    counts = np.zeros((num_classes, num_classes), dtype=np.int64)
    np.add.at(counts, (labels.astype(int), predictions.astype(int)), 1)
    return counts


def proportion_interval(share: float, n: int) -> Interval:
    """Wilson's 95 % interval for a proportion of n examples (Wilson 1927)."""
    z = 1.959964
    center = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return Interval(center - half, center + half)


def correlation_interval(r: float, n: int) -> Interval | None:
    """Fisher's 95 % interval for a correlation of n examples: tanh(atanh r ± 1.96 / sqrt(n - 3))."""
    if n <= 3:
        return None
    if abs(r) >= 1:
        return Interval(r, r)
    half = 1.959964 / math.sqrt(n - 3)
    return Interval(math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half))


METRICS: dict[str, Callable[[Array, Array], float | None]] = {
    "accuracy": accuracy,
    "macro-f1": macro_f1,
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
