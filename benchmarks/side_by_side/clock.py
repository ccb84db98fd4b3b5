"""Things to time -> their seconds, taken in turn so that a busy moment strikes all alike; and the machine's limit.

In a round each side does all steps in a row, after one that does not count, as training would; a side's figure is the
median of its rounds, step by step.
"""

import functools
import gc
import itertools
import math
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version

import torch

from minbert.kernels import DEFAULT, OTHERS, WORSE, Kernels

Step = Callable[[int], object]
PRODUCTS = ((2048, 2048, 2048), (640, 384, 1536), (640, 1536, 384))  # rows, inner, columns


def interleave(sides: Mapping[str, Step], steps: Sequence[int], rounds: int) -> dict[str, float]:
    """Seconds that each side takes for all steps: the sum over steps of its medians over rounds."""
    taken: dict[str, list[list[float]]] = {name: [[] for _ in steps] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            gc.collect()
            side(steps[-1])  # caches and memory are the other side's until this one has run
            for place, step in enumerate(steps):
                started = time.perf_counter()
                side(step)
                taken[name][place].append(time.perf_counter() - started)
    return {name: sum(statistics.median(times) for times in of_side) for name, of_side in taken.items()}


@functools.cache
def accurate_kernels() -> tuple[str, ...]:
    """torch's kernels for float32 products that have float32's accuracy on this processor."""
    left, right = (torch.randn(512, 512, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    exact, errors = left.double() @ right.double(), dict[str, float]()
    for precision in (DEFAULT, *OTHERS):
        with Kernels(torch.get_num_threads(), precision).in_use():
            errors[precision] = float(((left @ right) - exact).abs().max())
    return tuple(precision for precision in errors if errors[precision] <= WORSE * errors[DEFAULT])


def fastest_products(seconds: float = 0.2) -> tuple[Step, float]:
    """A step of the fastest float32 matrix products here, and its FLOP: the limit of any training step."""
    best: tuple[float, Kernels, tuple[int, int, int]] | None = None
    for shape, precision in itertools.product(PRODUCTS, accurate_kernels()):
        kernels = Kernels(torch.get_num_threads(), precision)
        rate = _flops(shape) / min(_multiply(kernels, shape, 1) for _ in range(15))
        if best is None or rate > best[0]:
            best = rate, kernels, shape
    assert best is not None
    rate, kernels, shape = best
    count = math.ceil(seconds * rate / _flops(shape))
    return lambda _: _multiply(kernels, shape, count), count * _flops(shape)


def _multiply(kernels: Kernels, shape: tuple[int, int, int], count: int) -> float:
    """Seconds that so many products take."""
    rows, inner, columns = shape
    left, right = torch.randn(rows, inner), torch.randn(inner, columns)
    with kernels.in_use():
        started = time.perf_counter()
        for _ in range(count):
            left @ right
        return time.perf_counter() - started


def _flops(shape: tuple[int, int, int]) -> int:
    return 2 * math.prod(shape)


def machine(*packages: str) -> str:
    """Versions and processor, for the head of a table."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", *packages))
    units = torch.backends.cpu.get_cpu_capability()
    return f"{versions}; {torch.get_num_threads()} threads, {platform.machine()}, {units}"
