"""A recipe of several tasks -> the same tasks trained alone on as many batches, and what training together is worth."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from minbert.comparison import FEWEST, MARGIN, SEEDS_NEEDED, Difference, Verdict
from minbert.errors import RecipeError, counted
from minbert.experiments.compare import answers_of, compare_scores, paired
from minbert.experiments.delta_m import DeltaM, delta_m
from minbert.experiments.devsets import DevSet, dev_sets
from minbert.experiments.grid import Cell, cell_of
from minbert.experiments.loading import joined
from minbert.experiments.results import Result
from minbert.jobs import build_model, lay_out, read_tasks
from minbert.pretrained import locate
from minbert.recipes import load
from minbert.schema import Recipe
from minbert.tasks import Task

LONGEST_NAME = 100  # characters of a run's name
MOST_TIMES = 20  # as many dev rows and seeds; more is no advice


@dataclass(frozen=True)
class Arms:
    """The runs: all tasks together, and each judged task alone, a run a seed, or a seed and fold.

    `rows` are the training rows of the judged tasks, and `notes` say what was changed in the recipe, or left out.
    """

    name: str
    together: list[Cell]
    alone: dict[str, list[Cell]]
    rows: dict[str, int]
    notes: list[str]

    @property
    def cells(self) -> list[Cell]:
        """All runs, seed after seed."""
        return [cell for of_seed in zip(self.together, *self.alone.values(), strict=True) for cell in of_seed]


@dataclass(frozen=True)
class TaskLine:
    """One task alone and together: dev scores, means over seeds, and what together less alone is worth.

    `batches` are those of a run, which both arms share, the mean over seeds; `constant` is the best constant answer's
    score.
    """

    task: str
    metric: str
    rows: int
    dev_rows: int
    batches: float
    constant: float | None
    alone: float | None
    together: float | None
    difference: Difference
    smallest_visible: float | None
    adjusted_p: float | None
    verdict: Verdict


@dataclass(frozen=True)
class Cost:
    """What one seed of an arm costs: its models, their weights, updates and seconds of updates, the means over seeds.

    `passes` are those that a text takes through an encoder to be answered for every judged task.
    """

    models: int
    parameters: int
    updates: float
    seconds: float
    passes: int


@dataclass(frozen=True)
class Sharing:
    """What was found: a line a task, one family for Holm's correction; both arms' costs; and all of it in words."""

    recipe: str
    seeds: int
    tasks: list[TaskLine]
    delta_m: DeltaM
    alone: Cost
    together: Cost
    conclusion: list[str]
    notes: list[str]


def derive(recipe: Recipe, runs: Path, seeds: int, skip_bad_rows: bool = False) -> Arms:
    """The runs that a recipe's tasks are judged by; reads the data, since a schedule depends on its rows.

    Both arms do a fixed number of updates and are scored after the last one. A task alone keeps its batches, their
    order, and all that is said of encoder and optimiser. Raises RecipeError where there is nothing to compare.
    """
    parts = {fold: _read(recipe, fold, skip_bad_rows) for fold in recipe.folds}
    recipe, rows = next(iter(parts.values()))
    judged = _judged(recipe)
    _check_names(recipe, judged)
    together: list[Cell] = []
    alone: dict[str, list[Cell]] = {name: [] for name in judged}
    for number, (fold, (part, rows_of_part)) in itertools.product(range(seeds), parts.items()):
        seeded = part.model_copy(update={"seed": part.seed + number})
        schedule, last_step = lay_out(rows_of_part, seeded)
        if last_step == 0:
            raise RecipeError(f"'{recipe.name}' does no update; give training.epochs or training.max_steps more than 0")
        together.append(cell_of(_together(seeded, last_step), runs, fold, False, number == 0))
        for name in judged:
            batches = schedule.batches_before(list(recipe.tasks).index(name), last_step + 1)
            updates = batches // recipe.training.accumulate
            if updates == 0:
                raise RecipeError(
                    f"task '{name}' gets no batch in {counted(last_step, 'update')}, so there is nothing to judge; "
                    "give training.max_steps or training.epochs more"
                )
            alone[name].append(cell_of(_alone(seeded, name, updates), runs, fold, False, number == 0))
    return Arms(recipe.name, together, alone, {name: rows[name] for name in judged}, _notes(recipe, judged))


def _read(recipe: Recipe, fold: int | None, skip_bad_rows: bool) -> tuple[Recipe, dict[str, int]]:
    """The recipe, or a part of it, with its classes written in, and each task's training rows."""
    part = recipe if fold is None else recipe.with_fold(fold)
    tasks, readings = read_tasks(part.tasks, skip_bad_rows)
    known = {name: task.model_copy(update={"labels": tasks[name].labels}) for name, task in part.tasks.items()}
    rows = {name: len(of_splits["train"].examples) for name, of_splits in readings.items()}
    return part.model_copy(update={"tasks": known, "control": None}), rows


