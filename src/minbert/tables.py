"""A file -> a header and rows of cells, exactly as written: no row is lost, and no word turned into "missing".

Reads the course's tab-separated files, CSV, TSV, JSON lines and Parquet; writes the last four.
"""

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import polars as pl

from minbert.errors import DataError, near
from minbert.files import replacing

Cell = str | int | float | bool | None
FileFormat = Literal["csv", "tsv", "jsonl", "parquet"]
Quoting = Literal["auto", "csv", "none"]

SUFFIXES: dict[str, FileFormat] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}


@dataclass(frozen=True)
class Table:
    """A file's cells. Row numbers in messages count from 1 and leave the header out.

    `short` holds rows that could not be cut into the header's columns, by row number, with the reason; their
    cells are all None. `notes` says how the file was read where there was a choice; `warnings` what to look at.
    """

    path: Path
    header: list[str]
    rows: list[list[Cell]]
    short: dict[int, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def column(self, name: str) -> int:
        """The place of a named column. Raises DataError, which lists the columns there are."""
        places = [place for place, title in enumerate(self.header) if title == name]
        if len(places) == 1:
            return places[0]
        titles = [title for title in self.header if title]
        if places:
            raise DataError(f"{self.path}: {len(places)} columns are called '{name}'; rename all but one")
        listed = ", ".join(f"'{title}'" for title in titles[:20]) or "none with a name"
        raise DataError(
            f"{self.path}: there is no column '{name}'{near(name, titles)}; its columns are {listed}: "
            "correct the header, or name the column in the recipe's task"
        )


def read_table(
    path: Path,
    file_format: FileFormat | None = None,
    encoding: str | None = None,
    quoting: Quoting = "auto",
) -> Table:
    """Reads a whole file. Raises DataError where it is missing, empty, or not what its name says."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; correct the path or make the file") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder; name a file in it") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    if not content.strip():
        raise DataError(f"{path} is empty; it needs a header line and rows")
    file_format = file_format or format_of(path)
    if file_format == "parquet":
        return _read_parquet(path)
    text, notes = _decode(path, content, encoding)
    if file_format == "jsonl":
        return _read_jsonl(path, text, notes)
    first = re.split(r"\r\n|\n|\r", text, maxsplit=1)[0]
    if file_format == "tsv" or ("\t" in first and "," not in first):
        return _read_delimited(path, text, "\t", quoting, notes)
    return _read_delimited(path, text, ",", quoting, notes)


def format_of(path: Path) -> FileFormat:
    """The format a file's name promises. Raises DataError for a name that promises none we know."""
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"{path}: its name should end in one of {', '.join(SUFFIXES)}, to tell its format")
    return SUFFIXES[path.suffix.lower()]


def _decode(path: Path, content: bytes, encoding: str | None) -> tuple[str, list[str]]:
    """Bytes -> text without a byte order mark, and how that was done where it was not plain UTF-8."""
    notes = []
    if encoding is None and content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
        notes.append("read as UTF-16, by its byte order mark")
    elif encoding is None and content[:4000].count(0) > len(content[:4000]) // 4:
        raise DataError(
            f"{path} looks like UTF-16 without a byte order mark; save it as UTF-8, or set encoding = "
            "'utf-16-le' (or 'utf-16-be') in the task"
        )
    try:
        return content.decode(encoding or "utf-8-sig").removeprefix("\ufeff"), notes
    except LookupError:
        raise DataError(f"{path}: encoding = '{encoding}' is unknown; 'utf-8' and 'cp1252' are usual") from None
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(
            f"{path}, line {line}: byte 0x{content[error.start]:02x} is not {error.encoding.upper()}; save the "
            "file as UTF-8, or say how it was saved, such as encoding = 'cp1252', in the task"
        ) from None


def _read_delimited(path: Path, text: str, separator: str, quoting: Quoting, notes: list[str]) -> Table:
    if quoting == "csv" or (quoting == "auto" and separator == ","):
        lines = _csv_rows(path, text, separator)
    else:
        lines = _line_rows(text, separator)
        if quoting == "auto":
            lines, note = _unquote(list(lines))
            notes = [*notes, *note]
    header = [str(cell).strip() for cell in next(iter(lines), [])]
    table = Table(path, header, [], notes=notes)
    for row, cells in enumerate(lines, start=1):
        _add_row(table, row, cells)
    if not table.rows:
        raise DataError(f"{path} has a header line and no rows; add rows")
    return table


