"""A proposed recipe: it loads, train takes its files as it is, and each choice has its reason with the figures."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minbert.errors import DataError
from minbert.jobs import read_tasks
from minbert.prepare.propose import Proposal, propose
from minbert.recipes import load
from minbert.tables import Cell, write_table
from minbert.tasks import BUILT_IN, Task

SPLIT_ROWS = {"train": 20, "dev": 9}
WORDS = ["good", "bad", "film", "cat", "dog", "dull", "quiet"]


def text(n: int) -> str:
    return f"the {WORDS[n % 7]} {WORDS[n // 7 % 7]} was number {n}"


def labelled(rows: int, *labels: Cell) -> list[list[Cell]]:
    return [[text(n), labels[n % len(labels)]] for n in range(rows)]


def written(folder: Path, name: str, header: list[str], rows: list[list[Any]]) -> Path:
    write_table(folder / name, header, rows)
    return folder / name


def mood(folder: Path, rows: list[list[Cell]], name: str = "mood.csv") -> Path:
    return written(folder, name, ["text", "label"], rows)


def loaded(proposal: Proposal, output: Path) -> dict[str, Task]:
    """The tasks of the recipe's text once it is a file: read as train reads them, bad rows left out."""
    output.write_text(proposal.text, encoding="utf-8")
    tasks, _ = read_tasks(load(output).tasks, skip_bad_rows=True)
    assert {n: t.with_files(lambda *_: None) for n, t in tasks.items()} == {
        n: t.completed(tasks[n].labels).with_files(lambda *_: None) for n, t in proposal.tasks.items()
    }
    return tasks


def only(folder: Path, *files: Path) -> tuple[Task, str]:
    proposal = propose(files, folder / "proposed.toml")
    (task,) = loaded(proposal, folder / "proposed.toml").values()
    return task, " ".join(proposal.text.replace("\n# ", " ").split())


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["up", "down"], ["down", "up"]),
        ([1.0, 0.0], ["0", "1"]),
        (["10", "9", "2.0"], ["2", "9", "10"]),
        ([True, False], ["false", "true"]),
        ([1, 2, 3, 4, 5], ["1", "2", "3", "4", "5"]),
    ],
)
@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_labels_of_every_type_are_classes_in_every_format(
    tmp_path: Path, labels: list[Cell], classes: list[str], suffix: str
) -> None:
    if suffix == "parquet" and len({type(label) for label in labels}) > 1:
        pytest.skip("a Parquet column has one type")
    task, _ = only(tmp_path, mood(tmp_path, labelled(20, *labels), f"mood.{suffix}"))
    assert (task.kind, task.text, task.label, task.labels) == ("classification", "text", "label", classes)


def test_five_rows_of_five_classes_are_a_task(tmp_path: Path) -> None:
    """Field report B05: in so few rows the classes count as ids do."""
    task, _ = only(tmp_path, mood(tmp_path, labelled(5, 1, 2, 3, 4, 5)))
    assert (task.label, task.labels, task.id) == ("label", ["1", "2", "3", "4", "5"], None)


def test_each_choice_has_its_reason_with_the_figures(tmp_path: Path) -> None:
    _, said = only(tmp_path, mood(tmp_path, labelled(40, "up", "up", "down", "up")))
    for sentence in (
        " one text, one of several classes kind =",
        " 40 rows to learn from train =",
        "8 rows of train (20%) are held back to choose the model by: the same ones in every run, every label in its "
        "share, and no text on both sides; scores on so few are rough, and folds = 5 in place of holdout has `minbert "
        "experiment run` score every row holdout = 8",
        " 'text' by its name; 6.0 words on average text =",
        " 'label': 2 different values in 40 rows label =",
        " share of rows in train: down 25.0%, up 75.0% labels =",
    ):
        assert sentence in said


