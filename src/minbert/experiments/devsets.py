"""Results and the data they were scored on -> each task's dev examples, row for row as the runs answered them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from minbert.data import Examples, Labels, Reading, read_splits
from minbert.errors import RunError
from minbert.experiments.results import Result
from minbert.runs import digest
from minbert.tasks import SPLITS, Split, Task

READING = {"holdout", "labels", "label", "text", "range", "format", "encoding", "quoting"}  # what rows depend on


@dataclass(frozen=True)
class DevSet:
    """A task's n dev examples; `path` is the file that they come from, and `readings` what its files gave by split."""

    name: str
    task: Task
    path: Path
    examples: Examples
    readings: Mapping[Split, Reading] = field(default_factory=dict)

    @property
    def labels(self) -> Labels:
        """Class numbers or scores [n]."""
        assert self.examples.labels is not None
        return self.examples.labels

    def __len__(self) -> int:
        return len(self.examples)


def dev_sets(results: Sequence[Result], data: Path | None = None) -> dict[str, DevSet]:
    """The dev examples of every task that was scored; with `data`, from the files of the same names in that folder.

    Raises RunError where a file is not the one that the runs were scored on, or results of one task were scored on
    different ones.
    """
    found: dict[str, DevSet] = {}
    read: dict[str, tuple[str, Result]] = {}
    for result in results:
        for name in result.answers:
            task = result.recipe.tasks[name]
            scored_on = f"{_digests(result, task)} {task.model_dump(include=READING)}"
            if name not in read:
                found[name] = _read(name, task, result, data)
                read[name] = scored_on, result
            elif read[name][0] != scored_on:
                raise RunError(
                    f"{read[name][1].name} and {result.name} were scored on different rows of task '{name}'; "
                    "compare runs of the same data"
                )
    return found


def _digests(result: Result, task: Task) -> list[str | None]:
    return [result.data.get(Path(file).name) for file in (task.train if task.holdout else None, task.dev) if file]


def _read(name: str, task: Task, result: Result, data: Path | None) -> DevSet:
    files = {split: file for split in SPLITS if (file := getattr(task, split))}
    if data is not None:
        files = {split: str(data / Path(file).name) for split, file in files.items()}
    files = {split: file for split, file in files.items() if split != "test" or Path(file).is_file()}
    path = Path(files["train" if task.holdout else "dev"])
    if not path.is_file():
        raise RunError(f"{path}, on which {result.name} was scored, does not exist; pass --data DIR with that file")
    if digest(path) != result.data.get(path.name):
        raise RunError(f"{path} is not the file that {result.name} was scored on; pass --data DIR with that one")
    _, readings = read_splits(task.model_copy(update={"test": None} | files), skip_bad_rows=True)
    examples = readings["dev"].examples
    assert len(examples) == len(result.answers[name])
    return DevSet(name, task, path, examples, readings)
