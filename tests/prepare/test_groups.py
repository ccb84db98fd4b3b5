"""Files by name and columns as tasks with splits: what is told, what is assumed and said, what is left out."""

from pathlib import Path

import pytest

from minbert.errors import DataError
from minbert.prepare.groups import Group, grouped
from minbert.prepare.sheet import read_sheet
from minbert.tables import Cell, write_table

WORDS = ["good", "bad", "film"]
Rows = list[list[Cell]]


def labelled(rows: int, classes: int = 3, start: int = 0) -> Rows:
    return [[f"the film was number {n + start}", WORDS[n % classes]] for n in range(rows)]


def groups(folder: Path, **files: tuple[list[str], Rows]) -> dict[str, Group]:
    """Groups of files given by name; "__" in a name is a folder's end."""
    paths = []
    for name, (header, rows) in files.items():
        path = folder / f"{name.replace('__', '/')}.csv"
        path.parent.mkdir(exist_ok=True)
        write_table(path, header, rows)
        paths.append(path)
    return {group.name: group for group in grouped([read_sheet(path) for path in paths])}


def splits(group: Group) -> dict[str, list[str]]:
    return {split: [sheet.path.stem for sheet in sheets] for split, sheets in group.files.items() if sheets}


TASK = ["text", "label"]


@pytest.mark.parametrize(
    ("names", "task", "expected"),
    [
        (["mood-train", "mood-dev", "mood_test"], "mood", [0, 1, 2]),
        (["train", "valid", "test"], "data", [0, 1, 2]),
        (["Train", "validation", "TEST"], "data", [0, 1, 2]),
        (["train-mood", "dev-mood", "test-mood"], "mood", [0, 1, 2]),
        (["my.own_mood.train", "my-own mood val", "my_own-mood_test"], "my-own-mood", [0, 1, 2]),
        (["mood", "mood-dev", "mood-test"], "mood", [0, 1, 2]),
        (["train__0000", "dev__0000", "test__0000"], "data", [0, 1, 2]),
        (["train", "dev", "test-student"], "data", [0, 1, 2]),
    ],
)
def test_names_tell_task_and_split(tmp_path: Path, names: list[str], task: str, expected: list[int]) -> None:
    (tmp_path / "data").mkdir()
    contents = [(TASK, labelled(12)), (TASK, labelled(6)), (["text"], [["a film of tomorrow"]])]
    (found,) = groups(tmp_path / "data", **dict(zip(names, contents, strict=True))).items()
    assert found[0] == task or (not found[0] and task == "data")
    stems = [name.rpartition("__")[2] for name in names]
    by_split = {split: [stems[n]] for split, n in zip(("train", "dev", "test"), expected, strict=True)}
    assert splits(found[1]) == by_split


def test_shards_are_one_split_in_their_order(tmp_path: Path) -> None:
    names = ["train-00000-of-00002", "train-00001-of-00002", "dev-00000-of-00001"]
    (group,) = groups(tmp_path, **{name: (TASK, labelled(6, start=n)) for n, name in enumerate(names)}).values()
    assert splits(group) == {"train": names[:2], "dev": names[2:]}
    assert (group.assumed, group.dev_names) == ([], [])


def test_several_dev_files_are_sets_by_what_follows_the_split(tmp_path: Path) -> None:
    pairs = [[text, f"{text} again", label] for text, label in labelled(9)]
    header = ["premise", "hypothesis", "label"]
    names = ["nli_train", "nli_dev_matched", "nli_dev_mismatched"]
    (group,) = groups(tmp_path, **dict.fromkeys(names, (header, pairs))).values()
    assert (group.name, group.dev_names) == ("nli", ["matched", "mismatched"])


def test_files_whose_names_tell_no_split_are_one_task_where_classes_agree(tmp_path: Path) -> None:
    found = groups(
        tmp_path, web=(TASK, labelled(12)), mail=(TASK, labelled(12, start=50)), shop=(TASK, labelled(12, 2))
    )
    assert {name: splits(group) for name, group in found.items()} == {
        "web": {"train": ["web", "mail"]},
        "shop": {"train": ["shop"]},
    }
    assert found["web"].assumed == [
        "web.csv, mail.csv: the names tell no split and columns and classes agree, so all 2 are to learn from; "
        "if one is for choosing, name it in dev and take out holdout"
    ]
    assert found["shop"].assumed == []


def test_that_classes_are_0_and_1_in_both_makes_two_files_no_one_task(tmp_path: Path) -> None:
    numbered: Rows = [[f"the film was number {n}", n % 2] for n in range(12)]
    found = groups(tmp_path, spam=(TASK, numbered), mood=(TASK, numbered))
    assert list(found) == ["spam", "mood"]
    assert found["spam"].assumed == [
        "taken for another task than mood, which has the same columns and classes; "
        "if they are one, list all their files in one train"
    ]


