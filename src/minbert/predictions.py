"""A head's outputs -> answers, and answers in and out of files: Parquet, and the course's own layout.

Letters in shapes: N examples, K outputs or classes.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import expit, softmax

from minbert import calibration
from minbert.calibration import Threshold
from minbert.data import Examples
from minbert.decoding import Remedies, Source, decode, read_bytes
from minbert.errors import DataError, InputError, ModelError, shown
from minbert.files import write_text
from minbert.labels import as_number, is_blank, label_number, listed_names
from minbert.tables import Cell, as_text, canonical_label, read_table, write_table
from minbert.tasks import COURSE, Task

Array = NDArray[np.float64]
UNSURE = "?"  # in place of an answer that is left to a person


@dataclass(frozen=True)
class Predictions:
    """Answers to N examples of one task.

    `values` [N] are class numbers, sets of classes as numbers, or scores kept inside the task's range; NaN where the
    answer is left to a person. `scores` are the class probabilities [N, K], or the head's own scores [N], which may
    leave the range. Metrics and the course's files use those.
    """

    ids: list[str]
    values: Array
    scores: Array
    labels: Array | None = None

    def part(self, place: slice) -> "Predictions":
        """The answers to the examples at a place."""
        labels = None if self.labels is None else self.labels[place]
        return Predictions(self.ids[place], self.values[place], self.scores[place], labels)


def from_outputs(task: Task, ids: list[str], outputs: Array, labels: Array | None = None) -> Predictions:
    """Turns a head's outputs [N, K] into answers. A logit says yes where its sigmoid is above 0.5."""
    if task.is_regression:
        low, high = task.bounds
        scores = outputs[:, 0]
        return Predictions(ids, scores.clip(low, high), scores, labels)
    plain = _probabilities(task, outputs)  # they choose: rounding may make a tie of scaled ones
    if task.is_multi_label:
        values = (plain > 0.5) @ 2.0 ** np.arange(outputs.shape[1])  # [N, K] -> sets [N]
    else:
        values = plain.argmax(1).astype(float)
    scaled = plain if task.calibration is None else _probabilities(task, outputs / task.calibration.temperature)
    return Predictions(ids, values, scaled, labels)


def _probabilities(task: Task, logits: Array) -> Array:
    """Of each class [N, K], from a classifier's logits."""
    if task.is_multi_label:
        return np.asarray(expit(logits))
    if task.loss == "bce":
        positive = expit(logits[:, 0])
        return np.stack([1 - positive, positive], axis=1)
    return np.asarray(softmax(logits, axis=1))


def confidence(task: Task, probabilities: Array) -> Array:
    """The probability of each answer [N], from those of its classes [N, K]: of a class its own, of a set the product
    over all classes of that of being in it or not."""
    if task.is_multi_label:
        return np.asarray(np.maximum(probabilities, 1 - probabilities).prod(axis=1))
    return np.asarray(probabilities.max(axis=1))


CALIBRATING = "run `minbert calibrate` on the model first"


def threshold(name: str, task: Task, alpha: float, remedy: str = CALIBRATING) -> Threshold | None:
    """The confidence above which at most `alpha` of a calibrated task's answers are wrong; None where there is none.

    Raises InputError or ModelError where that cannot be asked; `remedy` is how the task would be calibrated.
    """
    if not 0 < alpha < 1:
        raise InputError(f"abstaining by {alpha:g}: give a share of wrong answers between 0 and 1, such as 0.05")
    if task.is_regression:
        raise ModelError(
            f"task '{name}' gives scores, whose error is taken to be as large for every text, so there is none to "
            "abstain from; calibrated, it gives each score a margin"
        )
    if UNSURE in (task.labels or ()):
        raise ModelError(f"task '{name}' has a class '{UNSURE}', which is how abstaining is written; name it otherwise")
    if task.calibration is None:
        raise ModelError(f"task '{name}' is not calibrated; {remedy}")
    return calibration.threshold(task.calibration.risks, alpha)


def smallest_share(task: Task) -> float | None:
    """The least share of wrong answers, in whole per cents below a half, that some confidence is enough for."""
    assert task.calibration is not None
    shares = (percent / 100 for percent in range(1, 50))
    return next((share for share in shares if calibration.threshold(task.calibration.risks, share)), None)


def without_unsure(task: Task, predictions: Predictions, found: Threshold | None, notes: Sequence[str]) -> Predictions:
    """The predictions with NaN for every answer whose confidence is not above the threshold, and to a blank text.

    `notes` [N] are what each answer should be read with; without a threshold no answer is sure.
    """
    says = np.array([note != "empty" for note in notes], dtype=bool)  # nothing was calibrated on blank texts
    sure = confidence(task, predictions.scores) > (1.0 if found is None else found.above)
    return replace(predictions, values=np.where(sure & says, predictions.values, np.nan))


def metric_input(task: Task, predictions: Predictions) -> Array:
    """What a task's metric compares with the labels [N]: classes and sets as numbers, or scores as the head's."""
    return predictions.scores if task.is_regression else predictions.values


def answer(task: Task, value: float) -> str | float:
    """A class by its name, a set of them as a cell lists them, a score as a number; "?" where it is left open."""
    if np.isnan(value):
        return UNSURE
    return float(value) if task.is_regression else task.separator.join(task.named(value))


def columns(task: Task) -> list[str]:
    """The names of an answer's columns in a file: the prediction, then a score or every class's probability.

    A calibrated score has its margin beside it.
    """
    if task.is_regression:
        return ["prediction", "score", *(["margin"] if task.margin is not None else [])]
    return ["prediction", *(f"probability_{label}" for label in task.labels or ())]


