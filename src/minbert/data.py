"""A task's file -> examples: ids, texts and labels as numbers; every row comes out or is reported."""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from minbert.errors import DataError, counted, several, shown
from minbert.tables import Cell, Table, as_text, canonical_label, read_table
from minbert.tasks import Task

Labels = NDArray[np.float64]
SKIPPING = "correct the file, or pass --skip-bad-rows to leave such rows out"
BLANK = {"Zs", "Zl", "Zp", "Cc", "Cf", "Co", "Cs"}


@dataclass(frozen=True)
class Examples:
    """N examples. `texts` holds one list per text column; `labels` [N] class numbers or scores, if known."""

    ids: list[str]
    texts: list[list[str]]
    labels: Labels | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: NDArray[np.intp]) -> Self:
        """The examples at `rows`, in their order."""
        labels = None if self.labels is None else self.labels[rows]
        texts = [[column[row] for row in rows] for column in self.texts]
        return replace(self, ids=[self.ids[row] for row in rows], texts=texts, labels=labels)


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used, and why. Rows count from 1 without the header; a Parquet file has no lines."""

    path: Path
    row: int
    id: str
    column: str
    reason: str
    line: int | None = None

    def __str__(self) -> str:
        known = [] if self.line in (None, self.row) else [f"line {self.line}"]
        known += [f"id {shown(self.id)}"] if self.id and self.id != str(self.row) else []
        place = f"row {self.row}" + (f" ({', '.join(known)})" if known else "")
        where = f", column '{self.column}'" if self.column else ""
        return f"{self.path}, {place}{where}: {self.reason}"


@dataclass(frozen=True)
class Reading:
    """What reading a file gave: its examples, the rows left out, the classes, and remarks on both.

    `parts` are the readings that it was joined from, in order, by file or by the name of a dev set; of one file none.
    """

    examples: Examples
    labels: list[str] | None = None
    bad_rows: list[BadRow] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    parts: Mapping[str, "Reading"] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows of the file: those that came out and those that are reported."""
        return len(self.examples) + len(self.bad_rows)

    @property
    def row_numbers(self) -> list[int]:
        """The row of each example, from 1 and without the header; of several files they count on."""
        if not self.parts:
            bad = {row.row for row in self.bad_rows}
            return [row for row in range(1, self.rows + 1) if row not in bad]
        before = accumulate((part.rows for part in self.parts.values()), initial=0)
        return [rows + row for rows, part in zip(before, self.parts.values(), strict=False) for row in part.row_numbers]

    @property
    def places(self) -> dict[str, slice]:
        """Where the examples of each part stand."""
        ends = list(accumulate((len(part.examples) for part in self.parts.values()), initial=0))
        return {name: slice(*pair) for name, pair in zip(self.parts, pairwise(ends), strict=True)}

    def without_bad_rows(self, skip: bool, remedy: str = SKIPPING) -> Self:
        """The reading itself. Raises DataError, naming the first bad row, unless bad rows are to be skipped."""
        if self.bad_rows and not skip:
            more = len(self.bad_rows) - 1
            raise DataError(
                f"{self.bad_rows[0]}"
                + (f"\nand {counted(more, 'more bad row')} in this file" if more else "")
                + f"\n{remedy}"
            )
        return self


def read_examples(path: Path, task: Task, labelled: bool = True, skip_bad_rows: bool = False) -> Reading:
    """Reads one file of a task. Where it is not `labelled`, a blank text is an example like any other.

    Raises DataError naming the first bad row, unless bad rows are to be skipped: then they are in the result.
    """
    return usable(read_rows(path, task, labelled).without_bad_rows(skip_bad_rows), str(path))


def usable(reading: Reading, where: str) -> Reading:
    """The reading itself. Raises DataError where nothing came out of it."""
    if not len(reading.examples):
        raise DataError(f"{where} has no row that can be used; {several([str(b) for b in reading.bad_rows], 1)}")
    return reading


def read_rows(path: Path, task: Task, labelled: bool) -> Reading:
    """Reads one file of a task, bad rows and all, and warns of cells that may have swallowed rows."""
    table = read_table(path, task.format, task.encoding, task.quoting)
    reading = examine(table, task, labelled)
    if table.broken:
        rows, line = counted(len(table.broken), "row"), table.line(table.broken[0])
        reading.warnings.append(
            f"{rows} with a line break inside a cell, the first on line {line}; check that no quote is left open"
        )
    return reading


def examine(table: Table, task: Task, labelled: bool) -> Reading:
    """Sorts a table's rows into examples and bad rows."""
    places = _Places(
        [table.column(name) for name in task.text_columns],
        table.column(task.label) if labelled else None,
        None if task.id is None else table.column(task.id),
    )
    ids = ids_of(table, task)
    faults = {row: _fault(table, row, task, places) for row in range(1, len(table.rows) + 1)}
    bad = [BadRow(table.path, row, ids[row - 1], *fault, table.line(row)) for row, fault in faults.items() if fault]
    kept = [cells for row, cells in enumerate(table.rows, start=1) if not faults[row]]
    labels = [canonical_label(cells[places.label]) for cells in kept] if places.label is not None else None
    classes, notes, warnings = task.labels, list(table.notes), list(table.warnings)
    if labels is not None and places.label is not None and not task.is_regression:
        notes += _label_notes([as_text(cells[places.label]) for cells in kept])
        if classes is None:
            classes = label_order(set(labels))
            warnings += _near_duplicates(classes)
    examples = Examples(
        [ids[row - 1] for row, fault in faults.items() if not fault],
        [[as_text(cells[place]) for cells in kept] for place in places.texts],
        None if labels is None else _numbers(task.model_copy(update={"labels": classes}), labels),
    )
    return Reading(examples, classes, bad, notes, warnings)


