"""Seconds that 1,000 short texts take by torch, by ONNX in fp32, and by ONNX in int8, and the size of what is stored.

  ./dev bench export --data DATA

The built-in encoder with a head that has not learned; how fast a model is does not depend on what it knows.
"""

import tempfile
from pathlib import Path

import numpy as np
from side_by_side.clock import interleave, machine
from side_by_side.workload import arguments, build

from minbert.inference.onnx_model import WEIGHTS, OnnxModel, export

TEXTS, PART = 1000, 100
ROUNDS = 3


def main() -> None:
    options = arguments(__doc__ or "")
    work = build({"sst": "sst"}, 16, "length", options.data)
    work.model.eval()
    encoded = work.job.encoded["train"]["sst"]
    parts = [encoded.take(np.arange(first, first + PART) % len(encoded)) for first in range(0, TEXTS, PART)]
    parts = parts[: 1 if options.quick else None]
    with tempfile.TemporaryDirectory() as name:
        models, folder = {"torch": work.model}, Path(name)
        for side in ("onnx", "onnx-int8"):
            (folder / side).mkdir()
            export(work.model, folder / side, int8=side == "onnx-int8")
            models[side] = OnnxModel.from_pretrained(folder / side)
        sides = {
            side: lambda step, one=model: one.predict_encoded("sst", parts[step]) for side, model in models.items()
        }
        taken = interleave(sides, range(len(parts)), ROUNDS)
        sizes = {side: (folder / side / WEIGHTS).stat().st_size for side in models if side != "torch"}
    sizes["torch"] = sum(4 * weight.numel() for weight in work.model.parameters())
    print(machine("onnxruntime"))
    texts, tokens = PART * len(parts), sum(int(part.lengths.sum()) for part in parts)
    print(f"{texts:,} texts of {tokens / texts:.0f} tokens on average, medians of {ROUNDS} interleaved rounds")
    print("           seconds  over torch  megabytes")
    for side, seconds in taken.items():
        print(f"{side:10}{seconds:8.2f}{seconds / taken['torch']:12.2f}{sizes[side] / 1e6:11.0f}")


if __name__ == "__main__":
    main()
