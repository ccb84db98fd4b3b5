"""Recipes and a number of seeds -> the runs of an experiment, and how far each of them is.

A cell is one run: a recipe with one seed, in runs/NAME/seed-K.
"""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from minbert.data import Reading
from minbert.errors import RecipeError, RunError, several
from minbert.jobs import read_tasks
from minbert.metrics import total
from minbert.pretrained import locate
from minbert.recipes import load
from minbert.runs import Progress, Run
from minbert.schema import Recipe
from minbert.tasks import Task

Condition = Literal["complete", "stopped", "missing"]


@dataclass(frozen=True)
class Cell:
    """One run of an experiment. `keeps_weights` is true for a recipe's first seed alone, unless asked."""

    recipe: Recipe
    folder: Path
    keeps_weights: bool

    @property
    def name(self) -> str:
        """The recipe's name and the seed, as people read it."""
        return f"{self.recipe.name} seed {self.recipe.seed}"

    @property
    def run(self) -> Run:
        return Run(self.folder)

    @property
    def progress(self) -> Progress:
        return self.run.progress()

    @property
    def condition(self) -> Condition:
        progress = self.progress
        return "complete" if progress.is_complete else "stopped" if progress.evaluated_at >= 0 else "missing"


def expand(
    paths: Sequence[Path],
    runs: Path,
    seeds: int = 1,
    scale: float | None = None,
    overrides: Sequence[str] = (),
    data: Path | None = None,
    keep_weights: bool = False,
) -> list[Cell]:
    """The cells of all recipes under `paths`, seed after seed, so that every recipe has its first run early.

    A folder stands for the recipes in it, but for those that are only extended. Raises RecipeError.
    """
    scaled = [*overrides, *([] if scale is None else [f"training.scale={scale}"])]
    recipes = [load(file, scaled, data) for file in _files(paths)]
    seen: dict[str, Recipe] = {}
    for recipe in recipes:
        if recipe.name.lower() in seen:
            raise RecipeError(f"two recipes are named '{recipe.name}', and so would be their folders; rename one")
        if scale is not None and recipe.training.max_steps is not None:
            raise RecipeError(
                f"'{recipe.name}' is limited by training.max_steps, and --scale shortens epochs alone; "
                "pass --set training.max_steps=N instead"
            )
        seen[recipe.name.lower()] = recipe
    return [
        Cell(
            recipe.model_copy(update={"seed": recipe.seed + number}),
            runs / recipe.name / f"seed-{recipe.seed + number}",
            keep_weights or number == 0,
        )
        for number in range(seeds)
        for recipe in recipes
    ]


def _files(paths: Sequence[Path]) -> list[Path]:
    files: list[Path] = []
    for path in paths:
        found = sorted(path.glob("[!_]*.toml")) if path.is_dir() else [path]
        if not found:
            raise RecipeError(f"{path} holds no recipe (*.toml, not beginning with '_'); name another folder or a file")
        files += found
    return list(dict.fromkeys(files))


def check(cells: Sequence[Cell], skip_bad_rows: bool) -> dict[str, Reading]:
    """Raises MinbertError, before anything runs, for what would stop a run at its start: its folder, data, encoder.

    Gives what reading each file gave, by task and split, so that rows which were left out can be listed once.
    """
    faults = [fault for cell in cells if (fault := fault_of_folder(cell))]
    if faults:
        raise RunError(several(faults, 2))
    for encoder in dict.fromkeys(cell.recipe.encoder for cell in cells):
        locate(encoder)
    read: dict[str, Reading] = {}
    for name, task in _distinct_tasks(cells):
        _, readings = read_tasks({name: task}, skip_bad_rows)
        read |= {f"{name} {split}": reading for split, reading in readings[name].items()}
    return read


