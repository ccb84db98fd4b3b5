"""A recipe -> all that training needs: data read and tokenised, schedule laid out, the untrained model."""

import hashlib
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from minbert.data import Reading
from minbert.errors import MinbertError, TrainingError, counted
from minbert.kernels import bf16_is_native
from minbert.labels import Labels
from minbert.model import MultitaskModel
from minbert.pretrained import load_encoder, load_tokenizer, locate
from minbert.runs import Run
from minbert.schedules import SCHEDULES, Schedule, ScheduleSettings, Stream
from minbert.schema import Recipe
from minbert.splits import dev_set_places, learned_texts, read_splits, row_key
from minbert.tables import canonical_label
from minbert.tasks import SPLITS, Split, Task
from minbert.text import Batch, Encoded

log = logging.getLogger("minbert")

Weights = NDArray[np.float64]


@dataclass(frozen=True)
class Job:
    """A recipe with all it needs in hand: data read and tokenised, streams and schedule laid out.

    `class_weights` hold the weight of each class [K] for the tasks that have some. `recipe` is resolved: what the data
    and the encoder decided, such as classes and lengths, is written in.
    """

    recipe: Recipe
    encoder: Path
    readings: dict[str, dict[Split, Reading]]
    class_weights: dict[str, Weights]
    encoded: dict[Split, dict[str, Encoded]]
    streams: dict[str, Stream]
    schedule: Schedule
    last_step: int

    @property
    def max_length(self) -> str:
        """The longest text of each task, in tokens: one number where they agree."""
        limits = {name: task.max_length for name, task in self.tasks.items()}
        if len(set(limits.values())) == 1:
            return str(next(iter(limits.values())))
        return ", ".join(f"{limit} ({name})" for name, limit in limits.items())

    @property
    def tasks(self) -> dict[str, Task]:
        return self.recipe.tasks

    @property
    def dev_sets(self) -> dict[str, dict[str, slice]]:
        """Where each task's named dev sets stand among its dev examples."""
        return {name: dev_set_places(self.tasks[name], r["dev"]) for name, r in self.readings.items() if "dev" in r}

    @property
    def names(self) -> list[str]:
        return list(self.tasks)


@dataclass(frozen=True)
class TaskPlan:
    """What a run will train of one task, counted on the schedule itself before step 1."""

    task: str
    rows: int
    batch_size: int
    batches_per_pass: int
    last_batch: int
    updates: int
    passes: float
    share: float
    weight: float


def prepare(recipe: Recipe, skip_bad_rows: bool = False) -> tuple[Job, MultitaskModel]:
    """Reads, checks and tokenises all that the recipe names, and builds the untrained model."""
    folder = locate(recipe.encoder)
    tasks, readings = read_tasks(recipe.tasks, skip_bad_rows)
    _warn_of_learned(folder, readings)
    model = build_model(recipe, folder, tasks)
    encoded: dict[Split, dict[str, Encoded]] = {
        split: {n: model.encode(n, r[split].examples) for n, r in readings.items() if split in r} for split in SPLITS
    }
    schedule = recipe.schedule.model_copy(update={"order": recipe.order})
    resolved = recipe.model_copy(update={"tasks": model.tasks, "schedule": schedule})
    return _job(resolved, folder, readings, encoded), model


def read_tasks(
    tasks: Mapping[str, Task], skip_bad_rows: bool
) -> tuple[dict[str, Task], dict[str, dict[Split, Reading]]]:
    """Every task completed by its data, and what reading its files gave. An error says of which task.

    The classes of a head that is shared are those of the task that it belongs to.
    """
    completed: dict[str, Task] = {}
    readings: dict[str, dict[Split, Reading]] = {}
    for name in sorted(tasks, key=lambda name: tasks[name].shares_head is not None):
        task, owner = tasks[name], completed.get(tasks[name].shares_head or "")
        if owner is not None:
            task = task.model_copy(update={"labels": owner.labels})
        try:
            completed[name], readings[name] = read_splits(task, skip_bad_rows)
        except MinbertError as error:
            raise type(error)(f"task '{name}': {error}") from None
    return {name: completed[name] for name in tasks}, {name: readings[name] for name in tasks}


