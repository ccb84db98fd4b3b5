"""`minbert report`: everything that some runs found, as one text with figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from minbert.cli.compare import ScoredOption
from minbert.cli.train import ForceOption
from minbert.errors import RunError, several


def report(
    runs: Annotated[
        Path, typer.Argument(help="Folder that holds an experiment's runs, or several such; or a folder of results.")
    ],
    output: Annotated[Path, typer.Option("--output", help="Folder for report.md, report.html and figures.")],
    source: Annotated[
        Path | None, typer.Option("--source", help="A paper as data, such as claims/paper.toml: its claims are judged.")
    ] = None,
    data: ScoredOption = None,
    no_text: Annotated[bool, typer.Option("--no-text", help="Name rows by their ids, without their texts.")] = False,
    force: ForceOption = False,
) -> None:
    """Write what runs found: scores, differences and their worth, curves, conflict, mistakes, claims."""
    from minbert.cli.show import messages, results
    from minbert.reports.collection import read_collections
    from minbert.reports.page import FIGURES, PAGE, TEXT, write_report
    from minbert.reports.report import Report
    from minbert.reports.source import read_source

    for place in (output / TEXT, output / PAGE, output / FIGURES):
        if place.exists() and not force:
            raise RunError(f"{place} exists already; choose another --output, or pass --force to replace it")
    known = None if source is None else read_source(source)
    report = Report(read_collections(runs, data), known, not no_text)
    write_report(report, output)
    if report.lacking:
        messages.print(f"{source} names groups without a run: {several(report.lacking)}", soft_wrap=True)
    results.print(f"report {output / TEXT}   page {output / PAGE}", soft_wrap=True)
