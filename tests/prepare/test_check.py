"""What a look at the files finds: every planted fault, no other, and what the course's own files hold."""

import collections
import csv
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from conftest import COURSE_DATA, tiny_config, tiny_tokenizer
from minbert.bert import Bert
from minbert.data import Examples
from minbert.errors import DataError, MinbertError, ModelError
from minbert.prepare.check import (
    REMARKS,
    Overlap,
    Report,
    SplitReport,
    Spread,
    balance,
    check,
    check_task,
    measure,
    recipe_of,
)
from minbert.prepare.repeats import EXCERPT, LIKENESSES, LISTED, Entries, Matches, excerpt, fold, matches
from minbert.pretrained import save_encoder
from minbert.recipes import load
from minbert.splits import read_splits
from minbert.tables import write_table
from minbert.tasks import Task
from minbert.text import encode

ONE = {"kind": "classification", "text": "text", "label": "label", "id": "id"}
PAIR = {"kind": "pair-regression", "text": ["a", "b"], "label": "score", "id": "id", "range": [0, 5]}
GOOD = [["t1", "a good film", "1"], ["t2", "a bad film", "0"], ["t3", "the cat sat", "1"]]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return tiny_tokenizer(tmp_path_factory.mktemp("tokenizer"))


def checked(folder: Path, encoder: Path, task: dict[str, Any], max_length: int | None = None, **splits: Any) -> Report:
    """A check of one task whose files hold the rows given by split; a string is the file's content as it stands."""
    texts = [task["text"]] if isinstance(task["text"], str) else task["text"]
    files = {}
    for split, rows in splits.items():
        path = folder / f"{split}.csv"
        if isinstance(rows, str | bytes):
            path.write_bytes(rows.encode() if isinstance(rows, str) else rows)
        elif rows is not None:
            write_table(path, ["id", *texts, *([task["label"]] if split != "test" else [])], rows)
        files[split] = str(path)
    training = {} if max_length is None else {"max_length": max_length}
    return check(load({"name": "t", "encoder": str(encoder), "tasks": {"t": task | files}, "training": training}))


def split_of(report: Report, split: str) -> SplitReport:
    return next(found for found in report.tasks[0].splits if found.split == split)


def overlap_of(report: Report, of: str, within: str) -> Overlap:
    return next(found for found in report.tasks[0].overlaps if (found.of, found.within) == (of, within))


def remarks(report: Report) -> dict[str, list[str]]:
    """Only what was found."""
    return {remark.what: remark.where for remark in report.remarks if remark.where}


def counts(found: Matches) -> tuple[int, int, int, int]:
    return found.equal, found.swapped, found.folded, found.conflicting


def listed(found: Matches) -> list[tuple[str, int, int]]:
    return [(match.likeness, match.row.row, match.other.row) for match in found.first]


# Rows that are like one another


def test_leaks_are_told_apart_by_likeness_and_by_their_labels(tmp_path: Path, tiny_encoder: Path) -> None:
    """Field report B27: an equal pair, a swapped one, one equal but for case and blanks, one with another score."""
    train = [[f"t{n}", f"left {n}", f"right {n}", str(n % 6)] for n in range(6)]
    dev = [
        ["d0", "left 0", "right 0", "0"],
        ["d1", "right 1", "left 1", "1"],
        ["d2", "  Left 2", "right  2", "2"],
        ["t5", "left 3", "right 3", "0"],
        ["d4", "right  4", "LEFT 4", "4"],
        ["d5", "a cat", "the dog", "5"],
    ]
    report = checked(tmp_path, tiny_encoder, PAIR, train=train, dev=dev)
    overlap = overlap_of(report, "dev", "train")
    assert overlap.matches.count == 5
    assert counts(overlap.matches) == (2, 1, 2, 1)
    assert listed(overlap.matches) == [
        ("equal", 1, 1),
        ("equal", 4, 4),
        ("swapped", 2, 2),
        ("folded", 3, 3),
        ("folded", 5, 5),
    ]
    conflict = next(match for match in overlap.matches.first if match.conflicts)
    assert (conflict.row.id, conflict.row.label, conflict.other.id, conflict.other.label) == ("t5", "0", "t3", "3")
    assert conflict.row.text == "left 3 | right 3"
    assert [(row.id, row.detail) for row in overlap.same_id.first] == [("t5", "id of row 6")]
    assert not report.refused
    assert remarks(report) == {
        "rows that another split holds too": ["5 of t dev in train"],
        "rows that another split holds with another label": ["1 of t dev in train"],
        "ids that another split gives to another text": ["1 of t dev in train"],
    }


