"""Output and labels -> one number: the mean loss of a batch, each example's times its weight where there are some.

Letters in shapes: B batch, K classes.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """-log softmax(logits)[label]; logits [B, K], labels [B] class numbers, weights [B]."""
    return _mean(F.cross_entropy(logits, labels.long(), reduction="none"), weights)


def bce(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Binary cross-entropy of sigmoid(logit); logits [B, 1], labels [B] in {0, 1}, weights [B]."""
    losses = F.binary_cross_entropy_with_logits(logits[:, 0], labels.to(logits.dtype), reduction="none")
    return _mean(losses, weights)


def bce_per_label(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Binary cross-entropy of every sigmoid(logit), mean over classes; logits [B, K], labels [B] sets, weights [B].

    A set of classes is the sum of 2^place.
    """
    places = torch.arange(logits.shape[1], device=labels.device)
    held = (labels.long()[:, None] >> places) & 1  # [B], [K] -> [B, K]
    losses = F.binary_cross_entropy_with_logits(logits, held.to(logits.dtype), reduction="none")
    return _mean(losses.mean(1), weights)


def mse(scores: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean squared error in the label's own units; scores [B, 1], labels [B], weights [B]."""
    return _mean(F.mse_loss(scores[:, 0], labels.to(scores.dtype), reduction="none"), weights)


def _mean(losses: Tensor, weights: Tensor | None) -> Tensor:
    """Over examples and not over weights: a batch of rare classes counts for more than one of frequent ones."""
    return losses.mean() if weights is None else (weights.to(losses) * losses).mean()


LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor | None], Tensor]] = {
    "cross-entropy": cross_entropy,
    "bce": bce,
    "bce-per-label": bce_per_label,
    "mse": mse,
}
