"""What gradient surgery costs: a PCGrad step over a summed-loss step, beside literal versions and TorchJD's.

    ./dev bench surgery --data DATA

All sides share one encoder, its heads and its batches (16 a task), and differ in what they do with tasks' gradients.
The summed step is the faster of two: all tasks' losses added and one backward pass, or task after task. Before any
timing every peer's update must equal ours, with its orders of projections; TorchJD's, whose orders are its own, is
compared on two tasks, where no order matters.

  ours      `minbert.training.update` with gradients.method = "pcgrad", its record included
  literal   one flat vector a task, every product and projection on vectors, and nothing else
  port      the same with what the usual PyTorch ports add: a mask beside every gradient of the entries that it has, and
            those that all tasks have summed apart from the others
  TorchJD   its PCGrad on the matrix of all tasks' gradients, which one backward pass a task gives
  mtl       the same by `torchjd.autojac.mtl_backward`, which goes through every task's batch for every task
"""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from unittest.mock import patch

import torch
from side_by_side.clock import interleave, machine
from side_by_side.workload import TASKS, Workload, arguments, build
from torch import Tensor, nn
from torchjd.aggregation import PCGrad
from torchjd.autojac import jac_to_grad, mtl_backward

from minbert import optimizer
from minbert.jobs import seed_of, training_batch
from minbert.text import Batch

COURSE = list(TASKS)
ROUNDS = 3
STEPS = range(1, 3)
TOLERANCE = 0.02


def batches(work: Workload, step: int) -> Iterator[tuple[str, Batch]]:
    """Every task of step t and its batch, with the model and its dropout as in training."""
    work.model.train()
    torch.manual_seed(seed_of(work.job.recipe.seed, "dropout", step))
    for draw in work.job.schedule.draws(step):
        name = work.job.names[draw.task]
        yield name, training_batch(work.job, name, draw.first)


def loss(work: Workload, name: str, batch: Batch) -> Tensor:
    return work.job.tasks[name].weight * work.model.loss(name, batch)


def apply(work: Workload) -> None:
    """Clips and lets AdamW take its step, as every side does in the end."""
    encoder = list(work.model.encoder.parameters())
    optimizer.set_gradients(encoder, [parameter.grad for parameter in encoder], work.state.memory)
    torch.nn.utils.clip_grad_norm_(work.model.parameters(), float(work.job.recipe.gradients.clip))
    work.state.optimizer.step()
    work.state.optimizer.zero_grad()


def together(work: Workload, step: int) -> None:
    """The summed step with one backward pass over all tasks' losses."""
    sum(loss(work, *task) for task in batches(work, step)).backward()
    apply(work)


def in_turn(work: Workload, step: int) -> None:
    """The summed step, task after task, so that one graph is held at a time."""
    for task in batches(work, step):
        loss(work, *task).backward()
    apply(work)


def flat(parameters: Sequence[nn.Parameter], tensors: Iterable[Tensor | None]) -> Tensor:
    """One vector; zeros where there is no tensor."""
    found = zip(parameters, tensors, strict=True)
    return torch.cat([(torch.zeros_like(p) if t is None else t).flatten() for p, t in found])


def gradient(found: Tensor, parameters: Sequence[nn.Parameter], retain_graph: bool = False) -> list[Tensor | None]:
    """A loss's gradient, one tensor a parameter; the head's is left for the optimiser."""
    for parameter in parameters:
        parameter.grad = None
    found.backward(retain_graph=retain_graph)
    return [parameter.grad for parameter in parameters]


def project(work: Workload, step: int, vectors: Sequence[Tensor]) -> list[Tensor]:
    """Algorithm 1 of Yu et al. (2020) on vectors, in our order of projections."""
    altered = copy.deepcopy(list(vectors))
    generator = torch.Generator().manual_seed(seed_of(work.job.recipe.seed, "surgery", step))
    for i, g_i in enumerate(altered):
        for j in torch.randperm(len(vectors), generator=generator).tolist():
            dot = torch.dot(g_i, vectors[j])
            if j != i and dot < 0:
                g_i.sub_(dot / vectors[j].norm() ** 2 * vectors[j])
    return altered


def write(parameters: Sequence[nn.Parameter], total: Tensor) -> None:
    """A vector's parts as the parameters' gradients."""
    for parameter, gradient in zip(parameters, total.split([p.numel() for p in parameters]), strict=True):
        parameter.grad = gradient.view_as(parameter)


def literal(work: Workload, step: int) -> None:
    """PCGrad on one flat vector a task; the heads, which are not shared, keep their gradients."""
    parameters = list(work.model.encoder.parameters())
    vectors = [flat(parameters, gradient(loss(work, *task), parameters)) for task in batches(work, step)]
    write(parameters, torch.stack(project(work, step, vectors)).sum(0))
    apply(work)


