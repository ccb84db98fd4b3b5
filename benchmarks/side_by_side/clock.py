"""Things to time -> their seconds, taken in turn so that a busy moment strikes all alike; and the machine's limit.

In a round each side does all steps in a row, after one that does not count, as training would; a side's figure is the
median of its rounds, step by step.
"""

import gc
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version

import torch

from minbert.kernels import DEFAULT, OTHERS, WORSE, Kernels

Step = Callable[[int], object]
ROOF_SHAPES = ((2048, 2048, 2048), (640, 384, 1536), (640, 1536, 384))  # rows, inner, columns


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


def roof(repeats: int = 15) -> float:
    """FLOP/s of the fastest float32 matrix product here with float32's accuracy: the limit of any training step."""
    best = 0.0
    for rows, inner, columns in ROOF_SHAPES:
        left, right = torch.randn(rows, inner), torch.randn(inner, columns)
        exact = left.double() @ right.double()
        errors: dict[str, float] = {}
        for precision in (DEFAULT, *OTHERS):
            with Kernels(torch.get_num_threads(), precision).in_use():
                errors[precision] = float(((left @ right) - exact).abs().max())
                if errors[precision] > WORSE * errors[DEFAULT]:
                    continue
                for _ in range(repeats):
                    started = time.perf_counter()
                    left @ right
                    best = max(best, 2 * rows * inner * columns / (time.perf_counter() - started))
    return best


def machine(*packages: str) -> str:
    """Versions and processor, for the head of a table."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", *packages))
    units = torch.backends.cpu.get_cpu_capability()
    return f"{versions}; {torch.get_num_threads()} threads, {platform.machine()}, {units}"
