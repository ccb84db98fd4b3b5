"""The Gram matrix and the methods against J written out as one matrix, and against torch."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from minbert.gradients import METHODS, angle, clip_factor, cosines, gram_matrices, norm, weighted_sum_
from oracles_numeric import dense_jacobian

SHAPES: list[tuple[int, ...]] = [(3,), (2, 4), (1,), (5, 1, 2)]
Rows = list[list[Tensor | None]]
SIZES = st.lists(st.sampled_from([0.0, 1e-12, 1.0, 1e12]), min_size=1, max_size=4)
MISSING = st.frozensets(st.tuples(st.integers(0, 3), st.integers(0, 3)))


def jacobian(sizes: list[float], missing: frozenset[tuple[int, int]], seed: int) -> Rows:
    """A row per size; `missing` names (task, parameter) without a gradient. Some gradients are transposed views."""
    generator = torch.Generator().manual_seed(seed)
    made = [[size * torch.randn(shape, generator=generator, dtype=torch.float64) for shape in SHAPES] for size in sizes]
    for row in made:
        row[1] = row[1].T.contiguous().T
    return [[None if (task, place) in missing else g for place, g in enumerate(row)] for task, row in enumerate(made)]


def gram_matrix(rows: Rows) -> Tensor:
    return gram_matrices(rows).sum(0)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@settings(max_examples=80, deadline=None)
@given(sizes=SIZES, missing=MISSING, seed=st.integers(0, 99))
def test_the_gram_matrix_is_j_times_its_transpose(
    sizes: list[float], missing: frozenset[tuple[int, int]], seed: int
) -> None:
    rows = jacobian(sizes, missing, seed)
    J = dense_jacobian(rows, SHAPES)
    gram = gram_matrix(rows)
    assert gram.dtype == torch.float64
    norms = J.norm(dim=1)
    assert ((gram - J @ J.T).abs() <= 1e-13 * norms[:, None] * norms[None, :]).all()
    assert torch.equal(gram, gram.T)
    for place, shape in enumerate(SHAPES):
        own = dense_jacobian([[row[place]] for row in rows], [shape])
        torch.testing.assert_close(gram_matrices(rows)[place], own @ own.T)


def test_the_gram_matrix_of_float32_rows_is_float64_and_right() -> None:
    torch.manual_seed(0)
    rows: Rows = [[torch.randn(50, 40), None], [torch.randn(50, 40), torch.randn(7)]]
    J = dense_jacobian(rows, [(50, 40), (7,)])
    torch.testing.assert_close(gram_matrix(rows), J @ J.T, rtol=1e-5, atol=1e-3)


@settings(max_examples=80, deadline=None)
@given(sizes=SIZES, missing=MISSING, seed=st.integers(0, 99))
def test_the_weighted_sum_is_the_weights_times_j(
    sizes: list[float], missing: frozenset[tuple[int, int]], seed: int
) -> None:
    rows = jacobian(sizes, missing, seed)
    weights = torch.randn(len(rows), generator=generator(), dtype=torch.float64)
    expected = weights @ dense_jacobian(rows, SHAPES)
    missing = [all(g is None for g in column) for column in zip(*rows, strict=True)]
    combined = weighted_sum_(rows, weights)
    assert [g is None for g in combined] == missing
    torch.testing.assert_close(dense_jacobian([combined], SHAPES)[0], expected, rtol=1e-12, atol=1e-12 * max(sizes))


def word_rows(tokens: list[int], width: int = 3, vocabulary: int = 9) -> Tensor:
    """A word table's gradient as a batch of these tokens leaves it: sparse, a row a word."""
    table = nn.Embedding(vocabulary, width, sparse=True, dtype=torch.float64)
    (
        table(torch.tensor(tokens, dtype=torch.long)) * torch.randn(len(tokens), width, dtype=torch.float64)
    ).sum().backward()
    assert table.weight.grad is not None
    return table.weight.grad.coalesce()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 8), max_size=12), min_size=1, max_size=4))
def test_sparse_gradients_count_as_the_full_ones_that_they_are(texts: list[list[int]]) -> None:
    torch.manual_seed(0)
    rows: Rows = [[word_rows(tokens), torch.randn(4, dtype=torch.float64)] for tokens in texts]
    J = torch.stack([torch.cat([sparse.to_dense().flatten(), full]) for sparse, full in rows])  # type: ignore[union-attr]
    torch.testing.assert_close(gram_matrix(rows), J @ J.T)
    weights = torch.linspace(-1, 1, len(rows), dtype=torch.float64)
    combined, other = weighted_sum_(rows, weights)
    assert combined is not None
    assert other is not None
    torch.testing.assert_close(torch.cat([combined.to_dense().flatten(), other]), weights @ J)


@settings(max_examples=60, deadline=None)
@given(sizes=SIZES, missing=MISSING, seed=st.integers(0, 99), limit=st.sampled_from([1e-6, 0.5, 1e9]))
def test_norm_and_clipping_are_torchs_without_a_pass_over_the_parameters(
    sizes: list[float], missing: frozenset[tuple[int, int]], seed: int, limit: float
) -> None:
    rows = jacobian(sizes, missing, seed)
    weights = torch.rand(len(rows), generator=generator(), dtype=torch.float64) + 0.5
    heads = [torch.randn(5, dtype=torch.float64), torch.randn(2, 2)]
    found = norm(gram_matrix(rows), weights, heads)
    total = torch.cat([weights @ dense_jacobian(rows, SHAPES), *(head.flatten().double() for head in heads)])
    assert found == pytest.approx(float(total.norm()), rel=1e-6)
    parameter = nn.Parameter(torch.zeros_like(total))
    parameter.grad = total.clone()
    torch.nn.utils.clip_grad_norm_([parameter], limit)
    torch.testing.assert_close(clip_factor(found, limit) * total, parameter.grad, rtol=1e-6, atol=0)


