"""Writing that survives a kill: a file or folder is replaced whole or not at all, and has one writer at a time."""

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import filelock

from minbert.errors import RunError

FULL = (errno.ENOSPC, errno.EDQUOT)


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yields a temporary path beside `target`; what is written there becomes `target` when the block ends well.

    The temporary file lies in the same folder because a rename is atomic only within one file system.
    """
    make_folder(target.parent)
    temporary = _beside(target, secrets.token_hex(4))
    with told(target):
        temporary.touch(exist_ok=False)  # with a normal file's permissions; tempfile's are for the owner alone
        try:
            yield temporary
            flush(temporary)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)


def write_text(target: Path, text: str) -> None:
    """Replaces `target` by `text`, in UTF-8 with `\\n` on every system."""
    with replacing(target) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


@contextlib.contextmanager
def replacing_folder(target: Path) -> Iterator[Path]:
    """Yields an empty folder beside `target` that takes its place when the block ends well.

    A folder cannot be renamed onto a full one, so the old one steps aside first; `recover_folder` mends
    the one moment at which a kill leaves only the old one under its other name.
    """
    fresh = _beside(target, "new")
    recover_folder(target)
    make_folder(fresh)
    with told(target):
        try:
            yield fresh
            for file in fresh.rglob("*"):
                if file.is_file():
                    flush(file)
            if target.exists():
                target.rename(_beside(target, "old"))
            fresh.rename(target)
        finally:
            recover_folder(target)


def recover_folder(target: Path) -> None:
    """Puts a folder back that a killed `replacing_folder` had moved aside, and clears what it left behind."""
    old = _beside(target, "old")
    if old.exists() and not target.exists():
        old.rename(target)
    shutil.rmtree(old, ignore_errors=True)
    shutil.rmtree(_beside(target, "new"), ignore_errors=True)


@contextlib.contextmanager
def one_writer(folder: Path, patience: float = 0.0) -> Iterator[None]:
    """Holds `folder` for this process. Raises RunError if another one holds it; a killed holder holds nothing.

    `patience` is in seconds: for so long another process is waited for.
    """
    with _held(
        folder / ".lock", f"{folder} is in use by another process; wait for it, or write to another folder", patience
    ):
        yield


@contextlib.contextmanager
def one_writer_of(file: Path) -> Iterator[None]:
    """Holds a file for this process, as `one_writer` a folder. Raises RunError if another one holds it."""
    lock = _beside(file, "lock")
    with _held(lock, f"{file} is being written by another process; wait for it, or name another file"):
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


@contextlib.contextmanager
def _held(file: Path, message: str, patience: float = 0.0) -> Iterator[None]:
    lock = filelock.FileLock(file)
    with told(file.parent):
        try:
            lock.acquire(timeout=patience)
        except filelock.Timeout:
            raise RunError(message) from None
    try:
        yield
    finally:
        lock.release()


def check_place(target: Path) -> None:
    """Raises RunError where `target` could not be written: below a file, or in a folder that takes no files."""
    above = existing(target.parent)
    if not above.is_dir():
        raise RunError(f"{target} cannot be written: {above} is a file, not a folder; choose another place")
    if not os.access(above, os.W_OK):
        raise RunError(f"{target} cannot be written: no permission in {above}; choose another place")


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it. Raises RunError where that cannot be."""
    with told(folder):
        folder.mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def told(target: Path) -> Iterator[None]:
    """What the system refuses (no space, no permission), as the user's matter and not as a fault of ours."""
    try:
        yield
    except OSError as error:
        remedy = "make room, or choose another place" if error.errno in FULL else "choose another place"
        raise RunError(f"{target} cannot be written: {error.strerror or error}; {remedy}") from error


def _beside(target: Path, word: str) -> Path:
    return target.with_name(f".{target.name}.{word}")


def flush(file: Path) -> None:
    """Waits until what was written to a file lies on the disk."""
    with told(file), file.open("r+b") as handle:
        os.fsync(handle.fileno())
