"""Poolings and heads against their equations written out by hand, number by number."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from minbert.bert import BertOutput
from minbert.heads import HEADS, POOLINGS, Cosine, cosine

H, K = 6, 3
PAIR_HEADS = [name for name in HEADS if name != "linear"]
Row = list[float]


def head_of(name: str, outputs: int | None = None, dropout: float = 0.0, hidden: int = H) -> nn.Module:
    torch.manual_seed(7)
    outputs = outputs or (1 if name == "cosine" else K)
    return HEADS[name](hidden, outputs, dropout, (0.0, 5.0)).double()


def vectors(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def inputs(name: str, rows: int = 4) -> list[Tensor]:
    return [vectors(rows, H, seed=seed) for seed in range(1 if name == "linear" else 2)]


def dense(layer: nn.Linear, x: Row) -> Row:
    """W x + b, with loops."""
    weight, bias = layer.weight.tolist(), layer.bias.tolist()
    return [sum(w * value for w, value in zip(row, x, strict=True)) + b for row, b in zip(weight, bias, strict=True)]


def cosine_by_hand(a: Row, b: Row) -> float:
    norms = math.sqrt(sum(x * x for x in a)) * math.sqrt(sum(x * x for x in b))
    return sum(x * y for x, y in zip(a, b, strict=True)) / max(norms, 1e-8)


def gelu(x: float) -> float:
    return x * (1 + math.erf(x / math.sqrt(2))) / 2


def interaction(head: nn.Module, a: Row, b: Row) -> Row:
    features = [*a, *b, *(abs(x - y) for x, y in zip(a, b, strict=True)), *(x * y for x, y in zip(a, b, strict=True))]
    return dense(head.dense, [gelu(x) for x in dense(head.hidden, features)])


EQUATIONS: dict[str, Callable[..., Row]] = {
    "linear": lambda head, p: dense(head.dense, p),
    "concat": lambda head, a, b: dense(head.dense, [*a, *b]),
    "cosine": lambda head, a, b: [0.0 + (5.0 - 0.0) * cosine_by_hand(a, b)],
    "concat-cosine": lambda head, a, b: dense(head.dense, [*a, *b, cosine_by_hand(a, b)]),
    "interaction": interaction,
}


@pytest.mark.parametrize("rows", [1, 4])
@pytest.mark.parametrize("name", HEADS)
def test_a_head_is_its_equation_in_both_modes(name: str, rows: int) -> None:
    head, given_ = head_of(name), inputs(name, rows)
    by_hand = [EQUATIONS[name](head, *row) for row in zip(*(p.tolist() for p in given_), strict=True)]
    for mode in (True, False):
        torch.testing.assert_close(head.train(mode)(*given_), torch.tensor(by_hand, dtype=torch.float64))


@pytest.mark.parametrize("name", HEADS)
def test_the_gradients_of_a_head_are_those_of_finite_differences(name: str) -> None:
    head, given_ = head_of(name), [p.requires_grad_() for p in inputs(name, 2)]
    weights = tuple(head.parameters())
    assert torch.autograd.gradcheck(lambda *args: head(*args[: len(given_)]), (*given_, *weights))


@pytest.mark.parametrize(("name", "symmetric"), [(name, name == "cosine") for name in PAIR_HEADS])
def test_only_the_cosine_is_blind_to_the_order_of_a_pair(name: str, symmetric: bool) -> None:
    head, (p1, p2) = head_of(name), inputs(name)
    assert torch.equal(head(p1, p2), head(p2, p1)) == symmetric


@pytest.mark.parametrize("name", HEADS)
def test_a_head_answers_each_row_by_itself(name: str) -> None:
    head, given_ = head_of(name), inputs(name)
    alone = torch.cat([head(*(p[i : i + 1] for p in given_)) for i in range(len(given_[0]))])
    torch.testing.assert_close(head(*given_), alone)


RANGES = st.tuples(st.floats(-100, 100, width=32), st.floats(-100, 100, width=32)).filter(lambda r: r[0] < r[1])


@settings(max_examples=60, deadline=None)
@given(bounds=RANGES, scale=st.floats(1, 1e6), seed=st.integers(0, 1000), hidden=st.sampled_from([1, 3, 384]))
def test_equal_vectors_score_exactly_the_top_and_orthogonal_ones_exactly_the_bottom(
    bounds: tuple[float, float], scale: float, seed: int, hidden: int
) -> None:
    head = Cosine(hidden, 1, 0.0, bounds)
    p = scale * vectors(4, hidden, seed=seed).float()
    assert head(p, p.clone()).tolist() == [[bounds[1]]] * 4
    first = torch.cat([p, torch.zeros_like(p)], -1)
    assert head(first, first.roll(hidden, -1)).tolist() == [[bounds[0]]] * 4


def test_opposite_vectors_score_as_far_below_the_bottom_as_equal_ones_above() -> None:
    p = vectors(3, H)
    torch.testing.assert_close(Cosine(H, 1, 0.0, (1.0, 5.0))(p, -p), torch.full((3, 1), -3.0, dtype=torch.float64))


def test_the_cosine_gives_one_number_or_refuses() -> None:
    with pytest.raises(ValueError, match="a cosine is one number: this head gives one output"):
        Cosine(H, 2, 0.1, (0.0, 1.0))
    assert list(Cosine(H, 1, 0.1, (0.0, 1.0)).parameters()) == []


@settings(max_examples=60, deadline=None)
@given(scale=st.sampled_from([1e-3, 1.0, 1e4]), seed=st.integers(0, 1000), hidden=st.integers(1, 40))
def test_the_cosine_agrees_with_torch(scale: float, seed: int, hidden: int) -> None:
    p1, p2 = scale * vectors(3, hidden, seed=seed), vectors(3, hidden, seed=seed + 1)
    ours = cosine(p1, p2)
    torch.testing.assert_close(ours[:, 0], F.cosine_similarity(p1, p2))
    assert (ours.abs() <= 1 + 1e-12).all()
    assert ours.shape == (3, 1)


@pytest.mark.parametrize("zero", [(True, False), (False, True), (True, True)])
@pytest.mark.parametrize("name", PAIR_HEADS)
def test_a_zero_vector_gives_finite_numbers_and_gradients(name: str, zero: tuple[bool, bool]) -> None:
    head = HEADS[name](H, 1, 0.0, (0.0, 5.0))
    pair = [(torch.zeros(2, H) if none else torch.randn(2, H)).requires_grad_() for none in zero]
    output = head(*pair)
    output.sum().backward()
    assert output.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in pair)
    if name == "cosine":
        assert output.tolist() == [[0.0], [0.0]]


# Where a head drops out, seen through layers that copy what they get: the share of zeros, and the scale of the rest.
def copying(head: nn.Module, factor: float = 1.0) -> nn.Module:
    for layer in head.children():
        if isinstance(layer, nn.Linear):
            nn.init.zeros_(layer.bias)
            with torch.no_grad():
                layer.weight.copy_(factor * torch.eye(*layer.weight.shape))
    return head


@pytest.mark.parametrize("rate", [0.1, 0.4])
@pytest.mark.parametrize(
    ("name", "width", "times"),
    [("linear", H, 1), ("concat", 2 * H, 1), ("concat-cosine", 2 * H + 1, 1), ("interaction", H, 2)],
)
def test_dropout_falls_on_all_that_enters_a_layer_at_its_rate(name: str, width: int, times: int, rate: float) -> None:
    rows, factor = 4000, 10.0 if name == "interaction" else 1.0  # GELU(10) = 10
    head = copying(head_of(name, width, rate), factor)
    ones = torch.ones(rows, H, dtype=torch.float64)
    output = head.train()(*[ones] * len(inputs(name)))
    kept = (1 - rate) ** times
    noise = 5 * math.sqrt(kept * (1 - kept) / rows)
    assert ((output != 0).double().mean(0) - kept).abs().max() < noise  # every column, the cosine's too
    size = factor**times / kept
    torch.testing.assert_close(output[output != 0], torch.full_like(output[output != 0], size))
    present = (output != 0).double() - kept
    apart = (present.T @ present / rows).fill_diagonal_(0)  # no two columns drop together
    assert apart.abs().max() < noise
    assert torch.equal(head.eval()(*[ones] * len(inputs(name))), torch.full_like(output, factor**times))


LENGTHS = st.lists(st.integers(1, 5), min_size=1, max_size=4)


@settings(max_examples=50, deadline=None)
@given(lengths=LENGTHS, dtype=st.sampled_from([torch.long, torch.bool, torch.float64]), seed=st.integers(0, 99))
def test_a_pooling_is_its_loop_over_the_real_tokens(lengths: list[int], dtype: torch.dtype, seed: int) -> None:
    L = 5
    mask = torch.tensor([[int(place < length) for place in range(L)] for length in lengths]).to(dtype)
    output = BertOutput(vectors(len(lengths), L, H, seed=seed), vectors(len(lengths), H, seed=seed + 1))
    means = [
        [sum(output.last_hidden[row, place, column].item() for place in range(length)) / length for column in range(H)]
        for row, length in enumerate(lengths)
    ]
    expected = {
        "mean": torch.tensor(means, dtype=torch.float64),
        "cls-raw": output.last_hidden[:, 0],
        "cls": output.pooled,
    }
    assert expected.keys() == POOLINGS.keys()
    for name, value in expected.items():
        torch.testing.assert_close(POOLINGS[name](output, mask), value)


def test_the_mean_of_a_text_of_padding_alone_is_zero_and_leaves_its_neighbour_alone() -> None:
    hidden = vectors(2, 4, H).requires_grad_()
    pooled = POOLINGS["mean"](BertOutput(hidden, hidden[:, 0]), torch.tensor([[0, 0, 0, 0], [1, 1, 0, 0]]))
    assert torch.equal(pooled[0], torch.zeros(H, dtype=torch.float64))
    torch.testing.assert_close(pooled[1], hidden[1, :2].mean(0))
    pooled.sum().backward()
    assert hidden.grad is not None
    assert torch.equal(hidden.grad[:, :, 0], torch.tensor([[0, 0, 0, 0], [0.5, 0.5, 0, 0]], dtype=torch.float64))


@pytest.mark.parametrize("name", POOLINGS)
def test_a_pooling_does_not_see_what_stands_on_padding(name: str) -> None:
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    output = BertOutput(vectors(2, 3, H), vectors(2, H))
    changed = output.last_hidden.masked_fill(mask[:, :, None] == 0, 1e30)
    assert torch.equal(POOLINGS[name](output, mask), POOLINGS[name](BertOutput(changed, output.pooled), mask))
