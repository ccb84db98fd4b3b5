"""Blocks of rows -> a file that grows, is readable on the way, and after a kill goes on from its last whole block.

How far it is stands beside it, in OUTPUT.progress, until it is complete.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Protocol, Self

import polars as pl

from minbert.errors import RunError
from minbert.files import make_folder, one_writer_of, replacing, told, write_text


@dataclass(frozen=True)
class Progress:
    """What an output is made from, each thing as a digest, and how far it is.

    `rows` counts rows of the input; `size` what is whole of the output, in bytes or in parts; `counts` what its rows
    hold.
    """

    made_from: dict[str, str]
    rows: int = 0
    size: int = 0
    counts: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, target: Path) -> Self | None:
        """How far an output is; None for one that is complete or not begun. Raises RunError where it is damaged."""
        file = progress_file(target)
        if not file.exists():
            return None
        try:
            return cls(**json.loads(file.read_text(encoding="utf-8")))
        except (ValueError, TypeError):
            raise RunError(f"{file} is damaged; begin anew with --force") from None

    def keep(self, target: Path) -> None:
        """Writes it beside an output."""
        write_text(progress_file(target), json.dumps(asdict(self), indent=1) + "\n")

    def after(self, rows: int, size: int, counts: Mapping[str, int]) -> Self:
        """So many rows later."""
        total = {name: self.counts.get(name, 0) + counts.get(name, 0) for name in self.counts | dict(counts)}
        return replace(self, rows=rows, size=size, counts=total)


class Grower(Protocol):
    """A way for an output to grow."""

    def __init__(self, target: Path, size: int) -> None: ...

    def add(self, block: bytes) -> int:
        """Puts a block on the disk, and gives the output's new size."""

    def finish(self) -> None:
        """Makes the output complete."""

    def clear(self) -> None:
        """Takes away what only an unfinished output has."""

    def close(self) -> None: ...


class Appended:
    """An output that is longer after each block."""

    def __init__(self, target: Path, size: int) -> None:
        self.handle = target.open("ab")
        if self.handle.tell() < size:
            self.handle.close()
            raise RunError(f"{target} is shorter than {progress_file(target).name} says; begin anew with --force")
        self.handle.truncate(size)  # a kill may have left a part of a block

    def add(self, block: bytes) -> int:
        self.handle.write(block)
        self.handle.flush()
        os.fsync(self.handle.fileno())
        return self.handle.tell()

    def finish(self) -> None:
        """It is whole as it is."""

    def clear(self) -> None:
        """It has nothing beside it."""

    def close(self) -> None:
        self.handle.close()


class Parts:
    """A Parquet file, which cannot grow: its parts lie in a folder OUTPUT.parts until they are joined."""

    def __init__(self, target: Path, size: int) -> None:
        self.target, self.folder, self.size = target, target.with_name(f"{target.name}.parts"), size
        make_folder(self.folder)
        lacking = [part for part in self._parts(range(size)) if not part.is_file()]
        if lacking:
            raise RunError(f"{lacking[0]} is missing; begin anew with --force")
        for part in set(self.folder.iterdir()) - set(self._parts(range(size))):
            part.unlink()

    def add(self, block: bytes) -> int:
        with replacing(next(self._parts(range(self.size, self.size + 1)))) as temporary:
            temporary.write_bytes(block)
        self.size += 1
        return self.size

    def finish(self) -> None:
        parts = [pl.scan_parquet(part) for part in self._parts(range(self.size))]
        with replacing(self.target) as temporary:  # a column that a part has no value in is of no type there
            pl.concat(parts, how="vertical_relaxed").sink_parquet(temporary)

    def clear(self) -> None:
        shutil.rmtree(self.folder)

    def close(self) -> None:
        """Every part is closed as it is written."""

    def _parts(self, numbers: range) -> Iterator[Path]:
        return (self.folder / f"{number:06}.parquet" for number in numbers)


class Growing:
    """An output under way."""

    def __init__(self, target: Path, progress: Progress, grower: type[Grower]) -> None:
        self.target, self.progress = target, progress
        self.grower = grower(target, progress.size)

    def append(self, block: bytes, rows: int, counts: Mapping[str, int]) -> None:
        """Adds what came of the input up to a number of rows; when this returns, a kill cannot take it back."""
        with told(self.target):
            progress = self.progress.after(rows, self.grower.add(block), counts)
            progress.keep(self.target)
        self.progress = progress

    def finish(self) -> None:
        with told(self.target):
            self.grower.finish()
            progress_file(self.target).unlink()
            self.grower.clear()


@contextlib.contextmanager
def growing(target: Path, made_from: Mapping[str, str], resume: bool, in_parts: bool = False) -> Iterator[Growing]:
    """An output that is complete where the block ends well, and unfinished where it does not.

    With `resume` it goes on where there is something to go on with. Raises RunError where that was made from something
    else, and where another process writes the same file.
    """
    make_folder(target.parent)
    with one_writer_of(target):
        found = Progress.of(target) if resume else None
        if found is None:
            found = Progress(dict(made_from))
            with told(target):
                target.unlink(missing_ok=True)
            found.keep(target)
        changed = [name for name, digest in made_from.items() if found.made_from.get(name) != digest]
        if changed:
            raise RunError(
                f"{target} was begun with another {' and another '.join(changed)}; give those again, or begin anew "
                "with --force"
            )
        with told(target):
            output = Growing(target, found, Parts if in_parts else Appended)
        try:
            yield output
            output.finish()
        finally:
            output.grower.close()


def progress_file(target: Path) -> Path:
    """Where it stands how far an output is."""
    return target.with_name(f"{target.name}.progress")
