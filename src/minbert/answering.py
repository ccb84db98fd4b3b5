"""Texts, pairs, or tables of them -> answers, by way of a head's outputs, whatever computes these.

Letters in shapes: B and N examples, K outputs of a head.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from minbert import predictions as answers
from minbert.calibration import Threshold
from minbert.data import Examples
from minbert.errors import InputError, near
from minbert.frames import Frame, column, is_frame
from minbert.labels import is_blank
from minbert.predictions import Predictions
from minbert.tasks import Task
from minbert.text import Batch, Encoded, batches_by_length, encode

MAX_TOKENS = 4096  # positions in one inference batch, padding counted: enough to keep two to sixteen cores busy
Inputs = Sequence[str] | Sequence[Sequence[str]]


@dataclass(frozen=True)
class Prediction:
    """The answer to one text or pair: a class name, a list of them or a score, with what stands behind it.

    The answer is "?" where the model abstains. `note` says "empty" for a blank text and "truncated" for one cut to the
    model's length, else nothing. `margin` is how far from a calibrated score 95 of 100 true ones lie at most.
    """

    answer: str | float | list[str]
    probabilities: dict[str, float] | None
    score: float | None
    note: str
    margin: float | None = None


@dataclass(frozen=True)
class Answered:
    """The answers to N examples, and what each should be read with."""

    predictions: Predictions
    notes: list[str]


Answer = Callable[[Examples], Answered]


class Answering(ABC):
    """What answers by tasks, whatever runs it. `tasks` must be complete (`Task.completed`)."""

    calibrating = answers.CALIBRATING
    """How a task that is not calibrated would be, for a message."""

    def __init__(self, tokenizer: Tokenizer, tasks: Mapping[str, Task]) -> None:
        self.tokenizer, self.tasks = tokenizer, dict(tasks)

    @property
    @abstractmethod
    def max_length(self) -> int:
        """The longest text the encoder takes, in tokens."""

    @abstractmethod
    def batch_outputs(self, task: str, batch: Batch) -> NDArray[np.float64]:
        """The head's outputs [B, K] for a batch, without dropout."""

    def encode(self, task: str, examples: Examples) -> Encoded:
        """Token ids of a task's examples, cut to the task's longest text."""
        return encode(examples, self.tokenizer, self.tasks[task].max_length or self.max_length)

    def outputs(self, task: str, encoded: Encoded) -> NDArray[np.float64]:
        """The head's outputs [N, K], without dropout; batches are made by length and undone."""
        outputs = np.zeros((len(encoded), self.tasks[task].num_outputs))
        budget = MAX_TOKENS // len(encoded.texts)
        for rows in batches_by_length(encoded.lengths, budget):
            outputs[rows] = self.batch_outputs(task, encoded.batch(rows))
        return outputs

    def predict_encoded(self, task: str, encoded: Encoded) -> Predictions:
        """Answers in the order of the examples."""
        return answers.from_outputs(self.tasks[task], encoded.ids, self.outputs(task, encoded), encoded.labels)

    def threshold(self, task: str, alpha: float) -> Threshold | None:
        """The confidence that an answer needs so that at most `alpha` of them are wrong; None where none is enough.

        Raises InputError or ModelError where that cannot be asked.
        """
        return answers.threshold(task, self._known(task), alpha, self.calibrating)

    def _known(self, task: str) -> Task:
        if task not in self.tasks:
            raise InputError(
                f"this model has no task '{task}'{near(task, list(self.tasks))}; it has {list(self.tasks)}"
            )
        return self.tasks[task]

    def predict(self, task: str, inputs: Inputs | Frame, abstain: float | None = None) -> list[Prediction]:
        """One Prediction per input, in order. A pair task takes pairs of texts, any other task texts; both take a table
        of pandas, polars or datasets that has the task's text columns.

        With `abstain`, a share of wrong answers, a calibrated task answers "?" where it is not sure enough for that
        and to blank texts, which else have an answer with a note. Raises InputError for an unknown task or an input of
        another shape, and what `threshold` raises.
        """
        self._known(task)
        answer = self.answer_with(task, abstain)
        given = self._from_frame(task, inputs) if is_frame(inputs) else cast(Inputs, inputs)
        columns = self._columns(task, given)
        if len(given) == 0:
            return []
        answered = answer(Examples([str(i) for i in range(len(given))], columns))
        return [self._prediction(task, answered.predictions, i, note) for i, note in enumerate(answered.notes)]

    def answer_with(self, task: str, abstain: float | None = None) -> Answer:
        """Answering by a task of the model, with `abstain` as in `predict`; raises what `threshold` raises."""
        found = None if abstain is None else self.threshold(task, abstain)

        def answer(examples: Examples) -> Answered:
            encoded = self.encode(task, examples)
            predicted, notes = self.predict_encoded(task, encoded), self.notes(encoded, examples)
            if abstain is not None:
                predicted = answers.without_unsure(self.tasks[task], predicted, found, notes)
            return Answered(predicted, notes)

        return answer

    def notes(self, encoded: Encoded, examples: Examples) -> list[str]:
        """What an answer should be read with, an example each: "empty", "truncated", or nothing."""
        empty = [any(is_blank(text) for text in texts) for texts in zip(*examples.texts, strict=True)]
        return ["empty" if e else "truncated" if c else "" for e, c in zip(empty, encoded.cut, strict=True)]

    def _from_frame(self, task: str, frame: Frame) -> Inputs:
        """A table's text column as a list of inputs, or its two columns as pairs."""
        columns = [column(frame, name) for name in self.tasks[task].text_columns]
        return list(zip(*columns, strict=True)) if self.tasks[task].is_pair else columns[0]

    def _columns(self, task: str, inputs: Inputs) -> list[list[str]]:
        """Inputs as one list of texts per text column; the task's kind decides what an input is, never its length."""
        pair = self.tasks[task].is_pair
        if isinstance(inputs, str):
            raise InputError("inputs is one text; pass a list of inputs")
        for place, item in enumerate(inputs):
            if pair and not _is_pair_of_texts(item):
                raise InputError(f"input {place} is {item!r:.80}; task '{task}' takes pairs of texts, (first, second)")
            if not pair and not isinstance(item, str):
                raise InputError(f"input {place} is {item!r:.80}; task '{task}' takes one text an input")
        if pair:
            return [[item[side] for item in inputs] for side in (0, 1)]
        return [[str(item) for item in inputs]]

    def _prediction(self, task: str, predicted: Predictions, i: int, note: str) -> Prediction:
        spec = self.tasks[task]
        value: str | float | list[str] = answers.answer(spec, predicted.values[i])
        if spec.is_multi_label and not np.isnan(predicted.values[i]):
            value = spec.named(predicted.values[i])
        if spec.is_regression:
            return Prediction(value, None, float(predicted.scores[i]), note, spec.margin)
        probabilities = {k: float(p) for k, p in zip(spec.labels or (), predicted.scores[i], strict=True)}
        return Prediction(value, probabilities, None, note)


def _is_pair_of_texts(item: object) -> bool:
    if isinstance(item, str) or not isinstance(item, Sequence):
        return False
    return len(item) == 2 and all(isinstance(text, str) for text in item)
