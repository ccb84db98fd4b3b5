"""Scores of predictions against scikit-learn, and what the two scores over tasks count."""

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier

from minbert.evaluation import Evaluation, score
from minbert.predictions import Predictions
from minbert.tasks import Task

CLASSES = Task(kind="classification", labels=["a", "b", "c"], head="linear", loss="cross-entropy", metric="accuracy")
SCORES = Task(kind="pair-regression", text=["x", "y"], range=(0.0, 5.0), head="cosine", loss="mse", metric="pearson")


def classes(values: list[int], labels: list[int]) -> Predictions:
    ids = [str(row) for row in range(len(values))]
    return Predictions(ids, np.array(values, float), np.eye(3)[values], np.array(labels, float))


def scores(values: list[float], labels: list[float]) -> Predictions:
    raw = np.array(values, float)
    return Predictions([str(row) for row in range(len(raw))], raw.clip(0, 5), raw, np.array(labels, float))


@pytest.mark.parametrize("seed", range(5))
def test_the_baseline_is_the_best_constant_answer(seed: int) -> None:
    generator = np.random.default_rng(seed)
    labels = generator.choice(3, size=40, p=[0.2, 0.5, 0.3])
    dummy = DummyClassifier(strategy="most_frequent").fit(np.zeros((40, 1)), labels)
    scored = score(CLASSES, classes(generator.choice(3, size=40).tolist(), labels.tolist()))
    assert scored.baseline == pytest.approx(dummy.score(np.zeros((40, 1)), labels))
    assert scored.examples == 40


def test_a_constant_has_no_correlation_so_a_regression_has_no_baseline() -> None:
    scored = score(SCORES, scores([1, 2, 4], [0, 3, 5]))
    assert scored.baseline is None
    assert scored.value == pytest.approx(np.corrcoef([1, 2, 4], [0, 3, 5])[0, 1])


def test_correlation_uses_the_scores_as_the_head_gave_them() -> None:
    raw, labels = [-2.0, -1.0, 1.0, 6.0], [0.0, 0.5, 1.0, 5.0]
    assert score(SCORES, scores(raw, labels)).value == pytest.approx(np.corrcoef(raw, labels)[0, 1])


def test_one_answer_for_all_is_said() -> None:
    assert score(CLASSES, classes([1, 1, 1], [0, 1, 2])).is_constant
    assert not score(CLASSES, classes([1, 1, 2], [0, 1, 2])).is_constant
    stuck = score(SCORES, scores([2, 2, 2], [0, 1, 2]))
    assert stuck.value is None
    assert not stuck.is_constant


def test_intervals_hold_the_score_and_shrink_with_more_examples() -> None:
    few, many = (score(CLASSES, classes([0, 1, 2, 0] * n, [0, 1, 2, 1] * n)) for n in (5, 500))
    for scored in (few, many):
        assert scored.interval is not None
        assert scored.interval.low < 0.75 < scored.interval.high
    assert few.interval is not None
    assert many.interval is not None
    assert many.interval.high - many.interval.low < (few.interval.high - few.interval.low) / 5
    assert score(SCORES, scores([1, 2], [3, 4])).interval is None  # Fisher's needs four examples, a bootstrap ten


def test_sum_and_course_count_what_the_design_says() -> None:
    right = score(CLASSES, classes([0, 1, 2, 0], [0, 1, 2, 1]))
    close = score(SCORES, scores([1, 2, 3, 4], [1, 2, 3, 4.5]))
    both = Evaluation({"sst": right, "sts": close}, {})
    assert close.value is not None
    assert both.sum == pytest.approx(0.75 + close.value)
    assert both.course == pytest.approx((0.75 + (close.value + 1) / 2) / 2)
    assert both.selected("sum") == both.sum
    assert both.selected("course") == both.course
    assert both.selected("sts") == close.value
    undefined = score(SCORES, scores([2, 2], [1, 3]))
    assert Evaluation({"sst": right, "sts": undefined}, {}).sum == 0.75
    assert Evaluation({"sst": right, "sts": undefined}, {}).course == pytest.approx(0.375)
    assert Evaluation({"sts": undefined}, {}).selected("sts") is None
    assert Evaluation({}, {}).course is None


@pytest.mark.parametrize("accuracy", [0.4, 0.8])
def test_a_score_without_a_formula_has_the_bootstraps_interval(accuracy: float) -> None:
    """It holds the value of a large set that the examples come from in about 95 of 100 draws of them."""
    task, generator = CLASSES.model_copy(update={"metric": "macro-f1"}), np.random.default_rng(0)
    labels = generator.choice(3, size=20_000, p=[0.5, 0.3, 0.2])
    values = np.where(generator.random(20_000) < accuracy, labels, generator.choice(3, size=20_000))
    whole = score(task, classes(values.tolist(), labels.tolist())).value
    assert whole is not None
    held = 0
    for _ in range(100):
        rows = generator.choice(20_000, size=300, replace=False)
        interval = score(task, classes(values[rows].tolist(), labels[rows].tolist())).interval
        assert interval is not None
        held += interval.low <= whole <= interval.high
    assert held >= 90
