"""Tasks of every kind are calibrated by what a planted model gives for labelled examples."""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit, softmax

from minbert.errors import DataError, InputError, ModelError
from minbert.inference.calibrate import SHARES, Fitted, calibrate
from minbert.predictions import confidence, from_outputs, rows, threshold, without_unsure
from minbert.tasks import Task
from minbert.text import Encoded

Array = NDArray[np.float64]
FILES = {"dev.csv": "0" * 64}


@dataclass
class Planted:
    """A model of one task whose outputs are known."""

    task: Task
    given: Array

    @property
    def tasks(self) -> dict[str, Task]:
        return {"it": self.task}

    def outputs(self, name: str, encoded: Encoded) -> Array:
        return self.given


def task(kind: str, **more: object) -> Task:
    text = ["a", "b"] if kind.startswith("pair") else "text"
    return Task.model_validate({"kind": kind, "text": text} | more).completed(None)


MOOD = task("classification", labels=["bad", "so-so", "good"])
SAME = task("pair-classification", labels=["no", "yes"])
TAGS = task("multi-label", labels=["fun", "art", "war"])
NEAR = task("pair-regression", range=[0.0, 5.0])


def examples(labels: Array) -> Encoded:
    n = len(labels)
    return Encoded([str(row) for row in range(n)], [[[1]] * n], labels, np.zeros(n, dtype=bool))


def planted(spec: Task, temperature: float, n: int = 2000, seed: int = 1) -> tuple[Array, Array]:
    """Outputs that are honest once divided by the temperature, and labels drawn from them."""
    generator = np.random.default_rng(seed)
    honest = generator.normal(0, 4, (n, spec.num_outputs))
    if spec.is_multi_label:
        labels = (generator.random(honest.shape) < expit(honest)) @ 2.0 ** np.arange(honest.shape[1])
    elif spec.loss == "bce":
        labels = (generator.random(n) < expit(honest[:, 0])).astype(float)
    else:
        cumulated = softmax(honest, axis=1).cumsum(axis=1)
        labels = (generator.random((n, 1)) > cumulated).sum(axis=1).clip(max=2).astype(float)
    return honest * temperature, labels


def fit(spec: Task, outputs: Array, labels: Array) -> Fitted:
    return calibrate(Planted(spec, outputs), "it", examples(labels), FILES)  # type: ignore[arg-type]


@pytest.mark.parametrize("spec", [MOOD, SAME, TAGS], ids=["classes", "one logit", "sets"])
@pytest.mark.parametrize("temperature", [0.4, 3.0], ids=["under-confident", "over-confident"])
def test_a_planted_model_becomes_honest_and_keeps_its_answers(spec: Task, temperature: float) -> None:
    outputs, labels = planted(spec, temperature)
    found = fit(spec, outputs, labels)
    assert found.calibration.temperature == pytest.approx(temperature, rel=0.1)
    assert found.nll is not None
    assert found.ece is not None
    assert found.ece_of_perfect is not None
    assert found.nll.after < found.nll.before
    assert found.ece.after < 2 * found.ece_of_perfect < found.ece.before
    assert found.warnings == []
    before = from_outputs(spec, [], outputs)
    after = from_outputs(spec.model_copy(update={"calibration": found.calibration}), [], outputs)
    np.testing.assert_array_equal(before.values, after.values)
    honest = from_outputs(spec, [], outputs / found.calibration.temperature)
    np.testing.assert_array_equal(after.scores, honest.scores)


def test_the_error_of_sets_is_of_sets_as_a_whole() -> None:
    """Of three classes that always come together the product says too little, though each alone is honest."""
    generator = np.random.default_rng(3)
    honest = generator.normal(0, 2, (4000, 1)).repeat(3, axis=1)
    labels = (generator.random((4000, 1)) < expit(honest[:, :1]))[:, 0] * 7.0
    found = fit(TAGS, honest, labels)
    probabilities = expit(honest)
    sure = np.maximum(probabilities, 1 - probabilities).prod(axis=1)
    bins = np.array_split(np.argsort(sure, kind="stable"), 15)
    right = (honest[:, 0] > 0) == (labels == 7)
    error = sum(len(part) * abs(right[part].mean() - sure[part].mean()) for part in bins) / len(sure)
    assert found.ece is not None
    assert found.ece_of_perfect is not None
    assert found.ece.before == pytest.approx(error)
    assert found.calibration.temperature == pytest.approx(1, abs=0.1)
    assert found.ece.after > 3 * found.ece_of_perfect


