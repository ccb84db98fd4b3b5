"""`minbert experiment plan|run|status`: many recipes and seeds as one thing that can be stopped and gone on with."""

from __future__ import annotations

import json
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from minbert.cli.train import DataOption, SkipOption, interrupts
from minbert.cli.use import JsonOption
from minbert.errors import MinbertError, RunInterruptedError, counted, several

if TYPE_CHECKING:
    from rich.table import Table

    from minbert.data import Reading
    from minbert.experiments.grid import Cell
    from minbert.experiments.local import News
    from minbert.experiments.timing import Estimate

experiment_app = typer.Typer(no_args_is_help=True, help="Many recipes, several seeds: plan, run, see how far it is.")

PathsArgument = Annotated[list[Path], typer.Argument(help="Recipes, or folders of them.")]
SeedsOption = Annotated[int, typer.Option(min=1, help="Runs a recipe: its own seed and the ones after it.")]
ScaleOption = Annotated[
    float | None, typer.Option(min=0, max=1, help="Share of every epoch's updates to do, for a first look.")
]
ResultsOption = Annotated[
    Path | None,
    typer.Option("--results", help="Folder of results: leave out what it holds; `run` adds what it completes."),
]
JobsOption = Annotated[int, typer.Option(min=1, help="Runs at once; they share the cores.")]
RunsOption = Annotated[Path, typer.Option("--runs", help="Folder that holds the runs: DIR/NAME/seed-K.")]
SetOption = Annotated[list[str] | None, typer.Option("--set", help="Override a key in every recipe. Repeatable.")]
KeepOption = Annotated[
    bool, typer.Option("--keep-weights", help="Keep every seed's models, not the first one's alone.")
]


@experiment_app.command()
def plan(
    paths: PathsArgument,
    seeds: SeedsOption = 1,
    scale: ScaleOption = None,
    jobs: JobsOption = 1,
    runs: RunsOption = Path("runs"),
    data: DataOption = None,
    overrides: SetOption = None,
    skip_bad_rows: SkipOption = False,
    keep_weights: KeepOption = False,
    kept: ResultsOption = None,
) -> None:
    """Time some updates and say what all runs would take: hours, disk, and the smallest difference they could show."""
    from minbert.cli.plan import show_plan
    from minbert.cli.show import messages
    from minbert.experiments.grid import check, expand
    from minbert.experiments.timing import Stopwatch
    from minbert.kernels import measure

    cells = _left_of(expand(paths, runs, seeds, scale, overrides or (), data, keep_weights), kept)
    if not cells:
        return
    show_readings(check(cells, skip_bad_rows))
    watch = Stopwatch(measure(jobs), skip_bad_rows)
    estimates: dict[str, Estimate] = {}
    for cell in cells:
        if cell.recipe.name not in estimates:
            messages.print(f"timing some updates of {cell.recipe.name}")
            estimates[cell.recipe.name] = watch.estimate(cell)
    show_plan(cells, estimates, seeds, jobs, watch)


@experiment_app.command()
def run(
    paths: PathsArgument,
    seeds: SeedsOption = 1,
    scale: ScaleOption = None,
    jobs: JobsOption = 1,
    runs: RunsOption = Path("runs"),
    data: DataOption = None,
    overrides: SetOption = None,
    skip_bad_rows: SkipOption = False,
    keep_weights: KeepOption = False,
    kept: ResultsOption = None,
) -> None:
    """Train what is missing, go on with what was stopped, skip what is complete; then show all dev scores."""
    from minbert.cli.show import messages, results
    from minbert.experiments.grid import check, expand

    cells = _left_of(expand(paths, runs, seeds, scale, overrides or (), data, keep_weights), kept)
    if not cells:
        return
    show_readings(check(cells, skip_bad_rows))
    not_kept = [fault for cell in cells if cell.condition == "complete" and (fault := _fault_of_keeping(cell, kept))]

    def keep_cell(cell: Cell) -> None:
        if fault := _fault_of_keeping(cell, kept):
            not_kept.append(fault)

    try:
        failures = train_cells(cells, jobs, skip_bad_rows, keep_cell)
        if any(cell.condition == "complete" for cell in cells):
            results.print(scores_table(cells))
    finally:  # also where the user stopped the runs
        for fault in not_kept:
            messages.print(f"not kept: {fault}", soft_wrap=True)
    if failures or not_kept:
        raise typer.Exit(1 if any(news.is_ours for news in failures) else 2)