def test_gradients_that_cancel_have_a_norm_of_zero_and_never_nan() -> None:
    gradient = torch.randn(1000, generator=generator())
    gram = gram_matrix([[gradient], [-gradient]])
    assert norm(gram * (1 - 1e-16 * torch.eye(2)), torch.ones(2, dtype=torch.float64), []) < 1e-3
    assert clip_factor(0.0, 1.0) == 1.0


def test_the_weighted_sum_lies_where_the_first_gradient_lay() -> None:
    rows: Rows = [[None, torch.ones(3)], [torch.ones(2), torch.ones(3)]]
    combined = weighted_sum_(rows, torch.tensor([2.0, 5.0]))
    assert combined[0] is rows[1][0]
    assert combined[1] is rows[0][1]
    assert [g.tolist() for g in combined if g is not None] == [[5.0, 5.0], [7.0, 7.0, 7.0]]


@pytest.mark.parametrize(
    ("vectors", "weights", "expected"),
    [
        ([[1.0, 0.0], [0.0, 1.0]], [1.0, 1.0], 0.0),
        ([[1.0, 0.0], [0.0, 1.0]], [1.0, 0.0], 45.0),
        ([[1.0, 0.0], [0.0, 1.0]], [1.0, -1.0], 90.0),
        ([[1e-9, 0.0], [0.0, 1e-9]], [-2.0, -2.0], 180.0),
        ([[1.0, 0.0], [-1.0, 0.0]], [1.0, 1.0], None),
        ([[1.0, 0.0]], [0.0], None),
    ],
)
def test_the_angle_between_the_update_and_the_plain_sum(
    vectors: list[list[float]], weights: list[float], expected: float | None
) -> None:
    J = torch.tensor(vectors, dtype=torch.float64)
    found = angle(J @ J.T, torch.tensor(weights, dtype=torch.float64))
    assert found == (None if expected is None else pytest.approx(expected, abs=1e-6))


@settings(max_examples=80, deadline=None)
@given(sizes=SIZES, missing=MISSING, seed=st.integers(0, 99))
def test_cosines_are_those_of_the_rows_and_undefined_where_a_gradient_is_zero(
    sizes: list[float], missing: frozenset[tuple[int, int]], seed: int
) -> None:
    rows = jacobian(sizes, missing, seed)
    J = dense_jacobian(rows, SHAPES)
    found = cosines(gram_matrix(rows))
    norms = J.norm(dim=1)
    for i in range(len(rows)):
        for j in range(len(rows)):
            zero = norms[i] == 0 or norms[j] == 0
            expected = math.nan if zero else float(J[i] / norms[i] @ (J[j] / norms[j]))
            assert float(found[i, j]) == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_cosines_of_known_vectors() -> None:
    rows: Rows = [[torch.tensor(g)] for g in ([1.0, 0.0], [-1.0, 1.0], [0.0, 0.0], [-3.0, 0.0])]
    half = 1 / math.sqrt(2)
    none = math.nan
    expected = [[1, -half, none, -1], [-half, 1, none, half], [none] * 4, [-1, half, none, 1]]
    wanted = torch.tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(cosines(gram_matrix(rows)), wanted, equal_nan=True)


def test_a_cosine_beside_a_square_that_underflowed_is_undefined() -> None:
    gram = torch.tensor([[1.0, 1e-23], [1e-23, 0.0]], dtype=torch.float64)
    assert cosines(gram).isnan().tolist() == [[False, True], [True, True]]


class Shared(nn.Module):
    """A trunk that every task uses, a part that the second alone uses, and one that none uses."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.second, self.unused = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 4)

    def losses(self, x: Tensor) -> list[Tensor]:
        hidden = torch.tanh(self.trunk(x))
        return [hidden.square().mean(), 0.3 * self.second(hidden).sum(1).square().mean(), (hidden**3).sum()]


@pytest.mark.parametrize("num_tasks", [1, 2, 3])
def test_sum_gives_the_gradient_of_the_summed_loss(num_tasks: int) -> None:
    torch.manual_seed(0)
    model, x = Shared().double(), torch.randn(5, 3, dtype=torch.float64)
    parameters = list(model.parameters())
    rows = [
        torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        for loss in model.losses(x)[:num_tasks]
    ]
    combined = weighted_sum_(rows, METHODS["sum"](gram_matrix(rows), generator()))
    expected = torch.autograd.grad(torch.stack(model.losses(x)[:num_tasks]).sum(), parameters, allow_unused=True)
    assert [g is None for g in combined] == [g is None for g in expected]
    assert combined[-1] is None
    torch.testing.assert_close([g for g in combined if g is not None], [g for g in expected if g is not None])


@pytest.mark.parametrize("name", METHODS)
def test_a_method_gives_one_finite_weight_per_task_and_keeps_a_single_task_as_it_is(name: str) -> None:
    for vectors in ([[1.0, 2.0]], [[1.0, 0.0], [-1.0, 1.0]], [[0.0, 0.0], [1.0, 1.0], [-1.0, -1.0]]):
        J = torch.tensor(vectors, dtype=torch.float64)
        gram = J @ J.T
        before = gram.clone()
        weights = METHODS[name](gram, generator())
        assert weights.shape == (len(vectors),)
        assert weights.isfinite().all()
        assert torch.equal(gram, before)
        if len(vectors) == 1:
            assert weights.tolist() == [1.0]
