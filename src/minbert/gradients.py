"""One gradient per task -> one update, by way of the Gram matrix.

A method sees only G = J J^T and answers with one weight per task; the update is then the weighted sum of the
rows of J. So a method is a few lines on a T x T matrix, whatever the size of the model.
Letters in shapes: T tasks. J is held as T rows, a row as one tensor per parameter (None: the task's loss does
not reach it, which counts as zeros).
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Row = Sequence[Tensor | None]


def sum_of_tasks(gram: Tensor, generator: torch.Generator) -> Tensor:  # noqa: ARG001 (one signature for all)
    """The plain sum of the tasks' gradients: G [T, T] -> ones [T]."""
    return torch.ones(len(gram), dtype=gram.dtype)


def gram_matrix(jacobian: Sequence[Row]) -> Tensor:
    """G_ij = g_i . g_j over all parameters: T rows of J -> [T, T] in float64.

    Each parameter's product is summed in the gradients' own precision, the products of all parameters in float64.
    """
    num_tasks = len(jacobian)
    gram = torch.zeros(num_tasks, num_tasks, dtype=torch.float64)
    for i in range(num_tasks):
        for j in range(i, num_tasks):
            products = [
                torch.dot(a.flatten(), b.flatten()).double()
                for a, b in zip(jacobian[i], jacobian[j], strict=True)
                if a is not None and b is not None
            ]
            gram[i, j] = gram[j, i] = sum(products, torch.zeros((), dtype=torch.float64))
    return gram


def cosines(gram: Tensor) -> Tensor:
    """G_ij / (|g_i| |g_j|), [T, T]; 0 where a gradient is zero."""
    norms = gram.diagonal().sqrt()
    return gram / (norms[:, None] * norms[None, :]).clamp(min=torch.finfo(gram.dtype).tiny)


def weighted_sum(jacobian: Sequence[Row], weights: Tensor) -> list[Tensor | None]:
    """sum_i w_i g_i, one tensor per parameter; None where no task reaches the parameter."""
    combined: list[Tensor | None] = []
    for column in zip(*jacobian, strict=True):
        parts = [(float(w), g) for w, g in zip(weights, column, strict=True) if g is not None]
        combined.append(sum((w * g for w, g in parts[1:]), parts[0][0] * parts[0][1]) if parts else None)
    return combined


METHODS: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {"sum": sum_of_tasks}
