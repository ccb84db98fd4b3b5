"""Runs in processes of their own: complete, stopped and gone on with, failed, killed; and the commands around them."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from conftest import encoder_in, recipes_in, values_in
from minbert.errors import ModelError
from minbert.experiments import local
from minbert.experiments.grid import Cell, expand
from minbert.experiments.local import News, run_cells
from minbert.files import one_writer
from minbert.kernels import Kernels
from minbert.model import MultitaskModel
from minbert.runs import Run
from minbert.training import begin, records
from tiny import ENVIRONMENT, PROGRAM, assert_same, contents


def words(news: list[News]) -> list[str]:
    return [f"{n.kind} {n.cell.name}" for n in news if n.kind != "step"]


@pytest.fixture(autouse=True)
def one_thread_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def cells(recipes: Path, tmp_path: Path) -> list[Cell]:
    return expand([recipes], tmp_path / "runs", seeds=2)


def test_every_run_is_done_once_and_keeps_what_it_should(cells: list[Cell], tmp_path: Path) -> None:
    done = words(list(run_cells(cells, jobs=1, skip_bad_rows=False)))
    assert done == [f"{kind} {name}" for name in [c.name for c in cells] for kind in ("begun", "done")]
    for cell in cells:
        files = {path.name for path in cell.run.last.iterdir()}
        assert "optimizer.safetensors" not in files
        assert ("model.safetensors" in files) == cell.run.best.is_dir() == cell.keeps_weights
        assert (cell.run.predictions / "last" / "mood-dev.parquet").is_file()
        assert cell.run.recipe().seed == cell.recipe.seed
    before = contents(tmp_path / "runs")
    assert list(run_cells(cells, jobs=1, skip_bad_rows=False)) == []
    assert_same(contents(tmp_path / "runs"), before)


def test_stopped_and_begun_again_an_experiment_ends_in_the_same_bits(
    recipes: Path, cells: list[Cell], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = expand([recipes], tmp_path / "whole", seeds=2)
    list(run_cells(whole, jobs=2, skip_bad_rows=False))
    monkeypatch.setattr("minbert.experiments.local.SECONDS_BETWEEN_STEPS", 0.0)
    for kind in ("begun", "step", "done"):  # stop once a run is under way, amid its updates, and after it
        seen: list[str] = []
        for one in run_cells(cells, 1, False, stopping=lambda: kind in seen):  # noqa: B023
            seen.append(one.kind)
        assert seen[-1] in ("stopped", "done")
    conditions = [cell.condition for cell in cells]
    assert "complete" in conditions
    assert "missing" in conditions
    list(run_cells(cells, 1, False))
    assert_same(contents(tmp_path / "runs"), contents(tmp_path / "whole"))


def test_a_kill_between_a_runs_end_and_its_tidying_is_made_good(cells: list[Cell], tmp_path: Path) -> None:
    list(run_cells(cells, 2, False))
    before = contents(tmp_path / "runs")
    shutil.copytree(cells[0].run.best, cells[3].run.best)
    (cells[3].run.last / "optimizer.safetensors").write_bytes(b"left over")
    list(run_cells(cells, 2, False))
    assert_same(contents(tmp_path / "runs"), before)


def test_weights_that_were_kept_once_are_kept(recipes: Path, tmp_path: Path) -> None:
    kept = expand([recipes / "sum.toml"], tmp_path / "runs", seeds=2, keep_weights=True)
    list(run_cells(kept, 1, False))
    before = contents(tmp_path / "runs")
    assert "SUM/seed-2/best/model.safetensors" in before
    list(run_cells(expand([recipes / "sum.toml"], tmp_path / "runs", seeds=2), 1, False))
    assert_same(contents(tmp_path / "runs"), before)


def test_a_run_without_weights_says_where_they_went(cells: list[Cell]) -> None:
    list(run_cells(cells[:1] + cells[2:3], 1, False))
    with pytest.raises(ModelError, match="is a run whose weights were not kept; take the first seed's, or --keep-weig"):
        MultitaskModel.from_pretrained(cells[2].folder)
    assert MultitaskModel.from_pretrained(cells[0].folder).tasks


def test_kernels_are_measured_once_for_all_runs(cells: list[Cell], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(local, "measure", lambda jobs: asked.append(jobs) or Kernels(1, "high"))
    list(run_cells(cells, 2, False))
    assert asked == [2]
    assert {cell.run.kernels() for cell in cells} == {Kernels(1, "high")}


def test_an_experiment_that_is_gone_on_with_keeps_its_kernels(
    cells: list[Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "measure", lambda jobs: Kernels(1, "high"))
    list(run_cells(cells[:1], 1, False))
    monkeypatch.setattr(local, "measure", lambda jobs: Kernels(1, "medium"))
    list(run_cells(cells, 1, False))
    assert {cell.run.kernels() for cell in cells} == {Kernels(1, "high")}
    file = cells[0].folder / "environment.json"
    file.write_text(json.dumps(cells[0].run.environment() | {"processor": "another one"}))
    assert cells[0].run.kernels() is None
    assert local.kernels_for(cells[:1], 1) == Kernels(1, "medium")


def test_a_run_that_fails_is_named_and_the_others_go_on(cells: list[Cell]) -> None:
    optimizer = cells[0].recipe.optimizer.model_copy(update={"lr": 1e30, "head_lr": 1e30})
    broken = Cell(cells[0].recipe.model_copy(update={"optimizer": optimizer}), cells[0].folder, True)
    news = [n for n in run_cells([broken, *cells[1:]], 1, False) if n.kind in ("done", "failed")]
    assert [n.kind for n in news] == ["failed", "done", "done", "done"]
    assert news[0].cell.name == "PCG seed 1"
    assert "is no longer a number; lower optimizer.lr" in news[0].reason
    assert not news[0].is_ours


def test_a_run_that_another_process_trains_has_not_failed(cells: list[Cell]) -> None:
    """A second experiment on the same folder is refused, and leaves the first one's run as it is."""
    for _ in records(begin(cells[0].recipe, cells[0].folder)):
        news = list(run_cells(cells[:1], 1, False))
        break
    assert [(n.kind, "is in use by another process" in n.reason) for n in news] == [("begun", False), ("failed", True)]
    assert cells[0].run.failure() is None
    assert cells[0].condition != "failed"


