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
from torch import Tensor, nn

from minbert import gradients, optimizer, tracking
from minbert.errors import TrainingError
from minbert.evaluation import Evaluation, evaluate
from minbert.frames import stored
from minbert.jobs import Job, log_bad_rows, pool_once, prepare, seed_of
from minbert.kernels import Kernels, measure
from minbert.model import MultitaskModel
from minbert.optimizer import AdamWSettings
from minbert.provenance import about_training
from minbert.recipes import load
from minbert.runs import Progress, Run, environment
from minbert.schema import Recipe
from minbert.task_gradients import (
    Inspection,
    inspect,
    named_cosines,
    named_norms,
    task_gradient,
)
from minbert.tasks import Split


@dataclass
class State:
    """What training changes: the model, its optimiser, and how far it has come; and memory that updates share."""

    model: MultitaskModel
    optimizer: torch.optim.AdamW
    progress: Progress = field(default_factory=Progress)
    memory: dict[nn.Parameter, Tensor] = field(default_factory=dict)

    @classmethod
    def start(cls, job: Job, model: MultitaskModel) -> Self:
        """Before the first update."""
        words = model.encoder.embeddings.word_embeddings
        # A gradient of the rows in use, not of all; on a GPU to merge them would mean to wait for it.
        words.sparse = words.weight.device.type == "cpu"
        return cls(model, _optimizer(job.recipe, model))


@dataclass(frozen=True)
class StepRecord:
    """One update. Norms and cosines are of the tasks' weighted gradients in the encoder, before any surgery.

    `tokens` are ones of the attention masks; `seconds` run from drawing the batches to the new weights,
    which a GPU may still be computing.
    `weights` are the method's, `projections` how often one gradient was projected off another, `surgery_angle` the
    degrees between the plain sum and the update's gradient before clipping. `inspection` is None at most steps.
    """

    step: int
    epoch: int
    losses: dict[str, float]
    learning_rate: float
    tokens: int
    seconds: float
    gradient_norms: dict[str, float]
    cosines: dict[str, float | None]
    weights: dict[str, float]
    projections: int
    surgery_angle: float | None
    gradient_norm: float
    inspection: Inspection | None = None

    def as_json(self) -> dict[str, Any]:
        values = dict(vars(self))
        inspection = values.pop("inspection")
        return {"kind": "step"} | values | ({} if inspection is None else vars(inspection))


@dataclass(frozen=True)
class EvaluationRecord:
    """Dev scores after `step` updates, and whether they are the best so far."""

    step: int
    evaluation: Evaluation
    is_best: bool
    split: Split = "dev"

    def as_json(self) -> dict[str, Any]:
        scores = self.evaluation.scores
        dev_sets = {n: {part: of.metrics for part, of in score.parts.items()} for n, score in scores.items()}
        return {
            "kind": "evaluation",
            "step": self.step,
            "split": self.split,
            "metrics": {name: score.metrics for name, score in scores.items()},
            "dev_sets": {name: parts for name, parts in dev_sets.items() if parts},
            "baselines": {name: score.baseline for name, score in scores.items()},
            "sum": self.evaluation.sum,
            "course": self.evaluation.course,
            "is_best": self.is_best,
        }


Record = StepRecord | EvaluationRecord


