"""What trains at step t, against loops that count it out; field report B13."""

import itertools
import math
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minbert.schedules import SCHEDULES, Draw, Epoch, Rows, Schedule, Stream, round_robin, simultaneous

SST, PARA, STS = range(3)
SSTFIRST = [SST, PARA, STS] * 3
SSTLAST = [STS, PARA, SST] * 3
SUM12 = [SST, PARA, STS, STS, SST, PARA, PARA, STS, SST]
TINY, HUGE, MIDDLE = 1, 125, 5  # batches of 8 in 5, 1,000 and 37 rows


def counted_out(cycle: tuple[Epoch, ...], accumulate: int) -> Iterator[tuple[int, list[Draw]]]:
    """The epoch and the draws of step 1, 2, 3, …, by walking all of them."""
    drawn: Counter[int] = Counter()
    for number in itertools.count(1):
        epoch = cycle[(number - 1) % len(cycle)]
        for _ in range(epoch.steps):
            yield number, [Draw(task, drawn[task], accumulate) for task in epoch.tasks]
            drawn.update(dict.fromkeys(epoch.tasks, accumulate))


EPOCHS = st.builds(Epoch, st.sampled_from([(0,), (1,), (2,), (0, 1), (2, 0, 1)]), st.integers(1, 6))
CYCLES = st.lists(EPOCHS, min_size=1, max_size=5).map(tuple)


@settings(max_examples=100, deadline=None)
@given(cycle=CYCLES, accumulate=st.integers(1, 3), epochs=st.integers(0, 12))
def test_a_step_asked_alone_is_the_step_that_counting_finds(
    cycle: tuple[Epoch, ...], accumulate: int, epochs: int
) -> None:
    schedule = Schedule(cycle, accumulate)
    walked = list(itertools.islice(counted_out(cycle, accumulate), 60))
    drawn: Counter[int] = Counter()
    for step, (epoch, draws) in enumerate(walked[:-1], start=1):
        assert schedule.epoch(step) == epoch
        assert schedule.draws(step) == draws
        assert schedule.is_epoch_end(step) == (walked[step][0] != epoch)
        assert {task: schedule.batches_before(task, step) for task in range(3)} == {t: drawn[t] for t in range(3)}
        drawn.update({draw.task: draw.count for draw in draws})
    within = [step for step, (epoch, _) in enumerate(walked, start=1) if epoch <= epochs]
    if len(within) < len(walked):
        assert schedule.last_step(epochs) == len(within)


@pytest.mark.parametrize("order", [SSTFIRST, SSTLAST, SUM12, [PARA]])
@pytest.mark.parametrize("cap", [None, 200, 3])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_round_robin_trains_one_task_an_epoch_in_the_given_order(
    order: list[int], cap: int | None, accumulate: int
) -> None:
    batches = [3, 7, 5]
    schedule = round_robin(batches, order, cap, accumulate)
    steps = [min(math.ceil(batches[task] / accumulate), cap or 1000) for task in order]
    expected = [task for task, count in zip(order, steps, strict=True) for _ in range(count)]
    assert schedule.last_step(len(order)) == len(expected)
    drawn = [schedule.draws(step) for step in range(1, 2 * len(expected) + 1)]
    assert [[draw.task for draw in draws] for draws in drawn] == [[task] for task in expected * 2]
    assert {draw.count for draws in drawn for draw in draws} == {accumulate}


def test_the_papers_orders_are_the_papers() -> None:
    schedule = round_robin([1, 1, 1], SUM12, None, 1)
    names = ["sst", "para", "sts"]
    found = [names[schedule.draws(step)[0].task] for step in range(1, 10)]
    assert ",".join(found) == "sst,para,sts,sts,sst,para,para,sts,sst"
    assert [schedule.draws(step)[0].first for step in range(1, 10)] == [0, 0, 0, 1, 1, 1, 2, 2, 2]


@pytest.mark.parametrize(
    ("cap", "accumulate", "order", "steps"),
    [
        (None, 1, [0, 1, 2], TINY),
        (200, 1, [0, 1, 2], TINY),  # a cap is an upper bound
        (None, 1, [1, 2], MIDDLE),
        (3, 1, [2, 1], 3),
        (None, 2, [1, 2], 3),
        (200, 1, [1], HUGE),
    ],
)
def test_simultaneous_trains_every_task_in_every_step_for_as_long_as_the_smallest_lasts(
    cap: int | None, accumulate: int, order: list[int], steps: int
) -> None:
    schedule = simultaneous([TINY, HUGE, MIDDLE], order, cap, accumulate)
    assert schedule.last_step(2) == 2 * steps
    for step in range(1, 2 * steps + 1):
        assert schedule.draws(step) == [Draw(task, (step - 1) * accumulate, accumulate) for task in order]
        assert schedule.epoch(step) == 1 + (step > steps)


@pytest.mark.parametrize("cap", [None, 200])
def test_round_robin_over_a_tiny_a_huge_and_a_middling_task(cap: int | None) -> None:
    """Field report B13: 5, 1,000 and 37 rows in batches of 8, two epochs of each task."""
    schedule = round_robin([TINY, HUGE, MIDDLE], [0, 1, 2], cap, 1)
    sizes = [5, 1000, 37]
    streams = [Stream(seed, rows, 8) for seed, rows in enumerate(sizes)]
    assert [stream.batches for stream in streams] == [TINY, HUGE, MIDDLE]
    seen: list[Counter[int]] = [Counter() for _ in sizes]
    for step in range(1, schedule.last_step(6) + 1):
        for draw in schedule.draws(step):
            seen[draw.task].update(streams[draw.task].batch(draw.first).tolist())
    assert seen == [Counter(dict.fromkeys(range(rows), 2)) for rows in sizes]


@pytest.mark.parametrize("kind", SCHEDULES)
@pytest.mark.parametrize("batching", ["random", "length"])
@pytest.mark.parametrize(("cap", "accumulate"), [(None, 1), (3, 1), (None, 2), (2, 3)])
def test_no_row_comes_again_before_all_have_come(kind: str, batching: str, cap: int | None, accumulate: int) -> None:
    """A capped epoch goes on where the last one stopped, and so does one whose updates run over a pass's end."""
    sizes = [5, 80, 37]
    lengths = [np.arange(rows) % 7 if batching == "length" else None for rows in sizes]
    streams = [Stream(task, rows, 8, lengths[task]) for task, rows in enumerate(sizes)]
    schedule = SCHEDULES[kind]([stream.batches for stream in streams], [0, 1, 2], cap, accumulate)
    seen: list[Counter[int]] = [Counter(dict.fromkeys(range(rows), 0)) for rows in sizes]
    for step in range(1, schedule.last_step(9) + 1):
        for draw in schedule.draws(step):
            for number in range(draw.first, draw.first + draw.count):
                seen[draw.task].update(streams[draw.task].batch(number).tolist())
        assert all(max(counts.values()) - min(counts.values()) <= 1 for counts in seen)
    assert all(max(counts.values()) for counts in seen)


def test_a_capped_epoch_goes_on_with_unseen_rows() -> None:
    schedule, stream = simultaneous([HUGE], [0], 4, 1), Stream(3, 1000, 8)

    def rows_of(epoch: int) -> set[int]:
        steps = [step for step in range(1, 40) if schedule.epoch(step) == epoch]
        return {int(row) for step in steps for row in stream.batch(schedule.draws(step)[0].first)}

    assert [len(rows_of(epoch)) for epoch in (1, 2, 3)] == [32] * 3
    assert not rows_of(1) & rows_of(2)
    assert not (rows_of(1) | rows_of(2)) & rows_of(3)


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
