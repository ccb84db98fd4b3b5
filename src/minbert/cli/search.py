"""`minbert duplicates` and `minbert similar`: a file's texts compared with each other, or with queries."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from minbert.cli.inputs import Column, may_write, read_column
from minbert.cli.train import ForceOption
from minbert.cli.use import EncodingOption, JsonOption, QuotingOption
from minbert.errors import DataError, counted, printable, shown

if TYPE_CHECKING:
    from minbert.inference.judging import PairHead
    from minbert.inference.search import Hit, Pair
    from minbert.model import MultitaskModel
    from minbert.tables import Cell, Quoting

Model = Annotated[str, typer.Argument(help="A run's folder, a model's, a BERT checkpoint's, or minilm.")]
InputOption = Annotated[Path, typer.Option("--input", help="CSV, TSV, JSON lines, Parquet, or .txt by lines.")]
PairTaskOption = Annotated[
    str | None, typer.Option("--task", help="The pair task that judges; not needed where there is only one.")
]
LabelOption = Annotated[
    str | None, typer.Option("--label", help="Its class that means duplicate; not needed for 0/1, false/true, no/yes.")
]
ColumnOption = Annotated[
    str | None, typer.Option("--column", help="Column of the texts; not needed where there is only one.")
]
OutputOption = Annotated[Path | None, typer.Option(help="File to write; its name's ending says the format.")]


def duplicates(
    model: Model,
    input_file: InputOption,
    task: PairTaskOption = None,
    label: LabelOption = None,
    column: ColumnOption = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="Least probability (0.5), cosine without a pair task (0.8), or score (no default)."),
    ] = None,
    neighbours: Annotated[int, typer.Option(min=1, max=100, help="Nearest texts of each to look at.")] = 10,
    min_cosine: Annotated[
        float | None,
        typer.Option(
            min=-1, max=1, help="Least cosine of two texts to look at (0.5; without a pair task --threshold)."
        ),
    ] = None,
    encoding: EncodingOption = None,
    quoting: QuotingOption = None,
    output: OutputOption = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Find the rows of a file that say the same: candidates by their vectors, judged by a pair task."""
    from minbert.cli.show import messages
    from minbert.inference.judging import measure, threshold_of
    from minbert.inference.search import check_size, count_full, duplicates

    _check_output(output, [input_file], force)
    loaded, head = _judge(model, task, label)
    threshold_of(loaded, head, threshold)  # before the file is read
    rows = _read(input_file, column, encoding, quoting)
    check_size(rows.texts, f"{input_file}: ")
    pairs = duplicates(loaded, rows.texts, head, threshold, neighbours, min_cosine)
    cells: list[list[Cell]] = []
    for pair in pairs:
        both = [cell for two in zip(_row(rows, pair.first), _row(rows, pair.second), strict=True) for cell in two]
        score = [] if head is None else [pair.score]
        cells.append([pair.group, *both, pair.cosine, *score, "same text" if pair.cosine is None else _note(pair)])
    sides = [f"{name}_{side}" for name in _row_columns(rows) for side in (1, 2)]
    header = ["group", *sides, "cosine", *([] if head is None else [measure(loaded, head)]), "note"]
    _give(header, cells, output, as_json)
    groups = len({pair.group for pair in pairs})
    what = f"{counted(len(pairs), 'pair')} in {counted(groups, 'group')} among {counted(len(rows.texts), 'row')}"
    _say(what, pairs, output, loaded, head)
    if full := count_full(pairs, rows.texts, neighbours):
        had = f"{counted(full, 'row')} had all {counted(neighbours, 'neighbour')} above the threshold"
        messages.print(f"{had}: more may exist; raise --neighbours", soft_wrap=True)


