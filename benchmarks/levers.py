"""What each part of the fast training step gains alone: the step without it over the step as it is.

    ./dev bench levers --data DATA

Three tasks, batches of 16 drawn at random, every dropout kept. Above 1, the lever makes the step faster.
"""

import contextlib
import math
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from side_by_side.clock import interleave, machine
from side_by_side.workload import TASKS, Workload, arguments, build

from minbert import bert, dropout, packing
from minbert.packing import Group, Packing

ROUNDS = 3
STEPS = range(1, 5)


@contextlib.contextmanager
def replaced(place: object, name: str, value: object) -> Iterator[None]:
    before = getattr(place, name)
    setattr(place, name, value)
    try:
        yield
    finally:
        setattr(place, name, before)


def padded(attention_mask: torch.Tensor) -> Packing:
    """A packing that packs nothing: padding counts as tokens everywhere but in attention."""
    texts, longest = attention_mask.shape
    group = Group(texts, longest, texts * longest, None)
    mask = torch.zeros(texts, 1, 1, longest).masked_fill_(attention_mask[:, None, None] == 0, -math.inf)
    vars(group)["mask"] = mask
    return Packing(texts, longest, torch.arange(texts * longest), (group,))


@contextlib.contextmanager
def torchs_dropout() -> Iterator[None]:
    with replaced(bert, "dropout", F.dropout), replaced(dropout, "dropout", F.dropout):
        yield


Lever = Callable[[], contextlib.AbstractContextManager[None]]


def without(work: Workload, plain_adamw: torch.optim.AdamW) -> dict[str, Lever]:
    """The levers by name, each with what takes it away."""

    def torchs_attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: object, rate: float) -> torch.Tensor:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=rate)

    words = work.model.encoder.embeddings.word_embeddings
    return {
        "padding left out": lambda: replaced(Packing, "of", staticmethod(padded)),
        "texts of like length together in attention": lambda: replaced(packing, "LIKE", math.inf),
        "attention in two batched products": lambda: replaced(bert, "attention", torchs_attention),
        "cheap random bits for dropout": torchs_dropout,
        "word gradients of the rows in use": lambda: replaced(words, "sparse", False),
        "fused AdamW": lambda: replaced(work.state, "optimizer", plain_adamw),
    }


def main() -> None:
    options = arguments(__doc__ or "")
    work = build({name: name for name in TASKS}, 16, "random", options.data)
    drawn = build({name: name for name in TASKS}, 16, "length", options.data)
    groups = [{**group, "fused": False} for group in work.state.optimizer.param_groups]
    levers = without(work, torch.optim.AdamW(groups))

    def taken_away(lever: Lever, step: int) -> None:
        with lever():
            work.update(step)

    sides = {"": work.update, "batches of like length": drawn.update}
    sides |= {name: lambda step, lever=lever: taken_away(lever, step) for name, lever in levers.items()}
    steps, rounds = (range(1, 2), 1) if options.quick else (STEPS, ROUNDS)
    taken = interleave(sides, steps, rounds)
    print(machine())
    print(
        f"medians of {rounds} interleaved rounds; as it is, {work.tokens(steps) / taken['']:.0f} real tokens a second"
    )
    for name in levers:
        print(f"{name:45} {taken[name] / taken['']:.2f}")
    faster = drawn.tokens(steps) / taken["batches of like length"] * taken[""] / work.tokens(steps)
    print(f"{'batches of like length, per token':45} {faster:.2f}")


if __name__ == "__main__":
    main()
