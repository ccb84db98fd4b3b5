"""A file -> a header and rows of cells, exactly as written: no row is lost, and no word turned into "missing".

Reads the course's tab-separated files, CSV, TSV, JSON lines and Parquet; writes the last four.
"""

import io
import json
import math
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import polars as pl

from minbert.decoding import IN_RECIPE, Decoded, Remedies, Source, decode, read_bytes, source_of, without_end
from minbert.dialects import SEMICOLONS, Quotes, Row, csv_lines, json_lines, plain_lines
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

SCALARS = {str, int, float, bool}
BLOCK = 16_384  # rows of a Parquet file that are held at once


@dataclass(frozen=True)
class Table:
    """A file's cells, or those of a window of its rows. Rows are counted in the file, from 1 and without the header.

    `first` is the number of the first row here, and `lines` says on which line each begins. `short` holds rows that
    could not be cut into the header's columns, by row number, with the reason; their cells are all None. `lacking`
    holds the columns that a JSON line leaves out, by row number. `broken` lists the rows with a line break inside a
    cell. `notes` says how the file was read where there was a choice; `warnings` what to look at.
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
    first: int = 1

    @property
    def numbered(self) -> Iterator[tuple[int, list[Cell]]]:
        """Every row with its number."""
        return enumerate(self.rows, start=self.first)

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
        return self.lines[row - self.first] if self.lines else None

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
    return _open(Source(path, read_bytes(path)), file_format, encoding, quoting, remedies).whole()


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


def open_table(
    path: Path,
    file_format: FileFormat | None = None,
    encoding: str | None = None,
    quoting: Quoting = "auto",
    remedies: Remedies = IN_RECIPE,
) -> "TableFile":
    """A file that is read window by window, as often as wanted. Raises what `read_table` raises, some of it later."""
    return _open(source_of(path), file_format, encoding, quoting, remedies)


def open_lines(path: Path, encoding: str | None = None, remedies: Remedies = IN_RECIPE) -> "TableFile":
    """A file of plain text as a table of one column, `text`, with every line a row, empty ones too."""
    decoded = decode(source_of(path), encoding, remedies)

    def rows() -> Iterator[Row]:
        return (Row([without_end(line)], number) for number, line in enumerate(decoded, start=1))

    return TableFile(decoded.source, ["text"], lambda start: islice(rows(), start, None), decoded, remedies=remedies)


@dataclass(frozen=True)
class TableFile:
    """A file's header, and its rows from any place on."""

    source: Source
    header: list[str]
    rows_from: Callable[[int], Iterator[Row]]
    decoded: Decoded | None = None
    quotes: Quotes = field(default_factory=Quotes)
    remedies: Remedies = IN_RECIPE

    @property
    def path(self) -> Path:
        return self.source.path

    @property
    def warnings(self) -> list[str]:
        return list(self.decoded.warnings) if self.decoded else []

    def windows(self, size: int, start: int = 0) -> Iterator[Table]:
        """Tables of `size` rows each, the last one smaller, from the row after `start` rows on.

        Holds one of them at a time. Raises DataError where the file has no rows at all, or cannot be read on.
        """
        rows = self.rows_from(start)
        while window := list(islice(rows, size)):
            yield self._table(window, start + 1)
            start += len(window)
        if not start:
            said = "no rows" if self.decoded is None else "a header line and no rows"
            raise DataError(f"{self.path} has {said}; add rows")

    def whole(self) -> Table:
        """All rows at once, with the notes on how they were read."""
        (table,) = self.windows(sys.maxsize)
        notes = [*(self.decoded.notes if self.decoded else []), *self.quotes.notes]
        return replace(table, notes=notes, warnings=self.warnings)

    def _table(self, rows: list[Row], first: int) -> Table:
        numbered = list(enumerate(rows, start=first))
        return Table(
            self.path,
            self.header,
            [row.cells for row in rows],
            [row.line for row in rows if row.line is not None],
            {number: row.short for number, row in numbered if row.short},
            {number: row.lacking for number, row in numbered if row.lacking},
            [number for number, row in numbered if self.decoded and row.is_broken],
            remedies=self.remedies,
            first=first,
        )


def _open(
    source: Source, file_format: FileFormat | None, encoding: str | None, quoting: Quoting, remedies: Remedies
) -> TableFile:
    kind = file_format or format_of(source.path)
    if kind == "parquet":
        return _parquet(source, remedies)
    decoded = decode(source, encoding, remedies)
    if kind == "jsonl":
        return _objects(decoded)
    first = without_end(next(line for line in decoded if without_end(line)))
    if kind == "csv" and file_format is None and "," not in first:
        found = next((separator for separator in "\t;" if separator in first), ",")
        if found == ";":
            decoded.notes.append("cut at semicolons, as its header is")
        return _separated(decoded, found, quoting)
    return _separated(decoded, "\t" if kind == "tsv" else ",", quoting)


def _separated(decoded: Decoded, separator: str, quoting: Quoting) -> TableFile:
    by_csv = quoting == "csv" or (quoting == "auto" and separator != "\t")
    cut = csv_lines if by_csv else plain_lines
    unquotes, quotes = quoting == "auto" and not by_csv, Quotes()
    titles = next(cut(decoded, separator))
    header = [cell.strip() for cell in (quotes.take_off(*titles) if unquotes else titles[1])]
    remedy = "quote a cell that holds a separator"
    if not by_csv:
        remedy = f"{decoded.remedies.set('quoting', 'csv')} if quotes wrap cells"

    def rows(start: int) -> Iterator[Row]:
        for line, cells in islice(cut(decoded, separator), start + 1, None):
            yield _fitted(quotes.take_off(line, cells) if unquotes else cells, line, len(header), remedy)

    return TableFile(decoded.source, header, rows, decoded, quotes, decoded.remedies)


