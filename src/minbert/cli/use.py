"""`minbert predict` and `embed`: a trained model at work."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from minbert.cli.inputs import may_write, texts_of
from minbert.cli.train import ForceOption, SkipOption
from minbert.errors import DataError, ModelError, counted, near

if TYPE_CHECKING:
    from minbert.data import Reading
    from minbert.model import MultitaskModel
    from minbert.predictions import Predictions
    from minbert.tables import Cell, Quoting, Table
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
    skip_bad_rows: SkipOption = False,
    abstain: Annotated[
        float | None,
        typer.Option(help="Answer `?` where not sure enough for this share of wrong answers, such as 0.05."),
    ] = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Answer new texts: lines on standard input (a tab between a pair's texts), or the rows of a file."""
    from minbert.cli.show import show_threshold
    from minbert.model import MultitaskModel
    from minbert.tables import format_of

    if input_file is None and (output or file_format or column or encoding or quoting):
        raise DataError(
            "--output, --format, --column, --encoding and --quoting go with --input FILE; lines of standard input are "
            "answered as lines"
        )
    if file_format and abstain is not None:
        raise DataError("the course's file has an answer for every row; leave --abstain out, or --format course")
    if file_format and output is None:
        raise DataError("--format course writes a file; name it with --output")
    if output is not None:
        may_write(output, input_file, force)
        if file_format is None:
            format_of(output)
    loaded = MultitaskModel.from_pretrained(model)
    name = chosen(loaded, task)
    if abstain is not None:
        show_threshold(loaded.tasks[name], abstain, loaded.abstain(name, abstain))
    if input_file is None:
        _answer_lines(loaded, name, as_json)
    else:
        task_here = _as_told(name, loaded.tasks[name], column or [], encoding, quoting)
        _answer_file(loaded, name, task_here, input_file, output, file_format is not None, skip_bad_rows, as_json)


def embed(
    model: Annotated[str, typer.Argument(help="A run's folder, a model's, a BERT checkpoint's, or minilm.")],
    input_file: Annotated[Path, typer.Option("--input", help="CSV, TSV, JSON lines, Parquet, or .txt by lines.")],
    output: Annotated[Path, typer.Option(help="The .npy file to write: float32, a row a text.")],
    column: Annotated[str | None, typer.Option(help="Column of the texts; not needed where there is only one.")] = None,
    encoding: EncodingOption = None,
    quoting: QuotingOption = None,
    pooling: Annotated[Literal["mean", "cls", "cls-raw"], typer.Option(help="How tokens become one vector.")] = "mean",
    normalize: Annotated[bool, typer.Option("--normalize", help="Give every vector length 1.")] = False,
    force: ForceOption = False,
) -> None:
    """Turn texts into vectors."""
    import numpy as np

    from minbert.cli.show import messages
    from minbert.files import replacing
    from minbert.labels import is_blank
    from minbert.model import MultitaskModel

    if output.suffix != ".npy":
        raise DataError(f"{output}: vectors are written as .npy; name the file so")
    may_write(output, input_file, force)
    texts = texts_of(input_file, column, encoding, quoting)
    loaded = MultitaskModel.from_encoder(model, pooling)
    vectors = loaded.embed(texts, pooling, normalize)
    with replacing(output) as temporary, temporary.open("wb") as handle:
        np.save(handle, vectors)
    rows, size = vectors.shape
    vectors_of = f"{counted(rows, 'vector')} of {size} numbers"
    messages.print(f"{vectors_of} in {output}; texts are cut at {loaded.max_length} tokens")
    blank = sum(is_blank(text) for text in texts)
    if blank:
        messages.print(f"warning: {counted(blank, 'blank text')}, with the vector of no text")


def chosen(model: MultitaskModel, task: str | None) -> str:
    """The task that is meant, by name. Raises ModelError where the model has none of that name, or several."""
    names = list(model.tasks)
    if task is None and len(names) == 1:
        return names[0]
    if task is None:
        raise ModelError(f"this model has {len(names)} tasks; choose one: --task {', --task '.join(names)}")
    if task not in names:
        raise ModelError(f"this model has no task '{task}'{near(task, names)}; it has {', '.join(names)}")
    return task


