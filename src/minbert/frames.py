"""Tables of pandas, polars and datasets -> columns of cells, and Parquet files that a recipe can name."""

import contextlib
import hashlib
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard

from minbert.errors import InputError, near
from minbert.files import replacing

if TYPE_CHECKING:
    import polars as pl

LIBRARIES = {"pandas": "DataFrame", "polars": "DataFrame", "datasets": "Dataset"}
DIGITS = 12  # of a file's digest, in its name


class Frame(Protocol):
    """A table: `pandas.DataFrame`, `polars.DataFrame` or `datasets.Dataset`."""

    def __getitem__(self, name: Any, /) -> Any: ...
    def __len__(self) -> int: ...


def is_frame(value: object) -> TypeGuard[Frame]:
    """Whether a value is a table of one of these libraries, none of which is imported to tell."""
    return any(
        one.__module__.partition(".")[0] == library and one.__name__ == name
        for one in type(value).__mro__
        for library, name in LIBRARIES.items()
    )


def column(frame: Any, name: str) -> list[Any]:
    """The cells of a named column as Python's own values, None where one is missing. Raises InputError without it."""
    names = [str(one) for one in _names(frame)]
    if name not in names:
        raise InputError(f"the table has no column '{name}'{near(name, names)}; it has {', '.join(names)}")
    cells = frame[name]
    if hasattr(frame, "features"):  # datasets: classes are stored as numbers, and their names beside them
        return [_class_name(frame.features[name], cell) for cell in cells]
    if hasattr(cells, "notna"):  # pandas: what is missing is a NaN of one kind or another
        return cells.astype(object).where(cells.notna(), None).tolist()  # type: ignore[no-any-return]
    return cells.to_list()  # type: ignore[no-any-return]


def _names(frame: Any) -> list[Any]:
    return list(frame.column_names if hasattr(frame, "column_names") else frame.columns)


def _class_name(feature: Any, cell: Any) -> Any:
    """A cell of datasets with its class's name in place of the number; -1 is its mark for a missing label."""
    inner = getattr(feature, "feature", None)
    if isinstance(cell, list) and inner is not None:
        return [_class_name(inner, one) for one in cell]
    if hasattr(feature, "int2str") and isinstance(cell, int):
        return None if cell < 0 else feature.int2str(cell)
    return cell


@contextlib.contextmanager
def stored(recipe: Mapping[str, Any], folder: Path) -> Iterator[dict[str, Any]]:
    """The recipe with a Parquet file in `folder` in place of every table among its tasks' files.

    A file is named by what it holds, so that the same table is the same file in every run. Where the block fails,
    nothing of this stays.
    """
    written: list[Path] = []

    def in_files(name: str, value: Any) -> Any:
        if is_frame(value):
            return str(_store(value, name, folder, written))
        if isinstance(value, list):
            return [in_files(name, one) for one in value]
        return {key: in_files(f"{name}-{key}", one) for key, one in value.items()} if isinstance(value, dict) else value

    try:
        tasks = recipe.get("tasks")
        given = {name: in_files(name, task) for name, task in tasks.items()} if isinstance(tasks, Mapping) else tasks
        yield dict(recipe) | ({} if given is None else {"tasks": given})
    except BaseException:
        for file in written:
            file.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # another run's tables are there
            folder.rmdir()
        raise


def _store(frame: Any, name: str, folder: Path, written: list[Path]) -> Path:
    import polars as pl

    table: pl.DataFrame = frame if isinstance(frame, pl.DataFrame) else _as_polars(frame)
    content = io.BytesIO()
    table.write_parquet(content)
    digest = hashlib.sha256(content.getbuffer()).hexdigest()[:DIGITS]
    file = folder / f"{re.sub(r'[^A-Za-z0-9_-]+', '-', name)}-{digest}.parquet"
    if not file.exists():
        written.append(file)
        with replacing(file) as temporary:
            temporary.write_bytes(content.getbuffer())
    return file


def _as_polars(frame: Any) -> "pl.DataFrame":
    import polars as pl

    return pl.DataFrame({str(name): column(frame, str(name)) for name in _names(frame)}, strict=False)
