"""A job and the evaluation that chose its model -> what the model's card says of its training, in Markdown."""

from collections.abc import Iterator
from pathlib import Path

from minbert.cards import SCORES
from minbert.evaluation import Evaluation
from minbert.jobs import Job

NOTE = """After {} updates; of several evaluations the best one was chosen. Intervals (95 %) are over other rows of the
same kind, and say nothing about other seeds."""


def about_training(job: Job, step: int, evaluation: Evaluation) -> str:
    """The rows that it learned from, and its scores on dev when it was chosen, after so many updates."""
    encoder = Path(job.recipe.encoder).name
    lines = ["", "## Training", "", f"By minbert from the encoder `{encoder}`, seed {job.recipe.seed}:", ""]
    lines += _table(["task", "split", "rows", "left out", "files"], _rows(job))
    if evaluation.scores:
        columns = ["task", "metric", "score", "interval", "always the best one answer", "rows"]
        lines += ["", SCORES, "", NOTE.format(step), "", *_table(columns, _scores(evaluation))]
    return "\n".join(lines) + "\n"


def _rows(job: Job) -> Iterator[list[str]]:
    for name, readings in job.readings.items():
        task = job.tasks[name]
        for split, reading in readings.items():
            is_held = split == "dev" and task.divides_train
            files = ", ".join(Path(file).name for file in task.files("train" if is_held else split))
            counts = [f"{len(reading.examples):,}", f"{len(reading.bad_rows):,}"]
            yield [name, split, *counts, f"held back from {files}" if is_held else files]


def _scores(evaluation: Evaluation) -> Iterator[list[str]]:
    for name, score in evaluation.scores.items():
        value, baseline = ("undefined" if v is None else f"{v:.4f}" for v in (score.value, score.baseline))
        ends = "" if score.interval is None else f"{score.interval.low:.3f} to {score.interval.high:.3f}"
        yield [name, score.metric, value, ends, baseline, f"{score.examples:,}"]


def _table(columns: list[str], rows: Iterator[list[str]]) -> list[str]:
    cells = [columns, ["---"] * len(columns), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return [f"| {' | '.join(row)} |" for row in cells]
