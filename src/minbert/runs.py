"""A run's folder: records, models, predictions and the state to resume from; the only file that knows its paths."""

import contextlib
import functools
import hashlib
import json
import logging
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, Self

import torch

from minbert import predictions as answers
from minbert.changes import as_resolved, changes
from minbert.errors import RunError, counted, several, shown
from minbert.files import (
    check_place,
    flush,
    make_folder,
    one_writer,
    recover_folder,
    replacing_folder,
    told,
    write_text,
)
from minbert.kernels import Kernels
from minbert.model import MultitaskModel
from minbert.predictions import Predictions
from minbert.pretrained import read_weights, write_weights
from minbert.recipes import load
from minbert.schema import Recipe
from minbert.tasks import COURSE, SPLITS, Split, Task

log = logging.getLogger("minbert")

PACKAGES = ("minbert", "torch", "tokenizers", "safetensors", "numpy", "scipy", "polars", "pydantic")


SAME = ("device", "processor", "vector_instructions", "packages")
"""What a resumed run's bits depend on besides recipe and data."""


@dataclass
class Progress:
    """How far a run has come; with the weights and the optimiser's state it is all that resuming needs."""

    step: int = 0
    evaluated_at: int = -1
    """The step of the last evaluation; -1 before the one at step 0."""
    best_score: float | None = None
    best_step: int = 0
    stale: int = 0
    """Evaluations since the best one."""
    seconds: float = 0.0
    """Time spent in updates, for time_limit."""
    is_complete: bool = False
    """Whether the run has come to its end, its answers to the test files included."""


