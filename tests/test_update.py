"""One update of the real loop, with every gradient method, against literal torch."""

import copy
import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import TypeGuard

import pytest
import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

import oracles_numeric
from minbert import training
from minbert.errors import TrainingError
from minbert.jobs import Job, seed_of, training_batch
from minbert.model import MultitaskModel
from minbert.schedules import Draw
from minbert.task_gradients import other_batches, task_gradient
from tiny import start, with_training


def twin(state: training.State) -> MultitaskModel:
    """A copy of a model that was not trained yet, for a literal loop: its gradients are full tensors."""
    model = copy.deepcopy(state.model).train()
    model.encoder.embeddings.word_embeddings.sparse = False
    return model


def assert_same_weights(model: MultitaskModel, literal: MultitaskModel) -> None:
    for (name, ours), (_, theirs) in zip(model.named_parameters(), literal.named_parameters(), strict=True):
        if name.endswith("self.key.bias"):
            continue  # softmax ignores it: its gradient is rounding alone, which AdamW blows up to a full step
        torch.testing.assert_close(ours, theirs, rtol=2e-4, atol=1e-4, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize(("accumulate", "clip"), [(1, 0.5), (2, "off"), (3, 1.0)])
def test_updates_equal_a_literal_torch_loop(values: dict[str, object], accumulate: int, clip: float | str) -> None:
    recipe = with_training(values, accumulate=accumulate, encoder_dropout=0.0, head_dropout=0.0)
    recipe |= {
        "gradients": {"clip": clip},
        "optimizer": {"lr": 1e-2, "head_lr": 1e-2, "warmup": 0, "decay": "constant"},
    }
    job, state = start(recipe)
    model = twin(state)
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    adamw = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.01}, {"params": vectors, "weight_decay": 0.0}], lr=1e-2
    )
    for step in (1, 2, 3):
        training.update(job, state)
        losses = [
            job.tasks[job.names[draw.task]].weight
            * model.loss(job.names[draw.task], training_batch(job, job.names[draw.task], number))
            / draw.count
            for draw in job.schedule.draws(step)
            for number in range(draw.first, draw.first + draw.count)
        ]
        adamw.zero_grad()
        sum(losses).backward()  # type: ignore[union-attr]
        if clip != "off":
            torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.grad is not None], clip)
        adamw.step()
    assert_same_weights(state.model, model)


def test_round_robin_leaves_the_other_heads_alone(values: dict[str, object]) -> None:
    job, state = start(values | {"schedule": {"kind": "round-robin", "order": ["same", "mood"]}})
    before = {name: weight.clone() for name, weight in state.model.named_head_parameters()}
    record = training.update(job, state)
    assert list(record.losses) == ["same"]
    changed = {
        name.split(".")[0] for name, w in state.model.named_head_parameters() if not torch.equal(w, before[name])
    }
    assert changed == {"same"}


def test_a_step_record_says_what_happened(values: dict[str, object]) -> None:
    job, state = start(values)
    record = training.update(job, state)
    tokens = sum(training_batch(job, name, 0).tokens for name in job.names)
    assert (record.step, record.epoch, record.tokens) == (1, 1, tokens)
    assert set(record.losses) == set(record.gradient_norms) == {"mood", "same", "near"}
    assert set(record.cosines) == {"same/mood", "near/mood", "near/same"}
    assert all(-1 <= cosine <= 1 for cosine in record.cosines.values())
    assert json.loads(json.dumps(record.as_json()))["kind"] == "step"


def test_a_loss_that_is_no_number_names_task_and_step(values: dict[str, object]) -> None:
    job, state = start(values)
    training.update(job, state)
    weight = next(w for name, w in state.model.named_head_parameters() if name.startswith("same."))
    weight.data.fill_(float("nan"))
    with pytest.raises(TrainingError, match=r"step 2: the loss or gradient of task 'same' .* lower optimizer\.lr"):
        training.update(job, state)


EPS = 1e-4  # of AdamW; where it is 1e-8 a gradient that is rounding alone becomes a full step, another by each kernel


