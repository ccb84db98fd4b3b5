"""What each part of the fast training step gains alone: the step without it over the step as it is.

    ./dev bench levers --data DATA

Three tasks, batches of 16 drawn at random, every dropout kept. Above 1, the lever makes the step faster.
"""

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from unittest.mock import patch

import torch
import torch.nn.functional as F
from side_by_side.clock import interleave, machine
from side_by_side.peers import torchs_attention
from side_by_side.workload import TASKS, Workload, arguments, build

from minbert import bert, dropout, packing
from minbert.packing import Group, Packing

ROUNDS = 3
STEPS = range(1, 5)


@dataclass(frozen=True)
class Padded(Group):
    """All texts of a batch as one group whose padding counts as tokens everywhere but in attention."""

    mask: torch.Tensor = field(default_factory=torch.Tensor)


def padded(attention_mask: torch.Tensor) -> Packing:
    """A packing that packs nothing."""
    texts, longest = attention_mask.shape
    mask = torch.zeros(texts, 1, 1, longest).masked_fill_(attention_mask[:, None, None] == 0, -math.inf)
    return Packing(texts, longest, torch.arange(texts * longest), (Padded(texts, longest, None, mask),))


@contextlib.contextmanager
def torchs_dropout() -> Iterator[None]:
    with patch.object(bert, "dropout", F.dropout), patch.object(dropout, "dropout", F.dropout):
        yield


Lever = Callable[[], contextlib.AbstractContextManager[object]]


def without(work: Workload, plain_adamw: torch.optim.AdamW) -> dict[str, Lever]:
    """The levers by name, each with what takes it away."""
    words = work.model.encoder.embeddings.word_embeddings
    return {
        "padding left out": lambda: patch.object(Packing, "of", staticmethod(padded)),
        "texts of like length together in attention": lambda: patch.object(packing, "MAX_LENGTH_RATIO", math.inf),
        "attention in two batched products": lambda: patch.object(bert, "attention", torchs_attention),
        "cheap random bits for dropout": torchs_dropout,
        "word gradients of the rows in use": lambda: patch.object(words, "sparse", False),
        "fused AdamW": lambda: patch.object(work.state, "optimizer", plain_adamw),
    }


def losses(work: Workload) -> list[float]:
    """Of step 1's batches, without dropout."""
    work.model.eval()
    with torch.inference_mode():
        return [float(work.model.loss(n, work.job.encoded["train"][n].batch(r))) for n, r in work.rows(1).items()]


def main() -> None:
    options = arguments(__doc__ or "")
    work = build({name: name for name in TASKS}, 16, "random", options.data)
    drawn = build({name: name for name in TASKS}, 16, "length", options.data)
    groups = [{**group, "fused": False} for group in work.state.optimizer.param_groups]
    levers = without(work, torch.optim.AdamW(groups))

    def taken_away(lever: Lever, step: int) -> None:
        with lever():
            work.update(step)

    for name, lever in levers.items():
        expected = losses(work)
        with lever():
            for ours, other in zip(expected, losses(work), strict=True):
                assert math.isclose(ours, other, rel_tol=1e-4), f"{name}: a loss is {ours}, without it {other}"

    compiled = torch.compile(bert.Intermediate.forward, dynamic=True)  # where GELU could join the bias

    def with_compile(step: int) -> None:
        with patch.object(bert.Intermediate, "forward", compiled):
            work.update(step)

    started = time.perf_counter()
    with_compile(1)
    warm_up = time.perf_counter() - started
    sides = {"": work.update, "batches of like length": drawn.update, "torch.compile": with_compile}
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
    print("tried and not taken: the step as it is over the step with it")
    print(f"{'torch.compile of GELU and its linear map':45} {taken[''] / taken['torch.compile']:.2f}", end="")
    print(f" after {warm_up:.0f} s of compiling")


if __name__ == "__main__":
    main()
