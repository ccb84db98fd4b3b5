"""Metrics in bootstrap samples against the same metrics on samples that are written out."""

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from minbert import resampling
from minbert.metrics import METRICS, f1
from minbert.resampling import RESAMPLED, draw_counts, resample

Array = NDArray[np.float64]

FAMILIES: dict[str, Callable[[np.random.Generator, int], Array]] = {
    "classes": lambda generator, n: generator.integers(0, 5, n).astype(float),
    "two classes": lambda generator, n: generator.integers(0, 2, n).astype(float),
    "constant": lambda generator, n: np.full(n, 0.1),
    "zero": lambda generator, n: np.zeros(n),
    "distinct": lambda generator, n: generator.normal(size=n),
    "huge": lambda generator, n: 1e200 * generator.normal(size=n),
    "tiny and far from 0": lambda generator, n: 1e-200 * (100 + generator.normal(size=n)),
    "one outlier": lambda generator, n: np.r_[np.full(n - 1, 0.3), 7.0],
    "one far outlier": lambda generator, n: np.r_[generator.normal(size=n - 1), 1e9],
}


SETS = ("micro-f1", "label-f1")


def as_sets(metric: str, values: Array) -> Array:
    """Numbers that the metric can be taken of: of sets of classes whole ones, each a sum of 2^place."""
    return np.abs(np.round(values)) % 2**52 if metric in SETS else values


def written_out(metric: str, predictions: Array, labels: Array, counts: Array) -> Array:
    """[D, S]: each draw's examples repeated as often as it holds them."""
    times = counts.astype(int)
    scores = [
        [METRICS[metric](np.repeat(row, drawn), np.repeat(labels, drawn)) for row in predictions] for drawn in times
    ]
    return np.array([[np.nan if score is None else score for score in row] for row in scores])


def test_every_metric_can_be_resampled() -> None:
    assert list(RESAMPLED)[: len(METRICS)] == list(METRICS)


def share(chosen: Array) -> float:
    """The mean of what is true of some examples; of none, no number."""
    return float(chosen.mean()) if len(chosen) else np.nan


LITERAL: dict[str, Callable[[Array, Array], float]] = {
    "mean": lambda predictions, labels: predictions.mean(),
    "precision": lambda predictions, labels: share(labels[predictions == 1] == 1),
    "recall": lambda predictions, labels: share(predictions[labels == 1] == 1),
    "f1": lambda predictions, labels: np.nan if (score := f1(predictions == 1, labels == 1)) is None else score,
    "precision-recall": lambda predictions, labels: (
        share(labels[predictions == 1] == 1) - share(predictions[labels == 1] == 1)
    ),
    "gap": lambda predictions, labels: share(labels[predictions == 1]) - share(labels[predictions != 1]),
    "part-rest": lambda predictions, labels: share(predictions[labels == 1]) - share(predictions[labels != 1]),
}


def test_all_else_that_can_be_resampled_has_a_literal_version() -> None:
    assert set(RESAMPLED) == set(METRICS) | set(LITERAL)


@given(n=st.integers(1, 30), seed=st.integers(0, 999), classes=st.integers(1, 3))
@pytest.mark.parametrize("statistic", LITERAL)
def test_a_resampled_statistic_is_that_of_the_sample(statistic: str, n: int, seed: int, classes: int) -> None:
    generator = np.random.default_rng(seed)
    predictions = generator.integers(0, classes, (3, n)).astype(float)
    labels = generator.integers(0, 2, n).astype(float)
    counts = np.concatenate([draw_counts(6, n, generator), np.ones((1, n)), n * np.eye(n)[:1]])
    samples = [
        [(np.repeat(row, drawn), np.repeat(labels, drawn)) for row in predictions] for drawn in counts.astype(int)
    ]
    expected = [[LITERAL[statistic](*sample) for sample in row] for row in samples]
    np.testing.assert_allclose(RESAMPLED[statistic](predictions, labels, counts), expected, rtol=0, atol=1e-10)