def _judged(recipe: Recipe) -> list[str]:
    """The tasks that learn and are scored on dev, in the recipe's order."""
    learning = _learning(recipe)
    if len(learning) < 2:
        raise RecipeError(
            f"'{recipe.name}' trains {counted(len(learning), 'task')}, so nothing is shared; name a recipe that trains "
            "two or more"
        )
    judged = [name for name in learning if recipe.tasks[name].divides_train or recipe.tasks[name].dev is not None]
    if not judged:
        raise RecipeError(
            f"no task that '{recipe.name}' trains has a dev file to be scored on; give one dev = \"FILE\" or "
            "holdout = ROWS"
        )
    return judged


def _learning(recipe: Recipe) -> list[str]:
    return [name for name, task in recipe.tasks.items() if name in recipe.order and task.weight]


def _check_names(recipe: Recipe, judged: Sequence[str]) -> None:
    """Raises RecipeError where the runs cannot be given folders of their own."""
    longest = max((_alone_name(recipe, name) for name in judged), key=len)
    if len(longest) > LONGEST_NAME:
        raise RecipeError(
            f"a run would be named '{longest}', {len(longest)} characters, and {LONGEST_NAME} are the most; "
            "pass --set name=SHORTER"
        )


def _alone_name(recipe: Recipe, task: str) -> str:
    return f"{recipe.name}-alone-{task}"


def _together(recipe: Recipe, last_step: int) -> Recipe:
    return _fixed(recipe, f"{recipe.name}-together", last_step)


def _alone(recipe: Recipe, task: str, updates: int) -> Recipe:
    """The recipe of one task and so many updates; a head that it shared is its own."""
    length: dict[str, Any] = {"epochs": None, "max_steps": updates, "steps_per_epoch": None, "scale": 1.0}
    portions = {"batch_size": recipe.batch_size(task), "select_on": "sum"}
    one = recipe.model_copy(
        update={
            "tasks": {task: recipe.tasks[task].model_copy(update={"shares_head": None})},
            "schedule": recipe.schedule.model_copy(update={"kind": "simultaneous", "order": None}),
            "gradients": recipe.gradients.model_copy(update={"method": "sum"}),
            "training": recipe.training.model_copy(update=length | portions),
        }
    )
    return _fixed(one, _alone_name(recipe, task), updates)


def _fixed(recipe: Recipe, name: str, updates: int) -> Recipe:
    """The recipe with a fixed number of updates, one evaluation after the last, and nothing that costs time besides."""
    training = recipe.training.model_copy(
        update={"patience": None, "time_limit": None, "evaluate_every": updates or None}
    )
    gradients = recipe.gradients.model_copy(update={"inspect_every": "off"})
    return load(recipe.model_copy(update={"training": training, "gradients": gradients}), name=name)


def _notes(recipe: Recipe, judged: Sequence[str]) -> list[str]:
    """What a reader of the comparison should know of the recipe."""
    training, notes = recipe.training, []
    for key in ("patience", "time_limit"):
        if getattr(training, key) is not None:
            notes.append(f"training.{key} is off in all runs, since both arms do a fixed number of updates")
    if recipe.gradients.method != "sum":
        notes.append(
            f"gradients.method = '{recipe.gradients.method}' is for the runs together; alone there is no conflict"
        )
    learning = _learning(recipe)
    for name, task in recipe.tasks.items():
        if name not in learning:
            notes.append(f"{name} is not judged: " + ("it has weight 0" if not task.weight else "it is not trained"))
        elif name not in judged:
            notes.append(f"{name} is not judged: it has no dev file")
        elif task.shares_head:
            notes.append(f"{name} shares the head of {task.shares_head}; alone it has one of its own")
    if _is_frozen(recipe) and not any(recipe.tasks[name].shares_head for name in learning):
        notes.append(
            "the encoder is frozen and no head is shared, so no task can learn from another; what is left of a "
            "difference is the clip of the whole gradient and the draws of dropout"
        )
    return notes


def _is_frozen(recipe: Recipe) -> bool:
    return recipe.training.mode == "frozen"


def outcome(arms: Arms) -> Sharing:
    """What the complete runs found."""
    together = _results(arms.together)
    alone = {name: _results(cells) for name, cells in arms.alone.items()}
    dev = dev_sets([*together, *(result for group in alone.values() for result in group)])
    lines = judge(together, alone, dev, arms.rows)
    pooled = {name: answers_of(group, dev, [name])[name] for name, group in alone.items()}
    _, same_seeds = paired([together, *alone.values()])
    recipe = arms.together[0].recipe
    models = [cells[0].recipe for cells in arms.alone.values()]
    return Sharing(
        recipe=arms.name,
        seeds=len(together),
        tasks=lines,
        delta_m=delta_m(answers_of(together, dev, list(alone)), pooled, same_seeds=same_seeds),
        alone=_cost(models, list(alone.values())),
        together=_cost([recipe], [together]),
        conclusion=conclusion(lines, len(together)),
        notes=arms.notes,
    )


