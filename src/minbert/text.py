"""Examples -> token ids -> batches of tensors.

Letters in shapes: B examples, S texts in a batch (B, or 2B for pairs), L length in tokens.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from minbert.data import Examples

TokenIds = list[int]


@dataclass(frozen=True)
class Batch:
    """B examples as tensors. A pair's first texts come first and its second texts after them, so S = 2B."""

    input_ids: Tensor  # [S, L]
    attention_mask: Tensor  # [S, L], 1 = token, 0 = padding
    is_pair: bool
    labels: Tensor | None = None  # [B], in float64, which holds a set of 52 classes
    pooled: tuple[Tensor, ...] | None = None  # [B, H] per text column, where the encoder's answer is known already
    weights: Tensor | None = None  # [B], of each example's loss

    @property
    def tokens(self) -> int:
        """Tokens that are not padding, [CLS] and [SEP] counted."""
        return int(self.attention_mask.sum())

    def to(self, device: torch.device) -> "Batch":
        """The batch on a device, but for its mask: where tokens stand is worked out on the CPU, so nothing has to wait
        for the device."""
        input_ids = self.input_ids.to(device, non_blocking=True)
        labels = None if self.labels is None else self.labels.to(device, non_blocking=True)
        pooled = None if self.pooled is None else tuple(part.to(device, non_blocking=True) for part in self.pooled)
        weights = None if self.weights is None else self.weights.to(device, non_blocking=True)
        return Batch(input_ids, self.attention_mask, self.is_pair, labels, pooled, weights)


@dataclass(frozen=True)
class Encoded:
    """A task's examples as token ids, ready to be batched; made once and kept.

    `texts` holds one list of token ids per text column; `cut` [N] says which examples were longer than allowed.
    `pooled` may hold what a frozen encoder makes of them, one tensor [N, H] per text column.
    """

    ids: list[str]
    texts: list[list[TokenIds]]
    labels: NDArray[np.float64] | None
    cut: NDArray[np.bool_]
    pooled: tuple[Tensor, ...] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """The longest text of every example, in tokens: what decides the padding of its batch."""
        return np.array([max(map(len, texts)) for texts in zip(*self.texts, strict=True)], dtype=np.int64)

    def take(self, rows: NDArray[np.int64]) -> "Encoded":
        """The examples at `rows`, in their order."""
        return Encoded(
            [self.ids[row] for row in rows],
            [[column[row] for row in rows] for column in self.texts],
            None if self.labels is None else self.labels[rows],
            self.cut[rows],
            None if self.pooled is None else tuple(part[rows] for part in self.pooled),
        )

    def batch(self, rows: Sequence[int] | NDArray[np.int64], swapped: NDArray[np.bool_] | None = None) -> Batch:
        """The examples at `rows` as one batch, padded to its longest text.

        Where `swapped` [B] is true a pair's two texts change places.
        """
        columns = [[column[row] for row in rows] for column in self.texts]
        if swapped is not None and len(columns) == 2:
            pairs = [(b, a) if swap else (a, b) for a, b, swap in zip(*columns, swapped, strict=True)]
            columns = [[a for a, _ in pairs], [b for _, b in pairs]]
        input_ids, attention_mask = pad([ids for column in columns for ids in column])
        labels = None if self.labels is None else torch.from_numpy(self.labels[list(rows)])
        pooled = None if self.pooled is None else tuple(part[list(rows)] for part in self.pooled)
        if pooled is not None and swapped is not None and len(pooled) == 2:
            turned = torch.from_numpy(swapped)[:, None]
            pooled = (torch.where(turned, pooled[1], pooled[0]), torch.where(turned, pooled[0], pooled[1]))
        return Batch(input_ids, attention_mask, len(columns) == 2, labels, pooled)


def encode(examples: Examples, tokenizer: Tokenizer, max_length: int) -> Encoded:
    """Tokenises examples: [CLS] tokens [SEP], at most `max_length` ids; a longer text loses its end."""
    columns, cuts = [], []
    for texts in examples.texts:
        ids, cut = encode_texts(texts, tokenizer, max_length)
        columns.append(ids)
        cuts.append(cut)
    return Encoded(examples.ids, columns, examples.labels, np.logical_or.reduce(cuts))


def encode_texts(
    texts: Sequence[str], tokenizer: Tokenizer, max_length: int
) -> tuple[list[TokenIds], NDArray[np.bool_]]:
    """Token ids of every text, and which texts were cut to `max_length`."""
    sep = tokenizer.token_to_id("[SEP]")
    assert sep is not None, "load_tokenizer refuses a tokenizer without [SEP]"
    encodings = tokenizer.encode_batch_fast([_without_halves(text) for text in texts])
    full = [encoding.ids for encoding in encodings]
    cut = np.array([len(ids) > max_length for ids in full], dtype=bool)
    return [ids if len(ids) <= max_length else [*ids[: max_length - 1], sep] for ids in full], cut


def _without_halves(text: str) -> str:
    """Half a character outside the 16-bit plane, which JSON can bring in and no tokenizer takes, becomes U+FFFD."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def pad(texts: Sequence[TokenIds]) -> tuple[Tensor, Tensor]:
    """Token ids of S texts -> input_ids [S, L] filled up with 0, which the mask hides, and attention_mask [S, L]."""
    lengths = torch.tensor([len(ids) for ids in texts])
    real = torch.arange(int(lengths.max())) < lengths[:, None]  # [S, L]
    input_ids = torch.zeros(real.shape, dtype=torch.long)
    input_ids[real] = torch.tensor(list(itertools.chain.from_iterable(texts)), dtype=torch.long)
    return input_ids, real.long()


def batches_by_length(lengths: NDArray[np.int64], max_tokens: int) -> list[NDArray[np.int64]]:
    """Rows grouped for inference: sorted by length, longest first, each group at most `max_tokens` when padded.

    A text longer than that is a group of its own.
    """
    order = np.argsort(-lengths, kind="stable")
    groups: list[NDArray[np.int64]] = []
    start = 0
    while start < len(order):
        size = max(1, max_tokens // int(lengths[order[start]]))
        groups.append(order[start : start + size])
        start += size
    return groups
