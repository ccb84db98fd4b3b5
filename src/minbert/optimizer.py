"""A gradient -> an update: parameter groups, the learning rate at step t, AdamW (Loshchilov & Hutter 2019)."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

NamedParameters = Iterable[tuple[str, nn.Parameter]]


@dataclass(frozen=True)
class AdamWSettings:
    """What AdamW needs. `layer_decay` multiplies the learning rate once for every layer below the top one."""

    lr: float
    head_lr: float
    betas: tuple[float, float]
    eps: float
    weight_decay: float
    layer_decay: float


def build(encoder: NamedParameters, heads: NamedParameters, settings: AdamWSettings) -> torch.optim.AdamW:
    """AdamW over groups of one (peak learning rate, weight decay) each.

    Weight decay falls on matrices only: on a bias or a LayerNorm it would pull towards no simpler function.
    A parameter whose gradient is None, such as a head that took no part in the step, is left alone entirely.
    """
    encoder = list(encoder)
    top = max(_layer(name) for name, _ in encoder)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in encoder:
        below_top = 0 if name.startswith("pooler") else top - _layer(name)
        peak = settings.lr * settings.layer_decay**below_top
        groups.setdefault((peak, _decay(parameter, settings)), []).append(parameter)
    for _, parameter in heads:
        groups.setdefault((settings.head_lr, _decay(parameter, settings)), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": parameters, "lr": peak, "peak_lr": peak, "weight_decay": decay}
            for (peak, decay), parameters in groups.items()
        ],
        betas=settings.betas,
        eps=settings.eps,
        fused=True,  # one pass over memory; the same arithmetic
    )


def set_gradients(
    parameters: Iterable[nn.Parameter], gradients: Iterable[Tensor | None], memory: dict[nn.Parameter, Tensor]
) -> None:
    """Puts every gradient where AdamW looks for it, a sparse one written out in full.

    That is done in `memory`, which is used again at the next call, since new memory of that size is slow to come by.
    """
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if gradient is not None and gradient.is_sparse:
            if parameter not in memory:
                memory[parameter] = torch.zeros_like(parameter, requires_grad=False)
            gradient = memory[parameter].zero_().add_(gradient)  # noqa: PLW2901
        parameter.grad = gradient


def set_learning_rate(optimizer: torch.optim.AdamW, factor: float) -> None:
    """Every group learns at its peak rate times `factor`."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * factor


def learning_rate_factor(step: int, steps: int, warmup: float, decay: str) -> float:
    """The share of the peak learning rate at step t = 1 .. steps.

    It rises linearly over the first `warmup` share of all steps, then follows `decay`, a key of DECAYS.
    """
    warm = round(warmup * steps)
    if step <= warm:
        return step / warm
    return DECAYS[decay]((step - warm - 1) / max(1, steps - warm))


DECAYS: dict[str, Callable[[float], float]] = {
    "constant": lambda _: 1.0,
    "linear": lambda done: 1.0 - done,
    "cosine": lambda done: (1.0 + math.cos(math.pi * done)) / 2,
}


def _layer(name: str) -> int:
    """0 for the embeddings, i + 1 for `encoder.layer.i`."""
    return int(name.split(".")[2]) + 1 if name.startswith("encoder.layer.") else 0


def _decay(parameter: nn.Parameter, settings: AdamWSettings) -> float:
    return settings.weight_decay if parameter.ndim >= 2 else 0.0
