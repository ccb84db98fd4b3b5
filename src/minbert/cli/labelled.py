"""A model's tasks -> the labelled rows to look at them by: of a split of the run's own files, or of another file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from minbert.errors import DataError, counted

if TYPE_CHECKING:
    from minbert.data import Reading
    from minbert.model import MultitaskModel
    from minbert.tasks import Split, Task


def readings_of(
    names: Sequence[str], loaded: MultitaskModel, data: Path | None, split: Split, model: Path, skip_bad_rows: bool
) -> dict[str, Reading]:
    """Each task's labelled rows; of several tasks, those that have none are named and left out."""
    from minbert.cli.show import messages

    readings: dict[str, Reading] = {}
    for name in names:
        own = own_task(name, model)
        if own is not None and own.divides_train and split != "test":
            readings[name] = _divided(name, own, split, data, skip_bad_rows)
        elif len(names) > 1 and own is not None and getattr(own, split) is None and data is None:
            messages.print(f"task '{name}' has no {split} file, and is left out", soft_wrap=True)
        elif own is not None and len(own.files(split)) > 1:
            readings[name] = _joined(own, loaded.tasks[name], split, data, skip_bad_rows)
        else:
            readings[name] = read_labelled(file_of(name, data, split, model), loaded.tasks[name], skip_bad_rows)
    if not readings:
        raise DataError(f"no task of {model} has a {split} file; name one: --task TASK --input FILE")
    return readings


def dev_sets(readings: Mapping[str, Reading], model: Path) -> dict[str, dict[str, slice]]:
    """Where each named dev set of a task lies among its rows."""
    from minbert.splits import dev_set_places

    own = {name: own_task(name, model) for name in readings}
    return {name: dev_set_places(task, readings[name]) for name, task in own.items() if task is not None}


def _divided(name: str, task: Task, split: Split, data: Path | None, skip_bad_rows: bool) -> Reading:
    """The rows of a train file that training learned from, or those that it held back in place of a dev file."""
    from minbert.cli.show import messages
    from minbert.splits import named, read_splits

    files = _in_folder(task, data).model_copy(update={"dev": None, "test": None})
    reading = read_splits(files, skip_bad_rows)[1][split]
    what = "held back from" if split == "dev" else "learned from in"
    messages.print(f"{name}: {counted(len(reading.examples), 'row')} {what} {named(files, 'train')}", soft_wrap=True)
    return reading


def _joined(own: Task, task: Task, split: Split, data: Path | None, skip_bad_rows: bool) -> Reading:
    """The labelled rows of all files of a split; read as dev files are, for test files may have labels too."""
    from minbert.cli.show import show_reading
    from minbert.splits import named, read_split

    files = task.model_copy(update={"dev": getattr(_in_folder(own, data), split)})
    reading = read_split(files, "dev", skip_bad_rows)
    show_reading(named(files, "dev"), reading)
    return reading


def read_labelled(path: Path, task: Task, skip_bad_rows: bool) -> Reading:
    """The examples of one labelled file, what was found in it shown."""
    from minbert.cli.show import show_reading
    from minbert.data import read_examples

    reading = read_examples(path, task, skip_bad_rows=skip_bad_rows)
    show_reading(str(path), reading)
    return reading


def file_of(task: str, data: Path | None, split: Split, model: Path | None) -> Path:
    """Where a task's split lies: under --data by the name it has there, else where the run's recipe has it."""
    from minbert.recipes import STARTER
    from minbert.tasks import BUILT_IN

    recorded = own_task(task, model)
    own = next(iter(recorded.files(split)), None) if recorded else None
    if data is not None and (own or task in BUILT_IN):
        return data / (str(BUILT_IN[task][split]) if task in BUILT_IN else Path(own or "").name)
    if own:
        return Path(own)
    if data is None and model is None:
        return STARTER / str(BUILT_IN[task][split])
    raise DataError(f"where task '{task}' has its {split} file is not known here; name it: --task {task} --input FILE")


def files_of(task: str, data: Path | None, split: Split, model: Path) -> list[Path]:
    """The files that `readings_of` has a task's rows from."""
    own = own_task(task, model)
    is_divided = own is not None and own.divides_train and split != "test"
    files = [] if own is None else _in_folder(own, data).files("train" if is_divided else split)
    return list(map(Path, files)) if is_divided or len(files) > 1 else [file_of(task, data, split, model)]


def unlearned(name: str, reading: Reading, data: Path | None, split: Split | None, model: Path) -> Reading:
    """The rows whose texts the model did not learn from, as far as its train files are known and still there.

    Those left out are counted in a line. Raises DataError where they are more than half.
    """
    import numpy as np

    from minbert.cli.show import messages
    from minbert.splits import row_key

    known = _learned_texts(name, data, split, model)
    rows = [row_key(texts) for texts in zip(*reading.examples.texts, strict=True)]
    new = [place for place, row in enumerate(rows) if row not in known]
    left_out = len(rows) - len(new)
    if 2 * left_out > len(rows):
        raise DataError(
            f"{left_out:,} of {counted(len(rows), 'row')} are what task '{name}' learned from, and there it is surer "
            f"than of new texts; calibrate it by other labelled rows: --task {name} --input FILE"
        )
    if not left_out:
        return reading
    messages.print(f"task '{name}': left out {left_out:,} of {len(rows):,} rows that it learned from", soft_wrap=True)
    return replace(reading, examples=reading.examples.take(np.array(new)))


def _learned_texts(name: str, data: Path | None, split: Split | None, model: Path) -> set[tuple[str, ...]]:
    """The texts of every row that a task learned from; none for a split that was held back from them."""
    from minbert.cli.show import messages
    from minbert.splits import learned_texts

    own = own_task(name, model)
    if own is None or (own.divides_train and split == "dev"):
        return set()
    here = next((one for one in (own, _in_folder(own, data)) if all(map(os.path.isfile, one.files("train")))), None)
    known = learned_texts(here) if here else None
    if known is None:
        lacking = own.files("train")[0]
        messages.print(f"{lacking} is not there, so rows of it are not looked for among those given", soft_wrap=True)
        return set()
    return known


def chosen_by(name: str, model: Path) -> list[Path]:
    """The files whose rows chose the model among those of its run, as far as known."""
    own = own_task(name, model)
    return [] if own is None else list(map(Path, own.files("train" if own.divides_train else "dev")))


def _in_folder(task: Task, data: Path | None) -> Task:
    """The task with its files by their names in another folder, if there is one."""
    return task if data is None else task.with_files(lambda _, file: str(data / Path(file).name))


def own_task(name: str, model: Path | None) -> Task | None:
    """A task as the recipe has it that a model was trained by, where that lies beside the model."""
    from minbert.runs import Run

    run = None if model is None else Run.of_model(model)
    return run.recipe().tasks.get(name) if run else None
