"""Schedules that draw their tasks: fixed sequences, and how often each task comes."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from layouts import ROWS, epoch_lengths, lay_out, tasks
from minbert.schedules import annealing_exponent

SAMPLED = ["proportional", "annealed"]


@pytest.mark.parametrize(
    ("kind", "sequences"),
    [
        ("proportional", ["222222112", "122212112", "212211221"]),
        ("annealed", ["222222112", "122202111", "202100220"]),
    ],
)
def test_what_a_seed_draws_is_fixed(kind: str, sequences: list[str]) -> None:
    schedule = lay_out(kind, [10, 90, 300], size=50, epochs=3, seed=5)
    assert "".join(map(str, tasks(schedule, 1, 3 * 9))) == "".join(sequences)


@pytest.mark.parametrize(
    ("epochs", "exponents"),
    [
        (1, [1.0, 1.0, 1.0]),
        (2, [1.0, 0.2, 0.2]),
        (3, [1.0, 0.6, 0.2, 0.2, 0.2]),
        (9, [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.2]),
        (0, [1.0]),
    ],
)
def test_the_exponent_falls_from_one_to_a_fifth_and_stays(epochs: int, exponents: list[float]) -> None:
    assert [annealing_exponent(epoch, epochs) for epoch in range(1, len(exponents) + 1)] == pytest.approx(exponents)


def shares(rows: Sequence[int], exponent: float) -> np.ndarray:
    sizes = np.array(rows, dtype=float) ** exponent
    return sizes / sizes.sum()


def far(counts: np.ndarray, p: np.ndarray) -> float:
    """How many standard errors the farthest of some counts lies from its expectation; `p` [draws, T] or [T]."""
    p = np.broadcast_to(p, (int(counts.sum()), len(counts))) if p.ndim == 1 else p
    return float((np.abs(counts - p.sum(0)) / np.sqrt((p * (1 - p)).sum(0))).max())


@pytest.mark.parametrize("kind", SAMPLED)
@pytest.mark.parametrize("changes", [{}, {"cap": 40, "accumulate": 2}])
def test_over_many_epochs_tasks_come_by_their_rows(kind: str, changes: dict[str, int]) -> None:
    epochs = 300
    schedule = lay_out(kind, epochs=epochs, **changes)
    steps, batches = changes.get("cap", 131), changes.get("accumulate", 1)
    assert schedule.last_step(epochs) == epochs * steps
    counts = np.array([schedule.batches_before(task, epochs * steps + 1) // batches for task in range(3)])
    exponents = [1 - 0.8 * (e - 1) / (epochs - 1) if kind == "annealed" else 1.0 for e in range(1, epochs + 1)]
    assert far(counts, np.repeat([shares(ROWS, a) for a in exponents], steps, axis=0)) < 5


@pytest.mark.parametrize(
    ("epochs", "epoch", "exponent"), [(5, 1, 1.0), (5, 3, 0.6), (5, 5, 0.2), (5, 7, 0.2), (1, 1, 1.0), (2, 2, 0.2)]
)
def test_an_epochs_tasks_come_by_their_rows_to_the_power_of_its_exponent(
    epochs: int, epoch: int, exponent: float
) -> None:
    """Over many seeds: in the epoch as a whole, at its first and last step, and from one step to the next."""
    p = shares(ROWS, exponent)
    drawn = []
    for seed in range(200):
        schedule = lay_out("annealed", epochs=epochs, seed=seed)
        drawn.append(tasks(schedule, schedule.last_step(epoch - 1) + 1, schedule.last_step(epoch)))
    found = np.array(drawn)  # [200, 131]
    for part in (found, found[:, 0], found[:, -1]):
        assert far(np.bincount(part.ravel(), minlength=3), p) < 5
    repeats = int((found[:, 1:] == found[:, :-1]).sum())
    pairs = 200 * 130
    # Overlapping pairs: var of a repeat count over independent pairs, and twice the covariance of neighbours.
    variance = (p**2).sum() * (1 - (p**2).sum()) + 2 * ((p**3).sum() - (p**2).sum() ** 2)
    assert abs(repeats - pairs * (p**2).sum()) < 5 * math.sqrt(pairs * variance)


@pytest.mark.parametrize("kind", SAMPLED)
def test_every_epoch_and_every_seed_draws_anew(kind: str) -> None:
    drawn = {
        tuple(tasks(lay_out(kind, [300, 400, 500], seed=seed), 150 * epoch + 1, 150 * (epoch + 1)))
        for seed in range(4)
        for epoch in range(4)
    }
    assert len(drawn) == 16


@pytest.mark.parametrize("kind", SAMPLED)
def test_the_order_only_says_who_takes_part(kind: str) -> None:
    there, back = (lay_out(kind, order=order) for order in ([0, 2], [2, 0]))
    assert tasks(there, 1, 54) == tasks(back, 1, 54)
    assert set(tasks(there, 1, 54)) == {0, 2}
    assert tasks(lay_out(kind, order=[1]), 1, 300) == [1] * 300


@pytest.mark.parametrize(("max_steps", "epochs"), [(0, 1), (1, 1), (131, 1), (132, 2), (262, 2), (9 * 131, 9)])
def test_where_only_updates_are_given_annealing_takes_the_epochs_that_they_take(max_steps: int, epochs: int) -> None:
    by_steps = lay_out("annealed", epochs=None, max_steps=max_steps)
    by_epochs = lay_out("annealed", epochs=epochs, max_steps=None)
    assert tasks(by_steps, 1, 1300) == tasks(by_epochs, 1, 1300)
    both = lay_out("annealed", epochs=epochs, max_steps=10**6)
    assert tasks(both, 1, 1300) == tasks(by_epochs, 1, 1300)


@pytest.mark.parametrize("kind", SAMPLED)
@pytest.mark.parametrize(
    ("changes", "steps"), [({}, 131), ({"accumulate": 2}, 66), ({"cap": 200}, 131), ({"cap": 100}, 100)]
)
def test_a_sampled_epoch_has_the_batches_of_one_pass_over_every_task(
    kind: str, changes: dict[str, int], steps: int
) -> None:
    assert epoch_lengths(lay_out(kind, **changes), 3) == [steps] * 3
