"""Any number of classes an example: read, learned, scored and answered as scikit-learn and torch would."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import accuracy_score, f1_score

from minbert import MultitaskModel, train
from minbert.data import read_examples
from minbert.errors import DataError, RecipeError
from minbert.evaluation import score
from minbert.holdout import hold_back
from minbert.losses import LOSSES
from minbert.metrics import METRICS
from minbert.predictions import Predictions, from_outputs, read_parquet, write_parquet
from minbert.recipes import load
from minbert.splits import read_splits
from minbert.tasks import MOST_LABELS, Task

LISTED = [
    ("a good film", "fun,art"),
    ("a dull film", ""),
    ("a quiet cat", "art"),
    ("very good", " fun , fun"),
    ("no", "sad"),
]
SETS = [0b011, 0, 0b001, 0b010, 0b100]  # of art, fun, sad


def tags(**more: Any) -> Task:
    return Task.model_validate({"kind": "multi-label", "label": "tags"} | more)


@pytest.fixture
def csv(tmp_path: Path) -> str:
    return str(write(tmp_path / "t.csv", LISTED))


def write(path: Path, rows: list[tuple[str, str]], header: str = "text,tags") -> Path:
    path.write_text(header + "\n" + "".join(f'{text},"{names}"\n' for text, names in rows), encoding="utf-8")
    return path


def test_a_cell_lists_classes_and_a_blank_one_none(csv: str) -> None:
    task, readings = read_splits(tags(train=csv))
    assert task.labels == ["art", "fun", "sad"]
    labels = readings["train"].examples.labels
    assert labels is not None
    assert labels.tolist() == SETS
    assert [task.named(value) for value in labels] == [["art", "fun"], [], ["art"], ["fun"], ["sad"]]


@pytest.mark.parametrize("form", ["columns", "jsonl", "parquet", "tsv"])
def test_every_form_of_the_same_sets_gives_the_same_labels(tmp_path: Path, form: str, csv: str) -> None:
    names = [["fun", "art"], [], ["art"], ["fun", "fun"], ["sad"]]
    texts = [text for text, _ in LISTED]
    file = tmp_path / f"x.{form}"
    more: dict[str, Any] = {}
    if form == "columns":
        file, more = tmp_path / "x.csv", {"label": ["art", "fun", "sad"]}
        words = [["1" if tag in of else ("0", "False")[n % 2] for tag in more["label"]] for n, of in enumerate(names)]
        lines = [f"{text},{','.join(of)}\n" for text, of in zip(texts, words, strict=True)]
        file.write_text("text,art,fun,sad\n" + "".join(lines))
    elif form == "tsv":
        more = {"separator": "|"}
        file.write_text("text\ttags\n" + "".join(f"{t}\t{'|'.join(of)}\n" for t, of in zip(texts, names, strict=True)))
    elif form == "jsonl":
        lines = [json.dumps({"text": t, "tags": of}) for t, of in zip(texts, names, strict=True)]
        file.write_text("\n".join(lines) + "\n")
    else:
        pl.DataFrame({"text": texts, "tags": names}).write_parquet(file)
    reading = read_examples(file, tags(**more))
    assert reading.labels == ["art", "fun", "sad"]
    assert reading.examples.labels is not None
    assert reading.examples.labels.tolist() == SETS


@pytest.mark.parametrize(
    ("cell", "more", "fault"),
    [
        ("fun,sda", {"labels": ["art", "fun", "sad"]}, "row 1.*column 'tags': 'sda' is not among art, fun, sad"),
        ("perhaps", {"label": ["tags"]}, "row 1.*column 'tags': 'perhaps' is neither 1 nor 0; write one of them"),
        ("", {"label": ["tags"]}, "'' is neither 1 nor 0"),
    ],
)
def test_a_cell_that_is_no_set_is_named(tmp_path: Path, cell: str, more: Any, fault: str) -> None:
    file = write(tmp_path / "t.csv", [("a film", cell)])
    with pytest.raises(DataError, match=fault):
        read_examples(file, tags(**more))


def test_null_is_no_set(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"text": "a", "tags": null}\n{"text": "b", "tags": [["x"]]}\n')
    task = tags(labels=["x"])
    with pytest.raises(DataError, match="the label is null or of another type"):
        read_examples(tmp_path / "t.jsonl", task)


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ({"labels": ["a", "A", "a"]}, "labels should be different ones"),
        ({"label": ["a", "b"], "labels": ["x", "y"]}, "labels are the label columns themselves"),
        ({"labels": [f"c{n}" for n in range(53)]}, "53 labels are more than the 52 that a multi-label task may have"),
        ({"class_weights": "balanced"}, "class_weights are for one class an example"),
        ({"loss": "bce"}, "loss 'bce' does not fit a multi-label task"),
        ({"kind": "classification", "label": ["a", "b"]}, "has one label column"),
    ],
)
def test_what_a_multi_label_task_cannot_be(more: Any, fault: str) -> None:
    with pytest.raises(RecipeError, match=fault):
        load({"tasks": {"tags": {"kind": "multi-label"} | more}})


def test_a_file_without_any_label_or_with_too_many_is_refused(tmp_path: Path) -> None:
    none = write(tmp_path / "none.csv", [("a film", ""), ("a cat", "")])
    with pytest.raises(DataError, match=r"none.csv: no row has a label"):
        read_splits(tags(train=str(none)))
    many = write(tmp_path / "many.csv", [("a film", ",".join(f"c{n}" for n in range(MOST_LABELS + 1)))])
    with pytest.raises(DataError, match=r"many.csv has 53 labels"):
        read_splits(tags(train=str(many)))


def test_the_largest_set_is_exact(tmp_path: Path) -> None:
    names = [f"c{n:02}" for n in range(MOST_LABELS)]
    file = write(tmp_path / "t.csv", [("a film", ",".join(names)), ("a cat", names[-1]), ("a dog", names[0])])
    task, readings = read_splits(tags(train=str(file)))
    labels = readings["train"].examples.labels
    assert labels is not None
    assert [task.named(value) for value in labels] == [names, names[-1:], names[:1]]


def sets_of(generator: np.random.Generator, n: int, K: int) -> tuple[np.ndarray, np.ndarray]:
    """Membership [n, K] and the same as sets [n]."""
    held = generator.random((n, K)) < 0.4
    return held, held @ 2.0 ** np.arange(K)


@pytest.mark.parametrize("K", [2, 3, 30, MOST_LABELS])
def test_scores_are_scikit_learns(K: int) -> None:
    generator = np.random.default_rng(K)
    (true, labels), (called, predictions) = sets_of(generator, 60, K), sets_of(generator, 60, K)
    assert METRICS["micro-f1"](predictions, labels) == pytest.approx(f1_score(true, called, average="micro"))
    assert METRICS["label-f1"](predictions, labels) == pytest.approx(f1_score(true, called, average="macro"))
    assert METRICS["accuracy"](predictions, labels) == pytest.approx(accuracy_score(true, called))


def test_of_empty_sets_there_is_no_f1() -> None:
    nothing = np.zeros(4)
    assert METRICS["micro-f1"](nothing, nothing) is None
    assert METRICS["label-f1"](nothing, nothing) is None
    assert METRICS["micro-f1"](nothing, nothing + 1) == 0


def test_the_loss_is_torchs_over_all_classes() -> None:
    generator = np.random.default_rng(0)
    true, labels = sets_of(generator, 7, MOST_LABELS)
    logits = torch.randn(7, MOST_LABELS, generator=torch.Generator().manual_seed(0))
    expected = F.binary_cross_entropy_with_logits(logits, torch.from_numpy(true).float())
    torch.testing.assert_close(LOSSES["bce-per-label"](logits, torch.from_numpy(labels), None), expected)


def test_answers_are_the_classes_above_a_half_and_survive_a_file(tmp_path: Path) -> None:
    task = tags(labels=["art", "fun", "sad"]).completed(None)
    outputs = np.array([[2.0, 0.1, -3.0], [-1.0, -1.0, -0.1], [0.0, 5.0, 5.0]])
    predicted = from_outputs(task, ["a", "b", "c"], outputs, np.array([3.0, 0.0, 4.0]))
    assert predicted.values.tolist() == [3, 0, 6]
    np.testing.assert_allclose(predicted.scores, 1 / (1 + np.exp(-outputs)))
    write_parquet(tmp_path / "p.parquet", task, predicted)
    assert pl.read_parquet(tmp_path / "p.parquet")["prediction"].to_list() == ["art,fun", "", "fun,sad"]
    again = read_parquet(tmp_path / "p.parquet", task)
    assert (again.values.tolist(), again.labels.tolist() if again.labels is not None else None) == (
        [3, 0, 6],
        [3, 0, 4],
    )


def test_the_baseline_is_the_best_set_for_all() -> None:
    """Most rows are empty; to call all of them by the frequent class is still the better F1."""
    task = tags(labels=["art", "fun"]).completed(None)
    labels = np.array([0, 0, 0, 1, 1, 2.0])
    found = score(task, Predictions([str(i) for i in range(6)], labels, np.zeros((6, 2)), labels))
    assert (found.metric, found.value) == ("micro-f1", 1)
    assert found.baseline == max(METRICS["micro-f1"](np.full(6, answer), labels) or 0 for answer in range(4))


def test_rows_are_held_back_by_their_sets() -> None:
    texts = [[f"text {n}" for n in range(40)]]
    labels = np.array([2.0**51, 1.0] * 20)
    held = hold_back(texts, np.stack([labels == 1, labels == 2.0**51], axis=1), 10)
    assert sorted(labels[held].tolist()) == [1.0] * 5 + [2.0**51] * 5


def test_a_multi_label_task_is_trained_beside_another_and_answers(tmp_path: Path, tiny_encoder: Path) -> None:
    words = ["good", "bad", "film", "cat", "dog", "dull", "quiet", "very"]
    rows = [
        (f"{words[n % 8]} {words[n // 8]}", ",".join(w for w in ("good", "cat") if w == words[n % 8]))
        for n in range(48)
    ]
    file = str(write(tmp_path / "t.csv", rows))
    (tmp_path / "m.csv").write_text("text,label\n" + "".join(f"{text},{n % 2}\n" for n, (text, _) in enumerate(rows)))
    tasks = {
        "tags": {"kind": "multi-label", "label": "tags", "train": file, "dev": file},
        "mood": {"kind": "classification", "train": str(tmp_path / "m.csv"), "holdout": 8},
    }
    optimizer = {"lr": 3e-3, "head_lr": 3e-2}
    recipe = {"encoder": str(tiny_encoder), "tasks": tasks, "optimizer": optimizer, "training": {"epochs": 30}}
    run = train(recipe, runs=tmp_path / "runs")
    scores = [record["metrics"]["tags"]["micro-f1"] for record in run.records() if record["kind"] == "evaluation"]
    assert max(scores) > 0.9 > scores[0]
    model = MultitaskModel.from_pretrained(run.best)
    found = model.predict("tags", ["good film", "dull dog"])
    assert [prediction.answer for prediction in found] == [["good"], []]
    assert list(found[0].probabilities or {}) == ["cat", "good"]
