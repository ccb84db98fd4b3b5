"""Losses against their equations written out, with the gradients that calculus gives."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from minbert.losses import LOSSES

SIZES = st.sampled_from([0.0, 1e-6, 1.0, 30.0])
BATCHES = st.integers(1, 9)


def draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@settings(max_examples=40, deadline=None)
@given(rows=BATCHES, classes=st.integers(2, 6), size=SIZES, seed=st.integers(0, 99))
def test_cross_entropy_is_the_mean_of_minus_log_softmax_at_the_label(
    rows: int, classes: int, size: float, seed: int
) -> None:
    logits = (size * draw(seed, rows, classes)).requires_grad_()
    labels = [(seed + row) % classes for row in range(rows)]
    literal = [
        math.log(sum(math.exp(x) for x in row)) - row[label] for row, label in zip(logits.tolist(), labels, strict=True)
    ]
    loss = LOSSES["cross-entropy"](logits, torch.tensor(labels, dtype=torch.float32))  # labels come as floats
    assert loss.item() == pytest.approx(mean(literal), rel=1e-12, abs=1e-12)
    loss.backward()
    one_hot = F.one_hot(torch.tensor(labels), classes)
    torch.testing.assert_close(logits.grad, (logits.detach().softmax(1) - one_hot) / rows)


@settings(max_examples=40, deadline=None)
@given(rows=BATCHES, size=SIZES, seed=st.integers(0, 99))
def test_bce_is_the_mean_of_minus_log_of_the_probability_of_the_label(rows: int, size: float, seed: int) -> None:
    logits = (size * draw(seed, rows, 1)).requires_grad_()
    labels = [(seed + row) % 2 for row in range(rows)]
    literal = [math.log1p(math.exp(-x if y else x)) for (x,), y in zip(logits.tolist(), labels, strict=True)]
    loss = LOSSES["bce"](logits, torch.tensor(labels, dtype=torch.float32))
    assert loss.item() == pytest.approx(mean(literal), rel=1e-12)
    loss.backward()
    slopes = [[(sigmoid(x) - y) / rows] for (x,), y in zip(logits.tolist(), labels, strict=True)]
    torch.testing.assert_close(logits.grad, torch.tensor(slopes, dtype=torch.float64))


@settings(max_examples=40, deadline=None)
@given(rows=BATCHES, size=SIZES, seed=st.integers(0, 99))
def test_mse_is_the_mean_square_in_the_labels_own_units(rows: int, size: float, seed: int) -> None:
    scores, labels = (size * draw(seed, rows, 1)).requires_grad_(), 5 * draw(seed + 1, rows).float()
    literal = [(s - y) ** 2 for (s,), y in zip(scores.tolist(), labels.tolist(), strict=True)]
    loss = LOSSES["mse"](scores, labels)
    assert loss.item() == pytest.approx(mean(literal), rel=1e-12)
    loss.backward()
    torch.testing.assert_close(scores.grad, 2 * (scores.detach() - labels.double()[:, None]) / rows)


@pytest.mark.parametrize("size", [0.0, 1e4, -1e4])
@pytest.mark.parametrize(("name", "outputs"), [("cross-entropy", 3), ("bce", 1), ("mse", 1)])
def test_a_loss_of_huge_outputs_is_a_number(name: str, outputs: int, size: float) -> None:
    output = torch.full((2, outputs), size, requires_grad=True)
    loss = LOSSES[name](output, torch.tensor([0.0, 1.0]))
    loss.backward()
    assert loss.isfinite()
    assert output.grad is not None
    assert output.grad.isfinite().all()


TORCH: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross-entropy": lambda output, labels: F.nll_loss(output.log_softmax(1), labels.long()),
    "bce": lambda output, labels: F.binary_cross_entropy(output.sigmoid(), labels[:, None]),
    "mse": lambda output, labels: ((output - labels[:, None]) ** 2).mean(),
    "bce-per-label": lambda output, labels: F.binary_cross_entropy(output.sigmoid(), labels[:, None]),  # sets of one
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_agrees_with_torch_in_float32_and_does_not_broadcast(name: str) -> None:
    """[B, 1] against [B] would silently become [B, B]: the mean over all pairs."""
    output = draw(3, 7, 4 if name == "cross-entropy" else 1).float()
    labels = torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0])
    loss = LOSSES[name](output, labels)
    torch.testing.assert_close(loss, TORCH[name](output, labels))
    assert (loss.shape, loss.dtype) == ((), torch.float32)
    torch.testing.assert_close(
        loss, torch.stack([LOSSES[name](o, y) for o, y in zip(output.split(1), labels.split(1), strict=True)]).mean()
    )
