"""Texts and labels -> which examples are held back from training, once or part by part; no text stands on both sides.

The choice depends on texts and labels alone: not on a seed, nor on the order of the rows. Letters: N examples.
"""

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

STRATA = 5

Places = NDArray[np.intp]


def hold_back(
    texts: Sequence[Sequence[str]], labels: NDArray[np.float64], count: int, is_regression: bool
) -> NDArray[np.bool_]:
    """Of N examples those to hold back [N], `count` of them; `texts` holds one list [N] per text column.

    Examples that share a text, but for case and blanks, stay on one side; every label, or fifth of the scores, gives
    its share. A group that does not fit into what is still wanted stays where it is, so where groups are large a few
    less than `count` may be held back.
    """
    strata = _fifths(labels) if is_regression else np.unique(labels, return_inverse=True)[1]
    wanted = _shares(np.bincount(strata), count)
    held = np.zeros(len(labels), dtype=bool)
    for members in _by_digest(texts, _groups(texts)):
        counts = np.bincount(strata[members], minlength=len(wanted))
        if (counts <= wanted).all():
            wanted -= counts
            held[members] = True
    return held


def divide(texts: Sequence[Sequence[str]], labels: NDArray[np.float64], parts: int, is_regression: bool) -> Places:
    """The part [N] of each of N examples, from 1; every one of `parts` could be held back in its turn.

    Examples that share a text, but for case and blanks, are in one part; every label, or fifth of the scores, is spread
    over all. The largest groups are placed first, each where most of its labels are still wanted.
    """
    strata = _fifths(labels) if is_regression else np.unique(labels, return_inverse=True)[1]
    wanted = np.tile(np.bincount(strata) / parts, (parts, 1))  # [parts, strata]
    chosen = np.zeros(len(labels), dtype=np.intp)
    for members in sorted(_by_digest(texts, _groups(texts)), key=len, reverse=True):
        counts = np.bincount(strata[members], minlength=wanted.shape[1])
        part = int(np.argmax(np.round(wanted @ counts, 6)))  # rounded: the first of equals, on every machine
        wanted[part] -= counts
        chosen[members] = part + 1
    return chosen


def _groups(texts: Sequence[Sequence[str]]) -> NDArray[np.int32]:
    """A number [N] for each example: the same where a text, or a chain of texts, is shared."""
    number: dict[str, int] = {}
    columns = [[number.setdefault(folded(text), len(number)) for text in column] for column in texts]
    rows = len(columns[0])
    edges = [(rows + text, row) for column in columns for row, text in enumerate(column)]  # a text to its rows
    at, to = np.array(edges).T
    nodes = rows + len(number)
    _, labels = connected_components(coo_array((np.ones(len(at)), (at, to)), shape=(nodes, nodes)), directed=False)
    groups: NDArray[np.int32] = labels[:rows]
    return groups


def folded(text: str) -> str:
    """A text without its case, and without blanks beyond one between words: texts that agree in it are the same."""
    return " ".join(text.casefold().split())


def _fifths(scores: NDArray[np.float64]) -> Places:
    """The fifth [N] of all scores, by rank, that each one is in."""
    ends = np.quantile(scores, np.linspace(0, 1, STRATA + 1)[1:-1])
    return np.asarray(np.searchsorted(ends, scores, side="right"), dtype=np.intp)


def _shares(sizes: Places, count: int) -> Places:
    """`count` divided as the sizes are, in whole numbers; the largest remainders get what is left."""
    exact = sizes * count / sizes.sum()
    shares: Places = np.floor(exact).astype(np.intp)
    shares[np.argsort(shares - exact, kind="stable")[: count - shares.sum()]] += 1
    return shares


def _by_digest(texts: Sequence[Sequence[str]], groups: NDArray[np.int32]) -> Iterator[Places]:
    """The members of each group, the groups in an order that their texts alone decide."""
    digests = [hashlib.sha256("\n".join(map(folded, row)).encode()).digest() for row in zip(*texts, strict=True)]
    members: dict[int, list[int]] = {}
    for place in sorted(range(len(digests)), key=lambda place: digests[place]):
        members.setdefault(int(groups[place]), []).append(place)
    return map(np.array, members.values())
