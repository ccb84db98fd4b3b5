"""Dropout whose random bits are cheap: torch draws a float for every element, one thread alone, and on a CPU that costs
as much as a fifth of a training step."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BITS = 16  # of randomness for each element; the rate is rounded to a multiple of 1 / 65,536


def dropout(x: Tensor, p: float) -> Tensor:
    """Each element is 0 with probability p, else divided by 1 - p (Srivastava et al. 2014).

    Draws from torch's global generator, as torch's own function does, which on a GPU it is.
    """
    if p == 0 or x.is_cuda:
        return F.dropout(x, p)
    words = torch.empty(math.ceil(x.numel() * BITS / 64), dtype=torch.int64).random_(-(2**63), None)
    bits = words.view(torch.int16)[: x.numel()].view(x.shape)  # whole numbers from -2^15 to 2^15 - 1, all as likely
    kept = bits.float().ge_(round(p * 2**BITS) - 2 ** (BITS - 1))  # 1 or 0; compared in place, which is fast for floats
    return x * kept.div_(1 - p).to(x.dtype)


class Dropout(nn.Dropout):
    """`torch.nn.Dropout` by way of `dropout`."""

    def forward(self, x: Tensor) -> Tensor:
        return dropout(x, self.p) if self.training else x
