"""The loop: batches -> losses -> gradients -> update, a record per step; `train` ties it to a run's folder.

Everything that step t does depends on (seed, t) and the weights alone, so resuming is starting at t.
Letters in shapes: T tasks.
"""

import contextlib
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from minbert import gradients, optimizer
from minbert.errors import TrainingError
from minbert.evaluation import Evaluation, evaluate
from minbert.jobs import Job, prepare, seed_of, training_batch
from minbert.model import MultitaskModel
from minbert.optimizer import AdamWSettings
from minbert.recipes import load
from minbert.runs import Progress, Run, environment
from minbert.schedules import Draw
from minbert.schema import Recipe
from minbert.tasks import Split


@dataclass
class State:
    """What training changes: the model, its optimiser, and how far it has come."""

    model: MultitaskModel
    optimizer: torch.optim.AdamW
    progress: Progress = field(default_factory=Progress)

    @classmethod
    def start(cls, job: Job, model: MultitaskModel) -> Self:
        """Before the first update."""
        return cls(model, _optimizer(job.recipe, model))


@dataclass(frozen=True)
class StepRecord:
    """One update. Norms and cosines are of the tasks' weighted gradients in the encoder, before any surgery.

    `tokens` are ones of the attention masks; `seconds` run from drawing the batches to the new weights.
    """

    step: int
    epoch: int
    losses: dict[str, float]
    learning_rate: float
    tokens: int
    seconds: float
    gradient_norms: dict[str, float]
    cosines: dict[str, float]
    gradient_norm: float

    def as_json(self) -> dict[str, Any]:
        return {"kind": "step"} | vars(self)


@dataclass(frozen=True)
class EvaluationRecord:
    """Dev scores after `step` updates, and whether they are the best so far."""

    step: int
    evaluation: Evaluation
    is_best: bool
    split: Split = "dev"

    def as_json(self) -> dict[str, Any]:
        return {
            "kind": "evaluation",
            "step": self.step,
            "split": self.split,
            "metrics": {name: score.metrics for name, score in self.evaluation.scores.items()},
            "sum": self.evaluation.sum,
            "course": self.evaluation.course,
            "is_best": self.is_best,
        }


Record = StepRecord | EvaluationRecord
REMEDY = "lower optimizer.lr or set gradients.clip"


@dataclass(frozen=True)
class Session:
    """A run about to be trained: its folder, its job, and the state that training changes."""

    run: Run
    job: Job
    state: State
    resume: bool
    force: bool

    def save(self) -> None:
        """Saves the state as it is, for a later session to go on from."""
        self.run.save_last(self.state.model, self.state.optimizer, self.state.progress)


def train(
    recipe: str | Path | Mapping[str, Any] | Recipe,
    *,
    data: str | Path | None = None,
    runs: str | Path = "runs",
    skip_bad_rows: bool = False,
    resume: bool = False,
    force: bool = False,
) -> Run:
    """Trains a recipe to its end and returns the run's folder, opened for reading.

    Raises MinbertError, before a folder is made, for anything in recipe or data that cannot be trained.
    """
    session = begin(load(recipe, data=data), Path(runs), skip_bad_rows, resume, force)
    for _ in records(session):
        pass
    return session.run


def begin(
    recipe: Recipe, runs: Path, skip_bad_rows: bool = False, resume: bool = False, force: bool = False
) -> Session:
    """Reads and checks all that the recipe names; nothing is written yet."""
    run = Run(runs / recipe.name)
    run.check(resume, force)
    job, model = prepare(recipe, skip_bad_rows)
    return Session(run, job, State.start(job, model), resume, force)


def records(session: Session) -> Iterator[Record]:
    """Trains from where the run's folder stands to the end, writing each record before it is yielded.

    The caller may stop after any record: `Session.save` then saves what a later session goes on from.
    """
    run, job, state = session.run, session.job, session.state
    about = environment(job.recipe, job.encoder, state.model.device)
    with run.writing(job.recipe, about, session.resume, session.force), _threads(run.environment()["threads"]):
        state.progress = run.load_last(state.model, state.optimizer) or state.progress
        for record in steps(job, state):
            run.write(record.as_json())
            if isinstance(record, EvaluationRecord):
                _keep(session, record)
            if isinstance(record, EvaluationRecord) or _checkpoint_is_due(job, state):
                session.save()
            yield record
        _answer_test(job, state, run)


