"""Every row of a file is an example or a bad row that is named; one label spelled in several ways is one class."""

import csv
import datetime
import tempfile
import unicodedata
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from minbert.data import Reading, examine, read_examples
from minbert.errors import DataError
from minbert.labels import as_number, is_blank, label_order
from minbert.splits import read_splits
from minbert.tables import Cell, Table, read_table, write_table
from minbert.tasks import BUILT_IN, Task

NAMES = ["f.csv", "f.tsv", "f.jsonl", "f.parquet"]


def classes(**more: object) -> Task:
    return Task.model_validate({"kind": "classification"} | more)


def scores(low: float, high: float) -> Task:
    return Task.model_validate({"kind": "pair-regression", "text": ["a", "b"], "range": [low, high]})


def file_of(folder: Path, labels: Sequence[Cell], name: str = "f.csv") -> str:
    path = folder / name
    write_table(path, ["text", "label"], [[f"text {n}", label] for n, label in enumerate(labels)])
    return str(path)


def read(folder: Path, labels: Sequence[Cell], task: Task | None = None) -> Reading:
    return read_examples(Path(file_of(folder, labels)), task or classes())


def names_of(reading: Reading) -> list[str]:
    assert reading.labels is not None
    assert reading.examples.labels is not None
    return [reading.labels[int(number)] for number in reading.examples.labels]


def scored(labels: Sequence[Cell], task: Task) -> Reading:
    return examine(Table(Path("f.csv"), ["a", "b", "label"], [["x", "y", label] for label in labels]), task, True)


def message(error: pytest.ExceptionInfo[DataError]) -> str:
    text = str(error.value)
    assert text.count("\n") < 3
    return text


# Labels


@pytest.mark.parametrize(
    ("labels", "expected", "notes"),
    [
        (["1.0", "0.0", "1.0", "0.0"], ["0", "1"], ["read label '1.0' as '1', '0.0' as '0'"]),
        (["1", "0", "1"], ["0", "1"], []),
        (["True", "False", "true"], ["false", "true"], ["read label 'True' as 'true', 'False' as 'false'"]),
        (["pos", " pos", "neg "], ["neg", "pos"], ["trimmed the blanks around labels, in 2 rows"]),
        (["1", "2", "3", "4", "5"], ["1", "2", "3", "4", "5"], []),
        (["10", "9", "-1", "b", "a", "2"], ["-1", "2", "9", "10", "a", "b"], []),
        (["nan", "null", "inf"], ["inf", "nan", "null"], []),
        (["007", "7"], ["007", "7"], []),
    ],
)
def test_a_label_spelled_in_several_ways_is_one_class(
    tmp_path: Path, labels: list[str], expected: list[str], notes: list[str]
) -> None:
    """Field report B05."""
    reading = read(tmp_path, labels)
    assert reading.labels == expected
    assert names_of(reading) == [label.strip().removesuffix(".0").translate({84: "t", 70: "f"}) for label in labels]
    assert (reading.notes, reading.warnings) == (notes, [])


def test_labels_that_differ_in_case_are_two_classes_and_a_warning(tmp_path: Path) -> None:
    reading = read(tmp_path, ["pos", " pos", "Pos", "neg"])
    assert names_of(reading) == ["pos", "pos", "Pos", "neg"]
    assert reading.warnings == ["labels 'Pos', 'pos' differ in case alone and count as different classes"]


def test_json_may_mix_numbers_and_texts(tmp_path: Path) -> None:
    write_table(tmp_path / "f.jsonl", ["text", "label"], [["a", 1], ["b", "1"], ["c", 0]])
    assert names_of(read_examples(tmp_path / "f.jsonl", classes())) == ["1", "1", "0"]


def test_dev_may_spell_the_labels_of_train_differently(tmp_path: Path) -> None:
    train = file_of(tmp_path, ["1.0", "0.0", "1.0"], "train.csv")
    dev = file_of(tmp_path, ["1", " 0", "1.00"], "dev.csv")
    task, readings = read_splits(classes(train=train, dev=dev))
    assert task.labels == ["0", "1"]
    assert names_of(readings["dev"]) == ["1", "0", "1"]
    assert [reading.warnings for reading in readings.values()] == [[], []]


