"""Seconds of training until the dev sum of `recipes/default.toml` reaches a mark: ours, and the plain loop's.

    ./dev bench time_to_quality --data DATA

Both sides follow the recipe: heads, weights, rates, warm-up, batch sizes, swapped pairs and dropouts. Ours draws its
batches as the recipe says, the plain loop at random. Dev is scored by the same code every 50 updates, off the clock.
"""

import itertools
import math
import time
from collections.abc import Iterator

from side_by_side.clock import machine
from side_by_side.peers import PlainLoop, Settings
from side_by_side.workload import Workload, arguments

from minbert import optimizer, training
from minbert.evaluation import evaluate
from minbert.jobs import prepare
from minbert.kernels import measure
from minbert.recipes import load

MARK = 2.10
EVERY = 50
HOUR = 3600.0


def start(batching: str, data: str | None) -> Workload:
    recipe = load("recipes/default.toml", data=data, overrides=[f"training.batching={batching}"])
    job, model = prepare(recipe, skip_bad_rows=True)
    return Workload(job, training.State.start(job, model), measure())


def ours(work: Workload) -> Iterator[None]:
    for step in range(1, work.job.last_step + 1):
        work.update(step)
        yield


def plain(work: Workload) -> Iterator[None]:
    """The plain loop; after every update its weights are the workload's model's, to be scored."""
    loop = PlainLoop(work.job, work.model, Settings())
    table, peaks = work.job.recipe.optimizer, [group["lr"] for group in loop.optimizer.param_groups]
    for step in range(1, work.job.last_step + 1):
        factor = optimizer.learning_rate_factor(step, work.job.last_step, table.warmup, table.decay)
        for group, peak in zip(loop.optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * factor
        loop.update(work.rows(step))
        if step % EVERY == 0:
            loop.copy_to(work.model)
        yield


def seconds_to(mark: float, name: str, work: Workload, updates: Iterator[None]) -> float:
    """Seconds of updates until the dev sum reaches the mark; infinite if it never does within an hour."""
    seconds = 0.0
    for step in itertools.count(1):
        started = time.perf_counter()
        if next(updates, StopIteration) is StopIteration:
            return math.inf
        seconds += time.perf_counter() - started
        if step % EVERY == 0:
            total = evaluate(work.model, work.job.encoded["dev"]).sum
            print(f"{name:6} step {step:4} {seconds:7.0f} s   dev sum {total:.3f}", flush=True)
            if total >= mark:
                return seconds
        if seconds > HOUR:
            return math.inf
    raise AssertionError


def main() -> None:
    options = arguments(__doc__ or "")
    mark = 0.0 if options.quick else MARK
    print(machine("transformers"))
    own, peer = start("length", options.data), start("random", options.data)
    taken = seconds_to(mark, "ours", own, ours(own)), seconds_to(mark, "plain", peer, plain(peer))
    print(
        f"dev sum {mark:.2f} after {taken[0]:.0f} s (ours) and {taken[1]:.0f} s (plain loop): {taken[1] / taken[0]:.2f}"
    )


if __name__ == "__main__":
    main()
