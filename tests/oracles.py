"""Slow, literal versions of what the package computes fast: every index a loop, every equation as the paper has it."""

import math

import torch
from torch import Tensor


def attention(q: Tensor, k: Tensor, v: Tensor, real: Tensor) -> Tensor:
    """sum_j p_j v_j with p_j = exp(q.k_j / sqrt(D)) / sum over the real keys; zeros where no key is real.

    q, k, v: [B, A, L, D]; real: [B, 1, 1, L] (Vaswani et al. 2017, equation 1).
    """
    B, A, L, D = q.shape
    mixed = torch.zeros_like(q)
    for b in range(B):
        keys = [j for j in range(L) if real[b, 0, 0, j]]
        for a in range(A):
            for i in range(L):
                weights = [math.exp(float(q[b, a, i] @ k[b, a, j]) / math.sqrt(D)) for j in keys]
                for j, weight in zip(keys, weights, strict=True):
                    mixed[b, a, i] += weight / sum(weights) * v[b, a, j]
    return mixed


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """(x - mean) / sqrt(variance + eps) * weight + bias over the last dimension (Ba et al. 2016, equation 3)."""
    mean = x.mean(-1, keepdim=True)
    variance = ((x - mean) ** 2).mean(-1, keepdim=True)
    return (x - mean) / (variance + eps).sqrt() * weight + bias


def gelu(x: Tensor) -> Tensor:
    """x Phi(x) (Hendrycks & Gimpel 2016, equation 1)."""
    return x * (1 + torch.erf(x / math.sqrt(2))) / 2


def bert(
    weights: dict[str, Tensor], heads: int, eps: float, ids: Tensor, mask: Tensor, types: Tensor
) -> tuple[Tensor, Tensor]:
    """BERT without dropout, from a Hugging Face state dict: last_hidden [B, L, H] and pooled [B, H]."""

    def linear(name: str, x: Tensor) -> Tensor:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(name: str, x: Tensor) -> Tensor:
        return layer_norm(x, weights[f"{name}.weight"], weights[f"{name}.bias"], eps)

    def split(x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], heads, -1).transpose(1, 2)  # [B, L, H] -> [B, A, L, D]

    words = weights["embeddings.word_embeddings.weight"][ids]
    positions = weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
    hidden = norm("embeddings.LayerNorm", words + positions + weights["embeddings.token_type_embeddings.weight"][types])
    layers = {key.split(".")[2] for key in weights if key.startswith("encoder.layer.")}
    for layer in (f"encoder.layer.{n}" for n in range(len(layers))):
        q, k, v = (split(linear(f"{layer}.attention.self.{name}", hidden)) for name in ("query", "key", "value"))
        mixed = attention(q, k, v, mask.bool()[:, None, None, :]).transpose(1, 2).flatten(2)
        attended = norm(
            f"{layer}.attention.output.LayerNorm", hidden + linear(f"{layer}.attention.output.dense", mixed)
        )
        inner = gelu(linear(f"{layer}.intermediate.dense", attended))
        hidden = norm(f"{layer}.output.LayerNorm", attended + linear(f"{layer}.output.dense", inner))
    return hidden, torch.tanh(linear("pooler.dense", hidden[:, 0]))