@settings(max_examples=100, deadline=None)
@given(
    n=st.integers(1, 40),
    seed=st.integers(0, 999),
    families=st.lists(st.sampled_from(list(FAMILIES)), min_size=1, max_size=4),
    of_labels=st.sampled_from(list(FAMILIES)),
)
@pytest.mark.parametrize("metric", METRICS)
def test_a_resampled_metric_is_the_metric_of_the_sample(
    metric: str, n: int, seed: int, families: list[str], of_labels: str
) -> None:
    """In drawn samples, in all examples, and in a sample of one example drawn n times."""
    generator = np.random.default_rng(seed)
    predictions = np.stack([as_sets(metric, FAMILIES[family](generator, n)) for family in families])
    labels = as_sets(metric, FAMILIES[of_labels](generator, n))
    counts = np.concatenate([draw_counts(6, n, generator), np.ones((1, n)), n * np.eye(n)[:1]])
    found = RESAMPLED[metric](predictions, labels, counts)
    assert found.shape == (8, len(families))
    np.testing.assert_allclose(found, written_out(metric, predictions, labels, counts), rtol=0, atol=1e-10)


@pytest.mark.parametrize("metric", METRICS)
def test_a_large_sample_agrees_as_well(metric: str) -> None:
    generator = np.random.default_rng(1)
    labels = generator.integers(0, 6, 2000).astype(float)
    predictions = as_sets(metric, labels + np.round(generator.normal(size=(3, 2000))))
    counts = draw_counts(20, 2000, generator)
    expected = written_out(metric, predictions, labels, counts)
    np.testing.assert_allclose(RESAMPLED[metric](predictions, labels, counts), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("metric", ["pearson", "spearman"])
def test_a_seed_with_an_answer_that_is_no_number_has_no_correlation_in_any_draw(metric: str) -> None:
    generator = np.random.default_rng(2)
    predictions, labels = generator.normal(size=(2, 30)), generator.normal(size=30)
    predictions[0, 3] = np.nan
    found = RESAMPLED[metric](predictions, labels, draw_counts(50, 30, generator))
    assert np.isnan(found[:, 0]).all()
    assert np.isfinite(found[:, 1]).all()


def test_counts_are_multinomial() -> None:
    """By chi-square: how often an example is met follows the binomial distribution of n draws at 1/n."""
    counts = draw_counts(4000, 25, np.random.default_rng(3))
    assert (counts.sum(1) == 25).all()
    met = np.array([(counts == k).sum() for k in range(6)] + [(counts > 5).sum()])
    shares = np.r_[stats.binom.pmf(range(6), 25, 1 / 25), stats.binom.sf(5, 25, 1 / 25)]
    assert stats.chisquare(met, shares * counts.size).pvalue > 0.01
    pairs = np.cov(counts.T)[~np.eye(25, dtype=bool)]
    assert pairs.mean() == pytest.approx(-1 / 25, rel=0.05)


@pytest.mark.parametrize("metric", METRICS)
def test_draws_depend_on_the_generator_and_not_on_how_many_are_in_memory(
    metric: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = np.random.default_rng(4)
    predictions, labels = generator.integers(0, 3, (2, 31)), generator.integers(0, 3, 31)

    def drawn(seed: int) -> Array:
        return resample(metric, predictions, labels, 100, np.random.default_rng(seed))

    whole = drawn(5)
    assert whole.shape == (100, 2)
    assert np.array_equal(whole, drawn(5))
    assert not np.array_equal(whole, drawn(6))
    monkeypatch.setattr(resampling, "COUNTS_AT_ONCE", 7 * 31)
    np.testing.assert_allclose(drawn(5), whole, rtol=0, atol=1e-12)


def test_memory_stays_small_however_many_draws() -> None:
    """All counts at once would take 320 MB."""
    right = np.zeros((2, 4000))
    tracemalloc.start()
    resample("accuracy", right, right[0], 10_000, np.random.default_rng(0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6
