"""The encoder, whole: token ids in, one vector per token and one per text out (Devlin et al. 2018).

Between its two ends a batch is packed (`packing.py`): one row a token and none for padding. Attention alone puts texts
of like length side by side again.

Letters in shapes: B texts, L length, N tokens that are no padding, G texts of like length, H hidden, A heads,
D = H/A head size, I intermediate, V vocabulary.
Attribute names are the keys of a Hugging Face checkpoint, so weights load without translation.
"""

import math
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minbert.dropout import Dropout, dropout
from minbert.packing import Group, Packing


@dataclass(frozen=True)
class BertConfig:
    """Sizes and rates, named as in `config.json`. The defaults are bert-base's."""

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    layer_norm_eps: float = 1e-12
    initializer_range: float = 0.02
    pad_token_id: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type is int and field.name != "pad_token_id" and not (isinstance(value, int) and value > 0):
                raise ValueError(f"{field.name} = {value!r} should be a whole number above 0")
            if field.name.endswith("dropout_prob") and not 0 <= value < 1:
                raise ValueError(f"{field.name} = {value} should be at least 0 and below 1")
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is not a multiple of num_attention_heads {self.num_attention_heads}"
            )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Takes what it knows from a parsed `config.json` and leaves the rest."""
        return cls(**{field.name: values[field.name] for field in fields(cls) if field.name in values})


class BertOutput(NamedTuple):
    """What the encoder gives: last_hidden [B, L, H], zeros at padding, and pooled [B, H] = tanh(W h_[CLS] + b)."""

    last_hidden: Tensor
    pooled: Tensor


class Embeddings(nn.Module):
    """Word + position + token type, then LayerNorm and dropout (Devlin et al. 2018, figure 2)."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(self, input_ids: Tensor, positions: Tensor, token_type_ids: Tensor) -> Tensor:
        total: Tensor = (  # three of [N] -> [N, H]
            self.word_embeddings(input_ids)
            + self.position_embeddings(positions)
            + self.token_type_embeddings(token_type_ids)
        )
        return self.dropout(self.LayerNorm(total))  # type: ignore[no-any-return]


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, rate: float) -> Tensor:
    """drop(softmax(q k^T / sqrt(D) + mask)) v (Vaswani et al. 2017, equation 1).

    q, k, v: [G, A, L, D]; mask: [G, 1, 1, L], 0 where a key is a token and -inf where it is padding, or None where
    all are tokens; every text has a token; -> [G, A, L, D]. Torch's own function does the same and is faster for long
    texts, but with dropout on a CPU it is slower than these lines (docs/decisions/attention.md).
    """
    if rate == 0 or q.device.type != "cpu":
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=rate)
    G, A, L, D = q.shape
    mask = q.new_zeros(1, 1, 1) if mask is None else mask.to(q.dtype).expand(G, A, 1, L).reshape(G * A, 1, L)
    scores = torch.baddbmm(mask, q.flatten(0, 1), k.flatten(0, 1).mT, alpha=1 / math.sqrt(D))  # [GA, L, L]
    mixed = dropout(scores.softmax(-1), rate) @ v.flatten(0, 1)  # [GA, L, L] @ [GA, L, D]
    return mixed.view(G, A, L, D)


