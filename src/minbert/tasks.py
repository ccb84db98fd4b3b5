"""What a task is: kind, files, columns, labels or range, head, pooling, loss, metric; and the built-in four."""

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from minbert.calibration import Risks
from minbert.errors import DataError, counted
from minbert.heads import HEADS, POOLINGS
from minbert.losses import LOSSES
from minbert.metrics import METRICS
from minbert.tables import FileFormat, Quoting, canonical_label

Kind = Literal["classification", "pair-classification", "pair-regression", "multi-label"]
MOST_LABELS = 52  # of a multi-label task: a set of them is one whole number in a float64
Split = Literal["train", "dev", "test"]
Files = str | Annotated[list[str], Field(min_length=1)]  # one, or several whose rows count on
SPLITS: tuple[Split, ...] = ("train", "dev", "test")
NOT_IN_RECIPES = {"calibration"}  # what a model's task has besides
TASK_NAME = re.compile(r"\w[\w-]{0,49}", re.ASCII)  # names files, and weights in heads.safetensors


@dataclass(frozen=True)
class KindTraits:
    """What a kind of task allows; the first of each is what a task gets that names none."""

    texts: int
    heads: tuple[str, ...]
    losses: tuple[str, ...]
    metrics: tuple[str, ...]


KINDS: dict[str, KindTraits] = {
    "classification": KindTraits(1, ("linear",), ("cross-entropy",), ("accuracy", "macro-f1")),
    "pair-classification": KindTraits(
        2, ("interaction", "concat", "concat-cosine"), ("bce", "cross-entropy"), ("accuracy", "macro-f1")
    ),
    "pair-regression": KindTraits(
        2, ("cosine", "concat", "concat-cosine", "interaction"), ("mse",), ("pearson", "spearman")
    ),
    "multi-label": KindTraits(1, ("linear",), ("bce-per-label",), ("micro-f1", "label-f1", "accuracy")),
}


@functools.lru_cache(maxsize=256)
def _places(labels: tuple[str, ...]) -> dict[str, int]:
    """Asked for a row at a time; a task's own cache would go with it into a copy with other labels."""
    return {canonical_label(label): place for place, label in enumerate(labels)}


def _as_tuple(value: object) -> object:
    """TOML and JSON know lists alone."""
    return tuple(value) if isinstance(value, list) else value


