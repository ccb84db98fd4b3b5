"""Texts and a model -> which of them are duplicates, or most like a query: near by vectors, judged by a pair head.

Letters in shapes: N texts, Q queries, P pairs, k neighbours.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from minbert.errors import InputError
from minbert.holdout import folded
from minbert.inference.judging import Compared, PairHead, threshold_of
from minbert.inference.nearest import Neighbours, Places, nearest, nearest_among
from minbert.labels import is_blank
from minbert.model import MultitaskModel

LIMIT = 100_000  # texts that are compared with each other: exact search takes time by the square of them
NEIGHBOURS = 10
MIN_COSINE = 0.5
COMPARISONS = LIMIT**2  # of a query with a text


@dataclass(frozen=True)
class Pair:
    """Two duplicates, by their places among the texts, `first` < `second`.

    `score` is the pair head's, a probability or a score, the mean of both orders; None without a head. Texts that are
    the same but for case and blanks have neither cosine nor score. Pairs that hang together have one `group`, from 1.
    `truncated` where one of the two was judged without its end.
    """

    first: int
    second: int
    cosine: float | None
    score: float | None
    group: int = 0
    truncated: bool = False


@dataclass(frozen=True)
class Hit:
    """A text that is like a query, by their places; `rank` counts from 1; `truncated` where one of the two was cut."""

    query: int
    rank: int
    place: int
    cosine: float
    score: float | None
    truncated: bool = False


def duplicates(
    model: MultitaskModel,
    texts: Sequence[str],
    head: PairHead | None = None,
    threshold: float | None = None,
    neighbours: int = NEIGHBOURS,
    min_cosine: float | None = None,
) -> list[Pair]:
    """The pairs of duplicates, surest first. Blank texts are left out.

    Texts that are the same but for case and blanks are each paired with the first of them. Of the different texts the
    candidates are the k nearest neighbours of each, of `min_cosine` at least, which is MIN_COSINE unless given; a pair
    head's score decides by `threshold`. Without a head their cosine decides, by the larger of the two. Raises
    InputError for too many texts, ModelError where a threshold is needed.
    """
    check_size(texts)
    firsts, same = _same(texts)
    least = threshold_of(model, head, threshold)
    compared = Compared(model, [texts[place] for place in firsts], head)
    floors = [] if min_cosine is None else [min_cosine]
    floor = max([*floors, least]) if head is None else max(floors, default=MIN_COSINE)
    found = nearest_among(compared.vectors, neighbours, floor)
    first, second, cosines = _pairs_of(found)
    judged = zip(first, second, cosines, compared.scores(first, second), strict=True)
    cut = compared.cut
    pairs = [Pair(firsts[a], firsts[b], cos, score, truncated=bool(cut[a] | cut[b])) for a, b, cos, score in judged]
    pairs = [pair for pair in pairs if pair.score is None or pair.score >= least]
    return _grouped(sorted([*same, *pairs], key=_surest), len(texts))


def similar(
    model: MultitaskModel,
    texts: Sequence[str],
    queries: Sequence[str],
    head: PairHead | None = None,
    count: int = NEIGHBOURS,
) -> list[Hit]:
    """For every query the `count` texts of the highest cosine, in the order of the pair head's scores, or without one
    of their cosines. Blank texts and queries are left out. Raises InputError for too many of both."""
    check_product(texts, queries)
    places = [place for place, text in enumerate(texts) if not is_blank(text)]
    asked = [place for place, query in enumerate(queries) if not is_blank(query)]
    compared = Compared(model, [texts[place] for place in places] + [queries[place] for place in asked], head)
    N = len(places)
    found = nearest(compared.vectors[N:], compared.vectors[:N], count)
    query, place, cosines = found.listed()
    judged = zip(query, place, cosines, compared.scores(query + N, place), strict=True)
    cut = compared.cut
    return _ranked([Hit(asked[q], 0, places[p], cos, score, bool(cut[q + N] | cut[p])) for q, p, cos, score in judged])


def count_full(pairs: Sequence[Pair], texts: Sequence[str], neighbours: int) -> int:
    """How many texts have as many duplicates as neighbours were looked at, so that they may have more."""
    others = len({folded(text) for text in texts if not is_blank(text)}) - 1
    found = Counter(place for pair in pairs if pair.cosine is not None for place in (pair.first, pair.second))
    return sum(count >= neighbours for count in found.values()) if others > neighbours else 0


def check_size(texts: Sequence[str], where: str = "") -> None:
    """Raises InputError where exact search would take too long; blank texts do not count."""
    count = sum(not is_blank(text) for text in texts)
    if count > LIMIT:
        raise InputError(
            f"{where}{count:,} texts are more than the {LIMIT:,} that are compared with each other; search in parts"
        )


def check_product(texts: Sequence[str], queries: Sequence[str], where: str = "") -> None:
    """Raises InputError where to compare every query with every text would take too long."""
    by_text, by_query = (sum(not is_blank(one) for one in some) for some in (texts, queries))
    if by_text * by_query > COMPARISONS:
        raise InputError(
            f"{where}{by_query:,} queries by {by_text:,} texts are more than {COMPARISONS:,} comparisons; search in "
            "parts"
        )


def _same(texts: Sequence[str]) -> tuple[list[int], list[Pair]]:
    """The place of every different text's first row, and a pair of each later row of it with the first."""
    first: dict[str, int] = {}
    pairs = []
    for place, text in enumerate(texts):
        if is_blank(text):
            continue
        earlier = first.setdefault(folded(text), place)
        if earlier != place:
            pairs.append(Pair(earlier, place, None, None))
    return list(first.values()), pairs


def _pairs_of(found: Neighbours) -> tuple[Places, Places, list[float]]:
    """Every two vectors [P] of which one is among the nearest of the other, once, the lower place first."""
    one, other, cosines = found.listed()
    first, second = np.minimum(one, other), np.maximum(one, other)
    _, kept = np.unique(first * len(found.places) + second, return_index=True)
    return first[kept], second[kept], [cosines[place] for place in kept]


def _surest(pair: Pair) -> tuple[float, float, int, int]:
    """Sorts texts that are the same first, then by score, then by cosine, then by place."""
    score = np.inf if pair.cosine is None else pair.cosine if pair.score is None else pair.score
    return -score, -(pair.cosine or 0.0), pair.first, pair.second


def _grouped(pairs: list[Pair], texts: int) -> list[Pair]:
    """The pairs with their groups: what hangs together by pairs, numbered as they first appear."""
    if not pairs:
        return []
    first, second = [pair.first for pair in pairs], [pair.second for pair in pairs]
    links = coo_array((np.ones(len(pairs)), (first, second)), shape=(texts, texts))
    component = connected_components(links, directed=False)[1]
    numbers: dict[int, int] = {}
    return [replace(pair, group=numbers.setdefault(int(component[pair.first]), len(numbers) + 1)) for pair in pairs]


def _ranked(hits: Iterable[Hit]) -> list[Hit]:
    """The hits of each query in their order, which a head's scores may change."""
    ordered = sorted(hits, key=lambda hit: (hit.query, -(hit.cosine if hit.score is None else hit.score), -hit.cosine))
    seen: dict[int, int] = {}
    ranked = []
    for hit in ordered:
        seen[hit.query] = seen.get(hit.query, 0) + 1
        ranked.append(replace(hit, rank=seen[hit.query]))
    return ranked
