"""What a command is told to read and write -> texts, and whether the place of its output is free."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from minbert.errors import DataError, RunError

if TYPE_CHECKING:
    from minbert.tables import Quoting, TableFile
    from minbert.tasks import Task

CORRECT = "correct the file"


@dataclass(frozen=True)
class Column:
    """The texts of a file's rows, in order, and their ids where the file has a column `id`."""

    texts: list[str]
    ids: list[str] | None = None


def read_column(
    file: Path, column: str | None, encoding: str | None, quoting: Quoting | None, option: str = "--column"
) -> Column:
    """A file's column, or the lines of a .txt file; `option` is what names the column."""
    from minbert.cli.show import show_warnings
    from minbert.data import examine, ids_of

    table_file, task = text_file(file, column, encoding, quoting, option)
    show_warnings(str(file), table_file.warnings)
    table = table_file.whole()
    reading = examine(table, task, labelled=False).without_bad_rows(False, remedy=CORRECT)
    with_ids = task.model_copy(update={"id": "id"})
    ids = list(ids_of(table, with_ids).values()) if "id" in table.header and task.text != "id" else None
    return Column(reading.examples.texts[0], ids)


def text_file(
    file: Path, column: str | None, encoding: str | None, quoting: Quoting | None, option: str = "--column"
) -> tuple[TableFile, Task]:
    """A file of which one column is texts, or a .txt file of which every line is one, and a task that takes them;
    `option` is what names the column."""
    from minbert.decoding import BY_OPTIONS
    from minbert.tables import open_lines, open_table
    from minbert.tasks import Task

    told = replace(BY_OPTIONS, column=f"name the column with {option}")
    if file.suffix.lower() == ".txt":
        return open_lines(file, encoding, told), Task(kind="classification", text="text")
    table = open_table(file, None, encoding, quoting or "auto", told)
    if column is None and len(table.header) > 1:
        listed = ", ".join(name for name in table.header if name)
        raise DataError(f"{file} has several columns; choose one of {listed} with {option}")
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
