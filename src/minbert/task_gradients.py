"""A task's batches of one update -> its gradient in the encoder; and how far the tasks' gradients agree.

Letters in shapes: T tasks, P parameters of the encoder.
"""

import contextlib
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from minbert import gradients
from minbert.jobs import Job, training_batch
from minbert.model import MultitaskModel
from minbert.schedules import Draw


@dataclass(frozen=True)
class TaskGradient:
    """One task's part of an update: its gradient in the encoder's parameters, one tensor each, and its loss.

    The loss [] stays a tensor, since to read it would mean to wait for the device.
    """

    task: str
    shared: list[Tensor | None]
    loss: Tensor
    tokens: int


@dataclass(frozen=True)
class Inspection:
    """A close look at an update's conflict: norms and cosines layer by layer, and the null beside them.

    The null is each task's cosine between its gradient and that of other rows of its own, as many, by layer and in the
    whole encoder; None where a gradient is zero or no number, and no entry by layer where a pass has too few rows.
    Cosines between tasks say nothing about conflict unless they lie below these.
    While the null is measured one gradient more is held than there are tasks.
    """

    layer_gradient_norms: dict[str, dict[str, float]]
    layer_cosines: dict[str, dict[str, float | None]]
    layer_null_cosines: dict[str, dict[str, float | None]]
    null_cosines: dict[str, float | None]


def task_gradient(job: Job, model: MultitaskModel, draw: Draw) -> TaskGradient:
    """The gradient of a task's weighted loss, averaged over its batches of this update.

    The encoder's gradient is taken away for the method to combine; the head's stays where the optimiser finds it.
    While batches after a first one are added, that of one batch is held besides.
    """
    name = job.names[draw.task]
    losses, tokens = [], 0
    for number in range(draw.first, draw.first + draw.count):
        loss, drawn = _loss(job, model, name, number)
        (job.tasks[name].weight / draw.count * loss).backward()  # type: ignore[no-untyped-call]
        losses.append(loss.detach().double())
        tokens += drawn
    shared = _merged(parameter.grad for parameter in model.encoder.parameters())
    for parameter in model.encoder.parameters():
        parameter.grad = None
    return TaskGradient(name, shared, torch.stack(losses).mean(), tokens)


def inspect(
    job: Job, model: MultitaskModel, draws: Sequence[Draw], parts: Sequence[TaskGradient], grams: Tensor
) -> Inspection:
    """The Gram matrices [P, T, T] of an update layer by layer, and each task's null."""
    names = [part.task for part in parts]
    layers = _by_layer(model, grams)
    layer_nulls: dict[str, dict[str, float | None]] = {layer: {} for layer in layers}
    nulls: dict[str, float | None] = dict.fromkeys(names)
    for draw, part in zip(draws, parts, strict=True):
        other = _null_gradient(job, model, draw, part.task)
        if other is not None:
            null = gradients.gram_matrices([part.shared, other])  # [P, 2, 2]
            nulls[part.task] = _cosine(null.sum(0))
            for layer, gram in _by_layer(model, null).items():
                layer_nulls[layer][part.task] = _cosine(gram)
    return Inspection(
        {layer: named_norms(gram, names) for layer, gram in layers.items()},
        {layer: named_cosines(gram, names) for layer, gram in layers.items()},
        layer_nulls,
        nulls,
    )


def _by_layer(model: MultitaskModel, grams: Tensor) -> dict[str, Tensor]:
    """Gram matrices of the encoder's parameters [P, T, T] summed over those of each layer [T, T]."""
    layers: dict[str, Tensor] = {}
    for (parameter, _), gram in zip(model.encoder.named_parameters(), grams, strict=True):
        layer = _layer(parameter)
        layers[layer] = layers.get(layer, torch.zeros_like(gram)) + gram
    return layers


def named_norms(gram: Tensor, names: Sequence[str]) -> dict[str, float]:
    """|g_i| by task, from G [T, T]."""
    return {name: math.sqrt(float(gram[i, i])) for i, name in enumerate(names)}


def named_cosines(gram: Tensor, names: Sequence[str]) -> dict[str, float | None]:
    """cos(g_i, g_j) by pair of tasks, from G [T, T]; None where it is undefined."""
    cosines = gradients.cosines(gram)
    return {f"{names[i]}/{names[j]}": _defined(cosines[i, j]) for i in range(len(names)) for j in range(i)}


def other_batches(job: Job, draw: Draw) -> list[int] | None:
    """As many batches as the draw has, of the same sizes and of rows that are not in it; None where there are none.

    They are looked for in the pass that the draw begins in.
    """
    stream = job.streams[job.names[draw.task]]
    drawn = [stream.batch(number) for number in range(draw.first, draw.first + draw.count)]
    taken, sizes = set(np.concatenate(drawn).tolist()), sorted(map(len, drawn))
    start = draw.first - draw.first % stream.batches
    others: list[int] = []
    for step in range(1, stream.batches):
        number = start + (draw.first + step) % stream.batches
        rows = stream.batch(number)
        if len(rows) in sizes and taken.isdisjoint(rows.tolist()):
            others.append(number)
            sizes.remove(len(rows))
        if not sizes:
            return others
    return None


def _null_gradient(job: Job, model: MultitaskModel, draw: Draw, task: str) -> list[Tensor | None] | None:
    """A task's gradient from other batches of its own, with the same weights; None where there are none."""
    others = other_batches(job, draw)
    if others is None:
        return None
    parameters, total = list(model.encoder.parameters()), list[Tensor | None]()
    for number in others:
        loss, _ = _loss(job, model, task, number)
        found = _merged(torch.autograd.grad(loss, parameters, allow_unused=True))  # leaves .grad alone
        total = gradients.weighted_sum_([total, found], torch.ones(2)) if total else found
    return total


def _loss(job: Job, model: MultitaskModel, name: str, number: int) -> tuple[Tensor, int]:
    """A batch's loss in the recipe's number format, and its tokens."""
    batch = training_batch(job, name, number).to(model.device)
    in_bf16 = job.recipe.training.precision == "bf16"
    with torch.autocast(model.device.type, torch.bfloat16) if in_bf16 else contextlib.nullcontext():
        return model.loss(name, batch), batch.tokens


def _merged(found: Iterable[Tensor | None]) -> list[Tensor | None]:
    """Gradients in which a word that a batch has twice is one row."""
    return [gradient.coalesce() if gradient is not None and gradient.is_sparse else gradient for gradient in found]


def _cosine(gram: Tensor) -> float | None:
    """cos(g_0, g_1), from G [2, 2]; None where it is undefined."""
    return _defined(gradients.cosines(gram)[0, 1])


def _defined(cosine: Tensor) -> float | None:
    return float(cosine) if cosine.isfinite() else None


def _layer(parameter: str) -> str:
    """embeddings, layer.0, layer.1, …, pooler."""
    found = re.match(r"(?:encoder\.)?(layer\.\d+|\w+)", parameter)
    assert found is not None
    return found[1]