def fault_of_folder(cell: Cell) -> str | None:
    """Why a cell's folder cannot be gone on with, or None."""
    group, run = Run(cell.folder.parent), cell.run
    if group.is_begun:
        return f"{group.folder} is a single run of its own; choose another --runs"
    if not run.is_begun:
        try:
            run.check(resume=True, force=False)
        except RunError as error:
            return str(error)
        return None
    remedy = "choose another --runs, or remove that folder"
    if changed := run.differences(cell.recipe):
        return f"{cell.folder} was made with another {', '.join(changed[:3])}; {remedy}"
    if file := run.changed_data():
        return f"{file} has changed since {cell.folder} was made; put it back, or {remedy}"
    return None


def _distinct_tasks(cells: Iterable[Cell]) -> list[tuple[str, Task]]:
    """The tasks that read other files, or the same in another way; heads and losses do not matter."""
    read: dict[str, tuple[str, Task]] = {}
    for cell in cells:
        for name, task in cell.recipe.tasks.items():
            plain = task.model_copy(update={"head": None, "loss": None, "pooling": "mean", "weight": 1.0})
            read.setdefault(plain.model_dump_json(), (name, task))
    return list(read.values())


@dataclass(frozen=True)
class Contrast:
    """Two recipes to be compared, by name; `key` is what they differ in, where they say so themselves."""

    left: str
    right: str
    key: str


def contrasts(recipes: Sequence[Recipe]) -> list[Contrast]:
    """Every control with its partner, where both are there; without controls, every recipe with the first one that
    has a task in common with it."""
    names = {recipe.name for recipe in recipes}
    controls = [
        Contrast(recipe.name, recipe.control.of, recipe.control.key)
        for recipe in recipes
        if recipe.control is not None and recipe.control.of in names
    ]
    firsts = {r.name: next(first for first in recipes if first.tasks.keys() & r.tasks.keys()) for r in recipes}
    return controls or [Contrast(name, first.name, "") for name, first in firsts.items() if name != first.name]


@dataclass(frozen=True)
class Row:
    """A recipe's dev scores over its complete runs: the mean of each at the last update, and their spread.

    `values` are by task and `sum`; a value is None where it is undefined in any of the runs.
    """

    name: str
    seeds: int
    values: dict[str, float | None]
    deviations: dict[str, float | None]


def scores(cells: Sequence[Cell]) -> list[Row]:
    """One row a recipe that has a complete run, in the order of the recipes."""
    rows = []
    for name in dict.fromkeys(cell.recipe.name for cell in cells):
        done = [cell for cell in cells if cell.recipe.name == name and cell.condition == "complete"]
        if done:
            rows.append(_row(name, [_last_scores(cell) for cell in done]))
    return rows


def _row(name: str, runs: Sequence[dict[str, float | None]]) -> Row:
    values: dict[str, float | None] = {}
    deviations: dict[str, float | None] = {}
    for key in runs[0]:
        found = [run[key] for run in runs]
        known = [value for value in found if value is not None]
        is_defined = len(known) == len(found)
        values[key] = statistics.fmean(known) if is_defined else None
        deviations[key] = statistics.stdev(known) if is_defined and len(known) > 1 else None
    return Row(name, len(runs), values, deviations)


def _last_scores(cell: Cell) -> dict[str, float | None]:
    """Every task's own metric, and the sum, at the run's last update: a method is not judged by its luckiest step."""
    tasks = cell.run.recipe().tasks
    record = _last_evaluation(cell)
    values = {name: metrics[tasks[name].metric] for name, metrics in record["metrics"].items()}
    return values | {"sum": record["sum"]}


def baselines(cells: Sequence[Cell]) -> dict[str, float | None]:
    """What the best constant answer gets on dev, by task, and the sum of these; from the complete runs' records."""
    found: dict[str, float | None] = {}
    for cell in cells:
        if cell.condition == "complete":
            found |= _last_evaluation(cell)["baselines"]
    return found | {"sum": total(found)}


def _last_evaluation(cell: Cell) -> dict[str, Any]:
    return next(record for record in reversed(cell.run.records()) if record["kind"] == "evaluation")
