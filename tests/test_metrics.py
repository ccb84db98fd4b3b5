"""Metrics against scipy and scikit-learn; what is undefined is None, without a warning."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from sklearn import metrics as sklearn

from minbert.metrics import (
    METRICS,
    accuracy,
    confusion,
    correlation_interval,
    course,
    f1,
    macro_f1,
    pearson,
    proportion_interval,
    spearman,
    total,
)

Array = NDArray[np.float64]
CLASSES = st.integers(1, 60).flatmap(lambda n: st.tuples(*[st.lists(st.integers(0, 5), min_size=n, max_size=n)] * 2))


def arrays(pair: tuple[list[int], list[int]]) -> tuple[Array, Array]:
    return np.array(pair[0], dtype=float), np.array(pair[1], dtype=float)


@settings(max_examples=50, deadline=None)
@given(CLASSES)
def test_accuracy_and_macro_f1_agree_with_scikit_learn(pair: tuple[list[int], list[int]]) -> None:
    """Classes that neither side holds take no part; missing on one side alone counts 0."""
    predictions, labels = arrays(pair)
    assert accuracy(predictions, labels) == pytest.approx(sklearn.accuracy_score(labels, predictions))
    assert macro_f1(predictions, labels) == pytest.approx(sklearn.f1_score(labels, predictions, average="macro"))


@settings(max_examples=50, deadline=None)
@given(CLASSES, st.integers(6, 8))
def test_the_confusion_matrix_is_k_by_k_with_true_classes_as_rows(pair: tuple[list[int], list[int]], k: int) -> None:
    predictions, labels = arrays(pair)
    found = confusion(predictions, labels, k)
    assert (found == sklearn.confusion_matrix(labels, predictions, labels=range(k))).all()
    assert found.shape == (k, k)
    assert found.sum() == len(labels)


def test_a_class_that_nobody_names_has_no_f1() -> None:
    never = np.zeros(3, dtype=bool)
    assert f1(never, never) is None
    assert f1(~never, never) == f1(never, ~never) == 0.0
    assert f1(~never, ~never) == 1.0


SCIPY: dict[str, Callable[[Array, Array], float]] = {
    "pearson": lambda x, y: stats.pearsonr(x, y).statistic,
    "spearman": lambda x, y: stats.spearmanr(x, y).statistic,
}


@settings(max_examples=50, deadline=None)
@given(
    n=st.integers(2, 40),
    seed=st.integers(0, 999),
    scale=st.sampled_from([1e-200, 1e-9, 1.0, 1e9, 1e200]),
    offset=st.sampled_from([0.0, 1.0, -1e6]),
    digits=st.sampled_from([0, 1, 12]),
)
@pytest.mark.parametrize("name", SCIPY)
def test_a_correlation_agrees_with_scipy_at_any_scale(
    name: str, n: int, seed: int, scale: float, offset: float, digits: int
) -> None:
    generator = np.random.default_rng(seed)
    x = np.round(generator.normal(size=n), digits)  # few digits bring ties
    y = np.round(x + generator.normal(size=n), digits)
    assume(np.ptp(x) and np.ptp(y))
    found = METRICS[name](scale * (x + offset), y)
    assert found == pytest.approx(SCIPY[name](x, y), rel=1e-7, abs=1e-7)
    assert -1 <= (found or 0) <= 1
    turned = METRICS[name](-scale * (x + offset), y)
    assert turned == pytest.approx(-(found or 0), rel=1e-7, abs=1e-7)


@pytest.mark.parametrize(
    ("scores", "labels"),
    [
        ([], []),
        ([1.0], [2.0]),
        ([0.1] * 7, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]),
        ([1.0, 2.0, 3.0], [0.3] * 3),
        ([0.0, 0.0], [1.0, 2.0]),
        ([1e300] * 4, [1.0, 2.0, 3.0, 4.0]),
        ([1e-300] * 4, [1.0, 2.0, 3.0, 4.0]),
        ([math.nan, 1.0, 2.0], [1.0, 2.0, 3.0]),
        ([math.inf, 1.0, 2.0], [1.0, 2.0, 3.0]),
    ],
)
def test_a_correlation_that_is_undefined_is_none(scores: list[float], labels: list[float]) -> None:
    assert pearson(np.array(scores), np.array(labels)) is None
    if all(map(math.isfinite, scores)):
        assert spearman(np.array(scores), np.array(labels)) is None


@pytest.mark.parametrize("name", METRICS)
def test_no_examples_give_none(name: str) -> None:
    assert METRICS[name](np.array([]), np.array([])) is None


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_leaves_its_arguments_alone_and_gives_a_plain_float(name: str) -> None:
    x, y = np.array([0.0, 1.0, 1.0, 3.0]), np.array([0.0, 1.0, 2.0, 1.0])
    assert type(METRICS[name](x, y)) is float
    assert (x.tolist(), y.tolist()) == ([0.0, 1.0, 1.0, 3.0], [0.0, 1.0, 2.0, 1.0])


@settings(max_examples=50, deadline=None)
@given(n=st.integers(1, 5000), share=st.floats(0, 1))
def test_the_interval_of_a_proportion_is_wilsons(n: int, share: float) -> None:
    right = round(share * n)
    low, high = proportion_interval(right / n, n)
    oracle = stats.binomtest(right, n).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((oracle.low, oracle.high), abs=1e-7)
    assert 0 <= low < right / n + 1e-15
    assert right / n - 1e-15 < high <= 1


def test_wilsons_interval_has_the_published_value() -> None:
    """Newcombe (1998), table I: 81 of 263, method 3."""
    assert proportion_interval(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


@settings(max_examples=50, deadline=None)
@given(n=st.integers(4, 200), seed=st.integers(0, 999), noise=st.sampled_from([1e-3, 1.0, 100.0]))
def test_the_interval_of_a_correlation_is_fishers(n: int, seed: int, noise: float) -> None:
    generator = np.random.default_rng(seed)
    x = generator.normal(size=n)
    result = stats.pearsonr(x, x + noise * generator.normal(size=n))
    oracle = result.confidence_interval()
    assert correlation_interval(result.statistic, n) == pytest.approx((oracle.low, oracle.high), abs=1e-7)


def test_the_interval_of_a_correlation_at_its_ends_and_for_few_examples() -> None:
    assert correlation_interval(1.0, 10) == (1.0, 1.0)
    assert correlation_interval(-1.0, 10) == (-1.0, -1.0)
    assert [correlation_interval(0.5, n) for n in range(4)] == [None] * 4
    assert correlation_interval(0.5, 4) == pytest.approx((-0.8876, 0.9869), abs=1e-4)  # tanh(0.5493 ± 1.96)


# The paper's last row on dev, and the score that its abstract gives for it.
PAPER: dict[str, float | None] = {"sst": 0.505, "para": 0.719, "sts": 0.656}
OWN_METRIC = {"sst": "accuracy", "para": "accuracy", "sts": "pearson"}


def test_the_papers_two_scores() -> None:
    assert total(PAPER) == pytest.approx(1.880)
    assert course(PAPER, OWN_METRIC) == pytest.approx(0.684, abs=5e-4)
    assert course({"sst": 0.512, "para": 0.719, "sts": 0.629}, OWN_METRIC) == pytest.approx(0.682, abs=5e-4)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ((0.557, 0.892, 0.871), 0.795),
        ((0.526, 0.761, 0.338), 0.652),
        ((0.524, 0.842, 0.826), 0.759),
    ],
)
def test_the_course_score_gives_the_leaderboards_numbers(scores: tuple[float, ...], expected: float) -> None:
    values: dict[str, float | None] = dict(zip(OWN_METRIC, scores, strict=True))
    assert course(values, OWN_METRIC) == pytest.approx(expected, abs=1e-3)  # its parts are rounded too


@pytest.mark.parametrize("task", PAPER)
def test_an_undefined_metric_adds_nothing_to_either_score(task: str) -> None:
    rest = {name: value for name, value in PAPER.items() if name != task}
    assert total(PAPER | {task: None}) == pytest.approx(total(rest))
    assert course(PAPER | {task: None}, OWN_METRIC) == pytest.approx(course(rest, OWN_METRIC) * 2 / 3)


def test_nothing_defined_scores_zero() -> None:
    nothing = dict.fromkeys(PAPER)
    assert (total(nothing), course(nothing, OWN_METRIC)) == (0.0, 0.0)


def test_a_spearman_enters_the_course_score_as_a_pearson_does() -> None:
    assert course({"sts": 0.0}, {"sts": "spearman"}) == 0.5
    assert course({"sst": 0.0}, {"sst": "macro-f1"}) == 0.0