@pytest.mark.parametrize(
    ("labels", "expected"), [(["1", "0"], ["1", "0"]), (["1.0", "0.0"], ["1.0", "0.0"]), ([" 1", "0"], [" 1", "0"])]
)
def test_declared_labels_keep_their_order_and_spelling(tmp_path: Path, labels: list[str], expected: list[str]) -> None:
    reading = read(tmp_path, ["1.0", "0", "1"], classes(labels=labels))
    assert names_of(reading) == [expected[0], expected[1], expected[0]]


@pytest.mark.parametrize(
    ("label", "task", "reason"),
    [
        ("2.5", classes(), "'2.5' is a score, not a class; correct it"),
        ("1e0", classes(), "'1e0' is a score, not a class; correct it"),
        (float("inf"), classes(), "'inf' is a score, not a class; correct it"),
        ("7", classes(labels=["0", "1", "2"]), "'7' is not among 0..2; correct it, or the task's labels"),
        ("5", classes(labels=["1", "2"]), "'5' is not among 1, 2; correct it, or the task's labels"),
        ("Pos", classes(labels=["neg", "pos"]), "'Pos' is not among neg, pos; correct it, or the task's labels"),
        (
            "x",
            classes(labels=list("abcdefghij")),
            "'x' is not among a, b, c, d, e, f, g, h, …; correct it, or the task's labels",
        ),
        ("a\nb" * 40, classes(labels=["0", "1"]), f"'{('a b' * 40)[:59]}…' is not among 0, 1; correct it"),
        ("", classes(), "the label is blank; write one"),
        (" \u200b", classes(), "the label is blank; write one"),
        (None, classes(), "the label is null; write one"),
        (float("nan"), classes(), "the label is NaN; write one"),
        (b"1", classes(), "a value of type bytes is not a label; store text"),
        (["1"], classes(), "a value of type list is not a label; store text"),
        ({"x": 1}, classes(), "a value of type dict is not a label; store text"),
    ],
)
def test_a_cell_that_is_no_class_is_named(label: Any, task: Task, reason: str) -> None:
    rows: list[list[Cell]] = [["a", "1"], ["b", label], ["c", "0"]]
    reading = examine(Table(Path("f.csv"), ["text", "label"], rows), task, labelled=True)
    assert [bad.row for bad in reading.bad_rows if bad.row == 2] == [2]
    bad = next(bad for bad in reading.bad_rows if bad.row == 2)
    assert str(bad).startswith(f"f.csv, row 2, column 'label': {reason}")
    assert len(str(bad).splitlines()) == 1


def test_a_score_in_a_pair_task_suggests_regression() -> None:
    task = Task.model_validate({"kind": "pair-classification", "text": ["a", "b"]})
    (bad,) = scored(["0", "2.5", "1"], task).bad_rows
    assert bad.reason == "'2.5' is a score, not a class; correct it, or make the task a pair-regression"


@pytest.mark.parametrize(
    ("bounds", "labels", "numbers"),
    [
        ((0, 5), ["0", "5", "2.5", "-0.0", " 1 ", "5.0", 3, 0.5, Decimal("1.50")], [0, 5, 2.5, 0, 1, 5, 3, 0.5, 1.5]),
        ((1, 5), ["1", "5", "3e0"], [1, 5, 3]),
        ((-1, 1), ["-1", "1", "-0.5", "0"], [-1, 1, -0.5, 0]),
        ((0, 1e300), ["1e300", "1e-300"], [1e300, 1e-300]),
    ],
)
def test_scores_are_numbers_of_the_range(bounds: tuple[float, float], labels: list[Any], numbers: list[float]) -> None:
    """Field report B21."""
    reading = scored(labels, scores(*bounds))
    assert reading.bad_rows == []
    assert reading.examples.labels is not None
    assert reading.examples.labels.tolist() == numbers
    assert not np.signbit(reading.examples.labels[reading.examples.labels == 0]).any()


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        ("5.2", "'5.2' is not a number in 0..5; correct it, or the task's range"),
        ("-0.1", "'-0.1' is not a number in 0..5; correct it, or the task's range"),
        ("2,5", "'2,5' is not a number in 0..5; correct it, or the task's range"),
        ("nan", "'nan' is not a number in 0..5; correct it, or the task's range"),
        ("inf", "'inf' is not a number in 0..5; correct it, or the task's range"),
        ("1_0", "'1_0' is not a number in 0..5; correct it, or the task's range"),
        ("true", "'true' is not a number in 0..5; correct it, or the task's range"),
        (True, "'true' is not a number in 0..5; correct it, or the task's range"),
        (float("nan"), "the label is NaN; write one"),
        (None, "the label is null; write one"),
    ],
)
def test_a_cell_that_is_no_score_is_named(label: Cell, reason: str) -> None:
    reading = scored(["1", label, "2"], scores(0, 5))
    assert [(bad.row, bad.column, bad.reason) for bad in reading.bad_rows] == [(2, "label", reason)]


