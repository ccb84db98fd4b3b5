"""The choice among torch's float32 kernels: by measured speed and error, and never for less than float32's accuracy."""

import pytest
import torch

from minbert import kernels
from minbert.kernels import Kernels, choose, measure


@pytest.mark.parametrize(
    ("seconds", "errors", "chosen"),
    [
        ((1.0, 0.9, 0.4), (1e-6, 1e-6, 2e-6), "medium"),
        ((1.0, 0.3, 0.4), (1e-6, 1e-6, 2e-6), "high"),
        ((1.0, 0.9, 0.4), (1e-6, 1e-6, 3e-3), "highest"),  # bf16 inside
        ((1.0, 0.6, 0.2), (1e-6, 1e-6, 3e-3), "high"),
        ((1.0, 0.2, 0.2), (1e-6, 5e-4, 3e-3), "highest"),  # TF32 and bf16
        ((1.0, 0.9, 0.85), (1e-6, 1e-6, 1e-6), "highest"),  # the same kernel on a noisy machine
    ],
)
def test_the_fastest_accurate_kernel_is_chosen_where_it_is_clearly_faster(
    seconds: tuple[float, ...], errors: tuple[float, ...], chosen: str
) -> None:
    names = (kernels.DEFAULT, *kernels.OTHERS)
    assert choose(dict(zip(names, seconds, strict=True)), dict(zip(names, errors, strict=True))) == chosen


def test_the_chosen_kernel_has_the_error_of_float32() -> None:
    left, right = torch.randn(64, 384, dtype=torch.float64), torch.randn(384, 256, dtype=torch.float64)
    with measure().in_use():
        error = (left.float() @ right.float() - left @ right).abs().max()
    assert error < 384 * 2**-24 * 16  # bf16 inside would be off by about 0.1


def test_jobs_share_the_threads_of_a_single_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    accurate = {kernels.DEFAULT: 1e-6, "high": 1e-6}
    monkeypatch.setattr(kernels, "measured", lambda threads: ({kernels.DEFAULT: 1.0, "high": 0.3 * threads}, accurate))
    assert [measure(jobs).threads for jobs in (1, 2, 3, 4, 9)] == [4, 2, 1, 1, 1]
    assert measure(2).float32_matmul_precision == "high"  # as measured with 2 threads, not with 4 or 1
    assert measure(1).float32_matmul_precision == kernels.DEFAULT


def test_what_was_set_before_is_set_after() -> None:
    before = torch.get_num_threads(), torch.get_float32_matmul_precision()
    with Kernels(before[0] + 1, "medium").in_use():
        assert (torch.get_num_threads(), torch.get_float32_matmul_precision()) == (before[0] + 1, "medium")
    assert (torch.get_num_threads(), torch.get_float32_matmul_precision()) == before