def similar(
    model: Model,
    input_file: InputOption,
    query: Annotated[list[str] | None, typer.Option(help="A text to look for; repeatable.")] = None,
    queries: Annotated[Path | None, typer.Option(help="A file of texts to look for, instead.")] = None,
    top: Annotated[int, typer.Option(min=1, max=100, help="Texts to give for each query.")] = 10,
    task: PairTaskOption = None,
    label: LabelOption = None,
    column: ColumnOption = None,
    query_column: Annotated[
        str | None, typer.Option(help="Column of the queries; not needed where there is only one.")
    ] = None,
    encoding: EncodingOption = None,
    quoting: QuotingOption = None,
    output: OutputOption = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Find the rows of a file that are most like a text: the nearest by their vectors, ordered by a pair task."""
    from minbert.inference.judging import measure
    from minbert.inference.search import check_product, similar
    from minbert.labels import is_blank

    if bool(query) == (queries is not None):
        raise DataError("say what to look for: --query TEXT or --queries FILE, one of the two")
    if any(map(is_blank, query or [])):
        raise DataError("a --query is blank; write a text")
    if query_column is not None and queries is None:
        raise DataError("--query-column goes with --queries FILE; leave it out")
    _check_output(output, [input_file, queries], force)
    loaded, head = _judge(model, task, label)
    asked = (
        Column(query or []) if queries is None else _read(queries, query_column, encoding, quoting, "--query-column")
    )
    rows = _read(input_file, column, encoding, quoting)
    check_product(rows.texts, asked.texts, f"{input_file}: ")
    hits = similar(loaded, rows.texts, asked.texts, head, top)
    cells: list[list[Cell]] = []
    for hit in hits:
        score = [] if head is None else [hit.score]
        found = [*_row(rows, hit.place), hit.cosine, *score, _note(hit)]
        cells.append([hit.query + 1, asked.texts[hit.query], hit.rank, *found])
    judged = ["cosine", *([] if head is None else [measure(loaded, head)]), "note"]
    _give(["query", "query_text", "rank", *_row_columns(rows), *judged], cells, output, as_json)
    _say(f"{counted(len(hits), 'answer')} among {counted(len(rows.texts), 'row')}", hits, output, loaded, head)


def _check_output(output: Path | None, sources: Sequence[Path | None], force: bool) -> None:
    """Refuses a place or a format before anything is loaded."""
    from minbert.tables import format_of

    if output is not None:
        for source in sources:
            may_write(output, source, force)
        format_of(output)


def _judge(model: str, task: str | None, label: str | None) -> tuple[MultitaskModel, PairHead | None]:
    """The model, and the pair task of it that judges, where it has one."""
    from minbert.cli.show import messages
    from minbert.inference.judging import pair_head
    from minbert.model import MultitaskModel

    loaded = MultitaskModel.from_encoder(model)
    head = pair_head(loaded, task, label)
    if head is None:
        messages.print("this model has no pair task: texts are judged by their cosine alone")
    return loaded, head


def _read(
    file: Path, column: str | None, encoding: str | None, quoting: Quoting | None, option: str = "--column"
) -> Column:
    """A file's texts; those that are blank are counted, and left out by the search."""
    from minbert.cli.show import show_warnings
    from minbert.labels import is_blank

    rows = read_column(file, column, encoding, quoting, option)
    blank = sum(map(is_blank, rows.texts))
    if blank == len(rows.texts):
        raise DataError(f"{file} has blank texts alone; name another column with {option}, or write texts")
    if blank:
        show_warnings(str(file), [f"left out {counted(blank, 'blank text')} of {len(rows.texts):,}"])
    return rows


def _row_columns(rows: Column) -> list[str]:
    return ["row", *([] if rows.ids is None else ["id"]), "text"]


def _row(rows: Column, place: int) -> list[Cell]:
    """The cells under the columns above; rows are counted from 1."""
    return [place + 1, *([] if rows.ids is None else [rows.ids[place]]), rows.texts[place]]


def _give(header: list[str], rows: list[list[Cell]], output: Path | None, as_json: bool) -> None:
    """Writes a file; or prints the same cells, a row a line."""
    from minbert.cli.show import print_lines
    from minbert.tables import write_table

    if output is not None:
        write_table(output, header, rows)
    elif as_json:
        print_lines(json.dumps(dict(zip(header, row, strict=True)), ensure_ascii=False) for row in rows)
    else:
        plain = shown if sys.stdout.isatty() else printable
        print_lines("\t".join(_cell(cell, plain) for cell in row) for row in rows)


def _cell(cell: Cell, plain: Callable[[str], str]) -> str:
    """A cell on a line of its row: a text without line breaks and tabs, a number in short."""
    if isinstance(cell, float):
        return f"{cell:.3f}"
    return "" if cell is None else plain(str(cell))


def _note(found: Pair | Hit) -> str:
    return "truncated" if found.truncated else ""


def _say(
    what: str, found: Sequence[Pair | Hit], output: Path | None, model: MultitaskModel, head: PairHead | None
) -> None:
    from minbert.cli.show import messages

    longest = model.max_length if head is None else model.tasks[head.task].max_length or model.max_length
    place = "" if output is None else f", in {output}"
    cut = sum(one.truncated for one in found)
    noted = f", {cut:,} truncated" if cut else ""
    messages.print(f"{what}{noted}{place}; texts are cut at {longest} tokens")
