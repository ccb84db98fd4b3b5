"""The search of `minbert duplicates`: what its candidates catch on real pairs, and its speed beside named peers.

    ./dev bench search --data DATA

Recall: of the pairs that Quora's labels call duplicates, the share whose one text is among the k nearest of the other,
either way round, by `minilm`. Speed: the 10 nearest of each of N random vectors of 384 numbers, exactly, by ours,
by `sentence_transformers.util.semantic_search` in its own chunks and in its best ones here, and by `torch.topk` of a
block of rows against all. Peers take time by the query, so they answer a part of them and their seconds are scaled.
One thread, and its processor's seconds: what else the machine does then changes little.
"""

import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers.util import dot_score, semantic_search
from side_by_side.clock import interleave, machine
from side_by_side.workload import options_of_all

from minbert.data import Examples, read_examples
from minbert.holdout import folded
from minbert.inference.nearest import nearest_among
from minbert.model import MultitaskModel
from minbert.tasks import BUILT_IN, Task

COMPANY = 5_000  # pairs of train whose texts join those of dev
K = 10
KS = (1, 5, 10, 20)
FLOOR = 0.5
SIZES = {10_000: 3, 100_000: 1}  # vectors: rounds
QUERIES = 2_000  # that the peers answer, of all
CHUNKS = ((100, 500_000), (1000, 500_000), (1000, 20_000), (2000, 4_000))  # queries and vectors; the first by default
THRESHOLDS = (0.7, 0.75, 0.8, 0.85, 0.9)


def pairs_of(split: str, folder: str) -> Examples:
    task = Task.model_validate(BUILT_IN["para"])
    reading = read_examples(Path(folder) / f"quora-{split}.csv", task, skip_bad_rows=True)
    rows = np.arange(min(COMPANY, len(reading.examples)))
    return reading.examples.take(rows)


def recall(model: MultitaskModel, examples: dict[str, Examples]) -> None:
    """Prints the share of dev's duplicates that are candidates, among the texts of dev and among those of train too."""
    places: dict[str, int] = {}
    pairs = {}
    for split, of_split in examples.items():
        pairs[split] = np.array(
            [
                [places.setdefault(folded(text), len(places)) for text in pair]
                for pair in zip(*of_split.texts, strict=True)
            ]
        )
    vectors = model.embed(list(places), normalize=True)
    labels = {split: of_split.labels == 1 for split, of_split in examples.items()}
    one, other = pairs["dev"][labels["dev"]].T
    for among, of_split in pairs.items():
        texts = int(of_split.max()) + 1  # those of the splits before it too
        found = nearest_among(vectors[:texts], max(KS), FLOOR).places
        shares = [hits(found[:, :k], one, other) for k in KS]
        print(f"among {texts:,} texts, the last of them from {among}, {len(one)} duplicates: ", end="")
        print(", ".join(f"{share:.3f} at k = {k}" for k, share in zip(KS, shares, strict=True)), flush=True)
    for split, places_of in pairs.items():
        thresholds(split, np.einsum("ph,ph->p", *vectors[places_of.T]), labels[split])


def hits(found: NDArray[np.intp], one: NDArray[np.intp], other: NDArray[np.intp]) -> float:
    """The share of pairs that are one text, or of which one side is among the nearest of the other."""
    near = (found[one] == other[:, None]).any(1) | (found[other] == one[:, None]).any(1)
    return float((near | (one == other)).mean())


def thresholds(split: str, cosines: NDArray[np.float32], labels: NDArray[np.bool_]) -> None:
    """Prints what a cosine alone tells of labelled pairs."""
    for threshold in THRESHOLDS:
        above = cosines >= threshold
        right = (above & labels).sum()
        precision, share = right / above.sum(), right / labels.sum()
        f1, accuracy = 2 * precision * share / (precision + share), (above == labels).mean()
        print(
            f"{split}, cosine {threshold:.2f} and more: precision {precision:.3f}, recall {share:.3f}, F1 {f1:.3f}, "
            f"accuracy {accuracy:.3f}"
        )


def speed(size: int, rounds: int) -> None:
    """Prints seconds, and the peers' seconds over ours, after a look at whether all find the same."""
    vectors = np.random.default_rng(0).standard_normal((size, 384), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    corpus = torch.from_numpy(vectors)

    def searched(queries: int, at_a_time: int, columns: int) -> list[list[dict[str, float]]]:
        return semantic_search(corpus[:queries], corpus, at_a_time, columns, K + 1, dot_score)

    def topk(queries: int) -> None:
        for start in range(0, queries, 500):
            torch.topk(corpus[start : min(start + 500, queries)] @ corpus.T, K + 1)

    ours = nearest_among(vectors[:4000], K).places[:100]
    theirs = semantic_search(corpus[:100], corpus[:4000], top_k=K + 1, score_function=dot_score)
    assert [row[1:] for row in [[hit["corpus_id"] for hit in hits] for hits in theirs]] == ours.tolist()
    sides = {f"semantic_search {a} x {b}": partial(searched, QUERIES, a, b) for a, b in CHUNKS}
    tried = interleave({name: lambda _, run=run: run() for name, run in sides.items()}, (0,), 1, time.process_time)
    chosen = {name: sides[name] for name in {next(iter(sides)), min(tried, key=tried.__getitem__)}}
    steps = {"ours": lambda _: nearest_among(vectors, K), "topk of 500 rows": lambda _: topk(QUERIES)}
    taken = interleave(
        steps | {name: lambda _, run=run: run() for name, run in chosen.items()}, (0,), rounds, time.process_time
    )
    print(f"{size:,} vectors: ours {taken['ours']:.1f} s", flush=True)
    for name in taken.keys() - {"ours"}:
        seconds = taken[name] * size / QUERIES
        print(f"  {name:34} {seconds:8.1f} s, {seconds / taken['ours']:.2f} times ours", flush=True)


def main() -> None:
    options = options_of_all(__doc__ or "").parse_args()
    torch.set_num_threads(1)
    print(machine("sentence-transformers"))
    if options.data:  # the data that ships has too few pairs for a share
        model = MultitaskModel.from_encoder("minilm")
        splits = ("dev",) if options.quick else ("dev", "train")
        recall(model, {split: pairs_of(split, options.data) for split in splits})
    for size, rounds in list(SIZES.items())[: 1 if options.quick else None]:
        speed(size, rounds)


if __name__ == "__main__":
    main()
