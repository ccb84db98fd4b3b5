"""Speed of a training step per real token: ours over a plain loop on `transformers.BertModel`.

    ./dev bench training_step --data DATA

Sides run in turn on steps of the same recipe, with the same texts, dropouts, optimiser and precision; before any timing
both sides' losses must agree without dropout.

  plain       random batches, padded to the longest; AdamW as it comes; a pair's texts in two passes
  best        the same batches; fused AdamW; the fastest passes, attention path, accurate kernel and threads
  grouped     as plain, with the recipe's batches of like length
  same        ours, on the plain loop's very batches
  ours        ours, drawing batches as a recipe does by default
"""

import itertools
import math
from dataclasses import replace

import torch
from side_by_side.clock import accurate_kernels, fastest_products, interleave, machine
from side_by_side.peers import PlainLoop, Settings
from side_by_side.workload import Workload, arguments, build

CASES = {"sst": ["sst"], "pairs": ["para", "sts"], "three": ["sst", "para", "sts"]}
SIZES = (8, 16, 64)
ROUNDS = 3
TOLERANCE = 1e-4  # of a loss, relative


def agree(ours: Workload, peer: PlainLoop, step: int) -> None:
    """Raises where the two sides' losses differ without dropout: then they would not do the same work."""
    ours.model.eval()
    peer.eval()
    with torch.inference_mode():
        for name, rows in ours.rows(step).items():
            own = float(ours.model.loss(name, ours.job.encoded["train"][name].batch(rows)))
            other = float(peer.loss(name, *peer.batch(name, rows)))
            assert math.isclose(own, other, rel_tol=TOLERANCE), f"{name}: our loss is {own}, the peer's {other}"


def best_settings(random: Workload, steps: range) -> Settings:
    """The plain loop's fastest settings here, found one by one."""
    chosen = Settings(fused=True)
    for key, values in (
        ("one_pass", (False, True)),
        ("attention", ("sdpa", "eager")),
        ("precision", accurate_kernels()),
        ("threads", sorted({torch.get_num_threads(), max(1, torch.get_num_threads() // 2)})),
    ):
        choices = [replace(chosen, **{key: value}) for value in values]
        peers = {str(choice): PlainLoop(random.job, random.model, choice) for choice in choices}
        sides = {name: lambda step, peer=peer: peer.update(random.rows(step)) for name, peer in peers.items()}
        taken = interleave(sides, steps, 3)
        chosen = min(choices, key=lambda choice: taken[str(choice)])
    return chosen


def compare(name: str, size: int, data: str | None, rounds: int) -> None:
    """Prints one case's line."""
    random, drawn = (
        build({task: task for task in CASES[name]}, size, batching, data) for batching in ("random", "length")
    )
    plain = PlainLoop(random.job, random.model, Settings())
    agree(random, plain, 1)
    chosen = best_settings(random, range(1, 1 + max(1, 32 // size)))
    best = PlainLoop(random.job, random.model, chosen)
    agree(random, best, 1)
    steps = range(1, 1 + max(2, 64 // size))
    products, flops = fastest_products()
    taken = interleave(
        {
            "plain": lambda step: plain.update(random.rows(step)),
            "best": lambda step: best.update(random.rows(step)),
            "grouped": lambda step: plain.update(drawn.rows(step)),
            "same": random.update,
            "ours": drawn.update,
            "products": products,
        },
        steps,
        rounds,
    )
    limit = flops * len(steps) / taken.pop("products")
    tokens = {side: (drawn if side in ("grouped", "ours") else random).tokens(steps) for side in taken}
    speed = {side: tokens[side] / taken[side] for side in taken}
    share = speed["ours"] * random.flops_per_token / limit
    print(
        f"{name:6}{size:4}"
        + "".join(f"{speed[side]:9.0f}" for side in taken)
        + f"{speed['ours'] / speed['plain']:10.2f}{speed['same'] / speed['plain']:8.2f}"
        + f"{speed['ours'] / speed['best']:8.2f}"
        + f"{limit / 1e9:8.0f}{share:8.0%}   {chosen}",
        flush=True,
    )


def main() -> None:
    options = arguments(__doc__ or "")
    print(machine("transformers"))
    print(
        f"medians of {ROUNDS} interleaved rounds; GFLOP/s: of the fastest float32 matrix products, in the same rounds"
    )
    print(
        "            real tokens a second                            speed of ours over              useful  settings"
    )
    print("tasks batch    plain     best  grouped     same     ours     plain    same    best GFLOP/s   share  of best")
    cases = [("three", 16)] if options.quick else itertools.product(CASES, SIZES)
    for name, size in cases:
        compare(name, size, options.data, ROUNDS)


if __name__ == "__main__":
    main()