def conflicting(values: dict[str, object], **gradients: object) -> dict[str, object]:
    """Three tasks over one file's texts, without dropout; `against` has the labels of `mood` turned round."""
    mood = values["tasks"]["mood"]  # type: ignore[index]
    train = Path(mood["train"])
    rows = [f"{line},{2 - int(line[-1])}" for line in train.read_text().splitlines()[1:]]
    file = train.with_name("opposite.csv")
    file.write_text("\n".join(["text,label,opposite", *rows]) + "\n")
    recipe = with_training(values, encoder_dropout=0.0, head_dropout=0.0, batching="random")
    against = mood | {"train": str(file), "dev": str(file), "label": "opposite", "weight": 1.5}
    tasks = values["tasks"] | {"against": against}  # type: ignore[operator]
    tasks.pop("same")
    return recipe | {
        "tasks": tasks,
        "gradients": {"method": "pcgrad", "clip": 0.5} | gradients,
        "optimizer": {"lr": 1e-2, "head_lr": 3e-2, "warmup": 0, "decay": "constant", "eps": EPS},
    }


def start_in_conflict(recipe: dict[str, object]) -> tuple[Job, training.State]:
    """The heads of `mood` and `against` begin alike, so that labels turned round pull the encoder apart."""
    job, state = start(recipe)
    state.model.heads["head_against"].load_state_dict(state.model.heads["head_mood"].state_dict())
    return job, state


def literal_update(job: Job, model: MultitaskModel, adamw: torch.optim.AdamW, step: int) -> int:
    """PCGrad on whole vectors, then clipping and AdamW; gives the number of pairs in conflict."""
    encoder = list(model.encoder.parameters())
    losses = [
        job.tasks[job.names[draw.task]].weight
        * model.loss(job.names[draw.task], training_batch(job, job.names[draw.task], draw.first))
        for draw in job.schedule.draws(step)
    ]
    adamw.zero_grad()
    rows = []
    for loss in losses:
        found = torch.autograd.grad(loss, encoder, retain_graph=True, allow_unused=True)
        filled = [torch.zeros_like(p) if g is None else g for g, p in zip(found, encoder, strict=True)]
        rows.append(torch.cat([g.flatten() for g in filled]).double())
    generator = torch.Generator().manual_seed(seed_of(job.recipe.seed, "surgery", step))
    orders = [torch.randperm(len(rows), generator=generator).tolist() for _ in rows]
    total = torch.stack(oracles_numeric.pcgrad(rows, orders)).sum(0).float()
    sum(losses).backward(inputs=[weight for _, weight in model.named_head_parameters()])  # type: ignore[union-attr]
    for parameter, part in zip(encoder, total.split([p.numel() for p in encoder]), strict=True):
        parameter.grad = part.view_as(parameter).clone()
    for name, parameter in model.encoder.named_parameters():
        if name.startswith("pooler") and all(task.pooling == "mean" for task in job.tasks.values()):
            parameter.grad = None  # mean pooling never reaches it
    torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.grad is not None], 0.5)
    adamw.step()
    return sum(float(rows[i] @ rows[j]) < 0 for i in range(len(rows)) for j in range(i))


def literal_adamw(model: MultitaskModel) -> torch.optim.AdamW:
    groups = [
        {"params": [p for p in part if (p.ndim >= 2) == matrices], "lr": lr, "weight_decay": 0.01 * matrices}
        for part, lr in (
            (list(model.encoder.parameters()), 1e-2),
            ([weight for _, weight in model.named_head_parameters()], 3e-2),
        )
        for matrices in (True, False)
    ]
    return torch.optim.AdamW(groups, eps=EPS)


@pytest.mark.parametrize("pooled", [(), ("near",)])
def test_three_updates_with_surgery_equal_literal_pcgrad_and_adamw(
    values: dict[str, object], pooled: tuple[str, ...]
) -> None:
    """Where some tasks read the pooler's output and others never reach it, it has no gradient of the latter."""
    recipe = conflicting(values)
    for task in pooled:
        recipe["tasks"][task]["pooling"] = "cls"  # type: ignore[index]
    job, state = start_in_conflict(recipe)
    model = twin(state)
    adamw, found = literal_adamw(model), []
    for step in (1, 2, 3):
        record = training.update(job, state)
        assert list(record.losses) == ["mood", "near", "against"]
        conflicts = literal_update(job, model, adamw, step)
        assert conflicts == sum(cosine < 0 for cosine in record.cosines.values())
        assert record.projections >= conflicts
        assert record.surgery_angle is not None
        found.append(conflicts)
    assert any(found), "these tasks should pull apart"
    assert_same_weights(state.model, model)


