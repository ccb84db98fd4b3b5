"""How a process multiplies float32 matrices: with how many threads, and by which of torch's kernels.

torch has more than one. `set_float32_matmul_precision("medium")` lets it leave MKL for oneDNN, which on some AMD
processors is twice as fast with the same error, and on a processor with bf16 units rounds to bf16. So nothing is
assumed of a processor: speed and error are measured, and another kernel than the default one is only taken where it is
clearly faster and has float32's accuracy.
"""

import contextlib
import functools
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

DEFAULT, OTHERS = "highest", ("high", "medium")
SHAPE = 512, 384, 1536  # rows, inner, columns: a small encoder's widest product
GAIN = 1.2  # a kernel must be so much faster: machines are noisy, and the bits should not change with the weather
WORSE = 4.0  # times the default kernel's error; rounding to bf16 or TF32 is a hundred times worse or more
REPEATS = 9


@dataclass(frozen=True)
class Kernels:
    """What a run's bits depend on beside its seed; a run records them and goes on with the same."""

    threads: int
    float32_matmul_precision: str

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Computes with them inside the block."""
        before = torch.get_num_threads(), torch.get_float32_matmul_precision()
        torch.set_num_threads(self.threads)
        torch.set_float32_matmul_precision(self.float32_matmul_precision)
        try:
            yield
        finally:
            torch.set_num_threads(before[0])
            torch.set_float32_matmul_precision(before[1])


def measure(jobs: int = 1) -> Kernels:
    """The kernels for each of `jobs` runs at once. On a GPU torch's default stays, since any other rounds to TF32."""
    threads = share_of_threads(jobs)
    return Kernels(threads, DEFAULT if torch.cuda.is_available() else choose(*measured(threads)))


def share_of_threads(jobs: int) -> int:
    """Threads for each of `jobs` runs at once, which share those that a single one would take."""
    return max(1, torch.get_num_threads() // jobs)


def bf16_is_native(device: torch.device) -> bool:
    """Whether the device multiplies bf16 itself; without that it is several times slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    units: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # torch before it had this cannot tell
    return any(bool(units.get(name)) for name in ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16"))


@functools.cache
def measured(threads: int) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds and largest error of a product by each kernel there is, the default's first."""
    generator = torch.Generator().manual_seed(0)
    rows, inner, columns = SHAPE
    left, right = torch.randn(rows, inner, generator=generator), torch.randn(inner, columns, generator=generator)
    exact, products = left.double() @ right.double(), dict[str, Tensor]()
    seconds: dict[str, float] = {}
    for precision in REPEATS * (DEFAULT, *OTHERS):  # by turns, so that a busy moment strikes all alike
        with Kernels(threads, precision).in_use():
            started = time.perf_counter()
            products[precision] = left @ right
            seconds[precision] = min(seconds.get(precision, math.inf), time.perf_counter() - started)
    others = [name for name in OTHERS if not torch.equal(products[name], products[DEFAULT])]  # equal: the same kernel
    errors = {name: float((products[name] - exact).abs().max()) for name in (DEFAULT, *others)}
    return {name: seconds[name] for name in errors}, errors


def accurate(errors: dict[str, float]) -> list[str]:
    """The kernels with float32's accuracy, by their errors; the default's is one."""
    return [name for name in errors if errors[name] <= WORSE * errors[DEFAULT]]


def choose(seconds: dict[str, float], errors: dict[str, float]) -> str:
    """Among the kernels measured the one to compute with: the default unless an accurate one is clearly faster."""
    fastest = min(accurate(errors), key=seconds.__getitem__)
    return fastest if seconds[fastest] * GAIN < seconds[DEFAULT] else DEFAULT
