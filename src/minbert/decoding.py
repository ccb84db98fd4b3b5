"""A file's bytes -> its lines, by a named encoding, a byte order mark, or as UTF-8; every fault is named."""

import codecs
import hashlib
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

from minbert.errors import DataError, shown


@dataclass(frozen=True)
class Remedies:
    """What the user at hand can say about a file, in a message's words: in a recipe's task, or by options."""

    column: str = "name the column in the recipe's task"
    key: str = "set {} = '{}' in the task"

    def set(self, key: str, value: str) -> str:
        return self.key.format(key, value)


IN_RECIPE = Remedies()
BY_OPTIONS = Remedies("name the column with --column", "pass --{} {}")

HEAD = 4000  # bytes by which UTF-16 is told
BLOCK = 1 << 20  # bytes that are looked at in one go
LINE_END = re.compile(r"\r\n|\n|\r")  # str.splitlines would cut at U+2028 and U+0085 as well, which texts may hold


@dataclass(frozen=True)
class Source:
    """A file's bytes, as often as they are wanted: held in memory, or read from the disk block by block."""

    path: Path
    content: bytes | None = None
    stamp: tuple[int, int] | None = None

    def open(self) -> io.BufferedReader | io.BytesIO:
        """Raises DataError where the file is missing or no file."""
        if self.content is not None:
            return io.BytesIO(self.content)
        try:
            return self.path.open("rb")
        except FileNotFoundError:
            raise DataError(f"{self.path} does not exist; correct the path or make the file") from None
        except IsADirectoryError:
            raise DataError(f"{self.path} is a folder; name a file in it") from None
        except OSError as error:
            reason = f"cannot be read ({error.strerror}); correct the path or its permissions"
            raise DataError(f"{self.path} {reason}") from None

    def read(self) -> bytes:
        with self.open() as handle:
            return handle.read()

    @property
    def is_changed(self) -> bool:
        """Whether the file is another one than when it was first looked at."""
        return self.stamp is not None and self.stamp != _stamp(self.path)

    def digest(self) -> str:
        """The sha256 of the bytes."""
        with self.open() as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()


@dataclass(frozen=True)
class Decoded:
    """A file's text as lines, each with its end, as often as they are wanted; a byte order mark is left out.

    `notes` and `warnings` are on how it is decoded.
    """

    source: Source
    encoding: str = "utf-8"
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    remedies: Remedies = IN_RECIPE

    @property
    def path(self) -> Path:
        return self.source.path

    @property
    def lines(self) -> list[str]:
        """All lines, without their ends."""
        return [without_end(line) for line in self]

    def __iter__(self) -> Iterator[str]:
        """Raises DataError, naming the line, at bytes that are not of the encoding."""
        with self.source.open() as handle:
            mark, text_lines = "\ufeff", io.TextIOWrapper(handle, self.encoding, newline="")
            try:
                for line in text_lines:
                    if text := line.removeprefix(mark):
                        yield text
                    mark = ""
            except UnicodeDecodeError as error:
                raise self._fault(handle.tell() - len(error.object) + error.start) from None

    def _fault(self, position: int) -> DataError:
        """What is wrong with the byte at a position of the file."""
        line, byte = 1, b""
        ends = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(self.encoding)("replace"), translate=True)
        with self.source.open() as handle:
            while position > 0 and (block := handle.read(min(BLOCK, position))):
                position -= len(block)
                line += ends.decode(block, final=position == 0).count("\n")
            byte = handle.read(1)
        remedy = f"save the file as UTF-8, or {self.remedies.set('encoding', 'cp1252')} if it was saved so"
        if self.encoding != "utf-8" and is_utf8(self.source):
            remedy = f"the file is UTF-8: {self.remedies.set('encoding', 'utf-8')}"
        return DataError(f"{self.path}, line {line}: byte 0x{byte.hex()} is not {self.encoding.upper()}; {remedy}")


def inherited(path: Path, encoding: str | None) -> str | None:
    """The encoding that other files like this one have; None where this one is UTF-8, which hardly another file is."""
    is_known = encoding is None or (path.is_file() and is_utf8(source_of(path)))
    return None if is_known else encoding


def without_end(line: str) -> str:
    """A line without its line end, of which it has one at most."""
    return line.rstrip("\r\n")


def source_of(path: Path) -> Source:
    """A file that can be read again and again; what can be read once only, such as a pipe, is held in memory."""
    return Source(path, stamp=_stamp(path)) if path.is_file() else Source(path, read_bytes(path))


def _stamp(path: Path) -> tuple[int, int]:
    """What a change gives another value: a file's size, and the time of its last change in ns."""
    if not path.is_file():
        return 0, 0
    about = path.stat()
    return about.st_size, about.st_mtime_ns


def read_bytes(path: Path) -> bytes:
    """A file's bytes. Raises DataError where it is missing, no file, or empty."""
    content = Source(path).read()
    if not content.strip():
        raise DataError(f"{path} is empty; write what it should hold")
    return content


def decode(source: Source, encoding: str | None = None, remedies: Remedies = IN_RECIPE) -> Decoded:
    """The lines of a file. Raises DataError where the encoding is unknown, or the file has no text."""
    path, notes = source.path, []
    with source.open() as handle:
        head = handle.read(HEAD)
    if encoding is None and head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        encoding = "utf-32" if head[:4] == codecs.BOM_UTF32_LE else "utf-16"
        notes.append(f"read as {encoding.upper()}, by its byte order mark")
    elif encoding is None and head.count(0) > len(head) // 4:
        order = "le" if head[1::2].count(0) > head[::2].count(0) else "be"
        remedy = remedies.set("encoding", f"utf-16-{order}")
        raise DataError(f"{path} looks like UTF-16 without a byte order mark; save it as UTF-8, or {remedy}")
    if head.startswith(codecs.BOM_UTF8):  # it says what the file is, whatever its task's other files are
        encoding = None
    try:
        b"x".decode(encoding or "utf-8", errors="ignore")
    except LookupError:
        raise DataError(f"{path}: encoding '{encoding}' is unknown; 'utf-8' and 'cp1252' are usual") from None
    decoded = Decoded(source, encoding or "utf-8", notes, [], remedies)
    if not any(line.strip() for line in decoded):
        raise DataError(f"{path} is empty; write what it should hold")
    if encoding is not None:
        decoded.warnings.extend(_other_letters(decoded))
    return decoded


def _other_letters(decoded: Decoded) -> list[str]:
    """A warning where a file is UTF-8 beyond ASCII as well: a single-byte encoding takes nearly any byte."""
    if not is_utf8(decoded.source):
        return []
    sample, is_same = None, True
    for own, other in zip_longest(decoded, Decoded(decoded.source), fillvalue=""):
        is_same = is_same and own == other
        sample = sample or re.search(r"\w{0,20}[^\x00-\x7f]\w{0,20}", other)
    if sample is None or is_same:
        return []
    encoding = decoded.encoding
    taken = sample[0].encode().decode(encoding, errors="replace")
    return [
        f"it also reads as UTF-8, with other letters: '{shown(sample[0])}' where encoding '{encoding}' gives "
        f"'{shown(taken)}'; {decoded.remedies.set('encoding', 'utf-8')} if that is right"
    ]


def is_utf8(source: Source) -> bool:
    """Whether bytes are UTF-8, and hold none of the NULs of UTF-16."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with source.open() as handle:
        try:
            while block := handle.read(BLOCK):
                if b"\0" in block:
                    return False
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True
