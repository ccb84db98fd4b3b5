"""Recipes and a number of seeds -> the runs of an experiment, and how far each of them is.

A cell is one run: a recipe with one seed, in runs/NAME/seed-K; of a recipe with `folds` it is one part of that,
fold-1 and so on in that folder.
"""

import fnmatch
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from minbert.changes import changed_keys
from minbert.data import Reading
from minbert.errors import MinbertError, RecipeError, RunError, several
from minbert.experiments.loading import is_part, joined, load_results
from minbert.experiments.results import (
    ELSEWHERE,
    OF_ITS_OWN,
    RUNS,
    Result,
    check_folder,
    differences,
    group_of,
    taken,
)
from minbert.jobs import build_model, read_tasks
from minbert.metrics import total
from minbert.pretrained import locate
from minbert.recipes import load
from minbert.runs import Progress, Run
from minbert.schema import Recipe
from minbert.splits import named
from minbert.tasks import Task

Condition = Literal["complete", "stopped", "failed", "missing"]


@dataclass(frozen=True)
class Cell:
    """One run of an experiment. `keeps_weights` is true for a recipe's first seed alone, unless asked."""

    recipe: Recipe
    folder: Path
    keeps_weights: bool

    @property
    def name(self) -> str:
        """The recipe's name, the seed, and the fold if it has one, as people read it."""
        return f"{self.recipe.name} seed {self.place}"

    @property
    def place(self) -> str:
        """Its seed, and the fold if it has one, among its recipe's."""
        return f"{self.recipe.seed}" + ("" if self.recipe.fold is None else f" fold {self.recipe.fold}")

    @property
    def is_part(self) -> bool:
        """Whether its result is one with those of the other parts of a train file."""
        return is_part(self.recipe, self.folder)

    @property
    def run(self) -> Run:
        return Run(self.folder)

    @property
    def progress(self) -> Progress:
        return self.run.progress()

    @property
    def condition(self) -> Condition:
        progress = self.progress
        if progress.is_complete:
            return "complete"
        if self.run.failure():
            return "failed"
        return "stopped" if progress.evaluated_at >= 0 else "missing"


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
    for recipe in recipes:
        _check_control(recipe, seen, seeds)
    seeded = [recipe.model_copy(update={"seed": recipe.seed + n}) for n in range(seeds) for recipe in recipes]
    first = {recipe.name: recipe.seed for recipe in recipes}
    return [
        cell_of(recipe, runs, fold, keep_weights, is_first_seed=recipe.seed == first[recipe.name])
        for recipe in seeded
        for fold in recipe.folds
    ]


def cell_of(recipe: Recipe, runs: Path, fold: int | None, keep_weights: bool, is_first_seed: bool) -> Cell:
    """The run of a recipe, its seed set, that holds back a part of its train files, or none of these."""
    return Cell(
        recipe if fold is None else recipe.with_fold(fold),
        runs / recipe.name / f"seed-{recipe.seed}" / ("" if fold is None else f"fold-{fold}"),
        keep_weights or (is_first_seed and fold in (None, 1)),
    )


def not_kept(cells: Sequence[Cell], results: Path | None) -> list[Cell]:
    """The cells whose runs are not among kept results, in which other machines' runs may be.

    Raises RunError where one could not be added to them, since they hold another run by its name, or since their
    folder is none of results.
    """
    if results is None:
        return list(cells)
    check_folder(results)
    if run := next((cell.folder for cell in cells if cell.folder.resolve().is_relative_to(results.resolve())), None):
        raise RunError(f"{results} would hold runs, such as {run}; {OF_ITS_OWN}")
    if not (results / RUNS).is_file():  # at first there is none
        return list(cells)
    kept = load_results(results)
    found, faults = list[Cell](), list[str]()
    for cell in cells:
        recipe = cell.recipe.with_fold(None) if cell.is_part else cell.recipe
        beside = [(one, differences(one, recipe)) for one in kept if one.recipe.name == recipe.name]
        if all(of for _, of in beside):
            found.append(cell)
            place = group_of(cell.folder), recipe.seed
            faults += [taken(results, one, of) for one, of in beside if (one.group, one.seed) == place]
    if faults:
        raise RunError(f"{several(faults, 1)}\ngive the same recipe, options and data; or {ELSEWHERE}")
    return found


