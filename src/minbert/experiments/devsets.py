"""Results and the data they were scored on -> each task's dev examples, row for row as the runs answered them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from minbert.data import Examples, Reading
from minbert.errors import RunError, several
from minbert.experiments.results import Result, digest_of, without_paths
from minbert.holdout import hold_back
from minbert.labels import Labels
from minbert.runs import digest
from minbert.splits import dev_set_places, read_split, read_splits
from minbert.tasks import SPLITS, Split, Task

READING = {"holdout", "labels", "label", "text", "range", "format", "encoding", "quoting"}  # what rows depend on


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
    if data is not None:
        task = without_paths(result.recipe).tasks[name].with_files(lambda _, file: str(data / file))
    source, digests = _source(task), {s: digest_of([digest(Path(f)) for f in task.files(s)]) for s in SPLITS}
    for path in map(Path, task.files(source)):
        if not path.is_file():
            raise RunError(f"{path}, on which {result.name} was scored, does not exist; pass --data DIR with that file")
    if digests[source] != result.data[name].get(source):
        files = several(task.files(source), 2)
        raise RunError(f"{files} is not the file that {result.name} was scored on; pass --data DIR with that one")
    task = task.with_files(lambda s, file: file if digests[s] == result.data[name].get(s) is not None else None)
    reading = readings(task.with_files(lambda s, file: file if s == source else None))["dev"]
    assert len(reading.examples) == len(result.answers[name])
    return DevSet(name, task, reading.examples, dev_set_places(task, reading))


def readings(task: Task) -> dict[Split, Reading]:
    """What the files at hand gave, by split; dev is there always."""
    if task.train is None:
        return {"dev": read_split(task, "dev", skip_bad_rows=True)}
    return read_splits(task, skip_bad_rows=True)[1]


def row_numbers(dev: DevSet) -> list[int]:
    """The row of each example in the files that it comes from, from 1; of several they count on."""
    reading = read_split(dev.task, _source(dev.task), skip_bad_rows=True)
    if not dev.task.holdout:
        return reading.row_numbers
    assert reading.examples.labels is not None
    held = hold_back(reading.examples.texts, reading.examples.labels, dev.task.holdout, dev.task.is_regression)
    return [row for row, is_held in zip(reading.row_numbers, held, strict=True) if is_held]