def test_every_two_splits_are_compared_and_unlabelled_rows_cannot_conflict(tmp_path: Path, tiny_encoder: Path) -> None:
    report = checked(
        tmp_path,
        tiny_encoder,
        ONE,
        train=[*GOOD, ["t4", "not good", "0"]],
        dev=[["d1", "a GOOD film", "0"], ["d2", "dull", "1"]],
        test=[["x1", "dull"], ["x2", "not good"], ["x3", "a good  film"]],
    )
    found = {(overlap.of, overlap.within): overlap.matches for overlap in report.tasks[0].overlaps}
    assert {places: counts(matched) for places, matched in found.items()} == {
        ("dev", "train"): (0, 0, 1, 1),
        ("test", "train"): (1, 0, 1, 0),
        ("test", "dev"): (1, 0, 1, 0),
    }


def test_repeats_inside_a_file_point_to_the_first_row_that_they_are_like(tmp_path: Path, tiny_encoder: Path) -> None:
    train = [
        ["1", "x", "y", "1"],
        ["2", "y", "x", "1"],
        ["3", "x", "y", "2"],
        ["4", "X", "y ", "1"],
        ["5", "film", "Film", "5"],
        ["6", "u", "v", "0"],
        ["3", "w", "z", "0"],
    ]
    report = checked(tmp_path, tiny_encoder, PAIR, train=train)
    split = split_of(report, "train")
    assert counts(split.repeats) == (1, 1, 1, 1)
    assert listed(split.repeats) == [("equal", 3, 1), ("swapped", 2, 1), ("folded", 4, 1)]
    assert [(row.row, row.label) for row in split.equal_texts.first] == [(5, "5")]
    assert [(row.row, row.id, row.detail) for row in split.repeated_ids.first] == [(7, "3", "id of row 3")]
    assert remarks(report) == {
        "rows that repeat an earlier one of their file": ["3 of t train"],
        "rows that repeat an earlier one with another label": ["1 of t train"],
        "ids given twice in a file": ["1 of t train"],
        "rows with two equal texts": ["1 of t train"],
    }


def side(texts: Sequence[tuple[str, ...]], labels: Sequence[str | None]) -> Entries:
    return Entries(list(range(1, len(texts) + 1)), [""] * len(texts), list(texts), list(labels))


def literal_matches(entries: Entries, others: Entries | None) -> list[tuple[str, int, int]]:
    """Every row against every other, straight from the definitions."""

    def plain(text: str) -> str:
        return " ".join(text.lower().split())

    relations: dict[str, Callable[[tuple[str, ...], tuple[str, ...]], bool]] = {
        "equal": lambda x, y: x == y,
        "swapped": lambda x, y: x == tuple(reversed(y)),
        "folded": lambda x, y: sorted(map(plain, x)) == sorted(map(plain, y)),
    }
    found = []
    for place, texts in enumerate(entries.texts):
        before = others.texts if others else entries.texts[:place]
        hits = [(kind, [at for at, o in enumerate(before) if like(texts, o)]) for kind, like in relations.items()]
        found += [(kind, place, places[0]) for kind, places in hits if places][:1]
    return found


WORDS = st.sampled_from(["a", "A", " a", "b", "a b", "A  b", ""])
SIDES = st.lists(st.tuples(st.one_of(st.tuples(WORDS), st.tuples(WORDS, WORDS)), st.sampled_from(["0", "1", None])))


@settings(deadline=None)
@given(own=SIDES, other=st.one_of(st.none(), SIDES))
def test_matches_are_those_of_comparing_every_two_rows(own: list[Any], other: list[Any] | None) -> None:
    entries = side([texts for texts, _ in own], [label for _, label in own])
    others = None if other is None else side([texts for texts, _ in other], [label for _, label in other])
    within = others or entries
    expected = literal_matches(entries, others)
    found = matches(entries, others)
    tally = collections.Counter(kind for kind, _, _ in expected)
    assert [found.count, found.equal, found.swapped, found.folded] == [len(expected), *(tally[k] for k in LIKENESSES)]
    pairs = [(entries.labels[place], within.labels[at]) for _, place, at in expected]
    assert found.conflicting == sum(x != y for x, y in pairs if x is not None and y is not None)
    assert set(listed(found)) <= {(kind, place + 1, at + 1) for kind, place, at in expected}
    assert len(found.first) >= min(LISTED, len(expected))


