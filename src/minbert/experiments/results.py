"""Complete runs -> what of them outlives their folders: recipe, curve, conflict, and the answers at the last update.

Read from the runs' own folders, or from a folder of results that `keep` wrote: a few files that hold many runs, without
a word of the data, small enough for a repository. Letters: n examples of a dev set.
"""

import json
import os
import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import chain
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from minbert.changes import as_resolved, changes
from minbert.errors import RunError, several, shown
from minbert.files import make_folder, one_writer, replacing, write_text
from minbert.predictions import metric_input
from minbert.runs import Run, digest, files_of
from minbert.schema import Recipe
from minbert.tasks import SPLITS, Split

Array = NDArray[np.float64]
ENCODER = "all"  # layers
ABOUT = ("processor", "device", "vector_instructions", "threads", "float32_matmul_precision", "packages")
PATIENCE = 60.0  # seconds
UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, pl.exceptions.PolarsError)
"""What reading raises where a file is not what was written; what a program of another version wrote included."""
RUNS, ANSWERS, CONFLICT = "runs.jsonl", "answers.parquet", "conflict.parquet"


@dataclass(frozen=True)
class Point:
    """An evaluation on dev: every metric of every task after `step` updates."""

    step: int
    epoch: int
    metrics: dict[str, dict[str, float | None]]


@dataclass(frozen=True)
class Conflict:
    """How the gradients of an epoch lay, in one layer or in the whole encoder ("all").

    `between` is a pair of tasks, or one task for the null: its own gradient on other rows. `cosine` is the mean of
    `count` updates that have one, and `negative` their share below zero.
    """

    epoch: int
    layer: str
    between: str
    cosine: float
    negative: float
    count: int


@dataclass(frozen=True)
class Result:
    """A complete run as far as its numbers go.

    `group` is what `group_of` says; `data` holds the digest of each task's file for each split. `answers` hold for each
    task a class number or a head's own score for each row of dev [n], those of the last update; `batches` how many
    batches of a task it learned from, `seconds` what its updates took, `angle` the mean degrees between the summed and
    the used gradient.
    """

    group: str
    seed: int
    recipe: Recipe
    about: dict[str, Any]
    data: dict[str, dict[Split, str | None]]
    updates: int
    seconds: float
    tokens: int
    batches: dict[str, int]
    angle: float | None
    baselines: dict[str, float | None]
    curve: list[Point]
    conflict: list[Conflict]
    answers: dict[str, Array]
    folder: Path | None = None
    """The run's, with all that is not kept; None among kept results."""

    @classmethod
    def of(cls, run: Run) -> Self:
        """What a complete run's folder holds. Raises RunError where it cannot be read."""
        try:
            return cls._of(run)
        except UNREADABLE as error:
            raise RunError(
                f"{run.folder} cannot be read as a complete run ({_told(error)}); remove it, and run it again"
            ) from None

    @classmethod
    def _of(cls, run: Run) -> Self:
        run.check_complete()
        recipe, about = run.recipe(), run.environment()
        steps, evaluations = run.records("step"), run.records("evaluation")
        epoch_at = {0: 0} | {step["step"]: step["epoch"] for step in steps}
        batches = Counter(task for step in steps for task in step["losses"])
        angles = [step["surgery_angle"] for step in steps if step["surgery_angle"] is not None]
        return cls(
            group=group_of(run.folder),
            seed=recipe.seed,
            recipe=recipe,
            about={key: about[key] for key in ABOUT},
            data=_digests(recipe, about["data"].get),
            updates=len(steps),
            seconds=sum(step["seconds"] for step in steps),
            tokens=sum(step["tokens"] for step in steps),
            batches={task: count * recipe.training.accumulate for task, count in batches.items()},
            angle=statistics.fmean(angles) if angles else None,
            baselines=evaluations[-1]["baselines"],
            curve=[Point(record["step"], epoch_at[record["step"]], record["metrics"]) for record in evaluations],
            conflict=_conflict(steps),
            answers={
                name: metric_input(recipe.tasks[name], run.read_predictions(name, recipe.tasks[name]))
                for name in evaluations[-1]["metrics"]
            },
            folder=run.folder,
        )

    @property
    def name(self) -> str:
        return f"{self.group} seed {self.seed}"

    @property
    def epoch_ends(self) -> list[Point]:
        """The last evaluation of each epoch that has one, the one before any update first."""
        return list({point.epoch: point for point in self.curve}.values())

    def task_of(self, epoch: int) -> str | None:
        """The task that had an epoch, from 1, to itself; None where all trained, and before the first."""
        order = self.recipe.order
        return order[(epoch - 1) % len(order)] if self.recipe.schedule.kind == "round-robin" and epoch else None

    @property
    def scores(self) -> dict[str, float | None]:
        """Every task's own metric at the last update."""
        last = self.curve[-1].metrics
        return {name: values[str(self.recipe.tasks[name].metric)] for name, values in last.items()}


Group = Sequence[Result]  # of one recipe's seeds
Groups = Mapping[str, Group]  # by name


