"""What trains at step t: which tasks and which of their rows; a pure function of the seed and the step.

Tasks are numbers here and rows are positions. A task's rows form an endless stream of batches, pass after pass in
a new order each; a schedule says which stretch of which streams an update takes, so a capped epoch goes on where
the last one stopped. Steps count from 1, epochs from 1, batches of a stream from 0.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Epoch:
    """A stretch of updates that all train the same tasks, `batches` batches of each in every update."""

    tasks: tuple[int, ...]
    steps: int


@dataclass(frozen=True)
class Draw:
    """One task's part in an update: its batches first .. first + count - 1 of its stream."""

    task: int
    first: int
    count: int


@dataclass(frozen=True)
class Schedule:
    """Epochs that repeat for ever: epoch e trains `cycle[(e - 1) % len(cycle)]`.

    `accumulate` batches of every trained task make one update.
    """

    cycle: tuple[Epoch, ...]
    accumulate: int = 1

    def epoch(self, step: int) -> int:
        """The epoch that step t lies in."""
        rounds, rest = divmod(step - 1, sum(epoch.steps for epoch in self.cycle))
        for place, epoch in enumerate(self.cycle):
            if rest < epoch.steps:
                return rounds * len(self.cycle) + place + 1
            rest -= epoch.steps
        raise AssertionError("a step lies in some epoch of the cycle")

    def last_step(self, epochs: int) -> int:
        """How many updates the first `epochs` epochs take."""
        rounds, rest = divmod(epochs, len(self.cycle))
        return rounds * sum(e.steps for e in self.cycle) + sum(e.steps for e in self.cycle[:rest])

    def is_epoch_end(self, step: int) -> bool:
        """Whether step t is the last of its epoch."""
        return self.epoch(step + 1) != self.epoch(step)

    def draws(self, step: int) -> list[Draw]:
        """What step t trains, in the order of the tasks."""
        tasks = self.cycle[(self.epoch(step) - 1) % len(self.cycle)].tasks
        return [Draw(task, self.batches_before(task, step), self.accumulate) for task in tasks]

    def batches_before(self, task: int, step: int) -> int:
        """How many batches of a task the steps before t have drawn."""
        rounds, rest = divmod(step - 1, sum(epoch.steps for epoch in self.cycle))
        updates = rounds * sum(epoch.steps for epoch in self.cycle if task in epoch.tasks)
        for epoch in self.cycle:
            updates += min(rest, epoch.steps) if task in epoch.tasks else 0
            rest -= min(rest, epoch.steps)
        return updates * self.accumulate


def round_robin(batches: Sequence[int], order: Sequence[int], cap: int | None, accumulate: int) -> Schedule:
    """One task an epoch, in the given order, all its batches or at most `cap` updates of it."""
    epochs = tuple(Epoch((task,), _steps(batches[task], cap, accumulate)) for task in order)
    return Schedule(epochs, accumulate)


def simultaneous(batches: Sequence[int], order: Sequence[int], cap: int | None, accumulate: int) -> Schedule:
    """All tasks in every update; an epoch ends with the batches of the smallest task, or at `cap` updates."""
    steps = min(_steps(batches[task], cap, accumulate) for task in order)
    return Schedule((Epoch(tuple(order), steps),), accumulate)


def _steps(batches: int, cap: int | None, accumulate: int) -> int:
    """Updates that see every batch once, or `cap` if that is fewer."""
    return min(math.ceil(batches / accumulate), cap or batches)


class Stream:
    """A task's rows as an endless sequence of batches: every row once a pass, each pass in another order.

    With `lengths`, rows of like length share a batch, which saves padding: a shuffled pass is cut into windows of
    `WINDOW` batches, or a quarter of the pass if that is less, each window sorted, and the batches shuffled again,
    so a row's batch-mates still change from pass to pass. The order depends on (seed, pass) alone.
    """

    WINDOW = 32

    def __init__(self, seed: int, rows: int, batch_size: int, lengths: Rows | None = None) -> None:
        self.seed, self.rows, self.batch_size, self.lengths = seed, rows, batch_size, lengths
        self._pass: tuple[int, list[Rows]] | None = None

    @property
    def batches(self) -> int:
        """Batches a pass; one of them may be short, which is the last one in an order without lengths."""
        return math.ceil(self.rows / self.batch_size)

    def batch(self, number: int) -> Rows:
        """The rows of a batch, numbered from 0 across passes."""
        which, place = divmod(number, self.batches)
        if self._pass is None or self._pass[0] != which:  # one pass is kept, since the next call mostly wants it
            self._pass = (which, self._order(which))
        return self._pass[1][place]

    def _order(self, which: int) -> list[Rows]:
        generator = np.random.default_rng([self.seed, which])
        shuffled = generator.permutation(self.rows)
        if self.lengths is None:
            return self._cut(shuffled, self.batch_size)
        rest = len(shuffled) - self.rows % self.batch_size
        window = self.batch_size * min(self.WINDOW, math.ceil(self.batches / 4))
        alike = [part[np.argsort(self.lengths[part], kind="stable")] for part in self._cut(shuffled[:rest], window)]
        batches = [batch for part in alike for batch in self._cut(part, self.batch_size)]
        batches += self._cut(shuffled[rest:], self.batch_size)  # the short one: of any lengths, not of the longest
        return [batches[place] for place in generator.permutation(len(batches))]

    @staticmethod
    def _cut(rows: Rows, size: int) -> list[Rows]:
        return [rows[start : start + size] for start in range(0, len(rows), size)]


SCHEDULES: dict[str, Callable[[Sequence[int], Sequence[int], int | None, int], Schedule]] = {
    "round-robin": round_robin,
    "simultaneous": simultaneous,
}
