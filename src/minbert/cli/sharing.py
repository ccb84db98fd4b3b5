"""`minbert sharing`: whether tasks that are trained together do better than each alone, and what either costs."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from minbert.cli.compare import interval
from minbert.cli.experiment import JobsOption, RunsOption, show_readings, train_cells
from minbert.cli.train import DataOption, SkipOption
from minbert.cli.use import JsonOption

if TYPE_CHECKING:
    from rich.table import Table

    from minbert.experiments.delta_m import DeltaM
    from minbert.experiments.sharing import Sharing


def sharing(
    recipe: Annotated[Path, typer.Argument(help="A recipe of two tasks or more.")],
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each: the recipe's own seed and the ones after it.")] = 5,
    jobs: JobsOption = 1,
    runs: RunsOption = Path("runs"),
    data: DataOption = None,
    overrides: Annotated[list[str] | None, typer.Option("--set", help="Override a key. Repeatable.")] = None,
    skip_bad_rows: SkipOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train all tasks together and each alone on as many batches; say which tasks sharing helps, which it harms."""
    from minbert.cli.show import messages, results
    from minbert.experiments.grid import check
    from minbert.experiments.sharing import derive, outcome
    from minbert.recipes import load

    arms = derive(load(recipe, overrides or (), data), runs, seeds, skip_bad_rows)
    show_readings(check(arms.cells, skip_bad_rows))
    for note in arms.notes:
        messages.print(f"note: {note}", soft_wrap=True)
    failures = train_cells(arms.cells, jobs, skip_bad_rows)
    if failures:
        messages.print("nothing is compared before every run is complete")
        raise typer.Exit(1 if any(news.is_ours for news in failures) else 2)
    found = outcome(arms)
    if as_json:
        print(json.dumps(dataclasses.asdict(found), indent=2, ensure_ascii=False))
        return
    results.print(_scores_table(found))
    results.print(_precision_table(found))
    results.print(_cost_table(found))
    results.print(f"delta-m, the mean relative gain of sharing: {_delta_m(found.delta_m)}", soft_wrap=True)
    for sentence in found.conclusion:
        results.print(sentence, soft_wrap=True)


def _scores_table(found: Sharing) -> Table:
    from minbert.cli.show import number, table
    from minbert.reports.tables import signed

    rows = [
        [
            line.task,
            number(line.constant),
            number(line.alone),
            number(line.together),
            signed(line.difference.value),
            interval(line.difference.interval),
            line.verdict,
        ]
        for line in found.tasks
    ]
    columns = ("task", "always one\nanswer", "alone", "together", "together\n− alone", "95 % interval", "together is")
    return table(f"{found.recipe} on dev at the last update: means over {found.seeds} seeds", columns, rows)


def _precision_table(found: Sharing) -> Table:
    """How small a difference could show, and what both arms learned from."""
    from minbert.cli.show import number, table
    from minbert.reports.tables import probability

    rows = []
    for line in found.tasks:
        smallest = "" if line.smallest_visible is None else number(line.smallest_visible)
        counts = [f"{line.rows:,}", f"{line.batches:,.0f}", f"{line.dev_rows:,}"]
        rows.append([line.task, line.metric, smallest, probability(line.adjusted_p), *counts])
    columns = ("task", "metric", "smallest\nvisible", "p (Holm)", "training\nrows", "batches,\neither way", "dev rows")
    return table("How sharp the view is, and what was learned from", columns, rows, left=2)


def _cost_table(found: Sharing) -> Table:
    from minbert.cli.show import table

    rows = [
        [
            name,
            str(cost.models),
            f"{cost.parameters:,}",
            f"{cost.updates:,.0f}",
            f"{cost.seconds:,.1f}",
            str(cost.passes),
        ]
        for name, cost in (("each alone", found.alone), ("together", found.together))
    ]
    columns = ("", "models", "parameters", "updates", "seconds of\nupdates", "encoder passes\na request")
    return table("What one seed costs", columns, rows)


def _delta_m(found: DeltaM) -> str:
    if found.value is None:
        return f"undefined; {found.reason}"
    ends = found.interval
    between = found.reason if ends is None else f"95 % interval {_percent(ends.low)} … {_percent(ends.high)}"
    return f"{_percent(found.value)} % ({between})"


def _percent(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")