def _conflict(steps: Sequence[Mapping[str, Any]]) -> list[Conflict]:
    """Cosines of all updates, and of the ones with a close look by layer and with the null, epoch by epoch."""
    found: dict[tuple[int, str, str], list[float]] = defaultdict(list)
    for step in steps:
        of_encoder = {ENCODER: step["cosines"]}, {ENCODER: step.get("null_cosines", {})}
        of_layers = step.get("layer_cosines", {}), step.get("layer_null_cosines", {})
        for layer, cosines in chain.from_iterable(part.items() for part in (*of_encoder, *of_layers)):
            for between, cosine in cosines.items():
                if cosine is not None:
                    found[step["epoch"], layer, between].append(cosine)
    return [
        Conflict(*place, statistics.fmean(cosines), sum(c < 0 for c in cosines) / len(cosines), len(cosines))
        for place, cosines in found.items()
    ]


def group_of(run: Path) -> str:
    """The name of a run's group, after the folder that holds the groups: tuned/PCG-200 of runs/tuned/PCG-200/seed-1."""
    run = run.parent if re.fullmatch(r"fold-\d+", run.name) else run
    group = run.resolve().parent if is_of_seeds(run) else run.resolve()
    return f"{group.parent.name}/{group.name}"


def is_of_seeds(run: Path) -> bool:
    """Whether a run's folder stands among those of a group's other seeds, by its name."""
    return re.fullmatch(r"seed-\d+", run.name) is not None


def keep(results: Iterable[Result], folder: Path) -> list[Result]:
    """Adds results to a folder of results and gives all that it holds; a run that is made again takes its old place.

    Raises RunError where the folder holds a run of another recipe, or of other data, by the same name; or something
    else than results.
    """
    check_folder(folder)
    make_folder(folder)
    with one_writer(folder, patience=PATIENCE):  # several experiments may add to one folder at once
        known = {(r.group, r.seed): r for r in read_kept(folder)} if (folder / RUNS).is_file() else {}
        for result in results:
            new = replace(result, recipe=without_paths(result.recipe))
            _check_same(known.get((new.group, new.seed)), new, folder)
            known[new.group, new.seed] = new
        kept = [known[key] for key in sorted(known)]
        _write(folder / ANSWERS, [frame for result in kept for frame in _answer_frames(result)])
        _write(folder / CONFLICT, [frame for result in kept if (frame := _conflict_frame(result)) is not None])
        write_text(folder / RUNS, "".join(json.dumps(_line(result)) + "\n" for result in kept))
    return kept


def check_folder(folder: Path) -> None:
    """Raises RunError where a folder holds what could be mixed up with results, such as runs themselves."""
    if run := next(folder.rglob("recipe.toml"), None):
        raise RunError(f"{folder} holds runs, such as {run.parent}; {OF_ITS_OWN}")
    names = {entry.name for entry in folder.iterdir() if entry.name[0] != "."} if folder.is_dir() else set()
    if RUNS not in names and (strangers := names - {ANSWERS, CONFLICT}):  # which another process may be writing
        raise RunError(f"{folder} holds other files, such as {min(strangers)}; {OF_ITS_OWN}")


OF_ITS_OWN = "keep results in a folder of their own"


def _check_same(old: Result | None, new: Result, folder: Path) -> None:
    if old is not None and (found := _differences(old, new.recipe, new.data)):
        raise RunError(f"{taken(folder, old, found)}\n{ELSEWHERE}")


ELSEWHERE = "keep this one in another folder of results, or let its runs lie in a folder of another name"


def taken(folder: Path, kept: Result, found: list[str]) -> str:
    """That a folder of results holds a run of the same name, and how the two differ."""
    return f"{folder} holds another {kept.name} already: {several(found)}"


def _differences(kept: Result, recipe: Recipe, data: Mapping[str, Mapping[Split, str | None]]) -> list[str]:
    """How a resolved recipe and the digests of its files differ from those of a kept run."""
    found = [str(change) for change in changes(kept.recipe, recipe)]
    return found + [f"other files of {name}" for name, of in data.items() if kept.data.get(name) != of]


def without_paths(recipe: Recipe) -> Recipe:
    """The recipe with its files named from the folder that holds them all, and an encoder's folder by its name."""
    files = [Path(file).absolute() for file in files_of(recipe)]
    root = os.path.commonpath([file.parent for file in files]) if files else "."

    def below_root(_split: Split, file: str) -> str:
        return Path(file).absolute().relative_to(root).as_posix()

    tasks = {name: task.with_files(below_root) for name, task in recipe.tasks.items()}
    encoder = Path(recipe.encoder).name if Path(recipe.encoder).is_absolute() else recipe.encoder
    return recipe.model_copy(update={"tasks": tasks, "encoder": encoder})


def _digests(recipe: Recipe, of_file: Callable[[str], str | None]) -> dict[str, dict[Split, str | None]]:
    return {
        name: {split: digest_of([of_file(file) for file in files]) for split in SPLITS if (files := task.files(split))}
        for name, task in recipe.tasks.items()
    }


