"""A task's files -> what each of its splits gave: several files joined, rows held back from train in place of dev."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from minbert.data import Examples, Reading, read_rows, usable
from minbert.errors import DataError, counted, several, shown
from minbert.holdout import divide, fifths, folded, groups, hold_back
from minbert.labels import label_order, listed_labels
from minbert.tasks import MOST_LABELS, Split, Task


def read_splits(task: Task, skip_bad_rows: bool = False) -> tuple[Task, dict[Split, Reading]]:
    """Reads every split that a task names; the train file decides the classes if the task does not.

    Returns the completed task and its readings. Raises DataError for a bad row unless they are to be skipped.
    """
    if task.train is None:
        raise DataError('the task names no train file; set train = "FILE" in its table')
    where = named(task, "train")
    train = read_split(task, "train", skip_bad_rows)
    if not task.is_regression:
        _check_classes(where, task, train)
    task = task.completed(train.labels)
    readings: dict[Split, Reading] = {"train": train}
    if task.divides_train:
        readings["train"], readings["dev"] = _divided(train, where, task)
        if task.dev is not None:
            readings["dev"].warnings.append(f"rows held back from train; {named(task, 'dev')} is not read")
    elif task.dev is not None:
        readings["dev"] = read_split(task, "dev", skip_bad_rows)
    for reading in readings.values():
        reading.warnings.extend(_missing_classes(task, reading.examples))
    if task.test is not None:
        readings["test"] = read_split(task, "test", skip_bad_rows)
    return task, readings


def dev_set_places(task: Task, reading: Reading) -> dict[str, slice]:
    """Where the examples of each named dev set of a task stand in the reading of its dev files."""
    return reading.places if isinstance(task.dev, dict) and not task.divides_train else {}


def read_split(task: Task, split: Split, skip_bad_rows: bool = False) -> Reading:
    """Reads all files of a split that the task names; test files need no labels.

    Raises DataError naming the first bad row, unless bad rows are to be skipped: then they are in the result.
    """
    return usable(read_split_rows(task, split).without_bad_rows(skip_bad_rows), named(task, split))


def row_key(texts: Sequence[str]) -> tuple[str, ...]:
    """What rows of the same texts share, whatever their case and blanks, and of a pair their order."""
    return tuple(sorted(map(folded, texts)))


def learned_texts(task: Task) -> set[tuple[str, ...]] | None:
    """The `row_key` of every row that a run of the task learned from; None where a train file is no longer there."""
    if not all(map(os.path.isfile, task.files("train"))):
        return None
    alone = task.model_copy(update={"dev": None, "test": None})
    read = read_splits(alone, True)[1]["train"] if task.divides_train else read_split_rows(alone, "train")
    return {row_key(texts) for texts in zip(*read.examples.texts, strict=True)}


def read_split_rows(task: Task, split: Split) -> Reading:
    """Reads all files of a split, bad rows and all. One file alone is read as itself; several are joined."""
    labelled, files = split != "test", task.files(split)
    if labelled and len(files) > 1 and task.labels is None and not task.is_regression:
        classes = [read_rows(Path(file), task, labelled).labels or [] for file in files]
        task = task.model_copy(update={"labels": label_order(set().union(*classes))})  # one number a class in all files

    def joined_files(of: list[str]) -> Reading:
        readings = {file: read_rows(Path(file), task, labelled) for file in of}
        return readings[of[0]] if len(of) == 1 else _joined(readings, task)

    if split == "dev" and isinstance(task.dev, dict):
        return _joined({name: joined_files(of) for name, of in task.dev_sets.items()}, task)
    return joined_files(files)


def _joined(parts: Mapping[str, Reading], task: Task) -> Reading:
    """The rows of several readings as those of one; where rows have no ids, their numbers count on."""
    readings = list(parts.values())
    labels = [reading.examples.labels for reading in readings]
    known = [of_one for of_one in labels if of_one is not None]
    ids = [example for reading in readings for example in reading.examples.ids]
    columns = zip(*(reading.examples.texts for reading in readings), strict=True)
    examples = Examples(ids, [list(chain(*column)) for column in columns], np.concatenate(known) if known else None)
    joined = Reading(
        examples,
        readings[0].labels,
        [bad for reading in readings for bad in reading.bad_rows],
        [f"{name}: {note}" for name, reading in parts.items() for note in reading.notes],
        [f"{name}: {warning}" for name, reading in parts.items() for warning in reading.warnings],
        parts,
    )
    if task.id is not None:
        return joined
    return replace(joined, examples=replace(examples, ids=[str(row) for row in joined.row_numbers]))


def named(task: Task, split: Split) -> str:
    """A split's files as a message names them."""
    return several(task.files(split), 2)


