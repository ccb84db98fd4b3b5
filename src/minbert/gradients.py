"""One gradient per task -> one update, by way of the Gram matrix.

A method sees only G = J J^T and answers with one weight per task; the update is then the weighted sum of the
rows of J. So a method is a few lines on a T x T matrix, whatever the size of the model.
Letters in shapes: T tasks. J is held as T rows, a row as one tensor per parameter (None: the task's loss does
not reach it, which counts as zeros). A parameter's tensors may be sparse, as those of a word table are, of which a
batch uses few rows.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Row = Sequence[Tensor | None]


def sum_of_tasks(gram: Tensor, generator: torch.Generator) -> Tensor:  # noqa: ARG001 (one signature for all)
    """The plain sum of the tasks' gradients: G [T, T] -> ones [T]."""
    return torch.ones(len(gram), dtype=gram.dtype)


def pcgrad(gram: Tensor, generator: torch.Generator) -> Tensor:
    """PCGrad (Yu et al. 2020, algorithm 1): G [T, T] -> weights [T], the sum of all altered gradients."""
    return project_conflicts(gram, generator).sum(0)


def project_conflicts(gram: Tensor, generator: torch.Generator) -> Tensor:
    """Every task's gradient after algorithm 1 of Yu et al. (2020), in terms of the originals: G [T, T] -> C [T, T].

    g_i becomes sum_j C_ij g_j; beside the diagonal, C_ij is zero unless g_i was projected off g_j.
    """
    coefficients = torch.eye(len(gram), dtype=gram.dtype)
    for i, g_i in enumerate(coefficients):
        for j in torch.randperm(len(gram), generator=generator).tolist():
            dot = g_i @ gram[:, j]  # of g_i as altered so far and the original g_j
            if j != i and dot < 0 and gram[j, j] > 0:  # a square of 0 beside a product below it is an underflow
                g_i[j] -= dot / gram[j, j]
    return coefficients


def count_projections(gram: Tensor, generator: torch.Generator) -> int:
    """How many times `pcgrad` projects one gradient off another when it is given the same arguments."""
    return int(project_conflicts(gram, generator).fill_diagonal_(0).count_nonzero())


def gram_matrices(jacobian: Sequence[Row]) -> Tensor:
    """G_ij = g_i . g_j of each of P parameters: T rows of J -> [P, T, T] in float64; G is their sum over P.

    A parameter's product is summed in the gradients' own precision.
    """
    columns = list(zip(*jacobian, strict=True))
    places, products = [], []
    for place, column in enumerate(columns):
        for i, a in enumerate(column):
            for j, b in enumerate(column[: i + 1]):
                if a is not None and b is not None:
                    places.append((place, i, j))
                    products.append(_dot(a, b))
    grams = torch.zeros(len(columns), len(jacobian), len(jacobian), dtype=torch.float64)
    if products:  # written at once: one by one they would cost as much as the products themselves
        where, row, other = torch.tensor(places).unbind(1)
        grams[where, row, other] = grams[where, other, row] = torch.stack(products).to(grams)
    return grams


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum() if a.is_sparse else torch.dot(a.flatten(), b.flatten())


def norm(gram: Tensor, weights: Tensor, others: Sequence[Tensor]) -> float:
    """The norm of sum_i w_i g_i and of other gradients together, from G [T, T]: no pass over the parameters."""
    shared = max(0.0, float(weights @ gram @ weights))
    squares = [other.double().square().sum() for other in others]
    return math.sqrt(shared + (float(torch.stack(squares).sum()) if squares else 0.0))  # read from a device at once


def clip_factor(norm: float, limit: float) -> float:
    """What a gradient of this norm is multiplied by so that its norm is at most the limit, as torch reckons it."""
    return min(1.0, limit / (norm + 1e-6))


def cosines(gram: Tensor) -> Tensor:
    """G_ij / (|g_i| |g_j|), [T, T]; NaN where a gradient is zero, since it has no direction."""
    norms = gram.diagonal().sqrt()
    lengths = norms[:, None] * norms[None, :]
    return (gram / lengths).masked_fill(lengths == 0, math.nan)


def angle(gram: Tensor, weights: Tensor) -> float | None:
    """Degrees between the update of these weights and the plain sum; None where one of them is zero."""
    plain = torch.ones_like(weights)
    square = plain @ gram @ plain
    if square <= 0 or weights @ gram @ weights <= 0:
        return None
    along = plain @ gram @ weights / square
    across = weights - along * plain  # an arc cosine would lose small angles
    return math.degrees(math.atan2((across @ gram @ across).clamp(min=0).sqrt(), along * square.sqrt()))


def weighted_sum_(jacobian: Sequence[Row], weights: Tensor) -> list[Tensor | None]:
    """sum_i w_i g_i, one tensor per parameter; None where no task reaches the parameter.

    The sum takes the place of each parameter's first gradient, so that no more than T gradients are ever held.
    """
    combined: list[Tensor | None] = []
    for column in zip(*jacobian, strict=True):
        total: Tensor | None = None
        for weight, gradient in zip(weights.tolist(), column, strict=True):
            if gradient is not None and total is not None:
                total.add_(gradient, alpha=weight)
            elif gradient is not None:
                total = gradient if weight == 1 else gradient.mul_(weight)
        combined.append(total)
    return combined


METHODS: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {"sum": sum_of_tasks, "pcgrad": pcgrad}
