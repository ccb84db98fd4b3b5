"""`minbert compare`: what the difference between two ways of training is worth, and where it lies."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from minbert.cli.use import JsonOption
from minbert.errors import RunError, counted, near

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.table import Table

    from minbert.experiments.compare import Comparison
    from minbert.experiments.results import Group, Result
    from minbert.metrics import Interval

GroupArgument = Annotated[
    str, typer.Argument(help="A run's folder, or a group's with its seeds in it; with --results, a group's name.")
]

ScoredOption = Annotated[
    Path | None,
    typer.Option("--data", help="Folder with the files that the runs were scored on; else where their recipes say."),
]


def compare(
    left: GroupArgument,
    right: GroupArgument,
    results: Annotated[
        Path | None, typer.Option("--results", help="Folder of kept results (see `experiment keep`) with both groups.")
    ] = None,
    data: ScoredOption = None,
    column: Annotated[str | None, typer.Option(help="A column of the dev files to cut them into parts by.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Difference of two groups of runs on dev: intervals over seeds and examples, verdicts, and where it lies."""
    from minbert.cli import show
    from minbert.experiments.compare import compare as compare_groups
    from minbert.experiments.compare import paired
    from minbert.experiments.devsets import dev_sets
    from minbert.experiments.loading import load_results

    if results is None:
        one, other = _group_in(left), _group_in(right)
    else:
        kept = load_results(results)
        one, other = (_group_among(kept, name, results) for name in (left, right))
    found = compare_groups(one, other, dev_sets([*one, *other], data), column)
    if as_json:
        print(json.dumps(dataclasses.asdict(found), indent=2, ensure_ascii=False, allow_nan=False))
        return
    for group in (one, other):
        seeds = ", ".join(str(result.seed) for result in group)
        show.results.print(f"{group[0].group}: {counted(len(group), 'run')}, seed {seeds}", soft_wrap=True)
    if found.scores[0].same_seeds:
        (left_paired, _), _ = paired([one, other])
        both = ", ".join(str(result.seed) for result in left_paired)
        left_out = "" if len(left_paired) == max(len(one), len(other)) else "; runs of other seeds are left out"
        show.results.print(f"Runs of the same seed are paired: {both}{left_out}.", soft_wrap=True)
    show.results.print()
    show.results.print(_scores_table(found))
    for told in _undefined(found):
        show.results.print(told, soft_wrap=True)
    if any(any(line.seed_effects) for line in found.scores):  # a single run on each side has no spread to tell of
        show.results.print(_precision_table(found))
    for part in (_answers_table(found), _slices_table(found)):
        show.results.print(part)
    show.results.print("The runs differ in:")
    for difference in found.differing:
        show.results.print(f"  {difference}", soft_wrap=True)


def _group_in(folder: str) -> Group:
    """The complete runs of the one group in a folder."""
    from minbert.experiments.loading import load_results
    from minbert.experiments.results import RUNS, is_of_seeds

    found = load_results(Path(folder))
    groups = sorted({result.group for result in found})
    if len(groups) > 1:
        first = next((result.folder for result in found if result.folder), None)
        if (Path(folder) / RUNS).is_file():
            remedy = f"pass --results {folder} and name one, such as {groups[0]}"
        elif first is None:  # all in parts
            remedy = f"name the folder of one, such as that of {groups[0]}"
        else:
            remedy = f"name one, such as {first.parent if is_of_seeds(first) else first}"
        raise RunError(f"{folder} holds {len(groups)} groups of runs; {remedy}")
    return found


def _group_among(kept: Sequence[Result], name: str, results: Path) -> Group:
    """A group of kept results, by its name, or by the end of it where no other's name ends so."""
    groups = sorted({result.group for result in kept})
    meant = [group for group in groups if group == name] or [group for group in groups if group.endswith(f"/{name}")]
    if len(meant) > 1:
        raise RunError(f"{results} has {len(meant)} groups of that name; name one of {', '.join(meant)}")
    if not meant:
        raise RunError(f"{results} has no group '{name}'{near(name, groups)}; it has {', '.join(groups)}")
    return [result for result in kept if result.group == meant[0]]


def _scores_table(found: Comparison) -> Table:
    from minbert.cli.show import number, table
    from minbert.reports.tables import probability, signed

    rows = [
        [
            line.score,
            number(line.left),
            number(line.right),
            signed(line.difference.value),
            interval(line.difference.interval),
            probability(line.adjusted_p),
            line.verdict,
        ]
        for line in found.scores
    ]
    columns = ("score", "left", "right", "left − right", "95 % interval", "p (Holm)", "left is")
    return table(f"{found.left} (left) beside {found.right} (right) on dev: means over seeds", columns, rows)


def _undefined(found: Comparison) -> Iterator[str]:
    """In how many runs of either side a task's score is undefined, where it is not in all of them."""
    of_tasks = (line for line in found.scores if line.metric and line.difference.value is not None)
    for line in of_tasks:  # what the sum lacks are theirs
        for name, lacking, seeds in zip((found.left, found.right), line.undefined, line.difference.seeds, strict=True):
            if lacking:
                yield f"{line.score} is undefined in {lacking} of {counted(seeds, 'run')} of {name}, and counts as 0."


def _precision_table(found: Comparison) -> Table:
    """How small a difference could show, and whether seeds differ more than their single answers explain."""
    from minbert.cli.show import number, table

    rows, are_paired = [], any(line.paired_effect for line in found.scores)
    for line in found.scores:
        effects = [
            f"{one.deviation:.3f} / {one.expected:.3f}" if one else ""
            for one in (*line.seed_effects, *([line.paired_effect] if are_paired else []))
        ]
        smallest = line.smallest_visible
        sharper = "" if line.sharper is None else interval(line.sharper.interval)
        rows.append([line.score, "" if smallest is None else number(smallest), *effects, sharper])
    columns = ["score", "smallest\nvisible", "sd of seeds,\nleft", "sd of seeds,\nright"]
    columns += [*(["sd of left − right,\nseed by seed"] if are_paired else []), "95 % interval,\nseeds kept"]
    return table("How sharp the view is (sd: found / if answers changed one by one)", columns, rows)


def _answers_table(found: Comparison) -> Table:
    from minbert.cli.show import table
    from minbert.reports.tables import churn_cells

    rows = []
    for line in found.scores:
        if line.churn is not None:
            rows.append([line.score, *churn_cells(line.churn)])
    columns = ("task", "changed", "by another\nseed alone", "gained", "lost")
    return table("Answers that left and right do not share", columns, rows)


def _slices_table(found: Comparison) -> Table:
    from minbert.cli.show import table
    from minbert.reports.tables import signed

    are_judged = any(line.difference.interval for line in found.slices)
    rows = []
    for line in found.slices:
        part = f"{line.kind} {line.name}" if line.kind not in TELLING else line.name
        worth = [interval(line.difference.interval), line.verdict] if are_judged else []
        rows.append([line.task, part, f"{line.examples:,}", signed(line.difference.value), *worth])
    columns = ("task", "part of dev", "rows", "left − right", *(("95 % interval", "left is") if are_judged else ()))
    title = "Parts of dev" + (
        " (a family of their own for Holm)" if are_judged or not rows else ": too few seeds to judge them"
    )
    return table(title, columns, rows, left=2)


TELLING = ("length", "negation", "numbers", "overlap")  # kinds of parts whose names need no more words


def interval(found: Interval | None) -> str:
    """Both ends with their signs, or nothing."""
    from minbert.reports.tables import signed

    return "" if found is None else f"{signed(found.low)} … {signed(found.high)}"
