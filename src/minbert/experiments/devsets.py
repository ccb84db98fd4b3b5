"""Results and the data they were scored on -> each task's dev examples, row for row as the runs answered them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from minbert.data import Examples, Labels, Reading, read_examples, read_splits
from minbert.errors import RunError
from minbert.experiments.results import Result, without_paths
from minbert.holdout import hold_back
from minbert.runs import digest
from minbert.tasks import SPLITS, Split, Task

READING = {"holdout", "labels", "label", "text", "range", "format", "encoding", "quoting"}  # what rows depend on


@dataclass(frozen=True)
class DevSet:
    """A task's n dev examples; `files` are those of its splits that are at hand, as the runs read them."""

    name: str
    task: Task
    examples: Examples
    files: Mapping[Split, Path] = field(default_factory=dict)

    @property
    def labels(self) -> Labels:
        """Class numbers or scores [n]."""
        assert self.examples.labels is not None
        return self.examples.labels

    @property
    def path(self) -> Path:
        """The file that the examples come from."""
        return self.files[_source(self.task)]

    def __len__(self) -> int:
        return len(self.examples)


def _source(task: Task) -> Split:
    """The split whose file holds the dev rows."""
    return "train" if task.holdout else "dev"


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
    return found


def _read(name: str, task: Task, result: Result, data: Path | None) -> DevSet:
    named = task if data is None else without_paths(result.recipe).tasks[name]
    given = {split: file for split in SPLITS if (file := getattr(named, split))}
    files = {split: Path(file) if data is None else data / file for split, file in given.items()}
    path = files[_source(task)]
    if not path.is_file():
        raise RunError(f"{path}, on which {result.name} was scored, does not exist; pass --data DIR with that file")
    if digest(path) != result.data[name].get(_source(task)):
        raise RunError(f"{path} is not the file that {result.name} was scored on; pass --data DIR with that one")
    files = {split: file for split, file in files.items() if digest(file) == result.data[name][split] is not None}
    examples = _readings(task, {_source(task): path})["dev"].examples
    assert len(examples) == len(result.answers[name])
    return DevSet(name, task, examples, files)


def readings(dev: DevSet) -> dict[Split, Reading]:
    """What the files at hand gave, by split; dev is there always."""
    return _readings(dev.task, dev.files)


def _readings(task: Task, files: Mapping[Split, Path]) -> dict[Split, Reading]:
    named = task.model_copy(update={split: str(files[split]) if split in files else None for split in SPLITS})
    if named.train is None:
        return {"dev": read_examples(files["dev"], named, skip_bad_rows=True)}
    return read_splits(named, skip_bad_rows=True)[1]


def row_numbers(dev: DevSet) -> list[int]:
    """Where each example stands among all rows of the file that it comes from, bad ones included; from 0."""
    reading = read_examples(dev.path, dev.task, skip_bad_rows=True)
    bad = {row.row - 1 for row in reading.bad_rows}
    usable = [row for row in range(reading.rows) if row not in bad]
    if not dev.task.holdout:
        return usable
    assert reading.examples.labels is not None
    held = hold_back(reading.examples.texts, reading.examples.labels, dev.task.holdout, dev.task.is_regression)
    return [usable[place] for place in held.nonzero()[0]]