def port(work: Workload, step: int) -> None:
    """PCGrad on one flat vector a task, with the masks of the usual ports."""
    parameters, vectors, masks = list(work.model.encoder.parameters()), [], []
    for found in [loss(work, *task) for task in batches(work, step)]:
        of_task = gradient(found, parameters, retain_graph=True)
        vectors.append(flat(parameters, of_task))
        masks.append(flat(parameters, [None if g is None else torch.ones_like(g) for g in of_task]))
    shared = torch.stack(masks).prod(0).bool()
    altered, total = project(work, step, vectors), torch.zeros_like(vectors[0])
    for entries in (shared, ~shared):
        total[entries] = torch.stack([vector[entries] for vector in altered]).sum(0)
    write(parameters, total)
    apply(work)


def torchjd(work: Workload, step: int) -> None:
    """TorchJD's PCGrad on the Jacobian's rows, which one backward pass a task gives."""
    parameters = list(work.model.encoder.parameters())
    vectors = [flat(parameters, gradient(loss(work, *task), parameters)) for task in batches(work, step)]
    write(parameters, PCGrad()(torch.stack(vectors)))
    apply(work)


def mtl(work: Workload, step: int) -> None:
    """TorchJD's own way to the same: its Jacobian of the losses in the encoder, and its PCGrad."""
    shared = [p for p in work.model.encoder.parameters() if p.requires_grad]
    heads = [list(work.model.heads[f"head_{name}"].parameters()) for name in work.job.names]
    found, features = [], []
    for name, batch in batches(work, step):
        pooled = tuple(work.model.pooled(name, batch))
        features += pooled
        found.append(loss(work, name, replace(batch, pooled=pooled)))
    mtl_backward(found, features, tasks_params=heads, shared_params=shared, parallel_chunk_size=1)
    jac_to_grad(shared, PCGrad())
    apply(work)


def full(side: Callable[[Workload, int], None]) -> Callable[[Workload, int], None]:
    """A side whose word table has full gradients, as any code but ours expects."""

    def step(work: Workload, number: int) -> None:
        with patch.object(work.model.encoder.embeddings.word_embeddings, "sparse", False):
            side(work, number)

    return step


SIDES: dict[str, Callable[[Workload, int], object]] = {
    "together": together,
    "in turn": in_turn,
    "ours": Workload.update,
    "literal": full(literal),
    "port": full(port),
    "TorchJD": full(torchjd),
    "mtl": full(mtl),
}


PEERS = ("literal", "port", "TorchJD", "mtl")


def agree(peer: str, data: str | None) -> None:
    """Raises where a peer's update differs from ours: of two tasks for TorchJD, which draws an order of its own.

    Not number by number: where a gradient is rounding alone, AdamW's first step is as long as any other.
    """
    tasks = named(2 if peer in ("TorchJD", "mtl") else 3)
    first, second = (build(tasks, 16, "length", data, method="pcgrad") for _ in range(2))
    before = torch.cat([parameter.detach().flatten().clone() for parameter in first.model.parameters()])
    table = second.job.recipe.optimizer
    factor = optimizer.learning_rate_factor(1, second.job.last_step, table.warmup, table.decay)
    optimizer.set_learning_rate(second.state.optimizer, factor)
    first.update(1)
    with second.kernels.in_use():
        SIDES[peer](second, 1)
    ours, other = (
        torch.cat([parameter.detach().flatten() for parameter in work.model.parameters()]) - before
        for work in (first, second)
    )
    off = float((ours - other).norm() / other.norm())
    assert off < TOLERANCE, f"our update is off that of {peer} by {off:.1%} of its length"


def measure(tasks: int, rounds: int, data: str | None) -> dict[str, float]:
    """Seconds a step of every side, with so many tasks; the course's three come round again under other names."""
    work = build(named(tasks), 16, "length", data, method="pcgrad")
    with work.kernels.in_use():
        return interleave({name: lambda step, do=do: do(work, step) for name, do in SIDES.items()}, STEPS, rounds)


def named(tasks: int) -> dict[str, str]:
    """Names for so many tasks -> the course's task that each one is."""
    return {f"{COURSE[i % 3]}{i // 3 or ''}": COURSE[i % 3] for i in range(tasks)}


def line(tasks: int, taken: dict[str, float]) -> str:
    summed = min(taken["together"], taken["in turn"])
    ratios = [taken["ours"] / summed, *(taken[peer] / taken["ours"] for peer in PEERS)]
    return (
        f"{tasks:5}"
        + "".join(f"{taken[s] / len(STEPS) * 1000:10.0f}" for s in SIDES)
        + "".join(f"{r:9.2f}" for r in ratios)
    )


def main() -> None:
    options = arguments(__doc__ or "")
    for peer in PEERS:
        agree(peer, options.data)
    print(machine("torchjd"))
    print("      milliseconds a step                                                       ours over   over ours")
    print("tasks" + "".join(f"{side:>10}" for side in SIDES) + f"{'summed':>9}" + "".join(f"{p:>9}" for p in PEERS))
    for tasks in (3,) if options.quick else (3, 2, 4, 5, 6, 7, 8):
        rounds = ROUNDS if tasks == 3 else ROUNDS - 1
        print(line(tasks, measure(tasks, rounds, options.data)), flush=True)


if __name__ == "__main__":
    main()
