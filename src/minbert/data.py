"""A task's file -> examples: ids, texts and labels as numbers; every row comes out or is reported."""

import math
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from minbert.errors import DataError, several
from minbert.tables import Cell, Table, read_table
from minbert.tasks import Split, Task

Labels = NDArray[np.float64]


@dataclass(frozen=True)
class Examples:
    """N examples. `texts` holds one list per text column; `labels` [N] class numbers or scores, if known."""

    ids: list[str]
    texts: list[list[str]]
    labels: Labels | None = None

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used, and why. Rows count from 1, without the header."""

    path: Path
    row: int
    id: str
    column: str
    reason: str

    def __str__(self) -> str:
        who = f" (id {self.id})" if self.id and self.id != str(self.row) else ""
        where = f", column '{self.column}'" if self.column else ""
        return f"{self.path}, row {self.row}{who}{where}: {self.reason}"


@dataclass(frozen=True)
class Reading:
    """What reading a file gave: its examples, the rows left out, the classes, and remarks on both."""

    examples: Examples
    labels: list[str] | None = None
    bad_rows: list[BadRow] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def read_splits(task: Task, skip_bad_rows: bool = False) -> tuple[Task, dict[Split, Reading]]:
    """Reads every split that a task names; the train file decides the classes if the task does not.

    Returns the completed task and its readings. Raises DataError for a bad row unless they are to be skipped.
    """
    if task.train is None:
        raise DataError('the task names no train file; set train = "FILE" in its table')
    train = read_examples(Path(task.train), task, skip_bad_rows=skip_bad_rows)
    if not task.is_regression:
        _at_least_two_classes(Path(task.train), train)
        task = task.completed(train.labels)
    else:
        task = task.completed(None)
    readings: dict[Split, Reading] = {"train": train}
    if task.dev is not None:
        readings["dev"] = read_examples(Path(task.dev), task, skip_bad_rows=skip_bad_rows)
        readings["dev"].warnings.extend(_missing_classes(Path(task.dev), task, readings["dev"].examples))
    if task.test is not None:
        readings["test"] = read_examples(Path(task.test), task, labelled=False, skip_bad_rows=skip_bad_rows)
    return task, readings


def read_examples(path: Path, task: Task, labelled: bool = True, skip_bad_rows: bool = False) -> Reading:
    """Reads one file of a task. Where it is not `labelled`, a blank text is an example like any other.

    Raises DataError naming the first bad row, unless bad rows are to be skipped: then they are in the result.
    """
    reading = examine(read_table(path, task.format, task.encoding, task.quoting), task, labelled)
    if reading.bad_rows and not skip_bad_rows:
        more = len(reading.bad_rows) - 1
        raise DataError(
            f"{reading.bad_rows[0]}"
            + (f"\nand {more} more bad row{'s' if more > 1 else ''} in this file" if more else "")
            + "\ncorrect the file, or pass --skip-bad-rows to leave such rows out"
        )
    if not len(reading.examples):
        raise DataError(f"{path} has no row that can be used; {several([str(b) for b in reading.bad_rows], 1)}")
    return reading


def examine(table: Table, task: Task, labelled: bool) -> Reading:
    """Sorts a table's rows into examples and bad rows."""
    text_places = [table.column(name) for name in task.text_columns]
    label_place = table.column(task.label) if labelled else None
    ids = ids_of(table, task)
    bad: dict[int, BadRow] = {}
    texts: list[list[str]] = [[] for _ in text_places]
    labels: list[str] = []
    for row, cells in enumerate(table.rows, start=1):
        fault = _fault(table, row, task, text_places, label_place)
        if not ids[row - 1].strip():
            fault = fault or (task.id or "", "the id is blank; give the row one")
        if fault:
            bad[row] = BadRow(table.path, row, ids[row - 1], *fault)
        for place, column in zip(text_places, texts, strict=True):
            column.append(as_text(cells[place]))
        labels.append("" if label_place is None else canonical_label(cells[label_place]))
    notes = list(table.notes)
    classes = task.labels
    if labelled and not task.is_regression:
        good = [label for row, label in enumerate(labels, start=1) if row not in bad]
        classes = classes or label_order(set(good))
        notes += _label_notes(table, label_place)
    numbers = _numbers(table, task, labels, classes, bad) if labelled else None
    kept = [place for place in range(len(table.rows)) if place + 1 not in bad]
    examples = Examples(
        [ids[place] for place in kept],
        [[column[place] for place in kept] for column in texts],
        numbers[kept] if numbers is not None else None,
    )
    return Reading(examples, classes, [bad[row] for row in sorted(bad)], notes, list(table.warnings))


def ids_of(table: Table, task: Task) -> list[str]:
    """The ids byte for byte as the file has them; row numbers where the task has no id column."""
    if task.id is None:
        return [str(row) for row in range(1, len(table.rows) + 1)]
    place = table.column(task.id)
    return [as_text(cells[place]) for cells in table.rows]


def as_text(cell: Cell) -> str:
    """A cell as the text that a CSV file would hold: true, 1, 1.5; a missing one is empty."""
    if cell is None:
        return ""
    return str(cell).lower() if isinstance(cell, bool) else str(cell)


