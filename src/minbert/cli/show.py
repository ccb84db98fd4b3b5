"""What the commands print: results on standard output, everything else on standard error."""

from __future__ import annotations

import functools
import os
import shlex
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from minbert.errors import printable, shown

if TYPE_CHECKING:
    from minbert.answering import Answering, Prediction
    from minbert.calibration import Threshold
    from minbert.data import BadRow, Reading
    from minbert.evaluation import Evaluation
    from minbert.jobs import Job, TaskPlan
    from minbert.tasks import Task
    from minbert.training import EvaluationRecord, Record, StepRecord

WIDE = 10.0  # range of a regression's scores beyond which it is said that they may drown other tasks
LEADERBOARD = {"sst", "para", "sts"}  # the tasks whose mean is the course's score


def __getattr__(name: str) -> Console:
    """`results` and `messages`, made when they are first asked for: a console looks at its surroundings."""
    if name not in ("results", "messages"):
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return console(is_error=name == "messages")


@functools.cache
def console(is_error: bool) -> Console:
    """Texts of a user's files are printed as they are: "[bold]" and ":dog:" are words there."""
    return Console(stderr=is_error, highlight=False, markup=False, emoji=False)


def program() -> str:
    """How the user can call this program again: by its name, or by the path where its name is not on PATH."""
    if shutil.which("minbert"):
        return "minbert"
    called = Path(sys.argv[0])
    return str(called.relative_to(Path.cwd()) if called.is_relative_to(Path.cwd()) else called)


def resuming() -> str:
    """The command that goes on with what this one has begun."""
    return shlex.join([program(), *(word for word in sys.argv[1:] if word not in ("--force", "--resume")), "--resume"])


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> Table:
    """A table whose first `left` columns are words and whose other columns are numbers."""
    made = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    made.padding = (0, 1, 0, 0)  # with the line between columns two blanks, so that nine columns fit 80 characters
    rows = list(rows)
    for place, name in enumerate(columns):
        words = [*name.split(), *(row[place] for row in rows)]
        width = min(14, max(map(len, words), default=0))  # names of usual length stay in one piece
        justify: Literal["left", "right"] = "left" if place < left else "right"
        made.add_column(name, justify=justify, overflow="fold", min_width=width)
    for row in rows:
        made.add_row(*row)
    return made


def number(value: float | None, digits: int = 3) -> str:
    """A score, or a word where it is undefined."""
    return "undefined" if value is None else f"{value:.{digits}f}"


def plan_table(plans: Sequence[TaskPlan]) -> Table:
    """What will be trained, before the first step."""
    columns = ("task", "rows", "batch", "batches", "last\nbatch", "updates", "passes", "share", "weight")
    return table(
        "What will be trained",
        columns,
        (
            (
                plan.task,
                f"{plan.rows:,}",
                str(plan.batch_size),
                f"{plan.batches_per_pass:,}",
                str(plan.last_batch),
                f"{plan.updates:,}",
                f"{plan.passes:.2f}",
                f"{plan.share:.0%}",
                f"{plan.weight:g}",
            )
            for plan in plans
        ),
    )


def plan_warnings(plans: Sequence[TaskPlan]) -> list[str]:
    """What a reader of the plan should not miss."""
    warnings = []
    for plan in plans:
        if plan.updates == 0:
            warnings.append(f"task '{plan.task}' is never trained")
        elif plan.passes < 1:
            warnings.append(f"task '{plan.task}' trains on {plan.passes:.1%} of its rows")
        if plan.weight == 0:
            warnings.append(f"task '{plan.task}' has weight 0, so its labels change nothing")
    return warnings


def range_warnings(tasks: Mapping[str, Task]) -> list[str]:
    """Which tasks' squared errors may drown the losses of the others."""
    wide = {name: task.bounds[1] - task.bounds[0] for name, task in tasks.items() if task.is_regression}
    return [
        f"task '{name}' has scores over a range of {width:g}, and squared errors grow with its square; "
        f"a weight such as {round(WIDE / width**2, 4):g} keeps them from drowning the other tasks' losses"
        for name, width in wide.items()
        if len(tasks) > 1 and width > WIDE and tasks[name].weight >= 1
    ]


