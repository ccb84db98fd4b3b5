"""`minbert calibrate`: how sure a model's answers are, and how far off its scores, found on labelled rows."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from minbert.cli.labelled import chosen_by, files_of, read_labelled, readings_of, unlearned
from minbert.cli.train import ForceOption, SkipOption
from minbert.cli.use import JsonOption, ModelArgument, TaskOption, chosen
from minbert.errors import DataError, ModelError, counted

if TYPE_CHECKING:
    from rich.table import Table

    from minbert.inference.calibrate import Fitted
    from minbert.model import MultitaskModel
    from minbert.tasks import Task


def calibrate(
    model: ModelArgument,
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder with the files; without it, those the run was trained with.")
    ] = None,
    task: TaskOption = None,
    input_file: Annotated[
        Path | None, typer.Option("--input", help="Calibrate --task by this labelled file instead of its dev rows.")
    ] = None,
    skip_bad_rows: SkipOption = False,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make a model's probabilities rates of being right, by labelled rows; also when to abstain, scores' margins."""
    from minbert.cli.show import messages, results
    from minbert.files import check_place
    from minbert.model import TASKS, MultitaskModel, model_folder

    if data is not None and input_file is not None:
        raise DataError("--data says where dev files lie, and --input names a file itself; give one of the two")
    folder = model_folder(model)
    check_place(folder / TASKS)
    with _held(model):
        loaded = MultitaskModel.from_pretrained(model)
        names = list(loaded.tasks) if task is None and input_file is None else [chosen(loaded, task)]
        _check_new([name for name in names if not force], loaded.tasks, folder)
        fitted = _fit(names, loaded, data, input_file, model, skip_bad_rows)
        _store(loaded, fitted, folder)
    if as_json:
        print(json.dumps({name: _as_json(of) for name, of in fitted.items()}, indent=2, ensure_ascii=False))
    else:
        for table in _tables(fitted):
            results.print(table)
    for name, of in fitted.items():
        for warning in of.warnings:
            messages.print(f"warning: task '{name}': {warning}", soft_wrap=True)
    if input_file is None or _have_chosen(fitted, model):
        messages.print(
            "the model was chosen by these rows too, so all of this is a little too good for it; rows that nothing was "
            "chosen by are better: --task TASK --input FILE",
            soft_wrap=True,
        )
    messages.print(f"calibrated {', '.join(fitted)} in {folder / TASKS}; no answer changes", soft_wrap=True)


def _have_chosen(fitted: Mapping[str, Fitted], model: Path) -> bool:
    """Whether some task is calibrated by a file that the model was chosen by, under whatever name."""
    from minbert.runs import digest

    dev = {digest(file) for name in fitted for file in chosen_by(name, model)}
    return any(found in dev for of in fitted.values() for found in of.calibration.files.values())


def _held(model: Path) -> contextlib.AbstractContextManager[None]:
    """Keeps training from replacing a run's model meanwhile; a model's folder by itself has no such writer."""
    from minbert.files import one_writer
    from minbert.runs import Run

    run = Run.of_model(model)
    return one_writer(run.folder) if run else contextlib.nullcontext()


def _check_new(names: Sequence[str], tasks: Mapping[str, Task], folder: Path) -> None:
    for name in names:
        if (found := tasks[name].calibration) is not None:
            by = f"{counted(found.rows, 'row')} of {', '.join(found.files)}"
            raise ModelError(f"task '{name}' of {folder} is calibrated already, by {by}; --force replaces that")


def _fit(
    names: Sequence[str],
    loaded: MultitaskModel,
    data: Path | None,
    input_file: Path | None,
    model: Path,
    skip_bad_rows: bool,
) -> dict[str, Fitted]:
    """Each task's calibration by its dev rows, or by the rows of a file."""
    from minbert.inference.calibrate import calibrate as fit
    from minbert.runs import digest

    if input_file is None:
        readings = readings_of(names, loaded, data, "dev", model, skip_bad_rows)
        files = {name: files_of(name, data, "dev", model) for name in readings}
    else:
        readings = {names[0]: read_labelled(input_file, loaded.tasks[names[0]], skip_bad_rows)}
        files = {names[0]: [input_file]}
    fitted: dict[str, Fitted] = {}
    for name, reading in readings.items():
        new = unlearned(name, reading, data, None if input_file else "dev", model)
        digests = {file.name: digest(file) or "" for file in files[name]}
        fitted[name] = fit(loaded, name, loaded.encode(name, new.examples), digests)
    return fitted


def _store(loaded: MultitaskModel, fitted: Mapping[str, Fitted], folder: Path) -> None:
    """Into the model's tasks, and its card where there is one."""
    from minbert.cards import with_calibration
    from minbert.files import write_text
    from minbert.model import TASKS, write_tasks

    found = {name: loaded.tasks[name].model_copy(update={"calibration": of.calibration}) for name, of in fitted.items()}
    tasks = loaded.tasks | found
    write_tasks(tasks, folder / TASKS)
    if loaded.card is not None:
        write_text(folder / "README.md", with_calibration(loaded.card, tasks))


def _as_json(fitted: Fitted) -> dict[str, object]:
    return asdict(fitted) | {"calibration": fitted.calibration.model_dump(exclude_none=True)}


def _tables(fitted: Mapping[str, Fitted]) -> list[Table]:
    """What was found of classes, when they would abstain, and what was found of scores."""
    from minbert.cli.show import table

    classes = {name: of for name, of in fitted.items() if of.nll is not None}
    scores = {name: of for name, of in fitted.items() if of.nll is None}
    found = []
    if classes:
        columns = ["task", "rows", "temperature", "NLL", "after", "ECE", "after", "by chance"]
        rows = [_probability_row(name, of) for name, of in classes.items()]
        found.append(table("Probabilities (after: on rows held out of the fit)", columns, rows))
        columns = ["task", "--abstain", "answered", "of these wrong"]
        rows = [
            [name, f"{line.share:g}", f"{line.answered:.1%}", _percent(line.wrong)]
            for name, of in classes.items()
            for line in of.answered
        ]
        found.append(table("Answers when abstaining, of these rows", columns, rows))
    if scores:
        columns = ["task", "rows", "95 % margin", "within one found on other rows"]
        rows = [_score_row(name, of) for name, of in scores.items()]
        found.append(table("Scores", columns, rows))
    return found


def _probability_row(name: str, fitted: Fitted) -> list[str]:
    from minbert.cli.show import number

    assert fitted.nll is not None
    assert fitted.ece is not None
    temperature, nll, ece = fitted.calibration.temperature, fitted.nll, fitted.ece
    numbers = [temperature, nll.before, nll.after, ece.before, ece.after, fitted.ece_of_perfect]
    return [name, f"{fitted.calibration.rows:,}", *map(number, numbers)]


def _score_row(name: str, fitted: Fitted) -> list[str]:
    from minbert.cli.show import number

    return [name, f"{fitted.calibration.rows:,}", number(fitted.calibration.margin), _percent(fitted.covered)]


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"