class Calibration(BaseModel):
    """What labelled rows said of a model's confidence in its answers, or of its scores' errors; no word of the rows."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    rows: Annotated[int, Field(gt=0)]
    files: dict[str, str]
    """The rows' files by name, each with its sha256."""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    """What a classifier's logits are divided by before they become probabilities."""
    above: list[float] = []
    """Confidences, falling, with how many of the rows' answers lie above each, and how many of those are wrong."""
    answered: list[int] = []
    wrong: list[int] = []
    margin: Annotated[float, Field(ge=0)] | None = None
    """Of a regression: 95 of 100 true scores lie no farther from the answer."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if not len(self.above) == len(self.answered) == len(self.wrong):
            raise ValueError("above, answered and wrong should be of one length")
        counts = zip(self.wrong, self.answered, strict=True)
        if not all(0 <= wrong <= answered <= self.rows for wrong, answered in counts):
            raise ValueError("wrong answers should be some of those answered, and these some of the rows")
        return self

    @property
    def risks(self) -> Risks:
        return Risks(self.above, self.answered, self.wrong)


class Task(BaseModel):
    """One `[tasks.NAME]` table of a recipe. A field's text is its documentation."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )

    kind: Kind
    """What goes in and comes out: one text and a class, two texts and a class, two texts and a score, one text and any
    number of classes."""
    train: Files | None = None
    """File of labelled examples to learn from, or several: ["a.csv", "b.csv"]."""
    dev: Files | Annotated[dict[str, Files], Field(min_length=1)] | None = None
    """File of labelled examples to choose by, or several. A table of them, { web = "w.csv", mail = "m.csv" }, names dev
    sets: each has scores of its own, and the model is chosen by all their rows together."""
    holdout: Annotated[int, Field(gt=0)] | None = None
    """Rows of the train file to hold back and choose by, in place of a dev file: the same ones whatever the seed, every
    label in its share, and no text on both sides."""
    folds: Annotated[int, Field(ge=2, le=50)] | None = None
    """For small data: divides the train file into so many parts, each of which is held back once in place of a dev
    file. `minbert experiment run` trains once for each, and scores the answers to all rows together."""
    fold: Annotated[int, Field(ge=1)] | None = None
    """Which of the parts, from 1, a single run holds back."""
    test: Files | None = None
    """File of examples to answer after training, or several; they need no labels."""
    text: str | Annotated[list[str], Field(min_length=1, max_length=2)] = "text"
    """Column of the text, or the two columns of a pair's texts."""
    label: str | Annotated[list[str], Field(min_length=1)] = "label"
    """Column of the label. Of a multi-label task a column that lists classes, or one column for each class, which says
    1 or 0 (true or false)."""
    separator: Annotated[str, Field(min_length=1)] = ","
    """What stands between the classes of a multi-label task in a cell; a blank cell names none."""
    id: str | None = None
    """Column of the example's id; without it the row number is the id."""
    labels: list[str] | None = None
    """The classes in order; without it they are those of the train file, numbers by size and words by alphabet."""
    range: Annotated[tuple[float, float], BeforeValidator(_as_tuple)] | None = None
    """Lowest and highest score of a regression."""
    head: str | None = None
    """How pooled vectors become an output: see the table below. Default by kind."""
    pooling: str = "mean"
    """How a text's token vectors become one: cls (tanh pooler), cls-raw, or mean."""
    loss: str | None = None
    """cross-entropy, bce (a binary pair's one logit), or mse. Default by kind."""
    weight: Annotated[float, Field(ge=0)] = 1.0
    """Factor of the task's loss in the sum."""
    class_weights: Literal["balanced"] | dict[str, Annotated[float, Field(ge=0)]] | None = None
    """Factor of an example's loss by its class, { yes = 5.0, no = 1.0 }, where some classes are rare. balanced: rows /
    (classes * rows of the class), which is 1 on average. A model is then best chosen by metric = "macro-f1"."""
    shares_head: str | None = None
    """Another task of the recipe whose head this one uses: same kind, head, pooling, loss and classes or range."""
    metric: str | None = None
    """accuracy or macro-f1; pearson or spearman. Default by kind."""
    max_length: Annotated[int, Field(ge=3)] | None = None
    """Longest text in tokens, [CLS] and [SEP] included; without it, the recipe's, else the encoder's limit."""
    format: FileFormat | None = None
    """Format of the files where their names mislead."""
    encoding: str | None = None
    """Encoding of the files where it is not UTF-8, such as cp1252."""
    quoting: Quoting = "auto"
    """csv: quotes wrap cells; none: quotes are plain characters; auto: csv for commas, by cell for tabs."""
    calibration: Calibration | None = None
    """What `minbert calibrate` found for a model. No key of a recipe (NOT_IN_RECIPES)."""

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        traits = KINDS[self.kind]
        if len(self.text_columns) != traits.texts:
            given, remedy = len(self.text_columns), '"COLUMN"' if traits.texts == 1 else '["COLUMN", "COLUMN"]'
            raise ValueError(
                f"a {self.kind} task has {counted(traits.texts, 'text column')}, not {given}; set text = {remedy}"
            )
        for key, known, allowed in (
            ("head", HEADS, traits.heads),
            ("loss", LOSSES, traits.losses),
            ("metric", METRICS, traits.metrics),
        ):
            value = getattr(self, key)
            if value is not None and value not in allowed:
                what = "does not fit" if value in known else "is unknown to"
                raise ValueError(f"{key} '{value}' {what} a {self.kind} task; take one of {', '.join(allowed)}")
        if self.class_weights is not None and (self.is_regression or self.is_multi_label):
            raise ValueError(f"class_weights are for one class an example; a {self.kind} task has none or several")
        if self.folds is not None and self.holdout is not None:
            raise ValueError("holdout and folds both hold rows of the train file back; leave one out")
        if self.fold is not None and self.fold > (self.folds or 0):
            raise ValueError(f"fold = {self.fold} is not one of the parts that folds = {self.folds or 'N'} makes")
        if self.pooling not in POOLINGS:
            raise ValueError(f"pooling '{self.pooling}' is unknown; take one of {', '.join(POOLINGS)}")
        self._check_labels()
        return self

    def _check_labels(self) -> None:
        if not self.is_multi_label and not isinstance(self.label, str):
            raise ValueError(f'a {self.kind} task has one label column; set label = "COLUMN"')
        if self.is_regression:
            if self.range is None:
                raise ValueError("a pair-regression task needs a range, such as range = [0, 5]")
            if not self.range[0] < self.range[1]:
                raise ValueError(f"range = [{self.range[0]}, {self.range[1]}] should rise from low to high")
            if self.labels is not None:
                raise ValueError("labels are for classes; a pair-regression task has a range")
            return
        if self.range is not None:
            raise ValueError(f"range is for scores; a {self.kind} task has labels")
        if self.is_multi_label:
            self._check_set()
            return
        different = {canonical_label(label) for label in self.labels or ()} - {""}
        if self.labels is not None and len(different) < max(2, len(self.labels)):
            raise ValueError("labels should be at least two different ones, none of them blank; '1' and '1.0' are one")
        if self.loss == "bce" and self.labels is not None and len(self.labels) != 2:
            raise ValueError(f"loss 'bce' is for two classes, not {len(self.labels)}; take cross-entropy")

    def _check_set(self) -> None:
        names = self.labels or (self.label_columns if self.has_column_per_label else [])
        if len({canonical_label(name) for name in names} - {""}) < len(names):
            raise ValueError("labels should be different ones, none of them blank; '1' and '1.0' are one")
        if self.has_column_per_label and self.labels not in (None, self.label_columns):
            raise ValueError("labels are the label columns themselves where there is one for each; leave labels out")
        if len(names) > MOST_LABELS:
            raise ValueError(f"{len(names)} labels are more than the {MOST_LABELS} that a multi-label task may have")

    def files(self, split: Split) -> list[str]:
        """The files of a split, in order; none where it has none."""
        if split == "dev":
            return [file for named in self.dev_sets.values() for file in named]
        value = (self.train if split == "train" else self.test) or []
        return [value] if isinstance(value, str) else value

    @property
    def dev_sets(self) -> dict[str, list[str]]:
        """The dev files by the names of their sets; of one set without a name, by ""."""
        named = self.dev if isinstance(self.dev, dict) else {"": self.dev or []}
        return {name: [files] if isinstance(files, str) else files for name, files in named.items()}

    def with_files(self, convert: Callable[[Split, str], str | None]) -> "Task":
        """The task with every file converted; a file that becomes None is left out, and so is a split without one."""

        def converted(split: Split, value: object) -> object:
            if isinstance(value, dict):
                return {name: new for name, one in value.items() if (new := converted(split, one))} or None
            if isinstance(value, list):
                return [new for one in value if (new := convert(split, one))] or None
            return convert(split, value) if isinstance(value, str) else None

        return self.model_copy(update={split: converted(split, getattr(self, split)) for split in SPLITS})

    @property
    def divides_train(self) -> bool:
        """Whether rows of the train file are held back in place of a dev file."""
        return self.holdout is not None or self.folds is not None

    @property
    def text_columns(self) -> list[str]:
        return [self.text] if isinstance(self.text, str) else self.text

    @property
    def label_columns(self) -> list[str]:
        return [self.label] if isinstance(self.label, str) else self.label

    @property
    def has_column_per_label(self) -> bool:
        """Whether each class has a column that says yes or no."""
        return self.is_multi_label and not isinstance(self.label, str)

    @property
    def is_multi_label(self) -> bool:
        """Whether an example has any number of classes, which are one number together: the sum of 2^place."""
        return self.kind == "multi-label"

    def is_class(self, values: NDArray[np.float64], place: int) -> NDArray[np.bool_]:
        """Which class numbers are a class, by its place; of a multi-label task, which sets hold it."""
        found: NDArray[np.bool_] = values.astype(np.int64) >> place & 1 == 1 if self.is_multi_label else values == place
        return found

    def named(self, value: float) -> list[str]:
        """The class that a number means, or the classes of a set."""
        whole = int(value)
        names = self.labels or []
        return [name for k, name in enumerate(names) if whole >> k & 1] if self.is_multi_label else [names[whole]]

    @property
    def is_pair(self) -> bool:
        return KINDS[self.kind].texts == 2

    @property
    def is_regression(self) -> bool:
        return self.kind == "pair-regression"

    @property
    def bounds(self) -> tuple[float, float]:
        """The range of a regression, and 0..1 where a task has none."""
        return self.range or (0.0, 1.0)

    @property
    def margin(self) -> float | None:
        """How far from an answer 95 of 100 true scores lie at most; None where the task is not calibrated for that."""
        return None if self.calibration is None else self.calibration.margin

    @property
    def class_numbers(self) -> dict[str, int]:
        """Every class's place in `labels`, by its one spelling; empty where there are no classes."""
        return _places(tuple(self.labels or ()))

    @property
    def num_outputs(self) -> int:
        """How many numbers the head gives: one for a score or a binary logit, else one for each class."""
        return 1 if self.loss in ("mse", "bce") else len(self.labels or ())

    def completed(self, labels: list[str] | None) -> "Task":
        """The task with its classes known and every choice made: what a model stores."""
        traits, classes = KINDS[self.kind], self.labels or labels
        loss = self.loss or traits.losses[0]
        if loss == "bce" and len(classes or ()) != 2 and self.loss is None:
            loss = "cross-entropy"
        if isinstance(self.class_weights, dict) and classes is not None:
            self._check_class_weights(classes)
        chosen = {"labels": classes, "loss": loss}
        chosen |= {"head": self.head or traits.heads[0], "metric": self.metric or traits.metrics[0]}
        return Task.model_validate(self.model_dump() | chosen)

    def _check_class_weights(self, classes: list[str]) -> None:
        """Raises DataError unless every class has one weight."""
        given = [canonical_label(label) for label in self.class_weights or ()]
        known = [canonical_label(label) for label in classes]
        faults = [f"names '{label}', which is no class" for label in given if label not in known]
        faults += [f"gives none to '{label}'" for label in known if label not in given]
        faults += [f"names '{label}' twice" for label in given if given.count(label) > 1]
        if faults:
            raise DataError(f"class_weights {faults[0]}; give each of {', '.join(classes)} one weight")