@pytest.mark.parametrize("rows", [9, 10, 11, 40])
def test_ten_of_each_likeness_are_listed_and_ten_that_conflict(rows: int) -> None:
    first = [(f"x{n}", f"y{n}") for n in range(rows)]
    own = [*first, *((b, a) for a, b in first), *((a.upper(), b) for a, b in first)]
    labels = ["0"] * (3 * rows - 2) + ["1"] * 2
    found = matches(side(own, labels), side(first, ["0"] * rows))
    assert (found.equal, found.swapped, found.folded, found.conflicting) == (rows, rows, rows, 2)
    tally = collections.Counter(match.likeness for match in found.first)
    late = 0 if rows <= LISTED else min(2, rows - LISTED)
    assert tally == {"equal": min(rows, LISTED), "swapped": min(rows, LISTED), "folded": min(rows, LISTED) + late}
    assert sum(match.conflicts for match in found.first) == 2


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        (("A  b\tc",), (" a b C ",), True),
        (("STRASSE",), ("straße",), True),
        (("x", "y"), ("Y", "x"), True),
        (("a b",), ("ab",), False),
        (("café",), ("cafe",), False),
        (("",), ("  \n",), True),
    ],
)
def test_folding_takes_away_case_blanks_and_sides_alone(one: Any, other: Any, alike: bool) -> None:
    assert (fold(one) == fold(other)) is alike


@pytest.mark.parametrize(
    ("texts", "line"),
    [
        (("plain",), "plain"),
        (("a\tb\nc", "\x1b[31mred\x00"), "a b c | [31mred"),
        (("x" * EXCERPT,), "x" * EXCERPT),
        (("x" * 200_000,), "x" * (EXCERPT - 3) + "..."),
        (("", ""), " | "),
    ],
)
def test_an_excerpt_is_one_short_line_that_prints(texts: tuple[str, ...], line: str) -> None:
    assert excerpt(texts) == line


def test_rows_keep_their_number_in_the_file_where_bad_rows_stand_between(tmp_path: Path, tiny_encoder: Path) -> None:
    train = [["1", "good", "0"], ["2", "", "1"], ["3", "bad", "1"], ["4", "bad", "nonsense"], ["5", "GOOD", "0"]]
    report = checked(tmp_path, tiny_encoder, ONE | {"labels": ["0", "1"]}, train=train)
    split = split_of(report, "train")
    assert listed(split.repeats) == [("folded", 5, 1)]
    assert (split.rows, split.usable) == (5, 3)
    blank, unknown = (str(bad) for bad in report.bad_rows)
    assert blank == f"{tmp_path / 'train.csv'}, row 2 (line 3), column 'text': the text is blank; write one"
    assert unknown.startswith(f"{tmp_path / 'train.csv'}, row 4 (line 5), column 'label': 'nonsense' is not among 0")


def test_without_an_id_column_no_id_is_compared(tmp_path: Path, tiny_encoder: Path) -> None:
    task = {key: value for key, value in ONE.items() if key != "id"}
    report = checked(tmp_path, tiny_encoder, task, train=GOOD, dev=[["t1", "dull", "1"], ["t1", "not bad", "0"]])
    assert remarks(report) == {}
    assert split_of(report, "dev").repeated_ids.count == 0


# Labels


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([0, 0, 1, 2], [("0", 2, 0.5), ("1", 1, 0.25), ("x", 1, 0.25)]),
        ([1], [("0", 0, 0.0), ("1", 1, 1.0), ("x", 0, 0.0)]),
        ([], [("0", 0, 0.0), ("1", 0, 0.0), ("x", 0, 0.0)]),
    ],
)
def test_classes_are_counted_in_order_with_those_that_are_missing(labels: list[float], expected: Any) -> None:
    shares = balance(Task.model_validate(ONE), ["0", "1", "x"], np.array(labels, dtype=float))
    assert [(share.label, share.count, share.share) for share in shares] == expected


