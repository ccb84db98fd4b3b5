"""`minbert predict`: lines or the rows of a file -> a trained model's answers."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from minbert.cli.inputs import may_grow
from minbert.cli.rows import GoOnOption, grow, look_at
from minbert.cli.train import ForceOption, SkipOption
from minbert.errors import DataError, ModelError, counted, near

if TYPE_CHECKING:
    from minbert.answering import Answering
    from minbert.inference.bulk import Window
    from minbert.tables import Quoting, TableFile
    from minbert.tasks import Task

ModelArgument = Annotated[Path, typer.Argument(help="A run's folder or a model's, such as runs/demo/best.")]
TaskOption = Annotated[str | None, typer.Option("--task", help="The task; not needed where there is only one.")]
EncodingOption = Annotated[
    str | None, typer.Option("--encoding", help="Encoding of the input where it is not UTF-8, such as cp1252.")
]
QuotingOption = Annotated[
    Literal["csv", "none"] | None,
    typer.Option("--quoting", help="csv: quotes wrap cells of a .tsv; none: quotes are plain characters of a .csv."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def predict(
    model: ModelArgument,
    task: TaskOption = None,
    input_file: Annotated[
        Path | None, typer.Option("--input", help="CSV, TSV, JSON lines or Parquet; without it, standard input.")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(help="Column of the text, twice for a pair's; without it, those of the files trained on."),
    ] = None,
    encoding: EncodingOption = None,
    quoting: QuotingOption = None,
    output: Annotated[Path | None, typer.Option(help="File to write; its name's ending says the format.")] = None,
    file_format: Annotated[
        Literal["course"] | None, typer.Option("--format", help="course: the course's prediction file, to the byte.")
    ] = None,
    backend: Annotated[
        Literal["torch", "onnx"], typer.Option(help="onnx: MODEL is a folder that `export` wrote as ONNX.")
    ] = "torch",
    skip_bad_rows: SkipOption = False,
    abstain: Annotated[
        float | None,
        typer.Option(help="Answer `?` where not sure enough for this share of wrong answers, such as 0.05."),
    ] = None,
    resume: GoOnOption = False,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Answer new texts: lines on standard input (a tab between a pair's texts), or the rows of a file."""
    from minbert.cli.show import show_threshold
    from minbert.decoding import BY_OPTIONS
    from minbert.tables import open_table

    if input_file is None and (output or file_format or column or encoding or quoting):
        raise DataError(
            "--output, --format, --column, --encoding and --quoting go with --input FILE; lines of standard input are "
            "answered as lines"
        )
    if file_format and abstain is not None:
        raise DataError("the course's file has an answer for every row; leave --abstain out, or --format course")
    _check_output(output, input_file, file_format is not None, resume, force)
    loaded = _opened(model, backend)
    name = chosen(loaded, task)
    if abstain is not None:
        show_threshold(loaded.tasks[name], abstain, loaded.threshold(name, abstain))
    if input_file is None:
        _answer_lines(loaded, name, abstain, as_json)
        return
    told = _as_told(name, loaded.tasks[name], input_file, column or [], encoding, quoting)
    file = open_table(input_file, told.format, told.encoding, told.quoting, BY_OPTIONS)
    if output is None:
        _print_file(loaded, name, told.model_copy(update={"id": None}), file, skip_bad_rows, abstain, as_json)
        return
    ids = told.id or ("id" if "id" in file.header else None)
    told = told.model_copy(update={"id": ids if file_format else None})  # elsewhere a row keeps all its columns
    options = {"task": name, "backend": backend, "skip": skip_bad_rows}
    _write_file(loaded, name, told, file, model, output, file_format is not None, abstain, options, resume)


def _check_output(output: Path | None, source: Path | None, course: bool, resume: bool, force: bool) -> None:
    """Raises MinbertError where the output, or none, is not what the options ask for."""
    from minbert.tables import format_of

    if course and output is None:
        raise DataError("--format course writes a file; name it with --output")
    if resume and output is None:
        raise DataError("--resume goes on with a file of answers; name it with --output")
    if output is not None and source is not None:
        may_grow(output, source, resume, force)
        if not course:
            format_of(output)


def _opened(model: Path, backend: Literal["torch", "onnx"]) -> Answering:
    """The model by what shall run it."""
    if backend == "onnx":
        from minbert.inference.onnx_model import OnnxModel

        return OnnxModel.from_pretrained(model)
    from minbert.model import MultitaskModel

    if any(model.glob("*.onnx")):
        raise ModelError(f"{model} holds ONNX graphs; add --backend onnx")
    return MultitaskModel.from_pretrained(model)


def chosen(model: Answering, task: str | None) -> str:
    """The task that is meant, by name. Raises ModelError where the model has none of that name, or several."""
    names = list(model.tasks)
    if task is None and len(names) == 1:
        return names[0]
    if task is None:
        raise ModelError(f"this model has {len(names)} tasks; choose one: --task {', --task '.join(names)}")
    if task not in names:
        raise ModelError(f"this model has no task '{task}'{near(task, names)}; it has {', '.join(names)}")
    return task