def score_table(title: str, evaluation: Evaluation, before: Evaluation | None = None) -> Table:
    """Every task's score with its interval, beside the best constant answer and the scores before training."""
    columns = ["task", "metric", "rows", "always one answer", *(["before"] if before else []), "score", "95 % interval"]
    rows = []
    for task, whole in evaluation.scores.items():
        for name, score in [(task, whole), *((f"  {part}", of) for part, of in whole.parts.items())]:
            interval = "" if score.interval is None else f"{score.interval.low:.3f} – {score.interval.high:.3f}"
            then = before and (before.scores[task] if score is whole else before.scores[task].parts[name.strip()])
            start = [number(then.value)] if then else []
            constant = number(score.baseline)
            rows.append([name, score.metric, f"{score.examples:,}", constant, *start, number(score.value), interval])
    if len(evaluation.scores) > 1:
        rows.append(["sum", "", "", "", *([number(before.sum)] if before else []), number(evaluation.sum), ""])
    if leaderboard(evaluation) is not None:
        start = [number(before.course)] if before else []
        rows.append(["course", "", "", "", *start, number(evaluation.course), ""])
    return table(title, columns, rows, left=2)


def leaderboard(evaluation: Evaluation) -> float | None:
    """The course's score where its three tasks were scored; of other tasks `course` is a mean of no one's."""
    return evaluation.course if evaluation.scores.keys() == LEADERBOARD else None


def show_reading(file: str, reading: Reading) -> None:
    """What in a file deserves a look, and every row that was left out."""
    show_warnings(file, reading.warnings)
    show_skipped(file, reading.bad_rows, len(reading.bad_rows), reading.rows)


def show_skipped(file: str, listed: Sequence[BadRow], bad: int, rows: int) -> None:
    """The rows of a file that were left out; where not all of them are listed, how many more there are."""
    if bad:
        console(is_error=True).print(f"{file}: skipped {bad} of {rows:,} rows:")
    for row in listed:
        console(is_error=True).print(f"  {row}", soft_wrap=True)
    if bad > len(listed):
        console(is_error=True).print(f"  and {bad - len(listed):,} more")


def show_warnings(file: str, warnings: Iterable[str]) -> None:
    for warning in warnings:
        console(is_error=True).print(f"warning: {file}: {warning}", soft_wrap=True)


def show_answers(model: Answering, task: str, inputs: Sequence[str] | Sequence[Sequence[str]]) -> None:
    """An answer a line."""
    print_lines(answer_lines(model, task, inputs))


def answer_lines(
    model: Answering, task: str, inputs: Sequence[str] | Sequence[Sequence[str]], abstain: float | None = None
) -> Iterator[str]:
    """An answer a line, cut by tabs: the prediction, a class's probability, the input, a note where there is one.

    On a terminal a long input is shown by its beginning.
    """
    plain = shown if sys.stdout.isatty() else printable
    for given, prediction in zip(inputs, model.predict(task, inputs, abstain), strict=True):
        texts = [plain(text) for text in ([given] if isinstance(given, str) else given)]
        note = [f"[{prediction.note}]"] if prediction.note else []
        yield "\t".join([*answer_cells(prediction), *texts, *note])


def print_lines(lines: Iterable[str]) -> None:
    """Results, a line each, tabs and all, as rich would not; a reader that has seen enough, such as `head`, ends
    them in peace."""
    try:
        for line in lines:
            print(line)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains as it ends


def answer_cells(prediction: Prediction) -> list[str]:
    """A score and its margin where that is known, or a class and its probability, or classes and that of each."""
    from minbert.predictions import UNSURE

    if prediction.probabilities is None:
        return [f"{prediction.answer:.2f}", *([] if prediction.margin is None else [f"±{prediction.margin:.2f}"])]
    if prediction.answer == UNSURE and UNSURE not in prediction.probabilities:
        return [UNSURE, ""]
    if isinstance(prediction.answer, list):
        names = prediction.answer
        return [", ".join(names) or "none", ", ".join(f"{prediction.probabilities[name]:.2f}" for name in names)]
    return [str(prediction.answer), f"{prediction.probabilities[str(prediction.answer)]:.2f}"]


