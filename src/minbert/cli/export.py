"""`minbert export`: a model's folder -> a folder that other programs open."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from minbert.cli.train import ForceOption, SkipOption
from minbert.errors import DataError, ModelError, RunError, several

if TYPE_CHECKING:
    from rich.table import Table

    from minbert.inference.onnx_model import Agreement
    from minbert.model import MultitaskModel

Format = Literal["sentence-transformers", "onnx", "onnx-int8"]


def export(
    model: Annotated[str, typer.Argument(help="A run's folder or a model's; for vectors a BERT checkpoint's, too.")],
    file_format: Annotated[
        Format, typer.Option("--format", help="sentence-transformers: vectors; onnx, onnx-int8: a graph for each task.")
    ],
    output: Annotated[Path, typer.Option(help="The folder to write.")],
    pooling: Annotated[
        Literal["mean", "cls", "cls-raw"] | None,
        typer.Option(help="Of sentence-transformers: how tokens become one vector, as in embed; mean unless given."),
    ] = None,
    normalize: Annotated[
        bool, typer.Option("--normalize", help="Of sentence-transformers: give every vector length 1, as in embed.")
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Of onnx-int8: folder with the dev files; without it, those the run has."),
    ] = None,
    skip_bad_rows: SkipOption = False,
    force: ForceOption = False,
) -> None:
    """Write a model for other programs: sentence-transformers, or anything that runs ONNX."""
    from minbert.files import replacing_folder

    _check_options(file_format, pooling is not None or normalize, data is not None or skip_bad_rows)
    _may_replace(output, model, force)
    if file_format == "sentence-transformers":
        from minbert.cli.show import messages
        from minbert.inference import st_layout
        from minbert.model import MultitaskModel

        loaded = MultitaskModel.from_encoder(model, pooling or "mean")
        with replacing_folder(output) as folder:
            st_layout.export(loaded, folder, pooling or "mean", normalize)
        length = "length 1" if normalize else "any length"
        messages.print(f"{output}: {pooling or 'mean'} pooling, {length}; texts are cut at {loaded.max_length} tokens")
    else:
        _export_onnx(Path(model), output, file_format == "onnx-int8", data, skip_bad_rows)


def _check_options(file_format: Format, for_vectors: bool, for_int8: bool) -> None:
    """Raises DataError for an option that this format has no use for."""
    if for_vectors and file_format != "sentence-transformers":
        raise DataError(
            "--pooling and --normalize are for sentence-transformers; each task of an ONNX export has its own pooling"
        )
    if for_int8 and file_format != "onnx-int8":
        raise DataError("--data and --skip-bad-rows go with --format onnx-int8, which is compared on dev")


def _may_replace(output: Path, model: str, force: bool) -> None:
    """Raises RunError where a folder would replace something unasked, the model, or anything but an earlier export."""
    from minbert.files import check_place

    place, source = output.resolve(), Path(model).resolve()
    if source.exists() and (place.is_relative_to(source) or source.is_relative_to(place)):
        raise RunError(f"--output {output} is the model's own folder, inside it or around it; name another --output")
    check_place(output)
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    if not _is_export(output):
        raise RunError(f"{output} exists and is no export of minbert's; name another --output")
    if not force:
        raise RunError(f"{output} exists already; --force replaces it")


def _is_export(folder: Path) -> bool:
    """Whether a folder holds what `export` alone writes: other tools have a modules.json, too, and other *.onnx."""
    from minbert.inference import onnx_model, st_layout

    return st_layout.is_export(folder) or onnx_model.is_export(folder)


def _export_onnx(model: Path, output: Path, int8: bool, data: Path | None, skip_bad_rows: bool) -> None:
    from minbert.cli.show import messages
    from minbert.files import replacing_folder
    from minbert.inference import onnx_model
    from minbert.model import MultitaskModel

    loaded = MultitaskModel.from_pretrained(model)
    with replacing_folder(output) as folder:
        onnx_model.export(loaded, folder, int8)
        if int8:
            _compare(loaded, folder, model, data, skip_bad_rows)
    messages.print(f"{output}: a graph for each of {', '.join(loaded.tasks)}, and example.py", soft_wrap=True)


def _compare(loaded: MultitaskModel, folder: Path, model: Path, data: Path | None, skip_bad_rows: bool) -> None:
    """Shows how int8 answers the dev rows. Raises ModelError where that differs by more than the bounds."""
    from minbert.cli.labelled import own_task, readings_of
    from minbert.cli.show import results
    from minbert.inference.onnx_model import OnnxModel, agreement, write_card

    unknown = None if data is not None else next((n for n in loaded.tasks if own_task(n, model) is None), None)
    if unknown is not None:
        says = f"{model} has no recipe that says where task '{unknown}' has its"
        raise DataError(f"int8 is compared on dev, and {says}; give --data DIR")
    readings = readings_of(list(loaded.tasks), loaded, data, "dev", model, skip_bad_rows)
    small, found = OnnxModel.from_pretrained(folder), []
    for name, reading in readings.items():
        encoded = loaded.encode(name, reading.examples)
        ours, theirs = (one.predict_encoded(name, encoded) for one in (loaded, small))
        found.append(agreement(name, loaded.tasks[name], ours, theirs))
    results.print(_table(found))
    unseen = [f"task '{name}' has no dev rows to compare int8 by" for name in loaded.tasks if name not in readings]
    low = [
        f"task '{one.task}' has {one.measure} {one.shown}, below {one.bound:.2f}" for one in found if not one.is_enough
    ]
    if low or unseen:
        raise ModelError(f"int8 is not written: {several(low + unseen)}; take --format onnx")
    write_card(loaded, folder, True, found)


def _table(found: Sequence[Agreement]) -> Table:
    from minbert.cli.show import table

    columns = ("task", "rows", "measure", "value", "at least")
    rows = [(one.task, f"{one.rows:,}", one.measure, one.shown, f"{one.bound:.2f}") for one in found]
    return table("int8 beside fp32 on dev", columns, rows)