def _answer_lines(model: Answering, task: str, abstain: float | None, as_json: bool) -> None:
    """Answers standard input, in order."""
    from minbert.cli.show import print_lines

    pair = model.tasks[task].is_pair
    if sys.stdin.isatty():
        print("one text a line" + (", a tab between the two" if pair else "") + "; Ctrl-D ends", file=sys.stderr)
    lines = _standard_input()
    for number, line in enumerate(lines, start=1):
        if pair and line.count("\t") != 1:
            raise DataError(f"standard input, line {number}: task '{task}' takes two texts with one tab between them")
    inputs = [line.split("\t") for line in lines] if pair else lines
    print_lines(_lines(model, task, inputs, abstain, as_json))


def _standard_input() -> list[str]:
    """The lines of standard input, in UTF-8 whatever the terminal's setting. Raises DataError for other bytes."""
    lines = []
    for number, line in enumerate(getattr(sys.stdin, "buffer", sys.stdin), start=1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8") if isinstance(line, bytes) else line
        except UnicodeDecodeError as error:
            byte = f"byte 0x{error.object[error.start]:02x}"
            raise DataError(f"standard input, line {number}: {byte} is not UTF-8; convert it to UTF-8") from None
        lines.append(text.rstrip("\r\n"))
    return lines


def _as_told(
    name: str, task: Task, file: Path, columns: list[str], encoding: str | None, quoting: Quoting | None
) -> Task:
    """A model's task with what the options say of the file at hand; the rest is as the files trained on were."""
    from minbert.decoding import inherited

    texts = len(task.text_columns)
    if columns and len(columns) != texts:
        times = "once" if texts == 1 else "twice, for the first and for the second text"
        raise DataError(f"task '{name}' takes {texts} text{'s' * (texts > 1)} a row; give --column {times}")
    told = {"text": columns or task.text, "quoting": quoting or task.quoting}
    return task.model_copy(update=told | {"encoding": encoding or inherited(file, task.encoding)})


def _print_file(
    model: Answering,
    name: str,
    task: Task,
    file: TableFile,
    skip_bad_rows: bool,
    abstain: float | None,
    as_json: bool,
) -> None:
    """Answers the rows of a file line by line on standard output."""
    from minbert.cli.show import print_lines
    from minbert.inference.bulk import windows

    look_at(file, task, skip_bad_rows)
    every = (window.examples.texts for window in windows(file, task))
    inputs = (texts[0] if len(texts) == 1 else [list(pair) for pair in zip(*texts, strict=True)] for texts in every)
    print_lines(line for some in inputs for line in _lines(model, name, some, abstain, as_json))


def _write_file(
    model: Answering,
    name: str,
    task: Task,
    file: TableFile,
    folder: Path,
    output: Path,
    course: bool,
    abstain: float | None,
    options: Mapping[str, object],
    resume: bool,
) -> None:
    """Answers the rows of a file into another one, beside their own columns or in the course's layout.

    `options` are what decides, beside the input, the model and how the input is read, what is written.
    """
    from minbert.inference.bulk import check_course_ids, in_course_layout, origin, with_answers
    from minbert.tables import ColumnTypes, format_of

    answer, types = model.answer_with(name, abstain), ColumnTypes(len(file.header))
    in_parts = not course and format_of(output) == "parquet"

    def look(window: Window) -> None:
        if course:
            check_course_ids(window)
        if in_parts:
            types.add(list(window.kept.values()))

    found = look_at(file, task, bool(options["skip"]), look)
    if course:
        make = in_course_layout(name, task, answer)
    else:
        make = with_answers(file, task, answer, format_of(output), types)
    reading = task.model_dump(include={"text", "id", "format", "encoding", "quoting"})
    made_from = origin(file, folder, {**options, "abstain": abstain, "course": course, "reading": reading})
    _tell(output, grow(output, made_from, resume, in_parts, file, task, make, found), task)


def _tell(output: Path, counts: Mapping[str, int], task: Task) -> None:
    from minbert.cli.show import messages

    answers = counted(counts.get("answer", 0), "answer")
    noted = "".join(f", {number:,} {note}" for note, number in counts.items() if note != "answer")
    messages.print(f"{answers} in {output}{noted}; texts are cut at {task.max_length} tokens")


def _lines(
    model: Answering, task: str, inputs: list[str] | list[list[str]], abstain: float | None, as_json: bool
) -> Iterator[str]:
    """An answer a line."""
    from minbert.cli.show import answer_lines

    if not as_json:
        yield from answer_lines(model, task, inputs, abstain)
        return
    for given, answered in zip(inputs, model.predict(task, inputs, abstain), strict=True):
        yield json.dumps({"input": given} | vars(answered), ensure_ascii=False)
