"""Going on from an earlier run's model: its encoder, and the heads of the tasks that are the same there."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from minbert import MultitaskModel, train
from minbert.jobs import prepare
from minbert.recipes import load
from minbert.runs import Run
from minbert.splits import read_splits


@pytest.fixture
def recipe(tmp_path: Path, tiny_encoder: Path) -> dict[str, Any]:
    rows = "".join(f"{('good', 'bad')[n % 2]} film {n},{('up', 'down')[n % 2]}\n" for n in range(24))
    (tmp_path / "mood.csv").write_text("text,label\n" + rows)
    tasks = {
        name: {"kind": "classification", "train": str(tmp_path / "mood.csv"), "holdout": 6} for name in ("mood", "tone")
    }
    return {"name": "first", "encoder": str(tiny_encoder), "tasks": tasks, "training": {"max_steps": 4}}


@pytest.fixture
def first(recipe: dict[str, Any], tmp_path: Path) -> Run:
    return train(recipe, runs=tmp_path / "runs")


def test_an_earlier_model_is_gone_on_from_with_its_heads(first: Run, recipe: dict[str, Any]) -> None:
    """Before the first update it answers as that model does; a task that is new has a head of its own."""
    then = MultitaskModel.from_pretrained(first.best)
    tasks = {"mood": recipe["tasks"]["mood"], "new": recipe["tasks"]["tone"]}
    _, model = prepare(load(recipe | {"name": "second", "encoder": str(first.folder), "tasks": tasks}))
    texts = ["good film", "a bad cat"]
    assert model.predict("mood", texts) == then.predict("mood", texts)
    assert not torch.equal(model.head("new").dense.weight, then.head("tone").dense.weight)


@pytest.mark.parametrize("changed", [{"pooling": "cls"}, {"labels": ["up", "down"]}])
def test_a_task_that_has_changed_begins_with_a_new_head_and_this_is_said(
    first: Run, recipe: dict[str, Any], changed: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    then = MultitaskModel.from_pretrained(first.best)
    recipe["tasks"]["mood"] |= changed
    with caplog.at_level(logging.INFO, "minbert"):
        _, model = prepare(load(recipe | {"encoder": str(first.folder), "seed": 2}))
    assert not torch.equal(model.head("mood").dense.weight, then.head("mood").dense.weight)
    assert torch.equal(model.head("tone").dense.weight, then.head("tone").dense.weight)
    assert f"{first.best} has another head for mood, which begins with a new one" in caplog.messages
    assert f"{first.best} gives the heads of tone" in caplog.messages


def test_a_plain_encoder_gives_no_heads(recipe: dict[str, Any]) -> None:
    drawn = [prepare(load(recipe))[1].head("mood").dense.weight for _ in range(2)]
    assert torch.equal(*drawn)


def test_dev_rows_that_the_earlier_model_learned_from_are_said(first: Run, recipe: dict[str, Any]) -> None:
    divided = {key: value for key, value in recipe["tasks"]["mood"].items() if key != "holdout"}
    going_on = {"name": "second", "encoder": str(first.folder)}
    job, _ = prepare(load(recipe | going_on | {"tasks": {"mood": divided | {"folds": 3, "fold": 1}}}))
    learned = set(read_splits(first.recipe().tasks["mood"])[1]["train"].examples.texts[0])
    dev = job.readings["mood"]["dev"]
    count = sum(text in learned for text in dev.examples.texts[0])
    assert 0 < count < len(dev.examples)
    assert dev.warnings == [
        f"{count} of {len(dev.examples)} rows are among those that {first.folder} learned from: scores are too good"
    ]
    again, _ = prepare(load(recipe | going_on))
    assert again.readings["mood"]["dev"].warnings == []  # the same rows are held back as before
