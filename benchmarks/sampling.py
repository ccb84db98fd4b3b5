"""What batches of like length change in sampling, and what they do not: beside random batches, over passes of the data.

  ./dev bench sampling --data DATA

times      that a row is drawn in a pass, least and most
padding    share of a padded batch that is padding
place      in the pass, 0 to 1, at which the shortest and the longest fourth of the rows are drawn on average
labels     spread (standard deviation) of a batch's mean label, over that of all rows / sqrt(batch size)
mates      rows that a row has met in a batch after all passes, over the most that it could have met
"""

import numpy as np
from side_by_side.workload import TASKS, arguments, build

from minbert.schedules import Stream
from minbert.text import Encoded

SIZE = 16
PASSES = 20
FOLLOWED = 50  # rows whose batch-mates are counted


def line(stream: Stream, encoded: Encoded, passes: int) -> str:
    """The figures of one task's batches."""
    lengths, labels = encoded.lengths, encoded.labels
    columns = [np.array([len(text) for text in column]) for column in encoded.texts]  # tokens, of each text of a pair
    drawn, places = np.zeros(stream.rows, dtype=np.int64), np.zeros(stream.rows)
    mates: list[set[int]] = [set() for _ in range(FOLLOWED)]
    real = padded = 0
    means = []
    for number in range(passes * stream.batches):
        rows = stream.batch(number)
        drawn[rows] += 1
        places[rows] += (number % stream.batches + 0.5) / stream.batches / passes
        real += sum(int(column[rows].sum()) for column in columns)
        padded += sum(int(column[rows].max()) * len(rows) for column in columns)
        if len(rows) == SIZE:
            means.append(labels[rows].mean())
        for row in rows[rows < FOLLOWED]:
            mates[row].update(rows.tolist())
    order, fourth = np.argsort(lengths, kind="stable"), stream.rows // 4
    spread = np.std(means) / (labels.std() / SIZE**0.5)
    met = np.mean([len(found) - 1 for found in mates]) / min(passes * (SIZE - 1), stream.rows - 1)
    return (
        f"{drawn.min() / passes:7g} -{drawn.max() / passes:2g}{1 - real / padded:9.0%}"
        f"{places[order[:fourth]].mean():9.3f}{places[order[-fourth:]].mean():8.3f}{spread:9.2f}{met:8.0%}"
    )


def main() -> None:
    options = arguments(__doc__ or "")
    passes = 2 if options.quick else PASSES
    print(f"batches of {SIZE}, {passes} passes")
    print((__doc__ or "").split("\n\n", 2)[2])
    print("                  times  padding    place: short, long   labels   mates")
    for batching in ("random", "length"):
        work = build({name: name for name in TASKS}, SIZE, batching, options.data)
        for name, encoded in work.job.encoded["train"].items():
            print(f"{batching:8}{name:6}{line(work.job.streams[name], encoded, passes)}")


if __name__ == "__main__":
    main()
