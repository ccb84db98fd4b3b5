"""`minbert evaluate`: what a model, or a file of predictions, scores on labelled examples."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from minbert.cli.train import SkipOption
from minbert.cli.use import JsonOption, TaskOption, chosen
from minbert.errors import DataError, counted

if TYPE_CHECKING:
    from minbert.data import Reading
    from minbert.evaluation import Evaluation, TaskScore
    from minbert.model import MultitaskModel
    from minbert.tasks import Split, Task


def evaluate(
    model: Annotated[
        Path,
        typer.Argument(
            help="A run's folder, a model's, or a file of predictions: for the course's tasks alone, named by --task "
            "(sst, cfimdb, para or sts)."
        ),
    ],
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder with the files; without it, those the run was trained with.")
    ] = None,
    split: Annotated[Literal["train", "dev", "test"], typer.Option(help="Which labelled files to score.")] = "dev",
    task: TaskOption = None,
    input_file: Annotated[
        Path | None, typer.Option("--input", help="Score this labelled file of --task instead of a split.")
    ] = None,
    skip_bad_rows: SkipOption = False,
    as_json: JsonOption = False,
) -> None:
    """Score a model, or a file of predictions, on labelled examples."""
    from minbert.cli.show import messages, results, score_table

    if model.is_file():
        evaluation = _score_file(model, task, input_file, data, split, skip_bad_rows)
    else:
        evaluation = _score_model(model, task, input_file, data, split, skip_bad_rows)
    if as_json:
        print(json.dumps(_as_json(evaluation), indent=2, ensure_ascii=False))
    else:
        results.print(score_table(f"Scores on {input_file or split}", evaluation))
    for name, score in evaluation.scores.items():
        if score.is_constant:
            messages.print(f"warning: task '{name}' gives every example the same class")


def _score_model(
    model: Path, task: str | None, file: Path | None, data: Path | None, split: Split, skip_bad_rows: bool
) -> Evaluation:
    from minbert.evaluation import evaluate as evaluate_encoded
    from minbert.model import MultitaskModel

    loaded = MultitaskModel.from_pretrained(model)
    if file is not None:
        name = chosen(loaded, task)
        readings = {name: _labelled(file, loaded.tasks[name], skip_bad_rows)}
    else:
        names = list(loaded.tasks) if task is None else [chosen(loaded, task)]
        readings = _readings(names, loaded, data, split, model, skip_bad_rows)
    encoded = {name: loaded.encode(name, reading.examples) for name, reading in readings.items()}
    return evaluate_encoded(loaded, encoded, _dev_sets(readings, model) if file is None and split == "dev" else None)


def _dev_sets(readings: Mapping[str, Reading], model: Path) -> dict[str, dict[str, slice]]:
    from minbert.splits import dev_set_places

    own = {name: _own_task(name, model) for name in readings}
    return {name: dev_set_places(task, readings[name]) for name, task in own.items() if task is not None}


def _readings(
    names: Sequence[str], loaded: MultitaskModel, data: Path | None, split: Split, model: Path, skip_bad_rows: bool
) -> dict[str, Reading]:
    """Each task's labelled rows; of several tasks, those that have none are named and left out."""
    from minbert.cli.show import messages

    readings: dict[str, Reading] = {}
    for name in names:
        own = _own_task(name, model)
        if own is not None and own.holdout and split != "test":
            readings[name] = _divided(name, own, split, data, skip_bad_rows)
        elif len(names) > 1 and own is not None and getattr(own, split) is None and data is None:
            messages.print(f"task '{name}' has no {split} file, and is left out", soft_wrap=True)
        elif own is not None and len(own.files(split)) > 1:
            readings[name] = _joined(own, loaded.tasks[name], split, data, skip_bad_rows)
        else:
            readings[name] = _labelled(_file_of(name, data, split, model), loaded.tasks[name], skip_bad_rows)
    if not readings:
        raise DataError(f"no task of {model} has a {split} file; name one: --task TASK --input FILE")
    return readings


def _divided(name: str, task: Task, split: Split, data: Path | None, skip_bad_rows: bool) -> Reading:
    """The rows of a train file that training learned from, or those that it held back in place of a dev file."""
    from minbert.cli.show import messages
    from minbert.splits import named, read_splits

    files = _in_folder(task, data).model_copy(update={"dev": None, "test": None})
    reading = read_splits(files, skip_bad_rows)[1][split]
    what = "held back from" if split == "dev" else "learned from in"
    messages.print(f"{name}: {counted(len(reading.examples), 'row')} {what} {named(files, 'train')}", soft_wrap=True)
    return reading


