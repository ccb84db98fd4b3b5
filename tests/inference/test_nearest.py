"""Exact nearest neighbours in blocks, against the whole matrix of cosines, row by row."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minbert.inference import nearest as nearest_module
from minbert.inference.nearest import Neighbours, Vectors, nearest, nearest_among

RNG = np.random.default_rng(0)


def literal(scores: Vectors, count: int, floor: float) -> Neighbours:
    """The whole matrix sorted: by score, then by place."""
    places = np.full((len(scores), count), -1)
    cosines = np.full((len(scores), count), -np.inf, dtype=np.float32)
    for query, row in enumerate(scores):
        ranked = sorted((place for place in range(len(row)) if row[place] >= floor), key=lambda p: (-row[p], p))
        for column, place in enumerate([place for place in ranked if row[place] > -np.inf][:count]):
            places[query, column], cosines[query, column] = place, row[place]
    return Neighbours(places, cosines)


def whole(vectors: Vectors) -> Vectors:
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -np.inf)
    return scores


def assert_equal(found: Neighbours, expected: Neighbours) -> None:
    np.testing.assert_array_equal(found.places, expected.places)
    np.testing.assert_array_equal(found.cosines, expected.cosines)


@given(
    st.integers(0, 23), st.integers(0, 9), st.integers(1, 12), st.integers(1, 9), st.sampled_from([-np.inf, -1.0, 0, 3])
)
def test_places_and_ties_are_those_of_the_whole_matrix(
    rows: int, queries: int, count: int, block: int, floor: float
) -> None:
    """Small whole numbers multiply exactly in any order, so that ties are ties: among them many equal vectors and
    zeros."""
    generator = np.random.default_rng(rows * 1000 + queries * 100 + count * 10 + block)
    vectors = generator.integers(-1, 2, (rows, 3)).astype(np.float32)
    asked = generator.integers(-1, 2, (queries, 3)).astype(np.float32)
    k = min(count, rows)
    assert_equal(nearest(asked, vectors, count, floor, block), literal(asked @ vectors.T, k, floor))
    k = max(0, min(count, rows - 1))
    assert_equal(nearest_among(vectors, count, floor, block), literal(whole(vectors), k, floor))


FAMILIES = {
    "random": RNG.standard_normal((211, 16)),
    "all equal": np.ones((130, 16)),
    "zeros": np.zeros((130, 16)),
    "some zeros": RNG.standard_normal((130, 16)) * (np.arange(130) % 7 > 0)[:, None],
    "pairs of equal ones": np.repeat(RNG.standard_normal((70, 16)), 2, axis=0),
    "few directions": RNG.standard_normal((5, 16))[RNG.integers(0, 5, 150)],
    "one": np.ones((1, 16)),
    "none": np.ones((0, 16)),
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("block", [16, 1024])
def test_cosines_are_those_of_the_whole_matrix(family: str, block: int) -> None:
    vectors = FAMILIES[family]
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = np.divide(vectors, lengths, where=lengths > 0, out=np.zeros_like(vectors)).astype(np.float32)
    k = max(0, min(10, len(vectors) - 1))
    found, scores = nearest_among(vectors, 10, block=block), whole(vectors)
    np.testing.assert_allclose(found.cosines, literal(scores, k, -np.inf).cosines, atol=1e-6)
    for query, (places, cosines) in enumerate(zip(found.places, found.cosines, strict=True)):
        assert len({*places.tolist(), query}) == k + 1  # each once, and never the query itself
        np.testing.assert_allclose(scores[query, places], cosines, atol=1e-6)


def test_a_floor_leaves_places_empty_and_takes_what_lies_on_it() -> None:
    vectors = np.array([[1, 0], [0.5, 0], [0.25, 0], [0, 1]], dtype=np.float32)
    found = nearest(vectors[:1], vectors, 4, floor=0.5)
    assert found.places.tolist() == [[0, 1, -1, -1]]
    query, place, cosines = found.listed()
    assert (query.tolist(), place.tolist(), cosines) == ([0, 0], [0, 1], [1.0, 0.5])


def test_rounding_lifts_no_listed_cosine_beyond_one() -> None:
    vectors = np.full((3, 7), np.float32(1) / np.sqrt(np.float32(7)) * np.float32(1.000001))
    assert nearest_among(vectors, 2).cosines.max() > 1
    assert set(nearest_among(vectors, 2).listed()[2]) == {1.0}


@pytest.mark.parametrize("search", [nearest_among, lambda v, k, block: nearest(v, v, k, block=block)])
def test_no_array_is_larger_than_a_block_of_cosines_or_the_answer(
    search: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every product, comparison and sorting goes by way of `offer`: what it is given is what is in memory."""
    sizes: list[tuple[int, int]] = []
    offer, merge = nearest_module._Best.offer, nearest_module._Best._merge

    def watched(self: nearest_module._Best, rows: slice, columns: slice, scores: torch.Tensor) -> None:
        sizes.append((scores.shape[0], scores.shape[1]))
        offer(self, rows, columns, scores)

    def merged(self: nearest_module._Best, row: np.ndarray, place: np.ndarray, score: np.ndarray) -> None:
        assert len(row) <= 64 * 64
        merge(self, row, place, score)

    monkeypatch.setattr(nearest_module._Best, "offer", watched)
    monkeypatch.setattr(nearest_module._Best, "_merge", merged)
    vectors = RNG.standard_normal((1000, 8)).astype(np.float32)
    found = search(vectors, 5, block=64)  # type: ignore[operator]
    assert max(max(size) for size in sizes) <= 64
    assert sum(rows * columns for rows, columns in sizes) >= 1000 * 1000  # every two were compared
    assert found.places.shape == (1000, 5)


def test_later_blocks_are_sorted_in_only_where_they_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """What makes it fast: of a million cosines nearly all are passed over by one comparison."""
    kept = []
    merge = nearest_module._Best._merge
    monkeypatch.setattr(
        nearest_module._Best, "_merge", lambda self, row, *more: kept.append(len(row)) or merge(self, row, *more)
    )
    nearest_among(RNG.standard_normal((1000, 8)).astype(np.float32), 5, block=100)
    assert sum(kept) < 1000 * 1000 / 20
