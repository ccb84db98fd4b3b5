"""Which columns are texts, label and id, and the kind of task they make; what makes none is said column by column."""

from typing import Any

import pytest

from minbert.errors import DataError
from minbert.prepare.roles import bounds, classes_of, decide
from minbert.prepare.sheet import Column

ROWS = 60
WORDS = ["good", "bad", "film", "cat", "dog", "dull", "quiet"]


def texts(seed: int = 0) -> list[str]:
    return [f"the {WORDS[(n + seed) % 7]} {WORDS[n * (seed + 3) % 7]} was number {n + seed}" for n in range(ROWS)]


def of(*cells: Any) -> list[Any]:
    """A column of these cells in turn."""
    return [cells[n % len(cells)] for n in range(ROWS)]


IDS = [f"aa{n:06x}" for n in range(ROWS)]
SCORES = [n % 51 / 10 for n in range(ROWS)]


def kind_of(**columns: list[Any]) -> tuple[str, list[str], list[str], str | None]:
    roles = decide([Column(name, cells) for name, cells in columns.items()], "f.csv")
    return roles.kind, roles.texts, roles.label, roles.id


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"text": texts(), "label": of("1", "0")}, ("classification", ["text"], ["label"], None)),
        ({"label": of("1", "0"), "text": texts()}, ("classification", ["text"], ["label"], None)),
        ({"a": IDS, "b": texts(), "c": of("up", "down", "same")}, ("classification", ["b"], ["c"], "a")),
        ({"id": of(*range(ROWS)), "x": texts(), "y": of(True, False)}, ("classification", ["x"], ["y"], "id")),
        ({"Review Text": texts(), "Stars": of(1.0, 2.0, 5.0)}, ("classification", ["Review Text"], ["Stars"], None)),
        ({"text": texts(), "notes": texts(1), "label": of("a", "b")}, ("classification", ["text"], ["label"], None)),
        ({"text": texts(), "label": of(0, 1), "label_text": of("very bad", "very good")},
         ("classification", ["text"], ["label"], None)),
        ({"text": texts(), "source": of("web", "mail"), "sentiment": of("a", "b", "c")},
         ("classification", ["text"], ["sentiment"], None)),
        ({"text": texts(), "stamp": of(1.5, 2.5), "mood": of("a", "b", "c")},
         ("classification", ["text"], ["mood"], None)),
        ({"word": [f"w{n}x" for n in range(ROWS)], "language": of("en", "de")},
         ("classification", ["word"], ["language"], None)),
        ({"Ticket No.": [f"T{n}" for n in range(ROWS)], "what they wrote": texts(), "Mood": of("a", "b")},
         ("classification", ["what they wrote"], ["Mood"], None)),
        ({"sentence1": texts(), "sentence2": texts(1), "is_duplicate": of("0.0", "1.0")},
         ("pair-classification", ["sentence1", "sentence2"], ["is_duplicate"], None)),
        ({"id": IDS, "qid1": of(*range(0, 120, 2)), "question1": texts(), "question2": texts(1), "same": of(0, 1)},
         ("pair-classification", ["question1", "question2"], ["same"], "id")),
        ({"pairID": IDS, "label1": of("a", "b"), "gold_label": of("a", "b", "c"), "sentence1_parse": texts(),
          "sentence2_parse": texts(2), "sentence1": texts(3), "sentence2": texts(4)},
         ("pair-classification", ["sentence1", "sentence2"], ["gold_label"], "pairID")),
        ({"premise": texts(), "hypothesis": texts(1), "genre": of("a", "b"), "label": of(0, 1, 2)},
         ("pair-classification", ["premise", "hypothesis"], ["label"], None)),
        ({"mine": texts(), "theirs": texts(1), "value": SCORES},
         ("pair-regression", ["mine", "theirs"], ["value"], None)),
        ({"text_a": texts(), "text_b": texts(1), "similarity": of(0, 1, 2, 3, 4, 5)},
         ("pair-regression", ["text_a", "text_b"], ["similarity"], None)),
        ({"question": texts(), "title": texts(1), "answer": of(True, False), "passage": texts(2)},
         ("pair-classification", ["question", "passage"], ["answer"], None)),
        ({"question": texts(), "answer": of("yes", "no"), "passage": texts(2)},
         ("pair-classification", ["question", "passage"], ["answer"], None)),
        ({"question": of("Why is the sky blue?", "Why is the sea salt?"), "answer": texts(2), "score": of(1, 2, 3)},
         ("pair-regression", ["question", "answer"], ["score"], None)),
        ({"text": texts(), "label": of("train", "test")}, ("classification", ["text"], ["label"], None)),
        ({"text": texts(), "split": of("train"), "mood": of("a", "b")}, ("classification", ["text"], ["mood"], None)),
        ({"text": texts(), "tags": of("a,b", "b", "", "a")}, ("multi-label", ["text"], ["tags"], None)),
        ({"text": texts(), "labels": of(["a", "b"], ["b"], [])}, ("multi-label", ["text"], ["labels"], None)),
        ({"text": texts(), "toxic": of(1, 0, 0), "rude": of("0", "1")},
         ("multi-label", ["text"], ["toxic", "rude"], None)),
        ({"text": texts(), "label": of("New York, state", "Ohio")}, ("classification", ["text"], ["label"], None)),
    ],
)  # fmt: skip
def test_columns_and_what_they_are(columns: dict[str, list[Any]], expected: tuple[object, ...]) -> None:
    assert kind_of(**columns) == expected


