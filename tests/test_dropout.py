"""Dropout with cheap random bits: rate, scale, independence, and what the seed decides."""

import pytest
import torch

from minbert.dropout import Dropout, dropout


@pytest.mark.parametrize("p", [0.01, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("shape", [(1_000_003,), (1000, 1001), (10, 12, 100, 83)])
def test_each_element_goes_with_the_given_probability_and_the_rest_is_scaled(shape: tuple[int, ...], p: float) -> None:
    torch.manual_seed(0)
    x = torch.rand(shape) + 1
    dropped = dropout(x, p)
    kept = dropped != 0
    deviation = (p * (1 - p) / x.numel()) ** 0.5
    assert kept.float().mean().item() == pytest.approx(1 - p, abs=5 * deviation + 2**-16)
    torch.testing.assert_close(dropped[kept], x[kept] / (1 - p))


def test_neighbours_and_draws_are_independent() -> None:
    """Four elements share a 64-bit word: no pair of places may go together more often than chance has it."""
    torch.manual_seed(0)
    x = torch.ones(400_000)
    kept = torch.stack([dropout(x, 0.3) != 0, dropout(x, 0.3) != 0]).double().view(2, -1, 4) - 0.7
    places = torch.cat([kept[0], kept[1]], 1)  # [words, 8]
    correlation = torch.corrcoef(places.T)
    assert float((correlation - torch.eye(8)).abs().max()) < 5 / len(places) ** 0.5
    ahead = (kept[0].flatten()[:-4] * kept[0].flatten()[4:]).mean() / 0.21
    assert abs(float(ahead)) < 5 / (x.numel() - 4) ** 0.5


def test_gradients_pass_where_elements_were_kept() -> None:
    torch.manual_seed(0)
    x = torch.randn(7, 5, dtype=torch.float64, requires_grad=True)
    dropped = dropout(x, 0.4)
    dropped.sum().backward()
    torch.testing.assert_close(x.grad, (dropped != 0).double() / 0.6, rtol=1e-6, atol=0)


def test_the_global_seed_decides_and_a_rate_of_zero_draws_nothing() -> None:
    x = torch.ones(1000)
    torch.manual_seed(1)
    first, second = dropout(x, 0.1), dropout(x, 0.1)
    torch.manual_seed(1)
    assert torch.equal(dropout(x, 0.0), x)
    assert torch.equal(dropout(x, 0.1), first)
    assert not torch.equal(first, second)


def test_the_module_drops_in_training_alone_and_keeps_the_number_format() -> None:
    torch.manual_seed(0)
    module, x = Dropout(0.5), torch.ones(3, 4, dtype=torch.bfloat16)
    assert module(x).dtype == torch.bfloat16
    assert set(module(x).flatten().tolist()) == {0.0, 2.0}
    assert torch.equal(module.eval()(x), x)
    assert dropout(torch.ones(0, 3), 0.1).shape == (0, 3)
