"""A file -> a header and rows of cells, exactly as written: no row is lost, and no word turned into "missing".

Reads the course's tab-separated files, CSV, TSV, JSON lines and Parquet; writes the last four.
"""

import csv
import io
import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import polars as pl

from minbert.decoding import IN_RECIPE, LINE_END, Decoded, Remedies, decode, read_bytes
from minbert.errors import DataError, counted, near, shown
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

SEMICOLONS = "{} is separated by semicolons; save it with commas or tabs"


@dataclass(frozen=True)
class Table:
    """A file's cells. Rows are counted from 1 and without the header; `lines` says on which line each begins.

    `short` holds rows that could not be cut into the header's columns, by row number, with the reason; their
    cells are all None. `lacking` holds the columns that a JSON line leaves out, by row number; the cell is None there
    as it is where the line has null. `broken` lists the rows with a line break inside a cell. `notes` says how the
    file was read where there was a choice; `warnings` what to look at.
    """

    path: Path
    header: list[str]
    rows: list[list[Cell]]
    lines: list[int] = field(default_factory=list)
    short: dict[int, str] = field(default_factory=dict)
    lacking: dict[int, list[str]] = field(default_factory=dict)
    broken: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    remedies: Remedies = IN_RECIPE

    def column(self, name: str) -> int:
        """The place of a named column. Raises DataError, which lists the columns there are."""
        places = [place for place, title in enumerate(self.header) if title == name]
        if len(places) == 1:
            return places[0]
        titles = [shown(title, 40) for title in self.header if title]
        if places:
            raise DataError(f"{self.path}: {len(places)} columns are called '{name}'; rename all but one")
        if len(titles) == 1 and ";" in titles[0]:
            raise DataError(SEMICOLONS.format(self.path))
        listed = ", ".join(f"'{title}'" for title in titles[:20]) or "none with a name"
        raise DataError(
            f"{self.path}: there is no column '{name}'{near(name, titles)}; its columns are {listed}: "
            f"correct the header, or {self.remedies.column}"
        )

    def line(self, row: int) -> int | None:
        """The line of the file on which a row begins; None where the file has no lines."""
        return self.lines[row - 1] if self.lines else None

    def fault(self, row: int, columns: Sequence[str]) -> tuple[str, str] | None:
        """Why a row has no cell for each of these columns: the column, where it is one, and the reason; else None."""
        if row in self.short:
            return "", self.short[row]
        lacking = [name for name in self.lacking.get(row, ()) if name in columns]
        return (lacking[0], "the line does not have it; write it there") if lacking else None


def read_table(
    path: Path,
    file_format: FileFormat | None = None,
    encoding: str | None = None,
    quoting: Quoting = "auto",
    remedies: Remedies = IN_RECIPE,
) -> Table:
    """Reads a whole file. Raises DataError where it is missing, empty, or not what its name says."""
    content = read_bytes(path)
    kind = file_format or format_of(path)
    if kind == "parquet":
        return _read_parquet(path, content, remedies)
    decoded = decode(path, content, encoding, remedies)
    if kind == "jsonl":
        return _read_jsonl(decoded)
    first = LINE_END.split(decoded.text.lstrip("\r\n"), maxsplit=1)[0]
    by_tabs = kind == "tsv" or (file_format is None and "\t" in first and "," not in first)
    return _read_delimited(decoded, "\t" if by_tabs else ",", quoting)


def as_text(cell: Cell) -> str:
    """A cell as the text that a CSV file would hold: true, 1, 1.5; a missing one and NaN are empty."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    return str(cell).lower() if isinstance(cell, bool) else str(cell)


def canonical_label(cell: Cell) -> str:
    """One spelling a class: '1', '1.0' and 1.0 are '1'; 'True' and true are 'true'; outer blanks go, case stays."""
    text = as_text(cell).strip()
    if text.lower() in ("true", "false"):
        return text.lower()
    whole = re.fullmatch(r"([+-]?)(0|[1-9][0-9]*)(?:\.0*)?", text)
    if whole is None:
        return text
    return "-" + whole[2] if whole[1] == "-" and whole[2] != "0" else whole[2]


def format_of(path: Path) -> FileFormat:
    """The format a file's name promises. Raises DataError for a name that promises none we know."""
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"{path}: its name should end in one of {', '.join(SUFFIXES)}, to tell its format")
    return SUFFIXES[path.suffix.lower()]


