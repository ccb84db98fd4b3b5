"""Answers, and how often every example is drawn -> a metric's scores in bootstrap samples of the examples.

An undefined score is NaN. Letters in shapes: D draws, S seeds, n examples, G distinct values.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minbert import metrics

Numbers = NDArray[Any]  # class numbers or scores
Array = NDArray[np.float64]
COUNTS_AT_ONCE = 2**17  # entries of the [D, n] arrays in memory: a megabyte each, whatever n and D
CANCELLED = 1e-3  # a variance below this part of its mean square has lost three digits to the subtraction


def resample(metric: str, predictions: Numbers, labels: Numbers, draws: int, generator: np.random.Generator) -> Array:
    """The scores of all seeds in bootstrap samples, the same examples for every seed: [S, n], [n] -> [D, S]."""
    n = len(labels)
    rows = max(1, COUNTS_AT_ONCE // n)
    chunks = [min(rows, draws - first) for first in range(0, draws, rows)]
    return np.concatenate([RESAMPLED[metric](predictions, labels, draw_counts(D, n, generator)) for D in chunks])


def draw_counts(D: int, n: int, generator: np.random.Generator) -> Array:
    """How often each of n examples is met in n draws with replacement, D times over: [D, n]."""
    drawn = generator.integers(0, n, size=(D, n), dtype=np.int32) + n * np.arange(D)[:, None]
    return np.bincount(drawn.ravel(), minlength=D * n).reshape(D, n).astype(np.float64)


def accuracy(predictions: Numbers, labels: Numbers, counts: Array) -> Array:
    """`metrics.accuracy` in every draw: [S, n], [n], [D, n] -> [D, S]."""
    right = (predictions == labels).astype(np.float64)
    scores: Array = counts @ right.T / counts.sum(1, keepdims=True)
    return scores


def macro_f1(predictions: Numbers, labels: Numbers, counts: Array) -> Array:
    """`metrics.macro_f1` in every draw: [S, n], [n], [D, n] -> [D, S]; over the classes that the draw holds."""
    total = np.zeros((len(counts), len(predictions)))
    classes = np.zeros_like(total)
    for c in np.union1d(predictions, labels):
        predicted, true = (predictions == c).astype(np.float64), (labels == c).astype(np.float64)
        hits, named = counts @ (predicted * true).T, counts @ (predicted + true).T
        total += np.divide(2 * hits, named, out=np.zeros_like(hits), where=named > 0)
        classes += named > 0
    return total / classes


def micro_f1(predictions: Numbers, labels: Numbers, counts: Array) -> Array:
    """`metrics.micro_f1` in every draw: [S, n], [n], [D, n] -> [D, S]."""
    predicted, true = predictions.astype(np.int64), labels.astype(np.int64)
    hits, of_predicted, of_true = map(np.bitwise_count, (predicted & true, predicted, true))
    return _ratio(2 * (counts @ hits.T.astype(np.float64)), counts @ (of_predicted + of_true).T.astype(np.float64))


def label_f1(predictions: Numbers, labels: Numbers, counts: Array) -> Array:
    """`metrics.label_f1` in every draw: [S, n], [n], [D, n] -> [D, S]; over the classes that the draw holds."""
    total = np.zeros((len(counts), len(predictions)))
    classes = np.zeros_like(total)
    for predicted, true in metrics.members(predictions, labels):
        hits, named = _met(predicted & true, counts), _met(predicted, counts) + _met(true[None], counts)
        total += np.divide(2 * hits, named, out=np.zeros_like(hits), where=named > 0)
        classes += named > 0
    return _ratio(total, classes)


def pearson(predictions: Numbers, labels: Numbers, counts: Array) -> Array:
    """`metrics.pearson` in every draw: [S, n], [n], [D, n] -> [D, S].

    A seed without a score on all examples (a constant, or one answer that is not finite) has none in any draw.
    """
    scores = np.full((len(counts), len(predictions)), np.nan)
    defined = np.array([metrics.pearson(row, labels) is not None for row in predictions])
    if defined.any():
        scores[:, defined] = _weighted_pearson(predictions[defined], labels, counts)
    return scores


def _weighted_pearson(predictions: Numbers, labels: Numbers, counts: Array) -> Array:
    """r from the weighted moments of values that are centred over all examples: [S, n], [n], [D, n] -> [D, S]."""
    x, y = _centred(predictions), _centred(labels[None])
    weights = counts / counts.sum(1, keepdims=True)
    mean_x, mean_y = weights @ x.T, weights @ y.T  # [D, S], [D, 1]
    square_x, square_y = weights @ (x * x).T, weights @ (y * y).T
    var_x, var_y = square_x - mean_x**2, square_y - mean_y**2
    cov = weights @ (x * y).T - mean_x * mean_y
    # Values that have gone almost constant, as when a draw misses the one outlier, are left to two passes over them.
    sure = (var_x > CANCELLED * square_x + 1e-20) & (var_y > CANCELLED * square_y + 1e-20)
    scores = np.full(cov.shape, np.nan)
    np.divide(cov, np.sqrt(var_x * var_y, where=sure, out=np.ones_like(cov)), out=scores, where=sure)
    for d, s in np.argwhere(~sure):
        times = counts[d].astype(np.int64)
        r = metrics.pearson(np.repeat(predictions[s], times), np.repeat(labels, times))
        scores[d, s] = np.nan if r is None else r
    return scores.clip(-1, 1)


def _centred(values: Numbers) -> Array:
    """Rows [., n] scaled to a largest absolute value of 1, less their means."""
    x = values / np.abs(values).max(1, keepdims=True)
    centred: Array = x - x.mean(1, keepdims=True)
    return centred


def spearman(predictions: Numbers, labels: Numbers, counts: Array) -> Array:
    """`metrics.spearman` in every draw, ranked anew in each: [S, n], [n], [D, n] -> [D, S].

    Exact: centred ranks are halves of whole numbers, so that a constant sample has a variance of exactly 0.
    """
    y = _centred_ranks(labels, counts)
    weighted = counts * y
    var_y = np.einsum("dn,dn->d", weighted, y)
    scores = np.full((len(counts), len(predictions)), np.nan)
    for s, row in enumerate(predictions):
        x = _centred_ranks(row, counts)
        cov = np.einsum("dn,dn->d", weighted, x)
        product = np.einsum("dn,dn->d", counts * x, x) * var_y
        np.divide(cov, np.sqrt(product), out=scores[:, s], where=product > 0)
    return scores.clip(-1, 1)


def _centred_ranks(values: Numbers, counts: Array) -> Array:
    """Each example's midrank in each draw less the draw's mean rank: [n], [D, n] -> [D, n]; NaN if a value is."""
    if np.isnan(values).any():
        return np.full(counts.shape, np.nan)
    distinct, group = np.unique(values, return_inverse=True)
    order = np.argsort(group)
    starts = np.searchsorted(group[order], np.arange(len(distinct)))
    sizes = np.add.reduceat(counts[:, order], starts, axis=1)  # [D, n] -> [D, G]
    # midrank (cumsum - size) + (size + 1) / 2, mean rank (total + 1) / 2
    ranks = sizes.cumsum(1) - sizes / 2 - sizes.sum(1, keepdims=True) / 2
    centred: Array = ranks[:, group]
    return centred


def mean(predictions: Numbers, _labels: Numbers, counts: Array) -> Array:
    """The mean prediction in every draw: [S, n], [n], [D, n] -> [D, S]."""
    means: Array = counts @ predictions.astype(np.float64).T / counts.sum(1, keepdims=True)
    return means


def precision(predictions: Numbers, labels: Numbers, counts: Array) -> Array:
    """Of class 1, tp / (tp + fp) in every draw: [S, n], [n], [D, n] -> [D, S]; undefined where nothing is called so."""
    named = predictions == 1
    return _ratio(_met(named & (labels == 1), counts), _met(named, counts))


def recall(predictions: Numbers, labels: Numbers, counts: Array) -> Array:
    """Of class 1, tp / (tp + fn) in every draw: [S, n], [n], [D, n] -> [D, S]; undefined where nothing is so."""
    true = labels == 1
    return _ratio(_met((predictions == 1) & true, counts), _met(true[None], counts))


def f1(predictions: Numbers, labels: Numbers, counts: Array) -> Array:
    """Of class 1, `metrics.f1` in every draw: [S, n], [n], [D, n] -> [D, S]."""
    named, true = predictions == 1, labels == 1
    return _ratio(2 * _met(named & true, counts), _met(named, counts) + _met(true[None], counts))


def precision_less_recall(predictions: Numbers, labels: Numbers, counts: Array) -> Array:
    """Of class 1, the difference of both in every draw: [S, n], [n], [D, n] -> [D, S]."""
    return precision(predictions, labels, counts) - recall(predictions, labels, counts)


def _met(rows: NDArray[np.bool_], counts: Array) -> Array:
    """How many of the marked examples each draw holds: [S, n], [D, n] -> [D, S]."""
    met: Array = counts @ rows.astype(np.float64).T
    return met


def gap(predictions: Numbers, labels: Numbers, counts: Array) -> Array:
    """The mean label where the prediction is 1 less that where it is not: [S, n], [n], [D, n] -> [D, S]."""
    named = (predictions == 1).astype(np.float64)
    inside, outside = ((counts @ (part * labels).T, counts @ part.T) for part in (named, 1 - named))
    return _ratio(*inside) - _ratio(*outside)


def part_less_rest(predictions: Numbers, labels: Numbers, counts: Array) -> Array:
    """The mean prediction where the label is 1 less that where it is not: [S, n], [n], [D, n] -> [D, S]."""
    inside, outside = counts * (labels == 1), counts * (labels != 1)
    means = [_ratio(part @ predictions.astype(np.float64).T, part.sum(1, keepdims=True)) for part in (inside, outside)]
    return means[0] - means[1]


def _ratio(top: Array, bottom: Array) -> Array:
    return np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom > 0)


RESAMPLED = {
    "accuracy": accuracy,
    "macro-f1": macro_f1,
    "micro-f1": micro_f1,
    "label-f1": label_f1,
    "pearson": pearson,
    "spearman": spearman,
    "mean": mean,
    "precision": precision,
    "recall": recall,
    "f1": f1,
    "precision-recall": precision_less_recall,
    "gap": gap,
    "part-rest": part_less_rest,
}