@dataclass(frozen=True)
class _Places:
    """Where a table keeps what a task needs; None for what it does not need."""

    texts: list[int]
    label: int | None
    id: int | None


def ids_of(table: Table, task: Task) -> list[str]:
    """The ids byte for byte as the file has them; row numbers where the task has no id column."""
    if task.id is None:
        return [str(row) for row in range(1, len(table.rows) + 1)]
    place = table.column(task.id)
    return [as_text(cells[place]) for cells in table.rows]


def is_blank(text: str) -> bool:
    """Whether a text has nothing but what BERT's tokenizer drops: blanks, control, format and private characters."""
    return all(unicodedata.category(character) in BLANK for character in text)


def label_order(labels: set[str]) -> list[str]:
    """Whole numbers by size, then words by alphabet."""
    return sorted(labels, key=lambda label: (not _is_whole(label), float(label) if _is_whole(label) else 0, label))


def _is_whole(text: str) -> bool:
    return re.fullmatch(r"-?\d+", text) is not None


def _fault(table: Table, row: int, task: Task, places: _Places) -> tuple[str, str] | None:
    """The column and the reason that make a row unusable, or None."""
    needed = [place for place in (*places.texts, places.label, places.id) if place is not None]
    if fault := table.fault(row, [table.header[place] for place in needed]):
        return fault
    cells = table.rows[row - 1]
    for name, place in zip(task.text_columns, places.texts, strict=True):
        if not isinstance(cells[place], str | int | float | bool | None):
            return name, f"a value of type {type(cells[place]).__name__} is not a text; store text"
        if places.label is not None and is_blank(as_text(cells[place])):
            return name, "the text is blank; write one"
    if places.label is not None and (reason := _label_fault(cells[places.label], task)):
        return task.label, reason
    if places.id is not None and (reason := _cell_fault(cells[places.id], "id")):
        return task.id or "", reason
    return None


def _cell_fault(cell: Cell, what: str) -> str | None:
    """Why a cell can be no id or label of any task, or None."""
    if isinstance(cell, bytes | list | dict):
        return f"a value of type {type(cell).__name__} is not {'an' if what == 'id' else 'a'} {what}; store text"
    if is_blank(as_text(cell)):
        state = "null" if cell is None else "NaN" if isinstance(cell, float) else "blank"
        return f"the {what} is {state}; write one"
    return None


def _label_fault(cell: Cell, task: Task) -> str | None:
    """Why a cell is no label of the task, or None."""
    if reason := _cell_fault(cell, "label"):
        return reason
    label = canonical_label(cell)
    number, quoted = as_number(label), f"'{shown(label)}'"
    if task.is_regression:
        low, high = task.bounds
        if number is None or not low <= number <= high:
            return f"{quoted} is not a number in {low:g}..{high:g}; correct it, or the task's range"
    elif task.labels is not None:
        if label not in task.class_numbers:
            return f"{quoted} is not among {listed_labels(task.labels)}; correct it, or the task's labels"
    elif (number is not None and not _is_whole(label)) or (isinstance(cell, float) and not cell.is_integer()):
        remedy = "correct it, or make the task a pair-regression" if task.is_pair else "correct it"
        return f"{quoted} is a score, not a class; {remedy}"
    return None


def as_number(text: str) -> float | None:
    """The finite number that a label or an answer is, or None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and "_" not in text else None


def listed_labels(labels: list[str]) -> str:
    """Classes as a message names them: 0..4, or the first few."""
    if len(labels) > 2 and _consecutive(labels):
        return f"{labels[0]}..{labels[-1]}"
    return ", ".join(shown(label, 20) for label in labels[:8]) + (", …" if len(labels) > 8 else "")


def _consecutive(labels: list[str]) -> bool:
    first = int(labels[0]) if _is_whole(labels[0]) else 0
    return labels == [str(first + place) for place in range(len(labels))]


def _numbers(task: Task, labels: list[str]) -> Labels:
    """Canonical labels as numbers [N]: the score, or the class's place among the classes."""
    if task.is_regression:
        return np.array([float(label) for label in labels])
    return np.array([float(task.class_numbers[label]) for label in labels])


def _label_notes(cells: list[str]) -> list[str]:
    """What was done to labels before they were compared, said once for the file."""
    trimmed = sum(cell != cell.strip() for cell in cells)
    respelt = Counter(cell.strip() for cell in cells if canonical_label(cell) != cell.strip())
    notes = [f"trimmed the blanks around labels, in {counted(trimmed, 'row')}"] if trimmed else []
    pairs = ", ".join(f"'{cell}' as '{canonical_label(cell)}'" for cell, _ in respelt.most_common(3))
    return notes + ([f"read label {pairs}"] if pairs else [])


def _near_duplicates(classes: list[str]) -> list[str]:
    folded = Counter(label.casefold() for label in classes)
    alike = [f"'{shown(label)}'" for label in classes if folded[label.casefold()] > 1]
    return [f"labels {', '.join(alike[:6])} differ in case alone and count as different classes"] if alike else []