def test_a_file_without_a_split_beside_one_with_is_left_out_and_said(tmp_path: Path) -> None:
    files = {"mood": labelled(20), "mood-train": labelled(12), "mood-dev": labelled(6)}
    (group,) = groups(tmp_path, **{name: (TASK, rows) for name, rows in files.items()}).values()
    assert splits(group) == {"train": ["mood-train"], "dev": ["mood-dev"]}
    left = f"{tmp_path / 'mood.csv'} is left out: its name tells no split, and mood-train.csv is to learn from"
    assert group.assumed == [left]


def test_files_of_two_folders_are_two_tasks_unless_the_folders_are_splits(tmp_path: Path) -> None:
    rows = (TASK, labelled(12))
    found = groups(tmp_path, food__train=rows, food__dev=rows, mood__train=rows, mood__dev=rows)
    each = {"train": ["train"], "dev": ["dev"]}
    assert {name: splits(group) for name, group in found.items()} == {"food": each, "mood": each}
    files = {"new__mood-train": rows, "test__mood-test": (["text"], [["what came today"]])}
    (group,) = groups(tmp_path, **files).values()
    assert splits(group) == {"train": ["mood-train"], "test": ["mood-test"]}


def test_a_file_without_labels_is_a_test_file_of_the_task_with_its_texts(tmp_path: Path) -> None:
    (group,) = groups(tmp_path, web=(TASK, labelled(12)), new=(["text"], [["what came today"]])).values()
    assert splits(group) == {"train": ["web"], "test": ["new"]}
    assert group.assumed[-1] == "new.csv: taken as of this task, since the columns of texts are the same"


def test_files_of_two_tasks_with_the_same_columns_stay_apart(tmp_path: Path) -> None:
    found = groups(tmp_path, **{"food-train": (TASK, labelled(12)), "mood-dev": (TASK, labelled(12))})
    assert {name: splits(group) for name, group in found.items()} == {
        "food": {"train": ["food-train"]},
        "mood": {"train": ["mood-dev"]},
    }
    assert found["mood"].assumed == [
        "mood-dev.csv: the name says dev, but without a train file this is what there is to learn from"
    ]


def test_a_file_that_lacks_what_its_split_needs_is_left_out_with_the_reason(tmp_path: Path) -> None:
    blank: Rows = [[f"text {n}", ""] for n in range(3)]
    files = {
        "mood-train": (TASK, labelled(12)),
        "mood-dev": (TASK, blank),
        "mood-test": (["body"], [["what came today"]]),
    }
    (group,) = groups(tmp_path, **files).values()
    assert splits(group) == {"train": ["mood-train"]}
    assert group.assumed == [
        f"{tmp_path / 'mood-dev.csv'} is left out: its column 'label' is blank, and dev needs labels in 3 rows",
        f"{tmp_path / 'mood-test.csv'} is left out: it has no column 'text'",
    ]


def test_an_id_that_one_file_lacks_is_none(tmp_path: Path) -> None:
    train = [[f"a{n}", *row] for n, row in enumerate(labelled(12))]
    files = {"mood-train": (["id", *TASK], train), "mood-test": (["text"], [["what came today"]])}
    (group,) = groups(tmp_path, **files).values()
    assert group.roles.id is None
    assert group.assumed == ["'id' is no id in every file, so row numbers are the ids"]


def test_shards_that_share_no_column_are_refused_by_name(tmp_path: Path) -> None:
    other: Rows = [["a dog", "a cat", 1.5]] * 4
    with pytest.raises(DataError) as refused:
        groups(tmp_path, **{"a-1": (TASK, labelled(4)), "a-2": (["one", "two", "score"], other)})
    assert str(refused.value) == (
        f"{tmp_path / 'a-1.csv'} and {tmp_path / 'a-2.csv'} have no column in common, and by their names they are one "
        "task's; give their columns the same names, or the files names of their own"
    )


@pytest.mark.parametrize(
    ("header", "name"), [("text,text,label", "text"), ("text,label,label", "label"), ("x,x,label", "x")]
)
def test_two_columns_of_one_name_are_said(tmp_path: Path, header: str, name: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text("\n".join([header, *(f"a film {n},a dog {n},{n % 2}" for n in range(12))]) + "\n")
    with pytest.raises(DataError) as refused:
        grouped([read_sheet(path)])
    assert str(refused.value) == f"{path}: two columns are named '{name}'; give each a name of its own in the header"


def test_two_columns_of_one_name_that_no_task_needs_are_left_out(tmp_path: Path) -> None:
    lines = ["text,x,x,label", *(f"a film {n},1,2,{n % 2}" for n in range(12))]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    (found,) = grouped([read_sheet(tmp_path / "t.csv")])
    assert (found.roles.texts, found.roles.label) == (["text"], ["label"])


def test_a_test_file_alone_makes_no_task(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="name the train file that this one belongs to as well"):
        groups(tmp_path, **{"mood-test": (["text"], [["what came today"], ["and yesterday"]])})
