"""Public originals of the course's data, from the hub -> files in the course's layout, checked before any is written.

The layout is the course's to the byte; rows, splits and ids are not the course's own (docs/data.md).
"""

import csv
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minbert.data import Examples, examine
from minbert.errors import DataError, RunError, near, shown
from minbert.files import check_place, replacing
from minbert.hub import Repository
from minbert.tables import read_table
from minbert.tasks import BUILT_IN, Split, Task

TOLERANCE = 0.01  # share of the published rows that a file may have more or fewer
LARGEST = 200 * 2**20  # bytes of a file that is read; the largest of the originals has about 35 million


@dataclass(frozen=True)
class File:
    """A file of a data set's repository, and how many rows were published."""

    path: str
    rows: int


@dataclass(frozen=True)
class Original:
    """A task's public original: the repository, a file for each split, the columns, and who gave it to whom."""

    repository: str
    files: dict[Split, File]
    text: str | list[str]
    label: str
    terms: str


ORIGINALS: dict[str, Original] = {
    "sst": Original(
        "SetFit/sst5",
        {"train": File("train.jsonl", 8_544), "dev": File("dev.jsonl", 1_101), "test": File("test.jsonl", 2_210)},
        "text",
        "label",
        "Stanford Sentiment Treebank, five classes (Socher et al. 2013); the repository states no licence",
    ),
    # Without GLUE's test file: its 390,965 pairs have no labels, and answering them would take longer than training.
    "para": Original(
        "nyu-mll/glue",
        {
            "train": File("qqp/train-00000-of-00001.parquet", 363_846),
            "dev": File("qqp/validation-00000-of-00001.parquet", 40_430),
        },
        ["question1", "question2"],
        "label",
        "Quora Question Pairs (Iyer et al. 2017) as in GLUE; Quora's terms of service, not for commercial use",
    ),
    "sts": Original(
        "nyu-mll/glue",
        {
            "train": File("stsb/train-00000-of-00001.parquet", 5_749),
            "dev": File("stsb/validation-00000-of-00001.parquet", 1_500),
            "test": File("stsb/test-00000-of-00001.parquet", 1_379),
        },
        ["sentence1", "sentence2"],
        "label",
        "STS Benchmark (Cer et al. 2017) as in GLUE; its sources keep their own licences",
    ),
}


@dataclass(frozen=True)
class Written:
    """A file in the course's layout, its rows, and how many rows of the original were left out for want of a text."""

    path: Path
    rows: int
    left_out: int


def download(tasks: Sequence[str], folder: Path, force: bool = False) -> list[Written]:
    """Fetches some tasks' originals and writes them into `folder`; none is written unless all are as expected.

    Raises DataError for a task that has no original, for one that the hub does not give, or that holds anything else
    than was published, and RunError where a file would be replaced unasked.
    """
    for task in tasks:
        if task not in ORIGINALS:
            known = list(ORIGINALS)
            raise DataError(f"there is no public original of '{task}'{near(task, known)}; take {', '.join(known)}")
    wanted = [(task, split) for task in dict.fromkeys(tasks) for split in ORIGINALS[task].files]
    paths = [folder / str(BUILT_IN[task][split]) for task, split in wanted]
    for path in paths:
        if path.exists() and not force:
            raise RunError(f"{path} exists already; --force replaces it, --output names another folder")
        check_place(path)
    repositories = {name: Repository(name, "dataset") for name in {ORIGINALS[task].repository for task in tasks}}
    found = [_read(task, split, repositories[ORIGINALS[task].repository]) for task, split in wanted]
    written = []
    for (task, split), path, (examples, left_out) in zip(wanted, paths, found, strict=True):
        _write(path, *_in_layout(task, split, examples))
        written.append(Written(path, len(examples), left_out))
    return written


def _read(task: str, split: Split, repository: Repository) -> tuple[Examples, int]:
    """An original's examples, their ids the rows of its file, and how many rows have no text to use."""
    file = ORIGINALS[task].files[split]
    path = repository.find(file.path)
    try:
        if path is None:
            raise DataError("it is not there")
        return _examples(path, task, split, file.rows)
    except DataError as error:
        raise DataError(
            f"data set '{repository.name}' is not what was published: {file.path}: {error}; delete "
            f"{repository.folder} to fetch it anew, or write the course's files yourself, as docs/data.md says"
        ) from None


def _examples(path: Path, task: str, split: Split, published: int) -> tuple[Examples, int]:
    """As `_read`, of a file. Raises DataError, which says how it differs from what was published."""
    if path.stat().st_size > LARGEST:
        raise DataError(f"it has {path.stat().st_size:,} bytes, and no more than {LARGEST:,} are read")
    try:
        table = read_table(path)
    except DataError as error:
        raise DataError(str(error).removeprefix(f"{path} ").rpartition(";")[0]) from None
    original, labelled = ORIGINALS[task], split != "test"
    known = {key: value for key, value in BUILT_IN[task].items() if key in ("kind", "labels", "range")}
    form = Task.model_validate(known | {"text": original.text, "label": original.label})
    needed = [*form.text_columns, *(form.label_columns if labelled else [])]
    if any(table.header.count(name) != 1 for name in needed):
        raise DataError(f"its columns are {shown(', '.join(table.header))}, and not {', '.join(needed)}")
    reading = examine(table, form, labelled)
    for bad in reading.bad_rows:
        if bad.column not in form.text_columns:
            raise DataError(f"row {bad.row}, column '{bad.column}': {bad.reason.rpartition(';')[0]}")
    if abs(len(reading.examples) - published) > TOLERANCE * published:
        raise DataError(f"{len(reading.examples):,} of its rows have a text, and {published:,} were published")
    return reading.examples, len(reading.bad_rows)


def _in_layout(task: str, split: Split, examples: Examples) -> tuple[list[str], list[list[str]]]:
    """The header and rows of a course's file. Its test file of single texts alone has two columns without a name."""
    columns = Task.model_validate(BUILT_IN[task])
    ids = [_id(task, split, row, texts) for row, *texts in zip(examples.ids, *examples.texts, strict=True)]
    cells = [[re.sub(r"[\t\r\n]+", " ", text) for text in column] for column in examples.texts]  # a row is a line
    rows = [list(row) for row in zip(ids, *cells, strict=True)]
    if split != "test":
        assert examples.labels is not None
        labels = [_label(columns, label) for label in examples.labels]
        rows = [[str(n), *row, label] for n, (row, label) in enumerate(zip(rows, labels, strict=True))]
        return ["", "id", *columns.text_columns, *columns.label_columns], rows
    if columns.is_pair:
        return ["", "id", *columns.text_columns], [[str(n), *row] for n, row in enumerate(rows)]
    return ["0", "", "id", *columns.text_columns], [[str(n + 1), f"{n}.0", *row] for n, row in enumerate(rows)]


def _id(task: str, split: Split, row: str, texts: list[str]) -> str:
    """25 hexadecimal digits, as the course's ids are: the same for the same row of the same original."""
    return hashlib.sha256("\n".join([task, split, row, *texts]).encode()).hexdigest()[:25]


def _label(task: Task, label: float) -> str:
    """A label as the course spells it: 3 for one text, 1.0 for a pair, 4.6 for a score (GLUE's have 32 bits)."""
    if task.is_regression:
        return str(np.float32(label))
    return str(float(label)) if task.is_pair else str(int(label))


def _write(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Tab-separated whatever the name, with quotes by the rules of CSV where a text holds one."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle, delimiter="\t", lineterminator="\n").writerows([header, *rows])
