"""`minbert data check` and `download`: what files hold before they are trained on, and public ones to begin with."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from minbert.cli.train import ForceOption
from minbert.errors import DataError, counted, shown

if TYPE_CHECKING:
    from rich.table import Table

    from minbert.prepare.check import Report, SplitReport, TaskReport
    from minbert.prepare.repeats import Found, Matches, Row
    from minbert.schema import Recipe

data_app = typer.Typer(help="Look at data before training, or fetch some.", no_args_is_help=True)
CLASSES = 12  # of a task that are shown, the largest first
TOKENS = (
    "Rows are counted without the header. Tokens with [CLS] and [SEP], before anything is cut. cut: rows with a text "
    "longer than the limit, which loses its end; [UNK]: rows with a text of mostly unknown tokens."
)
LIKENESS = (
    "equal: letter by letter; swapped: equal with the sides changed; folded: equal once case and blanks are folded, "
    "sides in either order. A row counts once, under the first that fits, beside the first row that it is like. other "
    "label: of these rows, those whose like has another label. The lists give row = row of its like, id, label / label "
    "of its like, text."
)


@data_app.callback()
def data() -> None:
    """Look at data before training, or fetch some."""


@data_app.command()
def check(
    folder: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="A folder with files of the built-in tasks.")
    ] = None,
    recipe: Annotated[Path | None, typer.Option("--recipe", help="Check the files of this recipe's tasks.")] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder with the files of the recipe's tasks, as train takes it.")
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(help="Whose tokens to count; without it the recipe's encoder, else minilm.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Look for rows that train would refuse (exit code 2), and for repeats, leaks, cut texts and other doubts."""
    from minbert.cli.show import messages
    from minbert.prepare.check import check

    with messages.status("reading and measuring the files"):  # seen on a terminal alone
        looked_at = _recipe(folder, recipe, data, encoder)
        report = check(looked_at)
    if as_json:
        print(json.dumps(report.as_json(), indent=2, allow_nan=False))
    else:
        _show(report, by="Train" if looked_at.folds == [None] else "Experiment run")
    if report.refused:
        typer.echo(f"error: {_verdict(report)}", err=True)
        raise typer.Exit(2)


@data_app.command()
def download(
    tasks: Annotated[
        list[str] | None, typer.Argument(metavar="TASK", help="sst, para or sts; without it, all three.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder to write the files into.")] = Path("data"),
    force: ForceOption = False,
) -> None:
    """Fetch the public originals of the course's data from the hub, into files in the course's layout."""
    from minbert.cli.show import messages, program, results, table
    from minbert.prepare.download import ORIGINALS, download

    chosen = list(dict.fromkeys(tasks or ORIGINALS))
    written = download(chosen, output, force)
    rows = [(str(file.path), f"{file.rows:,}", f"{file.left_out:,}") for file in written]
    results.print(table("Files written", ("file", "rows", "left out: no text"), rows))
    for task in chosen:
        results.print(f"{task}: {ORIGINALS[task].repository} on the hub. {ORIGINALS[task].terms}.", soft_wrap=True)
    messages.print(f"look at them with: {program()} data check {output}", soft_wrap=True)


def _recipe(folder: Path | None, recipe: Path | None, data: Path | None, encoder: str | None) -> Recipe:
    from minbert.prepare.check import recipe_of
    from minbert.recipes import load

    if folder is not None and data is not None:
        raise DataError(f"{folder} and --data {data} both name the data's folder; give one")
    folder = folder or data
    if recipe is None:
        if folder is None:
            raise DataError("nothing to check; name a folder of files, or pass --recipe RECIPE")
        return recipe_of(folder, encoder or "minilm")
    loaded = load(recipe, data=folder)
    return loaded if encoder is None else loaded.model_copy(update={"encoder": encoder})


