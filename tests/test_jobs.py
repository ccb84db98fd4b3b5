"""A recipe's schedule laid out over its data, and the plan printed before step 1; field report B13."""

from collections import Counter
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from layouts import lay_out
from minbert.jobs import plan, prepare, seed_of
from minbert.recipes import load
from minbert.schedules import SCHEDULES
from minbert.schema import ScheduleTable

SIZES = {"tiny": 5, "huge": 1000, "middle": 37}


@pytest.fixture
def values(tmp_path: Path, tiny_encoder: Path) -> dict[str, Any]:
    """A recipe of three tasks of very different sizes on the tiny encoder."""
    tasks = {}
    for name, rows in SIZES.items():
        file = tmp_path / f"{name}.csv"
        file.write_text("text,label\n" + "".join(f"the film {i % 30},{i % 2}\n" for i in range(rows)))
        tasks[name] = {"kind": "classification", "train": str(file)}
    return {"encoder": str(tiny_encoder), "tasks": tasks}


LENGTHS = pytest.mark.parametrize(
    "lengths",
    [{"epochs": 2}, {"epochs": 3, "steps_per_epoch": 20, "accumulate": 2}, {"max_steps": 150, "scale": 0.5}],
    ids=["epochs", "capped", "updates"],
)


def test_every_kind_of_schedule_is_one_that_a_recipe_may_name() -> None:
    assert get_args(ScheduleTable.model_fields["kind"].annotation) == tuple(SCHEDULES)


@pytest.mark.parametrize("kind", SCHEDULES)
@LENGTHS
def test_a_schedule_is_laid_out_from_the_recipe_and_its_data(
    values: dict[str, Any], kind: str, lengths: dict[str, Any]
) -> None:
    values |= {"seed": 5, "schedule": {"kind": kind, "order": ["middle", "huge"]}}
    job, _ = prepare(load(values | {"training": {"batch_size": 8} | lengths}))
    renamed = {"cap" if key == "steps_per_epoch" else key: value for key, value in lengths.items()}
    wanted = {"order": [2, 1], "epochs": None, "seed": seed_of(5, "schedule")} | renamed
    literal = lay_out(kind, list(SIZES.values()), **wanted)
    assert job.last_step == (150 if "max_steps" in lengths else literal.last_step(lengths["epochs"]))
    steps = range(1, job.last_step + 1)
    assert [job.schedule.draws(step) for step in steps] == [literal.draws(step) for step in steps]
    assert [job.schedule.epoch(step) for step in steps] == [literal.epoch(step) for step in steps]


@pytest.mark.parametrize("kind", SCHEDULES)
@LENGTHS
def test_the_plan_is_what_is_drawn(values: dict[str, Any], kind: str, lengths: dict[str, Any]) -> None:
    job, _ = prepare(load(values | {"schedule": {"kind": kind}, "training": {"batch_size": 8} | lengths}))
    plans = plan(job)
    batches, rows = Counter[str](), {name: np.zeros(size, dtype=int) for name, size in SIZES.items()}
    for draw in (draw for step in range(1, job.last_step + 1) for draw in job.schedule.draws(step)):
        name = job.names[draw.task]
        batches[name] += draw.count
        for number in range(draw.first, draw.first + draw.count):
            np.add.at(rows[name], job.streams[name].batch(number), 1)
    assert [planned.task for planned in plans] == list(SIZES)
    for planned, (name, size) in zip(plans, SIZES.items(), strict=True):
        assert (planned.rows, planned.batch_size, planned.batches_per_pass) == (size, 8, -(-size // 8))
        assert planned.last_batch == (size - 1) % 8 + 1
        assert planned.updates == batches[name] / lengths.get("accumulate", 1)
        assert planned.passes == batches[name] / planned.batches_per_pass
        assert planned.share == batches[name] / sum(batches.values())
        assert set(rows[name].tolist()) <= {int(planned.passes), int(planned.passes) + 1}