def test_folds_may_stand_in_place_of_holdout_as_the_recipe_says(tmp_path: Path) -> None:
    proposal = propose([mood(tmp_path, labelled(40, "up", "down"))], tmp_path / "r.toml")
    text = re.sub("(?m)^holdout = 8$", "folds = 5\nfold = 1", proposal.text)
    (tmp_path / "r.toml").write_text(text, encoding="utf-8")
    _, readings = read_tasks(load(tmp_path / "r.toml").tasks, skip_bad_rows=False)
    assert {split: len(reading.examples) for split, reading in readings["mood"].items()} == {"train": 32, "dev": 8}
    many = propose([mood(tmp_path, labelled(600, "up", "down"))], tmp_path / "r.toml")
    assert "folds = 5" not in many.text


def pairs(folder: Path, name: str = "same.csv") -> Path:
    rows: list[list[Cell]] = [[text(n), text(n + 60), n % 2] for n in range(40)]
    return written(folder, name, ["text1", "text2", "label"], rows)


def test_folds_are_advised_for_every_task_and_the_recipe_loads_with_them(tmp_path: Path) -> None:
    files = [mood(tmp_path, labelled(40, "up", "down")), pairs(tmp_path)]
    proposal = propose(files, tmp_path / "r.toml")
    said = " ".join(proposal.text.replace("\n# ", " ").split())
    assert said.count("folds = 5 in place of holdout in every task has `minbert experiment run` score every row") == 2
    (tmp_path / "r.toml").write_text(re.sub("(?m)^holdout = .*$", "folds = 5", proposal.text), encoding="utf-8")
    assert [task.folds for task in load(tmp_path / "r.toml").tasks.values()] == [5, 5]


def test_folds_are_not_advised_where_a_task_cannot_have_them(tmp_path: Path) -> None:
    split = [mood(tmp_path, labelled(rows, "up", "down"), f"mood-{name}.csv") for name, rows in SPLIT_ROWS.items()]
    proposal = propose([*split, pairs(tmp_path)], tmp_path / "r.toml")
    assert "holdout = 8" in proposal.text
    assert "folds = 5" not in proposal.text


def test_no_more_than_a_thousand_rows_are_held_back(tmp_path: Path) -> None:
    task, said = only(tmp_path, mood(tmp_path, labelled(5200, "up", "down")))
    assert task.holdout == 1000
    assert "1,000 rows of train (19%) are held back" in said


