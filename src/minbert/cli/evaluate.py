"""`minbert evaluate`: what a model, or a file of predictions, scores on labelled examples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from minbert.cli.labelled import dev_sets, file_of, read_labelled, readings_of
from minbert.cli.train import SkipOption
from minbert.cli.use import JsonOption, TaskOption, chosen
from minbert.errors import DataError

if TYPE_CHECKING:
    from minbert.evaluation import Evaluation, TaskScore
    from minbert.tasks import Split


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
        readings = {name: read_labelled(file, loaded.tasks[name], skip_bad_rows)}
    else:
        names = list(loaded.tasks) if task is None else [chosen(loaded, task)]
        readings = readings_of(names, loaded, data, split, model, skip_bad_rows)
    encoded = {name: loaded.encode(name, reading.examples) for name, reading in readings.items()}
    return evaluate_encoded(loaded, encoded, dev_sets(readings, model) if file is None and split == "dev" else None)


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
    examples = read_labelled(labelled or file_of(task, data, split, None), spec, skip_bad_rows).examples
    answered = from_answers(file, examples, read_course(file, spec))
    return Evaluation({task: score(spec, answered)}, {task: answered})


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
