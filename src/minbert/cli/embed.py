"""`minbert embed`: the texts of a file -> a .npy file of vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from minbert.cli.inputs import CORRECT, may_grow, text_file
from minbert.cli.rows import GoOnOption, grow, look_at
from minbert.cli.train import ForceOption
from minbert.cli.use import EncodingOption, QuotingOption
from minbert.errors import DataError, counted


def embed(
    model: Annotated[str, typer.Argument(help="A run's folder, a model's, a BERT checkpoint's, or minilm.")],
    input_file: Annotated[Path, typer.Option("--input", help="CSV, TSV, JSON lines, Parquet, or .txt by lines.")],
    output: Annotated[Path, typer.Option(help="The .npy file to write: float32, a row a text.")],
    column: Annotated[str | None, typer.Option(help="Column of the texts; not needed where there is only one.")] = None,
    encoding: EncodingOption = None,
    quoting: QuotingOption = None,
    pooling: Annotated[Literal["mean", "cls", "cls-raw"], typer.Option(help="How tokens become one vector.")] = "mean",
    normalize: Annotated[bool, typer.Option("--normalize", help="Give every vector length 1.")] = False,
    resume: GoOnOption = False,
    force: ForceOption = False,
) -> None:
    """Turn texts into vectors."""
    from minbert.cli.show import messages
    from minbert.inference.bulk import as_vectors, origin
    from minbert.model import MultitaskModel
    from minbert.pretrained import locate

    if output.suffix != ".npy":
        raise DataError(f"{output}: vectors are written as .npy; name the file so")
    may_grow(output, input_file, resume, force)
    file, task = text_file(input_file, column, encoding, quoting)
    found = look_at(file, task, remedy=CORRECT)
    loaded = MultitaskModel.from_encoder(model, pooling)
    reading = {"text": task.text, "encoding": encoding, "quoting": quoting}
    made_from = origin(file, locate(model), reading | {"pooling": pooling, "normalize": normalize})
    size = loaded.encoder.config.hidden_size
    make = as_vectors(lambda texts: loaded.embed(texts, pooling, normalize), found.rows, size)
    counts = grow(output, made_from, resume, False, file, task, make, found)
    vectors = f"{counted(counts['vector'], 'vector')} of {size} numbers"
    messages.print(f"{vectors} in {output}; texts are cut at {loaded.max_length} tokens")
    if blank := counts.get("blank"):
        messages.print(f"warning: {counted(blank, 'blank text')}, with the vector of no text")