def _divided(train: Reading, where: str, task: Task) -> tuple[Reading, Reading]:
    """A train file's reading as two: what is learned from, and what is held back to choose by."""
    held = held_back(train.examples, where, task)
    note = f"held back {counted(int(held.sum()), 'row')} to choose by"
    note += "" if task.fold is None else f", part {task.fold} of {task.folds}"
    dev = Reading(train.examples.take(np.flatnonzero(held)), train.labels)
    apart = len(set(groups(dev.examples.texts)))
    note += f"; they are {counted(apart, 'group')} that share no text" if apart < len(dev.examples) else ""
    if task.holdout is not None and len(dev.examples) < 0.9 * task.holdout:
        few = f"holdout = {task.holdout} holds {counted(len(dev.examples), 'row')} back, since others share their texts"
        dev.warnings.append(f"{few}; a dev file of other texts would tell more")
    learned = train.examples.take(np.flatnonzero(~held))
    return replace(train, examples=learned, notes=[*train.notes, note], elsewhere=len(dev.examples)), dev


def held_back(examples: Examples, where: str, task: Task) -> NDArray[np.bool_]:
    """Which of the N examples of a train file are held back [N]; `where` names it. Raises DataError if none can be."""
    if task.folds is None:
        return _held_out(examples, where, task)
    if task.fold is None:
        raise DataError(
            f"{where} is to be divided into {task.folds} parts, which `minbert experiment run` holds back in turn; "
            "for a single run say which one, as in fold = 1"
        )
    held: NDArray[np.bool_] = parts(examples, where, task) == task.fold
    return held


def scored_places(examples: Examples, where: str, task: Task) -> NDArray[np.intp]:
    """Where the rows that stand in for a dev file are among a train file's; of all parts together, part after part."""
    if task.folds is not None and task.fold is None:
        return np.argsort(parts(examples, where, task), kind="stable")
    return np.flatnonzero(held_back(examples, where, task))


def parts(examples: Examples, where: str, task: Task) -> NDArray[np.intp]:
    """The part [N], from 1, of each of the N examples of a train file with `folds`. Raises DataError for empty ones."""
    assert task.folds is not None
    assert examples.labels is not None
    found = divide(examples.texts, _strata(examples, task), task.folds)
    if len(filled := np.unique(found)) < task.folds:
        raise DataError(
            f"{where}: rows that share no text are enough for {counted(len(filled), 'part')} alone, not for folds = "
            f"{task.folds}; lower it"
        )
    return found


def _strata(examples: Examples, task: Task) -> NDArray[np.bool_]:
    """Which class, or fifth of the scores, each example has [N, K]; of a multi-label task which classes."""
    labels = examples.labels
    assert labels is not None
    if task.is_regression:
        return fifths(labels)
    return np.stack([task.is_class(labels, place) for place in range(len(task.labels or ()))], axis=1)


def _held_out(examples: Examples, where: str, task: Task) -> NDArray[np.bool_]:
    count = task.holdout or 0
    if count > len(examples) // 2:
        raise DataError(
            f"{where} has {counted(len(examples), 'row')}, and holdout = {count} would take more than half; lower it"
        )
    held = hold_back(examples.texts, _strata(examples, task), count)
    if not held.any():
        raise DataError(f"{where}: rows share so many texts that none can be held back; name a dev file, not holdout")
    return held


def _check_classes(where: str, task: Task, train: Reading) -> None:
    """Raises DataError where the train file's classes are too few, or too many for the task's loss."""
    assert train.examples.labels is not None
    assert train.labels is not None
    present = np.unique(train.examples.labels)
    if task.is_multi_label:
        _check_sets(where, train.labels)
    elif len(present) < 2:
        name = shown(train.labels[int(present[0])])
        raise DataError(f"{where}: every row has the label '{name}'; a classification needs two, add rows of another")
    if task.loss == "bce" and len(train.labels) != 2:
        raise DataError(
            f"{where} has {len(train.labels)} labels, {listed_labels(train.labels)}, and loss 'bce' is for two; "
            "correct them, or take cross-entropy"
        )


def _check_sets(where: str, classes: list[str]) -> None:
    if not classes:
        raise DataError(f"{where}: no row has a label; a multi-label task needs some, add rows that have")
    if len(classes) > MOST_LABELS:
        raise DataError(
            f"{where} has {len(classes)} labels, more than the {MOST_LABELS} of a multi-label task; join some"
        )


def _missing_classes(task: Task, examples: Examples) -> list[str]:
    if task.is_regression or examples.labels is None:
        return []
    labels = examples.labels
    missing = [name for place, name in enumerate(task.labels or ()) if not task.is_class(labels, place).any()]
    return [f"no example has the label {listed_labels(missing)}"] if missing else []
