"""A recipe -> a report on its files: what train would refuse, how labels and lengths lie, what repeats or leaks."""

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
from tokenizers import Tokenizer

from minbert.data import BadRow, Reading
from minbert.errors import DataError, MinbertError, ModelError
from minbert.labels import Labels, is_blank, near_duplicates
from minbert.prepare.repeats import Entries, Found, Matches, fold, matches, repeated_ids, same_ids
from minbert.pretrained import load_encoder, load_tokenizer, locate
from minbert.recipes import load
from minbert.schema import Recipe
from minbert.splits import named, read_split_rows, read_splits
from minbert.tasks import BUILT_IN, COURSE, SPLITS, Split, Task
from minbert.text import encode_texts

COMPARED: tuple[tuple[Split, Split], ...] = (("train", "dev"), ("train", "test"), ("dev", "test"))
BINS = 5  # of a score's range
PLACEHOLDERS = {"na", "n/a", "#n/a", "nan", "null"}  # what programs write where a value is missing, in any case
PORTION = 8192  # texts that are tokens at the same time


@dataclass(frozen=True)
class Share:
    """A class, or a part of a score's range, and how many rows have it."""

    label: str
    count: int
    share: float


@dataclass(frozen=True)
class Spread:
    """How numbers lie; a quantile is the smallest number that so many rows do not exceed."""

    mean: float
    min: float
    p25: float
    p50: float
    p75: float
    p95: float
    max: float

    @classmethod
    def of(cls, numbers: Labels) -> Self:
        quantiles = np.quantile(numbers, [0, 0.25, 0.5, 0.75, 0.95, 1], method="inverted_cdf")
        return cls(float(numbers.mean()), *map(float, quantiles))


@dataclass(frozen=True)
class Tokens:
    """Lengths of each row's longest text in tokens, [CLS] and [SEP] included, before anything is cut.

    `cut`: rows with a text longer than the limit; `unknown`: rows with a text whose tokens are mostly [UNK].
    """

    lengths: Spread
    cut: Found
    unknown: Found


@dataclass(frozen=True)
class SplitReport:
    """A split's file, or its files. `rows` = `usable` + bad rows; `fault` says why it could not be read at all."""

    split: Split
    path: str
    fault: str | None = None
    rows: int = 0
    usable: int = 0
    bad_rows: list[BadRow] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    balance: list[Share] = field(default_factory=list)
    scores: Spread | None = None
    tokens: Tokens | None = None
    blank: Found = field(default_factory=Found)
    placeholders: Found = field(default_factory=Found)
    equal_texts: Found = field(default_factory=Found)
    repeated_ids: Found = field(default_factory=Found)
    repeats: Matches = field(default_factory=Matches)


@dataclass(frozen=True)
class Overlap:
    """Rows of split `of` that split `within` holds too; `same_id` have an id of `within` and another text."""

    of: Split
    within: Split
    matches: Matches
    same_id: Found


@dataclass(frozen=True)
class TaskReport:
    """A task's files. `fault` says what train would refuse beyond a single file; `limit` is in tokens."""

    name: str
    kind: str
    limit: int
    splits: list[SplitReport]
    overlaps: list[Overlap]
    fault: str | None


@dataclass(frozen=True)
class Remark:
    """What was looked for, and where it was found: `43 of sts train`. Nowhere is good news."""

    what: str
    where: list[str]


@dataclass(frozen=True)
class Report:
    """All that was found. `encoder_limit` is the longest text that the encoder takes, in tokens."""

    encoder: str
    encoder_limit: int
    tasks: list[TaskReport]

    @property
    def bad_rows(self) -> list[BadRow]:
        return [bad for task in self.tasks for split in task.splits for bad in split.bad_rows]

    @property
    def faults(self) -> list[str]:
        """Why train would refuse files as a whole."""
        faults = [f"{task.name}: {fault}" for task in self.tasks for s in task.splits if (fault := s.fault)]
        return faults + [f"{task.name}: {task.fault}" for task in self.tasks if task.fault]

    @property
    def refused(self) -> bool:
        """Whether train would refuse these files."""
        return bool(self.bad_rows or self.faults)

    @property
    def remarks(self) -> list[Remark]:
        """What to look at, the most harmful first; with what was looked for and not found."""
        return [Remark(what, [w for task in self.tasks for w in find(task)]) for what, find in REMARKS.items()]

    def as_json(self) -> dict[str, Any]:
        summary = {"refused": self.refused, "faults": self.faults, "remarks": [asdict(r) for r in self.remarks]}
        return summary | {key: _plain(value) for key, value in asdict(self).items()}