@pytest.mark.parametrize(
    ("name", "numbers", "two", "kind"),
    [
        ("label", range(1, 6), False, "classification"),
        ("class", range(4), False, "classification"),
        ("score", range(6), True, "pair-regression"),
    ],
)
def test_a_label_with_every_value_once_is_no_id(name: str, numbers: range, two: bool, kind: str) -> None:
    """Field report B05: five rows of 1 to 5."""
    rows = len(numbers)
    columns = {"text1": texts()[:rows], "text2": texts(1)[:rows]} if two else {"text": texts()[:rows]}
    names = list(columns)
    assert kind_of(**columns, **{name: list(numbers)}) == (kind, names, [name], None)


def test_a_separator_is_the_one_that_stands_there() -> None:
    roles = decide([Column("text", texts()), Column("tags", of("a|b", "b|c", "a"))], "f.csv")
    assert (roles.kind, roles.separator) == ("multi-label", "|")
    assert {choice.key: choice.value for choice in roles.choices}["separator"] == "|"
    assert classes_of([Column("tags", of("c|b", "a"))], roles) == ["a", "b", "c"]


def test_what_else_could_be_the_label_is_no_text() -> None:
    few = {"question": texts()[:12], "title": texts(1)[:12], "answer": [True, False] * 6, "passage": texts(2)[:12]}
    roles = decide([Column(name, cells) for name, cells in {**few, "part": [1, 2, 3] * 4}.items()], "f.jsonl")
    assert (roles.label, roles.others) == (["answer"], ["part"])


