"""`minbert report`: everything that some runs found, as one text with figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from minbert.cli.train import DataOption, ForceOption
from minbert.errors import RunError

if TYPE_CHECKING:
    from minbert.experiments.results import Result
    from minbert.reports.report import Collection


def report(
    runs: Annotated[
        Path, typer.Argument(help="Folder that holds an experiment's runs, or several such; or a folder of results.")
    ],
    output: Annotated[Path, typer.Option("--output", help="Folder for report.md, report.html and figures.")],
    source: Annotated[
        Path | None, typer.Option("--source", help="A paper as data, such as claims/paper.toml: its claims are judged.")
    ] = None,
    data: DataOption = None,
    no_text: Annotated[bool, typer.Option("--no-text", help="Name rows by their ids, without their texts.")] = False,
    force: ForceOption = False,
) -> None:
    """Write what runs found: scores, differences and their worth, curves, conflict, mistakes, claims."""
    from minbert.cli.show import results
    from minbert.reports.page import PAGE, TEXT, write_report
    from minbert.reports.report import Report
    from minbert.reports.source import read_source

    if (output / TEXT).exists() and not force:
        raise RunError(f"{output / TEXT} exists already; choose another --output, or pass --force to replace it")
    known = None if source is None else read_source(source)
    write_report(Report(collections(runs, data), known, not no_text), output)
    results.print(f"report {output / TEXT}   page {output / PAGE}", soft_wrap=True)


def collections(runs: Path, data: Path | None) -> list[Collection]:
    """The complete runs by the folder that holds their groups, each with its dev sets."""
    from minbert.experiments.devsets import dev_sets
    from minbert.experiments.loading import load_results
    from minbert.reports.report import Collection

    found: dict[str, dict[str, list[Result]]] = {}
    for result in load_results(runs):
        collection, _, name = result.group.partition("/")
        found.setdefault(collection, {}).setdefault(name, []).append(result)
    return [
        Collection(name, groups, dev_sets([result for group in groups.values() for result in group], data))
        for name, groups in found.items()
    ]