@dataclass(frozen=True)
class Session:
    """A run about to be trained: its folder, its job, and the state that training changes."""

    run: Run
    job: Job
    state: State
    kernels: Kernels
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

    A recipe that is a mapping may have tables of pandas, polars or datasets in place of files; they are kept as Parquet
    files in `runs`/data. Raises MinbertError, before a folder is made, for anything in recipe or data that cannot be
    trained.
    """
    with contextlib.ExitStack() as stack:
        if isinstance(recipe, Mapping):
            recipe = stack.enter_context(stored(recipe, Path(runs) / "data"))
        loaded = load(recipe, data=data)
        session = begin(loaded, Path(runs) / loaded.name, skip_bad_rows, resume, force)
    log_bad_rows(session.job)
    for _ in records(session):
        pass
    return session.run


def begin(
    recipe: Recipe,
    folder: Path,
    skip_bad_rows: bool = False,
    resume: bool = False,
    force: bool = False,
    kernels: Kernels | None = None,
) -> Session:
    """Reads and checks all that the recipe names, for a run in `folder`; nothing is written yet.

    Without `kernels` the fastest ones are found by measuring; a run that is gone on with on the same kind of processor
    keeps its own.
    """
    run = Run(folder)
    run.check(resume, force)
    if recipe.track is not None:
        tracking.check_installed()
    job, model = prepare(recipe, skip_bad_rows)
    return Session(run, job, State.start(job, model), kernels or measure(), resume, force)


def records(session: Session) -> Iterator[Record]:
    """Trains from where the run's folder stands to the end, writing each record before it is yielded.

    The caller may stop after any record: `Session.save` then saves what a later session goes on from.
    """
    run, job, state = session.run, session.job, session.state
    about = environment(job.recipe, job.encoder, state.model.device, session.kernels)
    with run.writing(job.recipe, about, session.resume, session.force), (run.kernels() or session.kernels).in_use():
        if run.progress().is_complete:
            state.progress = run.progress()
            return
        state.progress = run.load_last(state.model, state.optimizer) or state.progress
        with _tracker(session) as track:
            for record in steps(pool_once(job, state.model), state):
                values = record.as_json()
                run.write(values)
                track(values)
                if isinstance(record, EvaluationRecord):
                    _keep(session, record)
                if isinstance(record, EvaluationRecord) or _checkpoint_is_due(job, state):
                    session.save()
                yield record
        _answer_test(job, state, run)
        run.finish(state.progress)


def _tracker(session: Session) -> contextlib.AbstractContextManager[tracking.Write]:
    if session.job.recipe.track is None:
        return tracking.nowhere()
    return tracking.tensorboard(session.run.tensorboard, session.state.progress.step)


def _keep(session: Session, record: EvaluationRecord) -> None:
    """Writes an evaluation's answers, and the model where it is the best so far."""
    run, model, answered = session.run, session.state.model, record.evaluation.predictions
    run.write_predictions("last", record.split, model, answered)
    if record.is_best:
        run.write_predictions("best", record.split, model, answered)
        run.save_best(model, about_training(session.job, record.step, record.evaluation))


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
    recipe, model, step = job.recipe, state.model, state.progress.step + 1
    torch.manual_seed(seed_of(recipe.seed, "dropout", step))  # dropout can use the global generator alone
    model.train()
    draws = job.schedule.draws(step)
    parts = [task_gradient(job, model, draw) for draw in draws]
    names = [part.task for part in parts]

    grams = gradients.gram_matrices([part.shared for part in parts])  # [P, T, T]
    gram, method = grams.sum(0), gradients.METHODS[recipe.gradients.method]
    losses = dict(zip(names, torch.stack([part.loss for part in parts]).tolist(), strict=True))
    _check_finite(recipe, step, losses, gram)
    inspection = inspect(job, model, draws, parts, grams) if inspection_is_due(recipe, step) else None
    weights = method(gram, _surgery_generator(recipe, step))  # [T]
    norm = gradients.norm(gram, weights, [w.grad for _, w in model.named_head_parameters() if w.grad is not None])
    factor = _clip_factor(job, state, step, norm)
    _apply(job, state, step, gradients.weighted_sum_([part.shared for part in parts], factor * weights), factor)

    projects = method is gradients.pcgrad
    projections = gradients.count_projections(gram, _surgery_generator(recipe, step)) if projects else 0
    state.progress.step = step
    seconds = time.perf_counter() - started
    state.progress.seconds += seconds
    return StepRecord(
        step=step,
        epoch=job.schedule.epoch(step),
        losses=losses,
        learning_rate=recipe.optimizer.lr * _learning_rate_factor(job, step),
        tokens=sum(part.tokens for part in parts),
        seconds=seconds,
        gradient_norms=named_norms(gram, names),
        cosines=named_cosines(gram, names),
        weights=dict(zip(names, weights.tolist(), strict=True)),
        projections=projections,
        surgery_angle=gradients.angle(gram, weights),
        gradient_norm=norm,
        inspection=inspection,
    )


def inspection_is_due(recipe: Recipe, step: int) -> bool:
    """Whether step t takes a close look at conflict."""
    every = recipe.gradients.inspect_every
    return recipe.training.mode == "finetune" and every != "off" and (step - 1) % every == 0


def _surgery_generator(recipe: Recipe, step: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed_of(recipe.seed, "surgery", step))


