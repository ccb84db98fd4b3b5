"""What a command is told to read and write -> texts, and whether the place of its output is free."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from minbert.errors import DataError, RunError

if TYPE_CHECKING:
    from minbert.tables import Quoting


@dataclass(frozen=True)
class Column:
    """The texts of a file's rows, in order, and their ids where the file has a column `id`."""

    texts: list[str]
    ids: list[str] | None = None


def texts_of(file: Path, column: str | None, encoding: str | None, quoting: Quoting | None) -> list[str]:
    """The texts of a file's column, or the lines of a .txt file."""
    return read_column(file, column, encoding, quoting).texts


def read_column(
    file: Path, column: str | None, encoding: str | None, quoting: Quoting | None, option: str = "--column"
) -> Column:
    """A file's column, or the lines of a .txt file; `option` is what names the column."""
    from minbert.cli.show import show_reading, show_warnings
    from minbert.data import examine, ids_of
    from minbert.decoding import BY_OPTIONS, decode, read_bytes
    from minbert.tables import read_table
    from minbert.tasks import Task

    told = replace(BY_OPTIONS, column=f"name the column with {option}")
    if file.suffix.lower() == ".txt":
        decoded = decode(file, read_bytes(file), encoding, told)
        show_warnings(str(file), decoded.warnings)
        return Column(decoded.lines)
    table = read_table(file, None, encoding, quoting or "auto", told)
    if column is None and len(table.header) > 1:
        listed = ", ".join(name for name in table.header if name)
        raise DataError(f"{file} has several columns; choose one of {listed} with {option}")
    texts = Task(kind="classification", text=column or table.header[0])
    reading = examine(table, texts, labelled=False).without_bad_rows(False, remedy="correct the file")
    show_reading(str(file), reading)
    with_ids = texts.model_copy(update={"id": "id"})
    ids = ids_of(table, with_ids) if "id" in table.header and texts.text != "id" else None
    return Column(reading.examples.texts[0], ids)


def may_write(output: Path, source: Path | None, force: bool) -> None:
    """Raises RunError where an output would replace what is there unasked, or what it is made from."""
    from minbert.files import check_place

    if source is not None and output.exists() and source.exists() and output.samefile(source):
        raise RunError(f"{output} is the input itself; name another --output")
    if output.is_dir():
        raise RunError(f"{output} is a folder; name a file in it")
    if output.exists() and not force:
        raise RunError(f"{output} exists already; --force replaces it")
    check_place(output)
