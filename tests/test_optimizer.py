"""AdamW's groups, its arithmetic and its learning rate, against torch's single group and literal equations."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from conftest import tiny_config
from minbert.bert import Bert
from minbert.optimizer import DECAYS, AdamWSettings, build, learning_rate_factor, set_gradients, set_learning_rate
from oracles_numeric import LiteralAdamW

SETTINGS = {"lr": 1e-2, "head_lr": 5e-2, "betas": (0.9, 0.98), "eps": 1e-6, "weight_decay": 0.1, "layer_decay": 1.0}


def settings_of(**changes: object) -> AdamWSettings:
    return AdamWSettings(**(SETTINGS | changes))  # type: ignore[arg-type]


def two_layers_and_a_head() -> tuple[nn.ModuleDict, nn.Linear]:
    """A stand-in for an encoder, with BERT's names, and a head."""
    torch.manual_seed(0)
    layers = nn.ModuleDict({"layer": nn.ModuleList([nn.Linear(3, 3), nn.Linear(3, 3)])})
    encoder = nn.ModuleDict({"embeddings": nn.Embedding(4, 3), "encoder": layers, "pooler": nn.LayerNorm(3)})
    return encoder.double(), nn.Linear(3, 2).double()


def rates(optimizer: torch.optim.AdamW, key: str) -> dict[int, float]:
    return {id(parameter): group[key] for group in optimizer.param_groups for parameter in group["params"]}


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("layer_decay", [1.0, 0.5])
def test_twenty_updates_are_the_literal_algorithms(layer_decay: float, weight_decay: float) -> None:
    encoder, head = two_layers_and_a_head()
    built = build(
        encoder.named_parameters(),
        head.named_parameters(),
        settings_of(layer_decay=layer_decay, weight_decay=weight_decay),
    )
    parameters = [*encoder.parameters(), *head.parameters()]
    peaks, decays = rates(built, "peak_lr"), rates(built, "weight_decay")
    literal = [LiteralAdamW(p.flatten().tolist(), (0.9, 0.98), 1e-6, decays[id(p)]) for p in parameters]
    generator = torch.Generator().manual_seed(1)
    for step in range(1, 21):
        factor = learning_rate_factor(step, 20, 0.2, "cosine")
        set_learning_rate(built, factor)
        for place, (parameter, copy) in enumerate(zip(parameters, literal, strict=True)):
            rests = step % 3 == 0 and place >= len(parameters) - 2  # the head takes no part in every third update
            gradient = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.grad = None if rests else gradient
            copy.step(None if rests else gradient.flatten().tolist(), factor * peaks[id(parameter)])
        built.step()
    for parameter, copy in zip(parameters, literal, strict=True):
        assert parameter.flatten().tolist() == pytest.approx(copy.theta, rel=1e-11, abs=1e-14)


def test_groups_of_one_rate_and_no_decay_are_torchs_single_group() -> None:
    encoder, head = two_layers_and_a_head()
    twin, twin_head = two_layers_and_a_head()
    built = build(encoder.named_parameters(), head.named_parameters(), settings_of(head_lr=1e-2, weight_decay=0.0))
    single = torch.optim.AdamW(
        [*twin.parameters(), *twin_head.parameters()], lr=1e-2, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.0
    )
    generator = torch.Generator().manual_seed(1)
    ours, theirs = [*encoder.parameters(), *head.parameters()], [*twin.parameters(), *twin_head.parameters()]
    for _ in range(10):
        for one, other in zip(ours, theirs, strict=True):
            one.grad = torch.randn(one.shape, generator=generator, dtype=torch.float64)
            other.grad = one.grad.clone()
        built.step()
        single.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)


def test_weight_decay_falls_on_matrices_alone() -> None:
    bert, head = Bert(tiny_config()), nn.Linear(16, 3)
    decays = rates(build(bert.named_parameters(), head.named_parameters(), settings_of()), "weight_decay")
    for name, parameter in [*bert.named_parameters(), *head.named_parameters()]:
        is_matrix = not (name.endswith("bias") or "LayerNorm" in name)
        assert decays[id(parameter)] == (0.1 if is_matrix else 0.0), name


@pytest.mark.parametrize("layers", [1, 3, 12])
def test_the_rate_falls_with_every_layer_below_the_top_one(layers: int) -> None:
    bert, head = Bert(tiny_config(num_hidden_layers=layers, hidden_size=4)), nn.Linear(4, 3)
    built = build(bert.named_parameters(), head.named_parameters(), settings_of(layer_decay=0.9))
    below = {f"encoder.layer.{i}.": layers - 1 - i for i in range(layers)}
    below |= {"pooler.": 0, "embeddings.": layers}
    peaks = rates(built, "peak_lr")
    for name, parameter in bert.named_parameters():
        (exponent,) = [value for prefix, value in below.items() if name.startswith(prefix)]
        assert peaks[id(parameter)] == pytest.approx(1e-2 * 0.9**exponent), name
    assert {peaks[id(parameter)] for parameter in head.parameters()} == {5e-2}


