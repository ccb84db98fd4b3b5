"""A file read window by window has the cells, the bad rows and the faults of the file read whole; both, of the text."""

import codecs
import csv
import io
import re
import tempfile
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from minbert.data import examine
from minbert.decoding import BLOCK, Source, decode
from minbert.errors import DataError
from minbert.tables import Quoting, Table, open_lines, open_table, read_table
from minbert.tasks import Task

TASK = Task(kind="classification", text="text")
PIECES = st.sampled_from(['"', '""', ",", "\t", "\n", "\r\n", "\r", "a", "é", "\u2028", " ", "{", '{"text": 1}', ";"])
CONTENTS = st.lists(PIECES, max_size=30).map("".join)
HEADS = st.sampled_from(["text\n", "text,n\n", "text\tn\r\n", '"text"\n', "", "\n\ntext\n", '{"text": "x"}\n'])
NAMES = st.sampled_from(["f.csv", "f.tsv", "f.jsonl"])
ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"])


def parts(path: Path, quoting: Quoting, encoding: str | None, size: int) -> list[Table]:
    return list(open_table(path, None, encoding, quoting).windows(size))


@settings(deadline=None, max_examples=150)
@given(HEADS, CONTENTS, NAMES, ENCODINGS, st.sampled_from(["auto", "csv", "none"]), st.integers(1, 4))
@example("text,n\n", '"a\r\nb",1\n', "f.csv", "utf-8-sig", "auto", 1)
@example("text,n\n", '"a",1\n\n"b', "f.csv", "utf-8", "auto", 1)
def test_windows_are_the_whole_file(
    head: str, content: str, name: str, encoding: str, quoting: Quoting, size: int
) -> None:
    named = "cp1252" if encoding == "cp1252" else None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes((head + content).encode(encoding, errors="replace"))
        try:
            whole = read_table(path, None, named, quoting)
        except DataError as error:
            with pytest.raises(DataError) as refused:
                parts(path, quoting, named, size)
            assert str(refused.value) == str(error)  # noqa: PT017
            return
        windows = parts(path, quoting, named, size)
        later = list(open_table(path, None, named, quoting).windows(size, start=size))
    assert {tuple(window.header) for window in windows} == {tuple(whole.header)}
    assert [row for window in windows for row in window.numbered] == list(whole.numbered)
    assert [line for window in windows for line in window.lines] == whole.lines
    assert {row: why for window in windows for row, why in window.short.items()} == whole.short
    assert {row: keys for window in windows for row, keys in window.lacking.items()} == whole.lacking
    assert [row for window in windows for row in window.broken] == whole.broken
    assert [len(window.rows) for window in windows[:-1]] == [size] * (len(windows) - 1)
    assert later == windows[1:]
    if whole.header.count("text") == 1:
        bad = [str(row) for window in windows for row in examine(window, TASK, labelled=False).bad_rows]
        assert bad == [str(row) for row in examine(whole, TASK, labelled=False).bad_rows]


@settings(deadline=None)
@given(CONTENTS, st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]))
def test_lines_are_those_of_the_text(content: str, encoding: str) -> None:
    """Beside the text decoded at once and cut at every line end."""
    if not content.strip():
        return
    lines = re.split(r"\r\n|\n|\r", content)
    decoded = decode(Source(Path("f"), content.encode(encoding)))
    assert decoded.lines == (lines[:-1] if lines[-1] == "" else lines)
    assert "".join(decoded) == content


@settings(deadline=None)
@given(CONTENTS)
def test_csv_rows_are_those_of_pythons_own_reader(content: str) -> None:
    try:
        expected = list(csv.reader(io.StringIO("text,n\n" + content, newline=""), strict=True))
        width = len(expected[0])
        expected = [cells for cells in expected[1:] if cells]
    except csv.Error:
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "f.csv"
        path.write_bytes(f"text,n\n{content}".encode())
        rows = [row for window in open_table(path, "csv").windows(2) for row in window.rows] if expected else []
    assert rows == [cells if len(cells) == width else [None] * width for cells in expected]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "gbk", "shift_jis"])
@pytest.mark.parametrize("shift", range(4))
def test_nothing_depends_on_where_a_file_is_cut_on_its_way_in(tmp_path: Path, encoding: str, shift: int) -> None:
    """Letters of several bytes and line ends of two fall on both sides of every buffer's end."""
    text = "x" * shift + "字\r\n" * 30_000
    path = tmp_path / "f.txt"
    path.write_bytes(text.encode(encoding))
    file = open_lines(path, None if encoding in ("utf-8", "utf-16") else encoding)
    texts = [row[0] for window in file.windows(1000) for row in window.rows]
    assert texts == ["x" * shift + "字", *["字"] * 29_999]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("size", [100, 8192, BLOCK, BLOCK + 1])
def test_a_byte_that_is_wrong_is_named_by_its_line_however_far_it_is(tmp_path: Path, end: str, size: int) -> None:
    good = f"{'é' * 40}{end}" * (size // len(f"{'é' * 40}{end}".encode()))
    content = f"text{end}{good}".encode() + b"\xe9 x"
    (tmp_path / "f.csv").write_bytes(content)
    line = 1 + len(re.findall("\r\n|\n|\r", f"text{end}{good}"))
    with pytest.raises(DataError) as refused:
        for _ in open_table(tmp_path / "f.csv").windows(10_000):
            pass
    assert str(refused.value).startswith(f"{tmp_path / 'f.csv'}, line {line}: byte 0xe9 is not UTF-8; save the file")


def test_an_encoding_is_doubted_by_the_whole_file(tmp_path: Path) -> None:
    """The one letter that tells stands at the end; one byte more that is not UTF-8, and there is no doubt."""
    content = b"text\n" + b"plain\n" * 3000 + "café\n".encode()
    (tmp_path / "f.csv").write_bytes(content)
    assert open_table(tmp_path / "f.csv", None, "cp1252").warnings == [
        "it also reads as UTF-8, with other letters: 'café' where encoding 'cp1252' gives 'cafÃ©'; "
        "set encoding = 'utf-8' in the task if that is right"
    ]
    (tmp_path / "f.csv").write_bytes(content + "é".encode("cp1252"))
    assert open_table(tmp_path / "f.csv", None, "cp1252").warnings == []


def test_lines_of_a_text_file_are_rows(tmp_path: Path) -> None:
    (tmp_path / "f.txt").write_bytes(codecs.BOM_UTF8 + b'a,b\n\n"c\n')
    file = open_lines(tmp_path / "f.txt")
    assert [row for window in file.windows(2) for row in window.rows] == [["a,b"], [""], ['"c']]
    assert [window.lines for window in islice(file.windows(2), 2)] == [[1, 2], [3]]
    (tmp_path / "f.txt").write_bytes(b" \n\n")
    with pytest.raises(DataError, match="is empty; write what it should hold"):
        open_lines(tmp_path / "f.txt")