def show_threshold(task: Task, alpha: float, found: Threshold | None) -> None:
    """When a model that abstains answers, and what that rests on."""
    from minbert.calibration import first_tested
    from minbert.predictions import smallest_share

    assert task.calibration is not None
    if found is not None:
        seen = f"{found.wrong:,} of {found.answered:,} such answers on the rows calibrated on were wrong"
        said = f"answers have a confidence above {found.above:.3f} ({seen}); the others are ?"
    else:
        least = smallest_share(task)
        least_said = (
            "no --abstain below 0.5 answers" if least is None else f"--abstain {least:g} is the least that answers"
        )
        first = first_tested(task.calibration.risks, alpha)
        seen = "rows are too few for a first test"
        if first is not None:
            seen = f"tested first: {first.wrong:,} of the {first.answered:,} surest were wrong"
        said = f"every answer is ?, since no confidence is enough for {alpha:g} of wrong answers ({seen}); {least_said}"
    console(is_error=True).print(said, soft_wrap=True)


class BarDisplay:
    """A bar on standard error inside the block, where that is a terminal; lines printed by `console` stay above it."""

    def __init__(self) -> None:
        self.console = console(is_error=True)
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.stop()


class TrainingDisplay(BarDisplay):
    """Progress of a run on standard error: a bar on a terminal, plain lines elsewhere."""

    SECONDS_BETWEEN_LINES = 20.0

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.job = job
        self.training = self.bar.add_task("training", total=job.last_step)
        self.seconds, self.steps, self.last_line = 0.0, 0, time.monotonic()

    def show(self, record: Record) -> None:
        """Takes a record of the loop: a step moves the bar, an evaluation is a line that stays."""
        from minbert.training import StepRecord

        if isinstance(record, StepRecord):
            self._step(record)
        else:
            self.console.print(self._evaluation(record))

    def _step(self, record: StepRecord) -> None:
        self.seconds += record.seconds
        self.steps += 1
        losses = "  ".join(f"{name} {loss:.3f}" for name, loss in record.losses.items())
        self.bar.update(self.training, completed=record.step, description=f"loss {losses}")
        if not self.console.is_terminal and time.monotonic() - self.last_line > self.SECONDS_BETWEEN_LINES:
            self.last_line = time.monotonic()
            left = self.seconds / self.steps * (self.job.last_step - record.step)
            self.console.print(f"step {record.step}/{self.job.last_step}  loss {losses}  {duration(left)} left")

    def _evaluation(self, record: EvaluationRecord) -> str:
        """A line of a table that grows under its head: the constant answer's scores, then those of step 0."""
        scores, step = record.evaluation.scores, f"step {record.step}/{self.job.last_step}"
        numbers = [number(score.value) + "*" * score.is_constant for score in scores.values()]
        line = self._line(step, [*numbers, number(record.evaluation.sum)])
        if record.step:
            return line + "  best so far" * record.is_best
        constant = [number(score.baseline) for score in scores.values()]
        head = self._line("dev", [*scores, "sum"])
        note = ["  (* one class for every example)"] if any(s.is_constant for s in scores.values()) else []
        return "\n".join([head, self._line("always one answer", [*constant, ""]), line, *note])

    def _line(self, name: str, cells: Sequence[str]) -> str:
        return f"{name:18}" + "".join(f"{cell:>11}" for cell in cells)


def duration(seconds: float) -> str:
    """Minutes and seconds, or hours and minutes."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min {rest:02} s"


class RowsDisplay(BarDisplay):
    """Rows done, rows a second and time left, on standard error: a bar on a terminal, plain lines elsewhere."""

    SECONDS_BETWEEN_LINES = 20.0

    def __init__(self, rows: int, done: int) -> None:
        super().__init__()
        self.rows, self.done = rows, done
        self.task = self.bar.add_task("rows", total=rows, completed=done)
        self.begun = self.last_line = time.monotonic()

    def show(self, row: int) -> None:
        now = time.monotonic()
        rate = (row - self.done) / max(now - self.begun, 1e-9)  # rows a second of this process
        self.bar.update(self.task, completed=row, description=f"{rate:,.0f} rows/s")
        if not self.console.is_terminal and now - self.last_line > self.SECONDS_BETWEEN_LINES:
            self.last_line = now
            left = duration((self.rows - row) / rate)
            self.console.print(f"row {row:,}/{self.rows:,}  {rate:,.0f} rows/s  {left} left")
