"""Things to time -> their seconds, taken in turn so that a busy moment strikes all alike; and the machine's limit.

One pass over all sides is a round; a side's figure is the median of its rounds, step by step.
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
    """Seconds that each side takes for all steps: the sum over steps of its medians over rounds.

    The first step runs once untimed on every side.
    """
    for side in sides.values():
        side(steps[0])
    taken: dict[str, list[list[float]]] = {name: [[] for _ in steps] for name in sides}
    for _ in range(rounds):
        for place, step in enumerate(steps):
            for name, side in sides.items():
                gc.collect()  # so that no side pays for what another one left behind
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