def _answer_lines(model: MultitaskModel, task: str, as_json: bool) -> None:
    """Answers standard input, in order."""
    pair = model.tasks[task].is_pair
    if sys.stdin.isatty():
        print("one text a line" + (", a tab between the two" if pair else "") + "; Ctrl-D ends", file=sys.stderr)
    lines = _standard_input()
    for number, line in enumerate(lines, start=1):
        if pair and line.count("\t") != 1:
            raise DataError(f"standard input, line {number}: task '{task}' takes two texts with one tab between them")
    _print_answers(model, task, [line.split("\t") for line in lines] if pair else lines, as_json)


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


def _as_told(name: str, task: Task, columns: list[str], encoding: str | None, quoting: Quoting | None) -> Task:
    """A model's task with what the options say of the file at hand; the rest is as the files trained on were."""
    texts = len(task.text_columns)
    if columns and len(columns) != texts:
        times = "once" if texts == 1 else "twice, for the first and for the second text"
        raise DataError(f"task '{name}' takes {texts} text{'s' * (texts > 1)} a row; give --column {times}")
    told = {"text": columns or task.text, "encoding": encoding or task.encoding, "quoting": quoting or task.quoting}
    return task.model_copy(update=told)


def _answer_file(
    model: MultitaskModel,
    name: str,
    task: Task,
    file: Path,
    output: Path | None,
    course: bool,
    skip_bad_rows: bool,
    as_json: bool,
) -> None:
    """Answers the rows of a file: into another file, else line by line on standard output."""
    from minbert.cli.show import messages, show_reading
    from minbert.data import examine
    from minbert.decoding import BY_OPTIONS
    from minbert.predictions import write_course
    from minbert.tables import read_table, write_table

    table = read_table(file, task.format, task.encoding, task.quoting, BY_OPTIONS)
    ids = task.id or ("id" if "id" in table.header else None)
    task = task.model_copy(update={"id": ids if course else None})  # elsewhere a row keeps its columns, ids and all
    reading = examine(table, task, labelled=False).without_bad_rows(skip_bad_rows)
    show_reading(str(file), reading)
    if output is None:
        texts = reading.examples.texts
        inputs = texts[0] if len(texts) == 1 else [list(pair) for pair in zip(*texts, strict=True)]
        _print_answers(model, name, inputs, as_json)
        return
    encoded = model.encode(name, reading.examples)
    answered, notes = model.predict_encoded(name, encoded), model.notes(encoded, reading.examples)
    if course:
        write_course(output, name, task, answered)
    else:
        write_table(output, *_with_answers(table, task, reading, answered, notes))
    noted = "".join(f", {number:,} {note}" for note, number in Counter(filter(None, notes)).items())
    messages.print(f"{counted(len(notes), 'answer')} in {output}{noted}; texts are cut at {task.max_length} tokens")


def _print_answers(model: MultitaskModel, task: str, inputs: list[str] | list[list[str]], as_json: bool) -> None:
    """An answer a line."""
    from minbert.cli.show import print_lines, show_answers

    if not as_json:
        show_answers(model, task, inputs)
        return
    answered = zip(inputs, model.predict(task, inputs), strict=True)
    print_lines(json.dumps({"input": given} | vars(one), ensure_ascii=False) for given, one in answered)


def _with_answers(
    table: Table, task: Task, reading: Reading, answered: Predictions, notes: list[str]
) -> tuple[list[str], list[list[Cell]]]:
    """The table's own columns, then the answer's, then a note on blank and cut texts."""
    from minbert.predictions import columns, rows

    added = [*columns(task), "note"]
    taken = [name for name in added if name in table.header]
    if taken:
        raise DataError(f"{table.path} has a column '{taken[0]}' already; rename it, since the answers take that name")
    bad = {row.row for row in reading.bad_rows}
    kept = [cells for row, cells in enumerate(table.rows, start=1) if row not in bad]
    answers = zip(kept, rows(task, answered), notes, strict=True)
    return [*table.header, *added], [[*own, *answer, note] for own, answer, note in answers]