@given(st.text(max_size=6))
def test_a_number_is_finite_and_plain(text: str) -> None:
    number = as_number(text)
    if number is not None:
        assert number == float(text)
        assert np.isfinite(number)


@given(st.lists(st.integers(), unique=True))
def test_whole_numbers_are_in_order_of_size(numbers: list[int]) -> None:
    assert label_order({str(number) for number in numbers}) == [str(number) for number in sorted(numbers)]


# Classes that a split lacks


def splits(folder: Path, train: list[str], dev: list[str], **more: object) -> tuple[Task, dict[Any, Reading]]:
    files = {"train": file_of(folder, train, "train.csv"), "dev": file_of(folder, dev, "dev.csv")}
    return read_splits(classes(**files, **more))


def test_a_class_missing_in_dev_is_a_warning_and_shifts_nothing(tmp_path: Path) -> None:
    """Field report B09."""
    task, readings = splits(tmp_path, ["neg", "neg", "pos", "pos", "neu"], ["neg", "pos"])
    assert task.labels == ["neg", "neu", "pos"]
    assert readings["dev"].examples.labels is not None
    assert readings["dev"].examples.labels.tolist() == [0, 2]
    assert readings["dev"].warnings == ["no example has the label neu"]
    assert readings["train"].warnings == []


def test_a_declared_class_may_be_missing_anywhere(tmp_path: Path) -> None:
    task, readings = splits(tmp_path, ["0", "1"], ["1", "2"], labels=["0", "1", "2", "3"])
    assert task.labels == ["0", "1", "2", "3"]
    assert readings["train"].warnings == ["no example has the label 2, 3"]
    assert readings["dev"].warnings == ["no example has the label 0, 3"]


@pytest.mark.parametrize(
    ("train", "dev", "label", "known"),
    [
        (["neg", "pos"], ["neg", "neu", "pos"], "neu", "neg, pos"),
        (["neg", "pos"], ["neg", "mixed"], "mixed", "neg, pos"),
        (["0", "1", "2"], ["0", "3"], "3", "0..2"),
    ],
)
def test_a_class_that_train_lacks_is_named(
    tmp_path: Path, train: list[str], dev: list[str], label: str, known: str
) -> None:
    with pytest.raises(DataError) as refused:
        splits(tmp_path, train, dev)
    assert message(refused) == (
        f"{tmp_path / 'dev.csv'}, row 2 (line 3), column 'label': '{label}' is not among {known}; correct it, or the "
        "task's labels\ncorrect the file, or pass --skip-bad-rows to leave such rows out"
    )


@pytest.mark.parametrize("labels", [None, ["neg", "pos"]])
def test_one_class_is_nothing_to_learn(tmp_path: Path, labels: list[str] | None) -> None:
    with pytest.raises(DataError) as refused:
        splits(tmp_path, ["pos", "pos"], ["pos"], labels=labels)
    assert message(refused) == (
        f"{tmp_path / 'train.csv'}: every row has the label 'pos'; a classification needs two, add rows of another"
    )