def is_blank(text: str) -> bool:
    """Whether nothing is left without separators and control or formatting characters (zero-width space, NUL)."""
    return all(unicodedata.category(character)[0] in "ZC" for character in text)


def canonical_label(cell: Cell) -> str:
    """One spelling a class: '1', '1.0' and 1.0 are '1'; 'True' and true are 'true'; outer blanks go, case stays."""
    text = as_text(cell).strip()
    if text.lower() in ("true", "false"):
        return text.lower()
    whole = re.fullmatch(r"([+-]?)(0|[1-9]\d*)(?:\.0*)?", text)
    return text if whole is None else str(int(whole[1] + whole[2]))


def label_order(labels: set[str]) -> list[str]:
    """Whole numbers by size, then words by alphabet."""
    return sorted(labels, key=lambda label: (not _is_whole(label), int(label) if _is_whole(label) else 0, label))


def _is_whole(text: str) -> bool:
    return re.fullmatch(r"-?\d+", text) is not None


def _fault(
    table: Table, row: int, task: Task, text_places: list[int], label_place: int | None
) -> tuple[str, str] | None:
    """The column and the reason that make a row unusable, or None."""
    if row in table.short:
        return "", table.short[row]
    cells = table.rows[row - 1]
    for name, place in zip(task.text_columns, text_places, strict=True):
        if not isinstance(cells[place], str | int | float | bool | None):
            return name, f"a value of type {type(cells[place]).__name__} is not a text; store text"
        if label_place is not None and is_blank(as_text(cells[place])):
            return name, "the text is blank; write one"
    if label_place is None:
        return None
    cell = cells[label_place]
    if isinstance(cell, bytes | list | dict | tuple):
        return task.label, f"a value of type {type(cell).__name__} is not a label; store text or a number"
    if is_blank(as_text(cell)):
        return task.label, "the label is blank; write one"
    reason = _label_fault(canonical_label(cell), task)
    return (task.label, reason) if reason else None


def _label_fault(label: str, task: Task) -> str | None:
    number = _number(label)
    if task.is_regression:
        low, high = task.bounds
        if number is None or not low <= number <= high:
            return f"'{label}' is not a number in {low:g}..{high:g}; correct it, or the task's range"
        return None
    if task.labels is not None and label not in [canonical_label(known) for known in task.labels]:
        known = f"{task.labels[0]}..{task.labels[-1]}" if _consecutive(task.labels) else ", ".join(task.labels[:8])
        return f"'{label}' is not among {known}; correct it, or the task's labels"
    if task.labels is None and number is not None and not _is_whole(label):
        return f"'{label}' is a score, not a class; correct it, or make the task a pair-regression"
    return None


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and "_" not in text else None


def _consecutive(labels: list[str]) -> bool:
    first = int(labels[0]) if _is_whole(labels[0]) else 0
    return labels == [str(first + place) for place in range(len(labels))]


def _numbers(table: Table, task: Task, labels: list[str], classes: list[str] | None, bad: dict[int, BadRow]) -> Labels:
    """Labels as numbers [N]: the score, or the class's place among the classes; NaN in bad rows."""
    places = {canonical_label(name): place for place, name in enumerate(classes or ())}
    numbers = np.full(len(table.rows), np.nan)
    for row, label in enumerate(labels, start=1):
        if row not in bad:
            numbers[row - 1] = float(label) + 0.0 if task.is_regression else places[label]
    return numbers


def _label_notes(table: Table, label_place: int | None) -> list[str]:
    """What was done to labels before they were compared, said once for the file."""
    assert label_place is not None
    cells = [as_text(cells[label_place]) for cells in table.rows]
    trimmed = sum(cell != cell.strip() for cell in cells)
    respelt = Counter(cell.strip() for cell in cells if canonical_label(cell) != cell.strip())
    notes = [f"trimmed blanks around {trimmed:,} labels"] if trimmed else []
    if respelt:
        pairs = ", ".join(f"'{cell}' as '{canonical_label(cell)}'" for cell, _ in respelt.most_common(3))
        notes.append(f"read label {pairs}")
    folded = Counter(label.casefold() for label in {canonical_label(cell) for cell in cells})
    alike = [label for label, count in folded.items() if count > 1]
    return notes + [f"labels that differ in case alone count as different classes: '{label}'" for label in alike]


def _at_least_two_classes(path: Path, train: Reading) -> None:
    assert train.examples.labels is not None
    present = np.unique(train.examples.labels)
    if len(present) < 2:
        name = (train.labels or ["?"])[int(present[0])]
        raise DataError(f"{path}: every row has the label '{name}'; a classification needs two, add rows of another")


def _missing_classes(path: Path, task: Task, examples: Examples) -> list[str]:
    if task.is_regression or examples.labels is None:
        return []
    present = {int(label) for label in examples.labels}
    missing = [name for place, name in enumerate(task.labels or ()) if place not in present]
    return [f"{path} has no example of label {', '.join(missing)}"] if missing else []
