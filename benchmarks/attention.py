"""Speed of the encoder with our attention over its speed with torch's function alone: one line a shape.

    ./dev bench attention

Both sides run in turn on the same batches, forward and backward, with dropout as in the checkpoint's config. Without
dropout, as in inference, the two are the same function.
"""

import torch
from side_by_side.clock import interleave, machine
from side_by_side.peers import torchs_attention
from side_by_side.workload import arguments
from torch import Tensor

from minbert import bert
from minbert.pretrained import load_encoder, locate

ROUNDS = 9
SHAPES = {
    "64 texts of 8-20 tokens": (64, 8, 20),
    "24 texts of 20-32": (24, 20, 32),
    "8 texts of 200-512": (8, 200, 512),
}
ours = bert.attention


def main() -> None:
    options = arguments(__doc__ or "")
    encoder = load_encoder(locate("minilm")).train()
    generator = torch.Generator().manual_seed(0)
    print(machine())
    print(f"medians of {ROUNDS} interleaved rounds, seconds with torch's attention over seconds with ours")
    for name, (texts, shortest, longest) in list(SHAPES.items())[: 1 if options.quick else None]:
        lengths = torch.randint(shortest, longest + 1, (texts, 1), generator=generator)
        ids = torch.randint(1000, 20000, (texts, longest), generator=generator)
        mask = (torch.arange(longest)[None] < lengths).long()

        def step(_: int, attention: object, ids: Tensor = ids, mask: Tensor = mask) -> None:
            bert.attention = attention
            encoder(ids, mask).last_hidden.sum().backward()
            encoder.zero_grad(set_to_none=True)

        sides = {"ours": lambda t, f=step: f(t, ours), "torch": lambda t, f=step: f(t, torchs_attention)}
        taken = interleave(sides, (0,), ROUNDS)
        print(f"{name:26} {taken['torch'] / taken['ours']:.2f}", flush=True)


if __name__ == "__main__":
    main()