def test_classes_are_in_a_tasks_order_and_a_slip_is_none() -> None:
    roles = decide([Column("text", texts()), Column("label", of("10", "9.0", "2"))], "f.csv")
    assert classes_of([Column("label", ["10", "9", "2.0", "", "x", *["2"] * 20])], roles) == ["2", "9", "10", "x"]
    assert classes_of([Column("label", ["10", "9", "2.5", *["2"] * 30])], roles) == ["2", "9", "10"]


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [([0.2, 4.8], (0, 5)), ([1.0, 5.0], (1, 5)), ([0.1, 0.9], (0, 1)), ([-0.5, 1], (-1, 1)), ([3, 97.5], (0, 100))],
)
def test_a_range_ends_on_round_numbers(numbers: list[float], expected: tuple[float, float]) -> None:
    assert bounds(numbers) == expected


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"text": texts()}, "no column can be a label: 'text' holds the texts; add a column label, or name the train "
         "file that this one belongs to as well"),
        ({"id": IDS, "text": texts(), "label": of("")}, "no column can be a label: 'text' holds the texts; 'id' the "
         "ids; 'label' is blank; add a column label, or name the train file that this one belongs to as well"),
        ({"text": texts(), "label": of("pos")}, "no column can be a label: 'label' has the one value 'pos', and a task "
         "needs two; 'text' holds the texts; correct column 'label'"),
        ({"text": texts(), "score": SCORES, "kind": of("a", "b")}, "no column can be a label: 'score' holds scores (51 "
         "different numbers from 0 to 5), and a score is for two texts; write classes; 'text' holds the texts; correct "
         "column 'score', or call 'kind' label in the header if that is what to learn"),
        ({"text": texts(), "label": texts(1)}, "no column can be a label: 'label' has 60 different values in 60 rows, "
         "which are no classes; 'text' holds the texts; correct column 'label'"),
        ({"text": texts(), "label": of("['a', 'b']", "['a']")}, "no column can be a label: 'label' holds lists written "
         "as text; write the classes with commas between them; 'text' holds the texts; correct column 'label'"),
        ({"text1": texts(), "text2": texts(1), "score": of("0,5", "1,5")}, "no column can be a label: 'score' holds "
         "numbers with decimal commas; write points; 'text1' holds the texts; 'text2' holds the texts; correct column "
         "'score'"),
        ({"text1": texts(), "text2": texts(1), "label": of(["a"], ["b"])}, "no column can be a label: 'label' holds "
         "lists, and a pair has one label; 'text1' holds the texts; 'text2' holds the texts; correct column 'label'"),
        ({"text": texts(), "label": of(b"\x00", b"\x01")}, "no column can be a label: 'label' holds no text, number or "
         "boolean; 'text' holds the texts; correct column 'label'"),
        ({"text": texts(), "label": [n * 7 for n in range(ROWS)]}, "no column can be a label: 'label' holds 60 "
         "different numbers from 0 to 413, which are no classes; 'text' holds the texts; correct column 'label'"),
        ({"a": of(3, 9, 4), "b": of(0, 1)}, "no column holds texts: 'a' holds numbers, 'b' holds numbers; name the "
         "column of texts text in the header"),
        ({"text": texts(), "label": of("a", "b"), "split": of("train", "train", "test")}, "'split' says which rows are "
         "train and test; write each into a file of its own: f-train.csv, f-test.csv"),
        ({"text": texts(), "part": of("Test", "valid", "train")}, "'part' says which rows are train, dev and test; "
         "write each into a file of its own: f-train.csv, f-dev.csv, f-test.csv"),
        ({"text": of(["a", "b"], ["c"]), "mood": of("up", "down")}, "no column holds texts: 'text' holds lists, 'mood' "
         "holds 2 different values; name the column of texts text in the header"),
        ({"text": of({"en": "a"}, ["c"]), "label": of(0, 1)}, "no column holds texts: 'text' holds lists and objects, "
         "'label' holds numbers; name the column of texts text in the header"),
        ({"x": of("", None)}, "no column holds texts: every named column is blank; name the column of texts text in "
         "the header"),
        ({"p": texts(), "q": texts(1), "r": texts(2)}, "3 columns hold free texts ('p', 'q', 'r'), and a task has one "
         "or two; name those to learn from text, or text1 and text2, in the header"),
    ],
)  # fmt: skip
def test_what_makes_no_task_is_said_column_by_column(columns: dict[str, list[Any]], message: str) -> None:
    with pytest.raises(DataError) as refused:
        kind_of(**columns)
    assert str(refused.value) == f"f.csv: {message}"