def digest_of(digests: Sequence[str | None]) -> str | None:
    """The digests of a split's files as one; None where a file is not there."""
    known = [one for one in digests if one is not None]
    return " ".join(known) if len(known) == len(digests) else None


def differences(kept: Result, recipe: Recipe) -> list[str]:
    """How the run of a recipe, not resolved yet, would differ from a kept one: in keys, in seed, or in data."""
    data = _digests(recipe, lambda file: digest(Path(file)))
    return _differences(kept, as_resolved(without_paths(recipe), kept.recipe), data)


def _line(result: Result) -> dict[str, Any]:
    """All but what the Parquet files hold."""
    plain = {field.name: getattr(result, field.name) for field in fields(result)}
    del plain["answers"], plain["conflict"], plain["folder"]
    return plain | {
        "recipe": result.recipe.model_dump(mode="json", exclude_none=True),
        "curve": [asdict(point) for point in result.curve],
    }


def _answer_frames(result: Result) -> list[pl.DataFrame]:
    return [
        pl.DataFrame(
            {"run": result.group, "seed": result.seed, "task": task, "row": range(1, len(answers) + 1)}
            | {"prediction": answers}
        )
        for task, answers in result.answers.items()
    ]


def _conflict_frame(result: Result) -> pl.DataFrame | None:
    if not result.conflict:
        return None
    run = [pl.lit(result.group).alias("run"), pl.lit(result.seed).cast(pl.Int64).alias("seed")]
    return pl.DataFrame([asdict(conflict) for conflict in result.conflict]).select(*run, pl.all())


def _write(file: Path, frames: Sequence[pl.DataFrame]) -> None:
    """Parquet as small as it gets. Scores are what a float32 head gave, so nothing of them is lost; large sets of
    classes keep their 64 bits."""
    if not frames:
        return
    whole = pl.concat(frames)
    is_large = "prediction" in whole.columns and (whole["prediction"].abs() > 2**24).any()
    numbers = [] if is_large else [pl.col(pl.Float64).cast(pl.Float32)]
    whole = whole.with_columns(*numbers, pl.col(pl.Int64).exclude("seed").cast(pl.Int32))
    with replacing(file) as temporary:
        whole.write_parquet(temporary, compression="zstd", compression_level=19)


def read_kept(folder: Path) -> list[Result]:
    """All runs of a folder of results. Raises RunError where its files are not what `keep` wrote."""
    try:
        lines = [json.loads(line) for line in (folder / RUNS).read_text(encoding="utf-8").splitlines()]
        answers = _by_run(folder / ANSWERS)
        conflict = _by_run(folder / CONFLICT)
        found = [_result(line, answers, conflict) for line in lines]
    except UNREADABLE as error:
        raise RunError(
            f"{folder} cannot be read as results ({_told(error)}); put its files back as they were kept, or read them "
            "with the version of minbert that kept them"
        ) from None
    lacking = [result.name for result in found if not result.answers.keys() >= result.scores.keys()]
    if lacking:
        raise RunError(f"{folder / ANSWERS} lacks the answers of {several(lacking)}; put that file back as it was kept")
    return found


def _told(error: Exception) -> str:
    """An error on one line, and what kind it is, since a key alone says little."""
    return f"{type(error).__name__}: {shown(str(error), 160)}"


def _by_run(file: Path) -> dict[tuple[str, int], pl.DataFrame]:
    if not file.is_file():
        return {}
    parts = pl.read_parquet(file).partition_by("run", "seed", as_dict=True, maintain_order=True, include_key=False)
    return {(str(run), int(seed)): part for (run, seed), part in parts.items()}


def _result(
    line: dict[str, Any],
    answers: Mapping[tuple[str, int], pl.DataFrame],
    conflict: Mapping[tuple[str, int], pl.DataFrame],
) -> Result:
    key, none = (line["group"], line["seed"]), pl.DataFrame()
    tasks = answers[key].partition_by("task", as_dict=True, maintain_order=True) if key in answers else {}
    return Result(
        **line
        | {
            "recipe": Recipe.model_validate(line["recipe"]),
            "about": {key: value for key, value in line["about"].items() if key in ABOUT},
            "curve": [Point(**point) for point in line["curve"]],
            "conflict": [Conflict(**row) for row in conflict.get(key, none).iter_rows(named=True)],
            "answers": {str(name): _in_rows(part, f"{key[0]} seed {key[1]}") for (name,), part in tasks.items()},
        }
    )


def _in_rows(part: pl.DataFrame, name: str) -> Array:
    """A run's answers to one task, in the order of dev's rows. Raises ValueError where those are not 1 to n."""
    ordered = part.sort("row")
    if ordered["row"].to_list() != list(range(1, len(part) + 1)):
        raise ValueError(f"the answers of {name} are not those of rows 1 to n, once each")
    found: Array = ordered["prediction"].cast(pl.Float64).to_numpy()
    return found
