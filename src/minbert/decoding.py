"""A file's bytes -> its text, by a named encoding, a byte order mark, or as UTF-8; every fault is named."""

import codecs
import re
from dataclasses import dataclass, field
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

LINE_END = re.compile(r"\r\n|\n|\r")  # str.splitlines would cut at U+2028 and U+0085 as well, which texts may hold


@dataclass(frozen=True)
class Decoded:
    """A file's text without a byte order mark; `notes` and `warnings` are on how it was decoded."""

    path: Path
    text: str
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    remedies: Remedies = IN_RECIPE

    @property
    def lines(self) -> list[str]:
        lines = LINE_END.split(self.text)
        return lines[:-1] if lines[-1] == "" else lines


def read_bytes(path: Path) -> bytes:
    """A file's bytes. Raises DataError where it is missing, no file, or empty."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; correct the path or make the file") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder; name a file in it") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); correct the path or its permissions") from None
    if not content.strip():
        raise DataError(f"{path} is empty; write what it should hold")
    return content


def decode(path: Path, content: bytes, encoding: str | None = None, remedies: Remedies = IN_RECIPE) -> Decoded:
    """The text of a file's bytes. Raises DataError, naming the line, where they are not of the encoding."""
    notes = []
    if encoding is None and content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        encoding = "utf-32" if content[:4] == codecs.BOM_UTF32_LE else "utf-16"
        notes.append(f"read as {encoding.upper()}, by its byte order mark")
    elif encoding is None and content[:4000].count(0) > len(content[:4000]) // 4:
        order = "le" if content[1:4000:2].count(0) > content[:4000:2].count(0) else "be"
        remedy = remedies.set("encoding", f"utf-16-{order}")
        raise DataError(f"{path} looks like UTF-16 without a byte order mark; save it as UTF-8, or {remedy}")
    try:
        if content.startswith(codecs.BOM_UTF8):  # it says what the file is, whatever its task's other files are
            encoding = None
        text = content.decode(encoding or "utf-8").removeprefix("\ufeff")
    except LookupError:
        raise DataError(f"{path}: encoding '{encoding}' is unknown; 'utf-8' and 'cp1252' are usual") from None
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode(encoding or "utf-8", errors="replace")
        remedy = f"save the file as UTF-8, or {remedies.set('encoding', 'cp1252')} if it was saved so"
        if _as_utf8(content) is not None:
            remedy = f"the file is UTF-8: {remedies.set('encoding', 'utf-8')}"
        raise DataError(
            f"{path}, line {len(LINE_END.split(before))}: byte 0x{error.object[error.start]:02x} is not "
            f"{(encoding or 'utf-8').upper()}; {remedy}"
        ) from None
    if not text.strip():
        raise DataError(f"{path} is empty; write what it should hold")
    warnings = [] if encoding is None else _other_letters(text, content, encoding, remedies)
    return Decoded(path, text, notes, warnings, remedies)


def _other_letters(text: str, content: bytes, encoding: str, remedies: Remedies) -> list[str]:
    """A warning where a file is UTF-8 beyond ASCII as well: a single-byte encoding takes nearly any byte."""
    utf8 = _as_utf8(content)
    sample = re.search(r"\w{0,20}[^\x00-\x7f]\w{0,20}", utf8 or "")
    if sample is None or utf8 == text:
        return []
    taken = sample[0].encode().decode(encoding, errors="replace")
    return [
        f"it also reads as UTF-8, with other letters: '{shown(sample[0])}' where encoding '{encoding}' gives "
        f"'{shown(taken)}'; {remedies.set('encoding', 'utf-8')} if that is right"
    ]


def _as_utf8(content: bytes) -> str | None:
    """Bytes as UTF-8, or None where they are not, or hold the NULs of UTF-16."""
    try:
        return None if b"\0" in content else content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError:
        return None