def _add_row(table: Table, row: int, cells: list[str]) -> None:
    if len(cells) != len(table.header):
        table.short[row] = (
            f"{len(cells)} cells where the header has {len(table.header)}; add or join cells"
            " (set quoting = 'csv' if quoted cells hold separators or line breaks)"
        )
        table.rows.append([None] * len(table.header))
        return
    if any("\n" in cell or "\r" in cell for cell in cells):
        table.warnings.append(f"row {row} holds a line break inside a cell; check that no quote is left open")
    table.rows.append(list(cells))


def _csv_rows(path: Path, text: str, separator: str) -> Iterator[list[str]]:
    """Rows by the rules of CSV, quotes and all; strictly, because a stray quote would swallow rows."""
    csv.field_size_limit(2**31 - 1)  # the default refuses a cell of 131,072 characters
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    row = -1
    try:
        for cells in reader:
            if cells:
                row += 1
                yield cells
    except csv.Error as error:
        raise DataError(
            f"{path}, row {row + 1}: its quotes do not pair ({error}); double a quote inside a quoted cell, or "
            "set quoting = 'none' in the task if quotes are plain characters in this file"
        ) from None


def _line_rows(text: str, separator: str) -> Iterator[list[str]]:
    """Every line is a row. In a file of one column an empty line is an empty cell; elsewhere it is nothing."""
    lines = re.split(r"\r\n|\n|\r", text)
    single = separator not in lines[0]
    if lines[-1] == "":
        lines.pop()
    yield from (line.split(separator) for line in lines if line or single)


def _unquote(rows: list[list[str]]) -> tuple[Iterator[list[str]], list[str]]:
    """Takes the quotes off a cell that is quoted as CSV does it, start to end; leaves every other quote alone.

    Tab-separated files come in both dialects, sometimes in one file; deciding cell by cell can lose no row.
    """
    whole = re.compile(r'"(?:[^"]|"")*"', re.DOTALL)
    quoted = kept = 0
    for cells in rows:
        for place, cell in enumerate(cells):
            if whole.fullmatch(cell):
                cells[place] = cell[1:-1].replace('""', '"')
                quoted += 1
            elif '"' in cell:
                kept += 1
    notes = [f"took the CSV quotes off {quoted:,} cells"] if quoted else []
    notes += [f"kept the quotes of {kept:,} cells as text"] if kept else []
    return iter(rows), notes


def _read_jsonl(path: Path, text: str, notes: list[str]) -> Table:
    objects: list[dict[str, Cell]] = []
    short: dict[int, str] = {}
    lines = [line for line in re.split(r"\r\n|\n", text) if line.strip()]
    for row, line in enumerate(lines, start=1):
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            value, short[row] = {}, f"not JSON ({error.msg} at character {error.pos + 1}); correct the line"
        if not isinstance(value, dict):
            value, short[row] = {}, 'not a JSON object; write one object a line, such as {"text": "…"}'
        objects.append(value)
    header = list(dict.fromkeys(key for value in objects for key in value))
    if not header:
        raise DataError(f"{path}, row 1: {short.get(1, 'the object is empty')}")
    return Table(path, header, [[value.get(key) for key in header] for value in objects], short, notes)


def _read_parquet(path: Path) -> Table:
    try:
        frame = pl.read_parquet(path, glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{path} is not a Parquet file ({str(error).splitlines()[0]}); write it anew") from None
    if frame.is_empty():
        raise DataError(f"{path} has no rows; add rows")
    return Table(path, frame.columns, [list(row) for row in frame.iter_rows()])


def write_table(path: Path, header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    """Writes in the format of the file's name, whole or not at all. Raises DataError for an unknown format."""
    file_format = format_of(path)
    with replacing(path) as temporary:
        if file_format == "parquet":
            _frame(header, rows).write_parquet(temporary)
            return
        with temporary.open("w", encoding="utf-8", newline="") as handle:
            if file_format == "jsonl":
                names = _distinct(header)
                for row in rows:
                    handle.write(json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) + "\n")
                return
            writer = csv.writer(handle, delimiter="\t" if file_format == "tsv" else ",", lineterminator="\n")
            writer.writerow(header)
            writer.writerows(rows)


def _frame(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> pl.DataFrame:
    """Columns of one type each; a column of mixed types, which JSON allows, becomes text."""
    columns: dict[str, list[Any]] = {}
    for place, name in enumerate(_distinct(header)):
        cells = [row[place] for row in rows]
        mixed = len({type(cell) for cell in cells if cell is not None}) > 1
        columns[name] = [None if c is None else str(c) for c in cells] if mixed else cells
    return pl.DataFrame(columns, infer_schema_length=None)


def _distinct(header: Sequence[str]) -> list[str]:
    """Names for columns that have none or share one, where the format needs each to have its own."""
    named = [name or f"column_{place}" for place, name in enumerate(header, start=1)]
    return [n if named.index(n) == place else f"{n}_{place + 1}" for place, n in enumerate(named)]