def test_three_classes_need_another_loss_than_bce(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    write_table(path, ["a", "b", "label"], [["x", "y", label] for label in "abc"])
    task = {"kind": "pair-classification", "text": ["a", "b"], "train": str(path)}
    assert read_splits(Task.model_validate(task))[0].loss == "cross-entropy"
    with pytest.raises(DataError) as refused:
        read_splits(Task.model_validate(task | {"loss": "bce"}))
    assert message(refused) == (
        f"{path} has 3 labels, a, b, c, and loss 'bce' is for two; correct them, or take cross-entropy"
    )


def test_a_task_without_a_train_file_is_refused() -> None:
    with pytest.raises(DataError) as refused:
        read_splits(classes())
    assert message(refused) == 'the task names no train file; set train = "FILE" in its table'


def test_a_constant_score_is_a_regression_all_the_same(tmp_path: Path) -> None:
    write_table(tmp_path / "f.csv", ["a", "b", "label"], [["x", "y", 1], ["y", "x", 1]])
    task, readings = read_splits(scores(0, 5).model_copy(update={"train": str(tmp_path / "f.csv")}))
    assert (task.labels, task.loss, list(readings)) == (None, "mse", ["train"])


# Texts and ids


def test_blank_is_what_berts_tokenizer_drops() -> None:
    """The tokenizer drops a lone mark and U+FFFD too; and some format characters are newer than its tables."""
    normalizer, cut = BertNormalizer(lowercase=False), BertPreTokenizer()
    for code in [*range(0xD800), *range(0xE000, 0x20000, 3)]:
        character, category = chr(code), unicodedata.category(chr(code))
        dropped = not cut.pre_tokenize_str(normalizer.normalize_str(character))
        assert dropped or not is_blank(character) or category == "Cf", hex(code)
        assert is_blank(character) or not dropped or category[0] == "M" or code == 0xFFFD, hex(code)


@pytest.mark.parametrize("text", ["", "   ", "\u200b", "\x00", "\ufeff", "\t\n\r", "\u2028\x85", "\u3000", "\ue000"])
def test_a_blank_text_is_a_bad_row_in_training_and_an_example_in_prediction(text: str) -> None:
    """Field report B23."""
    assert is_blank(text)
    table = Table(Path("f.csv"), ["text", "label"], [["good", "1"], [text, "0"], ["bad", "0"]])
    reading = examine(table, classes(), labelled=True)
    assert [str(bad) for bad in reading.bad_rows] == ["f.csv, row 2, column 'text': the text is blank; write one"]
    assert reading.examples.texts == [["good", "bad"]]
    assert reading.rows == 3
    reading = examine(table, classes(), labelled=False)
    assert (reading.examples.texts, reading.bad_rows) == ([["good", text, "bad"]], [])


@pytest.mark.parametrize("text", ["a\x00b", "a\ufeffb", " a ", "NA", "null", "0", "–", "😀", "\U0001fae9"])
def test_a_text_with_anything_in_it_is_kept_as_it_is(text: str) -> None:
    reading = examine(Table(Path("f.csv"), ["text", "label"], [[text, "1"]]), classes(), labelled=True)
    assert reading.examples.texts == [[text]]


def test_both_texts_of_a_pair_are_looked_at() -> None:
    rows: list[list[Cell]] = [["x", "", "1"], ["", "y", "1"], ["x", "y", ""], ["x", "y", "1"]]
    reading = examine(Table(Path("f.csv"), ["a", "b", "label"], rows), scores(0, 5), labelled=True)
    assert [(bad.row, bad.column) for bad in reading.bad_rows] == [(1, "b"), (2, "a"), (3, "label")]
    assert reading.examples.texts == [["x"], ["y"]]


@pytest.mark.parametrize(
    ("cell", "column", "reason"),
    [
        (b"x", "text", "a value of type bytes is not a text; store text"),
        (["x"], "text", "a value of type list is not a text; store text"),
        ({"x": 1}, "text", "a value of type dict is not a text; store text"),
        (datetime.date(2020, 1, 2), "text", "a value of type date is not a text; store text"),
        (b"x", "id", "a value of type bytes is not an id; store text"),
        (["x"], "id", "a value of type list is not an id; store text"),
        ("", "id", "the id is blank; write one"),
        (" ", "id", "the id is blank; write one"),
        (None, "id", "the id is null; write one"),
        (float("nan"), "id", "the id is NaN; write one"),
    ],
)
@pytest.mark.parametrize("labelled", [True, False])
def test_a_cell_that_is_no_text_or_id_is_named(cell: Any, column: str, reason: str, labelled: bool) -> None:
    row: dict[str, Any] = {"id": "i", "text": "a", "label": "1"} | {column: cell}
    table = Table(Path("f.csv"), list(row), [list(row.values()), ["j", "b", "0"]])
    reading = examine(table, classes(id="id"), labelled)
    assert [(bad.row, bad.column, bad.reason) for bad in reading.bad_rows] == [(1, column, reason)]
    assert reading.examples.ids == ["j"]


@pytest.mark.parametrize("name", NAMES)
def test_ids_are_kept_byte_for_byte(tmp_path: Path, name: str) -> None:
    ids = ["aa11", "AA11", " b ", "c,d", "0012", "1.0", 'e"f', "–", "1e5"]
    write_table(tmp_path / name, ["id", "text"], [[example, "x"] for example in ids])
    assert read_examples(tmp_path / name, classes(id="id"), labelled=False).examples.ids == ids


def test_without_an_id_column_the_row_is_the_id(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("text,label\na,1\nb\nc,0\n")
    reading = read_examples(tmp_path / "f.csv", classes(), skip_bad_rows=True)
    assert (reading.examples.ids, reading.bad_rows[0].row) == (["1", "3"], 2)


# Formats


TYPED: dict[str, tuple[pl.Series, list[Any]]] = {
    "bool": (pl.Series([True, False]), ["true", "false"]),
    "int8": (pl.Series([1, 0], dtype=pl.Int8), ["1", "0"]),
    "float": (pl.Series([1.0, 2.0]), ["1", "2"]),
    "float with gaps": (pl.Series([1.0, 2.0, float("nan"), None]), ["1", "2", "the label is NaN", "the label is null"]),
    "categorical": (pl.Series(["pos", "neg"], dtype=pl.Categorical), ["pos", "neg"]),
    "enum": (pl.Series(["pos", "neg"], dtype=pl.Enum(["pos", "neg"])), ["pos", "neg"]),
    "decimal": (
        pl.Series([Decimal("1.00"), Decimal("1.50")], dtype=pl.Decimal(10, 2)),
        ["1", "'1.50' is a score, not a class"],
    ),
    "list": (pl.Series([["a"], ["b"]]), ["a value of type list is not a label"] * 2),
    "array": (pl.Series([[1, 2], [3, 4]], dtype=pl.Array(pl.Int64, 2)), ["a value of type list is not a label"] * 2),
    "struct": (pl.Series([{"a": 1}, {"a": 2}]), ["a value of type dict is not a label"] * 2),
    "binary": (pl.Series([b"a", b"\xff"]), ["a value of type bytes is not a label"] * 2),
    "null": (pl.Series([None, None], dtype=pl.Null), ["the label is null"] * 2),
    "uint64": (pl.Series([2**64 - 1, 1], dtype=pl.UInt64), [str(2**64 - 1), "1"]),
}


@pytest.mark.parametrize("column", TYPED)
def test_parquet_types_as_labels(tmp_path: Path, column: str) -> None:
    """Field report B39: what is no label is a bad row that names the column and the type."""
    cells, expected = TYPED[column]
    frame = pl.DataFrame({"text": [f"text {n}" for n in range(len(cells))], "label": cells})
    frame.write_parquet(tmp_path / "f.parquet")
    reading = examine(read_table(tmp_path / "f.parquet"), classes(), labelled=True)
    got = dict(zip(reading.examples.ids, names_of(reading), strict=True))
    got |= {str(bad.row): bad.reason.partition(";")[0] for bad in reading.bad_rows}
    assert [got[str(row)] for row in range(1, len(cells) + 1)] == expected
    assert {bad.column for bad in reading.bad_rows} <= {"label"}


@pytest.mark.parametrize(
    ("cells", "texts"),
    [
        (pl.Series(["NA", "null"], dtype=pl.Categorical), ["NA", "null"]),
        (pl.Series([1, 2], dtype=pl.UInt64), ["1", "2"]),
        (pl.Series([True, False]), ["true", "false"]),
        (pl.Series([1.5, float("nan")]), ["1.5", ""]),
        (pl.Series([None, None], dtype=pl.Null), ["", ""]),
    ],
)
def test_parquet_types_as_texts(tmp_path: Path, cells: pl.Series, texts: list[str]) -> None:
    ids = pl.Series([2**64 - 1, 0], dtype=pl.UInt64)
    pl.DataFrame({"id": ids, "text": cells}).write_parquet(tmp_path / "f.parquet")
    examples = read_examples(tmp_path / "f.parquet", classes(id="id"), labelled=False).examples
    assert (examples.ids, examples.texts) == ([str(2**64 - 1), "0"], [texts])


@pytest.mark.parametrize(
    "labels",
    [["pos", "neg", "pos"], [True, False, True], [1, 0, 1], [1.0, 0.0, 2.0], ["1.0", "0", "1"], [0, None, 1]],
)
def test_the_same_content_gives_the_same_examples_in_every_format(tmp_path: Path, labels: list[Cell]) -> None:
    readings = []
    for name in NAMES:
        path = tmp_path / name
        write_table(path, ["id", "text", "label"], [[n, f"text {n}", label] for n, label in enumerate(labels)])
        readings.append(read_examples(path, classes(id="id"), skip_bad_rows=True))
    first = readings[0]
    for reading in readings[1:]:
        assert reading.examples.ids == first.examples.ids
        assert reading.examples.texts == first.examples.texts
        assert names_of(reading) == names_of(first)
        assert [bad.row for bad in reading.bad_rows] == [bad.row for bad in first.bad_rows]


def test_the_tasks_format_encoding_and_quoting_are_used(tmp_path: Path) -> None:
    (tmp_path / "f.dat").write_bytes('text\tlabel\n"naïve"\tpos\nbad\tneg\n'.encode("cp1252"))
    task = classes(format="tsv", encoding="cp1252", quoting="none")
    assert read_examples(tmp_path / "f.dat", task).examples.texts == [['"naïve"', "bad"]]


# Faults


def test_bad_rows_stop_reading_unless_they_are_skipped(tmp_path: Path) -> None:
    lines = ["id,text,label", "a1,good,1", "a2,,0", "a3,bad,0", "a4,fine", "a5,dull,x\ty"]
    (tmp_path / "f.csv").write_text("\n".join(lines) + "\n")
    task = classes(id="id", labels=["0", "1"])
    with pytest.raises(DataError) as refused:
        read_examples(tmp_path / "f.csv", task)
    assert message(refused) == (
        f"{tmp_path / 'f.csv'}, row 2 (line 3, id a2), column 'text': the text is blank; write one\n"
        "and 2 more bad rows in this file\ncorrect the file, or pass --skip-bad-rows to leave such rows out"
    )
    reading = read_examples(tmp_path / "f.csv", task, skip_bad_rows=True)
    assert reading.examples.ids == ["a1", "a3"]
    assert [str(bad).removeprefix(f"{tmp_path / 'f.csv'}, ") for bad in reading.bad_rows] == [
        "row 2 (line 3, id a2), column 'text': the text is blank; write one",
        "row 4 (line 5): 2 cells where the header has 3; add or join cells, or quote a cell that holds a separator",
        "row 5 (line 6, id a5), column 'label': 'x y' is not among 0, 1; correct it, or the task's labels",
    ]


def test_a_row_is_named_by_its_line_where_that_is_another_number(tmp_path: Path) -> None:
    """Rows are counted without the header, an editor's lines with it, and a cell may hold several."""
    (tmp_path / "f.csv").write_text('text,label\n"a\nb",1\n,0\n')
    (tmp_path / "f.jsonl").write_text('{"text": "a", "label": 1}\n{"text": "", "label": 0}\n\n{"label": 0}\n')
    write_table(tmp_path / "f.parquet", ["text", "label"], [["a", "1"], ["", "0"]])
    places = {"f.csv": ["row 2 (line 4)"], "f.jsonl": ["row 2", "row 3 (line 4)"], "f.parquet": ["row 2"]}
    for name, expected in places.items():
        reading = read_examples(tmp_path / name, classes(), skip_bad_rows=True)
        assert [str(bad).split(", ")[1] for bad in reading.bad_rows] == expected


def test_cells_of_several_lines_are_a_warning(tmp_path: Path) -> None:
    """By the rules of CSV the quote of row 2 closes in row 4; the rows between are gone without an error."""
    for split in ("train", "test"):
        (tmp_path / f"{split}.csv").write_text('text,label\na,0\n"no she said,1\nfine,0\nand then yes",1\n"x\ny",0\n')
    _, readings = read_splits(classes(train=str(tmp_path / "train.csv"), test=str(tmp_path / "test.csv")))
    for reading in readings.values():
        assert reading.warnings == [
            "2 rows with a line break inside a cell, the first on line 3; check that no quote is left open"
        ]


def test_a_file_of_bad_rows_alone_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("text,label\na,\n")
    with pytest.raises(DataError) as refused:
        read_examples(tmp_path / "f.csv", classes(), skip_bad_rows=True)
    assert message(refused) == (
        f"{tmp_path / 'f.csv'} has no row that can be used; {tmp_path / 'f.csv'}, row 1 (line 2), column 'label': the "
        "label is blank; write one"
    )


@pytest.mark.parametrize(
    ("header", "task", "fault"),
    [
        ("txt,label", classes(), "there is no column 'text' (did you mean 'txt'?); its columns are 'txt', 'label'"),
        (
            "text,lable",
            classes(),
            "there is no column 'label' (did you mean 'lable'?); its columns are 'text', ",
        ),
        ("text,label", classes(id="id"), "there is no column 'id'; its columns are 'text', 'label'"),
        ("text,text", classes(), "2 columns are called 'text'; rename all but one"),
    ],
)
def test_a_column_that_is_not_there_once_is_named(tmp_path: Path, header: str, task: Task, fault: str) -> None:
    (tmp_path / "f.csv").write_text(f"{header}\na,1\n")
    with pytest.raises(DataError) as refused:
        read_examples(tmp_path / "f.csv", task)
    assert message(refused).startswith(f"{tmp_path / 'f.csv'}: {fault}")


def test_a_damaged_json_line_is_a_bad_row(tmp_path: Path) -> None:
    (tmp_path / "f.jsonl").write_text('{"text": "a", "label": 1}\n{"text": "b", "label": NaN}\n{"text": "c"}\n')
    reading = read_examples(tmp_path / "f.jsonl", classes(), skip_bad_rows=True)
    assert [str(bad).removeprefix(f"{tmp_path / 'f.jsonl'}, ") for bad in reading.bad_rows] == [
        "row 2: not JSON (NaN is no number; write null or a number); correct the line",
        "row 3, column 'label': the line does not have it; write it there",
    ]


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize(
    ("line", "labelled_fault", "unlabelled_fault"),
    [
        ('{"id": 2, "label": 1}', "column 'text': the line does not have it; write it there", True),
        ('{"text": "b", "label": 1}', "column 'id': the line does not have it; write it there", True),
        ('{"id": 2, "text": "b"}', "column 'label': the line does not have it; write it there", False),
        ('{"id": 2, "text": null, "label": 1}', "column 'text': the text is blank; write one", False),
        ('{"id": null, "text": "b", "label": 1}', "column 'id': the id is null; write one", True),
    ],
)
def test_a_json_line_without_a_key_is_no_line_with_null(
    tmp_path: Path, line: str, labelled_fault: str, unlabelled_fault: bool, labelled: bool
) -> None:
    """A text that is null is a blank one; a text that is not there is a row that cannot be used."""
    (tmp_path / "f.jsonl").write_text(f'{{"id": 1, "text": "a", "label": 0}}\n{line}\n')
    reading = read_examples(tmp_path / "f.jsonl", classes(id="id"), labelled, skip_bad_rows=True)
    faults = [str(bad).partition(", row 2")[2] for bad in reading.bad_rows]
    if labelled or unlabelled_fault:
        assert [fault.partition(", ")[2] for fault in faults] == [labelled_fault]
    else:
        assert faults == []
        assert len(reading.examples) == 2


CELLS = st.one_of(
    st.sampled_from(["", " ", "a", "0", "1", "1.0", "2.5", "nan", "pos", "Pos", "\u200b", None, True, 1, 0.5, b"x"]),
    st.text(max_size=3),
)


@settings(deadline=None)
@given(
    st.lists(st.tuples(CELLS, CELLS, CELLS, CELLS).map(list), min_size=1, max_size=8),
    st.booleans(),
    st.sampled_from(["classification", "pair-classification", "pair-regression"]),
)
def test_rows_in_are_examples_and_bad_rows(rows: list[list[Cell]], labelled: bool, kind: str) -> None:
    more = {"range": [0, 5]} if kind == "pair-regression" else {}
    text = "a" if kind == "classification" else ["a", "b"]
    task = Task.model_validate({"kind": kind, "text": text, "id": "id", **more})
    reading = examine(Table(Path("f"), ["id", "a", "b", "label"], rows), task, labelled)
    bad = {fault.row for fault in reading.bad_rows}
    good = [cells for row, cells in enumerate(rows, start=1) if row not in bad]
    assert reading.rows == len(rows) == len(good) + len(bad)
    assert [len(column) for column in reading.examples.texts] == [len(good)] * len(task.text_columns)
    assert len(reading.examples.ids) == len(good)
    if labelled:
        assert reading.examples.labels is not None
        assert np.isfinite(reading.examples.labels).all()
        assert len(reading.examples.labels) == len(good)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.text(max_size=5), st.sampled_from(["0", "1", "", "x", "1.0"])).map(list), min_size=1))