class SelfAttention(nn.Module):
    """Multi-head self-attention: every head attends over the text in its own D dimensions."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.num_heads = config.num_attention_heads
        self.head_size = config.hidden_size // config.num_attention_heads
        self.dropout_prob = config.attention_probs_dropout_prob
        self.query = nn.Linear(config.hidden_size, config.hidden_size)
        self.key = nn.Linear(config.hidden_size, config.hidden_size)
        self.value = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, hidden: Tensor, packing: Packing) -> Tensor:
        projections = (self.query, self.key, self.value)
        # One matrix product instead of three; formed here so that the checkpoint keeps BERT's own keys.
        weight = torch.cat([projection.weight for projection in projections])  # [3H, H]
        bias = torch.cat([projection.bias for projection in projections])  # [3H]
        qkv = F.linear(hidden, weight, bias)  # [N, H] -> [N, 3H]
        of_groups = torch.split(qkv, [group.tokens for group in packing.groups])
        return torch.cat([self.within(*pair) for pair in zip(packing.groups, of_groups, strict=True)])  # [N, H]

    def within(self, group: Group, qkv: Tensor) -> Tensor:
        """Attention among the tokens of each text of a group: [n, 3H] -> [n, H]."""
        padded = group.pad(qkv).view(group.texts, group.longest, 3, self.num_heads, self.head_size)  # [n, 3H] ->
        q, k, v = padded.permute(2, 0, 3, 1, 4).contiguous()  # [G, L, 3, A, D] -> three of [G, A, L, D]
        mixed = attention(q, k, v, group.mask, self.dropout_prob if self.training else 0.0)
        return group.unpad(mixed.transpose(1, 2).flatten(2))  # [G, A, L, D] -> [G, L, H] -> [n, H]


class AddAndNorm(nn.Module):
    """LayerNorm(residual + dropout(W x + b)): how each half of a layer ends."""

    def __init__(self, size_in: int, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(size_in, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        return self.LayerNorm(residual + self.dropout(self.dense(x)))  # type: ignore[no-any-return]


class Attention(nn.Module):
    """The first half of a layer: self-attention, then add and norm."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.self = SelfAttention(config)
        self.output = AddAndNorm(config.hidden_size, config)

    def forward(self, hidden: Tensor, packing: Packing) -> Tensor:
        return self.output(self.self(hidden, packing), hidden)  # type: ignore[no-any-return]


class Intermediate(nn.Module):
    """GELU(W x + b), the exact GELU with the error function (Hendrycks & Gimpel 2016)."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.intermediate_size)

    def forward(self, hidden: Tensor) -> Tensor:
        return F.gelu(self.dense(hidden))  # [N, H] -> [N, I]


class Layer(nn.Module):
    """One transformer layer: attention, then the feed-forward network, each with its residual."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.intermediate = Intermediate(config)
        self.output = AddAndNorm(config.intermediate_size, config)

    def forward(self, hidden: Tensor, packing: Packing) -> Tensor:
        attended = self.attention(hidden, packing)  # [N, H]
        return self.output(self.intermediate(attended), attended)  # type: ignore[no-any-return]


class Encoder(nn.Module):
    """The layers, one after the other."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))

    def forward(self, hidden: Tensor, packing: Packing) -> Tensor:
        for layer in self.layer:
            hidden = layer(hidden, packing)
        return hidden


class Pooler(nn.Module):
    """tanh(W h_[CLS] + b)."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, hidden: Tensor) -> Tensor:
        return torch.tanh(self.dense(hidden[:, 0]))  # [B, L, H] -> [B, H]


class Bert(nn.Module):
    """BERT. Weights are drawn as in the paper, from N(0, initializer_range^2), until a checkpoint is loaded."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = Embeddings(config)
        self.encoder = Encoder(config)
        self.pooler = Pooler(config)
        self.draw_weights(self)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> BertOutput:
        """input_ids, attention_mask (1 = token, 0 = padding), token_type_ids: [B, L] integers.

        The mask may stay on the CPU whatever the device; then nothing here waits for the device.
        Raises ValueError when L is greater than `max_position_embeddings`.
        """
        if input_ids.shape[1] > self.config.max_position_embeddings:
            raise ValueError(
                f"{input_ids.shape[1]} tokens; this encoder has {self.config.max_position_embeddings} positions"
            )
        if token_type_ids is None:
            token_type_ids = torch.zeros_like(input_ids)
        packing = Packing.of(attention_mask).to(input_ids.device)
        embedded = self.embeddings(packing.unpad(input_ids), packing.positions, packing.unpad(token_type_ids))  # [N, H]
        hidden = packing.pad(self.encoder(embedded, packing))  # [N, H] -> [B, L, H]
        return BertOutput(hidden, self.pooler(hidden))

    def draw_weights(self, part: nn.Module) -> None:
        """Gives a part of the encoder, or all of it, new weights; LayerNorms stay as they are."""
        for module in part.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=self.config.initializer_range)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)