def recipe_of(folder: Path, encoder: str = "minilm") -> Recipe:
    """A recipe of the built-in tasks that have a file in a folder. Raises DataError where there is none."""
    if not folder.is_dir():
        what = "is a file; name its folder, or pass --recipe" if folder.exists() else "does not exist; name a folder"
        raise DataError(f"{folder} {what}")
    names = [name for name, task in BUILT_IN.items() if any((folder / task[split]).is_file() for split in SPLITS)]
    if not names:
        known = ", ".join(f"{course.prefix}-train.csv" for course in COURSE.values())
        raise DataError(f"{folder} holds no file of a built-in task ({known}); name your own files in a --recipe")
    return load({"name": "check", "encoder": encoder, "tasks": {name: {} for name in names}}, data=folder)


def check(recipe: Recipe) -> Report:
    """Reads and measures every file that a recipe names. Raises ModelError for an encoder that cannot be used."""
    folder = locate(recipe.encoder)
    tokenizer = load_tokenizer(folder)
    needs_pooler = any(task.pooling == "cls" for task in recipe.tasks.values())
    longest = load_encoder(folder, needs_pooler).config.max_position_embeddings
    limits = {name: task.max_length or recipe.training.max_length or longest for name, task in recipe.tasks.items()}
    for name, limit in limits.items():
        if limit > longest:
            raise ModelError(f"task '{name}': max_length = {limit} is more than this encoder's {longest} tokens")
    tasks = [check_task(name, task, tokenizer, limits[name]) for name, task in recipe.tasks.items()]
    return Report(recipe.encoder, longest, tasks)


def check_task(name: str, task: Task, tokenizer: Tokenizer, limit: int) -> TaskReport:
    """Reads a task's files as train does and compares them; where train would give up, each file by itself."""
    faults: dict[Split, str] = {}
    fault = None
    task = task.model_copy(update={"fold": task.fold or (task.folds and 1)})  # any part will do
    files = task.model_copy(
        update={"holdout": None, "folds": None, "fold": None, "dev": None if task.divides_train else task.dev}
    )
    try:
        _, readings = read_splits(task, skip_bad_rows=True)
        if task.divides_train:  # train accepts it; what is looked at are the files, and what it says of dividing them
            divided = readings
            _, readings = read_splits(files, skip_bad_rows=True)
            readings["train"] = _with_doubts(divided, readings["train"])
    except MinbertError as error:
        readings, faults = _read_apart(files)
        fault = None if faults else str(error)
    entries = {split: Entries.of(task, reading) for split, reading in readings.items()}
    splits = [
        check_split(split, task, readings[split], entries[split], tokenizer, limit)
        if split in readings
        else SplitReport(split, named(task, split), faults[split])
        for split in SPLITS
        if split in readings or split in faults
    ]
    overlaps = [
        Overlap(of, within, matches(entries[of], entries[within]), same_ids(entries[of], entries[within]))
        for within, of in COMPARED
        if of in entries and within in entries
    ]
    return TaskReport(name, task.kind, limit, splits, overlaps, fault)


def _with_doubts(divided: dict[Split, Reading], whole: Reading) -> Reading:
    """A whole train file's reading, with what was noted when a part of it was held back."""
    doubts = [f"rows held back: {warning}" for warning in divided["dev"].warnings]
    return replace(whole, notes=divided["train"].notes, warnings=[*whole.warnings, *doubts])


def _read_apart(task: Task) -> tuple[dict[Split, Reading], dict[Split, str]]:
    """What can be read of a task's files, and why each of the others cannot: one fault does not hide the next."""
    readings: dict[Split, Reading] = {}
    faults: dict[Split, str] = {}
    for split in SPLITS:
        if getattr(task, split) is None:
            continue
        try:
            readings[split] = read_split_rows(task, split)
        except DataError as error:
            faults[split] = str(error)
        if split == "train" and split in readings and readings[split].labels:
            task = task.model_copy(update={"labels": readings[split].labels})
    return readings, faults


