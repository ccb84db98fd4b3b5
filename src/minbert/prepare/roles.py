"""A table's columns -> the kind of task they make: which are texts, label and id, each with its reason."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minbert.errors import DataError, counted, several, shown
from minbert.labels import label_order
from minbert.prepare.sheet import ID_NAMES, LABEL_NAMES, STRAY, TEXT_NAMES, Column, is_fraction, name_words
from minbert.tables import as_text, canonical_label
from minbert.tasks import MOST_LABELS, Kind

SEPARATORS = (",", ";", "|")
LONE = ("text", "sentence", "review", "tweet", "content", "comment", "message", "body", "utterance")
PAIRS = (
    *(("premise", "hypothesis"), ("question", "answer"), ("question", "sentence"), ("query", "passage")),
    ("question", "passage"),
    *(("query", "document"), ("query", "answer"), ("claim", "evidence"), ("context", "response")),
)
SCORES = ("score", "similarity", "relatedness", "rating", "grade", "quality")  # whole numbers of a pair are scores then
FEW_ROWS = 20  # so few may all have different classes
MOST_CLASSES = 100  # of whole numbers


@dataclass(frozen=True)
class Choice:
    """A key of a task's table, its value, and why, in a user's words; no reason where the one above says it."""

    key: str
    value: Any
    reason: str = ""


@dataclass(frozen=True)
class Label:
    """What a label column's cells make: a kind for one text or for two. `separator` cuts a cell of several classes."""

    kind: Kind
    why: str
    separator: str | None = None
    range: tuple[float, float] | None = None


@dataclass(frozen=True)
class Roles:
    """What columns are to a task; `others` could be labels too. `why` says what in the label's cells gave the kind."""

    kind: Kind
    texts: list[str]
    label: list[str]
    id: str | None
    why: str
    why_texts: str
    others: list[str]
    separator: str | None = None
    range: tuple[float, float] | None = None

    @property
    def choices(self) -> list[Choice]:
        """The keys of a task's table that columns decide."""
        whole = self.label if len(self.label) > 1 else self.label[0]
        others = f" ({listed(self.others)} could be one, too)" if self.others else ""
        of_label = f"{listed(self.label)}: {self.why}{others}"
        choices = [
            Choice("kind", self.kind, KIND_WORDS[self.kind]),
            Choice("text", self.texts if len(self.texts) > 1 else self.texts[0], self.why_texts),
            Choice("label", whole, of_label),
        ]
        if self.separator not in (None, ","):
            choices.append(Choice("separator", self.separator, "what stands between the classes in a cell"))
        if self.id is not None:
            choices.append(Choice("id", self.id, f"'{shown(self.id, 30)}' has another value in every row"))
        return choices


KIND_WORDS: dict[str, str] = {
    "classification": "one text, one of several classes",
    "pair-classification": "two texts, one of several classes",
    "pair-regression": "two texts, a score",
    "multi-label": "one text, any number of classes",
}


def decide(columns: Sequence[Column], where: str) -> Roles:
    """Raises DataError, which says what was seen in each column, where they make no task."""
    ids = [column for column in columns if column.is_id]
    ids.sort(key=lambda column: _rank(column, ID_NAMES))
    rest = [column for column in columns if column.filled and column not in ids]
    for column in rest:
        if len(column.splits) > 1:
            raise DataError(_of_splits(column, where))
    texts, why_texts = _texts(rest, where)
    candidates = [column for column in rest if column not in texts]
    found = {column.name: _label(column, len(texts) == 2) for column in candidates}
    usable = [column for column in candidates if isinstance(found[column.name], Label)]
    id_name = ids[0].name if ids else None
    exact = [column for column in usable if _rank(column, LABEL_NAMES) < len(LABEL_NAMES)]
    marks = [column for column in candidates if column.says_yes_or_no]
    if not exact and len(texts) == 1 and _are_marks(marks):
        why = f"{len(marks)} columns that say 1 or 0, one for each class"
        return Roles("multi-label", [texts[0].name], [c.name for c in marks], id_name, why, why_texts, [])
    if not exact and any(_rank(column, LABEL_NAMES) < len(LABEL_NAMES) for column in columns if column not in texts):
        usable = []  # it has a label's name and is none; to learn another column in its place would be a surprise
    if not usable:
        raise DataError(_no_label(columns, texts, ids, found, where))
    chosen = min(usable, key=lambda c: (_rank(c, LABEL_NAMES), len(c.values), -candidates.index(c)))
    label = found[chosen.name]
    assert isinstance(label, Label)
    others = [column.name for column in usable if column is not chosen and not column.is_free_text]
    names = [column.name for column in texts]
    return Roles(label.kind, names, [chosen.name], id_name, label.why, why_texts, others, label.separator, label.range)


