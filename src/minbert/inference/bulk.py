"""A model and a file of any length -> an answer or a vector for every row, window by window, in the file's order.

Letters in shapes: N examples of a window, H hidden.
"""

import hashlib
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from minbert.answering import Answer
from minbert.data import SKIPPING, BadRow, Examples, examine, refusal
from minbert.errors import DataError
from minbert.inference.growing import Growing, Progress
from minbert.labels import is_blank
from minbert.predictions import check_course_id, columns, course_text, rows
from minbert.runs import digest
from minbert.tables import Cell, ColumnTypes, FileFormat, Table, TableFile, as_bytes
from minbert.tasks import Task

WINDOW = 4096  # rows: with more, less of a batch of short texts is padding; with fewer, less is lost at a kill
LISTED = 1000  # bad rows that are spelled out; the others are counted


@dataclass(frozen=True)
class Window:
    """Neighbouring rows of a file: their cells, and the examples that can be made of them."""

    table: Table
    examples: Examples
    bad_rows: list[BadRow]

    @property
    def last(self) -> int:
        """The number of its last row."""
        return self.table.first + len(self.table.rows) - 1

    @property
    def kept(self) -> dict[int, list[Cell]]:
        """The cells of the rows that are examples, by their numbers."""
        bad = {row.row for row in self.bad_rows}
        return {row: cells for row, cells in self.table.numbered if row not in bad}


@dataclass(frozen=True)
class Survey:
    """What a first look at all rows found, so that nothing is begun that could not be ended.

    `bad` counts the rows that cannot be used; `bad_rows` are the first of them.
    """

    rows: int
    bad: int
    bad_rows: list[BadRow]

    @property
    def good(self) -> int:
        return self.rows - self.bad


@dataclass(frozen=True)
class Block:
    """A window's part of the output, and how many rows of each sort it has."""

    content: bytes
    counts: dict[str, int]


Make = Callable[[Window, bool], Block]
"""A window, and whether the output begins with it -> its part of the output."""


def windows(file: TableFile, task: Task, size: int = WINDOW, start: int = 0) -> Iterator[Window]:
    """The rows after `start`, window by window; one is held at a time. Raises DataError where the file is changed
    while it is read."""
    for table in file.windows(size, start):
        reading = examine(table, task, labelled=False)
        if file.source.is_changed:
            raise DataError(f"{file.path} changed while it was read; begin anew when it is complete")
        yield Window(table, reading.examples, reading.bad_rows)


def survey(
    file: TableFile,
    task: Task,
    skip_bad_rows: bool,
    remedy: str = SKIPPING,
    look: Callable[[Window], None] | None = None,
    size: int = WINDOW,
) -> Survey:
    """Looks at every row, and lets `look` do so. Raises DataError, naming the first bad one, unless they are to be
    skipped."""
    found, bad, last = list[BadRow](), 0, 0
    for window in windows(file, task, size):
        bad, last = bad + len(window.bad_rows), window.last
        found += window.bad_rows[: LISTED - len(found)]
        if look:
            look(window)
    if found and not skip_bad_rows:
        raise refusal(found[0], bad, remedy)
    return Survey(last, bad, found)


def with_answers(file: TableFile, task: Task, answer: Answer, file_format: FileFormat, types: ColumnTypes) -> Make:
    """The input's own columns, the answer's, and a note on blank and cut texts.

    An answer's column whose name the input has already gets `answer_` before it. Raises DataError where that is taken.
    """
    added = [f"answer_{name}" if name in file.header else name for name in (*columns(task), "note")]
    taken = [name for name in added if name in file.header]
    if taken:
        raise DataError(f"{file.path} has a column '{taken[0]}' already; rename it, since the answers take that name")

    def make(window: Window, begins: bool) -> Block:
        answered = answer(window.examples)
        parts = zip(window.kept.values(), rows(task, answered.predictions), answered.notes, strict=True)
        cells = [[*own, *answer, note] for own, answer, note in parts]
        content = as_bytes(file_format, [*file.header, *added], cells, types, begins)
        return Block(content, _counts("answer", answered.notes))

    return make


def in_course_layout(name: str, task: Task, answer: Answer) -> Make:
    """The course's prediction file."""

    def make(window: Window, begins: bool) -> Block:
        answered = answer(window.examples)
        content = course_text(name, task, answered.predictions, begins)
        return Block(content.encode(), _counts("answer", answered.notes))

    return make


def check_course_ids(window: Window) -> None:
    """Raises DataError for an id that the course's layout cannot hold."""
    for row, example in zip(window.kept, window.examples.ids, strict=True):
        check_course_id(f"{window.table.path}, row {row}", example)


def as_vectors(embed: Callable[[Sequence[str]], NDArray[np.float32]], texts: int, width: int) -> Make:
    """A .npy file of float32 [texts, H], whose head says from the first window on how many texts it will have."""

    def make(window: Window, begins: bool) -> Block:
        (column,) = window.examples.texts
        content = io.BytesIO()
        if begins:
            about = {"descr": "<f4", "fortran_order": False, "shape": (texts, width)}
            np.lib.format.write_array_header_1_0(content, about)
        content.write(embed(column).astype("<f4").tobytes())
        return Block(content.getvalue(), _counts("vector", ["blank" if is_blank(text) else "" for text in column]))

    return make


def fill(output: Growing, file: TableFile, task: Task, make: Make, size: int = WINDOW) -> Iterator[Progress]:
    """Adds to an output what is lacking of it, window by window, and yields how far it is after each."""
    for window in windows(file, task, size, output.progress.rows):
        block = make(window, output.progress.size == 0)
        output.append(block.content, window.last, block.counts)
        yield output.progress


def origin(file: TableFile, model: Path, options: Mapping[str, object]) -> dict[str, str]:
    """What an output is made from, each thing as its digest: the input, the model's folder, and the options."""
    folder = model / "best" if (model / "best").is_dir() else model
    files = sorted(one for one in folder.iterdir() if one.is_file() and one.name != "README.md")
    return {
        "input": file.source.digest(),
        "model": hashlib.sha256("".join(f"{one.name} {digest(one)} " for one in files).encode()).hexdigest(),
        "set of options": json.dumps(options, sort_keys=True),
    }


def _counts(noun: str, notes: list[str]) -> dict[str, int]:
    return {noun: len(notes), **Counter(filter(None, notes))}
