"""Runs that are stopped in every way against one that is not; how long they are, what they keep and refuse."""

import contextlib
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

import minbert
from minbert import training
from minbert.cli.app import main
from minbert.errors import DataError, MinbertError, ModelError, RunError
from minbert.jobs import prepare, seed_of
from minbert.recipes import load
from minbert.runs import Progress, Run
from minbert.schedules import SCHEDULES
from minbert.training import EvaluationRecord, StepRecord
from tiny import ENVIRONMENT, PROGRAM, assert_same, contents, start, with_training


def run_to_end(values: dict[str, object], runs: Path) -> Run:
    return minbert.train(values, runs=runs, resume=True)


@pytest.mark.parametrize("kind", SCHEDULES)
def test_stopping_after_any_record_and_resuming_changes_nothing(
    values: dict[str, object], tmp_path: Path, kind: str
) -> None:
    values |= {"schedule": {"kind": kind}}
    reference = contents(run_to_end(values, tmp_path / "whole").folder)
    for stop in (1, 2, 3, 5, 8):
        session = training.begin(load(values), tmp_path / "parts" / "tiny", resume=True)
        for count, _ in enumerate(training.records(session), start=1):
            if count == stop:
                session.save()
                break
    assert_same(contents(run_to_end(values, tmp_path / "parts").folder), reference)


def test_the_same_seed_gives_the_same_run_and_another_seed_another(values: dict[str, object], tmp_path: Path) -> None:
    first = contents(run_to_end(values, tmp_path / "1").folder)
    assert_same(contents(run_to_end(values, tmp_path / "2").folder), first)
    assert contents(run_to_end(values | {"seed": 2}, tmp_path / "3").folder)["metrics.jsonl"] != first["metrics.jsonl"]


def write_recipe(values: dict[str, object], path: Path) -> Path:
    path.write_text(load(values).to_toml(), encoding="utf-8")
    return path


def command(recipe: Path, runs: Path, *more: str) -> list[str]:
    return [*PROGRAM, "train", str(recipe), "--runs", str(runs), *more]


