"""What trains at step t: which tasks and which of their rows; a pure function of the seed and the step.

Tasks are numbers here and rows are positions. A task's rows form an endless stream of batches, pass after pass in
a new order each; a schedule says which stretch of which streams an update takes, so a capped epoch goes on where
the last one stopped. Steps count from 1, epochs from 1, batches of a stream from 0. In shapes: S steps, T tasks.
"""

import itertools
import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Tasks = NDArray[np.int64]


@dataclass(frozen=True)
class ScheduleSettings:
    """What a schedule is laid out from; `rows` and `batches` (of a pass) are those of every task, [T].

    An update takes `accumulate` batches of each task that it trains. `cap` limits the updates of an epoch, and `scale`
    then multiplies them. Training ends after `epochs` or `max_steps`; `seed` is for the schedules that draw.
    """

    rows: Sequence[int]
    batches: Sequence[int]
    order: Sequence[int]
    accumulate: int
    cap: int | None
    scale: float
    epochs: int | None
    max_steps: int | None
    seed: int

    def updates(self, batches: int) -> int:
        """Updates that take so many batches, `accumulate` in each."""
        return math.ceil(batches / self.accumulate)

    def steps(self, wanted: int) -> int:
        """Updates of an epoch that would have so many: capped, then scaled and rounded up, so never none."""
        scale = Fraction(str(self.scale))  # the decimal as it was written: 100 * 0.07 in floats is more than 7
        return math.ceil(min(wanted, self.cap or wanted) * scale)


@dataclass(frozen=True)
class Draw:
    """One task's part in an update: its batches first .. first + count - 1 of its stream."""

    task: int
    first: int
    count: int


class Cycle:
    """Updates that repeat for ever: `updates` [S, k] holds the k tasks of each."""

    def __init__(self, updates: Tasks, tasks: int) -> None:
        self.updates = updates
        self._places = [np.flatnonzero((updates == task).any(1)) for task in range(tasks)]  # T times [≤ S]

    def tasks(self, step: int) -> list[int]:
        """The tasks of step t."""
        found: list[int] = self.updates[(step - 1) % len(self.updates)].tolist()
        return found

    def updates_before(self, task: int, step: int) -> int:
        """How many of the steps before t train a task."""
        rounds, rest = divmod(step - 1, len(self.updates))
        return rounds * len(self._places[task]) + int(np.searchsorted(self._places[task], rest))


class Sampling:
    """Updates of one task each, drawn with probabilities p(epoch) [T] by a generator of (seed, epoch)."""

    def __init__(self, seed: int, steps: int, p: Callable[[int], NDArray[np.float64]]) -> None:
        self.seed, self.steps, self.p = seed, steps, p
        self._before = [np.zeros(len(p(1)), dtype=np.int64)]  # updates of each task before epoch 1, 2, …: [T] each
        self._epoch: tuple[int, Cycle] | None = None

    def tasks(self, step: int) -> list[int]:
        """The task of step t."""
        before, place = divmod(step - 1, self.steps)
        return self._laid_out(before + 1).tasks(place + 1)

    def updates_before(self, task: int, step: int) -> int:
        """How many of the steps before t train a task."""
        before, place = divmod(step - 1, self.steps)
        while len(self._before) <= before:  # every epoch counts once, whatever is asked first
            drawn = np.bincount(self._draw(len(self._before)), minlength=len(self._before[0]))
            self._before.append(self._before[-1] + drawn)
        return int(self._before[before][task]) + self._laid_out(before + 1).updates_before(task, place + 1)

    def _laid_out(self, epoch: int) -> Cycle:
        if self._epoch is None or self._epoch[0] != epoch:  # one epoch is kept, since the next call mostly wants it
            self._epoch = (epoch, Cycle(self._draw(epoch)[:, None], len(self._before[0])))
        return self._epoch[1]

    def _draw(self, epoch: int) -> Tasks:
        p = self.p(epoch)
        return np.random.default_rng([self.seed, epoch]).choice(len(p), size=self.steps, p=p)  # [S]


