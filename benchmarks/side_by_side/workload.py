"""A recipe for measuring -> its job: the course's tasks, from the data that ships or from a folder of the course's."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from minbert import training
from minbert.jobs import Job, prepare
from minbert.kernels import Kernels, measure
from minbert.model import MultitaskModel
from minbert.recipes import load

TASKS = {
    "sst": {},
    "para": {"head": "interaction"},
    "sts": {"head": "cosine", "weight": 0.1},
}
DENSE = 12  # multiplications a token in a layer's linear maps, in units of H x H: 4 in attention, 8 in the feed-forward


@dataclass
class Workload:
    """A job and its model in training."""

    job: Job
    state: training.State
    kernels: Kernels

    @property
    def model(self) -> MultitaskModel:
        return self.state.model

    def update(self, step: int) -> training.StepRecord:
        """Step t of our own loop, whatever came before it."""
        self.state.progress.step = step - 1
        with self.kernels.in_use():
            return training.update(self.job, self.state)

    def rows(self, step: int) -> dict[str, list[int]]:
        """The rows of every task that step t draws."""
        draws = self.job.schedule.draws(step)
        return {
            self.job.names[draw.task]: [
                row
                for number in range(draw.first, draw.first + draw.count)
                for row in self.job.streams[self.job.names[draw.task]].batch(number).tolist()
            ]
            for draw in draws
        }

    def tokens(self, steps: range) -> int:
        """Tokens that are no padding, in all of these steps."""
        return sum(sum(self.tokens_of_tasks(step)) for step in steps)

    def tokens_of_tasks(self, step: int) -> list[int]:
        """Tokens that are no padding, of every task in step t."""
        train = self.job.encoded["train"]
        return [sum(len(c[row]) for c in train[name].texts for row in rows) for name, rows in self.rows(step).items()]

    @property
    def flops_per_token(self) -> int:
        """Floating point operations that a token costs in the linear maps of the layers, forward and backward."""
        config = self.model.encoder.config
        return 3 * 2 * config.num_hidden_layers * DENSE * config.hidden_size**2


def build(tasks: Mapping[str, str], batch_size: int, batching: str, data: str | None, **gradients: object) -> Workload:
    """A workload on some of the course's tasks, by name. Close looks at conflict are off: no peer takes them."""
    course = load({"name": "course", "tasks": {name: {} for name in TASKS}}, data=data).tasks
    recipe = {
        "name": "benchmark",
        "tasks": {name: course[kind].model_dump(exclude_none=True) | TASKS[kind] for name, kind in tasks.items()},
        "gradients": {"inspect_every": "off"} | gradients,
        "training": {"max_steps": 10_000, "batch_size": batch_size, "batching": batching},
    }
    job, model = prepare(load(recipe), skip_bad_rows=True)
    return Workload(job, training.State.start(job, model), measure())


def options_of_all(description: str) -> argparse.ArgumentParser:
    """A parser of the options that every benchmark has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", help="folder of the course's files; without it, the data that ships")
    parser.add_argument("--quick", action="store_true", help="the main case alone")
    return parser


def arguments(description: str) -> argparse.Namespace:
    """What a benchmark with no options of its own was given."""
    found = options_of_all(description).parse_args()
    torch.manual_seed(0)
    return found