def classes_of(columns: Sequence[Column], roles: Roles) -> list[str]:
    """The classes in the cells of all these columns, in a task's own order; of a score none."""
    if roles.kind == "pair-regression" or len(roles.label) > 1:
        return []
    if roles.kind == "multi-label":
        return label_order({p for column in columns for cell in column.filled for p in parts_of(cell, roles.separator)})
    return label_order({value for column in columns for value in column.values if not is_fraction(value)})


def parts_of(cell: Any, separator: str | None) -> list[str]:
    """The classes that a cell of several names, as tables.canonical_label spells them."""
    given = cell if isinstance(cell, list) else as_text(cell).split(separator or ",")
    return [name for part in given if not isinstance(part, list | dict | bytes) if (name := canonical_label(part))]


def bounds(numbers: Sequence[float]) -> tuple[float, float]:
    """A range around scores that ends on whole numbers, on tens where it is wider than ten."""
    low, high = min(numbers), max(numbers)
    unit = 10 if high - low > 10 else 1
    return float(math.floor(low / unit) * unit), float(math.ceil(high / unit) * unit)


def _texts(columns: Sequence[Column], where: str) -> tuple[list[Column], str]:
    """One or two columns of texts and why they are taken for that. Raises DataError where it cannot be told."""
    words = [c for c in columns if c.is_plain and not c.numbers and _rank(c, LABEL_NAMES) >= len(LABEL_NAMES)]
    free = [column for column in words if column.is_free_text]
    words = [column for column in words if column in free or not (free and (column.is_mark or column.is_code))]
    named = [column for column in words if _rank(column, TEXT_NAMES) < 2 * len(TEXT_NAMES)]
    if pair := _pair({column.name: column for column in [*free, *(c for c in named if c not in free)]}):
        return pair, f"{listed([c.name for c in pair])}: their names make a pair; {_lengths(pair)}"
    lone = [column for column in named if _rank(column, LONE) < len(LONE)]
    if len(free) == 2 and not lone:
        return free, f"the two columns of free texts; {_lengths(free)}"
    if lone or len(named) == 1:
        best = min(lone or named, key=lambda column: _rank(column, TEXT_NAMES))
        return [best], f"'{shown(best.name, 30)}' by its name; {_lengths([best])}"
    if len(free) == 1:
        return free, f"the column of free texts; {_lengths(free)}"
    if len(free) > 2:
        raise DataError(
            f"{where}: {len(free)} columns hold free texts ({listed([c.name for c in free])}), and a task has one or "
            "two; name those to learn from text, or text1 and text2, in the header"
        )
    best = max(words, key=lambda column: len(column.values), default=Column("", []))
    nested = any(not column.is_plain and _rank(column, LONE) < len(LONE) for column in columns)
    if len(best.values) < 2 or nested:
        seen = ", ".join(f"'{shown(c.name, 30)}' {c.holds}" for c in columns[:6]) or "every named column is blank"
        raise DataError(f"{where}: no column holds texts: {seen}; name the column of texts text in the header")
    return [best], f"'{shown(best.name, 30)}' has the most different words; {_lengths([best])}"


def _pair(columns: dict[str, Column]) -> list[Column] | None:
    """Two columns whose names differ in 1 and 2 or a and b alone, or that go together by convention."""
    for name in sorted(columns, key=len):
        for one, two in (("1", "2"), ("a", "b"), ("A", "B"), ("one", "two"), ("left", "right")):
            for match in re.finditer(rf"(?<![0-9]){one}(?![a-z0-9])", name):
                other = name[: match.start()] + two + name[match.end() :]
                if other in columns:
                    return [columns[name], columns[other]]
    by_words = {tuple(name_words(name)): column for name, column in columns.items()}
    found = next(((a, b) for a, b in PAIRS if (a,) in by_words and (b,) in by_words), None)
    return None if found is None else [by_words[(word,)] for word in found]


def _label(column: Column, is_pair: bool) -> Label | str:
    """What a column's cells would be as labels, or why they are none."""
    if column.has_lists:
        return Label("multi-label", "lists of classes") if not is_pair else "holds lists, and a pair has one label"
    if not column.is_plain:
        return "holds no text, number or boolean"
    written = sum(bool(re.fullmatch(r"\[.*\]", value)) for value in column.values)
    if written == len(column.values):
        return "holds lists written as text; write the classes with commas between them"
    if all(re.fullmatch(r"-?\d+,\d+", value) for value in column.values):
        return "holds numbers with decimal commas; write points"
    if len(column.values) < 2:
        return f"has the one value '{shown(next(iter(column.values)), 30)}', and a task needs two"
    return _number_label(column, is_pair) if column.numbers else _word_label(column, is_pair)