def check_split(
    split: Split, task: Task, reading: Reading, entries: Entries, tokenizer: Tokenizer, limit: int
) -> SplitReport:
    """What one file that could be read holds."""
    labels, texts = reading.examples.labels, list(enumerate(entries.texts))
    alike = near_duplicates(task.labels or []) if split == "train" else []  # reading is silent where labels are named
    return SplitReport(
        split,
        named(task, split),
        rows=reading.rows,
        usable=len(texts),
        bad_rows=reading.bad_rows,
        notes=reading.notes,
        warnings=list(dict.fromkeys([*reading.warnings, *alike])),
        balance=[] if labels is None else balance(task, reading.labels or [], labels),
        scores=Spread.of(labels) if task.is_regression and labels is not None and len(labels) else None,
        tokens=measure(entries, tokenizer, limit) if texts else None,
        blank=entries.found(place for place, text in texts if any(map(is_blank, text))),
        placeholders=entries.found(place for place, text in texts if _says_nothing(*text, entries.labels[place] or "")),
        equal_texts=entries.found(place for place, text in texts if task.is_pair and len(set(fold(text))) == 1),
        repeated_ids=repeated_ids(entries),
        repeats=matches(entries),
    )


def _says_nothing(*cells: str) -> bool:
    return any(cell.strip().casefold() in PLACEHOLDERS for cell in cells)


def balance(task: Task, classes: list[str], labels: Labels) -> list[Share]:
    """Rows by class, in the classes' order; rows by fifths of the range, its upper end in the last, for scores."""
    if task.is_regression:
        counts, edges = np.histogram(labels, BINS, task.bounds)
        names = [f"{low:g} to {high:g}" for low, high in pairwise(edges)]
    else:
        names, counts = classes, np.array([task.is_class(labels, place).sum() for place in range(len(classes))])
    return [Share(n, int(count), int(count) / max(1, len(labels))) for n, count in zip(names, counts, strict=True)]


def measure(entries: Entries, tokenizer: Tokenizer, limit: int) -> Tokens:
    """Token lengths by row, before and against the limit."""
    unknown = tokenizer.token_to_id("[UNK]")
    lengths = np.zeros(len(entries.rows), dtype=np.int64)
    mostly_unknown = np.zeros(len(entries.rows), dtype=bool)
    for column in zip(*entries.texts, strict=True):
        for start in range(0, len(column), PORTION):
            texts, _ = encode_texts(column[start : start + PORTION], tokenizer, sys.maxsize)
            part = slice(start, start + PORTION)
            lengths[part] = np.maximum(lengths[part], [len(ids) for ids in texts])
            if unknown is not None:
                mostly_unknown[part] |= [ids.count(unknown) > (len(ids) - 2) / 2 for ids in texts]
    cut = entries.found(np.flatnonzero(lengths > limit).tolist(), lambda place: f"{lengths[place]} tokens")
    return Tokens(Spread.of(lengths.astype(float)), cut, entries.found(np.flatnonzero(mostly_unknown).tolist()))


def _in_splits(count: Callable[[SplitReport], int]) -> Callable[[TaskReport], list[str]]:
    return lambda task: [f"{n:,} of {task.name} {split.split}" for split in task.splits if (n := count(split))]


def _in_overlaps(count: Callable[[Overlap], int]) -> Callable[[TaskReport], list[str]]:
    return lambda task: [f"{n:,} of {task.name} {o.of} in {o.within}" for o in task.overlaps if (n := count(o))]


def _warnings(task: TaskReport) -> list[str]:
    return [f"{task.name} {split.split}: {warning}" for split in task.splits for warning in split.warnings]


def _plain(value: Any) -> Any:
    """Paths as text, all through."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, Path) else value


REMARKS: dict[str, Callable[[TaskReport], list[str]]] = {
    "rows that another split holds too": _in_overlaps(lambda overlap: overlap.matches.count),
    "rows that another split holds with another label": _in_overlaps(lambda overlap: overlap.matches.conflicting),
    "ids that another split gives to another text": _in_overlaps(lambda overlap: overlap.same_id.count),
    "rows that repeat an earlier one of their file": _in_splits(lambda split: split.repeats.count),
    "rows that repeat an earlier one with another label": _in_splits(lambda split: split.repeats.conflicting),
    "ids given twice in a file": _in_splits(lambda split: split.repeated_ids.count),
    "doubts about a file as it was read": _warnings,
    "texts or labels that say NA, NaN, null, N/A or #N/A": _in_splits(lambda split: split.placeholders.count),
    "rows longer than the limit": _in_splits(lambda s: s.tokens.cut.count if s.tokens else 0),
    "rows with two equal texts": _in_splits(lambda split: split.equal_texts.count),
    "rows of mostly unknown tokens": _in_splits(lambda s: s.tokens.unknown.count if s.tokens else 0),
    "blank texts in unlabelled files": _in_splits(lambda split: split.blank.count),
}