def test_every_parameter_is_in_one_group_and_groups_are_few() -> None:
    bert, head = Bert(tiny_config()), nn.Linear(16, 3)
    everything = [*bert.parameters(), *head.parameters()]
    built = build(bert.named_parameters(), head.named_parameters(), settings_of())
    held = [id(parameter) for group in built.param_groups for parameter in group["params"]]
    assert sorted(held) == sorted(map(id, everything))
    assert len(built.param_groups) == 4  # encoder and heads, with decay and without


def test_without_heads_there_is_still_an_encoder_to_train() -> None:
    """A cosine has no weights."""
    bert = Bert(tiny_config())
    assert rates(build(bert.named_parameters(), [], settings_of()), "lr").keys() == {id(p) for p in bert.parameters()}


def test_a_head_without_a_gradient_is_left_alone_entirely() -> None:
    encoder, head = two_layers_and_a_head()
    built = build(encoder.named_parameters(), head.named_parameters(), settings_of())
    before = [parameter.detach().clone() for parameter in head.parameters()]
    for parameter in encoder.parameters():
        parameter.grad = torch.ones_like(parameter)
    built.step()
    assert all(torch.equal(old, new) for old, new in zip(before, head.parameters(), strict=True))
    assert not any(parameter in built.state for parameter in head.parameters())


def test_a_factor_reaches_every_group_and_does_not_pile_up() -> None:
    encoder, head = two_layers_and_a_head()
    built = build(encoder.named_parameters(), head.named_parameters(), settings_of(layer_decay=0.5))
    peaks = rates(built, "peak_lr")
    for factor in (0.1, 1.0, 0.25):
        set_learning_rate(built, factor)
        assert rates(built, "lr") == pytest.approx({key: factor * peak for key, peak in peaks.items()})


@settings(max_examples=200, deadline=None)
@given(steps=st.integers(1, 400), warmup=st.floats(0, 1), decay=st.sampled_from(sorted(DECAYS)))
def test_the_rate_rises_to_its_peak_from_step_one_then_falls_and_never_rests_at_zero(
    steps: int, warmup: float, decay: str
) -> None:
    factors = [learning_rate_factor(step, steps, warmup, decay) for step in range(1, steps + 1)]
    warm = round(warmup * steps)
    assert factors[:warm] == pytest.approx([step / warm for step in range(1, warm + 1)])
    assert max(factors) == 1.0 == factors[max(warm, 1) - 1]
    assert all(0 < factor <= 1 for factor in factors)
    after = factors[warm:]
    assert after == sorted(after, reverse=True)
    rest = steps - warm
    expected = {
        "constant": [1.0] * rest,
        "linear": [(rest - i) / rest for i in range(rest)],
        "cosine": [(1 + math.cos(math.pi * i / rest)) / 2 for i in range(rest)],
    }
    assert after == pytest.approx(expected[decay])


@pytest.mark.parametrize("warmup", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("decay", DECAYS)
def test_a_run_of_one_update_trains_at_the_peak(decay: str, warmup: float) -> None:
    assert learning_rate_factor(1, 1, warmup, decay) == 1.0


@pytest.mark.parametrize(
    ("decay", "expected"),
    [
        ("linear", [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]),
        ("constant", [0.5, 1.0, 1.0, 1.0, 1.0, 1.0]),
        ("cosine", [0.5, 1.0, 1.0, 0.853553, 0.5, 0.146447]),
    ],
)
def test_the_rate_over_six_updates(decay: str, expected: list[float]) -> None:
    found = [learning_rate_factor(step, 6, 1 / 3, decay) for step in range(1, 7)]
    assert found == pytest.approx(expected, abs=1e-6)


def test_a_sparse_gradient_is_written_out_in_full_in_the_same_memory_each_time() -> None:
    table, bias = nn.Embedding(50, 4, sparse=True), nn.Parameter(torch.zeros(3))
    memory: dict[nn.Parameter, torch.Tensor] = {}
    places = set()
    for tokens in ([3, 3, 49], [0], [7, 3]):
        table.weight.grad = None
        table(torch.tensor(tokens)).square().sum().backward()
        sparse = table.weight.grad
        assert sparse is not None
        set_gradients([table.weight, bias], [sparse, None], memory)
        assert bias.grad is None
        assert torch.equal(table.weight.grad, sparse.to_dense())
        places.add(table.weight.grad.data_ptr())
    assert len(places) == 1