def train_cells(
    cells: Sequence[Cell], jobs: int, skip_bad_rows: bool, when_done: Callable[[Cell], None] = lambda _: None
) -> list[News]:
    """Trains what is not complete, with everything shown, and gives the failures, which are said as well.

    On an interrupt what is under way is saved and RunInterruptedError says how to go on.
    """
    from minbert.cli.show import messages, program
    from minbert.experiments.local import run_cells

    left = sum(cell.condition != "complete" for cell in cells)
    messages.print(f"{counted(len(cells), 'run')}: {len(cells) - left} complete already, {left} to do")
    failures: list[News] = []
    with interrupts() as interrupted, ExperimentDisplay(len(cells), len(cells) - left) as display:
        for news in run_cells(cells, jobs, skip_bad_rows, lambda: bool(interrupted)):
            display.show(news)
            if news.kind == "done":
                when_done(news.cell)
            failures += [news] if news.kind == "failed" else []
    for news in failures:
        messages.print(f"failed: {news.cell.name}: {news.reason}", soft_wrap=True)
    if failures:
        folders = shlex.join(dict.fromkeys(str(news.cell.folder.parent) for news in failures))
        messages.print(
            f"before you go on with a changed recipe, remove what the old one left: {folders}", soft_wrap=True
        )
    if interrupted and any(cell.condition != "complete" for cell in cells):
        command = shlex.join([program(), *sys.argv[1:]])
        raise RunInterruptedError(f"what was under way is saved; go on with\n{command}")
    return failures


@experiment_app.command()
def status(
    paths: PathsArgument,
    seeds: SeedsOption = 1,
    scale: ScaleOption = None,
    runs: RunsOption = Path("runs"),
    data: DataOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
    jobs: Annotated[int, typer.Option(min=1, hidden=True)] = 1,  # noqa: ARG001 (so that a `run` line asks for its status)
    skip_bad_rows: Annotated[bool, typer.Option("--skip-bad-rows", hidden=True)] = False,  # noqa: ARG001
    keep_weights: Annotated[bool, typer.Option("--keep-weights", hidden=True)] = False,  # noqa: ARG001
    kept: ResultsOption = None,
) -> None:
    """Say which runs are complete, which were stopped, which are missing, and the dev scores so far."""
    from minbert.cli.show import results
    from minbert.experiments.grid import baselines, expand, scores, standing

    cells = _left_of(expand(paths, runs, seeds, scale, overrides or (), data), kept)
    standings = {cell.name: standing(cell) for cell in cells}
    own = [cell for cell in cells if standings[cell.name][0] != "refused"]
    if as_json:
        found = [
            {
                "recipe": cell.recipe.name,
                "seed": cell.recipe.seed,
                "folder": str(cell.folder),
                "condition": condition,
                "step": cell.progress.step,
                "fault": fault,
            }
            for cell, (condition, fault) in zip(cells, standings.values(), strict=True)
        ]
        print(
            json.dumps(
                {"runs": found, "scores": [vars(row) for row in scores(own)], "baselines": baselines(own)}, indent=2
            )
        )
        return
    if not cells:
        return
    results.print(_status_table(cells, {name: condition for name, (condition, _) in standings.items()}))
    counts = Counter[str](condition for condition, _ in standings.values())
    words = ["complete", "stopped", "missing", *(word for word in ("failed", "refused") if counts[word])]
    results.print(", ".join(f"{counts[word]} {word}" for word in words) + f" of {counted(len(cells), 'run')}")
    for name, (condition, fault) in standings.items():
        if condition == "failed":
            results.print(f"failed: {name}: {fault}", soft_wrap=True)
    faults = [fault for condition, fault in standings.values() if condition == "refused" and fault]
    if faults:
        results.print(f"refused: {several(faults, 1)}", soft_wrap=True)
    elif counts["complete"] < len(cells):
        results.print(f"go on with\n{_run_command()}", soft_wrap=True)
    if counts["complete"]:
        results.print(scores_table(own))


@experiment_app.command()
def keep(
    runs: Annotated[Path, typer.Argument(help="Folder of runs; those that are complete are kept.")],
    output: Annotated[Path, typer.Option("--output", help="Folder of results to add them to.")],
) -> None:
    """Add what complete runs found to a small folder of results: scores, conflict, answers, and none of the data."""
    from minbert.cli.show import results
    from minbert.experiments.loading import load_results
    from minbert.experiments.results import keep as keep_results

    found = load_results(runs)
    held = keep_results(found, output)
    size = sum(file.stat().st_size for file in output.iterdir()) / 1e6
    results.print(f"{output} holds {counted(len(held), 'run')}, {len(found)} of them from {runs}; {size:.1f} MB")


