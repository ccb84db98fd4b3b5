"""PCGrad in task space against algorithm 1 on whole vectors, against TorchJD, and against its own theorems."""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchjd.aggregation import PCGrad

import oracles_numeric
from minbert.gradients import count_projections, pcgrad, project_conflicts

SEEDS = st.integers(0, 10_000)


def jacobian(tasks: int, size: int, seed: int, scales: Sequence[float] = (1.0,)) -> Tensor:
    """T random rows [T, N] of the given sizes in turn, with a pull against each other so that many conflict."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(tasks, size, generator=generator, dtype=torch.float64)
    rows = rows - 0.7 * rows.mean(0) * torch.arange(tasks)[:, None]
    return rows * torch.tensor([scales[i % len(scales)] for i in range(tasks)], dtype=torch.float64)[:, None]


def orders_of(tasks: int, seed: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed + 1)
    return [torch.randperm(tasks, generator=generator).tolist() for _ in range(tasks)]


@contextmanager
def orders_given(orders: Sequence[Sequence[int]]) -> Iterator[None]:
    """`torch.randperm` answers with these orders, one a call."""
    left = iter(orders)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(torch, "randperm", lambda *_, **__: torch.tensor(next(left)))
        yield
    assert not list(left), "every task draws one order"


def update(J: Tensor, orders: Sequence[Sequence[int]]) -> Tensor:
    with orders_given(orders):
        return pcgrad(J @ J.T, torch.Generator()) @ J


def assert_near(found: Tensor, expected: Tensor, J: Tensor, tolerance: float = 1e-9) -> None:
    """Equal up to rounding, which is relative to the gradients that the sum is made of."""
    assert float((found - expected).abs().max()) <= tolerance * float(J.norm(dim=1).max() + 1e-300)


@settings(max_examples=150)
@given(
    tasks=st.integers(1, 6),
    size=st.integers(1, 12),
    seed=SEEDS,
    scales=st.sampled_from([(1.0,), (1.0, 1e-3), (1e6, 1.0, 1e-6), (1.0, 0.0), (0.0,)]),
)
def test_the_update_is_that_of_algorithm_1_on_whole_vectors(
    tasks: int, size: int, seed: int, scales: Sequence[float]
) -> None:
    J, orders = jacobian(tasks, size, seed, scales), orders_of(tasks, seed)
    expected = oracles_numeric.pcgrad(list(J), orders)
    assert_near(update(J, orders), torch.stack(expected).sum(0), J, 1e-6)
    with orders_given(orders):
        rows = project_conflicts(J @ J.T, torch.Generator()) @ J
    for found, wanted, gradient in zip(rows, expected, J, strict=True):  # each beside its own length
        assert_near(found, wanted, gradient[None], 1e-6)


@settings(max_examples=60)
@given(tasks=st.integers(1, 6), size=st.integers(1, 40), seed=SEEDS)
def test_the_update_is_torchjds_for_the_same_orders(tasks: int, size: int, seed: int) -> None:
    J, orders = jacobian(tasks, size, seed), orders_of(tasks, seed)
    with orders_given(orders):
        expected = PCGrad()(J)
    assert_near(update(J, orders), expected, J)


@pytest.mark.parametrize(
    ("vectors", "expected"),
    [
        ([[1.0, 0.0], [-1.0, 1.0]], [0.5, 1.5]),
        ([[1.0, 0.0], [0.0, 0.0]], [1.0, 0.0]),
        ([[1.0, 2.0], [-1.0, -2.0]], [0.0, 0.0]),
        ([[1.0, -2.0]], [1.0, -2.0]),
        ([[3.0, 1.0], [1.0, 0.0]], [4.0, 1.0]),  # no conflict: the plain sum
        ([[0.0, 0.0], [0.0, 0.0]], [0.0, 0.0]),
    ],
)
def test_known_gradients(vectors: list[list[float]], expected: list[float]) -> None:
    """Field report B15."""
    J = torch.tensor(vectors, dtype=torch.float64)
    weights = pcgrad(J @ J.T, torch.Generator().manual_seed(3))
    torch.testing.assert_close(weights @ J, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("orders", "expected"),
    [
        ([[1, 2], [0, 2], [0, 1]], [0.9, 0.4]),
        ([[2, 1], [2, 0], [1, 0]], [0.5, 0.2]),
    ],
)
def test_three_tasks_in_a_fixed_order(orders: list[list[int]], expected: list[float]) -> None:
    """Worked out by hand."""
    J = torch.tensor([[1.0, 0.0], [-1.0, 1.0], [0.2, -0.4]], dtype=torch.float64)
    literal = torch.stack(oracles_numeric.pcgrad(list(J), orders)).sum(0)
    torch.testing.assert_close(update(J, orders), literal)
    torch.testing.assert_close(literal, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-9)


@settings(max_examples=100)
@given(size=st.integers(1, 30), seed=SEEDS, scale=st.sampled_from([1e-8, 1.0, 1e8]))
def test_two_tasks_in_conflict_leave_each_others_direction_alone(size: int, seed: int, scale: float) -> None:
    J = jacobian(2, size, seed) * torch.tensor([[1.0], [scale]], dtype=torch.float64)
    first, second = project_conflicts(J @ J.T, torch.Generator().manual_seed(seed)) @ J
    if J[0] @ J[1] < 0:
        assert abs(float(first @ J[1])) <= 1e-12 * float(J[0].norm() * J[1].norm())
        assert abs(float(second @ J[0])) <= 1e-12 * float(J[0].norm() * J[1].norm())
        assert count_projections(J @ J.T, torch.Generator()) == 2
    else:
        assert pcgrad(J @ J.T, torch.Generator()).tolist() == [1.0, 1.0]
        assert count_projections(J @ J.T, torch.Generator()) == 0


@settings(max_examples=60)
@given(tasks=st.integers(1, 6), size=st.integers(2, 8), seed=SEEDS)
def test_every_projection_is_counted(tasks: int, size: int, seed: int) -> None:
    J = jacobian(tasks, size, seed)
    generator = torch.Generator().manual_seed(seed)
    orders, projections = [torch.randperm(tasks, generator=generator).tolist() for _ in range(tasks)], 0
    for i, order in enumerate(orders):
        g = J[i].clone()
        for j in order:
            if j != i and g @ J[j] < 0:
                g, projections = g - (g @ J[j]) / (J[j] @ J[j]) * J[j], projections + 1
    assert count_projections(J @ J.T, torch.Generator().manual_seed(seed)) == projections


def test_the_order_is_drawn_from_the_generator_alone() -> None:
    J = torch.tensor([[1.0, 0.0, 0.2], [-1.0, 1.0, 0.0], [-0.5, -0.6, 1.0]], dtype=torch.float64)
    gram, before = J @ J.T, torch.random.get_rng_state()
    weights = [tuple(pcgrad(gram, torch.Generator().manual_seed(seed)).tolist()) for seed in range(30)]
    assert weights == [tuple(pcgrad(gram, torch.Generator().manual_seed(seed)).tolist()) for seed in range(30)]
    assert torch.equal(torch.random.get_rng_state(), before)
    possible = {
        tuple(update(J, orders).tolist()) for orders in itertools.product(itertools.permutations(range(3)), repeat=3)
    }
    assert {tuple((torch.tensor(w, dtype=torch.float64) @ J).tolist()) for w in weights} <= possible
    assert len(set(weights)) > 1


def test_squares_that_underflow_beside_a_product_that_does_not_change_nothing() -> None:
    gram = torch.tensor([[1.0, -1e-30], [-1e-30, 0.0]], dtype=torch.float64)
    assert pcgrad(gram, torch.Generator()).tolist() == [1.0, 1.0]