def _results(cells: Sequence[Cell]) -> list[Result]:
    """One a seed; of a recipe with folds all of a seed's parts are one."""
    found = [Result.of(cell.run) for cell in cells]
    return joined(found) if cells[0].is_part else found


def judge(
    together: Sequence[Result],
    alone: Mapping[str, Sequence[Result]],
    dev: Mapping[str, DevSet],
    rows: Mapping[str, int],
) -> list[TaskLine]:
    """A line for each task that was trained alone."""
    lines = []
    found = compare_scores([(together, group) for group in alone.values()], dev)
    for (name, group), (line, *_) in zip(alone.items(), found, strict=True):
        lines.append(
            TaskLine(
                task=name,
                metric=line.metric,
                rows=rows[name],
                dev_rows=len(dev[name]),
                batches=fmean(result.batches.get(name, 0) for result in group),
                constant=group[0].baselines[name],
                alone=line.right,
                together=line.left,
                difference=line.difference,
                smallest_visible=line.smallest_visible,
                adjusted_p=line.adjusted_p,
                verdict=line.verdict,
            )
        )
    return lines


def _cost(models: Sequence[Recipe], groups: Sequence[Sequence[Result]]) -> Cost:
    """A frozen encoder is the same in all models: it is counted once, and a text goes through it once."""
    sizes = [_parameters(recipe) for recipe in models]
    encoders, heads = [encoder for encoder, _ in sizes], [of_heads for _, of_heads in sizes]
    frozen = _is_frozen(models[0])
    return Cost(
        models=len(models),
        parameters=(max(encoders) if frozen else sum(encoders)) + sum(heads),
        updates=sum(fmean(result.updates for result in group) for group in groups),
        seconds=sum(fmean(result.seconds for result in group) for group in groups),
        passes=1 if frozen else len(models),
    )


def _parameters(recipe: Recipe) -> tuple[int, int]:
    """The weights of a recipe's encoder, and of its heads."""
    tasks: dict[str, Task] = {name: task.completed(None) for name, task in recipe.tasks.items()}
    model = build_model(recipe, locate(recipe.encoder), tasks)
    heads = sum(weight.numel() for _, weight in model.named_head_parameters())
    return sum(weight.numel() for weight in model.parameters()) - heads, heads


def conclusion(lines: Sequence[TaskLine], seeds: int) -> list[str]:
    """Which tasks sharing helps, which it harms, which cannot be told, and what would tell."""
    sentences = []
    for verdict, words in WORDS.items():
        names = [line.task for line in lines if line.verdict == verdict]
        sentences += [words.format(tasks=_listed(names), needed=SEEDS_NEEDED)] if names else []
    return sentences + [_what_would_tell(line, seeds) for line in lines if line.verdict == "undecided"]


def _listed(names: Sequence[str]) -> str:
    """'a', 'a and b', 'a, b and c'."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _what_would_tell(line: TaskLine, seeds: int) -> str:
    """How much more of dev and seeds together would show the difference that was found, or that there is none.

    A standard error falls with the root of both; twice as much is the least that is worth saying.
    """
    assert line.difference.value is not None
    if line.smallest_visible is None:
        return (
            f"For {line.task} it cannot be told: no dev row tells the two apart, and that there is no difference can "
            f"be said from {FEWEST} dev rows on."
        )
    wanted = max(abs(line.difference.value), MARGIN)
    times = max(2, math.ceil((line.smallest_visible / wanted) ** 2))
    if times > MOST_TIMES:
        return (
            f"For {line.task} it cannot be told: a difference of {wanted:.3f} would take more than {MOST_TIMES} times "
            "the dev rows and seeds to show."
        )
    return (
        f"For {line.task} it cannot be told: a difference of {wanted:.3f} would show with about {times} times the dev "
        f"rows and seeds ({times * line.dev_rows:,} and {times * seeds:,})."
    )


WORDS: dict[Verdict, str] = {
    "better": "Sharing helps {tasks}.",
    "worse": "Sharing harms {tasks}.",
    "no difference above 0.01": "Sharing changes {tasks} by no more than 0.01.",
    "undecided (seeds)": "For {tasks} it cannot be told: pass --seeds {needed} or more.",
    "undefined": "For {tasks} it cannot be told: the score is undefined in every run, alone or together.",
}