def test_surgery_leaves_the_heads_gradients_alone(values: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    found: dict[str, dict[str, Tensor]] = {}
    for method in ("sum", "pcgrad"):
        job, state = start_in_conflict(conflicting(values, method=method, clip="off"))

        def keep(method: str = method, state: training.State = state) -> None:
            found[method] = {n: p.grad.clone() for n, p in state.model.named_parameters() if p.grad is not None}

        monkeypatch.setattr(state.optimizer, "step", keep)
        training.update(job, state)
    assert found["sum"].keys() == found["pcgrad"].keys()
    different = {n for n, g in found["sum"].items() if not torch.equal(g, found["pcgrad"][n])}
    assert different
    assert all(name.startswith("encoder.") for name in different)


@pytest.mark.parametrize("method", ["sum", "pcgrad"])
def test_the_record_of_surgery(values: dict[str, object], method: str) -> None:
    job, state = start_in_conflict(conflicting(values, method=method))
    record = training.update(job, state)
    assert list(record.weights) == ["mood", "near", "against"]
    if method == "sum":
        assert list(record.weights.values()) == [1.0, 1.0, 1.0]
        assert (record.projections, record.surgery_angle) == (0, 0.0)
    else:
        assert record.projections >= 2
        assert max(record.weights.values()) > 1
        assert 0 < (record.surgery_angle or 0) <= 180


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("head_against", "the head of task 'against' has a gradient that is no longer a number"),
        ("encoder", "the loss or gradient of task 'mood' is no longer a number"),
    ],
)
def test_a_gradient_that_is_no_number_names_task_and_step_and_changes_nothing(
    values: dict[str, object], broken: str, message: str
) -> None:
    """The losses are finite: infinity comes up in the backward pass alone."""
    job, state = start_in_conflict(conflicting(values))
    training.update(job, state)
    part = state.model.encoder if broken == "encoder" else state.model.heads[broken]
    weight = max(part.parameters(), key=Tensor.numel)
    weight.register_hook(lambda gradient: gradient * math.inf)
    before = [parameter.clone() for parameter in state.model.parameters()]
    with pytest.raises(TrainingError, match=f"step 2: {message}"):
        training.update(job, state)
    assert all(torch.equal(w, b) for w, b in zip(state.model.parameters(), before, strict=True))
    assert state.progress.step == 1


def test_an_update_holds_no_more_than_one_gradient_per_task(values: dict[str, object]) -> None:
    """Counted on the position table, whose shape nothing else has."""
    for every, one_for_the_null in (("off", 0), (1, 1)):
        job, state = start_in_conflict(conflicting(values, inspect_every=every))
        shape = state.model.encoder.embeddings.position_embeddings.weight.shape
        training.update(job, state)  # makes AdamW's averages
        with CountsTensors(shape) as count:
            training.update(job, state)
        assert count.most == len(job.names) + one_for_the_null


def _is_full(value: object) -> TypeGuard[Tensor]:
    return isinstance(value, Tensor) and not value.is_sparse


class CountsTensors(TorchDispatchMode):
    """How many tensors of a shape that were made inside are alive at once, by the memory they lie in."""

    def __init__(self, shape: torch.Size) -> None:
        super().__init__()
        self.shape, self.made, self.most = shape, dict[int, StorageWeakRef](), 0

    def __torch_dispatch__(
        self, func: Callable[..., object], types: object, args: tuple[object, ...] = (), kwargs: object = None
    ) -> object:
        given = {a.untyped_storage()._cdata for a in pytree.tree_leaves(args) if _is_full(a)}
        results = func(*args, **(kwargs or {}))  # type: ignore[dict-item]
        self.made = {place: storage for place, storage in self.made.items() if not storage.expired()}
        for tensor in pytree.tree_leaves(results):
            if _is_full(tensor) and tensor.shape == self.shape:
                storage = tensor.untyped_storage()
                if storage._cdata not in given:
                    self.made.setdefault(storage._cdata, StorageWeakRef(storage))
        self.most = max(self.most, len(self.made))
        return results


@pytest.mark.parametrize(("every", "looks"), [(1, [1, 2, 3, 4]), (3, [1, 4]), ("off", [])])
def test_a_close_look_is_taken_when_it_is_due_and_changes_nothing(
    values: dict[str, object], every: object, looks: list[int]
) -> None:
    job, state = start(values | {"gradients": {"inspect_every": every}})
    records = [training.update(job, state) for _ in range(4)]
    assert [record.step for record in records if record.inspection] == looks
    job, plain = start(values | {"gradients": {"inspect_every": "off"}})
    assert [training.update(job, plain).losses for _ in range(4)] == [record.losses for record in records]
    for ours, other in zip(state.model.parameters(), plain.model.parameters(), strict=True):
        assert torch.equal(ours, other)