def _check_control(recipe: Recipe, others: Mapping[str, Recipe], seeds: int) -> None:
    """Raises RecipeError where a control and its partner, if both are here, differ in another key than they say."""
    control = recipe.control
    if control is None or control.of.lower() not in others:
        return
    partner = others[control.of.lower()]
    different = changed_keys(partner, recipe.model_copy(update={"name": partner.name}))
    if not different or any(not fnmatch.fnmatch(key, control.key) for key in different):
        raise RecipeError(
            f"'{recipe.name}' is a control of '{partner.name}' in {control.key}, but here they differ in "
            f"{', '.join(different) or 'nothing'}; mend the recipe, or leave that key out of --set"
        )
    if "seed" in different and abs(recipe.seed - partner.seed) < seeds:
        raise RecipeError(
            f"'{recipe.name}' and '{partner.name}' begin at seeds {recipe.seed} and {partner.seed}, so with --seeds "
            f"{seeds} they share some; set their seeds further apart"
        )


def _files(paths: Sequence[Path]) -> list[Path]:
    files: list[Path] = []
    for path in paths:
        found = sorted(path.glob("[!_]*.toml")) if path.is_dir() else [path]
        if not found:
            raise RecipeError(f"{path} holds no recipe (*.toml, not beginning with '_'); name another folder or a file")
        files += found
    return list(dict.fromkeys(files))


def check(cells: Sequence[Cell], skip_bad_rows: bool) -> dict[str, Reading]:
    """Raises MinbertError, before anything runs, for what would stop a run at its start: folder, data, encoder, model.

    Gives what reading each file gave, by task and split, so that rows which were left out can be listed once.
    """
    faults = [fault for cell in cells if (fault := fault_of_folder(cell))]
    if faults:
        raise RunError(several(faults, 1))
    folders = {encoder: locate(encoder) for encoder in dict.fromkeys(cell.recipe.encoder for cell in cells)}
    readings: dict[str, Reading] = {}
    completed: dict[str, Task] = {}
    for key, (name, task) in _distinct_tasks(cells).items():
        tasks, found = read_tasks({name: task}, skip_bad_rows)
        completed[key] = tasks[name]
        for split, reading in found[name].items():
            label = f"{name} {split}"
            readings[f"{label} of {named(task, split)}" if label in readings else label] = reading
    for recipe in _distinct_models(cells):
        tasks = {name: task.completed(completed[_reading_key(task)].labels) for name, task in recipe.tasks.items()}
        build_model(recipe, folders[recipe.encoder], tasks)
    return readings


def fault_of_folder(cell: Cell) -> str | None:
    """Why a cell's folder cannot be gone on with, or None."""
    run, groups = cell.run, [Run(folder) for folder in list(cell.folder.parents)[: 2 if cell.is_part else 1]]
    for group in groups:
        if group.is_begun:
            return f"{group.folder} is a single run of its own; choose another --runs"
    try:
        if run.progress().is_complete:
            run.check_complete()
        elif not run.is_begun:
            run.check(resume=True, force=False)
            return None
        return _difference(cell)
    except MinbertError as error:
        return str(error)


def _difference(cell: Cell) -> str | None:
    """Why the run in a cell's folder is not the cell's, or None."""
    run, remedy = cell.run, "choose another --runs, or remove that folder"
    if changed := run.differences(cell.recipe):
        return f"{cell.folder} was made with {several(changed)}; give the same recipe and options, {remedy}"
    if file := run.changed_data():
        happened = "has changed" if Path(file).exists() else "is not there any more"
        return f"{file} {happened} since {cell.folder} was made; put it back, or {remedy}"
    return None


def standing(cell: Cell) -> tuple[Condition | Literal["refused"], str | None]:
    """How far a run is; with the reason where it failed, or is `refused`: what lies in its folder is not this run."""
    fault = fault_of_folder(cell)
    return ("refused", fault) if fault else (cell.condition, cell.run.failure())


