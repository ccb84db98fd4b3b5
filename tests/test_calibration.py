"""Temperatures, reliability, risks and margins: against planted values, other libraries, and over many draws."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, softmax
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss

from minbert import calibration
from minbert.calibration import DELTA, LEVEL, THRESHOLDS, Risks

Array = NDArray[np.float64]


def planted(seed: int, n: int, classes: int, temperature: float) -> tuple[Array, Array]:
    """Logits [n, classes] that are honest once divided by the temperature, and labels drawn from what they then say."""
    generator = np.random.default_rng(seed)
    honest = generator.normal(0, 2, (n, classes))
    cumulated = softmax(honest, axis=1).cumsum(axis=1)
    labels = (generator.random((n, 1)) > cumulated).sum(axis=1).clip(max=classes - 1)
    return honest * temperature, labels.astype(float)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0, 2.0, 10.0])
@pytest.mark.parametrize("classes", [2, 5])
def test_a_planted_temperature_is_found(temperature: float, classes: int) -> None:
    logits, labels = planted(3, 4000, classes, temperature)
    found = calibration.temperature(logits, labels)
    assert found == pytest.approx(temperature, rel=0.08)
    assert calibration.nll(logits / found, labels) <= calibration.nll(logits / temperature, labels)


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.sampled_from([0.3, 1.0, 4.0]))
def test_the_temperature_is_that_of_another_minimiser(seed: int, temperature: float) -> None:
    logits, labels = planted(seed, 60, 3, temperature)
    if calibration.is_all_right(logits, labels):
        return

    def literal(beta: Array) -> float:
        return -float(log_softmax(logits * beta[0], axis=1)[np.arange(60), labels.astype(int)].mean())

    best = minimize(literal, [1 / temperature], bounds=[(1e-3, 1e3)], tol=1e-12)
    assert calibration.nll(logits / calibration.temperature(logits, labels), labels) <= best.fun + 1e-6


def test_nll_is_that_of_scikit_learn() -> None:
    logits, labels = planted(1, 50, 4, 1.5)
    assert calibration.nll(logits, labels) == pytest.approx(log_loss(labels, softmax(logits, axis=1)))
    yes = logits[:, 0]
    np.testing.assert_allclose(softmax(calibration.binary(yes), axis=1)[:, 1], expit(yes))


@pytest.mark.parametrize("scale", [1e-2, 1.0, 300.0])
def test_where_every_answer_is_right_or_nothing_is_told_the_temperature_stays_finite(scale: float) -> None:
    labels = np.arange(30.0) % 3
    logits = scale * np.eye(3)[labels.astype(int)]
    assert calibration.is_all_right(logits, labels)
    assert calibration.temperature(logits, labels) == 1
    others = (labels + 1) % 3
    assert calibration.temperature(logits, others) > 0.99 * calibration.HOTTEST  # sure of what is always wrong


def test_the_temperature_of_others_is_fitted_without_the_row_itself() -> None:
    logits, labels = planted(5, 40, 3, 2.0)
    rows = np.arange(20).repeat(2)
    found = calibration.temperatures_of_others(logits, labels, rows)
    fold = calibration.folds(20)
    assert sorted(np.bincount(fold)) == [4] * 5
    for row in range(20):
        others = np.isin(rows, np.flatnonzero(fold != fold[row]))
        expected = calibration.temperature(logits[others], labels[others])
        np.testing.assert_array_equal(found[rows == row], expected)


def test_bins_are_those_of_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    sure = generator.random(1500)
    right = generator.random(1500) < sure**2
    found = calibration.reliability(sure, right)
    share, confidence = calibration_curve(right, sure, n_bins=15, strategy="quantile")
    np.testing.assert_allclose([part.right for part in found], share)
    np.testing.assert_allclose([part.confidence for part in found], confidence)
    assert [part.count for part in found] == [100] * 15
    assert calibration.calibration_error(sure, right) == pytest.approx(np.abs(share - confidence).mean())


def test_the_calibration_error_of_few_answers_and_of_a_known_gap() -> None:
    sure = np.array([0.9, 0.8, 0.6])
    assert calibration.calibration_error(sure, np.array([True, False, True])) == pytest.approx((0.1 + 0.8 + 0.4) / 3)
    always = np.full(900, 0.7)
    assert calibration.calibration_error(always, np.tile([True, True, False], 300)) == pytest.approx(0.7 - 2 / 3)


def test_chance_alone_is_what_honest_answers_show() -> None:
    generator = np.random.default_rng(1)
    sure = generator.uniform(0.5, 1, 300)
    honest = [calibration.calibration_error(sure, generator.random(300) < sure) for _ in range(200)]
    found = calibration.error_of_perfect(sure, np.random.default_rng(2))
    assert found == pytest.approx(float(np.mean(honest)), rel=0.05)
    more = calibration.error_of_perfect(np.tile(sure, 10), np.random.default_rng(2))
    assert more == pytest.approx(found / np.sqrt(10), rel=0.15)  # the bias goes with the square root of the rows


@pytest.mark.parametrize("rows", [1, 14, 16, 301])
def test_the_error_that_remains_is_that_of_draws_judged_one_by_one(rows: int) -> None:
    sure = np.sort(np.random.default_rng(rows).uniform(0.3, 1, rows))
    draws = np.random.default_rng(5).random((calibration.DRAWS, rows)) < sure
    errors = [calibration.calibration_error(sure, draw) for draw in draws]
    found = calibration.error_of_perfect(np.random.default_rng(6).permutation(sure), np.random.default_rng(5))
    assert found == pytest.approx(float(np.mean(errors)))


def test_the_error_that_remains_takes_the_memory_of_one_draw() -> None:
    sure = np.random.default_rng(1).uniform(0.5, 1, 50_000)
    tracemalloc.start()
    calibration.error_of_perfect(sure, np.random.default_rng(2))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * sure.nbytes  # of 200 draws at once it was 200 times


@given(st.lists(st.tuples(st.sampled_from([0.5, 0.6, 0.75, 0.9, 1.0]), st.booleans()), min_size=1, max_size=300))
def test_risks_are_counted_strictly_above_each_threshold(rows: list[tuple[float, bool]]) -> None:
    sure, right = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    found = calibration.risks(sure, right)
    assert found.above == sorted(set(found.above), reverse=True)
    assert len(found.above) <= THRESHOLDS
    for above, answered, wrong in zip(found.above, found.answered, found.wrong, strict=True):
        assert (answered, wrong) == ((sure > above).sum(), (~right[sure > above]).sum())
        assert answered > 0
    assert found.answered[-1] == len(rows)


def test_the_bound_is_scipys() -> None:
    for wrong, answered in ((0, 1), (0, 59), (3, 100), (40, 41), (7, 7)):
        expected = binomtest(wrong, answered, alternative="less").proportion_ci(1 - DELTA, "exact").high
        assert calibration.risk_bound(np.array([wrong]), np.array([answered]))[0] == pytest.approx(expected)


def test_the_first_share_that_no_mistake_can_show_takes_so_many_answers() -> None:
    """0.95^58 > 0.05 > 0.95^59."""
    for answers, is_enough in ((58, False), (59, True)):
        none_wrong = Risks([0.5], [answers], [0])
        assert (calibration.threshold(none_wrong, 0.05) is not None) == is_enough


@pytest.mark.parametrize(("rows", "first"), [(1000, 234), (400, 200), (100, 59), (58, None)])
def test_the_first_test_is_on_four_times_the_fewest_answers_or_half_of_all(rows: int, first: int | None) -> None:
    """At 5 %, whose fewest are 59: 59 >= log(0.05) / log(0.95) = 58.4, and 4 times that is 233.6."""
    counts = list(range(1, rows + 1))
    found = Risks([1 - count / (rows + 1) for count in counts], counts, [1] * rows)
    tested = calibration.first_tested(found, 0.05)
    assert (None if tested is None else tested.answered) == first


def test_a_sequence_of_tests_ends_at_the_first_that_fails() -> None:
    found = Risks([0.9, 0.8, 0.7, 0.6], [100, 200, 300, 400], [0, 2, 40, 3])
    taken = calibration.threshold(found, 0.05)
    assert taken is not None
    assert (taken.above, taken.answered, taken.wrong) == (0.8, 200, 2)
    assert calibration.threshold(Risks([0.9, 0.8], [200, 400], [50, 50]), 0.05) is None


def draw(generator: np.random.Generator, n: int, classes: int = 4) -> tuple[Array, Array]:
    """Over-confident logits of n examples, some of them hard, and their labels."""
    honest = generator.normal(0, 1, (n, classes)) * generator.exponential(2.5, (n, 1))
    labels = (generator.random((n, 1)) > softmax(honest, axis=1).cumsum(axis=1)).sum(axis=1).clip(max=classes - 1)
    return 2.5 * honest, labels.astype(float)


def confidences(logits: Array, temperature: float) -> Array:
    return np.asarray(softmax(logits / temperature, axis=1).max(axis=1))


@pytest.mark.parametrize(("n", "alpha"), [(200, 0.2), (600, 0.1)])
def test_more_wrong_answers_than_asked_for_are_as_rare_as_promised(n: int, alpha: float) -> None:
    """The temperature is fitted to the same rows, as `minbert calibrate` does it."""
    generator, repeats, worse, given_any = np.random.default_rng(7), 200, 0, 0
    new, new_labels = draw(generator, 20_000)
    wrong = new.argmax(axis=1) != new_labels
    for _ in range(repeats):
        logits, labels = draw(generator, n)
        temperature = calibration.temperature(logits, labels)
        sure = confidences(logits, temperature)
        found = calibration.threshold(calibration.risks(sure, logits.argmax(axis=1) == labels), alpha)
        if found is not None:
            given_any += 1
            worse += bool(wrong[confidences(new, temperature) > found.above].mean() > alpha)
    assert given_any > 0.5 * repeats  # or the promise would be empty
    assert binomtest(worse, repeats, DELTA, alternative="greater").pvalue > 0.01


def test_a_margin_covers_as_many_new_scores_as_it_says() -> None:
    """Split conformal covers LEVEL on average over draws, for any distribution of errors, and little more."""
    generator = np.random.default_rng(3)
    for n in (19, 50, 399):
        covered = []
        for _ in range(400):
            residuals = np.abs(generator.standard_t(3, n + 200))
            found = calibration.margin(residuals[:n])
            assert found is not None
            covered.append((residuals[n:] <= found).mean())
        k = np.ceil(round((n + 1) * LEVEL, 9))
        expected = k / (n + 1)
        assert expected >= LEVEL
        assert np.mean(covered) == pytest.approx(expected, abs=4 * float(np.std(covered)) / 20)


def test_a_margin_takes_nineteen_residuals() -> None:
    assert calibration.margin(np.arange(18.0)) is None
    assert calibration.margin(np.arange(19.0)) == 18
    assert calibration.margin(np.arange(99.0)[::-1]) == 94
    assert calibration.covered(np.arange(20.0)) is None
    assert calibration.covered(np.full(30, 1.5)) == 1