class Run:
    """A run's folder, opened for reading or, inside `writing`, by one writer."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.best, self.last = folder / "best", folder / "last"
        self._metrics, self._recipe = folder / "metrics.jsonl", folder / "recipe.toml"
        self._environment, self.predictions = folder / "environment.json", folder / "predictions"
        self._failure, self.tensorboard = folder / "failure.txt", folder / "tensorboard"

    @classmethod
    def of_model(cls, folder: Path) -> Self | None:
        """The run that a model's folder belongs to, such as runs/NAME/best, or is itself; None of any other."""
        is_model = any((one / "tasks.json").is_file() for one in (folder, folder / "best"))
        return next((cls(one) for one in (folder, folder.parent) if is_model and (one / "recipe.toml").is_file()), None)

    @property
    def exists(self) -> bool:
        """Whether there is anything in the folder but a lock and what a kill may leave of a file half written."""
        return self.folder.is_dir() and any(not entry.name.startswith(".") for entry in self.folder.iterdir())

    @contextlib.contextmanager
    def writing(
        self, recipe: Recipe, about: Mapping[str, Any], resume: bool = False, force: bool = False
    ) -> Iterator[Self]:
        """Holds the folder and readies it: fresh, emptied by `force`, or with `resume` as a stopped run left it.

        `recipe` is resolved and `about` is its `environment`. Where there is nothing to resume, a run is begun.
        Raises RunError, before anything is changed, where the folder is in use, full, or of another recipe or data.
        """
        self.check(resume, force)
        if resume and self.is_begun:
            self._check_same(recipe, about)
        make_folder(self.folder)
        with one_writer(self.folder):
            if resume and self.is_begun:
                recover_folder(self.best)
                recover_folder(self.last)
                self._cut_records()
                self._sweep()
            else:
                self._clear()
                write_text(self._environment, json.dumps(about, indent=2) + "\n")
                write_text(self._recipe, recipe.to_toml())  # last: a folder with a recipe is a run
            self._failure.unlink(missing_ok=True)
            yield self

    def check(self, resume: bool, force: bool) -> None:
        """Raises RunError where a run may not be written here."""
        check_place(self.folder)
        if self.exists and self._strangers() and not self.is_begun:
            raise RunError(f"{self.folder} is not a run's folder; give the run another --name or --runs")
        if self.is_begun and not resume and not force:
            raise RunError(
                f"{self.folder} holds a run already; --resume goes on with it, --force replaces it, "
                "--name NAME makes another"
            )

    @property
    def is_begun(self) -> bool:
        """Whether a run was started here and not only its folder made."""
        return self._recipe.is_file()

    def recipe(self) -> Recipe:
        """The recipe that the run was started with."""
        return load(self._recipe)

    def environment(self) -> dict[str, Any]:
        """What the run was started on. Raises RunError where its file is not what was written."""
        try:
            content: dict[str, Any] = json.loads(self._environment.read_text(encoding="utf-8"))
            lacking = [key for key in (*SAME, *(field.name for field in fields(Kernels)), "data") if key not in content]
        except (OSError, ValueError, TypeError) as error:
            raise self._damaged(self._environment, f"cannot be read ({shown(str(error))})") from None
        if lacking:
            raise self._damaged(self._environment, f"lacks {several(lacking)}")
        return content

    def records(self, kind: Literal["step", "evaluation"] | None = None) -> list[dict[str, Any]]:
        """Every record of metrics.jsonl, or each of one kind, in order; a line that a kill cut short is left out."""
        if not self._metrics.is_file():
            return []
        records = []
        for line in self._metrics.read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(ValueError):
                records.append(json.loads(line))
        return [record for record in records if kind in (None, record["kind"])]

    def write(self, record: Mapping[str, Any]) -> None:
        """Appends a record to metrics.jsonl."""
        with told(self._metrics), self._metrics.open("a", encoding="utf-8", newline="\n") as handle:
            handle.write(json.dumps(record, allow_nan=False) + "\n")

    def kernels(self) -> Kernels | None:
        """Those that the run was started with; None on another kind of processor, where they may be inexact."""
        then = self.environment()
        is_here = then["processor"] == _processor()
        return Kernels(then["threads"], then["float32_matmul_precision"]) if is_here else None

    def save_best(self, model: MultitaskModel, about: str) -> None:
        """Replaces best/ by the model as it is."""
        with replacing_folder(self.best) as folder:
            model.save_pretrained(folder, about)

    def save_last(self, model: MultitaskModel, optimizer: torch.optim.Optimizer, progress: Progress) -> None:
        """Replaces last/ by the model, the optimiser's state and the progress, together.

        The records so far are flushed first, so that the saved state is never ahead of them.
        """
        if self._metrics.is_file():
            flush(self._metrics)
        with replacing_folder(self.last) as folder:
            model.save_pretrained(folder)
            tensors = {
                f"{name}.{key}": tensor
                for name, parameter in model.named_parameters()
                for key, tensor in optimizer.state.get(parameter, {}).items()
            }
            write_weights(tensors, folder / "optimizer.safetensors")
            write_text(folder / "progress.json", json.dumps(asdict(progress), indent=2) + "\n")

    def load_last(self, model: MultitaskModel, optimizer: torch.optim.Optimizer) -> Progress | None:
        """Puts the saved state into model and optimiser; None where nothing was saved yet."""
        progress = self._progress()
        if progress is None:
            return None
        saved = MultitaskModel.from_pretrained(self.last)
        model.load_state_dict(saved.state_dict())
        tensors = read_weights(self.last / "optimizer.safetensors")
        for name, parameter in model.named_parameters():
            prefix = f"{name}."
            state = {key.removeprefix(prefix): t for key, t in tensors.items() if key.rpartition(".")[0] == name}
            if state:
                optimizer.state[parameter] = {key: t.to(parameter.device) for key, t in state.items()}
        return progress

    def check_complete(self) -> None:
        """Raises RunError where a complete run lacks something that its scores and its results are read from."""
        if not self.is_begun:
            raise self._damaged(self._recipe, "is not there")
        self.recipe(), self.environment()
        progress, evaluations = self.progress(), self.records("evaluation")
        self._check_updates(self.records(), progress.step)
        if not evaluations or evaluations[-1]["step"] != progress.evaluated_at:
            raise self._damaged(self._metrics, f"does not end with the evaluation after update {progress.evaluated_at}")
        for name in evaluations[-1]["metrics"]:
            if not self.answers_file(name).is_file():
                raise self._damaged(self.answers_file(name), "is not there")

    def _check_updates(self, records: Sequence[Mapping[str, Any]], number: int) -> None:
        if [record["step"] for record in records if record["kind"] == "step"] != list(range(1, number + 1)):
            raise self._damaged(self._metrics, f"does not hold {counted(number, 'update')}, one after the other")

    def finish(self, progress: Progress) -> None:
        """Marks the run as complete; its state as last saved is its last."""
        progress.is_complete = True
        write_text(self.last / "progress.json", json.dumps(asdict(progress), indent=2) + "\n")

    def note_failure(self, reason: str) -> None:
        """Keeps why the run ended before its end, until it is gone on with; not where another process goes on now."""
        if self.is_begun:
            with contextlib.suppress(RunError), one_writer(self.folder):
                write_text(self._failure, reason + "\n")

    def failure(self) -> str | None:
        """Why the run ended before its end, where it failed."""
        return self._failure.read_text(encoding="utf-8").strip() if self._failure.is_file() else None

    def prune(self, keep_weights: bool) -> None:
        """Drops what a complete run needs no more: both models' weights, unless kept, and the optimiser's state.

        Scores and answers stay. The optimiser's state goes last: where it is gone, all of this was done, and weights
        that were kept then are never dropped later.
        """
        assert self.progress().is_complete
        state = self.last / "optimizer.safetensors"
        if not state.is_file():
            return
        with one_writer(self.folder):
            if not keep_weights:
                shutil.rmtree(self.best, ignore_errors=True)
                for file in self.last.iterdir():
                    if file not in (state, self.last / "progress.json"):
                        file.unlink(missing_ok=True)
            state.unlink(missing_ok=True)

    def progress(self) -> Progress:
        """How far the saved state has come; the beginning where nothing was saved yet."""
        return self._progress() or Progress()

    def differences(self, recipe: Recipe) -> list[str]:
        """'KEY = OLD (now NEW)' where a recipe, not resolved yet, differs from the one the run was started with."""
        stored = self.recipe()
        return [str(change) for change in changes(stored, as_resolved(recipe, stored))]

    def changed_data(self) -> str | None:
        """A file of examples that is no longer what the run was started with, or None."""
        digests = self.environment()["data"]
        return next((file for file, then in digests.items() if digest(Path(file)) != then), None)

    def write_predictions(
        self, which: str, split: Split, model: MultitaskModel, answered: Mapping[str, Predictions]
    ) -> None:
        """Writes predictions/WHICH/TASK-SPLIT.parquet; of `best` the course's files too, straight in predictions/."""
        for name, predictions in answered.items():
            task = model.tasks[name]
            answers.write_parquet(self.predictions / which / f"{name}-{split}.parquet", task, predictions)
            if which == "best" and name in COURSE:
                answers.write_course(self.predictions / f"{name}-{split}-output.csv", name, task, predictions)

    def read_predictions(self, name: str, task: Task, split: Split = "dev") -> Predictions:
        """A completed task's answers at the last evaluation."""
        return answers.read_parquet(self.answers_file(name, split), task)

    def answers_file(self, name: str, split: Split = "dev") -> Path:
        """Where the answers at the last evaluation lie."""
        return self.predictions / "last" / f"{name}-{split}.parquet"

    def _progress(self) -> Progress | None:
        """How far the saved state has come; None where nothing was saved yet."""
        file = self.last / "progress.json"
        try:
            return Progress(**json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else None
        except (ValueError, TypeError) as error:
            raise self._damaged(file, f"cannot be read ({shown(str(error))})") from None

    def _damaged(self, file: Path, fault: str) -> RunError:
        return RunError(f"{file} {fault}; put it back as it was, or remove {self.folder} and run it again")

    def _strangers(self) -> list[Path]:
        """What lies in the folder and is no part of a run; a run that was being made or removed has its own parts."""
        own = {self.best, self.last, self._metrics, self._recipe, self._environment, self.predictions, self._failure}
        own |= {self.tensorboard}
        return [entry for entry in self.folder.iterdir() if entry not in own and not entry.name.startswith(".")]

    def _check_same(self, recipe: Recipe, about: Mapping[str, Any]) -> None:
        if changed := changes(self.recipe(), recipe):
            raise RunError(
                f"{self.folder} was started with {several([str(change) for change in changed])}\n"
                "resume it with the same recipe, or give this one another --name"
            )
        then = self.environment()
        for file, now in about["data"].items():
            if then["data"].get(file) != now:
                raise RunError(f"{file} has changed since {self.folder} was started; put it back, or start anew")
        for key in SAME:
            if then[key] != about[key]:
                log.warning("%s was started with another %s; its bits may differ from here on", self.folder, key)

    def _cut_records(self) -> None:
        """Drops the records that lie beyond the saved state, since resuming makes them again."""
        progress = self.progress()
        limits = {"step": progress.step, "evaluation": progress.evaluated_at}
        kept = [record for record in self.records() if record["step"] <= limits[record["kind"]]]
        self._check_updates(kept, progress.step)
        write_text(self._metrics, "".join(json.dumps(record) + "\n" for record in kept))

    def _sweep(self) -> None:
        """Removes the temporary files of writes that a kill cut short."""
        for file in (*self.folder.glob(".*"), *self.predictions.rglob(".*")):
            if file.is_file() and file.name != ".lock":
                file.unlink()

    def _clear(self) -> None:
        """Empties the folder; the recipe goes last, so that a kill leaves what is still known as a run's folder."""
        entries = [entry for entry in self.folder.iterdir() if entry.name != ".lock"]
        for entry in sorted(entries, key=lambda entry: entry == self._recipe):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()


def environment(recipe: Recipe, encoder: Path, device: torch.device, kernels: Kernels) -> dict[str, Any]:
    """What a run's numbers may depend on: versions, processor, threads, kernels, encoder, data, and the command."""
    return {
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": _processor(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "vector_instructions": torch.backends.cpu.get_cpu_capability(),
        **asdict(kernels),
        "encoder": str(encoder),
        "data": {file: digest(Path(file)) for file in files_of(recipe)},
        "command": sys.argv,
    }


def files_of(recipe: Recipe) -> list[str]:
    """Every file of examples that a recipe names."""
    return sorted({file for task in recipe.tasks.values() for split in SPLITS for file in task.files(split)})


def digest(file: Path) -> str | None:
    """A file's sha256, by which a run knows its data again; None where there is no file."""
    if not file.is_file():
        return None
    about = file.stat()
    return _digest_of(file, about.st_mtime_ns, about.st_size)


@functools.cache
def _digest_of(file: Path, time: int, size: int) -> str:  # noqa: ARG001 (they tell one content of the file from another)
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
