"""Event files hold the numbers of metrics.jsonl, also after a run was stopped and gone on with."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from minbert import train
from minbert.errors import RecipeError
from minbert.recipes import load
from minbert.runs import Run
from minbert.training import begin, records


@pytest.fixture
def recipe(tmp_path: Path, tiny_encoder: Path) -> dict[str, Any]:
    rows = "".join(f"{('good', 'bad')[n % 2]} film {n},{('up', 'down')[n % 2]}\n" for n in range(20))
    (tmp_path / "mood.csv").write_text("text,label\n" + rows)
    task = {"kind": "classification", "train": str(tmp_path / "mood.csv"), "holdout": 4}
    training = {"max_steps": 6, "batch_size": 4, "evaluate_every": 3, "checkpoint_every": 2}
    recipe = {"name": "it", "encoder": str(tiny_encoder), "tasks": {"mood": task, "tone": dict(task)}}
    return recipe | {"training": training, "track": "tensorboard"}


def written(run: Run) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard would show."""
    events = EventAccumulator(str(run.folder / "tensorboard"))
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def check(run: Run) -> None:
    """Compares with metrics.jsonl; event files hold 32 bits."""
    shown = written(run)
    steps = [record for record in run.records() if record["kind"] == "step"]
    looks = [record for record in run.records() if record["kind"] == "evaluation"]
    expected = {
        "loss/mood": [(r["step"], r["losses"]["mood"]) for r in steps],
        "cosine/tone/mood": [(r["step"], r["cosines"]["tone/mood"]) for r in steps],
        "learning_rate": [(r["step"], r["learning_rate"]) for r in steps],
        "dev/tone/accuracy": [(r["step"], r["metrics"]["tone"]["accuracy"]) for r in looks],
        "dev/sum": [(r["step"], r["sum"]) for r in looks],
    }
    for name, values in expected.items():
        assert [step for step, _ in shown[name]] == [step for step, _ in values], name
        assert [value for _, value in shown[name]] == pytest.approx([value for _, value in values], rel=1e-6), name


def test_event_files_hold_the_records(recipe: dict[str, Any], tmp_path: Path) -> None:
    check(train(recipe, runs=tmp_path / "runs"))


def test_a_run_that_is_gone_on_with_has_each_step_once(recipe: dict[str, Any], tmp_path: Path) -> None:
    session = begin(load(recipe), tmp_path / "runs" / "it")
    for record in records(session):
        if record.step == 5:  # the state of step 4 is the last one saved
            break
    check(train(recipe, runs=tmp_path / "runs", resume=True))


def test_without_the_key_nothing_is_written(recipe: dict[str, Any], tmp_path: Path) -> None:
    del recipe["track"]
    assert not (train(recipe, runs=tmp_path / "runs").folder / "tensorboard").exists()


def test_a_missing_package_is_named(recipe: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tensorboard" else 1)
    with pytest.raises(RecipeError, match=r"needs a package: pip install 'minbert\[tensorboard\]'"):
        train(recipe, runs=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
