"""`minbert init`: from files of examples to a recipe that trains on them, with what was assumed on the way."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from minbert.cli.train import ForceOption
from minbert.errors import RecipeError, RunError, counted

if TYPE_CHECKING:
    from minbert.prepare.drafts import Readings
    from minbert.prepare.propose import Proposal
    from minbert.tasks import Task


def init(
    files: Annotated[list[Path], typer.Argument(metavar="FILES…", help="CSV, TSV, JSON lines or Parquet.")],
    output: Annotated[
        Path | None, typer.Option(help="The recipe to write; without it, the first file's name with .toml, here.")
    ] = None,
    force: ForceOption = False,
) -> None:
    """Look at files of examples and propose a recipe that trains on them, with a reason beside every choice."""
    from minbert.cli.show import messages, program, results
    from minbert.files import check_place, write_text
    from minbert.prepare.drafts import name_of
    from minbert.prepare.propose import propose

    target = output or Path(f"{name_of(files[0])}.toml")
    if target.name.startswith("_"):
        raise RecipeError(
            f"{target}: a recipe whose name starts with _ is only for others to extend; take another name"
        )
    if target.exists() and not force:
        raise RunError(f"{target} exists already; --force replaces it, --output names another file")
    check_place(target)
    with messages.status("reading the files"):  # seen on a terminal alone
        proposal = propose(files, target)
    write_text(target, proposal.text)
    for remark in proposal.remarks:
        messages.print(remark, soft_wrap=True)
    for name, task in proposal.tasks.items():
        results.print(f"{name}: {_summary(task, proposal.readings[name])}", soft_wrap=True)
    results.print(f"recipe {target}", soft_wrap=True)
    messages.print(
        f"read it, and go on with: {program()} train {shlex.quote(str(target))}{_skipping(proposal)}", soft_wrap=True
    )


def _summary(task: Task, readings: Readings) -> str:
    """What a task is in a line, with its usable rows by split."""
    label = f"{len(task.label_columns)} label columns" if task.has_column_per_label else task.label_columns[0]
    held = {"dev": " (held back)"} if task.holdout else {}
    rows = ", ".join(f"{len(reading.examples):,} {split}{held.get(split, '')}" for split, reading in readings.items())
    return f"{task.kind} of {' and '.join(task.text_columns)} by {label}; rows: {rows}"


def _skipping(proposal: Proposal) -> str:
    """What the next command needs where rows cannot be used."""
    return f" --skip-bad-rows   (train refuses {counted(len(proposal.bad_rows), 'row')})" if proposal.bad_rows else ""
