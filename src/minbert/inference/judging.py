"""Texts and a model's pair task -> their vectors, and the task's score of any two of them.

Letters in shapes: N texts, H hidden, P pairs.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from minbert.data import Examples
from minbert.errors import ModelError, near
from minbert.inference.nearest import Places, Vectors
from minbert.model import MultitaskModel
from minbert.predictions import Array
from minbert.tables import canonical_label
from minbert.tasks import Task
from minbert.text import Encoded, encode_texts

PAIRS = 8192  # that a head judges at a time, so that memory does not grow with them
YES = {"1": "0", "true": "false", "yes": "no"}  # of two classes the one that says yes, by the one that says no
THRESHOLDS = {"cosine": 0.8, "probability": 0.5}  # a score's range says nothing on where duplicates begin


@dataclass(frozen=True)
class PairHead:
    """The pair task that judges, and of a classification the class that means duplicate, or like."""

    task: str
    label: str | None


def pair_head(model: MultitaskModel, task: str | None, label: str | None) -> PairHead | None:
    """The pair task that is meant and its class, None where the model has no pair task; ModelError where neither the
    names nor the model say which."""
    pairs = [name for name, one in model.tasks.items() if one.is_pair]
    if task is None and not pairs and label is None:
        return None
    if not pairs:
        raise ModelError("this model has no pair task; leave --task and --label out to compare texts by cosine alone")
    if task is None and len(pairs) > 1:
        raise ModelError(f"this model has {len(pairs)} pair tasks; choose one: --task {', --task '.join(pairs)}")
    name = task or pairs[0]
    if name not in model.tasks:
        raise ModelError(f"this model has no task '{name}'{near(name, pairs)}; its pair tasks: {', '.join(pairs)}")
    if name not in pairs:
        raise ModelError(f"task '{name}' takes one text; choose a pair task: --task {', --task '.join(pairs)}")
    return PairHead(name, _label_of(name, model.tasks[name], label))


def _label_of(name: str, task: Task, label: str | None) -> str | None:
    labels = task.labels or []
    if task.is_regression:
        if label is not None:
            raise ModelError(f"task '{name}' gives a score and has no classes; leave --label out")
        return None
    if label is None:
        by_word = {canonical_label(known).lower(): known for known in labels}
        for yes, no in YES.items():
            if by_word.keys() == {yes, no}:
                return by_word[yes]
        raise ModelError(f"say which class of task '{name}' means duplicate: --label {', --label '.join(labels)}")
    if canonical_label(label) not in task.class_numbers:
        raise ModelError(f"task '{name}' has no class '{label}'{near(label, labels)}; it has {', '.join(labels)}")
    return labels[task.class_numbers[canonical_label(label)]]


def measure(model: MultitaskModel, head: PairHead | None) -> str:
    """What decides: cosine, probability, or score."""
    if head is None:
        return "cosine"
    return "score" if model.tasks[head.task].is_regression else "probability"


def threshold_of(model: MultitaskModel, head: PairHead | None, given: float | None) -> float:
    """From where on a pair is one of duplicates. Raises ModelError where a threshold is needed or cannot be met."""
    kind = measure(model, head)
    low, high = model.tasks[head.task].bounds if head else (-1.0, 1.0)
    if given is None and kind not in THRESHOLDS:
        raise ModelError(
            f"task '{head.task if head else ''}' gives a score in {low:g}..{high:g}; say from which score on two texts "
            f"are duplicates, with --threshold"
        )
    least = THRESHOLDS[kind] if given is None else given
    if not low <= least <= high:
        raise ModelError(f"a {kind} is in {low:g}..{high:g}, so --threshold {least:g} decides nothing; give one inside")
    return least


class Compared:
    """N texts with their vectors [N, H] of length 1, and the pair head's scores of any two of them.

    A text goes through the encoder once, however many pairs it is in. The vectors are means over tokens; where the
    task pools so too, it takes the same ones. `cut` [N] says which texts lost their ends.
    """

    def __init__(self, model: MultitaskModel, texts: list[str], head: PairHead | None) -> None:
        self.model, self.head = model, head
        if head is None:
            self.vectors: Vectors = model.embed(texts, normalize=True)
            self.cut = encode_texts(texts, model.tokenizer, model.max_length)[1]
            return
        encoded = model.encode(head.task, Examples([""] * len(texts), [texts]))
        self.encoded, self.cut = model.pool_once(head.task, encoded), encoded.cut
        pooled = self.encoded.pooled[0] if self.encoded.pooled else torch.zeros(0)
        by_mean = model.tasks[head.task].pooling == "mean"
        self.vectors = F.normalize(pooled, dim=-1).numpy() if by_mean else model.embed(texts, normalize=True)

    def scores(self, first: Places, second: Places) -> list[float] | list[None]:
        """The score of each pair of places [P], the mean of both orders since a head may mind them; None without a
        head."""
        if self.head is None:
            return [None] * len(first)
        parts = [slice(at, at + PAIRS) for at in range(0, len(first), PAIRS)]
        means = [(self._one_way(first[p], second[p]) + self._one_way(second[p], first[p])) / 2 for p in parts]
        return [float(score) for part in means for score in part]

    def _one_way(self, first: Places, second: Places) -> Array:
        """The head's scores, or probabilities of its class, of pairs of places [P] in this order."""
        assert self.head is not None
        one, other = self.encoded.take(first), self.encoded.take(second)
        pooled = (*(one.pooled or ()), *(other.pooled or ()))
        pairs = Encoded(one.ids, one.texts + other.texts, None, one.cut | other.cut, pooled)
        predicted, task = self.model.predict_encoded(self.head.task, pairs), self.model.tasks[self.head.task]
        if self.head.label is None:
            return predicted.values
        return predicted.scores[:, task.class_numbers[canonical_label(self.head.label)]]
