"""Rows held back from train: every command that names dev means them."""

import json
from pathlib import Path

import pytest

from cli.conftest import Command
from minbert.runs import Run


@pytest.fixture
def recipe(tmp_path: Path, tiny_encoder: Path) -> Path:
    """Task mood holds 10 of its 40 rows back; task calm has no dev rows at all."""
    words = ["good", "bad", "film", "cat", "dog", "dull", "quiet", "very"]
    rows = [f"{words[n % 8]} {words[n // 8]},{('up', 'down')[n % 2]}" for n in range(40)]
    (tmp_path / "mood.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    path = tmp_path / "recipe.toml"
    tables = 'kind = "classification"\ntrain = "mood.csv"\n'
    tasks = f"[tasks.mood]\n{tables}holdout = 10\n[tasks.calm]\n{tables}"
    path.write_text(f'encoder = "{tiny_encoder}"\n{tasks}[training]\nmax_steps = 2\n')
    return path


def test_evaluate_scores_the_rows_that_training_held_back(recipe: Path, command: Command) -> None:
    assert command("train", recipe).code == 0
    recorded = [record for record in Run(Path("runs/recipe")).records() if record["kind"] == "evaluation"]
    found = command("evaluate", "runs/recipe", "--json")
    assert found.code == 0, found.err
    best = next(record for record in reversed(recorded) if record["is_best"])
    tasks = json.loads(found.out)["tasks"]
    assert list(tasks) == ["mood"]
    assert tasks["mood"]["rows"] == 10
    assert tasks["mood"]["score"] == pytest.approx(best["metrics"]["mood"]["accuracy"])
    assert "mood: 10 rows held back from" in found.err
    assert "task 'calm' has no dev file, and is left out" in found.err


def test_the_rows_that_training_held_back_are_none_of_train(recipe: Path, command: Command) -> None:
    assert command("train", recipe).code == 0
    found = command("evaluate", "runs/recipe", "--split", "train", "--json")
    assert found.code == 0, found.err
    assert {name: task["rows"] for name, task in json.loads(found.out)["tasks"].items()} == {"mood": 30, "calm": 40}
    assert "mood: 30 rows learned from in" in found.err


def test_a_task_without_dev_rows_is_refused_where_it_is_asked_for(recipe: Path, command: Command) -> None:
    assert command("train", recipe).code == 0
    refused = command("evaluate", "runs/recipe", "--task", "calm")
    assert refused.code == 2
    assert "name it: --task calm --input FILE" in refused.err


def test_data_check_looks_at_the_whole_file(recipe: Path, command: Command) -> None:
    found = command("data", "check", "--recipe", recipe, "--json")
    assert found.code == 0, found.err
    (split,) = json.loads(found.out)["tasks"][0]["splits"]
    assert (split["split"], split["rows"]) == ("train", 40)
    text = recipe.read_text().replace("holdout = 10", "holdout = 30")
    recipe.write_text(text)
    assert "would take more than half" in command("data", "check", "--recipe", recipe).out
