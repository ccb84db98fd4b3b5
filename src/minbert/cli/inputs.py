"""What a command is told to read and write -> texts, and whether the place of its output is free."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from minbert.errors import DataError, RunError

if TYPE_CHECKING:
    from minbert.tables import Quoting, TableFile
    from minbert.tasks import Task

CORRECT = "correct the file"


def texts_of(file: Path, column: str | None, encoding: str | None, quoting: Quoting | None) -> list[str]:
    """The texts of a file's column, or the lines of a .txt file."""
    from minbert.cli.show import show_warnings
    from minbert.data import examine

    table_file, task = text_file(file, column, encoding, quoting)
    show_warnings(str(file), table_file.warnings)
    reading = examine(table_file.whole(), task, labelled=False).without_bad_rows(False, remedy=CORRECT)
    return reading.examples.texts[0]


def text_file(file: Path, column: str | None, encoding: str | None, quoting: Quoting | None) -> tuple[TableFile, Task]:
    """A file of which one column is texts, or a .txt file of which every line is one, and a task that takes them."""
    from minbert.decoding import BY_OPTIONS
    from minbert.tables import open_lines, open_table
    from minbert.tasks import Task

    if file.suffix.lower() == ".txt":
        return open_lines(file, encoding, BY_OPTIONS), Task(kind="classification", text="text")
    table = open_table(file, None, encoding, quoting or "auto", BY_OPTIONS)
    if column is None and len(table.header) > 1:
        listed = ", ".join(name for name in table.header if name)
        raise DataError(f"{file} has several columns; choose one of {listed} with --column")
    return table, Task(kind="classification", text=column or table.header[0])


def may_grow(output: Path, source: Path, resume: bool, force: bool) -> None:
    """`may_write` for an output that may be there in part. Raises RunError where it is said wrongly what to do then."""
    from minbert.inference.growing import progress_file

    if resume and force:
        raise RunError("--resume goes on with an output and --force replaces it; choose one")
    is_begun = progress_file(output).exists()
    if is_begun and not resume and not force:
        raise RunError(f"{output} is not complete; --resume goes on with it, --force begins anew")
    if resume and not is_begun and output.exists():
        raise RunError(f"{output} is complete, so there is nothing to resume; --force replaces it")
    may_write(output, source, force or resume)


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
