"""Seconds of training until the dev sum of `recipes/default.toml` reaches a mark: ours, and the plain loop's.

    ./dev bench time_to_quality --data DATA

Both sides follow the recipe: heads, weights, rates, warm-up, batch sizes, swapped pairs and dropouts. Ours draws its
batches as the recipe says, the plain loop at random. Dev is scored by the same code every 50 updates, off the clock.
"""

import math
import time
from collections.abc import Callable

from side_by_side.clock import Step, machine
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


def plain_update(work: Workload, loop: PlainLoop, step: int) -> None:
    """Step t of the plain loop, at the recipe's learning rate."""
    table = work.job.recipe.optimizer
    factor = optimizer.learning_rate_factor(step, work.job.last_step, table.warmup, table.decay)
    optimizer.set_learning_rate(loop.optimizer, factor)
    loop.update(work.rows(step))


def dev_sum(work: Workload, loop: PlainLoop | None = None) -> float:
    """Of the workload's model, which a plain loop gives its weights first."""
    if loop is not None:
        loop.copy_to(work.model)
    return evaluate(work.model, work.job.encoded["dev"]).sum


def seconds_to(mark: float, name: str, last: int, update: Step, score: Callable[[], float]) -> float:
    """Seconds of updates until the dev sum reaches the mark; infinite if it never does within an hour."""
    seconds = 0.0
    for step in range(1, last + 1):
        started = time.perf_counter()
        update(step)
        seconds += time.perf_counter() - started
        if step % EVERY == 0:
            total = score()
            print(f"{name:6} step {step:4} {seconds:7.0f} s   dev sum {total:.3f}", flush=True)
            if total >= mark:
                return seconds
        if seconds > HOUR:
            break
    return math.inf


def main() -> None:
    options = arguments(__doc__ or "")
    mark = 0.0 if options.quick else MARK
    print(machine("transformers"))
    own, peer = start("length", options.data), start("random", options.data)
    loop = PlainLoop(peer.job, peer.model, Settings())
    taken = (
        seconds_to(mark, "ours", own.job.last_step, own.update, lambda: dev_sum(own)),
        seconds_to(
            mark,
            "plain",
            peer.job.last_step,
            lambda step: plain_update(peer, loop, step),
            lambda: dev_sum(peer, loop),
        ),
    )
    print(
        f"dev sum {mark:.2f} after {taken[0]:.0f} s (ours) and {taken[1]:.0f} s (plain loop): {taken[1] / taken[0]:.2f}"
    )


if __name__ == "__main__":
    main()
