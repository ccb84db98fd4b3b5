"""A file's lines -> rows of cells, by the rules of CSV, cut at separators, or as JSON objects; a bad row says why."""

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from minbert.decoding import LINE_END, Decoded, without_end
from minbert.errors import DataError, counted

SEMICOLONS = "{} is separated by semicolons; save it with commas or tabs"
QUOTED = re.compile(r'"(?:[^"]|"")*"')


@dataclass(frozen=True)
class Row:
    """A row's cells and the line that it begins on, from 1; a Parquet file has no lines.

    `short` says why a row could not be cut into the header's columns, and its cells are then all None. `lacking` holds
    the columns that a JSON line leaves out; the cell is None there as it is where the line has null.
    """

    cells: list[Any]
    line: int | None = None
    short: str = ""
    lacking: list[str] = field(default_factory=list)

    @property
    def is_broken(self) -> bool:
        """Whether a cell has a line break."""
        return any(isinstance(cell, str) and LINE_END.search(cell) for cell in self.cells)


@dataclass
class Quotes:
    """What became of the quotes in a file cut by tabs, counted as its lines are read."""

    taken: int = 0
    kept: int = 0
    first_kept: int = 0

    def take_off(self, line: int, cells: list[str]) -> list[str]:
        """The cells without the quotes of those that are quoted as CSV does it, start to end; every other quote stays.

        Tab-separated files come in both dialects, sometimes in one file; deciding cell by cell can lose no row.
        """
        plain = []
        for cell in cells:
            if QUOTED.fullmatch(cell):
                self.taken += 1
                plain.append(cell[1:-1].replace('""', '"'))
                continue
            if '"' in cell:
                self.kept += 1
                self.first_kept = self.first_kept or line
            plain.append(cell)
        return plain

    @property
    def notes(self) -> list[str]:
        notes = [f"took the CSV quotes off {counted(self.taken, 'cell')}"] if self.taken else []
        left = f"kept the quotes of {counted(self.kept, 'cell')} as text, the first on line {self.first_kept}"
        return notes + ([left] if self.kept else [])


def csv_lines(decoded: Decoded, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Cells by the rules of CSV, quotes and all, with the line that each row begins on; the header's come first.

    Strictly, because a stray quote would swallow rows. Raises DataError where quotes do not pair.
    """
    csv.field_size_limit(2**31 - 1)  # the default refuses a cell of 131,072 characters
    reader = csv.reader(iter(decoded), delimiter=separator, strict=True)
    line, width = 1, 0
    try:
        for cells in reader:
            width = width or len(cells)
            if cells or width == 1:
                yield line, cells or [""]
            line = reader.line_num + 1
    except csv.Error as error:
        first = next(iter(decoded))
        if ";" in first and separator not in first:
            raise DataError(SEMICOLONS.format(decoded.path)) from None
        raise DataError(
            f"{decoded.path}, line {line}: its quotes do not pair ({error}); double a quote inside a quoted cell, or "
            f"{decoded.remedies.set('quoting', 'none')} if quotes are plain characters in this file"
        ) from None


def plain_lines(decoded: Decoded, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Every line is a row. In a file of one column an empty line is an empty cell; elsewhere it is nothing."""
    single: bool | None = None  # until the first line that holds something
    for number, ended in enumerate(decoded, start=1):
        line = without_end(ended)
        if single is None and line:
            single = separator not in line
        if line or single:
            yield number, line.split(separator)


def json_lines(decoded: Decoded) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """The object on every line that is not blank, or in words why it is none, with the line's number."""
    for number, line in enumerate(decoded, start=1):
        if line.strip():
            try:
                yield number, _json_object(without_end(line))
            except ValueError as error:
                yield number, str(error)


def _json_object(line: str) -> dict[str, Any]:
    """Raises ValueError, which says what to do, for anything but one object of strict JSON."""
    try:
        value = json.loads(line, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON (character {error.pos + 1}: {error.msg}); correct the line") from None
    except (ValueError, RecursionError) as error:  # NaN, a number of 4,301 digits, a thousand brackets
        raise ValueError(f"not JSON ({error}); correct the line") from None
    if not isinstance(value, dict):
        raise ValueError('not a JSON object; write one object a line, such as {"text": "…"}')
    if "\\" in line and re.search("[\ud800-\udfff]", json.dumps(value, ensure_ascii=False)):
        raise ValueError("holds half a surrogate pair (\\ud800 to \\udfff), which is no character; correct the line")
    return value


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number; write null or a number")
