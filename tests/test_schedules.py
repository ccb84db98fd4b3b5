"""What trains at step t, against loops that count it out; field report B13."""

import itertools
import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layouts import ROWS, epoch_lengths, lay_out, tasks
from minbert.schedules import SCHEDULES, Draw, Stream

SST, PARA, STS = range(3)
SSTFIRST = [SST, PARA, STS] * 3
SSTLAST = [STS, PARA, SST] * 3
SUM12 = [SST, PARA, STS, STS, SST, PARA, PARA, STS, SST]
REPEATING = ["simultaneous", "round-robin", "alternating"]


# What holds for every kind.
@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    rows = draw(st.lists(st.sampled_from([1, 2, 5, 8, 9, 37, 90]), min_size=1, max_size=4))
    kind = draw(st.sampled_from(list(SCHEDULES)))
    turns = kind in ("round-robin", "alternating")
    order = draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=6, unique=not turns))
    return {
        "kind": kind,
        "rows": rows,
        "order": order,
        "accumulate": draw(st.integers(1, 3)),
        "cap": draw(st.none() | st.integers(1, 12)),
        "scale": draw(st.just(1.0) | st.floats(0, 1, exclude_min=True)),
        "seed": draw(st.integers(0, 3)),
        "epochs": draw(st.none() | st.integers(0, 4)),
        "max_steps": draw(st.integers(0, 40)),
    }


@given(case=cases(), asked=st.lists(st.integers(1, 60), max_size=8), epochs=st.integers(0, 6))
def test_a_step_asked_alone_is_the_step_that_counting_finds(
    case: dict[str, Any], asked: list[int], epochs: int
) -> None:
    """Each question goes to a schedule that was asked nothing else, as after a resume, and to one asked at random."""
    walked, jumped, drawn = lay_out(**case), lay_out(**case), Counter[int]()
    walk: list[tuple[int, list[Draw], dict[int, int]]] = []
    for step in range(1, 62):
        draws = walked.draws(step)
        walk.append((walked.epoch(step), draws, dict(drawn)))
        assert draws == [Draw(draw.task, drawn[draw.task], case["accumulate"]) for draw in draws]
        drawn.update({draw.task: draw.count for draw in draws})
    for step in asked:
        epoch, draws, before = walk[step - 1]
        assert lay_out(**case).draws(step) == jumped.draws(step) == draws
        assert lay_out(**case).epoch(step) == jumped.epoch(step) == epoch
        assert jumped.is_epoch_end(step) == (walk[step][0] == epoch + 1) == (walk[step][0] != epoch)
        for task in range(len(case["rows"])):
            fresh = lay_out(**case)
            assert fresh.batches_before(task, step) == jumped.batches_before(task, step) == before.get(task, 0)
    inside = [epoch for epoch, _, _ in walk if epoch <= epochs]
    if len(inside) < len(walk):
        assert jumped.last_step(epochs) == len(inside)


@pytest.mark.parametrize("kind", SCHEDULES)
def test_far_ahead_is_no_different(kind: str) -> None:
    schedule = lay_out(kind, cap=4, epochs=400)
    last = schedule.last_step(400)
    drawn: Counter[int] = Counter()
    for step in range(1, last + 1):
        drawn.update({draw.task: draw.count for draw in schedule.draws(step)})
    asked = lay_out(kind, cap=4, epochs=400)
    assert [asked.batches_before(task, last + 1) for task in range(3)] == [drawn[task] for task in range(3)]
    assert lay_out(kind, cap=4, epochs=400).draws(last) == schedule.draws(last)


@pytest.mark.parametrize("kind", REPEATING)
def test_a_repeating_schedule_answers_at_once_however_far_ahead(kind: str) -> None:
    schedule = lay_out(kind)
    last = schedule.last_step(3 * 10**12)
    counts = [schedule.batches_before(task, last + 1) for task in range(3)]
    assert counts == [10**12 * schedule.batches_before(task, schedule.last_step(3) + 1) for task in range(3)]
    assert schedule.draws(last + 1) == [Draw(draw.task, counts[draw.task], 1) for draw in schedule.draws(1)]


