"""Two tasks with one head, and classes with weights: what is trained is what the equations say."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from minbert import MultitaskModel, train
from minbert.errors import DataError, RecipeError
from minbert.jobs import prepare, training_batch
from minbert.losses import LOSSES
from minbert.recipes import load
from minbert.training import State, update

WORDS = ["good", "bad", "film", "cat", "dog", "dull", "quiet", "very"]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """mail: 24 rows, of which 4 are rare; web: 16 rows, of the same classes in another order."""
    rows = {
        "mail": [(f"{WORDS[n % 8]} {WORDS[n // 8]} {n}", "rare" if n % 6 == 0 else "common") for n in range(24)],
        "web": [(f"{WORDS[n % 8]} {WORDS[-1 - n // 8]}", ("common", "rare")[n % 2]) for n in range(16)],
    }
    for name, of_task in rows.items():
        (tmp_path / f"{name}.csv").write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in of_task))
    return {name: str(tmp_path / f"{name}.csv") for name in rows}


def recipe_of(files: dict[str, str], encoder: Path, **of_web: Any) -> dict[str, Any]:
    tasks = {name: {"kind": "classification", "train": file} for name, file in files.items()}
    tasks["web"] |= of_web
    return {"encoder": str(encoder), "tasks": tasks, "training": {"max_steps": 2, "batch_size": 4}}


def test_two_tasks_with_one_head_are_one_task_in_two_files(files: dict[str, str], tiny_encoder: Path) -> None:
    """Their gradients add up in the head, which has one place among the weights and in the model's folder."""
    job, model = prepare(load(recipe_of(files, tiny_encoder, shares_head="mail")))
    assert model.owners == ["mail"]
    assert [name for name, _ in model.named_head_parameters()] == ["mail.dense.weight", "mail.dense.bias"]
    assert job.tasks["web"].labels == job.tasks["mail"].labels == ["common", "rare"]
    model.eval()
    losses = [model.loss(name, training_batch(job, name, 0)) for name in ("mail", "web")]
    weights = [weight for _, weight in model.named_head_parameters()]
    expected = torch.autograd.grad(losses[0] + losses[1], weights)
    for loss in (model.loss(name, training_batch(job, name, 0)) for name in ("mail", "web")):
        loss.backward()  # type: ignore[no-untyped-call]
    for weight, gradient in zip(weights, expected, strict=True):
        torch.testing.assert_close(weight.grad, gradient)


def test_a_model_with_a_shared_head_is_saved_loaded_and_answers(
    files: dict[str, str], tiny_encoder: Path, tmp_path: Path
) -> None:
    run = train(recipe_of(files, tiny_encoder, shares_head="mail"), runs=tmp_path / "runs")
    model = MultitaskModel.from_pretrained(run.best)
    assert model.head("web") is model.head("mail")
    texts = ["good film", "a dull cat"]
    assert model.predict("web", texts) == model.predict("mail", texts)
    job, fresh = prepare(load(recipe_of(files, tiny_encoder, shares_head="mail")))
    update(job, State.start(job, fresh))


@pytest.mark.parametrize(
    ("of_web", "fault"),
    [
        ({"shares_head": "mial"}, r"tasks.web.shares_head = 'mial' names no other task \(did you mean 'mail'\?\)"),
        ({"shares_head": "web"}, "tasks.web.shares_head = 'web' names no other task"),
        ({"shares_head": "mail", "pooling": "cls"}, "names a task with another pooling; give both the same"),
        ({"shares_head": "mail", "labels": ["a", "b"]}, "names a task with another labels; give both the same"),
        ({"class_weights": {"common": -1.0}}, "class_weights"),
    ],
)
def test_heads_that_cannot_be_shared(files: dict[str, str], tiny_encoder: Path, of_web: Any, fault: str) -> None:
    with pytest.raises(RecipeError, match=fault):
        load(recipe_of(files, tiny_encoder, **of_web))