@pytest.mark.parametrize("bounds", [(0.0, 5.0), (-1.0, 1.0), (1.0, 5.0), (0.0, 1e-6)])
def test_scores_fall_into_fifths_of_the_range_and_its_upper_end_into_the_last(bounds: tuple[float, float]) -> None:
    low, high = bounds
    scores = np.concatenate([[low, high], np.random.default_rng(0).uniform(low, high, 500)])
    shares = balance(Task.model_validate(PAIR | {"range": list(bounds)}), [], scores)
    fifths = collections.Counter(min(4, math.floor((x - low) / (high - low) * 5)) for x in scores)
    assert [share.count for share in shares] == [fifths[n] for n in range(5)]
    assert sum(share.share for share in shares) == pytest.approx(1)
    assert shares[0].label.startswith(f"{low:g} to ")
    assert shares[4].label.endswith(f" to {high:g}")


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60))
def test_a_quantile_is_the_smallest_number_that_so_many_do_not_exceed(numbers: list[float]) -> None:
    spread = Spread.of(np.array(numbers))
    ordered = sorted(numbers)
    for share, value in ((0.25, spread.p25), (0.5, spread.p50), (0.75, spread.p75), (0.95, spread.p95)):
        assert value == next(x for x in ordered if sum(y <= x for y in ordered) >= share * len(ordered) - 1e-9)
    assert (spread.min, spread.max) == (min(numbers), max(numbers))
    assert spread.mean == pytest.approx(sum(numbers) / len(numbers), abs=1e-6)


@pytest.mark.parametrize(
    ("task", "train", "dev", "where"),
    [
        (ONE, ["0", "1", "2"], ["0", "1"], ["t dev: no example has the label 2"]),
        (ONE | {"labels": ["0", "1", "2"]}, ["0", "1"], ["0", "1", "2"], ["t train: no example has the label 2"]),
        (ONE, ["neg", "pos"], ["pos"], ["t dev: no example has the label neg"]),
        (PAIR, ["0", "5"], ["1"], []),
    ],
)
def test_a_class_without_a_row_is_remarked(
    tmp_path: Path, tiny_encoder: Path, task: Any, train: list[str], dev: list[str], where: list[str]
) -> None:
    """Field report B09; fifths of a range that hold no score are no classes."""
    rows = {
        split: [[f"{split}{n}", *[f"{split} {n}"] * len(texts_of(task)), x] for n, x in enumerate(labels)]
        for split, labels in (("train", train), ("dev", dev))
    }
    report = checked(tmp_path, tiny_encoder, task, **rows)
    assert not report.refused
    assert remarks(report).get("doubts about a file as it was read", []) == where


def texts_of(task: dict[str, Any]) -> list[str]:
    return [task["text"]] if isinstance(task["text"], str) else task["text"]


def test_one_class_spelled_two_ways_is_a_doubt_and_respelling_is_noted(tmp_path: Path, tiny_encoder: Path) -> None:
    """Field report B05."""
    train = [["1", "good", "pos"], ["2", "very good", " pos"], ["3", "dull", "Pos"], ["4", "bad", "1.0"]]
    report = checked(tmp_path, tiny_encoder, ONE, train=train)
    alike = "t train: labels 'Pos', 'pos' differ in case alone and count as different classes"
    assert remarks(report)["doubts about a file as it was read"] == [alike]
    listed = checked(tmp_path, tiny_encoder, ONE | {"labels": ["Pos", "pos", "1"]}, train=train)
    assert remarks(listed)["doubts about a file as it was read"] == [alike]
    notes = " ".join(split_of(report, "train").notes)
    assert "trimmed the blanks around" in notes
    assert "'1.0' as '1'" in notes


def test_quotes_are_kept_or_taken_off_and_it_is_said(tmp_path: Path, tiny_encoder: Path) -> None:
    """Field report B03: five rows of two dialects are five rows."""
    lines = ['1\t"no, she said\t0', "2\tfine\t1", '3\tand then yes"\t0', '4\t"good ""value"""\t1', "5\tok\t1"]
    report = checked(tmp_path, tiny_encoder, ONE, train="\n".join(["id\ttext\tlabel", *lines, ""]))
    split = split_of(report, "train")
    assert (split.rows, split.usable) == (5, 5)
    assert any("quotes off 1 cell" in note for note in split.notes)
    assert any("kept the quotes of 2 cell" in note for note in split.notes)


# Lengths