def _read_delimited(decoded: Decoded, separator: str, quoting: Quoting) -> Table:
    by_csv = quoting == "csv" or (quoting == "auto" and separator == ",")
    rows = dict(_csv_rows(decoded, separator) if by_csv else _line_rows(decoded.lines, separator))
    notes = _unquote(rows) if quoting == "auto" and not by_csv else []
    lines = list(rows)
    table = Table(
        decoded.path,
        [cell.strip() for cell in rows.pop(lines[0])],
        [],
        lines[1:],
        notes=decoded.notes + notes,
        warnings=decoded.warnings,
        remedies=decoded.remedies,
    )
    if not rows:
        raise DataError(f"{decoded.path} has a header line and no rows; add rows")
    remedy = f"{decoded.remedies.set('quoting', 'csv')} if quotes wrap cells"
    for row, cells in enumerate(rows.values(), start=1):
        _add_row(table, row, cells, "quote a cell that holds a separator" if by_csv else remedy)
    return table


def _add_row(table: Table, row: int, cells: list[str], remedy: str) -> None:
    if any(LINE_END.search(cell) for cell in cells):
        table.broken.append(row)
    if len(cells) == len(table.header):
        table.rows.append(list(cells))
        return
    table.rows.append([None] * len(table.header))
    has = f"{counted(len(cells), 'cell')} where the header has {len(table.header)}"
    table.short[row] = f"{has}; add or join cells, or {remedy}"


