"""A file's bytes become its letters, whatever saved it: what cannot be right is named, what may be wrong doubted."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from minbert.decoding import Source, decode
from minbert.errors import DataError
from minbert.tables import read_table

LINE = "1,naïve café – “ok”,pos"
CELLS = ["1", "naïve café – “ok”", "pos"]


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refusal(path: Path) -> str:
    """The message with which a file is refused: at most three lines that name the file."""
    with pytest.raises(DataError) as refused:
        read_table(path)
    message = str(refused.value)
    assert message.startswith(str(path))
    assert message.count("\n") < 3
    return message.removeprefix(str(path)).lstrip(",: ")


@pytest.mark.parametrize("name", ["f.csv", "f.jsonl", "f.txt"])
@pytest.mark.parametrize(
    ("encoding", "mark", "note"),
    [
        ("utf-8", b"", []),
        ("utf-8", b"\xef\xbb\xbf", []),
        ("utf-16-le", b"\xff\xfe", ["read as UTF-16, by its byte order mark"]),
        ("utf-16-be", b"\xfe\xff", ["read as UTF-16, by its byte order mark"]),
        ("utf-32-le", b"\xff\xfe\x00\x00", ["read as UTF-32, by its byte order mark"]),
    ],
)
def test_unicode_is_read_with_or_without_a_byte_order_mark(
    tmp_path: Path, name: str, encoding: str, mark: bytes, note: list[str]
) -> None:
    """Field report B25: the first column is not called '\\ufeffid', and UTF-16 is not text full of NULs."""
    text = f"id,text,label\n{LINE}\n"
    if name == "f.jsonl":
        text = json.dumps(dict(zip(["id", "text", "label"], CELLS, strict=True)), ensure_ascii=False) + "\n"
    path = written(tmp_path, name, mark + text.encode(encoding))
    if name == "f.txt":
        assert decode(Source(path)).lines == ["id,text,label", LINE]
        return
    table = read_table(path)
    assert (table.header, table.rows, table.notes) == (["id", "text", "label"], [CELLS], note)


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16-le", "utf-16-be", "utf-8-sig", "utf-8", "utf-16"])
def test_a_named_encoding_is_used(tmp_path: Path, encoding: str) -> None:
    path = written(tmp_path, "f.csv", f"id,text,label\n{LINE}\n".encode(encoding))
    table = read_table(path, encoding=encoding)
    assert (table.header, table.rows) == (["id", "text", "label"], [CELLS])


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("name", ["f.csv", "f.tsv", "f.jsonl"])
def test_bytes_that_are_not_utf8_are_named_by_line(tmp_path: Path, end: str, name: str) -> None:
    path = written(tmp_path, name, end.join(["id,text,label", "0,é,neg", LINE]).encode("cp1252"))
    assert refusal(path) == (
        "line 2: byte 0xe9 is not UTF-8; save the file as UTF-8, or set encoding = 'cp1252' in the task if it was "
        "saved so"
    )


@pytest.mark.parametrize(("encoding", "order"), [("utf-16-le", "le"), ("utf-16-be", "be")])
def test_utf16_without_a_mark_is_named(tmp_path: Path, encoding: str, order: str) -> None:
    path = written(tmp_path, "f.csv", f"id,text,label\n{LINE}\n".encode(encoding))
    assert refusal(path) == (
        f"looks like UTF-16 without a byte order mark; save it as UTF-8, or set encoding = 'utf-16-{order}' in the task"
    )


@pytest.mark.parametrize(
    ("encoding", "content", "message"),
    [
        ("cp1252", b"id,text\n1,\x81\n", "{}, line 2: byte 0x81 is not CP1252; save the file as UTF-8, or set "),
        ("utf-16-le", "id\n1\n".encode("utf-16-le") + b"x", "{}, line 3: byte 0x78 is not UTF-16-LE; save the file"),
        (
            "cp1252",
            "id\n”\n".encode(),
            "{}, line 2: byte 0x9d is not CP1252; the file is UTF-8: set encoding = 'utf-8' in",
        ),
        ("utf-8-sig", b"\xef\xbb\xbfid\n\xe9\n", "{}, line 2: byte 0xe9 is not UTF-8; save the file as UTF-8"),
        ("utf-9", b"id\n1\n", "{}: encoding 'utf-9' is unknown; 'utf-8' and 'cp1252' are usual"),
        ("base64", b"id\n1\n", "{}: encoding 'base64' is unknown; 'utf-8' and 'cp1252' are usual"),
    ],
)
def test_a_wrong_encoding_is_named(tmp_path: Path, encoding: str, content: bytes, message: str) -> None:
    path = written(tmp_path, "f.csv", content)
    with pytest.raises(DataError) as refused:
        read_table(path, encoding=encoding)
    assert str(refused.value).startswith(message.format(path))


@pytest.mark.parametrize("name", ["f.csv", "f.tsv", "f.jsonl"])
@pytest.mark.parametrize(
    ("encoding", "letters", "word", "taken"),
    [
        ("latin-1", "a café", "café", "cafÃ©"),
        ("cp1252", "“so–so", "“so", "â€œso"),
        ("cp437", "Ωmega", "Ωmega", "╬⌐mega"),
        ("cp1251", "мама мыла", "мама", "РјР°РјР°"),
        ("gbk", "鑱旈", "鑱旈", "閼辨棃"),
    ],
)
def test_a_named_encoding_is_doubted_where_the_file_is_utf8(
    tmp_path: Path, name: str, encoding: str, letters: str, word: str, taken: str
) -> None:
    """Any byte is a letter of a single-byte encoding, so a wrong one is no error."""
    text = f"text\n{letters}\n" if name != "f.jsonl" else json.dumps({"text": letters}, ensure_ascii=False)
    assert read_table(written(tmp_path, name, text.encode(encoding, errors="replace")), None, encoding).warnings == []
    path = written(tmp_path, name, text)
    assert read_table(path).warnings == read_table(path, encoding="utf-8-sig").warnings == []
    assert read_table(path, encoding=encoding).warnings == [
        f"it also reads as UTF-8, with other letters: '{word}' where encoding '{encoding}' gives '{taken}'; set "
        "encoding = 'utf-8' in the task if that is right"
    ]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16-le", "utf-8"])
def test_ascii_alone_is_no_doubt_about_an_encoding(tmp_path: Path, encoding: str) -> None:
    path = written(tmp_path, "f.csv", "text\nplain\n".encode(encoding))
    assert read_table(path, encoding=encoding).warnings == []


def test_lines_are_kept_empty_or_not(tmp_path: Path) -> None:
    content = b"\na\r\n\nb\xe2\x80\xa8c\n\n"
    assert decode(Source(tmp_path, content)).lines == ["", "a", "", "b\u2028c", ""]


def test_the_systems_encoding_plays_no_part(tmp_path: Path) -> None:
    """Field report B25: under the C locale, and with Python's own warning about it as an error."""
    code = (
        "import sys; from pathlib import Path; from minbert.tables import read_table, write_table\n"
        "table = read_table(Path(sys.argv[1]))\n"
        "for name in ('g.csv', 'g.jsonl'): write_table(Path(sys.argv[1]).with_name(name), table.header, table.rows)"
    )
    path = written(tmp_path, "f.csv", f"id,text,label\n{LINE}\n")
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    strict = ["-X", "warn_default_encoding", "-W", "error::EncodingWarning"]
    subprocess.run([sys.executable, *strict, "-c", code, path], env=os.environ | plain, check=True, timeout=60)
    assert (tmp_path / "g.csv").read_bytes() == path.read_bytes()
    assert read_table(tmp_path / "g.jsonl").rows == [CELLS]


def test_a_byte_order_mark_says_more_than_the_tasks_encoding(tmp_path: Path) -> None:
    """One encoding stands for all files of a task, and a program may have saved one of them as UTF-8."""
    (tmp_path / "f.csv").write_bytes("text,label\nschön,1\n".encode("utf-8-sig"))
    assert read_table(tmp_path / "f.csv", encoding="cp1252").header == ["text", "label"]
    assert read_table(tmp_path / "f.csv", encoding="cp1252").rows == [["schön", "1"]]