def _fault_of_keeping(cell: Cell, kept: Path | None) -> str | None:
    """Adds a complete run to a folder of results, if there is one; says why that failed: the other runs go on."""
    from minbert.experiments.grid import results_with
    from minbert.experiments.results import keep as keep_results

    if kept is not None:
        try:
            keep_results(results_with(cell), kept)
        except (MinbertError, OSError) as error:
            return str(error)
    return None


def _left_of(cells: list[Cell], kept: Path | None) -> list[Cell]:
    """The cells that are not among kept results; says how many are."""
    from minbert.cli.show import messages
    from minbert.experiments.grid import not_kept

    left = not_kept(cells, kept)
    if len(left) < len(cells):
        messages.print(f"{counted(len(cells) - len(left), 'run')} of {len(cells)} kept in {kept} already")
    return left


def _run_command() -> str:
    """The `run` line that a `status` line asks about."""
    from minbert.cli.show import program

    words = [word for word in sys.argv[1:] if word != "--json"]
    words[words.index("status")] = "run"
    return shlex.join([program(), *words])


def scores_table(cells: Sequence[Cell]) -> Table:
    """Dev scores at the last update and minutes of updates, means over seeds, under what one constant answer gets."""
    from minbert.cli.show import number, table
    from minbert.experiments.grid import baselines, scores

    rows, constant = scores(cells), baselines(cells)
    tasks = [name for name in constant if name != "sum"]
    total = number(constant["sum"]) if "sum" in constant else ""
    lines = [["always one answer", "", *(number(constant[task]) for task in tasks), total, "", ""]]
    for row in rows:
        shown = [number(row.values[task]) if task in row.values else "" for task in tasks]
        deviation = row.deviations["sum"]
        spread = "" if deviation is None else f"{deviation:.3f}"
        lines.append([row.name, str(row.seeds), *shown, number(row.values["sum"]), spread, f"{row.seconds / 60:.1f}"])
    columns = ("recipe", "seeds", *tasks, "sum", "sd of\nsum", "minutes")
    return table("Dev scores at the last update, and minutes of all updates: means over seeds", columns, lines)


class ExperimentDisplay:
    """How an experiment goes, on standard error: a line for every run that ends, and on a terminal a bar."""

    def __init__(self, runs: int, complete: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        from minbert.cli.show import messages

        self.runs, self.complete = runs, complete
        self.bar = Progress(
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            console=messages,
            disable=not messages.is_terminal,
        )
        self.whole = self.bar.add_task("", total=runs, completed=complete)

    def __enter__(self) -> ExperimentDisplay:
        self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.stop()

    def show(self, news: News) -> None:
        """Takes one piece of news of a run."""
        from minbert.cli.show import duration, messages

        if news.kind in ("begun", "step"):
            far = f": update {news.step:,} of {news.last_step:,}" if news.last_step else ""
            self.bar.update(self.whole, description=f"{news.cell.name}{far}")
            if news.kind == "begun" and not messages.is_terminal:  # a log has no bar
                messages.print(f"begun  {news.cell.name}")
        elif news.kind == "done":
            self.complete += 1
            self.bar.update(self.whole, completed=self.complete)
            line = f"{self.complete}/{self.runs}  {news.cell.name}  {_scores_of(news.cell)}  {duration(news.seconds)}"
            messages.print(line, soft_wrap=True)
        elif news.kind == "stopped":
            messages.print(f"stopped  {news.cell.name}, its state is saved")
        else:
            messages.print(f"failed  {news.cell.name}; the others go on")


def _scores_of(cell: Cell) -> str:
    from minbert.cli.show import number
    from minbert.experiments.grid import last_scores

    return "  ".join(f"{name} {number(value)}" for name, value in last_scores(cell).items())


def show_readings(readings: dict[str, Reading]) -> None:
    """What reading each file gave, with the rows that were left out."""
    from minbert.cli.show import show_reading

    for file, reading in readings.items():
        show_reading(file, reading)


def _status_table(cells: Sequence[Cell], conditions: dict[str, str]) -> Table:
    """A line a recipe: how many of its seeds are complete, and which are not."""
    from minbert.cli.show import table

    rows = []
    for name in dict.fromkeys(cell.recipe.name for cell in cells):
        own = [cell for cell in cells if cell.recipe.name == name]
        words = ("complete", "stopped", "failed", "missing")
        of = {word: [c for c in own if conditions[c.name] == word] for word in words}
        stopped = [f"seed {c.place} at update {c.progress.step:,}" for c in of["stopped"]]
        stopped += [f"seed {c.place} failed" for c in of["failed"]]
        missing = [c.place for c in of["missing"]]
        rows.append([name, f"{len(of['complete'])} of {len(own)}", ", ".join(stopped), ", ".join(missing)])
    return table("Runs", ("recipe", "complete", "stopped", "seeds missing"), rows, left=4)