def _csv_rows(decoded: Decoded, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Rows by the rules of CSV, quotes and all, with the line that each begins on.

    Strictly, because a stray quote would swallow rows.
    """
    csv.field_size_limit(2**31 - 1)  # the default refuses a cell of 131,072 characters
    reader = csv.reader(io.StringIO(decoded.text, newline=""), delimiter=separator, strict=True)
    line, width = 1, 0
    try:
        for cells in reader:
            width = width or len(cells)
            if cells or width == 1:
                yield line, cells or [""]
            line = reader.line_num + 1
    except csv.Error as error:
        first = decoded.lines[0]
        if ";" in first and separator not in first:
            raise DataError(SEMICOLONS.format(decoded.path)) from None
        raise DataError(
            f"{decoded.path}, line {line}: its quotes do not pair ({error}); double a quote inside a quoted cell, or "
            f"{decoded.remedies.set('quoting', 'none')} if quotes are plain characters in this file"
        ) from None


def _line_rows(lines: list[str], separator: str) -> Iterator[tuple[int, list[str]]]:
    """Every line is a row. In a file of one column an empty line is an empty cell; elsewhere it is nothing."""
    first = next(number for number, line in enumerate(lines, start=1) if line)
    single = separator not in lines[first - 1]
    for number, line in enumerate(lines[first - 1 :], start=first):
        if line or single:
            yield number, line.split(separator)


def _unquote(rows: dict[int, list[str]]) -> list[str]:
    """Takes the quotes off a cell that is quoted as CSV does it, start to end; leaves every other quote alone.

    Tab-separated files come in both dialects, sometimes in one file; deciding cell by cell can lose no row.
    Changes `rows` and returns what it did.
    """
    whole = re.compile(r'"(?:[^"]|"")*"')
    quoted, kept = 0, []
    for line, cells in rows.items():
        for place, cell in enumerate(cells):
            if whole.fullmatch(cell):
                cells[place] = cell[1:-1].replace('""', '"')
                quoted += 1
            elif '"' in cell:
                kept.append(line)
    notes = [f"took the CSV quotes off {counted(quoted, 'cell')}"] if quoted else []
    left = f"kept the quotes of {counted(len(kept), 'cell')} as text, the first on line"
    return notes + ([f"{left} {kept[0]}"] if kept else [])


def _read_jsonl(decoded: Decoded) -> Table:
    objects: list[dict[str, Cell]] = []
    short: dict[int, str] = {}
    lines = {number: line for number, line in enumerate(decoded.lines, start=1) if line.strip()}
    for row, line in enumerate(lines.values(), start=1):
        try:
            objects.append(_json_object(line))
        except ValueError as error:
            objects.append({})
            short[row] = str(error)
    header = list(dict.fromkeys(key for value in objects for key in value))
    if not header:
        reason = short.get(1, "the object is empty; write a text into it")
        raise DataError(f"{decoded.path}, line {min(lines)}: {reason}")
    rows = [[value.get(key) for key in header] for value in objects]
    lacking = {row: [key for key in header if key not in value] for row, value in enumerate(objects, start=1)}
    lacking = {row: keys for row, keys in lacking.items() if keys and row not in short}
    return Table(
        decoded.path,
        header,
        rows,
        list(lines),
        short,
        lacking,
        notes=decoded.notes,
        warnings=decoded.warnings,
        remedies=decoded.remedies,
    )


def _json_object(line: str) -> dict[str, Cell]:
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


def _no_number(name: str) -> Cell:
    raise ValueError(f"{name} is no number; write null or a number")


def _read_parquet(path: Path, content: bytes, remedies: Remedies) -> Table:
    try:
        frame = pl.read_parquet(content)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{path} is not a Parquet file ({str(error).splitlines()[0]}); write it anew") from None
    if frame.is_empty():
        raise DataError(f"{path} has no rows; add rows")
    return Table(path, frame.columns, [list(row) for row in frame.iter_rows()], remedies=remedies)


def write_table(path: Path, header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    """Writes in the format of the file's name, whole or not at all. Raises DataError for an unknown format.

    In a .tsv a cell that holds a tab or a line break is quoted; such a file reads back with quoting = "csv".
    """
    file_format = format_of(path)
    with replacing(path) as temporary:
        if file_format == "parquet":
            _frame(header, rows).write_parquet(temporary)
            return
        with temporary.open("w", encoding="utf-8", newline="") as handle:
            if file_format == "jsonl":
                names = _distinct(header)
                for row in rows:
                    cells = dict(zip(names, map(_finite, row), strict=True))
                    handle.write(json.dumps(cells, ensure_ascii=False, allow_nan=False) + "\n")
                return
            for row in (header, *rows):
                handle.write(_delimited(row, "\t" if file_format == "tsv" else ",") + "\n")


def _delimited(cells: Sequence[Cell], separator: str) -> str:
    """A line of cells, quoted where they need it (Python's csv.writer left a lone carriage return bare till 3.13)."""
    texts = [as_text(cell) for cell in cells]
    special = re.compile(f'[{separator}"\r\n]')
    quoted = ['"' + text.replace('"', '""') + '"' if special.search(text) else text for text in texts]
    return separator.join(quoted) or '""'


def _finite(cell: Cell) -> Cell:
    return None if isinstance(cell, float) and not math.isfinite(cell) else cell


def _frame(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> pl.DataFrame:
    """Columns of one type each; one of mixed types or of whole numbers beyond 64 bits, as JSON allows, becomes text."""
    columns: dict[str, list[Any]] = {}
    for place, name in enumerate(_distinct(header)):
        cells = [row[place] for row in rows]
        mixed = len({type(cell) for cell in cells if cell is not None}) > 1
        large = any(isinstance(cell, int) and not -(2**63) <= cell < 2**63 for cell in cells)
        columns[name] = [None if cell is None else as_text(cell) for cell in cells] if mixed or large else cells
    return pl.DataFrame(columns, infer_schema_length=None)


def _distinct(header: Sequence[str]) -> list[str]:
    """Names for columns that have none or share one, where the format needs each to have its own."""
    names: list[str] = []
    for place, title in enumerate(header, start=1):
        name = title
        while not name or name in names or (name != title and name in header):
            name = f"{name or 'column'}_{place}"
        names.append(name)
    return names