@pytest.mark.parametrize("spec", [MOOD, SAME, TAGS], ids=["classes", "one logit", "sets"])
def test_answers_given_when_abstaining_are_those_above_the_threshold(spec: Task) -> None:
    outputs, labels = planted(spec, 2.0)
    found = fit(spec, 2 * outputs, labels)
    calibrated = spec.model_copy(update={"calibration": found.calibration})
    answered = from_outputs(calibrated, ["x"] * len(labels), 2 * outputs)
    sure = confidence(spec, answered.scores)
    right = answered.values == labels
    for line in found.answered:
        taken = threshold("it", calibrated, line.share)
        if taken is None:
            assert (line.answered, line.wrong) == (0, None)
            continue
        kept = without_unsure(calibrated, answered, taken, [""] * len(labels))
        np.testing.assert_array_equal(np.isnan(kept.values), sure <= taken.above)
        is_given = ~np.isnan(kept.values)
        assert is_given.mean() == pytest.approx(line.answered)
        assert line.wrong == pytest.approx((~right[is_given]).mean())
        assert line.wrong <= line.share
        assert [row[0] == "?" for row in rows(calibrated, kept)] == (~is_given).tolist()
    assert [line.share for line in found.answered] == list(SHARES)
    assert found.answered[-1].answered > 0


def test_the_confidence_in_a_set_is_that_of_all_its_decisions() -> None:
    probabilities = np.array([[0.9, 0.2, 0.5], [0.1, 0.1, 0.1]])
    np.testing.assert_allclose(confidence(TAGS, probabilities), [0.9 * 0.8 * 0.5, 0.9**3])


def test_a_margin_is_taken_from_answers_inside_the_range() -> None:
    generator = np.random.default_rng(2)
    scores = generator.uniform(-3, 8, (400, 1))
    labels = (scores[:, 0] + generator.normal(0, 0.4, 400)).clip(0, 5)
    found = fit(NEAR, scores, labels)
    residuals = np.abs(scores[:, 0].clip(0, 5) - labels)
    assert found.calibration.margin == np.sort(residuals)[381 - 1]  # 401 * 0.95 = 380.95
    assert found.covered == pytest.approx(0.95, abs=0.03)
    assert found.nll is None
    calibrated = NEAR.model_copy(update={"calibration": found.calibration})
    assert rows(calibrated, from_outputs(calibrated, ["x"], scores[:1]))[0][2] == found.calibration.margin


def test_too_few_rows_and_rows_that_say_nothing() -> None:
    outputs, labels = planted(MOOD, 1.0, n=19)
    with pytest.raises(
        DataError, match=r"^task 'it': 19 labelled rows in dev.csv; calibrating takes 20 or more, so add"
    ):
        fit(MOOD, outputs, labels)
    outputs, labels = planted(MOOD, 1.0, n=20)
    sure = fit(MOOD, outputs, outputs.argmax(axis=1).astype(float))
    assert sure.calibration.temperature == 1
    assert "every answer is right here, so no temperature can be fitted, and it stays 1" in sure.warnings[0]
    noise = fit(MOOD, outputs, (outputs.argmax(axis=1) + 1.0) % 3)
    assert "the logits tell no classes apart here" in noise.warnings[0]
    assert from_outputs(MOOD.model_copy(update={"calibration": noise.calibration}), [], outputs).scores.max() < 0.35


def test_a_temperature_that_does_not_help_other_rows_is_said_not_to() -> None:
    said = ["the temperature does not help on rows that it was not fitted to; take more rows"]
    seen = set()
    for seed in range(12):
        found = fit(MOOD, *planted(MOOD, 1.2, n=40, seed=seed))
        assert found.nll is not None
        seen.add(found.nll.after >= found.nll.before)
        assert found.warnings == (said if found.nll.after >= found.nll.before else [])
    assert seen == {True, False}


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.5, 5.0, float("nan")])
def test_a_share_to_abstain_by_lies_between_0_and_1(alpha: float) -> None:
    with pytest.raises(
        InputError, match=r"^abstaining by .*: give a share of wrong answers between 0 and 1, such as 0.05$"
    ):
        threshold("it", MOOD, alpha)


def test_where_abstaining_cannot_be_it_is_said_why() -> None:
    with pytest.raises(
        ModelError, match=r"^task 'it' gives scores, whose error is taken to be as large for every text"
    ):
        threshold("it", NEAR, 0.1)
    with pytest.raises(ModelError, match=r"^task 'it' is not calibrated; run `minbert calibrate` on the model first$"):
        threshold("it", MOOD, 0.1)
    with pytest.raises(ModelError, match=r"^task 'it' has a class '\?', which is how abstaining is written; name it"):
        threshold("it", task("classification", labels=["?", "!"]), 0.1)