def _distinct_tasks(cells: Iterable[Cell]) -> dict[str, tuple[str, Task]]:
    """The tasks that read other files, or the same in another way, with their names."""
    return {_reading_key(task): (name, task) for cell in cells for name, task in cell.recipe.tasks.items()}


def _reading_key(task: Task) -> str:
    """What reading a task's files depends on: all but its model."""
    return task.model_copy(
        update={"head": None, "pooling": "mean", "weight": 1.0, "shares_head": None}
    ).model_dump_json()


def _distinct_models(cells: Iterable[Cell]) -> list[Recipe]:
    """Of the recipes that make the same model one each."""
    parts: Any = {"encoder": True, "tasks": True, "schedule": {"order"}, "training": {"mode", "max_length", "device"}}
    return list({cell.recipe.model_dump_json(include=parts): cell.recipe for cell in cells}.values())


@dataclass(frozen=True)
class Row:
    """A recipe's dev scores over its complete runs: the mean of each at the last update, and their spread.

    `values` are by task and `sum`; a value is None where it is undefined in any of the runs. `seconds` are those that
    a run's updates took, the mean.
    """

    name: str
    seeds: int
    values: dict[str, float | None]
    deviations: dict[str, float | None]
    seconds: float


def scores(cells: Sequence[Cell]) -> list[Row]:
    """One row a recipe that has a complete run, in the order of the recipes."""
    rows = []
    for name in dict.fromkeys(cell.recipe.name for cell in cells):
        done = [cell for cell in cells if cell.recipe.name == name and cell.condition == "complete"]
        whole = _whole_seeds(done)
        seconds = [cell.progress.seconds for cell in done if not cell.is_part] + [result.seconds for result in whole]
        found = [last_scores(cell) for cell in done if not cell.is_part]
        found += [result.scores | {"sum": total(result.scores)} for result in whole]
        if found:
            rows.append(_row(name, found, statistics.fmean(seconds)))
    return rows


def _whole_seeds(done: Sequence[Cell]) -> list[Result]:
    """The seeds of which every part is complete."""
    return joined(Result.of(cell.run) for cell in done if cell.is_part)


def results_with(cell: Cell) -> list[Result]:
    """What a complete cell's end makes known: its result, or its seed's if the other parts are complete too."""
    if not cell.is_part:
        return [Result.of(cell.run)]
    parts = [Run(cell.folder.with_name(f"fold-{fold}")) for fold in cell.recipe.with_fold(None).folds]
    return joined(Result.of(run) for run in parts if run.progress().is_complete)


def _row(name: str, runs: Sequence[dict[str, float | None]], seconds: float) -> Row:
    values: dict[str, float | None] = {}
    deviations: dict[str, float | None] = {}
    for key in runs[0]:
        found = [run[key] for run in runs]
        known = [value for value in found if value is not None]
        is_defined = len(known) == len(found)
        values[key] = statistics.fmean(known) if is_defined else None
        deviations[key] = statistics.stdev(known) if is_defined and len(known) > 1 else None
    return Row(name, len(runs), values, deviations, seconds)


def last_scores(cell: Cell) -> dict[str, float | None]:
    """Every task's own metric, and the sum, at the run's last update: a method is not judged by its luckiest step."""
    tasks = cell.run.recipe().tasks
    record = cell.run.records("evaluation")[-1]
    values = {name: metrics[tasks[name].metric] for name, metrics in record["metrics"].items()}
    return values | {"sum": record["sum"]}


def baselines(cells: Sequence[Cell]) -> dict[str, float | None]:
    """What the best constant answer gets on dev, by task, from the complete runs' records.

    Where every recipe has the same tasks there is a `sum` as well: of others it would stand beside none of theirs.
    """
    done = [cell for cell in cells if cell.condition == "complete"]
    found: dict[str, float | None] = {}
    for cell in done:
        found |= {} if cell.is_part else cell.run.records("evaluation")[-1]["baselines"]
    for result in _whole_seeds(done):
        found |= result.baselines
    is_one_sum = all(cell.recipe.tasks.keys() == done[0].recipe.tasks.keys() for cell in done)
    return found | ({"sum": total(found)} if found and is_one_sum else {})
