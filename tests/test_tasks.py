"""A task says what it is, refuses what does not fit its kind, and is complete before a model stores it."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from minbert.heads import HEADS, POOLINGS
from minbert.losses import LOSSES
from minbert.metrics import METRICS
from minbert.tasks import BUILT_IN, COURSE, KINDS, Task

ONE: dict[str, Any] = {"kind": "classification"}
PAIR: dict[str, Any] = {"kind": "pair-classification", "text": ["a", "b"]}
SCORE: dict[str, Any] = {"kind": "pair-regression", "text": ["a", "b"], "range": [0, 5]}


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (ONE | {"text": ["a", "b"]}, 'a classification task has 1 text column, not 2; set text = "COLUMN"'),
        (
            {"kind": "pair-classification"},
            'a pair-classification task has 2 text columns, not 1; set text = ["COLUMN", "COLUMN"]',
        ),
        (
            SCORE | {"text": ["a"]},
            'a pair-regression task has 2 text columns, not 1; set text = ["COLUMN", "COLUMN"]',
        ),
        (ONE | {"head": "concat"}, "head 'concat' does not fit a classification task; take one of linear"),
        (
            PAIR | {"head": "concatt"},
            "head 'concatt' is unknown to a pair-classification task; take one of interaction, concat, concat-cosine",
        ),
        (
            SCORE | {"head": "linear"},
            "head 'linear' does not fit a pair-regression task; take one of cosine, concat, concat-cosine, interaction",
        ),
        (ONE | {"loss": "bce"}, "loss 'bce' does not fit a classification task; take one of cross-entropy"),
        (PAIR | {"loss": "mse"}, "loss 'mse' does not fit a pair-classification task; take one of bce, cross-entropy"),
        (SCORE | {"loss": "cosent"}, "loss 'cosent' is unknown to a pair-regression task; take one of mse"),
        (ONE | {"metric": "f2"}, "metric 'f2' is unknown to a classification task; take one of accuracy, macro-f1"),
        (
            SCORE | {"metric": "accuracy"},
            "metric 'accuracy' does not fit a pair-regression task; take one of pearson, spearman",
        ),
        (ONE | {"pooling": "max"}, "pooling 'max' is unknown; take one of cls, cls-raw, mean"),
        (
            {"kind": "pair-regression", "text": ["a", "b"]},
            "a pair-regression task needs a range, such as range = [0, 5]",
        ),
        (SCORE | {"range": [5, 0]}, "range = [5.0, 0.0] should rise from low to high"),
        (SCORE | {"range": [1, 1]}, "range = [1.0, 1.0] should rise from low to high"),
        (SCORE | {"labels": ["0", "1"]}, "labels are for classes; a pair-regression task has a range"),
        (ONE | {"range": [0, 5]}, "range is for scores; a classification task has labels"),
        *[
            (
                ONE | {"labels": labels},
                "labels should be at least two different ones, none of them blank; '1' and '1.0' are one",
            )
            for labels in ([], ["a"], ["a", "a"], ["1", "1.0"], ["a", " a"], ["true", "True"], ["", "a", "b"])
        ],
        (
            PAIR | {"loss": "bce", "labels": ["a", "b", "c"]},
            "loss 'bce' is for two classes, not 3; take cross-entropy",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_its_remedy(task: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Task.model_validate(task)
    assert [error["msg"] for error in refused.value.errors()] == [f"Value error, {message}"]


@pytest.mark.parametrize(
    ("task", "key", "kind"),
    [
        ({"kind": "regression"}, "kind", "literal_error"),
        ({}, "kind", "missing"),
        (ONE | {"lables": ["a", "b"]}, "lables", "extra_forbidden"),
        (ONE | {"labels": [0, 1]}, "labels", "string_type"),
        (ONE | {"weight": -1}, "weight", "greater_than_equal"),
        (ONE | {"weight": float("nan")}, "weight", "finite_number"),
        (ONE | {"weight": float("inf")}, "weight", "finite_number"),
        (ONE | {"weight": "1"}, "weight", "float_type"),
        (SCORE | {"range": [0, float("inf")]}, "range", "finite_number"),
        (SCORE | {"range": [0, float("nan")]}, "range", "finite_number"),
        (SCORE | {"range": [0, 1, 2]}, "range", "too_long"),
        (SCORE | {"text": ["a", "b", "c"]}, "text", "too_long"),
        (SCORE | {"text": []}, "text", "too_short"),
        (ONE | {"max_length": 2}, "max_length", "greater_than_equal"),
        (ONE | {"max_length": 128.0}, "max_length", "int_type"),
        (ONE | {"format": "xlsx"}, "format", "literal_error"),
        (ONE | {"quoting": "all"}, "quoting", "literal_error"),
    ],
)
def test_values_of_the_wrong_kind_are_refused_by_key(task: dict[str, Any], key: str, kind: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Task.model_validate(task)
    assert (key, kind) in {(error["loc"][0], error["type"]) for error in refused.value.errors()}


@pytest.mark.parametrize(
    ("task", "labels", "head", "loss", "metric", "outputs"),
    [
        (ONE, ["a", "b"], "linear", "cross-entropy", "accuracy", 2),
        (ONE, ["a", "b", "c"], "linear", "cross-entropy", "accuracy", 3),
        (PAIR, ["a", "b"], "interaction", "bce", "accuracy", 1),
        (PAIR, ["a", "b", "c"], "interaction", "cross-entropy", "accuracy", 3),
        (PAIR | {"loss": "cross-entropy"}, ["a", "b"], "interaction", "cross-entropy", "accuracy", 2),
        (PAIR | {"head": "concat", "metric": "macro-f1"}, ["a", "b"], "concat", "bce", "macro-f1", 1),
        (SCORE, None, "cosine", "mse", "pearson", 1),
        (SCORE | {"head": "interaction", "metric": "spearman"}, None, "interaction", "mse", "spearman", 1),
    ],
)
def test_a_completed_task_has_made_every_choice(
    task: dict[str, Any], labels: list[str] | None, head: str, loss: str, metric: str, outputs: int
) -> None:
    completed = Task.model_validate(task).completed(labels)
    assert (completed.head, completed.loss, completed.metric) == (head, loss, metric)
    assert (completed.labels, completed.num_outputs, completed.pooling) == (labels, outputs, "mean")
    assert completed.completed(None) == completed, "completing twice changes nothing"


def test_declared_labels_win_over_those_of_the_file() -> None:
    assert Task.model_validate(ONE | {"labels": ["b", "a"]}).completed(["a", "b"]).labels == ["b", "a"]


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_task_survives_json(name: str) -> None:
    task = Task.model_validate(BUILT_IN[name]).completed(None)
    stored = json.dumps(task.model_dump(mode="json"))
    assert Task.model_validate(json.loads(stored)) == task
    assert Task.model_validate_json(stored) == task


def test_properties_follow_the_kind() -> None:
    one, pair, score = (Task.model_validate(task) for task in (ONE, PAIR, SCORE))
    assert [task.text_columns for task in (one, pair, score)] == [["text"], ["a", "b"], ["a", "b"]]
    assert [task.is_pair for task in (one, pair, score)] == [False, True, True]
    assert [task.is_regression for task in (one, pair, score)] == [False, False, True]
    assert [task.bounds for task in (one, pair, score)] == [(0, 1), (0, 1), (0, 5)]


def test_every_choice_of_a_kind_exists() -> None:
    for kind, traits in KINDS.items():
        task = ONE | {"kind": kind, "text": ["a", "b"][: traits.texts]}
        task |= {"range": [0, 1]} if kind == "pair-regression" else {}
        for head in traits.heads:
            assert Task.model_validate(task | {"head": head}).head in HEADS
        for loss in traits.losses:
            assert Task.model_validate(task | {"loss": loss}).loss in LOSSES
        for metric in traits.metrics:
            assert Task.model_validate(task | {"metric": metric}).metric in METRICS
        for pooling in POOLINGS:
            assert Task.model_validate(task | {"pooling": pooling}).pooling == pooling


@pytest.mark.parametrize(
    ("name", "prefix", "text", "label", "predicted"),
    [
        ("sst", "ids-sst", "sentence", "sentiment", "Predicted_Sentiment"),
        ("cfimdb", "ids-cfimdb", "sentence", "sentiment", "Predicted_Sentiment"),
        ("para", "quora", ["sentence1", "sentence2"], "is_duplicate", "Predicted_Is_Paraphrase"),
        ("sts", "sts", ["sentence1", "sentence2"], "similarity", "Predicted_Similiary"),
    ],
)
def test_built_in_tasks_are_the_courses(
    name: str, prefix: str, text: str | list[str], label: str, predicted: str
) -> None:
    """Names of files and columns as the course's starter code has them."""
    task = Task.model_validate(BUILT_IN[name])
    assert (task.train, task.dev, task.test) == (
        f"{prefix}-train.csv",
        f"{prefix}-dev.csv",
        f"{prefix}-test-student.csv",
    )
    assert (task.text, task.label, task.id) == (text, label, "id")
    assert COURSE[name].predicted == predicted
    assert COURSE[name].prefix == prefix


def test_built_in_tasks_have_the_courses_labels() -> None:
    tasks = {name: Task.model_validate(task) for name, task in BUILT_IN.items()}
    assert {name: task.kind for name, task in tasks.items()} == {
        "sst": "classification",
        "cfimdb": "classification",
        "para": "pair-classification",
        "sts": "pair-regression",
    }
    assert {name: task.labels for name, task in tasks.items()} == {
        "sst": ["0", "1", "2", "3", "4"],
        "cfimdb": ["0", "1"],
        "para": ["0", "1"],
        "sts": None,
    }
    assert tasks["sts"].range == (0, 5)
    assert tasks["para"].completed(None).loss == "bce"


def test_every_key_is_documented() -> None:
    for key, field in Task.model_fields.items():
        assert field.description, key