def test_a_close_look_holds_the_gram_matrix_of_every_layer_and_the_null(values: dict[str, object]) -> None:
    recipe = with_training(values, encoder_dropout=0.0, head_dropout=0.0, batching="random", swap_pairs=False)
    job, state = start(recipe)
    model = twin(state)
    inspection = training.update(job, state).inspection
    assert inspection is not None
    encoder = dict(model.encoder.named_parameters())

    def gradient(task: str, number: int) -> dict[str, Tensor]:
        loss = job.tasks[task].weight * model.loss(task, training_batch(job, task, number))
        found = torch.autograd.grad(loss, list(encoder.values()), allow_unused=True)
        return {n: torch.zeros_like(p) if g is None else g for (n, p), g in zip(encoder.items(), found, strict=True)}

    rows = {task: gradient(task, 0) for task in job.names}
    layers = {"embeddings": "embeddings.", "layer.0": "encoder.layer.0.", "layer.1": "encoder.layer.1."}
    assert inspection.layer_cosines.keys() == inspection.layer_gradient_norms.keys() == {*layers, "pooler"}
    for layer, prefix in layers.items():
        flat = {t: torch.cat([g.flatten() for n, g in row.items() if n.startswith(prefix)]) for t, row in rows.items()}
        for task, norm in inspection.layer_gradient_norms[layer].items():
            assert norm == pytest.approx(float(flat[task].norm()), rel=1e-4)
        for pair, cosine in inspection.layer_cosines[layer].items():
            first, second = (flat[task] for task in pair.split("/"))
            assert cosine == pytest.approx(float(torch.cosine_similarity(first, second, dim=0)), abs=1e-4)
    assert inspection.layer_null_cosines.keys() == inspection.layer_cosines.keys()
    for number, task in enumerate(job.names):
        others = other_batches(job, Draw(number, 0, 1))
        if others is None:
            assert inspection.null_cosines[task] is None
            assert not any(task in of_layer for of_layer in inspection.layer_null_cosines.values())
            continue
        two = rows[task], gradient(task, *others)
        found = {"": inspection.null_cosines[task]}
        found |= {prefix: inspection.layer_null_cosines[layer][task] for layer, prefix in layers.items()}
        for prefix, cosine in found.items():
            pair = [torch.cat([g.flatten() for n, g in row.items() if n.startswith(prefix)]) for row in two]
            assert cosine == pytest.approx(float(torch.cosine_similarity(*pair, dim=0)), abs=1e-4)


def test_the_null_takes_other_rows_of_the_same_pass_and_batches_of_the_same_size(values: dict[str, object]) -> None:
    """7, 20 and 5 rows in batches of 3: one pass of `near` has one full batch and a short one, so no second full."""
    job, _ = start(values)
    for number, (name, stream) in enumerate((name, job.streams[name]) for name in job.names):
        for first in range(2 * stream.batches):
            for count in (1, 2):
                drawn = [stream.batch(n).tolist() for n in range(first, first + count)]
                others = other_batches(job, Draw(number, first, count))
                if others is not None:
                    rows = [stream.batch(n).tolist() for n in others]
                    assert sorted(map(len, rows)) == sorted(map(len, drawn))
                    assert set(itertools.chain(*rows)).isdisjoint(itertools.chain(*drawn))
                    assert len(set(others)) == count
        found = {other_batches(job, Draw(number, first, 1)) is not None for first in range(stream.batches)}
        assert (True in found) == (name != "near")


@pytest.mark.parametrize("accumulate", [1, 2])
def test_nothing_between_a_batch_and_its_gradient_waits_for_the_device(
    values: dict[str, object], accumulate: int
) -> None:
    """A meta tensor has no numbers: whatever would wait for one, such as `nonzero` or `item`, raises."""
    job, state = start(with_training(values, accumulate=accumulate))
    state.model.encoder.embeddings.word_embeddings.sparse = False  # as on any device but a CPU
    model = state.model.to("meta").train()
    for draw in job.schedule.draws(1):
        part = task_gradient(job, model, draw)
        assert part.loss.is_meta
        assert part.tokens > 0
        assert any(gradient is not None and gradient.is_meta for gradient in part.shared)
