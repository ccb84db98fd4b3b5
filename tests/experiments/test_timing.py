"""Estimates from known parts: each part counts as often as the run will do it."""

from functools import partial
from pathlib import Path

import pytest
import torch

from minbert.experiments import timing
from minbert.experiments.grid import Cell, expand
from minbert.experiments.timing import ANSWER_BYTES, RECORD_BYTES, SAVES, Stopwatch
from minbert.jobs import prepare
from minbert.kernels import Kernels
from minbert.recipes import load
from minbert.training import begin, records
from tiny import with_training

KERNELS = Kernels(1, "highest")
UPDATE, EVALUATION, SAVE = 1000.0, 10.0, 100.0  # seconds, so far apart that a sum shows its parts


def cell_of(values: dict[str, object], tmp_path: Path, **training: object) -> Cell:
    path = tmp_path / "tiny.toml"
    path.write_text(load(with_training(values, **training)).to_toml(), encoding="utf-8")
    (cell,) = expand([path], tmp_path / "runs")
    return cell


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Stopwatch:
    """A stopwatch for which an update, answers to a split and a save take known times."""
    monkeypatch.setattr(timing, "_time_updates", lambda *_: UPDATE)
    save, time = timing._save, timing._time
    monkeypatch.setattr(timing, "_time", lambda work: EVALUATION if isinstance(work, partial) else time(work))
    monkeypatch.setattr(timing, "_save", lambda *given: (SAVE, *save(*given)[1:]))
    return Stopwatch(KERNELS, skip_bad_rows=False)


@pytest.mark.parametrize(
    ("training", "updates", "evaluations", "checkpoints"),
    [
        ({"epochs": 3}, 6, 4, 0),
        ({"epochs": 3, "checkpoint_every": 1}, 6, 4, 3),
        ({"epochs": 0}, 0, 1, 0),
        ({"epochs": 4, "evaluate_every": 3, "checkpoint_every": 2}, 8, 4, 2),
    ],
)
def test_every_part_counts_as_often_as_the_run_does_it(
    values: dict[str, object],
    tmp_path: Path,
    watch: Stopwatch,
    training: dict[str, object],
    updates: int,
    evaluations: int,
    checkpoints: int,
) -> None:
    cell = cell_of(values, tmp_path, **training)
    estimate = watch.estimate(cell)
    looks = 1 if updates else 0  # of 6 or 8 updates the first one, and none that costs more in between
    expected = (updates + looks) * UPDATE + evaluations * 3 * EVALUATION + (SAVES * evaluations + checkpoints) * SAVE
    assert estimate.updates == updates
    assert estimate.seconds == pytest.approx(expected, abs=9)  # and the seconds of preparing, which are real
    session = begin(cell.recipe, cell.folder)
    done = [record.as_json()["kind"] for record in records(session)]
    assert (done.count("step"), done.count("evaluation")) == (updates, evaluations)


def test_what_stays_on_disk_is_counted_from_what_is_there(values: dict[str, object], tmp_path: Path) -> None:
    cell = cell_of(values, tmp_path, epochs=2)
    estimate = Stopwatch(KERNELS, False).estimate(cell)
    for _ in records(begin(cell.recipe, cell.folder)):
        pass
    under_way = sum(file.stat().st_size for file in cell.folder.rglob("*") if file.is_file())
    assert estimate.peak >= under_way
    cell.run.prune(keep_weights=True)
    models = sum(f.stat().st_size for part in (cell.run.best, cell.run.last) for f in part.iterdir())
    rows = sum(estimate.dev_rows.values())
    assert estimate.answers == 2 * ANSWER_BYTES * rows + RECORD_BYTES * (4 + 3)
    assert estimate.kept - estimate.answers == pytest.approx(models, rel=0.02)


def test_what_costs_the_same_is_timed_once(values: dict[str, object], tmp_path: Path) -> None:
    watch, timed = Stopwatch(KERNELS, False), []
    once = watch._once
    watch._once = lambda key, measure: once(key, lambda: timed.append(key) or measure())  # type: ignore[method-assign]
    cell = cell_of(values, tmp_path, epochs=1)
    watch.estimate(cell)
    assert len(timed) == 1 + 3  # one set of tasks, and dev of three tasks
    optimizer = cell.recipe.optimizer.model_copy(update={"lr": 0.5})
    watch.estimate(Cell(cell.recipe.model_copy(update={"seed": 9, "optimizer": optimizer}), cell.folder, False))
    assert len(timed) == 4
    training = cell.recipe.training.model_copy(update={"batch_size": 1})
    watch.estimate(Cell(cell.recipe.model_copy(update={"training": training}), cell.folder, False))
    assert len(timed) == 5


def test_the_mean_update_is_set_right_by_the_text_that_was_timed(
    values: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where an update takes a second for every place in its padded batches, so does the mean of all."""
    job, model = prepare(cell_of(values, tmp_path, epochs=20).recipe)
    state = timing.State.start(job, model)
    steps = list(range(1, job.last_step + 1))

    class Record:
        def __init__(self, seconds: int) -> None:
            self.seconds = float(seconds)

    monkeypatch.setattr(timing, "update", lambda job, state: Record(timing._positions(job, state.progress.step + 1)))
    places = [timing._positions(job, step) for step in steps]
    assert timing._time_updates(job, state, steps) == pytest.approx(sum(places) / len(places))
    for step in (1, 2):
        batches = [job.encoded["train"][n].batch(job.streams[n].batch(step - 1)) for n in job.names]
        assert timing._positions(job, step) == sum(batch.input_ids.numel() for batch in batches)


def test_runs_at_once_take_turns_and_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each process begins the next run when it is done with one, and takes a second to start."""
    monkeypatch.setattr(Stopwatch, "start", 1.0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    both, each = Stopwatch(Kernels(2, "highest"), False), Stopwatch(Kernels(1, "highest"), False)
    assert both.together([], 1) == 0
    assert both.together([10, 20, 30], 1) == 61
    assert each.together([10], 2) == 11
    assert each.together([10, 10, 10], 2) == 21
    assert each.together([10, 30, 10], 2) == 31
    assert each.together(4 * [10], 4) == 21, "four threads on two cores"


def test_a_time_limit_bounds_the_updates(values: dict[str, object], tmp_path: Path, watch: Stopwatch) -> None:
    cell = cell_of(values, tmp_path, epochs=3, time_limit=2500)
    expected = 2500 + 4 * 3 * EVALUATION + 4 * SAVES * SAVE
    assert watch.estimate(cell).seconds == pytest.approx(expected, abs=9)
