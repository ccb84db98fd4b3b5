"""A file of rows, and how a window of it is answered -> the output, and what was found and how far it is on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

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
    from minbert.cli.show import RowsDisplay, messages, resuming
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
