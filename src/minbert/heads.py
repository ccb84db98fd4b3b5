"""Pooling and heads: the encoder's hidden states -> a task's output.

Letters in shapes: B batch, L length, H hidden, K outputs (one logit for a binary pair, one score for a regression).
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minbert.dropout import Dropout

Output = tuple[Tensor, Tensor]  # the encoder's: last_hidden [B, L, H] and pooled [B, H]
Bounds = tuple[float, float]  # the range of a task's labels; a head that has no use for it ignores it


def pool_cls(output: Output, attention_mask: Tensor) -> Tensor:  # noqa: ARG001 (one signature for all)
    """The tanh pooler over [CLS], as in the paper: [B, H]."""
    _, pooled = output
    return pooled


def pool_cls_raw(output: Output, attention_mask: Tensor) -> Tensor:  # noqa: ARG001
    """The hidden state of [CLS] as it is: [B, H]."""
    last_hidden, _ = output
    return last_hidden[:, 0]


def pool_mean(output: Output, attention_mask: Tensor) -> Tensor:
    """The mean over the real tokens (Reimers & Gurevych 2019): [B, H]; zeros for a text of padding alone."""
    last_hidden, _ = output
    real = attention_mask[:, :, None].to(last_hidden, non_blocking=True)  # [B, L, 1]
    return (last_hidden * real).sum(1) / real.sum(1).clamp(min=1)  # [B, L, H] -> [B, H]


def cosine(p1: Tensor, p2: Tensor, eps: float = 1e-8) -> Tensor:
    """p1.p2 / max(|p1| |p2|, eps): [B, H] twice -> [B, 1].

    One square root over the product of the squares, so that equal vectors give exactly 1.
    """
    squares = (p1 * p1).sum(-1, keepdim=True) * (p2 * p2).sum(-1, keepdim=True)
    return (p1 * p2).sum(-1, keepdim=True) / squares.clamp(min=eps**2).sqrt()


class Linear(nn.Module):
    """W drop(p): one text -> K logits."""

    def __init__(self, hidden_size: int, num_outputs: int, dropout: float, bounds: Bounds) -> None:  # noqa: ARG002
        super().__init__()
        self.dropout = Dropout(dropout)
        self.dense = nn.Linear(hidden_size, num_outputs)

    def forward(self, p: Tensor) -> Tensor:
        return self.dense(self.dropout(p))  # type: ignore[no-any-return]


class Concat(nn.Module):
    """W [drop(p1); drop(p2)] (the paper, section 4.1): two texts -> K outputs; their order matters."""

    def __init__(self, hidden_size: int, num_outputs: int, dropout: float, bounds: Bounds) -> None:  # noqa: ARG002
        super().__init__()
        self.dropout = Dropout(dropout)
        self.dense = nn.Linear(2 * hidden_size, num_outputs)

    def forward(self, p1: Tensor, p2: Tensor) -> Tensor:
        return self.dense(torch.cat([self.dropout(p1), self.dropout(p2)], -1))  # type: ignore[no-any-return]


class Cosine(nn.Module):
    """lo + (hi - lo) cos(p1, p2) (the paper, section 4.3: COSSTS): no weights, symmetric in the two texts.

    Same direction gives hi, orthogonal gives lo: pretrained sentence vectors hardly ever point apart, so
    mapping -1 to lo would leave the lower half of the range unused. A negative cosine falls below lo.
    """

    def __init__(self, hidden_size: int, num_outputs: int, dropout: float, bounds: Bounds) -> None:  # noqa: ARG002
        super().__init__()
        if num_outputs != 1:
            raise ValueError("a cosine is one number: this head gives one output")
        self.low, self.high = bounds

    def forward(self, p1: Tensor, p2: Tensor) -> Tensor:
        share = cosine(p1, p2)
        return self.low * (1 - share) + self.high * share  # so written, both ends are exact


class ConcatCosine(nn.Module):
    """W drop([p1; p2; cos(p1, p2)]) (the paper, section 4.3: COSPARA); the order of the texts matters."""

    def __init__(self, hidden_size: int, num_outputs: int, dropout: float, bounds: Bounds) -> None:  # noqa: ARG002
        super().__init__()
        self.dropout = Dropout(dropout)
        self.dense = nn.Linear(2 * hidden_size + 1, num_outputs)

    def forward(self, p1: Tensor, p2: Tensor) -> Tensor:
        return self.dense(self.dropout(torch.cat([p1, p2, cosine(p1, p2)], -1)))  # type: ignore[no-any-return]


class Interaction(nn.Module):
    """W2 drop(GELU(W1 drop([p1; p2; |p1 - p2|; p1 * p2]))): the features of Reimers & Gurevych (2019) and
    Mou et al. (2016), with one hidden layer of size H; the order of the texts matters."""

    def __init__(self, hidden_size: int, num_outputs: int, dropout: float, bounds: Bounds) -> None:  # noqa: ARG002
        super().__init__()
        self.dropout = Dropout(dropout)
        self.hidden = nn.Linear(4 * hidden_size, hidden_size)
        self.dense = nn.Linear(hidden_size, num_outputs)

    def forward(self, p1: Tensor, p2: Tensor) -> Tensor:
        features = torch.cat([p1, p2, (p1 - p2).abs(), p1 * p2], -1)  # [B, 4H]
        return self.dense(self.dropout(F.gelu(self.hidden(self.dropout(features)))))  # type: ignore[no-any-return]


POOLINGS: dict[str, Callable[[Output, Tensor], Tensor]] = {
    "cls": pool_cls,
    "cls-raw": pool_cls_raw,
    "mean": pool_mean,
}
HEADS: dict[str, Callable[[int, int, float, Bounds], nn.Module]] = {
    "linear": Linear,
    "concat": Concat,
    "cosine": Cosine,
    "concat-cosine": ConcatCosine,
    "interaction": Interaction,
}