def _keep(session: Session, record: EvaluationRecord) -> None:
    """Writes an evaluation's answers, and the model where it is the best so far."""
    run, model, answered = session.run, session.state.model, record.evaluation.predictions
    run.write_predictions("last", record.split, model, answered)
    if record.is_best:
        run.write_predictions("best", record.split, model, answered)
        run.save_best(model, about_training(session.job, record))


@contextlib.contextmanager
def _threads(number: int) -> Iterator[None]:
    """Computes with so many threads inside the block: sums in another order have other bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def steps(job: Job, state: State) -> Iterator[Record]:
    """The loop itself: an evaluation where one is due, then an update, until the run is done."""
    while True:
        if _evaluation_is_due(job, state) and state.progress.evaluated_at != state.progress.step:
            yield assess(job, state)
        if _is_done(job, state):
            return
        yield update(job, state)


def update(job: Job, state: State) -> StepRecord:
    """One update: a gradient per task, one weight per task, one clipped gradient, AdamW."""
    started = time.perf_counter()
    recipe, step = job.recipe, state.progress.step + 1
    torch.manual_seed(seed_of(recipe.seed, "dropout", step))  # dropout can use the global generator alone
    state.model.train()
    draws = job.schedule.draws(step)
    parts = [task_gradient(job, state.model, draw) for draw in draws]

    gram = gradients.gram_matrix([part.shared for part in parts])  # [T, T]
    names = [job.names[draw.task] for draw in draws]
    _check_finite(step, names, parts, gram)
    generator = torch.Generator().manual_seed(seed_of(recipe.seed, "surgery", step))
    weights = gradients.METHODS[recipe.gradients.method](gram, generator)  # [T]
    combined = gradients.weighted_sum([part.shared for part in parts], weights)
    for parameter, gradient in zip(state.model.encoder.parameters(), combined, strict=True):
        parameter.grad = gradient
    limit = math.inf if recipe.gradients.clip == "off" else recipe.gradients.clip
    norm = float(torch.nn.utils.clip_grad_norm_(state.model.parameters(), limit))  # encoder and heads together
    if not math.isfinite(norm):
        raise TrainingError(f"step {step}: a head's gradient is no longer a number; {REMEDY}")

    factor = optimizer.learning_rate_factor(step, job.last_step, recipe.optimizer.warmup, recipe.optimizer.decay)
    optimizer.set_learning_rate(state.optimizer, factor)
    state.optimizer.step()
    state.optimizer.zero_grad(set_to_none=True)
    state.progress.step = step
    seconds = time.perf_counter() - started
    state.progress.seconds += seconds
    cosines = gradients.cosines(gram)
    return StepRecord(
        step=step,
        epoch=job.schedule.epoch(step),
        losses={name: part.loss for name, part in zip(names, parts, strict=True)},
        learning_rate=recipe.optimizer.lr * factor,
        tokens=sum(part.tokens for part in parts),
        seconds=seconds,
        gradient_norms={name: math.sqrt(float(gram[i, i])) for i, name in enumerate(names)},
        cosines={f"{names[i]}/{names[j]}": float(cosines[i, j]) for i in range(len(names)) for j in range(i)},
        gradient_norm=norm,
    )


@dataclass(frozen=True)
class TaskGradient:
    """One task's part of an update: its gradient in the encoder's parameters, one tensor each, and its loss."""

    shared: list[Tensor | None]
    loss: float
    tokens: int


def task_gradient(job: Job, model: MultitaskModel, draw: Draw) -> TaskGradient:
    """The gradient of a task's weighted loss, averaged over its batches of this update.

    The encoder's gradient is taken away for the method to combine; the head's stays where the optimiser finds it.
    """
    name = job.names[draw.task]
    losses, tokens = [], 0
    for number in range(draw.first, draw.first + draw.count):
        batch = training_batch(job, name, number).to(model.device)
        loss = model.loss(name, batch)
        (job.tasks[name].weight / draw.count * loss).backward()  # type: ignore[no-untyped-call]
        losses.append(float(loss.detach()))
        tokens += batch.tokens
    mean = sum(losses) / len(losses)
    shared = []
    for parameter in model.encoder.parameters():
        shared.append(parameter.grad)
        parameter.grad = None
    return TaskGradient(shared, mean, tokens)


def _check_finite(step: int, names: list[str], parts: list[TaskGradient], gram: Tensor) -> None:
    """Raises TrainingError, before anything is changed, where a loss or a gradient's norm is no number."""
    for name, part, square in zip(names, parts, gram.diagonal().tolist(), strict=True):
        if not (math.isfinite(part.loss) and math.isfinite(square)):
            raise TrainingError(f"step {step}: the loss or gradient of task '{name}' is no longer a number; {REMEDY}")