def test_rows_of_a_file_are_examples_and_bad_rows(rows: list[list[Cell]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in ("f.csv", "f.jsonl", "f.parquet"):
            write_table(Path(folder) / name, ["text", "label"], rows)
            task = classes(labels=["0", "1"])
            try:
                reading = read_examples(Path(folder) / name, task, skip_bad_rows=True)
            except DataError as error:
                assert "has no row that can be used" in str(error)  # noqa: PT017
                assert all(is_blank(str(text)) or label in ("", "x") for text, label in rows)
            else:
                assert reading.rows == len(rows)


# The course's files


def test_the_courses_odd_test_file_is_read(tmp_path: Path) -> None:
    """Field report B07: two index columns, of which one has no name; ids and texts are kept to the byte."""
    (tmp_path / "f.csv").write_text(
        '0\t\tid\tsentence\n1\t0.0\taa11\t A quiet film .\n2\t1.0\tAA12\t"Not ""bad"" at all ."\n'
    )
    reading = read_examples(tmp_path / "f.csv", Task.model_validate(BUILT_IN["sst"]), labelled=False)
    assert reading.examples.ids == ["aa11", "AA12"]
    assert reading.examples.texts == [[" A quiet film .", 'Not "bad" at all .']]


ROWS = {
    "sst": (8544, 1101, 2210),
    "cfimdb": (1707, 245, 488),
    "para": (16225, 1998, 1989),
    "sts": (6040, 863, 1725),
}


@pytest.mark.parametrize("name", ROWS)
def test_the_courses_files_read_as_csv_reads_them(course_data: Path, name: str) -> None:
    files = {split: str(course_data / BUILT_IN[name][split]) for split in ("train", "dev", "test")}
    task, readings = read_splits(Task.model_validate(BUILT_IN[name] | files), skip_bad_rows=True)
    assert tuple(len(reading.examples) for reading in readings.values()) == ROWS[name]
    for split, reading in readings.items():
        with Path(files[split]).open(encoding="utf-8", newline="") as handle:
            rows = {row["id"]: row for row in csv.DictReader(handle, delimiter="\t")}
        assert len(rows) == reading.rows
        for place, column in enumerate(task.text_columns):
            assert [rows[example][column] for example in reading.examples.ids] == reading.examples.texts[place]
        if split != "test":
            assert reading.examples.labels is not None
            assert [float(rows[i][task.label]) for i in reading.examples.ids] == reading.examples.labels.tolist()
        assert reading.warnings == []


def test_the_two_bad_rows_of_the_courses_pairs_are_named(course_data: Path) -> None:
    path, task = course_data / "quora-train.csv", Task.model_validate(BUILT_IN["para"])
    with pytest.raises(DataError) as refused:
        read_examples(path, task)
    assert message(refused) == (
        f"{path}, row 16226 (line 16227, id ad118c967d683c93883bf072d), column 'is_duplicate': the label is blank; "
        "write one\nand 1 more bad row in this file\ncorrect the file, or pass --skip-bad-rows to leave such rows out"
    )
    reading = read_examples(path, task, skip_bad_rows=True)
    assert [(bad.id, bad.column) for bad in reading.bad_rows] == [
        ("ad118c967d683c93883bf072d", "is_duplicate"),
        ("9054345d02cd6c5642a4904dc", "sentence2"),
    ]
    assert reading.notes == ["took the CSV quotes off 651 cells", "read label '0.0' as '0', '1.0' as '1'"]