def test_rows_are_held_back_by_label_and_no_text_is_on_both_sides(tmp_path: Path) -> None:
    rows = [[text(n % 20), ("up", "down")[n % 20 // 10]] for n in range(80)]
    proposal = propose([mood(tmp_path, rows)], tmp_path / "r.toml")
    readings = proposal.readings["mood"]
    train, dev = readings["train"].examples, readings["dev"].examples
    assert set(train.texts[0]).isdisjoint(dev.texts[0])
    assert len(train) + len(dev) == 80
    assert dev.labels is not None
    assert np.bincount(dev.labels.astype(int)).tolist() == [8, 8]


def test_more_rows_are_held_back_where_those_that_share_a_text_are_too_many(tmp_path: Path) -> None:
    """Groups of six do not fit into the four that a fifth of forty rows leaves to each of two labels."""
    task, said = only(tmp_path, mood(tmp_path, [[text(n // 6), ("up", "down")[n // 6 % 2]] for n in range(42)]))
    assert task.holdout == 14
    assert "12 rows of train (29%) are held back" in said
    assert (
        "the 12 rows held back are 2 groups of rows that share no text: scores on them are rougher than so many" in said
    )


def test_few_groups_are_a_doubt_and_few_rows_that_share_nothing_are_none(tmp_path: Path) -> None:
    rows: list[list[Cell]] = [[text(n // 4), text(n + 60), n // 4 % 2] for n in range(80)]
    path = written(tmp_path, "same.csv", ["text1", "text2", "label"], rows)
    assert propose([path], tmp_path / "r.toml").remarks == [
        "task 'same': the 16 rows held back are 4 groups of rows that share no text: scores on them are rougher than "
        "so many rows suggest; name a dev file if you have one"
    ]
    assert propose([pairs(tmp_path)], tmp_path / "r.toml").remarks == []


def test_a_label_that_no_name_speaks_for_is_a_guess_and_said_to_be_one(tmp_path: Path) -> None:
    rows: list[list[Cell]] = [[text(n), ("web", "phone")[n % 2], ("good", "bad", "odd")[n % 3]] for n in range(60)]
    path = written(tmp_path, "mood.csv", ["text", "channel", "finding"], rows)
    assert propose([path], tmp_path / "r.toml").remarks == [
        "task 'mood': that 'channel' is the label is a guess; 'finding' could be one, too"
    ]
    named = written(tmp_path, "mood.csv", ["text", "channel", "verdict"], rows)
    proposal = propose([named], tmp_path / "r.toml")
    assert loaded(proposal, tmp_path / "r.toml")["mood"].label == "verdict"
    assert proposal.remarks == []


@pytest.mark.parametrize(
    ("rows", "doubt"),
    [
        (labelled(9, "a", "b"), "9 rows are too few to hold some back"),
        ([["the same text", label] for label in "ab" * 20], "rows share so many texts that none can be held back"),
    ],
)
def test_where_none_can_be_held_back_there_is_no_dev_and_it_is_said(
    tmp_path: Path, rows: list[list[Cell]], doubt: str
) -> None:
    proposal = propose([mood(tmp_path, rows)], tmp_path / "r.toml")
    assert loaded(proposal, tmp_path / "r.toml")["mood"].holdout is None
    assert proposal.remarks == [
        f"task 'mood': {doubt}, so no model can be chosen by dev scores; name a dev file if you have one"
    ]


def test_that_few_rows_could_be_held_back_is_said(tmp_path: Path) -> None:
    rows: list[list[Cell]] = [["the same text", "ab"[n % 2]] for n in range(95)]
    proposal = propose([mood(tmp_path, [*rows, *labelled(5, "a", "b")])], tmp_path / "r.toml")
    assert len(proposal.readings["mood"]["dev"].examples) == 5
    assert proposal.remarks == [
        "task 'mood': only 5 rows could be held back, since many rows share a text; name a dev file"
    ]


def test_rare_classes_are_weighted_and_count_in_the_score(tmp_path: Path) -> None:
    task, said = only(tmp_path, mood(tmp_path, labelled(240, "rare", *["usual"] * 11)))
    assert (task.class_weights, task.metric) == ("balanced", "macro-f1")
    assert "'usual' has 220 rows, 'rare' 20: rows of rare classes count more" in said
    assert "accuracy is 0.917 without learning metric" in said
    even, said = only(tmp_path, mood(tmp_path, labelled(220, "rare", *["usual"] * 10)))
    assert (even.class_weights, even.metric) == (None, "accuracy")
    assert "class_weights" not in said


def test_rare_classes_of_a_multi_label_task_count_in_the_score(tmp_path: Path) -> None:
    rows = [[text(n), "often,rare" if n % 20 == 0 else "often"] for n in range(100)]
    task, said = only(tmp_path, written(tmp_path, "t.csv", ["text", "tags"], rows))
    assert (task.kind, task.labels, task.metric) == ("multi-label", ["often", "rare"], "label-f1")
    assert "'often' has 100 rows, 'rare' 5: choose by the mean over classes" in said


def test_lists_and_columns_of_classes_are_multi_label(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {"text": [text(n) for n in range(40)], "tags": [[WORDS[n % 3], "x"][: n % 3] for n in range(40)]}
    )
    frame.write_parquet(tmp_path / "t.parquet")
    task, _ = only(tmp_path, tmp_path / "t.parquet")
    assert (task.kind, task.labels) == ("multi-label", ["bad", "film", "x"])
    rows = [[text(n), n % 2, int(n % 3 == 0)] for n in range(40)]
    task, said = only(tmp_path, written(tmp_path, "c.csv", ["text", "rude", "toxic"], rows))
    assert (task.kind, task.label) == ("multi-label", ["rude", "toxic"])
    assert "share of rows in train: rude 50.0%, toxic 35.0% label" in said


def test_a_score_of_two_texts_has_a_range_over_all_its_files(tmp_path: Path) -> None:
    header = ["question", "answer", "score"]
    files = [
        written(tmp_path, f"near-{split}.jsonl", header, [[text(n), text(n + 7), n % high / 2] for n in range(30)])
        for split, high in (("train", 9), ("dev", 10))
    ]
    task, said = only(tmp_path, *files)
    assert (task.kind, task.text, task.range) == ("pair-regression", ["question", "answer"], (0.0, 5.0))
    assert "scores seen from 0 to 4.5; widen it where the scale goes on range" in said


def test_a_class_that_only_dev_has_is_declared_and_said(tmp_path: Path) -> None:
    """Field report B09: by declaration an allowed class, where train alone would not know it."""
    files = [
        mood(tmp_path, labelled(20, "neg", "pos"), "mood-train.csv"),
        mood(tmp_path, labelled(9, "neg", "mixed"), "mood-dev.csv"),
    ]
    proposal = propose(files, tmp_path / "r.toml")
    assert loaded(proposal, tmp_path / "r.toml")["mood"].labels == ["mixed", "neg", "pos"]
    assert proposal.remarks == ["task 'mood': dev has rows of mixed, and train has none, so that it is never learned"]


@pytest.mark.parametrize("header", [["text", "label"], ["text1", "text2", "label"]])
def test_a_dev_file_without_a_class_of_train_is_refused(tmp_path: Path, header: list[str]) -> None:
    paths = {}
    for split, labels in (("train", [0, 1]), ("dev", ["neg", "pos"])):
        rows = [[*[text(n + 20 * place) for place in range(len(header) - 1)], labels[n % 2]] for n in range(12)]
        paths[split] = written(tmp_path, f"mood-{split}.csv", header, rows)
    with pytest.raises(DataError) as refused:
        propose(list(paths.values()), tmp_path / "r.toml")
    assert str(refused.value) == (
        f"{paths['dev']} has the classes neg, pos and {paths['train']} 0, 1: none is in both, so that none could be "
        "told right; are they spelt differently? write them alike"
    )


def test_many_classes_are_counted_and_not_listed(tmp_path: Path) -> None:
    proposal = propose([mood(tmp_path, labelled(200, *[f"class {n}" for n in range(25)]))], tmp_path / "r.toml")
    assert "labels" not in tomllib.loads(proposal.text)["tasks"]["mood"]
    assert "the commonest and the rarest" in proposal.text


def test_classes_that_differ_in_case_alone_are_a_doubt(tmp_path: Path) -> None:
    proposal = propose([mood(tmp_path, labelled(30, "pos", " Pos", "neg"))], tmp_path / "r.toml")
    assert proposal.remarks == ["task 'mood': labels 'Pos', 'pos' differ in case alone and count as different classes"]


def test_bad_rows_are_counted_and_the_recipe_says_how_to_leave_them_out(tmp_path: Path) -> None:
    rows = labelled(30, "a", "b")
    rows[4][1], rows[7][0] = "", " "
    path = mood(tmp_path, rows)
    proposal = propose([path], tmp_path / "r.toml")
    assert [bad.row for bad in proposal.bad_rows] == [5, 8]
    assert proposal.remarks == [
        f"task 'mood': 2 rows cannot be used, the first: {path}, row 5 (line 6), column 'label': the label is blank; "
        "write one"
    ]
    assert f"#   minbert train {tmp_path / 'r.toml'} --skip-bad-rows\n" in proposal.text


def test_both_dialects_of_quotes_lose_no_row(tmp_path: Path) -> None:
    """Field report B03."""
    (tmp_path / "a.tsv").write_text(
        'id\ttext\tlabel\n1\t"no, she said\t0\n2\tfine\t1\n3\tand then yes"\t0\n4\t"good" value\t1\n5\ta 5" pipe\t1\n'
    )
    task = propose([tmp_path / "a.tsv"], tmp_path / "r.toml")
    assert task.readings["a"]["train"].examples.texts[0] == [
        '"no, she said', "fine", 'and then yes"', '"good" value', 'a 5" pipe'
    ]  # fmt: skip
    (tmp_path / "b.csv").write_text(
        '\tid\tsentence1\tsentence2\tis_duplicate\n7\taa01\t"Is ""x"" a word?"\tWhat is x?\t0.0\n'
        "8\taa02\tWhat is y?\t\t\n9\taa03\tWhy so?\tHow so?\t1.0\n"
    )
    pair = propose([tmp_path / "b.csv"], tmp_path / "r.toml")
    assert pair.readings["b"]["train"].examples.texts[0] == ['Is "x" a word?', "Why so?"]
    assert [(bad.id, bad.column) for bad in pair.bad_rows] == [("aa02", "sentence2")]


def test_an_encoding_is_named_with_a_word_to_look_at(tmp_path: Path) -> None:
    """Field report B25."""
    lines = "".join(f"naïve café – “ok” {n},{'pos' if n % 2 else 'neg'}\n" for n in range(12))
    (tmp_path / "t.csv").write_bytes(f"text,label\n{lines}".encode("cp1252"))
    task, said = only(tmp_path, tmp_path / "t.csv")
    assert task.encoding == "cp1252"
    assert " not UTF-8; look whether 'naïve' is spelt right encoding" in said
    assert propose([tmp_path / "t.csv"], tmp_path / "r.toml").remarks == [
        "task 't': read as cp1252, not UTF-8; look whether 'naïve' is spelt right"
    ]
    (tmp_path / "t-train.csv").write_bytes((tmp_path / "t.csv").read_bytes())
    (tmp_path / "t-dev.csv").write_text(f"text,label\n{lines}", encoding="utf-8")
    with pytest.raises(
        DataError, match=r"as cp1252 and .*t-dev\.csv as utf-8, and the files of a task have one encoding"
    ):
        propose([tmp_path / "t-train.csv", tmp_path / "t-dev.csv"], tmp_path / "r.toml")


def test_words_that_look_like_nothing_are_texts(tmp_path: Path) -> None:
    """Field report B39."""
    words = ["NA", "null", "None", "nan", "N/A", *WORDS]
    proposal = propose([mood(tmp_path, [[word, n % 2] for n, word in enumerate(words)])], tmp_path / "r.toml")
    splits = proposal.readings["mood"].values()
    assert sorted(text for split in splits for text in split.examples.texts[0]) == sorted(words)


def test_paths_are_relative_to_the_recipe_and_a_name_that_cannot_stay_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "in put").mkdir()
    path = mood(tmp_path / "in put", labelled(20, "a", "b"), "größe.csv")
    proposal = propose([path], tmp_path / "new folder" / "my recipe.toml")
    values = tomllib.loads(proposal.text)
    assert values["name"] == "my-recipe"
    assert list(values["tasks"]) == ["gr-e"]
    assert values["tasks"]["gr-e"]["train"] == "../in put/größe.csv"
    assert "--recipe '" in proposal.text
    (tmp_path / "new folder").mkdir()
    loaded(proposal, tmp_path / "new folder" / "my recipe.toml")


def test_a_file_named_twice_counts_once(tmp_path: Path) -> None:
    path = mood(tmp_path, labelled(20, "a", "b"))
    proposal = propose([path, tmp_path / "." / "mood.csv"], tmp_path / "r.toml")
    assert proposal.tasks["mood"].train == str(tmp_path / "mood.csv")


@pytest.mark.parametrize(("name", "task"), [("sst-train.csv", "sst-2"), ("sum.csv", "sum-2"), ("数据.csv", "task")])
def test_a_name_that_means_something_else_is_not_taken(tmp_path: Path, name: str, task: str) -> None:
    proposal = propose([mood(tmp_path, labelled(20, "a", "b"), name)], tmp_path / "r.toml")
    assert list(loaded(proposal, tmp_path / "r.toml")) == [task]


def test_what_train_refuses_is_refused_before_anything_is_proposed(tmp_path: Path) -> None:
    rows = labelled(20, "a", "b")
    for row in rows[1::2]:
        row[0] = ""
    with pytest.raises(DataError, match=r"task 'mood': .*every row has the label 'a'; a classification needs two"):
        propose([mood(tmp_path, rows)], tmp_path / "r.toml")


@settings(max_examples=25)
@given(
    names=st.lists(st.text(min_size=1, max_size=8), min_size=3, max_size=3, unique=True),
    labels=st.lists(st.text(min_size=1, max_size=8), min_size=2, max_size=4, unique=True),
)  # fmt: skip
def test_any_names_and_labels_are_refused_in_words_or_make_a_recipe_that_loads(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], labels: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    rows = [dict(zip(names, (text(n), labels[n % len(labels)], n), strict=True)) for n in range(20)]
    lines = "\n".join(json.dumps(row) for row in rows) + "\n"
    (folder / "t.jsonl").write_text(lines, encoding="utf-8", errors="surrogatepass")
    try:
        proposal = propose([folder / "t.jsonl"], folder / "r.toml")
    except DataError as error:
        assert len(str(error).splitlines()) <= 3  # noqa: PT017
        return
    assert len(proposal.readings["t"]["train"].examples) >= 10
    loaded(proposal, folder / "r.toml")


COURSE = {"sst": "ids-sst", "cfimdb": "ids-cfimdb", "para": "quora", "sts": "sts"}


@pytest.mark.parametrize("name", COURSE)
@pytest.mark.parametrize("split", [pytest.param("train", marks=pytest.mark.slow), "dev"])
def test_each_labelled_file_of_the_course_is_its_task(course_data: Path, tmp_path: Path, name: str, split: str) -> None:
    proposal = propose([course_data / f"{COURSE[name]}-{split}.csv"], tmp_path / "r.toml")
    (found,) = proposal.tasks
    assert found == name
    task = proposal.tasks[name]
    keys = ("kind", "text", "label", "id")
    assert [getattr(task, key) for key in keys] == [BUILT_IN[name][key] for key in keys]
    assert "dev" in proposal.readings[name]


@pytest.mark.parametrize("name", COURSE)
def test_an_unlabelled_file_of_the_course_makes_a_task_with_its_train_file_alone(
    course_data: Path, tmp_path: Path, name: str
) -> None:
    test = course_data / f"{COURSE[name]}-test-student.csv"
    with pytest.raises(DataError, match=r"no column can be a label: .* name the train file that this one belongs to"):
        propose([test], tmp_path / "r.toml")


def test_all_files_of_the_course_are_its_four_tasks(course_data: Path, tmp_path: Path) -> None:
    proposal = propose(sorted(course_data.glob("*.csv")), tmp_path / "r.toml")
    values = tomllib.loads(proposal.text)["tasks"]
    assert sorted(values) == sorted(COURSE)
    for name, prefix in COURSE.items():
        names = {split: Path(file).name for split, file in values[name].items()}
        assert names == {
            "train": f"{prefix}-train.csv", "dev": f"{prefix}-dev.csv", "test": f"{prefix}-test-student.csv"
        }  # fmt: skip
    assert [bad.path.name for bad in proposal.bad_rows] == ["quora-train.csv"] * 2


def test_few_rows_get_more_epochs_and_many_the_default(tmp_path: Path) -> None:
    small = propose([mood(tmp_path, labelled(40, "up", "down"))], tmp_path / "mood.toml")
    recipe = load(tomllib.loads(small.text), data=tmp_path, name="mood")
    assert recipe.training.epochs == 30  # 32 rows are 2 batches of 16, and 60 updates are wanted
    assert "# 3 epochs (passes over the smallest file) would be 6 updates; these are 60\nepochs = 30\n" in small.text
    many = propose([mood(tmp_path, labelled(400, "up", "down"), "many.csv")], tmp_path / "many.toml")
    assert "[training]" not in many.text  # 320 rows are 20 batches, and 3 epochs of them 60


def test_a_column_of_few_texts_beside_the_text_is_said_to_be_left_out(tmp_path: Path) -> None:
    """As in questions with standard answers: only the user knows whether they are a pair."""
    rows = [[text(n), f"please call the help desk {n % 4}", ("yes", "no")[n % 2]] for n in range(80)]
    file = written(tmp_path, "pairs.csv", ["first", "second", "same"], rows)
    proposal = propose([file], tmp_path / "pairs.toml")
    (remark,) = [remark for remark in proposal.remarks if "second" in remark]
    assert remark == (
        "task 'pairs': 'second' holds 4 different texts and is not used; where two texts belong together, set kind and "
        'text = ["first", "second"]'
    )
