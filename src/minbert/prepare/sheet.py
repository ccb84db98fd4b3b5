"""A file of unknown layout -> its named columns, each with what its cells look like: words, numbers, lists, repeats."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from minbert.decoding import Remedies, Source, is_utf8, read_bytes
from minbert.dialects import SEMICOLONS
from minbert.errors import DataError, counted, shown
from minbert.labels import YES_NO, as_number, is_blank
from minbert.tables import SUFFIXES, Table, as_text, canonical_label, format_of, read_table
from minbert.tasks import SPLITS, Split

BY_HAND = Remedies("name it in a recipe of your own", "write the recipe by hand, with {} = '{}' in the task")
ID_NAMES = ("id", "ids", "uid", "uuid", "guid", "idx", "index", "key")
TEXT_NAMES = (
    *("text", "sentence", "review", "tweet", "comment", "message", "content", "body", "utterance", "document", "post"),
    *("headline", "phrase", "sms", "abstract", "description", "statement", "title", "subject", "question", "answer"),
    *("query", "passage", "premise", "hypothesis", "claim", "evidence", "context", "response", "ticket", "word"),
)
LABEL_NAMES = (
    *(
        "gold",
        "label",
        "labels",
        "class",
        "classes",
        "target",
        "sentiment",
        "category",
        "categories",
        "intent",
        "topic",
    ),
    *("topics", "tags", "genres", "emotion", "emotions", "polarity", "stance", "similarity", "duplicate", "paraphrase"),
    *("entailment", "score", "rating", "stars", "relatedness", "judgment", "grade", "quality", "tag", "genre", "y"),
    *("verdict", "decision", "outcome"),
)
SPLIT_NAMES: dict[str, Split] = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("dev", "devel", "development", "valid", "validation", "val"), "dev"),
    **dict.fromkeys(("test", "testing", "tst"), "test"),
}
STRAY = 0.05  # a smaller share of other cells is a slip, for rows to be told about one by one
HEX = re.compile(r"(?=.*\d)[0-9a-fA-F]{8,}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4,12}){4}")  # a digest, a UUID; no date
MOST_NAME_WORDS = 4  # of a column's name; a header cell with more words is a row's text


def name_words(name: str) -> list[str]:
    """The words of a column's name in lower case: gold_label, goldLabel and 'Gold Label' are the same two."""
    return re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())


def is_fraction(value: str) -> bool:
    """Whether a value, as a class is spelled, is a number that is not whole."""
    return as_number(value) is not None and re.fullmatch(r"-?\d+", value) is None


@dataclass(frozen=True)
class Column:
    """A named column of N cells, of one file or of several."""

    name: str
    cells: list[Any]

    @cached_property
    def filled(self) -> list[Any]:
        """The cells that hold something; an empty list does."""
        return [cell for cell in self.cells if isinstance(cell, list | dict | bytes) or not is_blank(as_text(cell))]

    @cached_property
    def values(self) -> Counter[str]:
        """How often each value occurs, in a class's one spelling, among cells of text, numbers and booleans."""
        return Counter(canonical_label(cell) for cell in self.filled if not isinstance(cell, list | dict | bytes))

    @property
    def has_lists(self) -> bool:
        return any(isinstance(cell, list) for cell in self.filled)

    @property
    def holds(self) -> str:
        """What the cells are, in words."""
        nested = {"lists" if isinstance(c, list) else "objects" for c in self.filled if isinstance(c, list | dict)}
        if nested:
            return f"holds {' and '.join(sorted(nested))}"
        return "holds numbers" if self.numbers else f"holds {counted(len(self.values), 'different value')}"

    @property
    def is_plain(self) -> bool:
        """Whether all cells are text, numbers or booleans, and some are not blank."""
        return bool(self.filled) and sum(self.values.values()) == len(self.filled)

    @cached_property
    def numbers(self) -> list[float]:
        """The different numbers in rising order, where nearly all cells are numbers; else none."""
        found = {value: as_number(value) for value in self.values}
        others = sum(self.values[value] for value, number in found.items() if number is None)
        is_numeric = self.is_plain and others <= STRAY * len(self.filled)
        return sorted({number for number in found.values() if number is not None}) if is_numeric else []

    @cached_property
    def fractions(self) -> int:
        """Cells whose number is not whole, in a column of numbers."""
        return sum(n for value, n in self.values.items() if is_fraction(value)) if self.numbers else 0

    @cached_property
    def mean_words(self) -> float:
        return sum(len(as_text(cell).split()) for cell in self.filled) / max(1, len(self.filled))

    @property
    def says_yes_or_no(self) -> bool:
        return len(self.filled) == len(self.cells) and self.is_plain and set(self.values) <= set(YES_NO)

    @property
    def splits(self) -> list[Split]:
        """The splits that a column's values name, where all do and its own name is no label's: which rows are which."""
        named = {SPLIT_NAMES.get(value.lower()) for value in self.values}
        return (
            []
            if None in named or self.has_label_name or not self.is_plain
            else [name for name in SPLITS if name in named]
        )

    @property
    def has_label_name(self) -> bool:
        """Whether a word of its name is one that labels go by."""
        return bool(set(name_words(self.name)) & set(LABEL_NAMES))

    @property
    def is_mark(self) -> bool:
        """Yes or no, or one of two single words that recur: said about a text, and none itself."""
        is_short = len(self.values) <= 2 and len(self.values) < len(self.filled) and self.mean_words < 1.5
        return self.says_yes_or_no or is_short

    @property
    def has_another_word_in_every_row(self) -> bool:
        """Whether no two cells are the same, and none is blank or has a blank in it."""
        names = [as_text(cell) for cell in self.cells]
        return self.is_plain and len(set(names)) == len(names) and all(re.fullmatch(r"\S+", name) for name in names)

    @property
    def is_code(self) -> bool:
        """In every row another single word with a digit in it, as T1001: it numbers the rows, whatever its name."""
        return self.has_another_word_in_every_row and all(re.search(r"\d", as_text(cell)) for cell in self.cells)

    @property
    def is_free_text(self) -> bool:
        """Several words a cell, and mostly different ones; long cells may repeat more than short ones."""
        if not self.is_plain or self.numbers:
            return False
        share = len(self.values) / len(self.filled)
        return share > (0.05 if self.mean_words >= 4 else 0.3) and self.mean_words >= 1.5

    @property
    def is_id(self) -> bool:
        """In every row another value without blanks, under an id's name; or whole numbers that count, or hex digits,
        under a name that is no label's: five rows of five classes count, too."""
        if not self.has_another_word_in_every_row:
            return False
        if set(name_words(self.name)) & set(ID_NAMES) or re.search(r"(?:_id|I[dD])$", self.name):
            return not self.fractions
        if self.has_label_name:
            return False
        counts = (
            len(self.numbers) == len(self.values)
            and not self.fractions
            and all(b - a == 1 for a, b in pairwise(self.numbers))
        )
        return counts or all(HEX.fullmatch(as_text(cell)) for cell in self.cells)