def test_a_head_that_is_shared_already_is_not_shared_on(files: dict[str, str], tiny_encoder: Path) -> None:
    recipe = recipe_of(files, tiny_encoder, shares_head="third")
    recipe["tasks"]["third"] = recipe["tasks"]["mail"] | {"shares_head": "mail"}
    with pytest.raises(RecipeError, match="names a task without a head of its own; name 'mail'"):
        load(recipe)


def test_a_class_that_the_head_has_not_is_named(files: dict[str, str], tiny_encoder: Path, tmp_path: Path) -> None:
    (tmp_path / "web.csv").write_text("text,label\ngood film,common\nbad film,other\n")
    with pytest.raises(DataError, match=r"task 'web': .*web.csv, row 2.*'other' is not among common, rare"):
        prepare(load(recipe_of(files, tiny_encoder, shares_head="mail")))


@pytest.mark.parametrize("loss", LOSSES)
def test_a_weighted_loss_is_the_mean_of_each_examples_loss_times_its_weight(loss: str) -> None:
    generator = torch.Generator().manual_seed(0)
    output = torch.randn(6, 3 if loss == "cross-entropy" else 1, generator=generator)
    labels, weights = torch.tensor([0.0, 1, 1, 0, 1, 0]), torch.tensor([1.0, 2, 0, 0.5, 3, 1])
    singly = [LOSSES[loss](output[i : i + 1], labels[i : i + 1], None) * weights[i] for i in range(6)]
    torch.testing.assert_close(LOSSES[loss](output, labels, weights), torch.stack(singly).mean())
    torch.testing.assert_close(LOSSES[loss](output, labels, torch.ones(6)), LOSSES[loss](output, labels, None))


def test_cross_entropy_with_weights_is_torchs_but_for_the_weights_sum() -> None:
    output, labels = torch.randn(5, 3, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 2, 1, 1, 0])
    of_classes = torch.tensor([0.5, 2.0, 1.0])
    torchs = F.cross_entropy(output, labels, of_classes) * of_classes[labels].sum() / 5
    torch.testing.assert_close(LOSSES["cross-entropy"](output, labels.float(), of_classes[labels]), torchs)


@pytest.mark.parametrize(
    ("given", "expected"), [("balanced", [24 / (2 * 20), 24 / (2 * 4)]), ({"rare": 5.0, "common": 0.5}, [0.5, 5.0])]
)
def test_a_batchs_examples_have_their_classes_weights(
    files: dict[str, str], tiny_encoder: Path, given: Any, expected: list[float]
) -> None:
    recipe = recipe_of(files, tiny_encoder)
    recipe["tasks"]["mail"]["class_weights"] = given
    job, _ = prepare(load(recipe))
    batch = training_batch(job, "mail", 0)
    assert batch.labels is not None
    assert batch.weights is not None
    assert batch.weights.tolist() == [expected[int(label)] for label in batch.labels]
    assert training_batch(job, "web", 0).weights is None
    labels = job.readings["mail"]["train"].examples.labels
    assert labels is not None
    if given == "balanced":
        assert np.mean([expected[int(label)] for label in labels]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"rare": 5.0}, "class_weights gives none to 'common'; give each of common, rare one weight"),
        ({"rare": 5.0, "common": 1.0, "rear": 1.0}, "class_weights names 'rear', which is no class"),
    ],
)
def test_class_weights_fit_the_classes(files: dict[str, str], tiny_encoder: Path, given: Any, fault: str) -> None:
    recipe = recipe_of(files, tiny_encoder, class_weights=given)
    with pytest.raises(DataError, match=f"task 'web': {fault}"):
        prepare(load(recipe))


def test_scores_have_no_class_weights() -> None:
    task = {"kind": "pair-regression", "text": ["a", "b"], "range": [0, 5], "class_weights": "balanced"}
    with pytest.raises(RecipeError, match="class_weights are for one class an example; a pair-regression"):
        load({"tasks": {"near": task}})
