"""A folder of runs, or of kept results -> its results; the runs that held back each part of a train file are one.

Their answers stand part after part, in the order of the file within each (`splits.scored_places`).
"""

import itertools
import logging
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from minbert.changes import changes
from minbert.errors import RunError, counted, several
from minbert.evaluation import every_metric, task_score
from minbert.experiments.results import RUNS, Array, Point, Result, read_kept, without_paths
from minbert.runs import Run
from minbert.schema import Recipe

log = logging.getLogger("minbert")


def load_results(folder: Path) -> list[Result]:
    """Every complete run below a folder, or all runs of a folder of results; by group and seed.

    The runs of a seed that held back each part of a train file once are one result. Raises RunError.
    """
    found = read_kept(folder) if (folder / RUNS).is_file() else _read_runs(folder)
    found.sort(key=lambda result: (result.group, result.seed, str(result.folder)))
    for one, other in itertools.pairwise(found):
        if one.group == other.group:
            _check_group(one, other, folder)
    return found


def _read_runs(folder: Path) -> list[Result]:
    """Every complete run below a folder, the parts of a seed's train files as one."""
    begun = [Run(file.parent) for file in sorted(folder.rglob("recipe.toml"))]
    runs = [run for run in begun if run.progress().is_complete]
    if not runs:
        raise RunError(f"{folder} holds no complete run and no results; name the folder of an experiment's runs")
    if left := [str(run.folder) for run in begun if run not in runs]:
        log.warning("left out %s, not complete: %s", counted(len(left), "run"), several(left))
    results = [Result.of(run) for run in runs]
    parts = [result for result in results if is_part(result.recipe, result.folder)]
    whole = joined(parts)
    lacking = sorted({part.name for part in parts} - {result.name for result in whole})
    found = whole + [result for result in results if not is_part(result.recipe, result.folder)]
    if not found:
        raise RunError(f"{folder} lacks some part of {lacking[0]}; complete its runs, and name the folder of them all")
    if lacking:
        log.warning("left out %s, of which some part is not there: %s", counted(len(lacking), "seed"), several(lacking))
    return found


def _check_group(one: Result, other: Result, folder: Path) -> None:
    """Raises RunError where two results of a group are the same run, or their recipes differ by more than the seed."""
    if one.seed == other.seed:
        places = " and ".join(str(result.folder or f"a run in {folder}") for result in (one, other))
        raise RunError(f"{places} are both {one.name}; name a folder that holds one of them")
    if found := _unlike(one, other, one.recipe, other.recipe):
        raise RunError(
            f"seeds {one.seed} and {other.seed} of {one.group} are not runs of one recipe: {several(found)}\n"
            "run the seeds of one of them anew, or keep them in folders of their own"
        )


def is_part(recipe: Recipe, folder: Path | None) -> bool:
    """Whether a run held back one part of its train files and stands among the others', as seed-1/fold-2."""
    return recipe.fold is not None and folder is not None and folder.name == f"fold-{recipe.fold}"


def joined(parts: Iterable[Result]) -> list[Result]:
    """The results of runs that held back one part each, as one a group and seed; where one lacks there is none."""
    found = []
    ordered = sorted(parts, key=lambda result: (result.group, result.seed, result.recipe.fold or 0))
    for _, of_seed in itertools.groupby(ordered, key=lambda result: (result.group, result.seed)):
        runs = list(of_seed)
        if [run.recipe.fold for run in runs] == runs[0].recipe.with_fold(None).folds:
            for run in runs[1:]:
                _check_parts(runs[0], run)
            found.append(_one(runs))
    return found


def _check_parts(one: Result, other: Result) -> None:
    """Raises RunError where two parts of a seed are not of one recipe and the same files.

    How long one trains and when it looks at dev may follow from how many rows it has to train on.
    """
    before, now = one.recipe.with_fold(None), other.recipe.with_fold(None)
    lengths = before.training.model_dump(include={"max_steps", "evaluate_every"})
    now = now.model_copy(update={"training": now.training.model_copy(update=lengths)})
    if found := _unlike(one, other, before, now):
        raise RunError(
            f"parts {one.recipe.fold} and {other.recipe.fold} of {one.name} are not runs of one recipe: "
            f"{several(found)}\nrun the parts of one of them anew"
        )


def _unlike(one: Result, other: Result, *recipes: Recipe) -> list[str]:
    """How two results differ in their recipes, but for the seed, and in their files."""
    before, now = map(without_paths, recipes)
    found = [str(change) for change in changes(before, now) if change.key != "seed"]
    return found + [f"other files of {task}" for task, files in one.data.items() if other.data.get(task) != files]


def _one(folds: Sequence[Result]) -> Result:
    """All rows' answers and scores; updates, seconds, tokens and batches are those of all folds together."""
    recipe = folds[0].recipe.with_fold(None)
    answers = {name: np.concatenate([fold.answers[name] for fold in folds]) for name in folds[0].answers}
    labels = {name: np.concatenate([_labels(fold, name) for fold in folds]) for name in answers}
    metrics = {name: every_metric(recipe.tasks[name], answers[name], labels[name]) for name in answers}
    angles = [fold.angle for fold in folds if fold.angle is not None]
    batches = Counter[str]()
    for fold in folds:
        batches.update(fold.batches)
    last = folds[0].curve[-1]
    return replace(
        folds[0],
        recipe=recipe,
        updates=sum(fold.updates for fold in folds),
        seconds=sum(fold.seconds for fold in folds),
        tokens=sum(fold.tokens for fold in folds),
        batches=dict(batches),
        angle=statistics.fmean(angles) if angles else None,
        baselines={n: task_score(recipe.tasks[n], metrics[n], labels[n]).baseline for n in answers},
        curve=[Point(last.step, last.epoch, metrics)],
        conflict=[],  # of other rows in each fold
        answers=answers,
        folder=None,  # there are several
    )


def _labels(fold: Result, task: str) -> Array:
    assert fold.folder is not None
    labels = Run(fold.folder).read_predictions(task, fold.recipe.tasks[task]).labels
    assert labels is not None
    return labels
