"""A task's file -> examples: ids, texts and labels as numbers; every row comes out or is reported."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from minbert.errors import DataError, counted, several, shown
from minbert.labels import (
    Labels,
    cell_fault,
    classes_of,
    is_blank,
    label_fault,
    label_names,
    label_notes,
    label_number,
    near_duplicates,
)
from minbert.tables import Cell, Table, as_text, read_table
from minbert.tasks import Task

SKIPPING = "correct the file, or pass --skip-bad-rows to leave such rows out"


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
    elsewhere: int = 0
    """Examples of the file that are in another split's reading."""

    @property
    def rows(self) -> int:
        """Rows of the file: those that came out and those that are reported."""
        return len(self.examples) + len(self.bad_rows) + self.elsewhere

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
            raise refusal(self.bad_rows[0], len(self.bad_rows), remedy)
        return self


def refusal(first: BadRow, rows: int, remedy: str = SKIPPING) -> DataError:
    """What is said of a file with so many bad rows."""
    more = f"\nand {counted(rows - 1, 'more bad row')} in this file" if rows > 1 else ""
    return DataError(f"{first}{more}\n{remedy}")


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
        [table.column(name) for name in task.label_columns] if labelled else [],
        None if task.id is None else table.column(task.id),
    )
    ids = ids_of(table, task)
    faults = {row: _fault(table, row, cells, task, places) for row, cells in table.numbered}
    bad = [BadRow(table.path, row, ids[row], *fault, table.line(row)) for row, fault in faults.items() if fault]
    kept = [cells for row, cells in table.numbered if not faults[row]]
    classes, notes, warnings, labels = task.labels, list(table.notes), list(table.warnings), None
    if labelled:
        named = [label_names([cells[place] for place in places.labels], task) for cells in kept]
        if not task.is_regression:
            notes += label_notes([as_text(cells[place]) for cells in kept for place in places.labels], task)
            classes = classes or classes_of(named, task)
            warnings += near_duplicates(classes) if task.labels is None else []
        complete = task.model_copy(update={"labels": classes})
        labels = np.array([label_number(names, complete) for names in named], dtype=np.float64)
    examples = Examples(
        [ids[row] for row, fault in faults.items() if not fault],
        [[as_text(cells[place]) for cells in kept] for place in places.texts],
        labels,
    )
    return Reading(examples, classes, bad, notes, warnings)


@dataclass(frozen=True)
class _Places:
    """Where a table keeps what a task needs; no labels, and no id, where it needs none."""

    texts: list[int]
    labels: list[int]
    id: int | None


def ids_of(table: Table, task: Task) -> dict[int, str]:
    """The ids by row number, byte for byte as the file has them; row numbers where the task has no id column."""
    if task.id is None:
        return {row: str(row) for row, _ in table.numbered}
    place = table.column(task.id)
    return {row: as_text(cells[place]) for row, cells in table.numbered}


def _fault(table: Table, row: int, cells: list[Cell], task: Task, places: _Places) -> tuple[str, str] | None:
    """The column and the reason that make a row unusable, or None."""
    needed = [place for place in (*places.texts, *places.labels, places.id) if place is not None]
    if fault := table.fault(row, [table.header[place] for place in needed]):
        return fault
    for name, place in zip(task.text_columns, places.texts, strict=True):
        if not isinstance(cells[place], str | int | float | bool | None):
            return name, f"a value of type {type(cells[place]).__name__} is not a text; store text"
        if places.labels and is_blank(as_text(cells[place])):
            return name, "the text is blank; write one"
    if places.labels and (fault := label_fault([cells[place] for place in places.labels], task)):
        return fault
    if places.id is not None and (reason := cell_fault(cells[places.id], "id")):
        return task.id or "", reason
    return None
