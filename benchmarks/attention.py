"""Seconds of the encoder with attention written out, over seconds with torch's fused function: one line a shape.

    ./dev bench attention

Both sides run in turn on the same batches; dropout is on in training, as in the checkpoint's config.
"""

import math
import platform
import statistics
import time

import torch
import torch.nn.functional as F
from torch import Tensor

from minbert import bert
from minbert.pretrained import load_encoder, locate

REPEATS = 7
SHAPES = {
    "64 texts of 8-20 tokens": (64, 8, 20),
    "24 texts of 20-32": (24, 20, 32),
    "8 texts of 200-512": (8, 200, 512),
}


def written_out(q: Tensor, k: Tensor, v: Tensor, real: Tensor, dropout: float) -> Tensor:
    scores = (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(~real, torch.finfo(q.dtype).min)
    return F.dropout(scores.softmax(-1), dropout) @ v


def seconds(encoder: bert.Bert, batch: tuple[Tensor, Tensor], training: bool) -> float:
    encoder.train(training)
    started = time.perf_counter()
    with torch.set_grad_enabled(training):
        hidden = encoder(*batch).last_hidden
    if training:
        hidden.sum().backward()
        encoder.zero_grad(set_to_none=True)
    return time.perf_counter() - started


def main() -> None:
    encoder, fused = load_encoder(locate("minilm")), bert.attention
    generator = torch.Generator().manual_seed(0)
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, {platform.machine()}, "
        f"{torch.backends.cpu.get_cpu_capability()}; median of {REPEATS} interleaved runs, written out / fused"
    )
    for name, (texts, shortest, longest) in SHAPES.items():
        lengths = torch.randint(shortest, longest + 1, (texts, 1), generator=generator)
        ids = torch.randint(1000, 20000, (texts, longest), generator=generator)
        batch = (ids, (torch.arange(longest)[None] < lengths).long())
        for training in (True, False):
            times: dict[str, list[float]] = {"written out": [], "fused": []}
            for _ in range(REPEATS):
                for side, function in (("written out", written_out), ("fused", fused)):
                    bert.attention = function
                    times[side].append(seconds(encoder, batch, training))
            ratio = statistics.median(times["written out"]) / statistics.median(times["fused"])
            print(f"{name:26}{'training' if training else 'inference':10} {ratio:.2f}")


if __name__ == "__main__":
    main()
