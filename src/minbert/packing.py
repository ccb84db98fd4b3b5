"""A batch's attention mask -> where its tokens stand when padding is left out.

Texts stand in the order of their lengths, and fall into groups of like length for attention, the one place where a
text must be a row of its own.
Letters in shapes: B texts, L length, N tokens that are no padding; G texts of a group, n its tokens; C any width.
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

MAX_LENGTH_RATIO = 1.3  # a group's longest text over its shortest: more groups are more calls, fewer more padding


@dataclass(frozen=True)
class Group:
    """Texts of like length, which stand one after the other among the packed tokens."""

    texts: int
    longest: int
    indices: Tensor | None  # [n] of the group's tokens among its G * L places; None where they fill them all

    def to(self, device: torch.device) -> Self:
        """The group for tensors on a device."""
        return replace(self, indices=None if self.indices is None else self.indices.to(device, non_blocking=True))

    @property
    def tokens(self) -> int:
        """n."""
        return self.texts * self.longest if self.indices is None else len(self.indices)

    @cached_property
    def mask(self) -> Tensor | None:
        """[G, 1, 1, L], what attention adds to its scores: 0 where a place holds a token and -inf where none does.

        None where all do.
        """
        if self.indices is None:
            return None
        mask = torch.full((self.texts * self.longest,), -math.inf, device=self.indices.device)
        return mask.index_fill_(0, self.indices, 0.0).view(self.texts, 1, 1, self.longest)

    def pad(self, packed: Tensor) -> Tensor:
        """[n, C] -> [G, L, C], zeros where there is padding."""
        return _padded(packed, self.indices, self.texts, self.longest)

    def unpad(self, padded: Tensor) -> Tensor:
        """[G, L, C] -> [n, C]."""
        rows = padded.flatten(0, 1)
        return rows if self.indices is None else rows.index_select(0, self.indices)


@dataclass(frozen=True)
class Packing:
    """Where the tokens of a padded batch [B, L] stand, text after text, shorter texts first."""

    texts: int
    longest: int
    indices: Tensor  # [N] of the tokens among the B * L places
    groups: tuple[Group, ...]

    @classmethod
    def of(cls, attention_mask: Tensor) -> Self:
        """From a mask [B, L], 1 = token, 0 = padding, wherever in a text that is."""
        texts, longest = attention_mask.shape
        lengths, order = attention_mask.sum(1).sort(stable=True)
        row, column = attention_mask[order].nonzero(as_tuple=True)
        groups = tuple(_group(alike) for alike in _alike(lengths))
        return cls(texts, longest, order[row] * longest + column, groups)

    def to(self, device: torch.device) -> Self:
        """The packing for tensors on a device."""
        indices = self.indices.to(device, non_blocking=True)
        return replace(self, indices=indices, groups=tuple(group.to(device) for group in self.groups))

    @property
    def positions(self) -> Tensor:
        """[N], each token's place in its text."""
        return self.indices % self.longest

    def unpad(self, padded: Tensor) -> Tensor:
        """[B, L] -> [N]."""
        return padded.flatten()[self.indices]

    def pad(self, packed: Tensor) -> Tensor:
        """[N, C] -> [B, L, C], zeros where there is padding."""
        return _padded(packed, self.indices, self.texts, self.longest)


def _padded(packed: Tensor, indices: Tensor | None, texts: int, longest: int) -> Tensor:
    width = packed.shape[1]
    if indices is not None:
        packed = packed.new_zeros(texts * longest, width).index_copy(0, indices, packed)
    return packed.view(texts, longest, width)


def _alike(lengths: Tensor) -> list[Tensor]:
    """Sorted lengths [B], cut where a text is no longer like the first of its group."""
    found: list[int] = lengths.tolist()
    starts = [0]
    for place, length in enumerate(found):
        if length > MAX_LENGTH_RATIO * found[starts[-1]]:
            starts.append(place)
    return list(torch.tensor_split(lengths, starts[1:]))


def _group(lengths: Tensor) -> Group:
    """The group of texts of these sorted lengths [G]."""
    if len(lengths) == 0:
        return Group(0, 1, None)
    texts, longest = len(lengths), int(lengths[-1])
    if int(lengths[0]) == longest:
        return Group(texts, longest, None)
    filled = torch.arange(longest, device=lengths.device) < lengths[:, None]  # [G, L]
    return Group(texts, longest, filled.flatten().nonzero()[:, 0])