def _warn_of_learned(folder: Path, readings: Mapping[str, Mapping[Split, Reading]]) -> None:
    """Warns of dev rows that the model gone on from, where the encoder is one, learned from."""
    run = Run.of_model(folder)
    if run is None:
        return
    then = run.recipe().tasks
    for name, dev in ((name, of_splits["dev"]) for name, of_splits in readings.items() if "dev" in of_splits):
        known = (learned_texts(then[name]) if name in then else None) or set()
        rows = [row_key(texts) for texts in zip(*dev.examples.texts, strict=True)]
        if count := sum(row in known for row in rows):
            of_rows = f"{count:,} of {counted(len(rows), 'row')}"
            dev.warnings.append(f"{of_rows} are among those that {run.folder} learned from: scores are too good")


def weights_of_classes(task: Task, labels: Labels) -> Weights | None:
    """The weight of each class [K], by its number, from the labels [N] of a completed task's training examples."""
    if task.class_weights is None:
        return None
    if isinstance(task.class_weights, dict):
        given = {canonical_label(label): weight for label, weight in task.class_weights.items()}
        return np.array([given[label] for label in task.class_numbers])
    counts = np.bincount(labels.astype(int), minlength=len(task.class_numbers))
    return len(labels) / (len(counts) * np.maximum(counts, 1))


def plan(job: Job) -> list[TaskPlan]:
    """What will be trained, task by task, counted on the schedule that the loop follows."""
    after = job.last_step + 1
    drawn_of = [job.schedule.batches_before(number, after) for number in range(len(job.names))]
    total = max(1, sum(drawn_of))
    plans = []
    for number, name in enumerate(job.names):
        stream = job.streams[name]
        drawn = drawn_of[number]
        plans.append(
            TaskPlan(
                task=name,
                rows=stream.rows,
                batch_size=stream.batch_size,
                batches_per_pass=stream.batches,
                last_batch=stream.rows - (stream.batches - 1) * stream.batch_size,
                updates=drawn // job.recipe.training.accumulate,
                passes=drawn / stream.batches,
                share=drawn / total,
                weight=job.tasks[name].weight,
            )
        )
    return plans


def log_bad_rows(job: Job) -> None:
    """Warns of rows that were left out, where no command line lists them."""
    for name, of_splits in job.readings.items():
        for split, reading in of_splits.items():
            if reading.bad_rows:
                counts = len(reading.bad_rows), reading.rows
                log.warning("%s %s: left out %d of %d rows, the first: %s", name, split, *counts, reading.bad_rows[0])


def pool_once(job: Job, model: MultitaskModel) -> Job:
    """With a frozen encoder, and no dropout in it, the job with every text that it trains or scores pooled before."""
    training = job.recipe.training
    if training.mode == "finetune" or training.frozen_dropout:
        return job
    needed = {"train": job.recipe.order, "dev": job.names, "test": []}
    return replace(
        job,
        encoded={
            split: {n: model.pool_once(n, e) if n in needed[split] else e for n, e in of_split.items()}
            for split, of_split in job.encoded.items()
        },
    )


def training_batch(job: Job, name: str, number: int) -> Batch:
    """A batch of a task's stream, its pairs turned round at random where the recipe says so."""
    rows = job.streams[name].batch(number)
    swapped = None
    if job.recipe.training.swap_pairs:
        generator = np.random.default_rng(seed_of(job.recipe.seed, "swap", name, number))
        swapped = generator.random(len(rows)) < 0.5
    batch, of_classes = job.encoded["train"][name].batch(rows, swapped), job.class_weights.get(name)
    if of_classes is None or batch.labels is None:
        return batch
    return replace(batch, weights=torch.from_numpy(of_classes)[batch.labels.long()])