def _fitted(cells: list[str], line: int, width: int, remedy: str) -> Row:
    if len(cells) == width:
        return Row(cells, line)
    has = f"{counted(len(cells), 'cell')} where the header has {width}"
    return Row([None] * width, line, f"{has}; add or join cells, or {remedy}")


def _objects(decoded: Decoded) -> TableFile:
    """The columns are the keys of all lines, so the file is read through once before its rows are known."""
    keys: dict[str, None] = {}
    first: tuple[int, str] | None = None
    for line, value in json_lines(decoded):
        first = first or (line, value if isinstance(value, str) else "the object is empty; write a text into it")
        keys |= {} if isinstance(value, str) else dict.fromkeys(value)
    header = list(keys)
    if not header and first:
        raise DataError(f"{decoded.path}, line {first[0]}: {first[1]}")

    def rows(start: int) -> Iterator[Row]:
        for line, value in islice(json_lines(decoded), start, None):
            if isinstance(value, str):
                yield Row([None] * len(header), line, value)
            else:
                yield Row([value.get(key) for key in header], line, "", [key for key in header if key not in value])

    return TableFile(decoded.source, header, rows, decoded, remedies=decoded.remedies)


def _parquet(source: Source, remedies: Remedies) -> TableFile:
    """Its rows come in blocks, since one of its own row groups may be the whole file."""

    def block(start: int) -> pl.DataFrame:
        content = source.path if source.content is None else io.BytesIO(source.content)
        try:
            return pl.scan_parquet(content).slice(start, BLOCK).collect()
        except (pl.exceptions.PolarsError, OSError) as error:
            reason = str(error).splitlines()[0]
            raise DataError(f"{source.path} is not a Parquet file ({reason}); write it anew") from None

    def rows(start: int) -> Iterator[Row]:
        while len(frame := block(start)):
            yield from (Row(list(cells)) for cells in frame.iter_rows())
            start += len(frame)

    return TableFile(source, block(0).columns, rows, remedies=remedies)


def write_table(path: Path, header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    """Writes in the format of the file's name, whole or not at all. Raises DataError for an unknown format.

    In a .tsv a cell that holds a tab or a line break is quoted; such a file reads back with quoting = "csv".
    """
    types = ColumnTypes(len(header))
    if format_of(path) == "parquet":
        types.add(rows)
    content = as_bytes(format_of(path), header, rows, types)
    with replacing(path) as temporary:
        temporary.write_bytes(content)


class ColumnTypes:
    """Which columns of a Parquet file must be text, gathered from all its rows before any of them is written.

    A column has one type; one of mixed types or of whole numbers beyond 64 bits, as JSON allows, becomes text.
    """

    def __init__(self, width: int) -> None:
        self.texts: set[int] = set()
        self._types: list[set[type]] = [set() for _ in range(width)]
        self._nested: dict[int, Any] = {}

    def add(self, rows: Sequence[Sequence[Cell]]) -> None:
        for place, types in enumerate(self._types):
            cells = [row[place] for row in rows if row[place] is not None]
            types |= {type(cell) for cell in cells}
            large = any(isinstance(cell, int) and not -(2**63) <= cell < 2**63 for cell in cells)
            if len(types) > 1 or large or not (types <= SCALARS or self._is_one(place, cells)):
                self.texts.add(place)

    def _is_one(self, place: int, cells: list[Cell]) -> bool:
        """Whether lists, dates and the like go into one column with those that came before."""
        try:
            found = pl.DataFrame({"": cells}, infer_schema_length=None).clear()
            self._nested[place] = pl.concat([self._nested.get(place, found), found], how="vertical_relaxed")
        except (pl.exceptions.PolarsError, TypeError):
            return False
        return True


def as_bytes(
    file_format: FileFormat,
    header: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    types: ColumnTypes,
    begins: bool = True,
) -> bytes:
    """Rows as a file of a format holds them: CSV and TSV with the header where the file `begins` with them, JSON lines
    alone, Parquet as a file of its own. `types` matter to Parquet; columns that they do not know are of one type."""
    if file_format == "parquet":
        content = io.BytesIO()
        _frame(header, rows, types).write_parquet(content)
        return content.getvalue()
    if file_format == "jsonl":
        names = _distinct(header)
        lines = [
            json.dumps(dict(zip(names, map(_finite, row), strict=True)), ensure_ascii=False, default=as_text)
            for row in rows
        ]
    else:
        lines = [
            _delimited(row, "\t" if file_format == "tsv" else ",") for row in (*([header] if begins else []), *rows)
        ]
    return "".join(f"{line}\n" for line in lines).encode()


def _delimited(cells: Sequence[Cell], separator: str) -> str:
    """A line of cells, quoted where they need it (Python's csv.writer left a lone carriage return bare till 3.13)."""
    texts = [as_text(cell) for cell in cells]
    special = re.compile(f'[{separator}"\r\n]')
    quoted = ['"' + text.replace('"', '""') + '"' if special.search(text) else text for text in texts]
    return separator.join(quoted) or '""'


def _finite(cell: Cell) -> Cell:
    return None if isinstance(cell, float) and not math.isfinite(cell) else cell


def _frame(header: Sequence[str], rows: Sequence[Sequence[Cell]], types: ColumnTypes) -> pl.DataFrame:
    columns: dict[str, list[Any]] = {}
    for place, name in enumerate(_distinct(header)):
        cells = [row[place] for row in rows]
        is_text = place in types.texts
        columns[name] = [None if cell is None else as_text(cell) for cell in cells] if is_text else cells
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
