"""`minbert experiment plan|run|status`: many recipes and seeds as one thing that can be stopped and gone on with."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from minbert.cli.train import DataOption, SkipOption, interrupts
from minbert.errors import RunInterruptedError, counted

if TYPE_CHECKING:
    from rich.table import Table

    from minbert.data import Reading
    from minbert.experiments.grid import Cell, Contrast
    from minbert.experiments.local import News
    from minbert.experiments.timing import Estimate

experiment_app = typer.Typer(no_args_is_help=True, help="Many recipes, several seeds: plan, run, see how far it is.")

PathsArgument = Annotated[list[Path], typer.Argument(help="Recipes, or folders of them.")]
SeedsOption = Annotated[int, typer.Option(min=1, help="Runs a recipe: its own seed and the ones after it.")]
ScaleOption = Annotated[
    float | None, typer.Option(min=0, max=1, help="Share of every epoch's updates to do, for a first look.")
]
JobsOption = Annotated[int, typer.Option(min=1, help="Runs at once; they share the cores.")]
RunsOption = Annotated[Path, typer.Option("--runs", help="Folder that holds the runs: DIR/NAME/seed-K.")]
SetOption = Annotated[list[str] | None, typer.Option("--set", help="Override a key in every recipe. Repeatable.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for another program.")]
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
) -> None:
    """Time some updates and say what all runs would take: hours, disk, and the smallest difference they could show."""
    from minbert.cli.show import messages, results
    from minbert.experiments.grid import check, contrasts, expand
    from minbert.experiments.timing import Stopwatch
    from minbert.kernels import measure

    cells = expand(paths, runs, seeds, scale, overrides or (), data, keep_weights)
    _show_readings(check(cells, skip_bad_rows))
    watch = Stopwatch(measure(jobs), skip_bad_rows)
    estimates: dict[str, Estimate] = {}
    for cell in cells:
        if cell.recipe.name not in estimates:
            messages.print(f"timing some updates of {cell.recipe.name}")
            estimates[cell.recipe.name] = watch.estimate(cell)
    results.print(_plan_table(list(estimates.values())))
    results.print(_whole_plan(cells, estimates, jobs, watch.start), soft_wrap=True)
    if found := contrasts([estimate.recipe for estimate in estimates.values()]):
        results.print()
        results.print(_contrast_table(found, estimates, seeds))
        results.print(_contrast_note(seeds), soft_wrap=True)


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
) -> None:
    """Train what is missing, go on with what was stopped, skip what is complete; then show all dev scores."""
    from minbert.cli.show import messages, program, results
    from minbert.experiments.grid import check, expand
    from minbert.experiments.local import run_cells

    cells = expand(paths, runs, seeds, scale, overrides or (), data, keep_weights)
    _show_readings(check(cells, skip_bad_rows))
    left = sum(cell.condition != "complete" for cell in cells)
    messages.print(f"{counted(len(cells), 'run')}: {len(cells) - left} complete already, {left} to do")
    failures: list[News] = []
    with interrupts() as interrupted, ExperimentDisplay(len(cells), len(cells) - left) as display:
        for news in run_cells(cells, jobs, skip_bad_rows, lambda: bool(interrupted)):
            display.show(news)
            failures += [news] if news.kind == "failed" else []
    for news in failures:
        messages.print(f"failed: {news.cell.name}: {news.reason}", soft_wrap=True)
    if interrupted and any(cell.condition != "complete" for cell in cells):
        command = shlex.join([program(), *sys.argv[1:]])
        raise RunInterruptedError(f"what was under way is saved; go on with\n{command}")
    if any(cell.condition == "complete" for cell in cells):
        results.print(scores_table(cells))
    if failures:
        raise typer.Exit(1 if any(news.is_ours for news in failures) else 2)


@experiment_app.command()
def status(
    paths: PathsArgument,
    seeds: SeedsOption = 1,
    scale: ScaleOption = None,
    runs: RunsOption = Path("runs"),
    data: DataOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say which runs are complete, which were stopped, which are missing, and the dev scores so far."""
    from minbert.cli.show import results
    from minbert.experiments.grid import expand, fault_of_folder, scores

    cells = expand(paths, runs, seeds, scale, overrides or (), data)
    if as_json:
        found = [
            {
                "recipe": cell.recipe.name,
                "seed": cell.recipe.seed,
                "folder": str(cell.folder),
                "condition": cell.condition,
                "step": cell.progress.step,
                "fault": fault_of_folder(cell),
            }
            for cell in cells
        ]
        print(json.dumps({"runs": found, "scores": [vars(row) for row in scores(cells)]}, indent=2))
        return
    results.print(_status_table(cells))
    counts = {word: sum(c.condition == word for c in cells) for word in ("complete", "stopped", "missing")}
    results.print(", ".join(f"{count} {word}" for word, count in counts.items()) + f" of {counted(len(cells), 'run')}")
    for cell in cells:
        if fault := fault_of_folder(cell):
            results.print(f"warning: {fault}", soft_wrap=True)
    if counts["complete"]:
        results.print(scores_table(cells))


def scores_table(cells: Sequence[Cell]) -> Table:
    """Dev scores at the last update, the mean over seeds, under what one constant answer gets."""
    from minbert.cli.show import number, table
    from minbert.experiments.grid import baselines, scores

    rows, constant = scores(cells), baselines(cells)
    tasks = [name for name in constant if name != "sum"]
    lines = [["always one answer", "", *(number(constant[task]) for task in tasks), number(constant["sum"]), ""]]
    for row in rows:
        shown = [number(row.values[task]) if task in row.values else "" for task in tasks]
        deviation = row.deviations["sum"]
        spread = "" if deviation is None else f"{deviation:.3f}"
        lines.append([row.name, str(row.seeds), *shown, number(row.values["sum"]), spread])
    columns = ("recipe", "seeds", *tasks, "sum", "sd of\nsum")
    return table("Dev scores at the last update, mean over seeds", columns, lines)