def rows(task: Task, predictions: Predictions) -> list[list[Cell]]:
    """The cells under `columns`, a row per example."""
    scores = predictions.scores[:, None] if task.is_regression else predictions.scores  # [N, 1] or [N, K]
    margin = [] if task.margin is None else [task.margin]
    return [
        [answer(task, value), *(float(score) for score in row), *margin]
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


def read_parquet(path: Path, task: Task) -> Predictions:
    """What `write_parquet` wrote of a completed task."""
    frame = pl.read_parquet(path)
    names = columns(task)
    scores = frame.select(names[1:]).to_numpy().astype(np.float64)  # [N, 1] or [N, K]
    values = _numbers(task, frame["prediction"])
    labels = _numbers(task, frame["label"]) if "label" in frame.columns else None
    return Predictions(frame["id"].to_list(), values, scores[:, 0] if task.is_regression else scores, labels)


def _numbers(task: Task, answers: pl.Series) -> Array:
    """The inverse of `answer`."""
    if task.is_regression:
        return answers.to_numpy().astype(np.float64)
    return np.array([label_number(listed_names(name, task), task) for name in answers], dtype=np.float64)


def course_value(task: Task, predictions: Predictions, place: int) -> str:
    """An answer as the course prints it: 3 for a class, 1.0 for a pair's class, the raw score in full digits."""
    if task.is_regression:
        return str(float(np.float32(predictions.scores[place])))  # the course prints a float32 widened to a float
    name = answer(task, predictions.values[place])
    return f"{float(name)}" if task.is_pair and isinstance(name, str) and name.isdecimal() else str(name)


def write_course(path: Path, name: str, task: Task, predictions: Predictions) -> None:
    """The course's layout, blanks and all: a tab in the header, commas in the rows."""
    for row, example in enumerate(predictions.ids, start=1):
        check_course_id(f"{path}, row {row}", example)
    write_text(path, course_text(name, task, predictions))


def check_course_id(where: str, example: str) -> None:
    """Raises DataError for an id that the course's layout cannot hold."""
    if "\n" in example or "\r" in example:
        raise DataError(f"{where}: id {example!r} holds a line break; correct it, or write Parquet")


def course_text(name: str, task: Task, predictions: Predictions, begins: bool = True) -> str:
    """Answers in the course's layout, with its header where the file `begins` with them."""
    title = COURSE[name].predicted if name in COURSE else "Predicted"
    lines = [f"id \t {title} \n"] if begins else []
    for place, example in enumerate(predictions.ids):
        lines.append(f"{example} , {course_value(task, predictions, place)} \n")
    return "".join(lines)


def read_course(path: Path, task: Task) -> dict[str, float]:
    """A prediction file of the course as id -> class number or score; other layouts with id and prediction too."""
    try:
        first, *lines = decode(Source(path, read_bytes(path))).lines
    except DataError:  # Parquet, or a file that read_table refuses by its own name
        first, lines = "", []
    if re.match(r"id\s*\t\s*Predicted", first):
        return _by_id(path, task, [_course_row(path, line, text) for line, text in enumerate(lines, start=2) if text])
    table = read_table(path, remedies=Remedies(column="let predict write the file"))
    places = [f"line {table.line(row)}" if table.lines else f"row {row}" for row in range(1, len(table.rows) + 1)]
    for row, reason in table.short.items():
        raise DataError(f"{path}, {places[row - 1]}: {reason}")
    example = table.column("id")
    predicted = table.column("score" if task.is_regression and "score" in table.header else "prediction")
    ids, values = ([row[column] for row in table.rows] for column in (example, predicted))
    return _by_id(path, task, list(map(_Answer, places, map(as_text, ids), values)))


def from_answers(path: Path, examples: Examples, values: dict[str, float]) -> Predictions:
    """Answers read from a file, put in the order of labelled examples by id. Raises DataError where one lacks."""
    keys = [example if example in values else example.strip() for example in examples.ids]  # the starter strips ids
    lacking = [key for key in keys if key not in values]
    if lacking:
        raise DataError(
            f"{path} has no prediction for {len(lacking):,} of {len(examples):,} examples, such as id "
            f"{shown(lacking[0])}; is it of another split?"
        )
    found = np.array([values[key] for key in keys])
    return Predictions(examples.ids, found, found, examples.labels)


@dataclass(frozen=True)
class _Answer:
    """One answer of a file, and where it stands there."""

    place: str
    id: str
    cell: Cell


def _course_row(path: Path, line: int, text: str) -> _Answer:
    """Id and answer: a blank stands on each side of the last comma, and what is before it is the id to the byte."""
    example, comma, cell = text.rpartition(" , ")
    if not comma:
        example, comma, cell = text.rpartition(",")
        example = example.strip()
    if not comma:
        raise DataError(f"{path}, line {line}: no comma between id and prediction; write 'id , value '")
    return _Answer(f"line {line}", example, cell)


def _by_id(path: Path, task: Task, answers: list[_Answer]) -> dict[str, float]:
    if not answers:
        raise DataError(f"{path} has a header line and no rows; add rows")
    values: dict[str, float] = {}
    for answer in answers:
        if is_blank(answer.id):
            raise DataError(f"{path}, {answer.place}: the id is blank; write one")
        if answer.id in values:
            raise DataError(f"{path}, {answer.place}: id {shown(answer.id)} has an answer already; keep one of them")
        values[answer.id] = _value(path, task, answer)
    return values


def _value(path: Path, task: Task, answer: _Answer) -> float:
    label = canonical_label(answer.cell)
    value = as_number(label) if task.is_regression else task.class_numbers.get(label)
    if value is None:
        expected = "a number" if task.is_regression else f"one of {', '.join(task.labels or ())}"
        raise DataError(f"{path}, {answer.place}: prediction '{shown(label)}' is not {expected}; correct it")
    return float(value)
