"""Dropout whose random bits are cheap: on a CPU torch draws a float for every element, in one thread, which would cost
a good part of a training step (`./dev bench levers`)."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

BITS = 16  # of randomness for each element; the rate is rounded to a multiple of 1 / 65,536


def dropout(x: Tensor, p: float) -> Tensor:
    """Each element is 0 with probability p, else divided by 1 - p (Srivastava et al. 2014).

    Torch's global generator decides, as with torch's own function, which everywhere but on a CPU this is.
    """
    if p == 0 or x.device.type != "cpu":
        return F.dropout(x, p)
    bits = _random_bits(x.numel()).view(x.shape)
    kept = bits.float().ge_(round(p * 2**BITS) - 2 ** (BITS - 1))  # 1 or 0; compared in place, which is fast for floats
    return x * kept.div_(1 - p).to(x.dtype)


def _random_bits(count: int) -> Tensor:
    """[count] whole numbers from -2^15 to 2^15 - 1, all as likely.

    They are SFC64's, which is faster than torch's generator; that one gives the seed.
    """
    seed = int(torch.empty((), dtype=torch.int64).random_())
    words = np.random.SFC64(seed).random_raw(math.ceil(count * BITS / 64))
    return torch.from_numpy(words.view(np.int16)[:count])


class Dropout(nn.Dropout):
    """`torch.nn.Dropout` by way of `dropout`."""

    def forward(self, x: Tensor) -> Tensor:
        return dropout(x, self.p) if self.training else x