class ExperimentDisplay:
    """How an experiment goes, on standard error: a line for every run that ends, and on a terminal a bar."""

    def __init__(self, runs: int, complete: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        from minbert.cli.show import messages

        self.runs, self.complete, self.began = runs, complete, dict[str, float]()
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
    from minbert.experiments.grid import scores

    (row,) = scores([cell])
    return "  ".join(f"{name} {number(value)}" for name, value in row.values.items())


def _plan_table(estimates: Sequence[Estimate]) -> Table:
    from minbert.cli.show import table

    rows = [[e.recipe.name, f"{e.updates:,}", f"{e.seconds / 60:.1f}", _gigabytes(e.kept)] for e in estimates]
    return table("One run of each recipe", ("recipe", "updates", "minutes", "GB kept"), rows)


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.2f}"


def _whole_plan(cells: Sequence[Cell], estimates: dict[str, Estimate], jobs: int, start: float) -> str:
    """Hours and disk of all runs together, of what of them is left to do, and of the largest moment."""
    left = [cell for cell in cells if cell.condition != "complete"]

    def hours(shares: Sequence[tuple[Cell, float]]) -> float:
        seconds = sum(estimates[cell.recipe.name].seconds * share for cell, share in shares)
        return (seconds / jobs + (start if shares else 0)) / 3600

    whole = hours([(cell, 1.0) for cell in cells])
    rest = hours([(cell, 1 - cell.progress.step / max(1, estimates[cell.recipe.name].updates)) for cell in left])
    kept = sum(estimates[c.recipe.name].kept if c.keeps_weights else estimates[c.recipe.name].answers for c in cells)
    peak = kept + jobs * max(estimate.peak for estimate in estimates.values())
    return (
        f"{counted(len(cells), 'run')}: {whole:.2f} hours in all, {rest:.2f} for {len(left)} not "
        f"complete yet ({jobs} at once); {_gigabytes(kept)} GB of disk in the end, {_gigabytes(peak)} GB on the way"
    )


def _show_readings(readings: dict[str, Reading]) -> None:
    from minbert.cli.show import show_reading

    for file, reading in readings.items():
        show_reading(file, reading)


def _contrast_table(found: Sequence[Contrast], estimates: dict[str, Estimate], seeds: int) -> Table:
    """How small a difference each contrast could show, task by task; before any run it depends on dev's size alone."""
    from minbert.cli.show import number, table
    from minbert.comparison import smallest_visible_difference

    sizes: dict[str, dict[str, tuple[str, int]]] = {}
    for name, estimate in estimates.items():
        scored = {task: t for task, t in estimate.recipe.tasks.items() if task in estimate.dev_rows}
        sizes[name] = {task: (t.metric or "", estimate.dev_rows[task]) for task, t in scored.items()}
    tasks = list(dict.fromkeys(task for of_recipe in sizes.values() for task in of_recipe))

    def visible(examples: Sequence[tuple[str, int]]) -> str:
        difference = smallest_visible_difference(examples, seeds)
        return "unknown" if difference is None else number(difference)

    keyed = ["differs in"] if any(contrast.key for contrast in found) else []
    rows = []
    for contrast in found:
        own = {task: size for task, size in sizes[contrast.left].items() if task in sizes[contrast.right]}
        key = [contrast.key] if keyed else []
        cells = [visible([own[task]]) if task in own else "" for task in tasks]
        rows.append([contrast.left, contrast.right, *key, *cells, visible(list(own.values()))])
    columns = ("recipe", "against", *keyed, *tasks, "sum")
    return table("Smallest visible difference on dev", columns, rows, left=2 + len(keyed))


def _contrast_note(seeds: int) -> str:
    if seeds < 3:
        return "unknown: below 3 seeds there is no verdict between two methods; pass --seeds 3 or more"
    from minbert.comparison import ASSUMED_ACCURACY, ASSUMED_CORRELATION, RENEWED

    turned = 2 * RENEWED * ASSUMED_ACCURACY * (1 - ASSUMED_ACCURACY)
    return (
        f"A true difference of this size is found 4 times in 5. Assumed: accuracies of {ASSUMED_ACCURACY} and "
        f"correlations of {ASSUMED_CORRELATION} (better ones let less show), and, as on sst, that another seed "
        f"turns {turned:.0%} of the answers from right to wrong or back."
    )


def _status_table(cells: Sequence[Cell]) -> Table:
    """A line a recipe: how many of its seeds are complete, and which are not."""
    from minbert.cli.show import table

    rows = []
    for name in dict.fromkeys(cell.recipe.name for cell in cells):
        own = [cell for cell in cells if cell.recipe.name == name]
        stopped = [f"seed {c.recipe.seed} at update {c.progress.step:,}" for c in own if c.condition == "stopped"]
        missing = [str(c.recipe.seed) for c in own if c.condition == "missing"]
        complete = sum(cell.condition == "complete" for cell in own)
        rows.append([name, f"{complete} of {len(own)}", ", ".join(stopped), ", ".join(missing)])
    return table("Runs", ("recipe", "complete", "stopped", "seeds missing"), rows, left=4)