def _joined(own: Task, task: Task, split: Split, data: Path | None, skip_bad_rows: bool) -> Reading:
    """The labelled rows of all files of a split; read as dev files are, for test files may have labels too."""
    from minbert.cli.show import show_reading
    from minbert.splits import named, read_split

    files = task.model_copy(update={"dev": getattr(_in_folder(own, data), split)})
    reading = read_split(files, "dev", skip_bad_rows)
    show_reading(named(files, "dev"), reading)
    return reading


def _in_folder(task: Task, data: Path | None) -> Task:
    """The task with its files by their names in another folder, if there is one."""
    return task if data is None else task.with_files(lambda _, file: str(data / Path(file).name))


def _own_task(name: str, model: Path | None) -> Task | None:
    """A task as the recipe has it that a model was trained by, where that lies beside the model."""
    from minbert.runs import Run

    recipes = [folder for folder in (model, model.parent) if (folder / "recipe.toml").is_file()] if model else []
    return Run(recipes[0]).recipe().tasks.get(name) if recipes else None


def _score_file(
    file: Path, task: str | None, labelled: Path | None, data: Path | None, split: Split, skip_bad_rows: bool
) -> Evaluation:
    """Scores a prediction file, matched to the labels by id."""
    from minbert.evaluation import Evaluation, score
    from minbert.predictions import from_answers, read_course
    from minbert.tasks import BUILT_IN, Task

    if task not in BUILT_IN:
        known = f"which can be scored for the course's tasks alone: --task {', --task '.join(BUILT_IN)}"
        raise DataError(f"{file} is taken for a file of predictions, {known}; for others, evaluate the run's folder")
    spec = Task.model_validate(BUILT_IN[task]).completed(None)
    examples = _labelled(labelled or _file_of(task, data, split, None), spec, skip_bad_rows).examples
    answered = from_answers(file, examples, read_course(file, spec))
    return Evaluation({task: score(spec, answered)}, {task: answered})


def _labelled(path: Path, task: Task, skip_bad_rows: bool) -> Reading:
    from minbert.cli.show import show_reading
    from minbert.data import read_examples

    reading = read_examples(path, task, skip_bad_rows=skip_bad_rows)
    show_reading(str(path), reading)
    return reading


def _file_of(task: str, data: Path | None, split: Split, model: Path | None) -> Path:
    """Where a task's split lies: under --data by the name it has there, else where the run's recipe has it."""
    from minbert.recipes import STARTER
    from minbert.tasks import BUILT_IN

    recorded = _own_task(task, model)
    own = next(iter(recorded.files(split)), None) if recorded else None
    if data is not None and (own or task in BUILT_IN):
        return data / (str(BUILT_IN[task][split]) if task in BUILT_IN else Path(own or "").name)
    if own:
        return Path(own)
    if data is None and model is None:
        return STARTER / str(BUILT_IN[task][split])
    raise DataError(f"where task '{task}' has its {split} file is not known here; name it: --task {task} --input FILE")


def _as_json(evaluation: Evaluation) -> dict[str, object]:
    from minbert.cli.show import leaderboard

    tasks = {name: _score_as_json(score) | _confusion(evaluation, name) for name, score in evaluation.scores.items()}
    return {"tasks": tasks, "sum": evaluation.sum, "course": leaderboard(evaluation)}


def _score_as_json(score: TaskScore) -> dict[str, object]:
    values = {
        "metric": score.metric,
        "score": score.value,
        "interval": score.interval,
        "always_one_answer": score.baseline,
        "rows": score.examples,
        "metrics": score.metrics,
    }
    parts = {name: _score_as_json(part) for name, part in score.parts.items()}
    return values | ({"dev_sets": parts} if parts else {})


def _confusion(evaluation: Evaluation, task: str) -> dict[str, object]:
    """Counts by true class (row) and predicted class (column), where the task has classes."""
    from minbert.metrics import confusion

    predictions, score = evaluation.predictions[task], evaluation.scores[task]
    if not score.classes or predictions.labels is None:
        return {}
    counts = confusion(predictions.values, predictions.labels, len(score.classes))
    return {"classes": score.classes, "confusion": counts.tolist()}
