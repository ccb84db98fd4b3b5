"""Slow, literal versions of the equations of updates and of comparisons, one number at a time."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from minbert.comparison import Answers
from minbert.metrics import METRICS


@dataclass
class LiteralAdamW:
    """Loshchilov & Hutter (2019), algorithm 2, for one parameter as a flat list of numbers."""

    theta: list[float]
    betas: tuple[float, float]
    eps: float
    weight_decay: float
    steps: int = 0
    m: list[float] = field(default_factory=list)
    v: list[float] = field(default_factory=list)

    def step(self, gradient: list[float] | None, lr: float) -> None:
        """One update; a parameter without a gradient stays as it is, its decay and its clock too."""
        if gradient is None:
            return
        self.m = self.m or [0.0] * len(gradient)
        self.v = self.v or [0.0] * len(gradient)
        self.steps += 1
        beta1, beta2 = self.betas
        for i, g in enumerate(gradient):
            self.m[i] = beta1 * self.m[i] + (1 - beta1) * g
            self.v[i] = beta2 * self.v[i] + (1 - beta2) * g * g
            mean = self.m[i] / (1 - beta1**self.steps)
            square = self.v[i] / (1 - beta2**self.steps)
            self.theta[i] -= lr * self.weight_decay * self.theta[i]
            self.theta[i] -= lr * mean / (math.sqrt(square) + self.eps)


def dense_jacobian(rows: list[list[Tensor | None]], shapes: list[tuple[int, ...]]) -> Tensor:
    """J as one matrix [T, N] in float64: a missing gradient is written out as zeros."""
    filled = [
        [
            torch.zeros(shape, dtype=torch.float64) if g is None else g.double()
            for g, shape in zip(row, shapes, strict=True)
        ]
        for row in rows
    ]
    return torch.stack([torch.cat([g.flatten() for g in row]) for row in filled])


def pcgrad(gradients: Sequence[Tensor], orders: Sequence[Sequence[int]]) -> list[Tensor]:
    """Yu et al. (2020), algorithm 1, on whole gradient vectors [N]: every task's gradient after the projections.

    `orders[i]` are the tasks in the order in which task i meets them; i itself is passed over.
    """
    altered = []
    for i, order in enumerate(orders):
        g = gradients[i].clone()
        for j in order:
            dot = sum(a * b for a, b in zip(g.tolist(), gradients[j].tolist(), strict=True))
            if j != i and dot < 0:
                g = g - dot / sum(b * b for b in gradients[j].tolist()) * gradients[j]
        altered.append(g)
    return altered


def multi_bootstrap(
    left: Sequence[Answers],
    right: Sequence[Answers],
    draws: int,
    generator: np.random.Generator,
    same_seeds: bool = False,
) -> NDArray[np.float64]:
    """The Multi-Bootstrap of Sellam et al. (2022) for two arms, one draw and one seed at a time.

    The seeds' part, picked seeds less all seeds on the same examples, is widened by sqrt(S / (S - 1)). Arms of the same
    seeds pick the same ones.
    """
    found = []
    for _ in range(draws):
        rows = [generator.integers(0, len(task.labels), len(task.labels)) for task in left]
        arms: list[float] = []
        for arm in (left, right):
            S = len(arm[0].predictions)
            of_seeds = [sum(literal_scores(arm, rows, s)) for s in range(S)]
            if not (same_seeds and arms):
                picked = [int(generator.integers(S)) for _ in range(S)]
            of_picked = [of_seeds[s] for s in picked]
            all_seeds = sum(of_seeds) / S
            arms.append(all_seeds + math.sqrt(S / (S - 1)) * (sum(of_picked) / S - all_seeds))
        found.append(arms[0] - arms[1])
    return np.array(found)


def literal_scores(arm: Sequence[Answers], rows: Sequence[NDArray[np.int64]], s: int) -> list[float]:
    """Seed s's metric on the given rows of every task; 0 where undefined."""
    return [
        METRICS[task.metric](task.predictions[s][chosen], task.labels[chosen]) or 0.0
        for task, chosen in zip(arm, rows, strict=True)
    ]


def satterthwaite(left: Sequence[Answers], right: Sequence[Answers], error: float, same_seeds: bool = False) -> float:
    """Degrees of freedom of a standard error, written out."""
    arms = []
    for arm in (left, right):
        S = len(arm[0].predictions)
        arms.append([sum(METRICS[t.metric](t.predictions[s], t.labels) or 0.0 for t in arm) for s in range(S)])
    if same_seeds:
        arms = [[one - other for one, other in zip(*arms, strict=True)]]
    return error**4 / sum((statistics.variance(sums) / len(sums)) ** 2 / (len(sums) - 1) for sums in arms)


def holm_rejects(ps: Sequence[float], level: float) -> list[bool]:
    """Holm (1979): from the smallest p on, compare with level / (hypotheses left) and stop at the first above it."""
    rejected = [False] * len(ps)
    for left, i in zip(range(len(ps), 0, -1), sorted(range(len(ps)), key=lambda i: ps[i]), strict=True):
        if ps[i] > level / left:
            break
        rejected[i] = True
    return rejected
