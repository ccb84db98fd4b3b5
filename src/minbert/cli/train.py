"""`minbert train` and `minbert demo`: from a recipe to a run's folder, and what is shown on the way."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from minbert.errors import RunError, RunInterruptedError, counted

if TYPE_CHECKING:
    from minbert.evaluation import Evaluation
    from minbert.jobs import Job
    from minbert.runs import Run
    from minbert.schema import Recipe

RunsOption = Annotated[Path, typer.Option("--runs", help="Folder that holds the runs' folders.")]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace what is there.")]
DataOption = Annotated[
    Path | None, typer.Option("--data", help="Folder with the tasks' files; without it, the starter data.")
]
SkipOption = Annotated[bool, typer.Option("--skip-bad-rows", help="Leave out rows that cannot be used, and list them.")]
STARTER_INPUTS: dict[str, list[str] | list[tuple[str, str]]] = {
    "sst": ["The soup was cold and nobody apologised, yet I would go back for the cake."],
    "para": [("How do I get wax out of a tablecloth?", "What removes candle wax from linen?")],
    "sts": [("Two children feed the ducks.", "Kids are giving bread to birds on a pond.")],
}

STARTER_ANSWERS = {
    "sst": "how it sounds, from 0 very negative to 4 very positive, and the probability of that grade",
    "para": "1 if the two ask the same, and the probability of that answer",
    "sts": "how alike the two are, from 0 to 5",
}


def train(
    recipe: Annotated[Path, typer.Argument(help="A recipe, such as recipes/default.toml.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Override a key: --set training.epochs=3. Repeatable.")
    ] = None,
    data: DataOption = None,
    runs: RunsOption = Path("runs"),
    name: Annotated[str | None, typer.Option(help="Name of the run, and of its folder.")] = None,
    skip_bad_rows: SkipOption = False,
    resume: ResumeOption = False,
    force: ForceOption = False,
) -> None:
    """Train a recipe and keep the run: scores, models and predictions in runs/NAME."""
    from minbert.recipes import load

    run_training(load(recipe, overrides or (), data, name), runs, skip_bad_rows, resume, force)


def demo(runs: RunsOption = Path("runs"), resume: ResumeOption = False, force: ForceOption = False) -> None:
    """Learn three tasks from the small data set that ships, in a minute or two, and answer three inputs."""
    from minbert.cli.show import messages, program, results, show_answers
    from minbert.model import MultitaskModel
    from minbert.recipes import STARTER, load

    messages.print("One BERT learns three tasks: sentiment (sst), same question (para), similarity (sts).\n")
    run = run_training(load(STARTER / "demo.toml"), runs, resume=resume, force=force)
    results.print("Dev sets this small are noisy: the intervals say how far another one could lie.\n")
    best = MultitaskModel.from_pretrained(run.best)
    for task, inputs in STARTER_INPUTS.items():
        results.print(f"{task}: {STARTER_ANSWERS[task]}")
        show_answers(best, task, inputs)
    results.print(f"\nThe model is in {run.best}. Try next:", soft_wrap=True)
    for command in (f"predict {run.best} --task sst", f"evaluate {run.best}", "data check DATA", "train --help"):
        text = 'echo "A great film" | ' if command.startswith("predict") else ""
        results.print(f"  {text}{program()} {command}", soft_wrap=True)


def run_training(
    recipe: Recipe, runs: Path, skip_bad_rows: bool = False, resume: bool = False, force: bool = False
) -> Run:
    """Trains with everything shown; on an interrupt the state is saved and the way on printed."""
    from minbert.cli.show import TrainingDisplay, messages, resuming
    from minbert.training import begin, records

    if resume and force:
        raise RunError("--resume goes on with a run and --force replaces it; choose one")
    session = begin(recipe, runs / recipe.name, skip_bad_rows, resume, force)
    if resume and not session.run.exists:
        messages.print(f"there is nothing to resume in {session.run.folder}; the run begins")
    show_job(session.job)
    with interrupts() as interrupted, TrainingDisplay(session.job) as display:
        for record in records(session):
            display.show(record)
            if interrupted:
                session.save()
                place = f"step {record.step} of {session.job.last_step}"
                raise RunInterruptedError(f"{place} is saved; go on with\n{resuming()}")
    show_outcome(session.job, session.run, session.state.progress.best_step)
    return session.run


@contextlib.contextmanager
def interrupts(after: str = "this step") -> Iterator[list[int]]:
    """Collects the first Ctrl-C or termination signal for the loop to see; the next one acts at once."""
    caught: list[int] = []
    before: dict[signal.Signals, object] = {}

    def catch(number: int, frame: object) -> None:  # noqa: ARG001
        caught.append(number)
        for one, handler in before.items():  # before anything is printed: a second signal may come in that moment
            signal.signal(one, handler)  # type: ignore[arg-type]
        print(f"\nstopping after {after}; once more to stop at once", file=sys.stderr)

    for one in (signal.SIGINT, signal.SIGTERM):
        before[one] = signal.signal(one, catch)
    try:
        yield caught
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)  # type: ignore[arg-type]


def show_job(job: Job) -> None:
    """What was read, what was left out, and what will be trained."""
    from minbert.cli.show import messages, plan_table, plan_warnings, range_warnings, show_reading
    from minbert.jobs import plan

    for name, splits in job.readings.items():
        for split, reading in splits.items():
            show_reading(f"{name} {split}", reading)
            cut = int(job.encoded[split][name].cut.sum())
            if cut:
                cut_texts = "1 text is longer than the limit and loses its end"
                if cut > 1:
                    cut_texts = f"{cut:,} texts are longer than the limit and lose their end"
                messages.print(f"warning: {name} {split}: {cut_texts}")
    plans = plan(job)
    messages.print(plan_table(plans))
    messages.print(f"{counted(job.last_step, 'update')}; texts are cut at {job.max_length} tokens")
    for warning in (*plan_warnings(plans), *range_warnings(job.tasks)):
        messages.print(f"warning: {warning}")


def show_outcome(job: Job, run: Run, best_step: int) -> None:
    """Dev scores of the best model beside those before training and the best constant answer."""
    from minbert.cli.show import results, score_table

    before, best = restored(job, run, 0), restored(job, run, best_step)
    if best.scores:
        results.print(score_table(f"Scores on dev: the best model, of step {best_step}", best, before))
    results.print(f"run {run.folder}   model {run.best}   predictions {run.predictions}", soft_wrap=True)


def restored(job: Job, run: Run, step: int) -> Evaluation:
    """The evaluation at a step, from the run's records."""
    from minbert.evaluation import Evaluation, task_score

    record = next(record for record in run.records("evaluation") if record["step"] == step)
    scores = {}
    for name, values in record["metrics"].items():
        labels = job.encoded["dev"][name].labels
        assert labels is not None
        places, parts = job.dev_sets[name], record["dev_sets"].get(name, {})
        of_parts = {part: task_score(job.tasks[name], of, labels[places[part]]) for part, of in parts.items()}
        scores[name] = replace(task_score(job.tasks[name], values, labels), parts=of_parts)
    return Evaluation(scores, {})