def test_ten_kills_at_random_moments_change_nothing(values: dict[str, object], tmp_path: Path) -> None:
    values = with_training(values, epochs=40)
    reference = contents(run_to_end(values, tmp_path / "whole").folder)
    recipe, moments = write_recipe(values, tmp_path / "tiny.toml"), random.Random(11)
    run, kills = Run(tmp_path / "killed" / "tiny"), 0
    while kills < 10:
        process = subprocess.Popen(
            command(recipe, tmp_path / "killed", "--resume"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=ENVIRONMENT,
        )
        size = run.folder.joinpath("metrics.jsonl").stat().st_size if kills else 0
        while process.poll() is None and _size(run.folder / "metrics.jsonl") <= size:
            time.sleep(0.005)
        time.sleep(moments.uniform(0, 0.15))
        if process.poll() is not None:
            break
        process.kill()
        process.wait()
        kills += 1
    assert kills == 10, "the run ended before its kills; make it longer"
    assert_same(contents(run_to_end(values, tmp_path / "killed").folder), reference)
    assert not [f for f in run.folder.rglob(".*") if f.name != ".lock"]


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


KILL_IN_SAVE = """
import os, signal, sys
import minbert.files as files
from pathlib import Path
count, place = int(sys.argv.pop(1)), sys.argv.pop(1)
def dying(function):
    def call(*arguments):
        global count
        result = function(*arguments)
        count -= 1
        if count == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return call
if place == "write":
    files.flush = dying(files.flush)
else:
    Path.rename = dying(Path.rename)
from minbert.cli.app import main
main()
"""


@pytest.mark.parametrize(("place", "count"), [("write", 5), ("write", 19), ("write", 31), ("rename", 4), ("rename", 5)])
def test_a_kill_during_a_save_changes_nothing(
    values: dict[str, object], tmp_path: Path, place: str, count: int
) -> None:
    values = with_training(values, epochs=2)
    reference = contents(run_to_end(values, tmp_path / "whole").folder)
    recipe = write_recipe(values, tmp_path / "tiny.toml")
    words = [sys.executable, "-c", KILL_IN_SAVE, str(count), place, *command(recipe, tmp_path / "killed")[3:]]
    killed = subprocess.run(words, capture_output=True, env=ENVIRONMENT, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert_same(contents(run_to_end(values, tmp_path / "killed").folder), reference)


def steps_and_evaluations(run: Run) -> tuple[int, list[int]]:
    records = run.records()
    steps = [record["step"] for record in records if record["kind"] == "step"]
    assert steps == list(range(1, len(steps) + 1))
    return len(steps), [record["step"] for record in records if record["kind"] == "evaluation"]


@pytest.mark.parametrize(
    ("changes", "steps", "evaluations"),
    [
        ({"epochs": 3}, 6, [0, 2, 4, 6]),  # the smallest task has 2 batches
        ({"epochs": 0}, 0, [0]),
        ({"epochs": None, "max_steps": 7}, 7, [0, 2, 4, 6, 7]),
        ({"epochs": 9, "max_steps": 3, "evaluate_every": 2}, 3, [0, 2, 3]),
        ({"epochs": 5, "steps_per_epoch": 1}, 5, [0, 1, 2, 3, 4, 5]),
        ({"epochs": None}, 6, [0, 2, 4, 6]),
        ({"epochs": 50, "time_limit": 1e-6}, 1, [0, 1]),
    ],
)
def test_how_long_a_run_is_and_when_it_is_evaluated(
    values: dict[str, object], tmp_path: Path, changes: dict[str, object], steps: int, evaluations: list[int]
) -> None:
    table = {key: value for key, value in (values["training"] | changes).items() if value is not None}  # type: ignore[operator]
    assert steps_and_evaluations(run_to_end(values | {"training": table}, tmp_path / "runs")) == (steps, evaluations)


def test_patience_ends_a_run_that_gets_no_better(values: dict[str, object], tmp_path: Path) -> None:
    stuck = with_training(values, epochs=30, patience=2) | {"optimizer": {"lr": 0.0, "head_lr": 0.0}}
    assert steps_and_evaluations(run_to_end(stuck, tmp_path / "runs")) == (4, [0, 2, 4])


def test_the_best_model_is_the_one_of_the_best_evaluation(values: dict[str, object], tmp_path: Path) -> None:
    run = run_to_end(with_training(values, epochs=8, select_on="near"), tmp_path / "runs")
    evaluations = [record for record in run.records() if record["kind"] == "evaluation"]
    scores = [record["metrics"]["near"]["pearson"] or 0.0 for record in evaluations]
    assert [record["is_best"] for record in evaluations].count(True) >= 1
    best = pl.read_parquet(run.predictions / "best" / "near-dev.parquet")
    from scipy.stats import pearsonr

    assert pearsonr(best["score"], best["label"]).statistic == pytest.approx(max(scores), abs=1e-6)


def test_a_run_without_dev_files_keeps_its_last_model(values: dict[str, object], tmp_path: Path) -> None:
    for task in values["tasks"].values():  # type: ignore[attr-defined]
        del task["dev"]
    run = run_to_end(values, tmp_path / "runs")
    assert (run.best / "model.safetensors").read_bytes() == (run.last / "model.safetensors").read_bytes()


def test_predictions_hold_every_example_with_its_probabilities(values: dict[str, object], tmp_path: Path) -> None:
    run = run_to_end(values, tmp_path / "runs")
    mood = pl.read_parquet(run.predictions / "last" / "mood-dev.parquet")
    assert mood.columns == ["id", "label", "prediction", "probability_0", "probability_1", "probability_2"]
    assert mood["id"].to_list() == [str(row) for row in range(1, 8)]
    np.testing.assert_allclose(mood.select(pl.sum_horizontal("^probability_.*$")).to_series(), 1, atol=1e-9)
    near = pl.read_parquet(run.predictions / "last" / "near-dev.parquet")
    assert near.columns == ["id", "label", "prediction", "score"]
    assert near["prediction"].is_between(0, 5).all()


def test_test_files_are_answered_by_the_best_model(values: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text('text\nthe good dog\n""\nbad\n')
    values["tasks"]["mood"]["test"] = str(tmp_path / "new.csv")  # type: ignore[index]
    run = run_to_end(values, tmp_path / "runs")
    answers = pl.read_parquet(run.predictions / "best" / "mood-test.parquet")
    model = minbert.MultitaskModel.from_pretrained(run.folder)
    assert answers["prediction"].to_list() == [p.answer for p in model.predict("mood", ["the good dog", "", "bad"])]


def test_a_run_knows_what_it_ran_on(values: dict[str, object], tmp_path: Path) -> None:
    run = run_to_end(values, tmp_path / "runs")
    environment = run.environment()
    assert environment["packages"]["torch"] == torch.__version__
    assert environment["threads"] == torch.get_num_threads()
    assert environment["device"] == "cpu"
    assert set(environment["data"]) == {str(tmp_path / name) for name in ("a.csv", "b.csv", "c.csv")}
    resolved = run.recipe()
    assert resolved == prepare(load(values))[0].recipe
    assert resolved.tasks["mood"].labels == ["0", "1", "2"]
    assert resolved.tasks["same"].head == "interaction"
    assert resolved.tasks["near"].max_length == 40
    assert resolved.order == ["mood", "same", "near"]
    assert "head_lr = 0.05" in (run.folder / "recipe.toml").read_text()


def test_resuming_uses_the_recorded_kernels(values: dict[str, object], tmp_path: Path) -> None:
    run = run_to_end(with_training(values, epochs=1), tmp_path / "runs")
    file = run.folder / "environment.json"
    file.write_text(json.dumps(run.environment() | {"threads": 2, "float32_matmul_precision": "high"}))
    (run.last / "progress.json").write_text(json.dumps(vars(Progress())))
    session = training.begin(load(with_training(values, epochs=1)), tmp_path / "runs" / "tiny", resume=True)
    before = torch.get_num_threads()
    seen = [(torch.get_num_threads(), torch.get_float32_matmul_precision()) for _ in training.records(session)]
    assert seen == 4 * [(2, "high")]
    assert torch.get_num_threads() == before


def test_a_run_goes_on_only_with_the_data_it_was_started_with(values: dict[str, object], tmp_path: Path) -> None:
    run_to_end(values, tmp_path / "runs")
    with (tmp_path / "a.csv").open("a") as file:
        file.write("very bad,0\n")
    with pytest.raises(RunError, match=r"a\.csv has changed since .*tiny was started; put it back, or start anew"):
        run_to_end(values, tmp_path / "runs")


def test_going_on_elsewhere_is_said(
    values: dict[str, object], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = run_to_end(with_training(values, epochs=1), tmp_path / "runs")
    file = run.folder / "environment.json"
    file.write_text(json.dumps(run.environment() | {"processor": "another one"}))
    run_to_end(with_training(values, epochs=1), tmp_path / "runs")
    assert "was started with another processor; its bits may differ from here on" in caplog.text


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"encoder": "nowhere"}, ModelError, "encoder 'nowhere' is no folder"),
        ({"tasks": {"x": {"kind": "classification", "train": "none.csv"}}}, DataError, "none.csv does not exist"),
        ({"training": {"epoch": 3}}, MinbertError, r"unknown key 'epoch' in \[training\] \(did you mean 'epochs'\?\)"),
        ({"training": {"max_length": 41}}, ModelError, "max_length = 41 is more than this encoder's 40 tokens"),
    ],
)
def test_a_refused_run_leaves_nothing_behind(
    values: dict[str, object], tmp_path: Path, change: dict[str, object], error: type[MinbertError], message: str
) -> None:
    with pytest.raises(error, match=message):
        minbert.train(values | change, runs=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_finished_run_is_replaced_only_by_force(values: dict[str, object], tmp_path: Path) -> None:
    run = run_to_end(values, tmp_path / "runs")
    before = contents(run.folder)
    with pytest.raises(RunError, match="--resume goes on with it, --force replaces it, --name NAME makes another"):
        minbert.train(values, runs=tmp_path / "runs")
    with pytest.raises(RunError) as refused:
        minbert.train(with_training(values, epochs=1) | {"seed": 5}, runs=tmp_path / "runs", resume=True)
    assert str(refused.value) == (
        f"{run.folder} was started with seed = 1 (now 5); training.epochs = 4 (now 1)\n"
        "resume it with the same recipe, or give this one another --name"
    )
    assert_same(contents(run.folder), before)
    minbert.train(with_training(values, epochs=1), runs=tmp_path / "runs", force=True)
    assert steps_and_evaluations(run)[0] == 2


@pytest.mark.parametrize("killed_after", range(6))
def test_a_kill_while_force_empties_the_folder_can_be_mended(
    values: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_after: int
) -> None:
    run, left = run_to_end(with_training(values, epochs=1), tmp_path / "runs"), [killed_after]

    def dying(remove: Callable[..., None]) -> Callable[..., None]:
        def call(path: Path, **options: object) -> None:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            remove(path, **options)

        return call

    with monkeypatch.context() as patched:
        patched.setattr("shutil.rmtree", dying(shutil.rmtree))
        patched.setattr(Path, "unlink", dying(Path.unlink))
        with pytest.raises(KeyboardInterrupt):
            minbert.train(with_training(values, epochs=1), runs=tmp_path / "runs", force=True)
    minbert.train(with_training(values, epochs=1), runs=tmp_path / "runs", force=True)
    assert steps_and_evaluations(run)[0] == 2


def test_force_never_empties_a_folder_that_is_no_run(values: dict[str, object], tmp_path: Path) -> None:
    precious = tmp_path / "runs" / "tiny" / "thesis.txt"
    precious.parent.mkdir(parents=True)
    precious.write_text("years of work")
    with pytest.raises(RunError, match="is not a run's folder"):
        minbert.train(values, runs=tmp_path / "runs", force=True)
    assert precious.read_text() == "years of work"


def test_a_folder_in_use_is_refused(values: dict[str, object], tmp_path: Path) -> None:
    session = training.begin(load(values), tmp_path / "runs" / "tiny")
    holder = training.records(session)
    next(holder)
    with (
        contextlib.closing(holder),
        pytest.raises(RunError, match="is in use by another process; wait for it, or write to another folder"),
    ):
        minbert.train(values, runs=tmp_path / "runs", resume=True)


def test_a_bad_row_is_refused_or_skipped_and_listed(
    values: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "a.csv").open("a") as file:
        file.write(",1\n")
    recipe = write_recipe(values, tmp_path / "tiny.toml")
    words = ["minbert", "train", str(recipe), "--runs", str(tmp_path / "runs")]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as refused:
        main()
    assert refused.value.code == 2
    errors = capsys.readouterr().err
    assert "a.csv, row 8 (line 9), column 'text': the text is blank" in errors
    assert "pass --skip-bad-rows" in errors
    assert not (tmp_path / "runs").exists()
    monkeypatch.setattr(sys, "argv", [*words, "--skip-bad-rows"])
    with pytest.raises(SystemExit) as done:
        main()
    assert not done.value.code
    assert "mood train: skipped 1 of 8 rows" in capsys.readouterr().err


def test_seeds_for_different_purposes_differ() -> None:
    seeds = {seed_of(s, what, t) for s in range(20) for what in ("dropout", "surgery") for t in range(20)}
    assert len(seeds) == 800


def test_records_of_a_loop_are_steps_and_evaluations_alone(values: dict[str, object]) -> None:
    job, state = start(with_training(values, epochs=1))
    kinds = [type(record) for record in training.steps(job, state)]
    assert kinds == [EvaluationRecord, StepRecord, StepRecord, EvaluationRecord]
