"""Results and the data they were scored on -> each task's dev examples, row for row as the runs answered them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from minbert.data import Examples, Reading
from minbert.errors import RunError, several
from minbert.experiments.results import Result, digest_of, without_paths
from minbert.labels import Labels
from minbert.metrics import METRICS
from minbert.runs import digest
from minbert.splits import dev_set_places, named, read_split, read_splits, scored_places
from minbert.tasks import SPLITS, Split, Task

ROUNDED = 1e-4  # of a score: answers are kept as float32
READING = {"holdout", "folds", "fold", "labels", "label", "text", "range", "format", "encoding", "quoting"}
"""What a task's rows depend on beside its files."""


@dataclass(frozen=True)
class DevSet:
    """A task's n dev examples. `task` names those of its files that are at hand, as the runs read them."""

    name: str
    task: Task
    examples: Examples
    parts: Mapping[str, slice] = field(default_factory=dict)
    """Where the examples of each named dev set stand."""

    @property
    def labels(self) -> Labels:
        """Class numbers or scores [n]."""
        assert self.examples.labels is not None
        return self.examples.labels

    @property
    def paths(self) -> list[Path]:
        """The files that the examples come from."""
        return [Path(file) for file in self.task.files(_source(self.task))]

    def __len__(self) -> int:
        return len(self.examples)


def _source(task: Task) -> Split:
    """The split whose file holds the dev rows."""
    return "train" if task.divides_train else "dev"


def dev_sets(results: Sequence[Result], data: Path | None = None) -> dict[str, DevSet]:
    """The dev examples of every task that was scored; with `data`, from the files of the same names in that folder.

    Raises RunError where a file is not the one that the runs were scored on, or results of one task were scored on
    different ones or by another metric.
    """
    found: dict[str, DevSet] = {}
    read: dict[str, tuple[str, Result]] = {}
    for result in results:
        for name in result.answers:
            task = result.recipe.tasks[name]
            scored_on = f"{result.data[name].get(_source(task))} {task.model_dump(include=READING)}"
            if name not in read:
                found[name] = _read(name, task, result, data)
                read[name] = scored_on, result
            elif read[name][0] != scored_on:
                raise RunError(
                    f"{read[name][1].name} and {result.name} were scored on different rows of task '{name}'; "
                    "compare runs of the same data"
                )
            elif found[name].task.metric != task.metric:
                raise RunError(
                    f"{read[name][1].name} is scored by {found[name].task.metric} of task '{name}', {result.name} by "
                    f"{task.metric}; compare runs of one metric"
                )
            _check_answers(found[name], result)
    return found


def _check_answers(dev: DevSet, result: Result) -> None:
    """Raises RunError where a result's answers are not those that its score was taken on."""
    answers, known = result.answers[dev.name], result.scores[dev.name]
    again = METRICS[str(dev.task.metric)](answers, dev.labels) if len(answers) == len(dev) else None
    if len(answers) != len(dev) or (known is None) != (again is None) or abs((known or 0) - (again or 0)) > ROUNDED:
        raise RunError(
            f"the {len(answers):,} answers of {result.name} to the {len(dev):,} dev rows of task '{dev.name}' do not "
            f"give its score ({known}, but {again}); put its files back, or run it again"
        )


def _read(name: str, task: Task, result: Result, data: Path | None) -> DevSet:
    if data is not None:
        task = without_paths(result.recipe).tasks[name].with_files(lambda _, file: str(data / file))
    source, digests = _source(task), {s: digest_of([digest(Path(f)) for f in task.files(s)]) for s in SPLITS}
    for path in map(Path, task.files(source)):
        if not path.is_file():
            raise RunError(f"{path}, on which {result.name} was scored, does not exist; pass --data DIR with that file")
    if digests[source] != result.data[name].get(source):
        files = several(task.files(source), 2)
        raise RunError(
            f"{files} is not the file that {result.name} was scored on, or has changed since; put it back, or pass "
            "--data DIR with that file"
        )
    task = task.with_files(lambda s, file: file if digests[s] == result.data[name].get(s) is not None else None)
    reading = readings(task.with_files(lambda s, file: file if s == source else None))["dev"]
    return DevSet(name, task, reading.examples, dev_set_places(task, reading))


def readings(task: Task) -> dict[Split, Reading]:
    """What the files at hand gave, by split; dev is there always, and alone where each part of train was it once."""
    if task.folds is not None and task.fold is None:
        train = read_split(task, "train", skip_bad_rows=True)
        return {"dev": replace(train, examples=train.examples.take(_scored(task, train)))}
    if task.train is None:
        return {"dev": read_split(task, "dev", skip_bad_rows=True)}
    return read_splits(task, skip_bad_rows=True)[1]


def row_numbers(dev: DevSet) -> list[int]:
    """The row of each example in the files that it comes from, from 1; of several they count on."""
    reading = read_split(dev.task, _source(dev.task), skip_bad_rows=True)
    return [reading.row_numbers[place] for place in _scored(dev.task, reading)]


def _scored(task: Task, reading: Reading) -> NDArray[np.intp]:
    """Which rows of the files that hold a task's dev rows are those, in the order in which they were answered."""
    if task.divides_train:
        return scored_places(reading.examples, named(task, "train"), task)
    return np.arange(len(reading.examples))
