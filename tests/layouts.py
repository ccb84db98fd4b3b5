"""Schedules laid out over few tasks, and what can be read off them step by step."""

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from minbert.schedules import SCHEDULES, Schedule, ScheduleSettings

ROWS = [5, 1000, 37]  # field report B13: tiny, huge and middling, which is 1, 125 and 5 batches of 8
DEFAULTS: dict[str, Any] = {"accumulate": 1, "cap": None, "scale": 1.0, "epochs": 9, "max_steps": None, "seed": 1}


def lay_out(
    kind: str, rows: Sequence[int] = ROWS, order: Sequence[int] | None = None, size: int = 8, **changes: Any
) -> Schedule:
    """A schedule over tasks of so many rows, in batches of `size`."""
    batches = [math.ceil(number / size) for number in rows]
    wanted = {"rows": rows, "batches": batches, "order": range(len(rows)) if order is None else order}
    return SCHEDULES[kind](ScheduleSettings(**(DEFAULTS | wanted | changes)))


def tasks(schedule: Schedule, first: int, last: int) -> list[int]:
    """The task of each step, where a step trains one."""
    drawn = [schedule.draws(step) for step in range(first, last + 1)]
    assert {len(draws) for draws in drawn} <= {1}
    return [draws[0].task for draws in drawn]


def epoch_lengths(schedule: Schedule, epochs: int) -> list[int]:
    """Updates of epoch 1, 2, …, found by asking each step for its epoch."""
    of_steps = (schedule.epoch(step) for step in itertools.count(1))
    found = Counter(itertools.takewhile(lambda epoch: epoch <= epochs, of_steps))
    return [found[epoch] for epoch in range(1, epochs + 1)]
