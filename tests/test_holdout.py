"""Holding rows back: no text on both sides, every label its share, the same rows in any order of the file."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from minbert.errors import DataError, RecipeError
from minbert.holdout import divide, fifths, hold_back
from minbert.jobs import prepare
from minbert.recipes import load
from minbert.splits import read_splits
from minbert.tables import write_table
from minbert.tasks import Task

RNG = np.random.default_rng(0)


def numbered(count: int) -> list[list[str]]:
    return [[f"text {number}" for number in range(count)]]


def classes(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """One class an example [N, K]."""
    return np.asarray(labels[:, None] == np.unique(labels))


def many(rows: int, count: int) -> NDArray[np.bool_]:
    """Any number of classes an example, some common and some rare."""
    generator = np.random.default_rng(count)
    return generator.random((rows, count)) < generator.uniform(0.03, 0.4, count)


@pytest.mark.parametrize("count", [1, 7, 100, 250])
def test_every_label_gives_its_share(count: int) -> None:
    labels = np.repeat([0.0, 1.0, 2.0], [700, 250, 50])
    held = hold_back(numbered(1000), classes(labels), count)
    assert held.sum() == count
    for label, rows in ((0, 700), (1, 250), (2, 50)):
        assert abs((labels[held] == label).sum() - count * rows / 1000) < 1


def test_every_fifth_of_the_scores_gives_its_share() -> None:
    scores = RNG.permutation(1000) / 200
    held = hold_back([[str(score) for score in scores]] * 2, fifths(scores), 200)
    assert np.histogram(scores[held], bins=5, range=(0, 5))[0].tolist() == [40] * 5


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12), st.integers(0, 2)), min_size=4, max_size=60))
def test_no_text_stands_on_both_sides(rows: list[tuple[int, int, int]]) -> None:
    texts = [[f"A  question {first}" for first, _, _ in rows], [f"a QUESTION {second}" for _, second, _ in rows]]
    held = hold_back(texts, classes(np.array([label for _, _, label in rows])), len(rows) // 3)
    number_of = [{number for row in np.flatnonzero(side) for number in rows[row][:2]} for side in (held, ~held)]
    assert number_of[0].isdisjoint(number_of[1])
    assert held.sum() <= len(rows) // 3


def test_the_order_of_the_file_decides_nothing() -> None:
    texts = [[f"question {n}" for n in RNG.integers(0, 300, 400)], [f"question {n}" for n in RNG.integers(0, 300, 400)]]
    labels, order = RNG.integers(0, 2, 400).astype(float), RNG.permutation(400)
    held = hold_back(texts, classes(labels), 20)
    assert held.any()
    again = hold_back([[column[row] for row in order] for column in texts], classes(labels[order]), 20)
    rows = list(zip(*texts, labels, strict=True))
    assert sorted(rows[row] for row in np.flatnonzero(held)) == sorted(rows[order[n]] for n in np.flatnonzero(again))


@pytest.mark.parametrize("parts", [2, 3, 7])
def test_every_part_has_its_share_of_every_label(parts: int) -> None:
    labels = np.repeat([0.0, 1.0, 2.0], [700, 250, 50])
    part = divide(numbered(1000), classes(labels), parts)
    assert set(part) == set(range(1, parts + 1))
    for label, rows in ((0, 700), (1, 250), (2, 50)):
        assert np.all(np.abs(np.bincount(part[labels == label])[1:] - rows / parts) <= 1)


@pytest.mark.parametrize(("count", "rows", "parts"), [(77, 7, 5), (77, 4, 5), (150, 3, 10), (2, 9, 4)])
def test_parts_of_many_small_classes_have_the_same_size(count: int, rows: int, parts: int) -> None:
    sizes = np.bincount(divide(numbered(count * rows), classes(np.repeat(np.arange(count), rows)), parts))[1:]
    assert len(sizes) == parts
    assert np.ptp(sizes) <= 1


@pytest.mark.parametrize(("rows", "count"), [(200, 10), (1000, 28)])
def test_every_part_has_its_share_of_each_of_many_classes(rows: int, count: int) -> None:
    strata = many(rows, count)
    part = divide(numbered(rows), strata, 5)
    assert np.bincount(part)[1:].tolist() == [rows // 5] * 5
    shares = np.stack([strata[part == one].mean(0) for one in range(1, 6)])
    assert np.abs(shares - strata.mean(0)).max() < 0.05
    held = hold_back(numbered(rows), strata, rows // 10)
    assert held.sum() == rows // 10
    assert np.abs(strata[held].mean(0) - strata.mean(0)).max() < 0.05


def test_every_part_has_its_share_of_every_fifth_of_the_scores() -> None:
    scores = RNG.permutation(1000) / 200
    part = divide([[str(score) for score in scores]] * 2, fifths(scores), 5)
    for one in range(1, 6):
        assert np.histogram(scores[part == one], bins=5, range=(0, 5))[0].tolist() == [40] * 5


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(0, 2)), min_size=4, max_size=60))
def test_no_text_stands_in_two_parts_whatever_the_order_of_the_file(
    rows: list[tuple[int, int, int]],
) -> None:
    texts = [[f"A  question {first}" for first, _, _ in rows], [f"a QUESTION {second}" for _, second, _ in rows]]
    labels = np.array([label for _, _, label in rows], dtype=float)
    part = divide(texts, classes(labels), 3)
    parts_of = [{part[row] for row, of in enumerate(rows) if number in of[:2]} for number in range(31)]
    assert all(len(found) <= 1 for found in parts_of)
    order = np.random.default_rng(len(rows)).permutation(len(rows))
    again = divide([[column[row] for row in order] for column in texts], classes(labels)[order], 3)
    rows_of = [[tuple(rows[row]) for row in np.flatnonzero(part == one)] for one in (1, 2, 3)]
    rows_again = [[tuple(rows[order[row]]) for row in np.flatnonzero(again == one)] for one in (1, 2, 3)]
    assert [sorted(one) for one in rows_of] == [sorted(one) for one in rows_again]


def mood(folder: Path, rows: int, **more: object) -> Task:
    cells = [[f"text {number}", "good" if number % 4 else "bad"] for number in range(rows)]
    write_table(folder / "mood.csv", ["text", "label"], cells)
    return Task.model_validate({"kind": "classification", "train": str(folder / "mood.csv")} | more)


def test_a_task_chooses_by_what_it_held_back_and_not_by_its_dev_file(tmp_path: Path) -> None:
    task, readings = read_splits(mood(tmp_path, 40, holdout=8, dev="not-there.csv"))
    train, dev = readings["train"].examples, readings["dev"].examples
    assert (len(train), len(dev)) == (32, 8)
    assert sorted(train.ids + dev.ids, key=int) == [str(row) for row in range(1, 41)]
    assert task.labels == ["bad", "good"]
    assert dev.labels is not None
    assert (dev.labels == 0).sum() == 2
    assert readings["train"].notes == ["held back 8 rows to choose by"]


def test_most_rows_are_not_held_back(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has 20 rows, and holdout = 11 would take more than half; lower it"):
        read_splits(mood(tmp_path, 20, holdout=11))


def test_texts_that_all_hang_together_cannot_be_held_back(tmp_path: Path) -> None:
    cells = [["the same text", "good" if number % 4 else "bad"] for number in range(12)]
    task = mood(tmp_path, 12, holdout=3)
    write_table(tmp_path / "mood.csv", ["text", "label"], cells)
    with pytest.raises(DataError, match="rows share so many texts that none can be held back; name a dev file"):
        read_splits(task)


def test_rows_are_the_same_under_every_seed_and_can_choose_the_model(tmp_path: Path, tiny_encoder: Path) -> None:
    table = {"kind": "classification", "train": str(mood(tmp_path, 30).train), "holdout": 6}
    values = {"encoder": str(tiny_encoder), "tasks": {"mood": table}, "training": {"select_on": "mood"}}
    first, second = (prepare(load(values | {"seed": seed}))[0].encoded["dev"]["mood"] for seed in (1, 2))
    assert first.ids == second.ids
    assert len(first) == 6


def test_a_dev_file_beside_it_is_said_not_to_be_read(tmp_path: Path) -> None:
    _, readings = read_splits(mood(tmp_path, 40, holdout=8, dev="not-there.csv"))
    assert readings["dev"].warnings == ["rows held back from train; not-there.csv is not read"]
    assert read_splits(mood(tmp_path, 40, holdout=8))[1]["dev"].warnings == []


def test_each_part_is_dev_once(tmp_path: Path) -> None:
    held = [read_splits(mood(tmp_path, 41, folds=4, fold=fold))[1] for fold in (1, 2, 3, 4)]
    assert sorted((row for one in held for row in one["dev"].examples.ids), key=int) == [str(n) for n in range(1, 42)]
    for number, one in enumerate(held, start=1):
        assert not set(one["train"].examples.ids) & set(one["dev"].examples.ids)
        assert len(one["train"].examples) + len(one["dev"].examples) == 41
        assert one["train"].notes == [f"held back {len(one['dev'].examples)} rows to choose by, part {number} of 4"]


def test_a_single_run_is_to_say_which_part(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="divided into 4 parts, which `minbert experiment run` holds back in turn; for"):
        read_splits(mood(tmp_path, 40, folds=4))


def test_texts_that_hang_together_are_not_enough_for_so_many_parts(tmp_path: Path) -> None:
    task = mood(tmp_path, 12, folds=5, fold=1)
    write_table(tmp_path / "mood.csv", ["text", "label"], [[f"text {n % 3}", "ab"[n % 2]] for n in range(12)])
    with pytest.raises(DataError, match="share no text are enough for 3 parts alone, not for folds = 5; lower it"):
        read_splits(task)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"folds": 3, "holdout": 2}, "holdout and folds both hold rows of the train file back; leave one out"),
        ({"fold": 1}, "fold = 1 is not one of the parts that folds = N makes"),
        ({"folds": 3, "fold": 4}, "fold = 4 is not one of the parts that folds = 3 makes"),
    ],
)
def test_keys_of_parts_fit_each_other(keys: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Task.model_validate({"kind": "classification", "train": "a.csv"} | keys)


def test_tasks_that_are_scored_have_the_same_parts() -> None:
    table = {"kind": "classification", "train": "a.csv"}
    with pytest.raises(
        RecipeError,
        match="in every scored task, or in none; folds are a 3, b None",
    ):
        load({"tasks": {"a": table | {"folds": 3}, "b": table | {"dev": "b.csv"}}})
    recipe = load({"tasks": {"a": table | {"folds": 3}, "b": table}})
    assert recipe.folds == [1, 2, 3]
    assert [recipe.with_fold(2).tasks[name].fold for name in ("a", "b")] == [2, None]