# How often each row comes, over whole runs. Batches of the three tasks, as far as no chance decides.
@pytest.mark.parametrize(
    ("kind", "changes", "epochs", "batches"),
    [
        ("simultaneous", {}, 2, [2, 2, 2]),
        ("simultaneous", {"cap": 200}, 2, [2, 2, 2]),  # a cap is an upper bound
        ("simultaneous", {"order": [2, 1]}, 2, [0, 10, 10]),
        ("simultaneous", {"order": [2, 1], "cap": 3}, 4, [0, 12, 12]),
        ("simultaneous", {"order": [1, 2], "accumulate": 2}, 2, [0, 12, 12]),
        ("simultaneous", {"order": [1], "cap": 200}, 2, [0, 250, 0]),
        ("round-robin", {}, 6, [2, 250, 10]),
        ("round-robin", {"cap": 200}, 6, [2, 250, 10]),
        ("round-robin", {"cap": 3}, 6, [2, 6, 6]),
        ("round-robin", {"accumulate": 2}, 6, [4, 252, 12]),
        ("round-robin", {"order": [0, 1, 0]}, 6, [4, 250, 0]),
        ("alternating", {}, 2, [2, 2, 2]),
        ("alternating", {"cap": 200}, 2, [2, 2, 2]),
        ("alternating", {"cap": 2}, 3, [2, 2, 2]),
        ("alternating", {"order": [1, 2, 1]}, 2, [0, 20, 10]),
        ("alternating", {"order": [1, 2, 2]}, 2, [0, 6, 12]),
        ("alternating", {"order": [1, 2], "accumulate": 2}, 2, [0, 12, 12]),
        ("proportional", {}, 2, None),
        ("proportional", {"cap": 100}, 9, None),
        ("proportional", {"order": [2, 0], "accumulate": 3}, 9, None),
        ("annealed", {}, 2, None),
        ("annealed", {"cap": 100}, 9, None),
        ("annealed", {"order": [2, 0], "accumulate": 3}, 9, None),
    ],
)
@pytest.mark.parametrize("batching", ["random", "length"])
def test_every_row_comes_as_often_as_its_tasks_batches_say(
    kind: str, changes: dict[str, Any], epochs: int, batches: list[int] | None, batching: str
) -> None:
    """Nothing comes again before all of its task has come, over the ends of epochs and passes alike."""
    schedule = lay_out(kind, **changes)
    lengths = [np.arange(rows) % 7 if batching == "length" else None for rows in ROWS]
    streams = [Stream(task, rows, 8, lengths[task]) for task, rows in enumerate(ROWS)]
    seen = [np.zeros(rows, dtype=int) for rows in ROWS]
    last = schedule.last_step(epochs)
    for step in range(1, last + 1):
        for draw in schedule.draws(step):
            for number in range(draw.first, draw.first + draw.count):
                np.add.at(seen[draw.task], streams[draw.task].batch(number), 1)
        assert all(counts.max() - counts.min() <= 1 for counts in seen)
    planned = [schedule.batches_before(task, last + 1) for task in range(3)]
    if batches is None:
        assert sum(planned) == last * changes.get("accumulate", 1)
    else:
        assert planned == batches
    for counts, stream, number in zip(seen, streams, planned, strict=True):
        passes, rest = divmod(number, stream.batches)
        again = sum(len(stream.batch(passes * stream.batches + place)) for place in range(rest))
        assert Counter(counts.tolist()) == Counter([passes + 1] * again + [passes] * (stream.rows - again))


def test_a_capped_epoch_goes_on_with_unseen_rows() -> None:
    schedule, stream = lay_out("simultaneous", order=[1], cap=4), Stream(3, 1000, 8)

    def rows_of(epoch: int) -> set[int]:
        steps = [step for step in range(1, 40) if schedule.epoch(step) == epoch]
        return {int(row) for step in steps for row in stream.batch(schedule.draws(step)[0].first)}

    assert [len(rows_of(epoch)) for epoch in (1, 2, 3)] == [32] * 3
    assert not rows_of(1) & rows_of(2)
    assert not (rows_of(1) | rows_of(2)) & rows_of(3)


# Round robin.
@pytest.mark.parametrize("order", [SSTFIRST, SSTLAST, SUM12, [PARA], [PARA, PARA, SST]])
@pytest.mark.parametrize("cap", [None, 200, 3])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_round_robin_trains_one_task_an_epoch_in_the_given_order(
    order: list[int], cap: int | None, accumulate: int
) -> None:
    batches = [3, 7, 5]
    schedule = lay_out("round-robin", batches, order, size=1, cap=cap, accumulate=accumulate)
    steps = [min(math.ceil(batches[task] / accumulate), cap or 1000) for task in order]
    expected = [task for task, count in zip(order, steps, strict=True) for _ in range(count)]
    assert epoch_lengths(schedule, 2 * len(order)) == steps * 2
    assert schedule.last_step(len(order)) == len(expected)
    assert tasks(schedule, 1, 2 * len(expected)) == expected * 2
    assert {draw.count for step in range(1, 40) for draw in schedule.draws(step)} == {accumulate}


@pytest.mark.parametrize(
    ("order", "names"),
    [
        (SSTFIRST, "sst,para,sts,sst,para,sts,sst,para,sts"),
        (SSTLAST, "sts,para,sst,sts,para,sst,sts,para,sst"),
        (SUM12, "sst,para,sts,sts,sst,para,para,sts,sst"),
    ],
)
def test_the_papers_orders_are_the_papers(order: list[int], names: str) -> None:
    """Its data in batches of 8, an epoch capped at 200: 600 batches of each task in nine epochs."""
    schedule = lay_out("round-robin", [8544, 141498, 6040], order, cap=200)
    found = tasks(schedule, 1, 1800)
    assert ",".join(["sst", "para", "sts"][found[step]] for step in range(0, 1800, 200)) == names
    assert all(len(set(found[start : start + 200])) == 1 for start in range(0, 1800, 200))
    assert schedule.last_step(9) == 1800
    assert [schedule.batches_before(task, 1801) for task in range(3)] == [600] * 3