@pytest.mark.parametrize("limit", [3, 5, 8, 40])
@pytest.mark.parametrize("rows", [1, 7, 300])
def test_lengths_and_cut_rows_are_those_of_the_encoding_that_trains(
    tokenizer: Tokenizer, rows: int, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minbert.prepare.check.PORTION", 64)
    texts = [("good " * (n % 9), "a cat " * (n % 4)) for n in range(rows)]
    columns = [list(column) for column in zip(*texts, strict=True)]
    found = measure(side(texts, [None] * rows), tokenizer, limit)
    longest = [max(len(tokenizer.encode(text).ids) for text in pair) for pair in texts]
    assert found.lengths == Spread.of(np.array(longest, dtype=float))
    cut = np.flatnonzero(encode(Examples([""] * rows, columns), tokenizer, limit).cut)
    assert found.cut.count == len(cut)
    assert [row.row - 1 for row in found.cut.first] == list(cut[:LISTED])
    assert [row.detail for row in found.cut.first] == [f"{longest[place]} tokens" for place in cut[:LISTED]]


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("a good film", False),
        ("\N{PILE OF POO}\N{GRINNING FACE}", True),
        ("z" * 5_000, True),
        ("good 猫", False),  # one of two is not most
        ("good 猫 猫", True),
        ("", False),
    ],
)
def test_a_row_is_mostly_unknown_where_more_than_half_of_a_text_is(
    tokenizer: Tokenizer, text: str, unknown: bool
) -> None:
    """Field report B17; one side of a pair is enough."""
    assert measure(side([(text,)], [None]), tokenizer, 40).unknown.count == unknown
    assert measure(side([("a good film", text)], [None]), tokenizer, 40).unknown.count == unknown


@pytest.mark.parametrize(
    ("own", "training", "limit"), [(None, None, 40), (None, 12, 12), (6, 12, 6), (6, None, 6), (40, 40, 40)]
)
def test_the_limit_is_the_tasks_else_the_recipes_else_the_encoders(
    tmp_path: Path, tiny_encoder: Path, own: int | None, training: int | None, limit: int
) -> None:
    task = ONE if own is None else ONE | {"max_length": own}
    train = [["1", "good " * 4, "0"], ["2", "good " * 10, "1"], ["3", "good " * 38, "1"], ["4", "good " * 39, "0"]]
    report = checked(tmp_path, tiny_encoder, task, training, train=train)
    assert (report.encoder_limit, report.tasks[0].limit) == (40, limit)
    tokens = split_of(report, "train").tokens
    assert tokens is not None
    assert tokens.cut.count == sum(length > limit for length in (6, 12, 40, 41))
    assert remarks(report)["rows longer than the limit"] == [f"{tokens.cut.count} of t train"]


def test_a_limit_beyond_the_encoders_is_refused_with_the_encoders(tmp_path: Path, tiny_encoder: Path) -> None:
    with pytest.raises(ModelError, match=r"^task 't': max_length = 1000 is more than this encoder's 40 tokens"):
        checked(tmp_path, tiny_encoder, ONE, 1000, train=GOOD)


def test_blank_texts_are_bad_rows_with_labels_and_remarked_without(tmp_path: Path, tiny_encoder: Path) -> None:
    """Field report B23."""
    blanks = ["", "   ", "\u200b", "\x00"]
    test = [[f"x{n}", text] for n, text in enumerate(["good", *blanks])]
    train = [*GOOD, *([f"b{n}", text, "0"] for n, text in enumerate(blanks))]
    report = checked(tmp_path, tiny_encoder, ONE, train=train, test=test)
    assert [(bad.row, bad.column, bad.reason) for bad in report.bad_rows] == [
        (row, "text", "the text is blank; write one") for row in (4, 5, 6, 7)
    ]
    assert [row.row for row in split_of(report, "test").blank.first] == [2, 3, 4, 5]
    assert remarks(report)["blank texts in unlabelled files"] == ["4 of t test"]


# What train would refuse

UNREADABLE = {
    "a missing file": (None, "does not exist"),
    "an empty file": ("", "is empty"),
    "a header alone": ("id,text,label\n", "has a header line and no rows"),
    "no text column": ("id,words,label\n1,good,0\n", "there is no column 'text'"),
    "no label column": ("id,text\n1,good\n", "there is no column 'label'"),
    "another encoding": (b"id,text,label\n1,caf\xe9,0\n", "byte 0xe9 is not UTF-8"),
    "quotes that do not pair": ('id,text,label\n1,"good,0\n2,bad,1\n', "its quotes do not pair"),
}


