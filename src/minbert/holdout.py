"""Texts and strata -> which examples are held back from training, once or part by part; no text stands on both sides.

The choice depends on texts and strata alone: not on a seed, nor on the order of the rows. Letters: N examples.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

STRATA = 5

Places = NDArray[np.intp]
Members = NDArray[np.bool_]  # [N, K]: which of K strata an example is in


def hold_back(texts: Sequence[Sequence[str]], strata: Members, count: int) -> NDArray[np.bool_]:
    """Of N examples those to hold back [N], `count` of them; `texts` holds one list [N] per text column.

    Examples that share a text, but for case and blanks, stay on one side; every stratum (a class, or a fifth of the
    scores) gives its share. A group that does not fit into what is still wanted stays where it is, so where groups are
    large a few less than `count` may be held back; as well where an example may be in several strata.
    """
    members = _by_digest(texts, groups(texts))
    if (strata.sum(1) != 1).any():
        sides = _spread(members, strata, [count / len(strata), 1 - count / len(strata)])
        return np.asarray(sides == 0)
    wanted = _shares(strata.sum(0), count)
    held = np.zeros(len(strata), dtype=bool)
    for group in members:
        counts = strata[group].sum(0)
        if (counts <= wanted).all():
            wanted -= counts
            held[group] = True
    return held


def divide(texts: Sequence[Sequence[str]], strata: Members, parts: int) -> Places:
    """The part [N] of each of N examples, from 1; every one of `parts` could be held back in its turn.

    Examples that share a text, but for case and blanks, are in one part; every stratum is spread over all.
    """
    return _spread(_by_digest(texts, groups(texts)), strata, [1 / parts] * parts) + 1


def _spread(members: Iterable[Places], strata: Members, shares: Sequence[float]) -> Places:
    """The side [N], from 0, of every example, so that each side has its share of every stratum and of all examples.

    Iterative stratification (Sechidis et al. 2011) of groups: the largest are placed first, each where its strata, rare
    ones above all, are still wanted most, of equals where examples are; a side that is full takes none if another can.
    """
    sizes = np.maximum(strata.sum(0), 1)
    wanted = np.tile(1.0, (len(shares), strata.shape[1]))  # share of a side's own share that it still lacks
    room = np.round(len(strata) * np.array(shares), 9)  # examples
    sides = np.zeros(len(strata), dtype=np.intp)
    for group in sorted(members, key=len, reverse=True):
        counts = strata[group].sum(0) / sizes
        need = np.round(wanted @ counts, 9)  # rounded: the first of equals, on every machine
        is_full = room < len(group)
        side = int(np.lexsort((-np.round(room / shares, 9), -need, is_full))[0])
        wanted[side] -= counts / shares[side]
        room[side] -= len(group)
        sides[group] = side
    return sides


def groups(texts: Sequence[Sequence[str]]) -> NDArray[np.int32]:
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


def fifths(scores: NDArray[np.float64]) -> Members:
    """Which fifth of all scores, by rank, each one is in [N, 5]."""
    ends = np.quantile(scores, np.linspace(0, 1, STRATA + 1)[1:-1])
    return np.asarray(np.searchsorted(ends, scores, side="right")[:, None] == np.arange(STRATA))


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