def _clip_factor(job: Job, state: State, step: int, norm: float) -> float:
    """What encoder and heads' gradients are multiplied by. Raises TrainingError where their norm is no number."""
    if not math.isfinite(norm):
        heads = state.model.named_head_parameters()
        broken = [n.split(".")[0] for n, w in heads if w.grad is not None and not w.grad.isfinite().all()]
        whose = f"the head of task '{broken[0]}' has a gradient that" if broken else "the whole gradient"
        raise TrainingError(f"step {step}: {whose} is no longer a number; {_remedy(job.recipe)}")
    clip = job.recipe.gradients.clip
    return 1.0 if clip == "off" else gradients.clip_factor(norm, clip)


def _apply(job: Job, state: State, step: int, encoder_gradient: list[Tensor | None], factor: float) -> None:
    """AdamW's step with the encoder's gradient, which is clipped, and the heads', which are to be."""
    optimizer.set_gradients(state.model.encoder.parameters(), encoder_gradient, state.memory)
    for _, weight in state.model.named_head_parameters():
        if weight.grad is not None and factor != 1:
            weight.grad.mul_(factor)
    optimizer.set_learning_rate(state.optimizer, _learning_rate_factor(job, step))
    state.optimizer.step()
    state.optimizer.zero_grad(set_to_none=True)


def _learning_rate_factor(job: Job, step: int) -> float:
    table = job.recipe.optimizer
    return optimizer.learning_rate_factor(step, job.last_step, table.warmup, table.decay)


def _check_finite(recipe: Recipe, step: int, losses: dict[str, float], gram: Tensor) -> None:
    """Raises TrainingError, before anything is changed, where a loss or a gradient's norm is no number."""
    for (name, loss), square in zip(losses.items(), gram.diagonal().tolist(), strict=True):
        if not (math.isfinite(loss) and math.isfinite(square)):
            raise TrainingError(
                f"step {step}: the loss or gradient of task '{name}' is no longer a number; {_remedy(recipe)}"
            )


def _remedy(recipe: Recipe) -> str:
    return "lower optimizer.lr" + (" or set gradients.clip" if recipe.gradients.clip == "off" else "")


def assess(job: Job, state: State) -> EvaluationRecord:
    """Dev scores of the model as it is; keeps the best score and how long it has stood."""
    progress = state.progress
    evaluation = evaluate(state.model, job.encoded["dev"], job.dev_sets)
    chosen, best = evaluation.selected(job.recipe.training.select_on), progress.best_score
    is_first = progress.evaluated_at < 0 or not job.encoded["dev"]  # without dev files the last model is the best
    is_best = is_first or (chosen is not None and chosen > (-math.inf if best is None else best))
    if is_best:
        progress.best_score, progress.best_step, progress.stale = chosen, progress.step, 0
    else:
        progress.stale += 1
    progress.evaluated_at = progress.step
    return EvaluationRecord(progress.step, evaluation, is_best)


def _optimizer(recipe: Recipe, model: MultitaskModel) -> torch.optim.AdamW:
    table = recipe.optimizer
    betas = (table.betas[0], table.betas[1])
    settings = AdamWSettings(table.lr, table.head_lr, betas, table.eps, table.weight_decay, table.layer_decay)
    return optimizer.build(model.encoder.named_parameters(), model.named_head_parameters(), settings)


def _answer_test(job: Job, state: State, run: Run) -> None:
    """The best model's answers to the test files, whose labels nobody here knows."""
    if not job.encoded["test"]:
        return
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
    step = state.progress.step
    return step == 0 or _is_done(job, state) or _is_on_time(job, step)


def _is_on_time(job: Job, step: int) -> bool:
    every = job.recipe.training.evaluate_every
    return job.schedule.is_epoch_end(step) if every is None else step % every == 0


def evaluations(job: Job) -> int:
    """How many evaluations on dev a run has that goes to its last step, the one before the first step included."""
    return sum(_is_on_time(job, step) for step in range(1, job.last_step)) + len({0, job.last_step})


def checkpoints(job: Job) -> int:
    """How many times such a run saves its state between evaluations."""
    every = job.recipe.training.checkpoint_every
    return sum(not _is_on_time(job, step) for step in range(every, job.last_step, every))


def _checkpoint_is_due(job: Job, state: State) -> bool:
    """At every `checkpoint_every` updates, unless the evaluation that follows saves the state anyway."""
    step = state.progress.step
    return step % job.recipe.training.checkpoint_every == 0 and not _evaluation_is_due(job, state)
