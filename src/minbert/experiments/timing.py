"""A recipe -> how long its run will take and what it leaves on disk, from a few updates done for the purpose."""

import heapq
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from minbert.experiments.grid import Cell
from minbert.files import existing
from minbert.jobs import Job, plan, pool_once, prepare
from minbert.kernels import Kernels
from minbert.runs import Run
from minbert.schema import Recipe
from minbert.tasks import Split
from minbert.training import State, checkpoints, evaluations, inspection_is_due, update

UPDATES = 5  # timed for every set of tasks that an update trains
ROWS = 256  # of dev, timed for every task
SAVES = 1.5  # an evaluation saves the state, and about every second one a better model too
ANSWER_BYTES = 100  # in Parquet and the course's file together, at most
RECORD_BYTES = 700  # a line of metrics.jsonl with three tasks
OF_THE_WHOLE = {"epochs", "max_steps", "steps_per_epoch", "scale", "evaluate_every", "patience", "checkpoint_every"}
WITHOUT_COST: Any = {  # keys that leave the time of one update as it is
    "name": True,
    "seed": True,
    "control": True,
    "schedule": True,
    "optimizer": True,
    "training": {*OF_THE_WHOLE, "time_limit", "select_on"},
}


@dataclass(frozen=True)
class Estimate:
    """One run of a resolved recipe: its updates, each task's passes, seconds from reading data to its end, and bytes.

    `kept` is left by a run that keeps its weights, `answers` by any other, and `peak` is held while a run goes on.
    """

    recipe: Recipe
    updates: int
    passes: dict[str, float]
    seconds: float
    kept: int
    answers: int
    peak: int
    dev_rows: dict[str, int]


@dataclass
class Stopwatch:
    """Times the parts of runs; what costs the same in two recipes is timed once. Its `start` is a process's."""

    kernels: Kernels
    skip_bad_rows: bool
    known: dict[Hashable, float] = field(default_factory=dict)

    def estimate(self, cell: Cell) -> Estimate:
        """Prepares a recipe as its run would, and times an update, an evaluation and a save."""
        with self.kernels.in_use():
            return self._estimate(cell)

    def _estimate(self, cell: Cell) -> Estimate:
        started = time.perf_counter()
        job, model = prepare(cell.recipe, self.skip_bad_rows)
        job, state = pool_once(job, model), State.start(job, model)
        seconds = time.perf_counter() - started
        seconds += min(self._updates(job, state), job.recipe.training.time_limit or math.inf)
        number = evaluations(job)
        seconds += number * self._answers(job, state, "dev") + self._answers(job, state, "test")
        save, models, peak = _save(state, existing(cell.folder))
        seconds += (SAVES * number + checkpoints(job)) * save
        rows = {split: {name: len(e) for name, e in job.encoded[split].items()} for split in job.encoded}
        answers = ANSWER_BYTES * sum(2 * sum(r.values()) for split, r in rows.items() if split != "train")
        answers += RECORD_BYTES * (job.last_step + number)
        passes = {planned.task: planned.passes for planned in plan(job)}
        return Estimate(
            job.recipe, job.last_step, passes, seconds, models + answers, answers, peak + answers, rows["dev"]
        )

    @property
    def start(self) -> float:
        """Seconds that a process takes before its first run."""
        return self._once("process", _start_a_process)

    def together(self, runs: Sequence[float], jobs: int) -> float:
        """Seconds for runs that take so many each, `jobs` at once: a process that is done with one begins the next."""
        if not runs:
            return 0.0
        workers = min(jobs, len(runs))
        crowding = max(1.0, workers * self.kernels.threads / torch.get_num_threads())  # timed alone
        ends = workers * [self.start]
        for seconds in runs:
            heapq.heapreplace(ends, ends[0] + crowding * seconds)
        return max(ends)

    def _updates(self, job: Job, state: State) -> float:
        """Seconds for all updates: a few timed for every set of tasks, and set right by how much text they held."""
        steps_of: dict[tuple[int, ...], list[int]] = {}
        for step in range(1, job.last_step + 1):
            steps_of.setdefault(tuple(draw.task for draw in job.schedule.draws(step)), []).append(step)
        cost = job.recipe.model_dump_json(exclude=WITHOUT_COST)
        seconds = 0.0
        for tasks, steps in steps_of.items():
            looks = sum(inspection_is_due(job.recipe, step) for step in steps)  # which cost about an update more
            seconds += (len(steps) + looks) * self._once((cost, tasks), partial(_time_updates, job, state, steps))
        return seconds

    def _answers(self, job: Job, state: State, split: Split) -> float:
        """Seconds to answer a split, from some rows of each task."""
        total = 0.0
        for name, examples in job.encoded[split].items():
            rows = np.random.default_rng(0).permutation(len(examples))[:ROWS]
            some = examples.take(rows)
            is_pooled = examples.pooled is not None
            key = (job.recipe.encoder, job.tasks[name].model_dump_json(), split, is_pooled)
            seconds = self._once(key, partial(_time, partial(state.model.predict_encoded, name, some)))
            total += seconds * float(examples.lengths.sum() / some.lengths.sum())
        return total

    def _once(self, key: Hashable, measure: Callable[[], float]) -> float:
        if key not in self.known:
            self.known[key] = measure()
        return self.known[key]


def _time_updates(job: Job, state: State, steps: Sequence[int]) -> float:
    """Mean seconds of an update among `steps`, from a few of them and without a close look at conflict.

    The first finds memory cold and does not count.
    """
    gradients = job.recipe.gradients.model_copy(update={"inspect_every": "off"})
    job = replace(job, recipe=job.recipe.model_copy(update={"gradients": gradients}))
    seconds = positions = 0.0
    for count, place in enumerate(np.linspace(0, len(steps) - 1, UPDATES + 1).astype(int)):
        state.progress.step = steps[place] - 1
        record = update(job, state)
        if count:
            seconds += record.seconds
            positions += _positions(job, steps[place])
    mean = float(np.mean([_positions(job, step) for step in steps[:: max(1, len(steps) // 200)]]))
    return seconds / positions * mean


def _positions(job: Job, step: int) -> int:
    """Places in the padded batches of an update."""
    total = 0
    for draw in job.schedule.draws(step):
        name = job.names[draw.task]
        examples = job.encoded["train"][name]
        for number in range(draw.first, draw.first + draw.count):
            rows = job.streams[name].batch(number)
            total += len(examples.texts) * len(rows) * max(len(text[row]) for text in examples.texts for row in rows)
    return total


def _save(state: State, place: Path) -> tuple[float, int, int]:
    """Seconds to save the state there; bytes of the two models that a run leaves; bytes that one under way holds."""
    with tempfile.TemporaryDirectory(prefix=".minbert-plan-", dir=place) as folder:
        run = Run(Path(folder) / "run")
        seconds = _time(lambda: run.save_last(state.model, state.optimizer, state.progress))
        sizes = {file.name: file.stat().st_size for file in run.last.iterdir()}
    optimizer = sizes.pop("optimizer.safetensors")
    models = 2 * sum(sizes.values())
    return seconds, models, models + 2 * optimizer + models // 2  # the old state goes once the new one stands


def _start_a_process() -> float:
    return _time(lambda: subprocess.run([sys.executable, "-c", "import minbert.training"], check=True))


def _time(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