def test_a_process_that_dies_is_a_failure_of_its_run_alone(cells: list[Cell], monkeypatch: pytest.MonkeyPatch) -> None:
    hire = local._hire
    hired: list[local.Worker] = []

    def hiring(*arguments: object) -> local.Worker:
        hired.append(hire(*arguments))  # type: ignore[arg-type]
        return hired[-1]

    monkeypatch.setattr(local, "_hire", hiring)
    news = []
    for one in run_cells(cells, 2, False):
        if one.kind == "begun" and one.cell.name == "SUM seed 1":
            (worker,) = (worker for worker in hired if worker.cell == one.cell)
            os.kill(worker.process.pid or 0, signal.SIGKILL)
        news += [one] if one.kind in ("done", "failed") else []
    (failed,) = (n for n in news if n.kind == "failed")
    assert (failed.cell.name, failed.is_ours) == ("SUM seed 1", True)
    assert "its process ended with code -9; is there enough memory?" in failed.reason
    assert len(news) == 4


def command(*more: str) -> list[str]:
    return [*PROGRAM, "experiment", *more]


def call(*more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*more), capture_output=True, text=True, env=ENVIRONMENT, check=False)


def wait_for_records(run: Run, process: subprocess.Popen[str]) -> None:
    while process.poll() is None and not run.records():
        time.sleep(0.01)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `recipes`, and with the `runs` of an experiment that nothing stopped."""
    folder = tmp_path_factory.mktemp("whole")
    recipes_in(folder / "recipes", values_in(folder, encoder_in(folder / "tiny-bert")))
    done = call("run", str(folder / "recipes"), "--runs", str(folder / "runs"))
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_saves_and_the_printed_command_goes_on(
    whole: Path, tmp_path: Path, number: signal.Signals
) -> None:
    options = [str(whole / "recipes"), "--runs", str(tmp_path / "runs")]
    process = subprocess.Popen(
        command("run", *options),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
        text=True,
        start_new_session=True,
    )
    first = Run(tmp_path / "runs" / "PCG" / "seed-1")
    wait_for_records(first, process)
    os.killpg(process.pid, number)  # to the workers too, as a terminal and a cluster do
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors, errors
    line = errors.strip().splitlines()[-1]
    assert line == " ".join(["minbert", "experiment", "run", *options])
    status = call("status", *options)
    assert "0 of 1" in status.stdout
    done = subprocess.run(line.split(), capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert done.returncode == 0, done.stderr
    assert_same(contents(tmp_path / "runs"), contents(whole / "runs"))


def test_workers_save_and_end_when_the_first_process_is_gone(whole: Path, tmp_path: Path) -> None:
    options = [str(whole / "recipes"), "--runs", str(tmp_path / "runs")]
    process = subprocess.Popen(
        command("run", *options), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=ENVIRONMENT, text=True
    )
    first = Run(tmp_path / "runs" / "PCG" / "seed-1")
    wait_for_records(first, process)
    process.kill()
    _, errors = process.communicate(timeout=120)  # ends when the last worker lets go of the stream
    assert "Traceback" not in errors, errors
    with one_writer(first.folder):
        assert first.progress().step == max(record["step"] for record in first.records())
    finished = call("run", *options)
    assert finished.returncode == 0, finished.stderr
    assert_same(contents(tmp_path / "runs"), contents(whole / "runs"))
