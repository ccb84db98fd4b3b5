"""A task's rows as an endless sequence of batches: every row once a pass, in an order nobody can predict."""

import math

import numpy as np
import pytest

from minbert.schedules import Rows, Stream


def lengths_of(rows: int, kind: str) -> Rows | None:
    if kind == "none":
        return None
    generator = np.random.default_rng(5)
    return {
        "equal": np.full(rows, 9),
        "distinct": generator.permutation(rows),
        "like text": np.ceil(np.exp(generator.normal(2.7, 0.5, rows))).astype(np.int64),
    }[kind]


LENGTHS = pytest.mark.parametrize("kind", ["none", "equal", "distinct", "like text"])


@LENGTHS
@pytest.mark.parametrize(("rows", "batch_size"), [(1, 1), (1, 8), (5, 8), (8, 8), (9, 8), (37, 8), (300, 4), (301, 4)])
def test_a_pass_holds_every_row_once_in_batches_of_the_size_asked_for(rows: int, batch_size: int, kind: str) -> None:
    stream = Stream(11, rows, batch_size, lengths_of(rows, kind))
    assert stream.batches == math.ceil(rows / batch_size)
    full, rest = divmod(rows, batch_size)
    for number in range(3):
        batches = [stream.batch(number * stream.batches + place) for place in range(stream.batches)]
        assert sorted(np.concatenate(batches).tolist()) == list(range(rows))
        assert sorted(map(len, batches), reverse=True) == [batch_size] * full + [rest] * (rest > 0)


@LENGTHS
def test_a_batch_asked_alone_is_the_batch_of_the_sequence(kind: str) -> None:
    lengths = lengths_of(37, kind)
    stream = Stream(2, 37, 8, lengths)
    in_turn = [stream.batch(number).tolist() for number in range(15)]
    assert [Stream(2, 37, 8, lengths).batch(number).tolist() for number in range(15)] == in_turn
    assert [stream.batch(number).tolist() for number in reversed(range(15))] == in_turn[::-1]


@LENGTHS
def test_the_order_differs_from_pass_to_pass_and_from_seed_to_seed(kind: str) -> None:
    def order(seed: int, number: int) -> tuple[int, ...]:
        stream = Stream(seed, 37, 4, lengths_of(37, kind))
        return tuple(np.concatenate([stream.batch(number * stream.batches + i) for i in range(stream.batches)]))

    orders = {order(seed, number) for seed in range(4) for number in range(4)}
    assert len(orders) == 16


@pytest.mark.parametrize("rows", [200, 1000, 3000])
def test_batches_by_length_save_most_of_the_padding(rows: int) -> None:
    lengths = lengths_of(rows, "like text")
    assert lengths is not None

    def padding(stream: Stream) -> float:
        batches = [stream.batch(number) for number in range(5 * stream.batches)]
        return float(np.mean([len(batch) * lengths[batch].max() - lengths[batch].sum() for batch in batches]))

    assert padding(Stream(1, rows, 16, lengths)) < 0.35 * padding(Stream(1, rows, 16))


PASSES = 3000


def far(shares: np.ndarray, expected: float) -> float:
    """How many standard errors the farthest of some shares of `PASSES` lies from what is expected."""
    return float(np.abs(shares - expected).max() / math.sqrt(expected * (1 - expected) / PASSES))


@pytest.mark.parametrize("kind", ["none", "distinct"])
def test_over_many_passes_every_row_comes_at_every_time_with_every_other_row(kind: str) -> None:
    """The longest row too: neither its place, nor the size of its batch, nor its mates are fixed."""
    rows, size = 23, 4
    stream = Stream(1, rows, size, lengths_of(rows, kind))
    place, short = np.zeros((rows, stream.batches)), np.zeros(rows)
    together = np.zeros((rows, rows))
    for number in range(PASSES * stream.batches):
        batch = stream.batch(number)
        place[batch, number % stream.batches] += 1
        short[batch] += len(batch) < size
        together[np.ix_(batch, batch)] += 1
    middle = place[:, : stream.batches - 1] / PASSES
    assert far(middle, size / rows if kind == "none" else 1 / stream.batches) < 5
    assert far(short / PASSES, (rows % size) / rows) < 5
    mates = (together / PASSES)[~np.eye(rows, dtype=bool)]
    assert mates.min() > 0.01
    assert mates.max() < (0.2 if kind == "none" else 0.5)


@pytest.mark.parametrize(("rows", "size"), [(64, 16), (512, 16), (2000, 16)])
def test_two_rows_of_like_length_do_not_always_share_a_batch(rows: int, size: int) -> None:
    """The two longest rows are the likeliest pair; a sorted pass would never part them."""
    stream = Stream(1, rows, size, np.arange(rows))
    batches = [set(stream.batch(number).tolist()) for number in range(100 * stream.batches)]
    assert sum({rows - 1, rows - 2} <= batch for batch in batches) < 50