def _verdict(report: Report) -> str:
    """What train would refuse, and the remedy."""
    files = sum(split.fault is not None for task in report.tasks for split in task.splits)
    tasks = sum(task.fault is not None for task in report.tasks)
    counts = {"bad row": len(report.bad_rows), "file": files, "task": tasks}
    parts = [counted(number, noun) for noun, number in counts.items() if number]
    listed = " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))
    remedy = "correct it" if sum(counts.values()) == 1 else "correct them"
    skipping = "" if report.faults else ", or pass --skip-bad-rows to train"
    return f"train would refuse {listed}; {remedy}{skipping}"


def _show(report: Report, by: str) -> None:
    """The report on standard output: what training `by` a command refuses, counts, rows to look up, and the summary.

    Where no file could be read there is nothing to add to what train refuses.
    """
    from minbert.cli.show import results as out
    from minbert.cli.show import table

    if report.refused:
        out.print(f"{by} would refuse", style="bold")
        for line in (*report.faults, *map(str, report.bad_rows)):
            out.print(line, soft_wrap=True)
    if all(split.fault for task in report.tasks for split in task.splits):
        return
    if report.refused:
        out.print()
    out.print(_files(report))
    out.print(TOKENS)
    out.print("\nHow the files were read", style="bold")
    out.print(_grid(list(_notes(report))))
    labels = [cells for task in report.tasks for cells in _task_labels(task)]
    if labels:
        out.print()
        out.print(table("Labels", ("task", "label", "train", "dev"), labels, left=2))
    likenesses = _likenesses(report)
    if likenesses:
        columns = ("task", "rows of", "also in", "rows", "equal", "swapped", "folded", "other label")
        out.print(table("Rows that are like another one", columns, likenesses, left=3))
        out.print(LIKENESS)
    for task in report.tasks:
        for heading, rows in _listings(task):
            if rows:
                out.print(f"\n{heading}", style="bold")
                out.print(_grid(rows, crop=True))
    out.print("\nSummary", style="bold")
    remarks = [["-", f"{remark.what}: {', '.join(remark.where)}"] for remark in report.remarks if remark.where]
    if remarks:
        out.print(_grid(remarks))
    out.print(f"Looked for and not found: {', '.join(remark.what for remark in report.remarks if not remark.where)}.")
    if not report.refused:
        out.print(f"{by} would refuse nothing.", style="bold")


def _grid(rows: Sequence[Sequence[str]], crop: bool = False) -> Table:
    """Rows in columns without lines, empty columns left out; the last one is wrapped or cropped to the screen."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2, 0, 0))
    filled = [cells for cells in zip(*rows, strict=True) if any(cells)]
    for place in range(len(filled)):
        grid.add_column(no_wrap=place < len(filled) - 1, overflow="fold")
    for *cells, last in zip(*filled, strict=True):
        grid.add_row(*cells, Text(last, no_wrap=crop, overflow="crop" if crop else "fold"))
    return grid


def _files(report: Report) -> Table:
    """One line a file: rows, and token lengths against the limit."""
    from minbert.cli.show import table

    columns = ("task", "split", "rows", "usable", "bad", "mean", "50%", "95%", "max", "cut", "[UNK]")
    limits = {task.limit for task in report.tasks}
    limit = f"{limits.pop()}" if len(limits) == 1 else ", ".join(f"{task.name} {task.limit}" for task in report.tasks)
    title = f"Rows, and tokens of a row's longest text (encoder {report.encoder}, limit {limit})"
    return table(title, columns, [_file(task, split) for task in report.tasks for split in task.splits], left=2)


def _file(task: TaskReport, split: SplitReport) -> list[str]:
    if split.fault is not None:
        return [task.name, split.split, "refused", *[""] * 8]
    cells = [task.name, split.split, f"{split.rows:,}", f"{split.usable:,}", f"{len(split.bad_rows):,}"]
    if split.tokens is None:
        return [*cells, *[""] * 6]
    spread = split.tokens.lengths
    lengths = [f"{length:,.0f}" for length in (spread.mean, spread.p50, spread.p95, spread.max)]
    return [*cells, *lengths, f"{split.tokens.cut.count:,}", f"{split.tokens.unknown.count:,}"]


def _notes(report: Report) -> Iterator[list[str]]:
    for task in report.tasks:
        for split in task.splits:
            if split.fault is None:
                yield [task.name, split.split, "; ".join(split.notes) or "by the rules of its format"]


def _task_labels(task: TaskReport) -> Iterator[list[str]]:
    """Classes, or parts of a score's range, down; labelled splits across."""
    splits = {split.split: split for split in task.splits}
    sides = [splits.get("train"), splits.get("dev")]
    shares = [{share.label: share for share in side.balance} if side else {} for side in sides]
    labels = list(dict.fromkeys(label for side in shares for label in side))
    if len(labels) > CLASSES:
        labels.sort(key=lambda label: -sum(side[label].count for side in shares if label in side))
    for label in labels[:CLASSES]:
        found = [side.get(label) for side in shares]
        yield [task.name, label, *(f"{share.count:,} {share.share:4.0%}" if share else "" for share in found)]
    if labels[CLASSES:]:
        yield [task.name, f"and {len(labels) - CLASSES:,} rarer ones", "", ""]
    spreads = [side.scores if side else None for side in sides]
    if any(spreads):
        yield [task.name, "mean", *(f"{spread.mean:.3g}" if spread else "" for spread in spreads)]
        quartiles = [f"{s.p25:.3g}, {s.p50:.3g}, {s.p75:.3g}" if s else "" for s in spreads]
        yield [task.name, "quartiles", *quartiles]


