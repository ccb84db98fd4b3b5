"""A task's dev examples -> parts that a reader can name: by length, label, negation, numbers, overlap, a column.

Letters: n examples.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from minbert.errors import shown
from minbert.experiments.devsets import DevSet, row_numbers
from minbert.tables import Cell, Table, as_text, read_table

NEGATION = re.compile(
    r"\b(no|not|never|none|nobody|nothing|nowhere|neither|nor|cannot|without)\b|n['’]t\b"
    r"|\b(do|does|did|is|are|was|were|has|have|had|wo|would|ca|could|should)nt\b",
    re.IGNORECASE,
)
NUMBER = re.compile(r"\d")
WORD = re.compile(r"\w+")
VALUES = 12  # of a column, its most frequent, that are slices
SMALLEST = 20  # examples of a slice; fewer say nothing


@dataclass(frozen=True)
class Slice:
    """Examples with something in common: `kind` is what was looked at, `name` which part of it, `members` [n] where."""

    kind: str
    name: str
    members: NDArray[np.bool_]


def slices(dev: DevSet, column: str | None = None) -> list[Slice]:
    """Every part of a dev set with at least `SMALLEST` examples, and as many outside of it."""
    found = [one for kind in KINDS.values() for one in kind(dev)]
    found += [Slice("dev set", name, _members(place, len(dev))) for name, place in dev.parts.items()]
    found += _by_column(dev, column) if column is not None else []
    return [one for one in found if SMALLEST <= one.members.sum() <= len(dev) - SMALLEST]


def _members(place: slice, n: int) -> NDArray[np.bool_]:
    members = np.zeros(n, dtype=bool)
    members[place] = True
    return members


def words(text: str) -> list[str]:
    """A text's words in lower case."""
    return WORD.findall(text.casefold())


def lengths(dev: DevSet) -> NDArray[np.int64]:
    """Words [n] of all of an example's texts."""
    return np.array([sum(len(words(text)) for text in texts) for texts in _rows(dev)], dtype=np.int64)


def overlaps(dev: DevSet) -> NDArray[np.float64]:
    """The share [n] of the words of a pair that both texts have (Jaccard); 0 for a pair without words."""
    sets = [[set(words(text)) for text in texts] for texts in _rows(dev)]
    return np.array([len(a & b) / max(1, len(a | b)) for a, b in sets])


def length_gaps(dev: DevSet) -> NDArray[np.float64]:
    """How many words [n] one text of a pair has more than the other."""
    return np.array([abs(len(words(a)) - len(words(b))) for a, b in _rows(dev)], dtype=np.float64)


def _rows(dev: DevSet) -> Iterator[tuple[str, ...]]:
    return zip(*dev.examples.texts, strict=True)


def _by_length(dev: DevSet) -> list[Slice]:
    return _thirds("length", NUMBERS["length"](dev), "{:.0f}", "words")


def _by_overlap(dev: DevSet) -> list[Slice]:
    return _thirds("overlap", overlaps(dev), "{:.0%}", "of words shared") if dev.task.is_pair else []


def _thirds(kind: str, values: NDArray[np.float64], form: str, unit: str) -> list[Slice]:
    """The low, the middle and the high third by value; equal values stay together."""
    low, high = np.quantile(values, [1 / 3, 2 / 3], method="inverted_cdf")
    ends = form.format(low), form.format(high)
    return [
        Slice(kind, f"up to {ends[0]} {unit}", values <= low),
        Slice(kind, f"over {ends[0]}, up to {ends[1]} {unit}", (values > low) & (values <= high)),
        Slice(kind, f"over {ends[1]} {unit}", values > high),
    ]


def _by_label(dev: DevSet) -> list[Slice]:
    """Each class, or each fifth of the range of scores."""
    if not dev.task.is_regression:
        return [
            Slice("label", name, dev.task.is_class(dev.labels, place))
            for place, name in enumerate(dev.task.labels or ())
        ]
    ends = bins(dev, 5)
    part = np.clip(np.searchsorted(ends, dev.labels, side="right") - 1, 0, 4)
    return [Slice("label", f"{ends[i]:g} to {ends[i + 1]:g}", part == i) for i in range(5)]


def bins(dev: DevSet, count: int) -> NDArray[np.float64]:
    """The range of scores cut into bins of equal width: their ends [count + 1], each in the bin that it opens.

    They are rounded to what is written: the third of five from 0 to 1 would end just above 0.6.
    """
    return np.linspace(*dev.task.bounds, count + 1).round(9)


def _by_pattern(kind: str, pattern: re.Pattern[str], dev: DevSet) -> list[Slice]:
    has = np.array([any(pattern.search(text) for text in texts) for texts in _rows(dev)])
    return [Slice(kind, f"with {kind}", has), Slice(kind, f"without {kind}", ~has)]


def columns(dev: DevSet) -> list[str]:
    """Those of the files that a dev set comes from."""
    return list(dict.fromkeys(title for table in _tables(dev) for title in table.header))


def _by_column(dev: DevSet, column: str) -> list[Slice]:
    """The most frequent values of a column of the file that the examples come from; none where it has no such."""
    tables = _tables(dev)
    if any(column not in table.header for table in tables):
        return []
    cells: list[Cell] = [row[table.column(column)] for table in tables for row in table.rows]
    values = [as_text(cells[row - 1]) for row in row_numbers(dev)]
    frequent = [value for value, _ in Counter(values).most_common(VALUES)]
    kind = kind_of(column)
    return [Slice(kind, _ends_of(value), np.array([v == value for v in values])) for value in frequent]


def _ends_of(value: str) -> str:
    """A value as it is shown, a long one without its middle: addresses begin alike."""
    return shown(value) if len(value) <= 60 else f"{shown(value, 31)}{shown(value[-30:])}"


def kind_of(column: str) -> str:
    """What the parts by a column have in common: not a `KINDS` of the same name."""
    return f"column {column}"


def _tables(dev: DevSet) -> list[Table]:
    return [read_table(path, dev.task.format, dev.task.encoding, dev.task.quoting) for path in dev.paths]


NUMBERS: dict[str, Callable[[DevSet], NDArray[np.float64]]] = {
    "overlap": overlaps,
    "length gap": length_gaps,
    "length": lambda dev: lengths(dev).astype(np.float64),
}
KINDS: dict[str, Callable[[DevSet], Sequence[Slice]]] = {
    "length": _by_length,
    "label": _by_label,
    "negation": lambda dev: _by_pattern("negation", NEGATION, dev),
    "numbers": lambda dev: _by_pattern("numbers", NUMBER, dev),
    "overlap": _by_overlap,
}