# Simultaneous.
@pytest.mark.parametrize(
    ("changes", "order", "steps"),
    [
        ({}, [0, 1, 2], 1),
        ({"cap": 200}, [0, 1, 2], 1),
        ({}, [1, 2], 5),
        ({"cap": 3}, [2, 1], 3),
        ({"accumulate": 2}, [1, 2], 3),
        ({"cap": 200}, [1], 125),
    ],
)
def test_simultaneous_trains_every_task_in_every_step_for_as_long_as_the_smallest_lasts(
    changes: dict[str, int], order: list[int], steps: int
) -> None:
    schedule, count = lay_out("simultaneous", order=order, **changes), changes.get("accumulate", 1)
    assert epoch_lengths(schedule, 2) == [steps] * 2
    for step in range(1, 2 * steps + 1):
        assert schedule.draws(step) == [Draw(task, (step - 1) * count, count) for task in order]


def test_without_a_cap_an_epoch_has_the_papers_minimum_of_batches() -> None:
    schedule = lay_out("simultaneous", [8544, 141498, 6040])
    assert [schedule.last_step(epochs) for epochs in (1, 9)] == [755, 9 * 755]


# Alternating.
@pytest.mark.parametrize(
    ("changes", "order", "steps"),
    [
        ({}, [0, 1, 2], 3),  # one batch of the tiny task is a pass
        ({}, [1, 2], 10),
        ({}, [2, 1], 10),
        ({}, [1, 2, 1], 15),
        ({}, [2, 1, 2], 9),  # five batches of the middling task, two a round: three rounds
        ({}, [0, 1, 0, 2], 4),
        ({}, [1], 125),
        ({"accumulate": 2}, [1, 2], 6),
        ({"cap": 200}, [1, 2], 10),
        ({"cap": 4}, [1, 2, 1], 4),  # amid the second round
        ({"cap": 1}, [0, 1, 2], 1),
        ({"scale": 0.5}, [1, 2, 1], 8),
    ],
)
def test_alternating_trains_one_task_a_step_in_the_given_order_over_and_over(
    changes: dict[str, Any], order: list[int], steps: int
) -> None:
    """Whole rounds until a task has had all its batches; a cut epoch leaves the rest of its round to the next."""
    schedule = lay_out("alternating", order=order, **changes)
    assert epoch_lengths(schedule, 3) == [steps] * 3
    assert tasks(schedule, 1, 3 * steps) == list(itertools.islice(itertools.cycle(order), 3 * steps))


# Scale.
@pytest.mark.parametrize(
    ("cap", "scale", "steps"),
    [
        (200, 0.05, 10),
        (200, 0.0501, 11),
        (100, 0.07, 7),  # in floats the product is more than 7
        (100, 0.29, 29),
        (110, 0.1, 11),
        (200, 1.0, 200),
        (200, 0.001, 1),
        (200, 5e-324, 1),
        (3, 1 / 3, 1),
        (None, 0.1, 100),
        (None, 0.0999, 100),
        (1, 0.5, 1),
    ],
)
@pytest.mark.parametrize("kind", SCHEDULES)
def test_a_scale_multiplies_the_capped_epochs_updates_rounded_up(
    kind: str, cap: int | None, scale: float, steps: int
) -> None:
    """One task of 1,000 batches, for which all kinds are one."""
    schedule = lay_out(kind, [1000], size=1, cap=cap, scale=scale)
    assert schedule.last_step(1) == steps
    assert schedule.last_step(7) == 7 * steps
    assert schedule.draws(steps + 1) == [Draw(0, steps, 1)]  # a scaled epoch goes on where it stopped, as a capped one


@pytest.mark.parametrize(
    ("kind", "lengths"),
    [
        ("simultaneous", [1, 1, 1]),
        ("round-robin", [1, 63, 3]),
        ("alternating", [2, 2, 2]),
        ("proportional", [66, 66, 66]),
        ("annealed", [66, 66, 66]),
    ],
)
def test_every_epoch_is_scaled_by_itself(kind: str, lengths: list[int]) -> None:
    assert epoch_lengths(lay_out(kind, scale=0.5), 3) == lengths


@given(wanted=st.integers(1, 10**6), hundredths=st.integers(1, 100))
def test_a_scale_is_the_decimal_that_was_written(wanted: int, hundredths: int) -> None:
    schedule = lay_out("simultaneous", [10**6], size=1, cap=wanted, scale=hundredths / 100)
    assert schedule.last_step(1) == -(-wanted * hundredths // 100)