@pytest.mark.parametrize("broken", ["train", "dev"])
@pytest.mark.parametrize(("content", "reason"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_file_that_cannot_be_read_does_not_hide_the_others(
    tmp_path: Path, tiny_encoder: Path, broken: str, content: str | bytes | None, reason: str
) -> None:
    other = "dev" if broken == "train" else "train"
    rows: Any = [*GOOD, ["t4", "", "1"]]
    report = checked(tmp_path, tiny_encoder, ONE, **{"train": rows, "dev": rows} | {broken: content})
    (fault,) = report.faults
    assert fault.startswith(f"t: {tmp_path / f'{broken}.csv'}")
    assert reason in fault
    assert report.refused
    assert (split_of(report, broken).rows, split_of(report, broken).tokens) == (0, None)
    assert [bad.row for bad in split_of(report, other).bad_rows] == [4]
    assert report.tasks[0].overlaps == []


REFUSED = {
    "one class": (ONE, [["1", "good", "0"], ["2", "bad", "0"]], [], "every row has the label '0'"),
    "no usable row": (ONE, [["1", "", "0"], ["2", "", "1"]], [], "has no row that can be used"),
    "no usable dev row": (ONE, GOOD, [["1", "", "0"]], "has no row that can be used"),
    "three classes and bce": (
        PAIR | {"kind": "pair-classification", "range": None, "loss": "bce"},
        [["1", "a", "b", "x"], ["2", "a", "c", "y"], ["3", "b", "c", "z"]],
        [],
        "loss 'bce' is for two",
    ),
}


@pytest.mark.parametrize(("task", "train", "dev", "reason"), REFUSED.values(), ids=REFUSED)
def test_files_that_read_well_and_cannot_be_trained_are_faults(
    tmp_path: Path, tiny_encoder: Path, task: dict[str, Any], train: Any, dev: Any, reason: str
) -> None:
    task = {key: value for key, value in task.items() if value is not None}
    report = checked(tmp_path, tiny_encoder, task, **{"train": train} | ({"dev": dev} if dev else {}))
    (fault,) = report.faults
    assert reason in fault
    assert report.refused


def test_a_task_without_a_train_file_is_a_fault(tmp_path: Path, tiny_encoder: Path) -> None:
    report = checked(tmp_path, tiny_encoder, ONE, dev=GOOD)
    assert report.faults == ['t: the task names no train file; set train = "FILE" in its table']


def test_rows_that_would_be_held_back_are_said_of_the_whole_file(tmp_path: Path, tiny_encoder: Path) -> None:
    rows = [[str(n), f"film {n % 8}", "good" if n % 8 < 4 else "bad"] for n in range(40)]
    held = split_of(checked(tmp_path, tiny_encoder, ONE | {"holdout": 10}, train=rows), "train")
    assert (held.rows, held.usable) == (40, 40)
    assert held.notes[-1] == "held back 10 rows to choose by; they are 2 groups that share no text"
    few = [[str(n), "one film" if n < 32 else f"film {n}", "good" if n % 2 else "bad"] for n in range(40)]
    report = checked(tmp_path, tiny_encoder, ONE | {"holdout": 10}, train=few)
    (doubt,) = remarks(report)["doubts about a file as it was read"]
    assert doubt.startswith("t train: rows held back: holdout = 10 holds 8 rows back, since others share their texts")
    part = split_of(checked(tmp_path, tiny_encoder, ONE | {"folds": 4}, train=rows), "train")
    assert part.notes[-1].startswith("held back 10 rows to choose by, part 1 of 4")


CELLS = st.sampled_from(["good", "bad film", "", " ", "\u200b"])
LABELS = st.sampled_from(["0", "1", "1.0", "", "2.5", "x", "True"])


@settings(deadline=None, max_examples=60)
@given(
    train=st.lists(st.tuples(CELLS, LABELS), min_size=1, max_size=4),
    dev=st.lists(st.tuples(CELLS, LABELS), min_size=1, max_size=3),
    test=st.lists(st.tuples(CELLS), min_size=1, max_size=2),
    declared=st.booleans(),
)
def test_files_are_refused_exactly_where_train_refuses_them(
    tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer, train: Any, dev: Any, test: Any, declared: bool
) -> None:
    """And every row comes out or is reported."""
    folder = tmp_path_factory.mktemp("files")
    rows = {"train": train, "dev": dev, "test": test}
    for split, cells in rows.items():
        header = ["id", "text", "label"][: 1 + len(cells[0])]
        write_table(folder / f"{split}.csv", header, [[str(n), *row] for n, row in enumerate(cells)])
    files = {split: str(folder / f"{split}.csv") for split in rows}
    task = Task.model_validate(ONE | files | ({"labels": ["0", "1"]} if declared else {}))
    try:
        read_splits(task)
        refused = False
    except MinbertError:
        refused = True
    report = Report("tiny", 40, [check_task("t", task, tokenizer, 40)])
    assert report.refused is refused
    for found in report.tasks[0].splits:
        assert found.fault is None
        assert found.rows == found.usable + len(found.bad_rows) == len(rows[found.split])


# A folder of the built-in tasks


def test_a_folder_is_checked_as_the_built_in_tasks_that_it_holds(tmp_path: Path) -> None:
    (tmp_path / "ids-sst-train.csv").write_text("\tid\tsentence\tsentiment\n0\ta\tgood\t4\n")
    (tmp_path / "sts-test-student.csv").write_text("\tid\tsentence1\tsentence2\n0\ta\tgood\tbad\n")
    recipe = recipe_of(tmp_path, "some-encoder")
    assert recipe.encoder == "some-encoder"
    assert list(recipe.tasks) == ["sst", "sts"]
    assert recipe.tasks["sst"].train == str(tmp_path / "ids-sst-train.csv")
    assert recipe.tasks["sst"].test is None
    assert recipe.tasks["sts"].test == str(tmp_path / "sts-test-student.csv")


def test_a_folder_without_such_files_is_refused_with_their_names(tmp_path: Path) -> None:
    with pytest.raises(DataError) as refused:
        recipe_of(tmp_path)
    assert str(refused.value) == (
        f"{tmp_path} holds no file of a built-in task (ids-sst-train.csv, ids-cfimdb-train.csv, quora-train.csv, "
        "sts-train.csv); name your own files in a --recipe"
    )
    with pytest.raises(DataError, match=r"absent does not exist; name a folder$"):
        recipe_of(tmp_path / "absent")
    (tmp_path / "mine.csv").write_text("text,label\n")
    with pytest.raises(DataError, match=r"mine\.csv is a file; name its folder, or pass --recipe$"):
        recipe_of(tmp_path / "mine.csv")


# JSON


def shape(value: Any) -> Any:
    """Keys and types of a JSON value; a list by its first element."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


ROW = {"row": "int", "id": "str", "text": "str", "label": "str", "detail": "str"}
UNLABELLED = ROW | {"label": "NoneType"}
SPREAD = dict.fromkeys(["mean", "min", "p25", "p50", "p75", "p95", "max"], "float")
NOTHING = {"count": "int", "first": []}
MATCHES = dict.fromkeys(["count", "equal", "swapped", "folded", "conflicting"], "int")
SPLIT = {
    "split": "str",
    "path": "str",
    "fault": "NoneType",
    "rows": "int",
    "usable": "int",
    "bad_rows": [{"path": "str", "row": "int", "id": "str", "column": "str", "reason": "str", "line": "int"}],
    "notes": [],
    "warnings": [],
    "balance": [{"label": "str", "count": "int", "share": "float"}],
    "scores": SPREAD,
    "tokens": {"lengths": SPREAD, "cut": {"count": "int", "first": [ROW]}, "unknown": NOTHING},
    "blank": NOTHING,
    "placeholders": NOTHING,
    "equal_texts": {"count": "int", "first": [ROW]},
    "repeated_ids": {"count": "int", "first": [ROW]},
    "repeats": MATCHES | {"first": [{"likeness": "str", "row": ROW, "other": ROW}]},
}


def test_the_json_form_holds_everything_under_names_that_stay(tmp_path: Path, tiny_encoder: Path) -> None:
    """A program reads these names: changing one is a breaking change."""
    train = [["1", "good", "good", "5"], ["1", "good", "good", "5"], ["3", "a " * 50, "b", "2"], ["4", "a", "", "1"]]
    report = checked(tmp_path, tiny_encoder, PAIR, train=train, test=[["1", "good", "good"], ["2", "", ""]])
    values = json.loads(json.dumps(report.as_json(), allow_nan=False))
    (task,) = values["tasks"]
    assert shape(values | {"tasks": []}) == {
        "refused": "bool",
        "faults": [],
        "remarks": [{"what": "str", "where": ["str"]}],
        "encoder": "str",
        "encoder_limit": "int",
        "tasks": [],
    }
    assert [remark["what"] for remark in values["remarks"]] == list(REMARKS)
    assert shape(task | {"splits": [], "overlaps": []}) == {
        "name": "str",
        "kind": "str",
        "limit": "int",
        "splits": [],
        "overlaps": [],
        "fault": "NoneType",
    }
    assert shape(task["splits"][0]) == SPLIT
    assert shape(task["splits"][1]) == SPLIT | {
        "bad_rows": [],
        "balance": [],
        "scores": "NoneType",
        "tokens": {"lengths": SPREAD, "cut": NOTHING, "unknown": NOTHING},
        "blank": {"count": "int", "first": [UNLABELLED]},
        "equal_texts": {"count": "int", "first": [UNLABELLED]},
        "repeated_ids": NOTHING,
        "repeats": MATCHES | {"first": []},
    }
    assert shape(task["overlaps"]) == [
        {
            "of": "str",
            "within": "str",
            "matches": MATCHES | {"first": [{"likeness": "str", "row": UNLABELLED, "other": ROW}]},
            "same_id": NOTHING,
        }
    ]


# The course's data


def course_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The whole folder; the tiny encoder's tokens stand for the real one's."""
    if not COURSE_DATA.is_dir():
        pytest.skip(f"the course's data is not at {COURSE_DATA}")
    folder = tmp_path_factory.mktemp("encoder")
    save_encoder(Bert(tiny_config()), tiny_tokenizer(folder), folder)
    return check(recipe_of(COURSE_DATA, str(folder)))


def test_the_bad_rows_of_the_course_are_named_by_id(course: Report) -> None:
    assert [(bad.path.name, bad.row, bad.id, bad.column) for bad in course.bad_rows] == [
        ("quora-train.csv", 16226, "ad118c967d683c93883bf072d", "is_duplicate"),
        ("quora-train.csv", 16227, "9054345d02cd6c5642a4904dc", "sentence2"),
    ]
    assert course.faults == []
    assert course.refused


SIZES = {
    "sst": (8544, 1101, 2210),
    "cfimdb": (1707, 245, 488),
    "para": (16227, 1998, 1989),
    "sts": (6040, 863, 1725),
}


def test_the_course_has_as_many_rows_as_its_readme_says(course: Report) -> None:
    assert {task.name: tuple(split.rows for split in task.splits) for task in course.tasks} == SIZES


def test_leaks_and_repeats_of_the_course_are_those_of_a_literal_count(course: Report) -> None:
    """Field report B27, measured there with another program; the counts here are of pairs without an order."""
    reports = {task.name: task for task in course.tasks}
    sts = {split: course_rows(COURSE_DATA / f"sts-{split}.csv") for split in ("train", "dev")}
    pairs = {split: [(row["sentence1"], row["sentence2"]) for row in rows] for split, rows in sts.items()}
    unordered = {split: [frozenset(pair) for pair in both] for split, both in pairs.items()}
    leaks = sum(pair in unordered["train"] for pair in unordered["dev"])
    in_order = sum(pair in pairs["train"] for pair in pairs["dev"])
    repeated = len(pairs["train"]) - len(set(unordered["train"]))
    alike = sum(a.lower() == b.lower() for a, b in pairs["train"])
    assert (leaks, in_order, repeated, alike) == (16, 13, 43, 10)
    leak = next(overlap for overlap in reports["sts"].overlaps if (overlap.of, overlap.within) == ("dev", "train"))
    assert (leak.matches.count, leak.matches.equal, leak.matches.folded) == (leaks, in_order, 0)
    assert reports["sts"].splits[0].repeats.count == repeated
    assert reports["sts"].splits[0].equal_texts.count == alike

    train, dev = ([row["sentence"] for row in course_rows(COURSE_DATA / f"ids-sst-{s}.csv")] for s in ("train", "dev"))
    assert (sum(text in train for text in dev), len(train) - len(set(train))) == (2, 10)
    assert reports["sst"].overlaps[0].matches.equal == reports["sst"].overlaps[0].matches.count == 2
    assert reports["sst"].splits[0].repeats.equal == reports["sst"].splits[0].repeats.count == 10
    found = {remark.what: remark.where for remark in course.remarks}
    assert "16 of sts dev in train" in found["rows that another split holds too"]
    assert "43 of sts train" in found["rows that repeat an earlier one of their file"]
    assert "10 of sts train" in found["rows with two equal texts"]


def test_rows_of_the_course_are_listed_with_the_row_that_they_are_like(course: Report) -> None:
    sts = next(task for task in course.tasks if task.name == "sts")
    rows = {split: course_rows(COURSE_DATA / f"sts-{split}.csv") for split in ("train", "dev")}
    for match in sts.overlaps[0].matches.first:
        own, other = rows["dev"][match.row.row - 1], rows["train"][match.other.row - 1]
        assert (match.row.id, match.other.id) == (own["id"], other["id"])
        assert {own["sentence1"], own["sentence2"]} == {other["sentence1"], other["sentence2"]}
        assert match.conflicts == (float(own["similarity"]) != float(other["similarity"]))
