"""Rows of a file, or of two -> which are like one another, and whether their labels agree.

Three likenesses, from the strictest; a row counts once, under the first that fits: `equal` letter by letter;
`swapped`, a pair that is equal with its sides changed; `folded`, equal once case and blanks are folded, the sides in
either order.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal, Self

from minbert.data import Reading
from minbert.errors import printable
from minbert.holdout import folded
from minbert.predictions import answer
from minbert.tasks import Task

Likeness = Literal["equal", "swapped", "folded"]
LIKENESSES: tuple[Likeness, ...] = ("equal", "swapped", "folded")
Texts = tuple[str, ...]
LISTED = 10  # rows of a finding that are listed
EXCERPT = 120  # characters of a row's texts that are listed


@dataclass(frozen=True)
class Row:
    """A row to look up in its file. `detail` says what was found in it, where the finding's name does not."""

    row: int
    id: str
    text: str
    label: str | None
    detail: str = ""


@dataclass(frozen=True)
class Found:
    """Rows with something in common: how many, and the first ten."""

    count: int = 0
    first: list[Row] = field(default_factory=list)


@dataclass(frozen=True)
class Match:
    """A row and the first row that it is like."""

    likeness: Likeness
    row: Row
    other: Row

    @property
    def conflicts(self) -> bool:
        """Whether both rows have labels, and different ones."""
        return None not in (self.row.label, self.other.label) and self.row.label != self.other.label


@dataclass(frozen=True)
class Matches:
    """Rows that are like another one, by likeness; `conflicting` of them have another label than that one.

    `first` holds the first ten of each likeness and the first ten that conflict, each once.
    """

    count: int = 0
    equal: int = 0
    swapped: int = 0
    folded: int = 0
    conflicting: int = 0
    first: list[Match] = field(default_factory=list)


@dataclass(frozen=True)
class Entries:
    """A split's N usable rows: their numbers (of several files they count on), ids (blank without an id column), texts,
    labels as words."""

    rows: list[int]
    ids: list[str]
    texts: list[Texts]
    labels: list[str | None]

    @classmethod
    def of(cls, task: Task, reading: Reading) -> Self:
        examples, rows = reading.examples, reading.row_numbers
        labels: list[str | None] = [None] * len(rows)
        if examples.labels is not None:
            task = task.model_copy(update={"labels": reading.labels})
            labels = [f"{x:.10g}" if task.is_regression else str(answer(task, x)) for x in examples.labels]
        ids = [""] * len(rows) if task.id is None else examples.ids
        return cls(rows, ids, list(zip(*examples.texts, strict=True)), labels)

    def row(self, place: int, detail: str = "") -> Row:
        return Row(self.rows[place], self.ids[place], excerpt(self.texts[place]), self.labels[place], detail)

    def found(self, places: Iterable[int], detail: Callable[[int], str] | None = None) -> Found:
        listed = list(places)
        return Found(len(listed), [self.row(at, detail(at) if detail else "") for at in listed[:LISTED]])


def excerpt(texts: Texts) -> str:
    """Texts on one line, without characters that do not print, and not too long."""
    line = " | ".join(" ".join(printable(text[: 4 * EXCERPT]).split()) for text in texts)
    return line if len(line) <= EXCERPT else line[: EXCERPT - 3] + "..."


def fold(texts: Texts) -> Texts:
    """Texts without case, without blanks beyond one between words, and without their order."""
    return tuple(sorted(map(folded, texts)))


def matches(entries: Entries, others: Entries | None = None) -> Matches:
    """Rows of `entries` that are like a row of `others`; without others, like an earlier row of their own file."""
    exact: dict[Texts, int] = {}
    folded: dict[Texts, int] = {}
    for place, texts in enumerate(others.texts if others else ()):
        exact.setdefault(texts, place)
        folded.setdefault(fold(texts), place)
    hits: list[_Hit] = []
    for place, texts in enumerate(entries.texts):
        either_way = fold(texts)
        places = (exact.get(texts), exact.get(texts[::-1]), folded.get(either_way))
        hits += [_Hit(kind, place, at) for kind, at in zip(LIKENESSES, places, strict=True) if at is not None][:1]
        if others is None:
            exact.setdefault(texts, place)
            folded.setdefault(either_way, place)
    return _joined(hits, entries, others or entries)


@dataclass(frozen=True)
class _Hit:
    """A match by places, since most are counted and not listed."""

    likeness: Likeness
    place: int
    other: int


def _joined(hits: list[_Hit], entries: Entries, others: Entries) -> Matches:
    groups = [[hit for hit in hits if hit.likeness == likeness] for likeness in LIKENESSES]
    labels = [(entries.labels[hit.place], others.labels[hit.other]) for hit in hits]
    conflicting = [hit for hit, pair in zip(hits, labels, strict=True) if None not in pair and pair[0] != pair[1]]
    listed = {hit.place for group in (*groups, conflicting) for hit in group[:LISTED]}
    first = [
        Match(hit.likeness, entries.row(hit.place), others.row(hit.other))
        for group in groups
        for hit in group
        if hit.place in listed
    ]
    equal, swapped, folded = map(len, groups)
    return Matches(len(hits), equal, swapped, folded, len(conflicting), first)


def repeated_ids(entries: Entries) -> Found:
    """Rows whose id an earlier row of the file has."""
    first: dict[str, int] = {}
    places = [place for place, name in enumerate(entries.ids) if name and first.setdefault(name, place) != place]
    return entries.found(places, lambda place: f"id of row {entries.rows[first[entries.ids[place]]]}")


def same_ids(entries: Entries, others: Entries) -> Found:
    """Rows whose id stands in the other file with another text, even when folded."""
    at: dict[str, int] = {}
    for place, name in enumerate(others.ids):
        at.setdefault(name, place)
    places = [
        place
        for place, name in enumerate(entries.ids)
        if name and name in at and fold(entries.texts[place]) != fold(others.texts[at[name]])
    ]
    return entries.found(places, lambda place: f"id of row {others.rows[at[entries.ids[place]]]}")
