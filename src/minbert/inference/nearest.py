"""Vectors -> the nearest of them by cosine, exactly and in blocks, so that no matrix of all against all is in memory.

Letters in shapes: Q queries, N vectors, H hidden, k neighbours, B rows of a block, S scores that may count.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

BLOCK = 1024  # rows of a block: its B x B cosines are 4 MB; blocks of 512 and of 2048 were slower
CROWDED = 4  # times k scores a row; from here on it pays to look for the k-th best before sorting

Vectors = NDArray[np.float32]
Places = NDArray[np.intp]


@dataclass(frozen=True)
class Neighbours:
    """The nearest vectors of each query, the best first: `places` and `cosines` [Q, k].

    Of equal cosines the lower place comes first. Where there are less than k, the rest is place -1 and cosine -inf.
    """

    places: Places
    cosines: Vectors

    def listed(self) -> tuple[Places, Places, list[float]]:
        """Query, place and cosine of every neighbour there is [P], without what rounding adds beyond 1."""
        query, column = np.nonzero(self.places >= 0)
        return query, self.places[query, column], self.cosines[query, column].clip(-1, 1).tolist()


def nearest(queries: Vectors, vectors: Vectors, count: int, floor: float = -np.inf, block: int = BLOCK) -> Neighbours:
    """The `count` vectors [N, H] nearest to each query [Q, H], of cosine `floor` at least; all of length 1, or 0."""
    best = _Best(len(queries), min(count, len(vectors)), floor)
    for rows in _blocks(0, len(queries), block):
        for columns in _blocks(0, len(vectors), block):
            scores = torch.from_numpy(queries[rows]) @ torch.from_numpy(vectors[columns]).T  # [B, H] x [H, B]
            best.offer(rows, columns, scores)
    return best.neighbours()


def nearest_among(vectors: Vectors, count: int, floor: float = -np.inf, block: int = BLOCK) -> Neighbours:
    """The `count` nearest to each of the vectors [N, H] among the others; each block's cosines serve both sides."""
    best = _Best(len(vectors), max(0, min(count, len(vectors) - 1)), floor)
    for rows in _blocks(0, len(vectors), block):
        for columns in _blocks(rows.start, len(vectors), block):
            scores = torch.from_numpy(vectors[rows]) @ torch.from_numpy(vectors[columns]).T
            if rows == columns:
                best.offer(rows, columns, scores.fill_diagonal_(-torch.inf))
            else:
                best.offer(rows, columns, scores)
                best.offer(columns, rows, scores.T)
    return best.neighbours()


class _Best:
    """The k best of the scores that each row was offered so far. A row is offered lower places first, so that a later
    score counts only where it is above the k-th best."""

    def __init__(self, rows: int, k: int, floor: float) -> None:
        self.k = k
        self.cosines = np.full((rows, k), -np.inf, dtype=np.float32)
        self.places = np.full((rows, k), -1, dtype=np.intp)
        below = np.nextafter(np.float32(floor), np.float32(-np.inf))  # what is above it is the floor at least
        self.bounds = np.full(rows, below, dtype=np.float32)

    def offer(self, rows: slice, columns: slice, scores: torch.Tensor) -> None:
        """Takes the scores [B, B] of these rows with the vectors at these places."""
        if self.k == 0:
            return
        bounds = torch.from_numpy(self.bounds[rows])[:, None]
        row, column = _true_places(scores > bounds)  # [S] twice
        if len(row) > CROWDED * self.k * len(scores) and scores.shape[1] > self.k:
            kth = scores.topk(self.k, sorted=False).values.amin(1, keepdim=True)
            row, column = _true_places((scores >= kth) & (scores > bounds))
        if len(row):
            self._merge(row + rows.start, column + columns.start, scores[row, column].numpy())

    def _merge(self, row: Places, place: Places, score: Vectors) -> None:
        """Sorts new scores [S] in among the best of their rows."""
        touched = np.unique(row)
        rows = np.concatenate([np.repeat(touched, self.k), row])
        places = np.concatenate([self.places[touched].ravel(), place])
        scores = np.concatenate([self.cosines[touched].ravel(), score])
        order = np.lexsort((places, -scores, rows))
        starts = np.searchsorted(rows[order], touched)
        kept = order[starts[:, None] + np.arange(self.k)]  # [touched, k]
        self.places[touched], self.cosines[touched] = places[kept], scores[kept]
        self.bounds[touched] = np.maximum(self.bounds[touched], scores[kept[:, -1]])

    def neighbours(self) -> Neighbours:
        return Neighbours(self.places, self.cosines)


def _true_places(mask: torch.Tensor) -> tuple[Places, Places]:
    """Row and column of every true cell. numpy finds few among many faster than torch, where they lie in a row."""
    turned = not mask.is_contiguous()
    cells = mask.T.numpy() if turned else mask.numpy()
    row, column = np.divmod(np.flatnonzero(cells), max(1, cells.shape[1]))
    return (column, row) if turned else (row, column)


def _blocks(start: int, stop: int, size: int) -> list[slice]:
    return [slice(at, min(at + size, stop)) for at in range(start, stop, size)]