class Schedule:
    """Which tasks step t trains, and which batches of their streams.

    `steps` are the lengths of the epochs, in updates, and repeat for ever; the tasks come from `updates` alone.
    """

    def __init__(self, steps: Sequence[int], updates: Cycle | Sampling, accumulate: int) -> None:
        self._starts = list(itertools.accumulate(steps, initial=0))  # steps before epoch 1, 2, …, and before a repeat
        self._updates, self._accumulate = updates, accumulate

    def epoch(self, step: int) -> int:
        """The epoch that step t lies in."""
        rounds, rest = divmod(step - 1, self._starts[-1])
        return rounds * (len(self._starts) - 1) + bisect_right(self._starts, rest)

    def last_step(self, epochs: int) -> int:
        """How many updates the first `epochs` epochs take."""
        rounds, rest = divmod(epochs, len(self._starts) - 1)
        return rounds * self._starts[-1] + self._starts[rest]

    def is_epoch_end(self, step: int) -> bool:
        """Whether step t is the last of its epoch."""
        return self.epoch(step + 1) != self.epoch(step)

    def draws(self, step: int) -> list[Draw]:
        """What step t trains, in the order of the tasks."""
        return [Draw(task, self.batches_before(task, step), self._accumulate) for task in self._updates.tasks(step)]

    def batches_before(self, task: int, step: int) -> int:
        """How many batches of a task the steps before t have drawn."""
        return self._updates.updates_before(task, step) * self._accumulate


def round_robin(settings: ScheduleSettings) -> Schedule:
    """One task an epoch, in the given order; an epoch is a pass over its task."""
    steps = [settings.steps(settings.updates(settings.batches[task])) for task in settings.order]
    return _repeated(steps, np.repeat(settings.order, steps)[:, None], settings)


def simultaneous(settings: ScheduleSettings) -> Schedule:
    """All tasks in every update; an epoch is a pass over the smallest."""
    steps = settings.updates(min(settings.batches[task] for task in settings.order))
    return _repeated([settings.steps(steps)], np.array([settings.order]), settings)


def alternating(settings: ScheduleSettings) -> Schedule:
    """One task an update, in the given order round after round; an epoch is the rounds of a task's first full pass.

    Where a cap or a scale ends an epoch amid a round, the next epoch goes on with the rest of it.
    """
    batches, order = settings.batches, settings.order
    rounds = min(math.ceil(settings.updates(batches[task]) / order.count(task)) for task in order)
    return _repeated([settings.steps(rounds * len(order))], np.array(order)[:, None], settings)


def proportional(settings: ScheduleSettings) -> Schedule:
    """One task an update, drawn with p_i ~ N_i, its rows; an epoch has the batches of a pass over every task."""
    return _sampled(_expected_pass(settings), 1, settings)


def annealed(settings: ScheduleSettings) -> Schedule:
    """As proportional, but with p_i ~ N_i^a and an a that falls from epoch to epoch (Stickland & Murray 2019)."""
    steps = _expected_pass(settings)
    epochs = math.ceil((settings.max_steps or 0) / steps) if settings.epochs is None else settings.epochs
    return _sampled(steps, epochs, settings)


def annealing_exponent(epoch: int, epochs: int) -> float:
    """a = 1 - 0.8 (e - 1) / (E - 1) in epoch e of E; 1 where E is 1, and 0.2 in epochs past E."""
    return 1.0 if epochs <= 1 else max(0.2, 1 - 0.8 * (epoch - 1) / (epochs - 1))


def _repeated(steps: Sequence[int], updates: Tasks, settings: ScheduleSettings) -> Schedule:
    return Schedule(steps, Cycle(updates, len(settings.batches)), settings.accumulate)


def _expected_pass(settings: ScheduleSettings) -> int:
    return settings.steps(settings.updates(sum(settings.batches[task] for task in settings.order)))


def _sampled(steps: int, epochs: int, settings: ScheduleSettings) -> Schedule:
    """Draws with p_i ~ N_i^a, annealed over `epochs` epochs of `steps` updates each."""
    takes_part = np.isin(np.arange(len(settings.rows)), settings.order)  # [T]

    def p(epoch: int) -> NDArray[np.float64]:
        sizes = takes_part * np.array(settings.rows, dtype=np.float64) ** annealing_exponent(epoch, epochs)
        shares: NDArray[np.float64] = sizes / sizes.sum()
        return shares

    return Schedule([steps], Sampling(settings.seed, steps, p), settings.accumulate)


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


SCHEDULES: dict[str, Callable[[ScheduleSettings], Schedule]] = {
    "simultaneous": simultaneous,
    "round-robin": round_robin,
    "alternating": alternating,
    "proportional": proportional,
    "annealed": annealed,
}
