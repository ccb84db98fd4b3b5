"""Things to time -> their seconds, taken in turn so that a busy moment strikes all alike; and the machine's limit.

In a round each side does all steps in a row, after one that does not count, as training would; a side's figure is the
median of its rounds, step by step.
"""

import gc
import itertools
import math
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version

import torch
from torch import Tensor

from minbert.kernels import Kernels, accurate, measured

Step = Callable[[int], object]
PRODUCTS = ((2048, 2048, 2048), (640, 384, 1536), (640, 1536, 384))  # rows, inner, columns


def interleave(
    sides: Mapping[str, Step], steps: Sequence[int], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Seconds that each side takes for all steps: the sum over steps of its medians over rounds."""
    taken: dict[str, list[list[float]]] = {name: [[] for _ in steps] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            gc.collect()
            side(steps[-1])  # caches and memory are the other side's until this one has run
            for place, step in enumerate(steps):
                started = clock()
                side(step)
                taken[name][place].append(clock() - started)
    return {name: sum(statistics.median(times) for times in of_side) for name, of_side in taken.items()}


def accurate_kernels() -> list[str]:
    """torch's kernels for float32 products that have float32's accuracy on this processor."""
    _, errors = measured(torch.get_num_threads())
    return accurate(errors)


def fastest_products(seconds: float = 0.2) -> tuple[Step, float]:
    """A step of the fastest float32 matrix products here, and its FLOP: the limit of any training step."""
    rates: dict[float, tuple[Callable[[int], None], int]] = {}
    for (rows, inner, columns), precision in itertools.product(PRODUCTS, accurate_kernels()):
        multiply = _products(torch.randn(rows, inner), torch.randn(inner, columns), precision)
        flops = 2 * rows * inner * columns
        rates[flops / min(_seconds(multiply) for _ in range(15))] = multiply, flops
    rate = max(rates)
    multiply, flops = rates[rate]
    count = math.ceil(seconds * rate / flops)
    return lambda _: multiply(count), count * flops


def _products(left: Tensor, right: Tensor, precision: str) -> Callable[[int], None]:
    """What multiplies two matrices so many times."""

    def multiply(count: int) -> None:
        with Kernels(torch.get_num_threads(), precision).in_use():
            for _ in range(count):
                left @ right

    return multiply


def _seconds(multiply: Callable[[int], None]) -> float:
    started = time.perf_counter()
    multiply(1)
    return time.perf_counter() - started


def machine(*packages: str) -> str:
    """Versions and processor, for the head of a table."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", *packages))
    units = torch.backends.cpu.get_cpu_capability()
    return f"{versions}; {torch.get_num_threads()} threads, {platform.machine()}, {units}"