def assess(job: Job, state: State) -> EvaluationRecord:
    """Dev scores of the model as it is; keeps the best score and how long it has stood."""
    progress = state.progress
    evaluation = evaluate(state.model, job.encoded["dev"])
    chosen, best = evaluation.selected(job.recipe.training.select_on), progress.best_score
    is_first = progress.evaluated_at < 0 or not job.encoded["dev"]  # without dev files the last model is the best
    is_best = is_first or (chosen is not None and chosen > (-math.inf if best is None else best))
    if is_best:
        progress.best_score, progress.best_step, progress.stale = chosen, progress.step, 0
    else:
        progress.stale += 1
    progress.evaluated_at = progress.step
    return EvaluationRecord(progress.step, evaluation, is_best)


def about_training(job: Job, record: EvaluationRecord) -> str:
    """For the model card: what the model was trained on, and its scores on dev when it was chosen."""
    lines = ["", f"Trained by minbert from the encoder `{job.recipe.encoder}`, seed {job.recipe.seed}; chosen on dev"]
    lines[-1] += f" after {record.step} updates:"
    lines += ["", "| task | metric | score | always the best one answer | rows |", "|---|---|---|---|---|"]
    for name, score in record.evaluation.scores.items():
        value, baseline = ("undefined" if v is None else f"{v:.4f}" for v in (score.value, score.baseline))
        lines.append(f"| {name} | {score.metric} | {value} | {baseline} | {score.examples} |")
    return "\n".join(lines) + "\n"


def _optimizer(recipe: Recipe, model: MultitaskModel) -> torch.optim.AdamW:
    table = recipe.optimizer
    betas = (table.betas[0], table.betas[1])
    settings = AdamWSettings(table.lr, table.head_lr, betas, table.eps, table.weight_decay, table.layer_decay)
    return optimizer.build(model.encoder.named_parameters(), model.named_head_parameters(), settings)


def _answer_test(job: Job, state: State, run: Run) -> None:
    """The best model's answers to the test files, whose labels nobody here knows."""
    best = MultitaskModel.from_pretrained(run.best).to(state.model.device)
    answered = {name: best.predict_encoded(name, examples) for name, examples in job.encoded["test"].items()}
    run.write_predictions("best", "test", best, answered)


def _is_done(job: Job, state: State) -> bool:
    training, progress = job.recipe.training, state.progress
    return (
        progress.step >= job.last_step
        or (training.patience is not None and progress.stale >= training.patience)
        or (training.time_limit is not None and progress.seconds >= training.time_limit)
    )


def _evaluation_is_due(job: Job, state: State) -> bool:
    step, every = state.progress.step, job.recipe.training.evaluate_every
    if step == 0 or _is_done(job, state):
        return True
    return job.schedule.is_epoch_end(step) if every is None else step % every == 0


def _checkpoint_is_due(job: Job, state: State) -> bool:
    """At every `checkpoint_every` updates, unless the evaluation that follows saves the state anyway."""
    step = state.progress.step
    return step % job.recipe.training.checkpoint_every == 0 and not _evaluation_is_due(job, state)
