"""Seconds and peak memory of a training step as batch, length, tasks and rows grow: ours beside the plain loop.

    ./dev bench growth

Texts are random token ids of one length with a fifth of spread, so that each axis moves alone. Every cell is a process
of its own, for its memory to be its own; `peak` is the most that it ever held, libraries and weights included.
"""

import gc
import json
import resource
import subprocess
import sys
from dataclasses import replace

import numpy as np
from side_by_side.clock import interleave, machine
from side_by_side.peers import PlainLoop, Settings
from side_by_side.workload import Workload, build, options_of_all

BASE = {"batch": 16, "length": 32, "tasks": 3, "rows": 1024}
AXES = {
    "batch": (8, 16, 32, 64, 128),
    "length": (16, 32, 64, 128, 256, 512),
    "tasks": (1, 2, 4, 8),
    "rows": (1_000, 10_000, 100_000),
}
STEPS = range(1, 2)
MEGABYTE = 1024  # of ru_maxrss, which Linux counts in kilobytes


def synthetic(batch: int, length: int, tasks: int, rows: int) -> Workload:
    """A workload on classification tasks whose texts are random."""
    work = build({f"sst{i or ''}": "sst" for i in range(tasks)}, batch, "random", None)
    generator = np.random.default_rng(0)
    for name, encoded in work.job.encoded["train"].items():
        lengths = generator.integers(max(3, int(length * 0.8)), length + 1, rows)
        texts = [generator.integers(1000, 20_000, size).tolist() for size in lengths]
        work.job.encoded["train"][name] = replace(
            encoded,
            ids=[str(row) for row in range(rows)],
            texts=[texts],
            labels=generator.integers(0, 5, rows).astype(np.float64),
            cut=np.zeros(rows, dtype=np.bool_),
        )
        work.job.streams[name].rows = rows
    return work


def child(side: str, case: dict[str, int]) -> None:
    """Prints seconds a step and the process's peak memory in megabytes."""
    work = synthetic(**case)
    if side == "ours":
        taken = interleave({side: work.update}, STEPS, 2)
    else:
        peer, rows = PlainLoop(work.job, work.model, Settings()), {step: work.rows(step) for step in STEPS}
        del work  # a plain loop has one model, its own
        gc.collect()
        taken = interleave({side: lambda step: peer.update(rows[step])}, STEPS, 2)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MEGABYTE
    print(json.dumps({"seconds": taken[side] / len(STEPS), "megabytes": peak}))


def cell(side: str, case: dict[str, int]) -> dict[str, float]:
    words = [sys.executable, __file__, "--child", side, "--case", json.dumps(case)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = options_of_all(__doc__ or "")  # --data changes nothing: the texts are random
    parser.add_argument("--child", choices=("ours", "plain"))
    parser.add_argument("--case", type=json.loads)
    options = parser.parse_args()
    if options.child:
        return child(options.child, options.case)
    print(machine("transformers"))
    print("             seconds a step            peak megabytes")
    print("axis           ours    plain  ratio     ours    plain  ratio")
    for axis, values in AXES.items():
        for value in values[:1] if options.quick else values:
            ours, plain = (cell(side, BASE | {axis: value}) for side in ("ours", "plain"))
            columns = [ours["seconds"], plain["seconds"], plain["seconds"] / ours["seconds"]]
            columns += [ours["megabytes"], plain["megabytes"], plain["megabytes"] / ours["megabytes"]]
            print(f"{axis:7}{value:6}" + "{:8.3f} {:8.3f} {:6.2f} {:8.0f} {:8.0f} {:6.2f}".format(*columns), flush=True)
    return None


if __name__ == "__main__":
    main()