def _likenesses(report: Report) -> list[list[str]]:
    rows = []
    for task in report.tasks:
        for overlap in task.overlaps:
            rows.append([task.name, overlap.of, overlap.within, *_counts(overlap.matches)])
        for split in task.splits:
            rows.append([task.name, split.split, "itself", *_counts(split.repeats)])
    return [row for row in rows if row[3] != "0"]


def _counts(matches: Matches) -> list[str]:
    counts = (matches.count, matches.equal, matches.swapped, matches.folded, matches.conflicting)
    return [f"{count:,}" for count in counts]


def _listings(task: TaskReport) -> Iterator[tuple[str, list[list[str]]]]:
    """A heading, and rows to look up, for all that was found."""
    for overlap in task.overlaps:
        of, within = f"{task.name} {overlap.of}", overlap.within
        yield _matched(f"{of}: rows that {within} holds too", overlap.matches)
        yield _listed(f"{of}: ids that {within} gives to another text", overlap.same_id)
    for split in task.splits:
        yield _matched(f"{task.name} {split.split}: rows that repeat an earlier one", split.repeats)
        for what, found in _found(split).items():
            yield _listed(f"{task.name} {split.split}: {what}", found)


def _found(split: SplitReport) -> dict[str, Found]:
    found = {
        "ids given twice": split.repeated_ids,
        "rows with two equal texts": split.equal_texts,
        "texts or labels that say NA, NaN, null, N/A or #N/A": split.placeholders,
        "blank texts": split.blank,
    }
    if split.tokens is not None:
        found |= {"rows longer than the limit": split.tokens.cut, "rows of mostly unknown tokens": split.tokens.unknown}
    return found


def _matched(heading: str, matches: Matches) -> tuple[str, list[list[str]]]:
    rows = []
    for match in matches.first:
        labels = _label(match.row) + (f" / {_label(match.other)}" if match.conflicts else "")
        rows.append([match.likeness, f"{match.row.row} = {match.other.row}", _id(match.row), labels, match.row.text])
    return f"{heading} ({len(rows)} of {matches.count:,})", rows


def _listed(heading: str, found: Found) -> tuple[str, list[list[str]]]:
    rows = [[str(row.row), _id(row), row.detail, _label(row), row.text] for row in found.first]
    return f"{heading} ({len(rows)} of {found.count:,})", rows


def _id(row: Row) -> str:
    return shown(row.id, 30)


def _label(row: Row) -> str:
    """A label in little room: a score's later decimals and a name's end are left out."""
    return shown(re.sub(r"(\.\d\d)\d+$", r"\1", row.label or ""), 15)
