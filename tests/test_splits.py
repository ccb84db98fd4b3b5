"""A task's files as splits: several are as one file with all their rows, and dev sets keep their names."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from minbert import train
from minbert.data import Reading
from minbert.errors import DataError
from minbert.metrics import accuracy
from minbert.splits import dev_set_places, read_split, read_splits
from minbert.tasks import Task

ROWS = [("good film", "up"), ("dull film", "down"), ("a quiet cat", "so so"), ("very good", "up"), ("bad dog", "down")]


def write(path: Path, rows: Sequence[tuple[str, ...]], header: str = "text,label") -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_text(header + "\n" + "".join(f"{','.join(row)}\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """ROWS in three files, whose classes differ."""
    return [write(tmp_path / f"{i}.csv", rows) for i, rows in enumerate((ROWS[:2], ROWS[2:3], ROWS[3:]))]


def mood(**more: object) -> Task:
    return Task.model_validate({"kind": "classification"} | more)


def plain(reading: Reading) -> tuple[object, ...]:
    assert reading.examples.labels is not None
    return reading.examples.ids, reading.examples.texts, reading.examples.labels.tolist(), reading.labels


def test_several_files_are_as_one_with_all_their_rows(files: list[str], tmp_path: Path) -> None:
    """The classes are those of all files, in one order; rows without ids count on."""
    whole = read_split(mood(train=write(tmp_path / "whole.csv", ROWS)), "train")
    joined = read_split(mood(train=files), "train")
    assert plain(joined) == plain(whole)
    assert joined.labels == ["down", "so so", "up"]
    assert joined.row_numbers == whole.row_numbers == [1, 2, 3, 4, 5]
    given = read_split(mood(train=files, labels=["up", "down", "so so"]), "train")
    assert given.examples.labels is not None
    assert given.examples.labels.tolist() == [0, 1, 2, 0, 1]


def test_one_file_in_a_list_is_that_file(files: list[str]) -> None:
    assert plain(read_split(mood(train=files[:1]), "train")) == plain(read_split(mood(train=files[0]), "train"))


def test_a_bad_row_is_named_in_its_own_file(files: list[str], tmp_path: Path) -> None:
    bad = write(tmp_path / "bad.csv", [("fine", "up"), ("", "up"), ("also fine", "down")])
    task = mood(train=[files[0], bad])
    with pytest.raises(DataError, match=r"bad.csv, row 2 \(line 3\), column 'text': the text is blank"):
        read_split(task, "train")
    reading = read_split(task, "train", skip_bad_rows=True)
    assert (reading.rows, reading.row_numbers, reading.examples.ids) == (5, [1, 2, 3, 5], ["1", "2", "3", "5"])
    assert [part.rows for part in reading.parts.values()] == [2, 3]


def test_ids_of_several_files_stay_as_they_are(tmp_path: Path) -> None:
    files = [
        write(tmp_path / f"{i}.csv", [("a", "up", f"x{i}"), ("b", "down", f"y{i}")], "text,label,key") for i in (1, 2)
    ]
    assert read_split(mood(train=files, id="key"), "train").examples.ids == ["x1", "y1", "x2", "y2"]


def test_rows_are_held_back_from_all_files(tmp_path: Path) -> None:
    files = [write(tmp_path / f"{i}.csv", [(f"text {i} {n}", "ab"[n % 2]) for n in range(20)]) for i in (1, 2)]
    _, readings = read_splits(mood(train=files, holdout=10))
    assert [len(readings[split].examples) for split in ("train", "dev")] == [30, 10]
    held = readings["dev"].examples.texts[0]
    assert {text.split()[1] for text in held} == {"1", "2"}


def test_dev_sets_stand_one_after_the_other(files: list[str]) -> None:
    task = mood(train=files, dev={"web": files[0], "mail": files[1:]}, labels=["down", "so so", "up"])
    reading = read_splits(task)[1]["dev"]
    places = dev_set_places(task, reading)
    assert {name: reading.examples.texts[0][place] for name, place in places.items()} == {
        "web": ["good film", "dull film"],
        "mail": ["a quiet cat", "very good", "bad dog"],
    }
    assert reading.row_numbers == [1, 2, 3, 4, 5]
    assert dev_set_places(mood(train=files, dev=files), reading) == {}


def test_training_scores_each_dev_set_and_chooses_by_all(files: list[str], tmp_path: Path, tiny_encoder: Path) -> None:
    dev = {"web": files[0], "mail": files[1:]}
    recipe = {"encoder": str(tiny_encoder), "tasks": {"mood": {"kind": "classification", "train": files, "dev": dev}}}
    run = train(recipe | {"training": {"max_steps": 2}}, runs=tmp_path / "runs")
    record = next(record for record in reversed(run.records()) if record["kind"] == "evaluation")
    answered = run.read_predictions("mood", run.recipe().tasks["mood"])
    assert answered.labels is not None
    parts = {"web": slice(0, 2), "mail": slice(2, 5)}
    found = {name: of["accuracy"] for name, of in record["dev_sets"]["mood"].items()}
    assert found == {name: accuracy(answered.values[place], answered.labels[place]) for name, place in parts.items()}
    assert record["metrics"]["mood"]["accuracy"] == pytest.approx(np.average(list(found.values()), weights=[2, 3]))
    assert json.loads((run.best / "tasks.json").read_text())["mood"].keys().isdisjoint({"train", "dev", "test"})
    assert run.recipe().tasks["mood"].dev == dev