@dataclass(frozen=True)
class CourseFiles:
    """The course's names for a built-in task's files: the column that its prediction files call the answer."""

    prefix: str
    predicted: str


COURSE: dict[str, CourseFiles] = {
    "sst": CourseFiles("ids-sst", "Predicted_Sentiment"),
    "cfimdb": CourseFiles("ids-cfimdb", "Predicted_Sentiment"),
    "para": CourseFiles("quora", "Predicted_Is_Paraphrase"),
    "sts": CourseFiles("sts", "Predicted_Similiary"),  # misspelt so; the course's grader reads it
}


def _built_in(name: str, kind: Kind, label: str, **more: object) -> dict[str, Any]:
    prefix = COURSE[name].prefix
    files = {"train": f"{prefix}-train.csv", "dev": f"{prefix}-dev.csv", "test": f"{prefix}-test-student.csv"}
    text = "sentence" if kind == "classification" else ["sentence1", "sentence2"]
    return {"kind": kind, "text": text, "label": label, "id": "id"} | files | more


BUILT_IN: dict[str, dict[str, Any]] = {
    "sst": _built_in("sst", "classification", "sentiment", labels=["0", "1", "2", "3", "4"]),
    "cfimdb": _built_in("cfimdb", "classification", "sentiment", labels=["0", "1"]),
    "para": _built_in("para", "pair-classification", "is_duplicate", labels=["0", "1"]),
    "sts": _built_in("sts", "pair-regression", "similarity", range=[0.0, 5.0]),
}
