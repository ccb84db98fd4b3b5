"""Output and labels -> one number: the mean loss of a batch.

Letters in shapes: B batch, K classes.
"""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """-log softmax(logits)[label]; logits [B, K], labels [B] class numbers."""
    return F.cross_entropy(logits, labels.long())


def bce(logits: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy of sigmoid(logit); logits [B, 1], labels [B] in {0, 1}."""
    return F.binary_cross_entropy_with_logits(logits[:, 0], labels.to(logits.dtype))


def mse(scores: Tensor, labels: Tensor) -> Tensor:
    """Mean squared error in the label's own units; scores [B, 1], labels [B]."""
    return F.mse_loss(scores[:, 0], labels.to(scores.dtype))


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross-entropy": cross_entropy,
    "bce": bce,
    "mse": mse,
}
