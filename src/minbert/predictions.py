"""A head's outputs -> answers, and answers in and out of files: Parquet, and the course's own layout.

Letters in shapes: N examples, K outputs or classes.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from minbert.data import as_text, canonical_label
from minbert.errors import DataError
from minbert.files import write_text
from minbert.tables import Cell, read_table, write_table
from minbert.tasks import COURSE, Task

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Predictions:
    """Answers to N examples of one task.

    `values` [N] are class numbers, or scores kept inside the task's range; `scores` are the class probabilities
    [N, K], or the head's own scores [N], which may leave the range. Metrics and the course's files use those.
    """

    ids: list[str]
    values: Array
    scores: Array
    labels: Array | None = None


def from_outputs(task: Task, ids: list[str], outputs: Array, labels: Array | None = None) -> Predictions:
    """Turns a head's outputs [N, K] into answers. A binary logit says class 1 where its sigmoid is above 0.5."""
    if task.is_regression:
        low, high = task.bounds
        scores = outputs[:, 0]
        return Predictions(ids, scores.clip(low, high), scores, labels)
    if task.loss == "bce":
        positive = expit(outputs[:, 0])
        probabilities = np.stack([1 - positive, positive], axis=1)
        return Predictions(ids, (positive > 0.5).astype(float), probabilities, labels)
    probabilities = softmax(outputs, axis=1)
    return Predictions(ids, probabilities.argmax(1).astype(float), probabilities, labels)


def metric_input(task: Task, predictions: Predictions) -> Array:
    """What a task's metric compares with the labels [N]: class numbers, or scores as the head gave them."""
    return predictions.scores if task.is_regression else predictions.values


def answer(task: Task, value: float) -> str | float:
    """A class by its name, a score as a number."""
    return float(value) if task.is_regression else (task.labels or [])[int(value)]


def columns(task: Task) -> list[str]:
    """The names of an answer's columns in a file: the prediction, then a score or every class's probability."""
    if task.is_regression:
        return ["prediction", "score"]
    return ["prediction", *(f"probability_{label}" for label in task.labels or ())]


def rows(task: Task, predictions: Predictions) -> list[list[Cell]]:
    """The cells under `columns`, a row per example."""
    scores = predictions.scores.reshape(len(predictions.ids), -1)
    return [
        [answer(task, value), *(float(score) for score in row)]
        for value, row in zip(predictions.values, scores, strict=True)
    ]


def write_parquet(path: Path, task: Task, predictions: Predictions) -> None:
    """id, label where known, and the columns above."""
    known = predictions.labels is not None
    labels: list[Cell] = [] if predictions.labels is None else [answer(task, x) for x in predictions.labels]
    header = ["id", *(["label"] if known else []), *columns(task)]
    cells: list[list[Cell]] = []
    for place, row in enumerate(rows(task, predictions)):
        cells.append([predictions.ids[place], *(labels[place : place + 1]), *row])
    write_table(path, header, cells)


def course_value(task: Task, predictions: Predictions, place: int) -> str:
    """An answer as the course prints it: 3 for a class, 1.0 for a pair's class, the raw score in full digits."""
    if task.is_regression:
        return str(float(np.float32(predictions.scores[place])))  # the course prints a float32 widened to a float
    name = answer(task, predictions.values[place])
    return f"{float(name)}" if task.is_pair and isinstance(name, str) and name.isdigit() else str(name)


def write_course(path: Path, name: str, task: Task, predictions: Predictions) -> None:
    """The course's layout, blanks and all: a tab in the header, commas in the rows."""
    title = COURSE[name].predicted if name in COURSE else "Predicted"
    lines = [f"id \t {title} \n"]
    for place, example in enumerate(predictions.ids):
        if "\n" in example or "\r" in example:
            raise DataError(f"id '{example!r}' holds a line break, which the course's layout cannot hold; mend the id")
        lines.append(f"{example} , {course_value(task, predictions, place)} \n")
    write_text(path, "".join(lines))


def read_course(path: Path, task: Task) -> dict[str, float]:
    """A prediction file of the course as id -> class number or score; other layouts with id and prediction too."""
    try:
        first, *lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (FileNotFoundError, ValueError):
        first, lines = "", []
    if not re.match(r"id\s*\t\s*Predicted", first):
        return _read_answers(path, task)
    values: dict[str, float] = {}
    for row, line in enumerate(lines, start=1):
        example, comma, cell = line.rpartition(",")
        if not comma:
            raise DataError(f"{path}, row {row}: no comma between id and prediction; write 'id , value '")
        values[example.strip()] = _value(path, row, task, cell)
    return values


def _read_answers(path: Path, task: Task) -> dict[str, float]:
    table = read_table(path)
    example, predicted = table.column("id"), table.column("score" if task.is_regression else "prediction")
    return {
        as_text(cells[example]): _value(path, row, task, cells[predicted])
        for row, cells in enumerate(table.rows, start=1)
    }


def _value(path: Path, row: int, task: Task, cell: Cell) -> float:
    label = canonical_label(cell)
    try:
        return float(label) if task.is_regression else float((task.labels or []).index(label))
    except ValueError:
        expected = "a number" if task.is_regression else f"one of {', '.join(task.labels or ())}"
        raise DataError(f"{path}, row {row}: prediction '{label}' is not {expected}; correct it") from None