def _number_label(column: Column, is_pair: bool) -> Label | str:
    low, high, different = column.numbers[0], column.numbers[-1], len(column.values)
    seen = f"{counted(different, 'different number')} from {low:g} to {high:g}"
    names_score = different > 2 and bool(set(name_words(column.name)) & set(SCORES))
    if is_pair and (names_score or column.fractions or different > MOST_CLASSES):
        return Label("pair-regression", seen, range=bounds(column.numbers))
    if column.fractions > STRAY * len(column.filled):
        return f"holds scores ({seen}), and a score is for two texts; write classes"
    if different > MOST_CLASSES or _hardly_repeats(column):
        return f"holds {seen}, which are no classes"
    return Label("pair-classification" if is_pair else "classification", seen)


def _word_label(column: Column, is_pair: bool) -> Label | str:
    separator = None if is_pair else _separator(column)
    if separator is not None:
        several_in = sum(separator in as_text(cell) for cell in column.filled)
        return Label("multi-label", f"classes with '{separator}' between them, in {several_in:,} rows", separator)
    different = len(column.values)
    if _hardly_repeats(column):
        return f"has {different:,} different values in {counted(len(column.filled), 'row')}, which are no classes"
    of_all = f"{different} different values in {counted(len(column.filled), 'row')}"
    return Label("pair-classification" if is_pair else "classification", of_all)


def _separator(column: Column) -> str | None:
    """What cuts a column's cells into few classes that come in several combinations, if anything does."""
    for separator in SEPARATORS:
        cells = [[part.strip() for part in value.split(separator)] for value in column.values]
        if all(len(parts) == 1 for parts in cells):
            continue
        combinations = Counter(part for parts in cells for part in set(parts))
        recurs = len(combinations) < len(cells) or max(combinations.values()) > 1
        if len(combinations) <= MOST_LABELS and recurs and max(len(part.split()) for part in combinations) <= 5:
            return separator
    return None


def _hardly_repeats(column: Column) -> bool:
    return len(column.filled) >= FEW_ROWS and len(column.values) > len(column.filled) / 2


def _are_marks(columns: Sequence[Column]) -> bool:
    return len(columns) > 1 and any(len(column.values) == 2 for column in columns)


def _rank(column: Column, names: Sequence[str]) -> int:
    """How well a name is one of `names`: its place for the whole, after all of those for a part of it, else last."""
    words = name_words(column.name)
    if len(words) == 1 and words[0] in names and not re.search(r"\d", column.name):
        return names.index(words[0])
    return min((len(names) + names.index(word) for word in words if word in names), default=2 * len(names))


def _no_label(
    columns: Sequence[Column], texts: Sequence[Column], ids: Sequence[Column], found: dict[str, Label | str], where: str
) -> str:
    seen = [f"'{shown(name, 30)}' {reason}" for name, reason in found.items() if isinstance(reason, str)]
    seen += [f"'{shown(column.name, 30)}' holds the texts" for column in texts]
    seen += [f"'{shown(column.name, 30)}' the ids" for column in ids]
    seen += [f"'{shown(column.name, 30)}' is blank" for column in columns if not column.filled]
    named = [name for name in found if _rank(Column(name, []), LABEL_NAMES) < len(LABEL_NAMES)]
    remedy = "add a column label, or name the train file that this one belongs to as well"
    remedy = f"correct column '{shown(named[0], 30)}'" if named else remedy
    usable = [name for name, label in found.items() if isinstance(label, Label)]
    remedy += f", or call '{shown(usable[0], 30)}' label in the header if that is what to learn" if usable else ""
    return f"{where}: no column can be a label: {several(seen, 6)}; {remedy}"


def _of_splits(column: Column, where: str) -> str:
    """Why rows of several splits in one file are refused: all would be learned, test's too."""
    path, splits = Path(where), column.splits
    files = ", ".join(f"{path.stem}-{split}{path.suffix}" for split in splits)
    said = f"{', '.join(splits[:-1])} and {splits[-1]}"
    name = shown(column.name, 30)
    return f"{where}: '{name}' says which rows are {said}; write each into a file of its own: {files}"


def _lengths(columns: Sequence[Column]) -> str:
    means = " and ".join(f"{column.mean_words:.1f}" for column in columns)
    return f"{means} words on average"


def listed(names: Sequence[str]) -> str:
    """Columns by their names, as a message can hold them."""
    return several([f"'{shown(name, 30)}'" for name in names], 8).replace("; ", ", ")
