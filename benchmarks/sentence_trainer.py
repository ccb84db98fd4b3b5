"""Speed of training on STS, batches of 16, per real token: ours over `sentence_transformers`' trainer.

    ./dev bench sentence_trainer --data DATA

Both fine-tune the built-in encoder by the squared error of a cosine, with the same dropouts, clipping and AdamW (fused,
the trainer's default), on the same rows: the trainer shuffles those that our random batches have. It tokenises them at
every step, as it does for anyone; ours were tokenised once. Before any timing both losses must agree without dropout.
"""

import math
import statistics
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.sentence_transformer.losses import CosineSimilarityLoss
from side_by_side.clock import interleave, machine
from side_by_side.workload import Workload, arguments, build
from transformers import PrinterCallback, TrainerCallback

from minbert.data import Examples
from minbert.jobs import read_tasks

SIZE = 16
STEPS = range(1, 17)
ROUNDS = 3
TOLERANCE = 1e-4  # of a loss, relative


class Stopwatch(TrainerCallback):
    """When each step of a trainer ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, *_: object, **__: object) -> None:
        self.ends.append(time.perf_counter())


def dataset(examples: Examples, rows: Sequence[int]) -> Dataset:
    """The rows as the trainer wants them: scores between 0 and 1."""
    texts = {f"sentence{i}": [column[row] for row in rows] for i, column in enumerate(examples.texts, 1)}
    return Dataset.from_dict(texts | {"score": [float(examples.labels[row]) / 5 for row in rows]})


def trainer_seconds(peer: SentenceTransformer, work: Workload, rows: Dataset) -> float:
    """Seconds a step of one pass over the rows, after a first step that does not count."""
    table, watch = work.job.recipe.optimizer, Stopwatch()
    with tempfile.TemporaryDirectory() as folder:
        settings = SentenceTransformerTrainingArguments(
            folder,
            per_device_train_batch_size=SIZE,
            num_train_epochs=1,
            learning_rate=table.lr,
            weight_decay=table.weight_decay,
            max_grad_norm=float(work.job.recipe.gradients.clip),
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            use_cpu=True,
        )
        loss = CosineSimilarityLoss(peer)
        trainer = SentenceTransformerTrainer(peer, settings, rows, loss=loss, callbacks=[watch])
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return (watch.ends[-1] - watch.ends[0]) / (len(watch.ends) - 1)


def agree(work: Workload, peer: SentenceTransformer, examples: Examples) -> None:
    """Raises where the two sides' losses differ without dropout; ours is on a scale of 0 to 5."""
    work.model.eval()
    peer.eval()
    rows = work.rows(1)["sts"]
    with torch.inference_mode():
        own = float(work.model.loss("sts", work.job.encoded["train"]["sts"].batch(rows)))
        given: Any = [peer.preprocess([column[row] for row in rows]) for column in examples.texts]
        other = 25 * float(CosineSimilarityLoss(peer)(given, torch.tensor([examples.labels[row] / 5 for row in rows])))
    assert math.isclose(own, other, rel_tol=TOLERANCE), f"our loss is {own}, the trainer's {other}"


def main() -> None:
    options = arguments(__doc__ or "")
    random, drawn = (build({"sts": "sts"}, SIZE, batching, options.data) for batching in ("random", "length"))
    _, readings = read_tasks(random.job.recipe.tasks, skip_bad_rows=True)
    examples = readings["sts"]["train"].examples
    peer = SentenceTransformer(str(random.job.encoder))
    agree(random, peer, examples)
    steps = STEPS[:4] if options.quick else STEPS
    rows = dataset(examples, [row for step in steps for row in random.rows(step)["sts"]])
    taken: dict[str, list[float]] = {"trainer": [], "same rows": [], "ours": []}
    for _ in range(ROUNDS):
        taken["trainer"].append(trainer_seconds(peer, random, rows))
        for side, seconds in interleave({"same rows": random.update, "ours": drawn.update}, steps, 1).items():
            taken[side].append(seconds / len(steps))
    print(machine("sentence-transformers", "transformers"))
    for side, seconds in taken.items():
        tokens = (drawn if side == "ours" else random).tokens(steps) / len(steps)
        print(f"{side:10} {tokens / statistics.median(seconds):7.0f} real tokens a second", flush=True)
    per_token = {s: statistics.median(t) / (drawn if s == "ours" else random).tokens(steps) for s, t in taken.items()}
    print(f"ours is faster by {per_token['trainer'] / per_token['ours']:.2f}", end="")
    print(f", on the same rows by {per_token['trainer'] / per_token['same rows']:.2f}")


if __name__ == "__main__":
    main()
