"""A file of rows, and how a window of it is answered -> the output, and what was found and how far it is on the way."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from minbert.cli.show import BarDisplay
from minbert.errors import RunInterruptedError

if TYPE_CHECKING:
    from minbert.inference.bulk import Make, Survey, Window
    from minbert.tables import TableFile
    from minbert.tasks import Task

GoOnOption = Annotated[bool, typer.Option("--resume", help="Go on with an output that was stopped.")]


def look_at(
    file: TableFile,
    task: Task,
    skip_bad_rows: bool = False,
    look: Callable[[Window], None] | None = None,
    remedy: str | None = None,
) -> Survey:
    """Looks at every row before the first is answered, and says what was found."""
    from minbert.cli.show import messages, show_skipped, show_warnings
    from minbert.data import SKIPPING
    from minbert.inference.bulk import survey

    with messages.status("looking at every row"):
        found = survey(file, task, skip_bad_rows, remedy or SKIPPING, look)
    show_warnings(str(file.path), file.warnings)
    show_skipped(str(file.path), found.bad_rows, found.bad, found.rows)
    return found


def grow(
    output: Path,
    made_from: Mapping[str, str],
    resume: bool,
    in_parts: bool,
    file: TableFile,
    task: Task,
    make: Make,
    found: Survey,
) -> Mapping[str, int]:
    """Writes an output, or what is lacking of it, and counts what its rows hold."""
    from minbert.cli.show import messages, resuming
    from minbert.cli.train import interrupts
    from minbert.inference.bulk import fill
    from minbert.inference.growing import growing

    with growing(output, made_from, resume, in_parts) as growth:
        if growth.progress.rows:
            messages.print(f"going on after row {growth.progress.rows:,} of {found.rows:,}")
        elif resume:
            messages.print(f"there is nothing to resume of {output}; it begins")
        with interrupts("these rows") as interrupted, RowsDisplay(found.rows, growth.progress.rows) as display:
            for progress in fill(growth, file, task, make):
                display.show(progress.rows)
                if interrupted and progress.rows < found.rows:
                    place = f"row {progress.rows:,} of {found.rows:,}"
                    raise RunInterruptedError(f"{place} is saved; go on with\n{resuming()}")
        return growth.progress.counts


class RowsDisplay(BarDisplay):
    """Rows done, rows a second and time left, on standard error: a bar on a terminal, plain lines elsewhere."""

    SECONDS_BETWEEN_LINES = 20.0

    def __init__(self, rows: int, done: int) -> None:
        super().__init__()
        self.rows, self.done = rows, done
        self.task = self.bar.add_task("rows", total=rows, completed=done)
        self.begun = self.last_line = time.monotonic()

    def show(self, row: int) -> None:
        from minbert.cli.show import duration

        now = time.monotonic()
        rate = (row - self.done) / max(now - self.begun, 1e-9)  # rows a second of this process
        self.bar.update(self.task, completed=row, description=f"{rate:,.0f} rows/s")
        if not self.console.is_terminal and now - self.last_line > self.SECONDS_BETWEEN_LINES:
            self.last_line = now
            left = duration((self.rows - row) / rate)
            self.console.print(f"row {row:,}/{self.rows:,}  {rate:,.0f} rows/s  {left} left")