@dataclass(frozen=True)
class Sheet:
    """A file's columns by name. A column without a name, or with one that another has, cannot be used and is no part.

    `encoding` is the one that the file was read by where it is not UTF-8; `twice` are names that several columns have.
    """

    path: Path
    rows: int
    columns: dict[str, Column]
    encoding: str | None = None
    twice: tuple[str, ...] = ()

    @property
    def sample(self) -> str:
        """A few letters beyond ASCII with their neighbours, to see whether the encoding is right."""
        cells = (as_text(cell) for column in self.columns.values() for cell in column.filled)
        found = (re.search(r"\S*[^\x00-\x7f]\S*", cell) for cell in cells)
        return next((shown(match[0], 30) for match in found if match), "")


def read_sheet(path: Path) -> Sheet:
    """Reads a file of examples. Raises DataError where it cannot be read, or has no header line."""
    table, encoding = _read(path)
    named = [title for title in table.header if title]
    if len(named) == 1 and ";" in named[0]:
        raise DataError(SEMICOLONS.format(path))
    kept = [row for number, row in enumerate(table.rows, start=1) if number not in table.short]
    columns = {
        title: Column(title, [row[place] for row in kept])
        for place, title in enumerate(table.header)
        if title and named.count(title) == 1
    }
    if SUFFIXES[path.suffix.lower()] in ("csv", "tsv") and (word := _word_of_a_row(columns.values())):
        raise DataError(
            f"{path}: its first line looks like a row ('{shown(word, 40)}'), not like names of columns; "
            "write a header line such as text,label above it"
        )
    twice = tuple(dict.fromkeys(title for title in named if named.count(title) > 1))
    return Sheet(path, len(table.rows), columns, encoding, twice)


def joined(sheets: Sequence[Sheet]) -> list[Column]:
    """The columns that all of these files have, each with the cells of all."""
    names = [name for name in sheets[0].columns if all(name in sheet.columns for sheet in sheets)]
    return [Column(name, [cell for sheet in sheets for cell in sheet.columns[name].cells]) for name in names]


def _read(path: Path) -> tuple[Table, str | None]:
    """The table, and the encoding that had to be named for it. What is not UTF-8 is tried as cp1252, or as UTF-16
    where it is half NULs; the recipe will say so, with a word to look at."""
    try:
        return read_table(path, remedies=BY_HAND), None
    except DataError:
        content = read_bytes(path)
        if format_of(path) == "parquet" or is_utf8(Source(path, content)):
            raise
        for encoding in ("utf-16-le", "utf-16-be") if b"\0" in content else ("cp1252",):
            try:
                table = read_table(path, encoding=encoding, remedies=BY_HAND)
            except DataError:
                continue
            if re.search("[A-Za-z]", "".join(table.header)):  # the other order of bytes gives letters of China
                return table, encoding
        raise


def _word_of_a_row(columns: Iterable[Column]) -> str | None:
    """A header cell that gives the header away as a row, or None: a number or a class that its column holds, or a
    sentence. A known name beside it speaks for a header."""
    given = list(columns)
    known = {*ID_NAMES, *TEXT_NAMES, *LABEL_NAMES}
    titles = [column.name for column in given]
    if any(len(title.split()) <= MOST_NAME_WORDS and known & set(name_words(title)) for title in titles):
        return None
    return next(_giveaways(given, titles), None)


def _giveaways(columns: Sequence[Column], titles: Sequence[str]) -> Iterator[str]:
    for column in columns:
        is_alone = all(" " in title for title in titles if title != column.name)
        is_number = as_number(column.name) is not None
        is_class = canonical_label(column.name) in column.values and (is_number or is_alone)
        is_score = is_number and column.fractions > 0
        if is_class or is_score or len(column.name.split()) > MOST_NAME_WORDS:
            yield column.name