def seed_of(seed: int, *what: str | int) -> int:
    """A seed for one purpose: equal for equal arguments on every machine, unrelated for others."""
    text = "/".join(str(part) for part in (seed, *what))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def build_model(recipe: Recipe, folder: Path, tasks: dict[str, Task]) -> MultitaskModel:
    """The untrained model of a recipe whose tasks were completed by their data, and whose encoder is in `folder`."""
    torch.manual_seed(seed_of(recipe.seed, "encoder"))  # for a pooler that the checkpoint lacks
    needs_pooler = any(task.pooling == "cls" for task in tasks.values())
    encoder = load_encoder(folder, needs_pooler, recipe.training.encoder_dropout)
    longest = recipe.training.max_length or encoder.config.max_position_embeddings
    limited = {n: task.model_copy(update={"max_length": task.max_length or longest}) for n, task in tasks.items()}
    model = MultitaskModel(encoder, load_tokenizer(folder), limited, recipe.training.head_dropout)
    for name in model.owners:
        model.draw_head(name, seed_of(recipe.seed, "head", name))
    same, other = model.take_heads(folder)
    if same:
        log.info("%s gives the heads of %s", folder, ", ".join(same))
    if other:
        log.warning("%s has another head for %s, which begins with a new one", folder, ", ".join(other))
    if recipe.training.mode == "frozen":
        encoder.requires_grad_(False)
        _check_learns(recipe, model)
    return model.to(_device(recipe))


def _check_learns(recipe: Recipe, model: MultitaskModel) -> None:
    """Raises TrainingError where a task is to be trained and neither encoder nor head can learn."""
    learning = {name.split(".")[0] for name, _ in model.named_head_parameters()}
    for name in recipe.order:
        if (model.tasks[name].shares_head or name) not in learning:
            raise TrainingError(
                f"task '{name}': head '{model.tasks[name].head}' has no weights, so with a frozen encoder nothing "
                "of it can learn; give it another head, or leave it out of schedule.order"
            )


def _device(recipe: Recipe) -> torch.device:
    wanted = recipe.training.device
    if wanted == "cuda" and not torch.cuda.is_available():
        raise TrainingError("training.device = 'cuda', and torch sees no GPU here; set it to 'auto' or 'cpu'")
    device = torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")
    if recipe.training.precision == "bf16" and not bf16_is_native(device):
        raise TrainingError(
            "training.precision = 'bf16', and this processor does not multiply bf16 itself, so it would be several "
            "times slower than 'fp32'; set it to that"
        )
    return device


def _job(
    recipe: Recipe,
    folder: Path,
    readings: dict[str, dict[Split, Reading]],
    encoded: dict[Split, dict[str, Encoded]],
) -> Job:
    names, training = list(recipe.tasks), recipe.training
    streams = {
        name: Stream(
            seed_of(recipe.seed, "order", name),
            len(encoded["train"][name]),
            recipe.batch_size(name),
            encoded["train"][name].lengths if training.batching == "length" else None,
        )
        for name in names
    }
    schedule, last_step = lay_out({name: stream.rows for name, stream in streams.items()}, recipe)
    weights = {
        name: of_classes
        for name, of_splits in readings.items()
        if (labels := of_splits["train"].examples.labels) is not None
        and (of_classes := weights_of_classes(recipe.tasks[name], labels)) is not None
    }
    return Job(recipe, folder, readings, weights, encoded, streams, schedule, last_step)


def lay_out(rows: Mapping[str, int], recipe: Recipe) -> tuple[Schedule, int]:
    """What a recipe whose tasks have so many training rows trains at each step, and how many updates that is."""
    names, training = list(recipe.tasks), recipe.training
    settings = ScheduleSettings(
        rows=[rows[name] for name in names],
        batches=[math.ceil(rows[name] / recipe.batch_size(name)) for name in names],
        order=[names.index(name) for name in recipe.order],
        accumulate=training.accumulate,
        cap=training.steps_per_epoch,
        scale=training.scale,
        epochs=training.epochs,
        max_steps=training.max_steps,
        seed=seed_of(recipe.seed, "schedule"),
    )
    schedule = SCHEDULES[recipe.schedule.kind](settings)
    limits = [] if training.epochs is None else [schedule.last_step(training.epochs)]
    limits += [] if training.max_steps is None else [training.max_steps]
    return schedule, min(limits)
