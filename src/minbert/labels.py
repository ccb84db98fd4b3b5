"""A row's label cells -> its label as one number: a score, a class, or a set of classes; or why they are none.

Letters: K classes.
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minbert.errors import counted, shown
from minbert.tables import Cell, as_text, canonical_label
from minbert.tasks import Task

Labels = NDArray[np.float64]
BLANK = {"Zs", "Zl", "Zp", "Cc", "Cf", "Co", "Cs"}
YES_NO = {"1": True, "0": False, "true": True, "false": False}


def is_blank(text: str) -> bool:
    """Whether a text has nothing but what BERT's tokenizer drops: blanks, control, format and private characters."""
    return all(unicodedata.category(character) in BLANK for character in text)


def label_fault(cells: Sequence[Cell], task: Task) -> tuple[str, str] | None:
    """The column and the reason that make cells, one for each label column, no label of the task; or None."""
    for column, cell in zip(task.label_columns, cells, strict=True):
        fault = _fault_of_set if task.is_multi_label else _fault_of_one
        if reason := fault(cell, task):
            return column, reason
    return None


def label_names(cells: Sequence[Cell], task: Task) -> list[str]:
    """What label cells name, each in its one spelling: a score or a class alone, or every class of a set."""
    if task.has_column_per_label:
        return [column for column, cell in zip(task.label_columns, cells, strict=True) if YES_NO[canonical_label(cell)]]
    return listed_names(cells[0], task)


def listed_names(cell: Any, task: Task) -> list[str]:
    """What one cell names, in its one spelling: a score or a class, or each class of a set once."""
    if not task.is_multi_label:
        return [canonical_label(cell)]
    parts = cell if isinstance(cell, list) else as_text(cell).split(task.separator)
    return list(dict.fromkeys(name for part in parts if (name := canonical_label(part))))


def label_number(names: Sequence[str], task: Task) -> float:
    """A score; or a class by its place; or a set of classes as the sum of 2^place, which a float64 holds exactly."""
    if task.is_regression:
        return float(names[0])
    places = [task.class_numbers[name] for name in names]
    return float(sum(2**place for place in places)) if task.is_multi_label else float(places[0])


def classes_of(named: Iterable[Sequence[str]], task: Task) -> list[str]:
    """The classes that a file's labels name, in order; of a column for each, those columns."""
    if task.has_column_per_label:
        return task.label_columns
    return label_order({name for names in named for name in names})


def label_order(labels: set[str]) -> list[str]:
    """Whole numbers by size, then words by alphabet."""
    return sorted(labels, key=lambda label: (not _is_whole(label), float(label) if _is_whole(label) else 0, label))


def _is_whole(text: str) -> bool:
    return re.fullmatch(r"-?\d+", text) is not None


def cell_fault(cell: Cell, what: str) -> str | None:
    """Why a cell can be no id or label of any task, or None."""
    if isinstance(cell, bytes | list | dict):
        return f"a value of type {type(cell).__name__} is not {'an' if what == 'id' else 'a'} {what}; store text"
    if is_blank(as_text(cell)):
        state = "null" if cell is None else "NaN" if isinstance(cell, float) else "blank"
        return f"the {what} is {state}; write one"
    return None


def _fault_of_one(cell: Cell, task: Task) -> str | None:
    """Why a cell is no score or class of the task, or None."""
    if reason := cell_fault(cell, "label"):
        return reason
    label = canonical_label(cell)
    number, quoted = as_number(label), f"'{shown(label)}'"
    if task.is_regression:
        low, high = task.bounds
        if number is None or not low <= number <= high:
            return f"{quoted} is not a number in {low:g}..{high:g}; correct it, or the task's range"
    elif task.labels is not None:
        if label not in task.class_numbers:
            return f"{quoted} is not among {listed_labels(task.labels)}; correct it, or the task's labels"
    elif (number is not None and not _is_whole(label)) or (isinstance(cell, float) and not cell.is_integer()):
        remedy = "correct it, or make the task a pair-regression" if task.is_pair else "correct it"
        return f"{quoted} is a score, not a class; {remedy}"
    return None


def _fault_of_set(cell: Any, task: Task) -> str | None:
    """Why a cell is no set of the task's classes, or no yes or no to one of them; or None. A blank cell is a set of
    none."""
    if task.has_column_per_label:
        is_one = not isinstance(cell, bytes | list | dict) and canonical_label(cell) in YES_NO
        return None if is_one else f"'{shown(as_text(cell))}' is neither 1 nor 0; write one of them"
    parts = cell if isinstance(cell, list) else [cell]
    if any(part is None or isinstance(part, bytes | list | dict) for part in parts):
        return "the label is null or of another type; list classes, or none as an empty list or cell"
    strangers = [name for name in listed_names(cell, task) if name not in task.class_numbers]
    if strangers and task.labels is not None:
        listed = listed_labels(task.labels or [])
        return f"'{shown(strangers[0])}' is not among {listed}; correct it, or the task's labels or separator"
    return None


def as_number(text: str) -> float | None:
    """The finite number that a label or an answer is, or None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and "_" not in text else None


def listed_labels(labels: list[str]) -> str:
    """Classes as a message names them: 0..4, or the first few."""
    if len(labels) > 2 and _consecutive(labels):
        return f"{labels[0]}..{labels[-1]}"
    return ", ".join(shown(label, 20) for label in labels[:8]) + (", …" if len(labels) > 8 else "")


def _consecutive(labels: list[str]) -> bool:
    first = int(labels[0]) if _is_whole(labels[0]) else 0
    return labels == [str(first + place) for place in range(len(labels))]


def label_notes(cells: list[str], task: Task) -> list[str]:
    """What was done to labels before they were compared, said once for the file."""
    if task.is_multi_label:
        return []
    trimmed = sum(cell != cell.strip() for cell in cells)
    respelt = Counter(cell.strip() for cell in cells if canonical_label(cell) != cell.strip())
    notes = [f"trimmed the blanks around labels, in {counted(trimmed, 'row')}"] if trimmed else []
    pairs = ", ".join(f"'{cell}' as '{canonical_label(cell)}'" for cell, _ in respelt.most_common(3))
    return notes + ([f"read label {pairs}"] if pairs else [])


def near_duplicates(classes: list[str]) -> list[str]:
    """A warning where classes differ in case alone."""
    folded = Counter(label.casefold() for label in classes)
    alike = [f"'{shown(label)}'" for label in classes if folded[label.casefold()] > 1]
    return [f"labels {', '.join(alike[:6])} differ in case alone and count as different classes"] if alike else []
