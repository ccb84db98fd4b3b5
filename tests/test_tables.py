"""Files become cells exactly as written: no row is lost, no word becomes "missing", and every fault is named."""

import csv
import tempfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from minbert.errors import DataError
from minbert.tables import (
    Cell,
    FileFormat,
    Quoting,
    Table,
    as_text,
    canonical_label,
    format_of,
    read_table,
    write_table,
)

LOOKS_LIKE_NOTHING = ["NA", "null", "None", "nan", "N/A", "NaN", "NULL", "#N/A", "-", "inf"]


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refusal(path: Path, file_format: FileFormat | None = None, quoting: Quoting = "auto") -> str:
    """The message with which a file is refused: at most three lines that name the file."""
    with pytest.raises(DataError) as refused:
        read_table(path, file_format, quoting=quoting)
    message = str(refused.value)
    assert message.startswith(str(path))
    assert message.count("\n") < 3
    return message.removeprefix(str(path)).lstrip(",: ")


# Quotes


@pytest.mark.parametrize(
    ("lines", "texts", "kept"),
    [
        (
            ['1\t"no, she said\t0', "2\tfine\t1", '3\tand then yes"\t0', "4\tgood value\t1", "5\tok\t1"],
            ['"no, she said', "fine", 'and then yes"', "good value", "ok"],
            "kept the quotes of 2 cells as text, the first on line 2",
        ),
        (
            ['1\t"no, she said\t0', "2\tfine\t1", '3\tand then yes"\t0', '4\t"good" value\t1', '5\ta 5" pipe\t1'],
            ['"no, she said', "fine", 'and then yes"', '"good" value', 'a 5" pipe'],
            "kept the quotes of 4 cells as text, the first on line 2",
        ),
    ],
)
@pytest.mark.parametrize("name", ["f.tsv", "f.csv"])
def test_lone_quotes_between_tabs_are_characters(
    tmp_path: Path, name: str, lines: list[str], texts: list[str], kept: str
) -> None:
    """Field report B03, inputs A and A'."""
    table = read_table(written(tmp_path, name, "\n".join(["id\ttext\tlabel", *lines, ""])))
    assert [row[1] for row in table.rows] == texts
    assert [row[0] for row in table.rows] == ["1", "2", "3", "4", "5"]
    assert table.short == {}
    assert table.notes == [kept]


def test_csv_quotes_between_tabs_are_taken_off(tmp_path: Path) -> None:
    """Field report B03, input B: the course's files are cut by tabs and quoted as CSV."""
    lines = ["\tid\tsentence1\tsentence2\tis_duplicate", '7\taa01\t"Is ""x"" a word?"\tWhat is x?\t0.0']
    table = read_table(written(tmp_path, "f.csv", "\n".join([*lines, "8\taa02\tWhat is y?\t\t", ""])))
    assert table.header == ["", "id", "sentence1", "sentence2", "is_duplicate"]
    assert table.rows == [["7", "aa01", 'Is "x" a word?', "What is x?", "0.0"], ["8", "aa02", "What is y?", "", ""]]
    assert table.notes == ["took the CSV quotes off 1 cell"]


@pytest.mark.parametrize(
    ("quoting", "cells"),
    [("auto", ["a word", 'x "y" z', 'x "y"']), ("none", ['"a word"', '"x ""y"" z"', 'x "y"'])],
)
def test_quoting_decides_between_tabs(tmp_path: Path, quoting: Quoting, cells: list[str]) -> None:
    path = written(tmp_path, "f.tsv", 'text\tn\n"a word"\t1\n"x ""y"" z"\t2\nx "y"\t3\n')
    assert [row[0] for row in read_table(path, quoting=quoting).rows] == cells


def test_open_quotes_between_commas_are_never_silent(tmp_path: Path) -> None:
    """By the rules of CSV the quote of row 1 closes in row 3; the swallowed lines are worth a warning."""
    path = written(tmp_path, "f.csv", 'id,text\n1,"no she said\n2,fine\n3,and then yes"\n4,good\n')
    table = read_table(path)
    assert [row[0] for row in table.rows] == ["1", "4"]
    assert (table.broken, table.lines) == ([1], [2, 5])
    assert len(read_table(path, quoting="none").rows) == 4


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('id,text\n1,fine\n2,"open\n3,fine\n', "line 3"),
        ('id,text\n1,"fine\nor not"\n\n2,"good" value\n', "line 5"),
        ('id,"text\n1,fine\n', "line 1"),
    ],
)
def test_unpaired_quotes_between_commas_name_the_line_and_the_key(tmp_path: Path, text: str, place: str) -> None:
    message = refusal(written(tmp_path, "f.csv", text))
    assert message.startswith(f"{place}: its quotes do not pair (")
    assert message.endswith(
        "double a quote inside a quoted cell, or set quoting = 'none' in the task if quotes are plain characters "
        "in this file"
    )


@pytest.mark.parametrize("cell", ["a\tb", "a\nb", "a\r\nb"])
def test_quoted_tabs_and_line_breaks_need_csv_quoting(tmp_path: Path, cell: str) -> None:
    path = written(tmp_path, "f.tsv", f'id\ttext\tlabel\n1\t"{cell}"\t0\n2\tb\t1\n')
    faults = list(read_table(path).short.values())
    assert faults[0].endswith(
        "cells where the header has 3; add or join cells, or set quoting = 'csv' in the task if quotes wrap cells"
    )
    table = read_table(path, quoting="csv")
    assert table.rows == [["1", cell, "0"], ["2", "b", "1"]]
    assert table.broken == ([1] if "\n" in cell else [])


# Lines and cells


@pytest.mark.parametrize("name", ["f.csv", "f.tsv", "f.jsonl"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", [True, False])
def test_every_line_ending_ends_a_line(tmp_path: Path, name: str, end: str, last: bool) -> None:
    separator = "," if name == "f.csv" else "\t"
    lines = [separator.join(cells) for cells in (["id", "text"], ["1", "a"], ["2", "b"])]
    if name == "f.jsonl":
        lines = ['{"id": "1", "text": "a"}', '{"id": "2", "text": "b"}']
    content = end + end.join(lines) + (end + end if last else "")
    table = read_table(written(tmp_path, name, content))
    assert (table.header, table.rows) == (["id", "text"], [["1", "a"], ["2", "b"]])


@pytest.mark.parametrize("name", ["f.csv", "f.tsv", "f.jsonl", "f.parquet"])
@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x00", "\u200b", "\ufeff"])
def test_other_separators_stay_inside_their_cell(tmp_path: Path, name: str, mark: str) -> None:
    rows: list[list[Cell]] = [[f"a{mark}b", "0"], [mark, "1"], ["c", "0"]]
    write_table(tmp_path / name, ["text", "label"], rows)
    table = read_table(tmp_path / name)
    assert (table.rows, table.broken) == (rows, [])


@pytest.mark.parametrize("name", ["f.csv", "f.tsv"])
def test_an_empty_line_is_a_cell_only_where_rows_have_one(tmp_path: Path, name: str) -> None:
    separator = "," if name == "f.csv" else "\t"
    one = read_table(written(tmp_path, name, 'text\na\n\n""\nb\n'))
    assert one.rows == [["a"], [""], [""], ["b"]]
    two = read_table(written(tmp_path, name, f"text{separator}n\na{separator}1\n\nb{separator}2\n"))
    assert two.rows == [["a", "1"], ["b", "2"]]


@pytest.mark.parametrize("name", ["f.csv", "f.tsv", "f.jsonl", "f.parquet"])
def test_words_that_look_like_nothing_are_words(tmp_path: Path, name: str) -> None:
    """Field report B39."""
    write_table(tmp_path / name, ["id", "text"], [[str(n), word] for n, word in enumerate(LOOKS_LIKE_NOTHING)])
    assert [row[1] for row in read_table(tmp_path / name).rows] == LOOKS_LIKE_NOTHING


def test_a_short_or_long_row_is_kept_aside_with_its_reason(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, "f.csv", "id,text,label\n1,a\n2,b,0\n3,a,b,c\n"))
    assert table.rows == [[None, None, None], ["2", "b", "0"], [None, None, None]]
    assert table.short == {
        1: "2 cells where the header has 3; add or join cells, or quote a cell that holds a separator",
        3: "4 cells where the header has 3; add or join cells, or quote a cell that holds a separator",
    }


def test_very_long_cells_are_read_whole(tmp_path: Path) -> None:
    path = written(tmp_path, "f.csv", 'id,text\n1,"' + "long " * 40_000 + '"\n')
    assert len(str(read_table(path).rows[0][1])) == 200_000


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_rows_know_the_line_that_they_begin_on(tmp_path: Path, end: str) -> None:
    """As an editor counts: the header and empty lines too, a cell of several lines as so many."""
    lines = {
        "f.csv": (["", "id,text", "1,a", "", '2,"b', "", 'c"', "3", "4,d"], [3, 5, 8, 9]),
        "g.csv": (["text", "a", "", '"b', 'c"', "d"], [2, 3, 4, 6]),
        "f.tsv": (["", "id\ttext", '1\t"a', "", "2", '3\tb"'], [3, 5, 6]),
        "f.jsonl": (["", '{"text": "a"}', "", "{", '{"text": "b"}'], [2, 4, 5]),
    }
    for name, (content, expected) in lines.items():
        table = read_table(written(tmp_path, name, end.join(content) + end))
        assert [table.line(row) for row in range(1, len(table.rows) + 1)] == expected
    write_table(tmp_path / "f.parquet", ["text"], [["a"]])
    assert read_table(tmp_path / "f.parquet").line(1) is None


# Which format


@pytest.mark.parametrize(
    ("name", "header", "file_format", "expected"),
    [
        ("f.csv", "a\tb", None, ["a", "b"]),
        ("f.csv", "a\tb", "csv", ["a\tb"]),
        ("f.csv", "a\tb,c", None, ["a\tb", "c"]),
        ("f.csv", " a , b ", None, ["a", "b"]),
        ("f.tsv", "a,b", None, ["a,b"]),
        ("f.tsv", "a,b", "csv", ["a", "b"]),
        ("F.TSV", "a\tb", None, ["a", "b"]),
        ("f.dat", "a\tb", "tsv", ["a", "b"]),
    ],
)
def test_the_header_decides_on_tabs_and_a_format_overrides(
    tmp_path: Path, name: str, header: str, file_format: FileFormat | None, expected: list[str]
) -> None:
    separator = "\t" if len(expected) > 1 and "," not in header else ","
    row = separator.join("x" for _ in expected)
    assert read_table(written(tmp_path, name, f"{header}\n{row}\n"), file_format).header == expected


def test_the_suffix_promises_the_format() -> None:
    assert [format_of(Path(f"f{suffix}")) for suffix in (".csv", ".tsv", ".jsonl", ".ndjson", ".Parquet")] == [
        "csv",
        "tsv",
        "jsonl",
        "jsonl",
        "parquet",
    ]


# Faults of whole files


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("f.csv", "", "is empty; write what it should hold"),
        ("f.csv", " \n\t\r\n", "is empty; write what it should hold"),
        ("f.csv", "\ufeff\n", "is empty; write what it should hold"),
        ("f.jsonl", "\n\n", "is empty; write what it should hold"),
        ("f.parquet", "", "is empty; write what it should hold"),
        ("f.csv", "id,text\n", "has a header line and no rows; add rows"),
        ("f.tsv", "id\ttext", "has a header line and no rows; add rows"),
        (
            "f.dat",
            "id,text\n1,a\n",
            "its name should end in one of .csv, .tsv, .jsonl, .ndjson, .parquet, to tell its format",
        ),
        (
            "f.jsonl",
            '[{"text": "a"}]\n',
            'line 1: not a JSON object; write one object a line, such as {"text": "…"}',
        ),
        ("f.jsonl", "text,label\n", "line 1: not JSON (character 1: Expecting value); correct the line"),
        ("f.jsonl", "\n{}\n{}\n", "line 2: the object is empty; write a text into it"),
    ],
)
def test_a_file_without_rows_is_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    assert refusal(written(tmp_path, name, content)) == message


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    written(tmp_path, "file", "x")
    assert refusal(tmp_path / "no.csv") == "does not exist; correct the path or make the file"
    assert refusal(tmp_path / "folder.csv") == "is a folder; name a file in it"
    assert refusal(tmp_path / "file" / "f.csv") == (
        "cannot be read (Not a directory); correct the path or its permissions"
    )


@pytest.mark.parametrize("keep", [0, 8, 12, 60, -20, -1])
def test_what_is_not_parquet_is_refused(tmp_path: Path, keep: int) -> None:
    write_table(tmp_path / "whole.parquet", ["text"], [["a"], ["b"]])
    content = (tmp_path / "whole.parquet").read_bytes()
    message = refusal(written(tmp_path, "f.parquet", content[:keep] or b"id,text\n1,a\n"))
    assert message.startswith("is not a Parquet file (")
    assert message.endswith("); write it anew")


def test_a_file_is_read_from_the_disk_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is checked is what is read, also where the file is replaced meanwhile."""

    def read_and_remove(path: Path) -> bytes:
        with path.open("rb") as handle:
            path.unlink()
            return handle.read()

    monkeypatch.setattr(Path, "read_bytes", read_and_remove)
    for name in ("f.csv", "f.jsonl", "f.parquet"):
        write_table(tmp_path / name, ["text"], [["a"], ["b"]])
        assert read_table(tmp_path / name).rows == [["a"], ["b"]]


@pytest.mark.parametrize("schema", [{}, {"text": pl.String}])
def test_parquet_without_rows_is_refused(tmp_path: Path, schema: dict[str, type[pl.DataType]]) -> None:
    pl.DataFrame(schema=schema).write_parquet(tmp_path / "f.parquet")
    assert refusal(tmp_path / "f.parquet") == "has no rows; add rows"


def test_a_column_is_found_by_name(tmp_path: Path) -> None:
    table = Table(tmp_path, ["", "id", "sentence", "x", "x", ""], [])
    assert table.column("sentence") == 2
    for name, message in {
        "sentense": f"{tmp_path}: there is no column 'sentense' (did you mean 'sentence'?); its columns are 'id', "
        "'sentence', 'x', 'x': correct the header, or name the column in the recipe's task",
        "x": f"{tmp_path}: 2 columns are called 'x'; rename all but one",
    }.items():
        with pytest.raises(DataError) as refused:
            table.column(name)
        assert str(refused.value) == message
    with pytest.raises(DataError, match="its columns are none with a name: correct the header"):
        Table(tmp_path, ["", ""], []).column("text")


def test_a_file_without_a_header_is_shown_in_one_short_line(tmp_path: Path) -> None:
    """Its first row stands where the header should be, long texts and line breaks included."""
    table = read_table(written(tmp_path, "f.csv", '"' + "many\nwords " * 500 + '",0\nb,1\n'))
    with pytest.raises(DataError) as refused:
        table.column("text")
    assert len(str(refused.value).splitlines()) == 1
    assert len(str(refused.value)) < len(str(tmp_path)) + 250


# JSON


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ('{"text": "b", "label": ', "not JSON (character 24: Expecting value); correct the line"),
        ('{"text": "b"} {"text": "c"}', "not JSON (character 15: Extra data); correct the line"),
        ('{"label": NaN}', "not JSON (NaN is no number; write null or a number); correct the line"),
        ('{"label": [-Infinity]}', "not JSON (-Infinity is no number; write null or a number); correct the line"),
        ('["b", 1]', 'not a JSON object; write one object a line, such as {"text": "…"}'),
        (
            '{"text": "b\\ud83d"}',
            "holds half a surrogate pair (\\ud800 to \\udfff), which is no character; correct the line",
        ),
    ],
)
def test_a_damaged_json_line_is_kept_aside_with_its_reason(tmp_path: Path, line: str, fault: str) -> None:
    lines = ['{"text": "a", "label": 1}', "", line, '{"label": "0", "more": "\\ud83d\\ude00", "text": "c"}']
    table = read_table(written(tmp_path, "f.jsonl", "\n".join(lines)))
    assert table.header == ["text", "label", "more"]
    assert table.rows == [["a", 1, None], [None, None, None], ["c", "0", "😀"]]
    assert table.short == {2: fault}


@pytest.mark.parametrize("value", ["[" * 100_000, "9" * 5000])
def test_json_beyond_the_parsers_limits_is_a_damaged_line(tmp_path: Path, value: str) -> None:
    table = read_table(written(tmp_path, "f.jsonl", f'{{"text": "a"}}\n{{"text": {value}}}\n'))
    assert table.short[2].startswith("not JSON (")


# Parquet


def test_parquet_types_come_as_their_values(tmp_path: Path) -> None:
    """Field report B39; what a task makes of them is tested with the examples."""
    frame = pl.DataFrame(
        {
            "bool": [True, False],
            "int8": pl.Series([1, 2], dtype=pl.Int8),
            "float": [1.0, None],
            "category": pl.Series(["a", "b"], dtype=pl.Categorical),
            "enum": pl.Series(["a", "b"], dtype=pl.Enum(["b", "a"])),
            "null": [None, None],
            "uint64": pl.Series([2**64 - 1, 0], dtype=pl.UInt64),
            "string": ["NA", None],
        }
    )
    frame.write_parquet(tmp_path / "f.parquet")
    table = read_table(tmp_path / "f.parquet")
    assert table.header == frame.columns
    assert table.rows == [
        [True, 1, 1.0, "a", "a", None, 2**64 - 1, "NA"],
        [False, 2, None, "b", "b", None, 0, None],
    ]


# One spelling


@pytest.mark.parametrize(
    ("cells", "spelling"),
    [
        (["1", "1.0", "1.", " 1.00 ", "+1", 1, 1.0], "1"),
        (["0", "0.0", "-0", "-0.0", 0, 0.0, -0.0], "0"),
        (["-1", "-1.0", -1, -1.0], "-1"),
        (["True", "true", "TRUE", " true", True], "true"),
        (["False", "false", False], "false"),
        (["pos", " pos", "pos\n"], "pos"),
        (["Pos"], "Pos"),
        (["01"], "01"),
        (["2.5", 2.5], "2.5"),
        (["1e0"], "1e0"),
        (["", " ", None, float("nan")], ""),
        (["9" * 5000, "9" * 5000 + ".0"], "9" * 5000),
    ],
)
def test_a_label_has_one_spelling(cells: list[Cell], spelling: str) -> None:
    """Field report B05; whole numbers agree with the course's int(float(x))."""
    assert {canonical_label(cell) for cell in cells} == {spelling}
    if spelling in ("0", "1", "-1"):
        assert {int(float(cell)) for cell in cells if cell is not None} == {int(spelling)}


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()))
def test_a_spelling_is_final(cell: Cell) -> None:
    assert canonical_label(canonical_label(cell)) == canonical_label(cell)


# Writing and reading back

TEXTS = st.text(st.one_of(st.sampled_from('"\t\n\r, ab\u2028\x85\x00\ufeff'), st.characters(codec="utf-8")), max_size=8)
ONE_LINE = TEXTS.map(lambda text: text.translate({ord(c): "x" for c in "\t\n\r"}))
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False), TEXTS
)


def round_trip(name: str, header: list[str], rows: list[list[Cell]], quoting: Quoting = "auto") -> Table:
    with tempfile.TemporaryDirectory() as folder:
        write_table(Path(folder) / name, header, rows)
        return read_table(Path(folder) / name, quoting=quoting)


def tables(cells: st.SearchStrategy[Cell], width: int) -> st.SearchStrategy[list[list[Cell]]]:
    return st.lists(st.lists(cells, min_size=width, max_size=width), min_size=1, max_size=5)


@settings(deadline=None)
@given(st.one_of(tables(TEXTS, 1), tables(TEXTS, 3)), st.sampled_from(["f.csv", "f.tsv", "f.jsonl", "f.parquet"]))
@example([["a\rb"]], "f.csv")
@example([["", "", ""], ['"', '""', '"a"']], "f.tsv")
def test_texts_survive_every_format(rows: list[list[Cell]], name: str) -> None:
    header = ["id", "text", "label"][: len(rows[0])]
    table = round_trip(name, header, rows, "csv" if name == "f.tsv" else "auto")
    assert (table.header, table.rows, table.short) == (header, rows, {})


@settings(deadline=None)
@given(st.one_of(tables(ONE_LINE, 1), tables(ONE_LINE, 3)))
@example([['"quoted"'], ['""'], ['"'], ['say "x"'], [""]])
def test_one_line_texts_survive_a_tsv_whose_quotes_are_read_by_cell(rows: list[list[Cell]]) -> None:
    header = ["id", "text", "label"][: len(rows[0])]
    table = round_trip("f.tsv", header, rows)
    assert (table.header, table.rows, table.short) == (header, rows, {})


@settings(deadline=None)
@given(tables(SCALARS, 2))
def test_scalars_survive_json_lines_and_become_text_between_separators(rows: list[list[Cell]]) -> None:
    back = round_trip("f.jsonl", ["a", "b"], rows).rows
    assert back == rows
    assert [[type(cell) for cell in row] for row in back] == [[type(cell) for cell in row] for row in rows]
    assert round_trip("f.csv", ["a", "b"], rows).rows == [[as_text(cell) for cell in row] for row in rows]


@settings(deadline=None)
@given(tables(SCALARS, 2))
def test_parquet_keeps_a_column_of_one_type_and_makes_text_of_a_mixed_one(rows: list[list[Cell]]) -> None:
    back = round_trip("f.parquet", ["a", "b"], rows).rows
    for place in range(2):
        column = [row[place] for row in rows]
        mixed = len({type(cell) for cell in column if cell is not None}) > 1
        expected = [None if cell is None else as_text(cell) for cell in column] if mixed else column
        assert [row[place] for row in back] == expected


def test_numbers_that_a_format_lacks_are_written_as_nothing_or_as_text() -> None:
    rows: list[list[Cell]] = [[1.5, float("nan"), 2**64], [2.5, float("inf"), -(10**40)]]
    assert round_trip("f.jsonl", ["a", "b", "c"], rows).rows == [[1.5, None, 2**64], [2.5, None, -(10**40)]]
    back = round_trip("f.parquet", ["a", "b", "c"], rows).rows
    assert [row[2] for row in back] == [str(2**64), str(-(10**40))]


@pytest.mark.parametrize("name", ["f.jsonl", "f.parquet"])
@pytest.mark.parametrize(
    ("header", "names"),
    [
        (["a", "", "a"], ["a", "column_2", "a_3"]),
        (["a", "a", "a_2"], ["a", "a_2_2", "a_2"]),
        (["", "column_1", ""], ["column_1_1", "column_1", "column_3"]),
    ],
)
def test_columns_without_a_name_of_their_own_get_one(name: str, header: list[str], names: list[str]) -> None:
    table = round_trip(name, header, [["1", "2", "3"], ["4", "5", "6"]])
    assert (table.header, table.rows) == (names, [["1", "2", "3"], ["4", "5", "6"]])


def test_writing_an_unknown_format_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"f\.xlsx: its name should end in one of \.csv, \.tsv"):
        write_table(tmp_path / "f.xlsx", ["a"], [["1"]])
    assert list(tmp_path.iterdir()) == []


# No row is lost

LINES = st.lists(st.text(st.sampled_from('"\t, ab'), max_size=8), min_size=1, max_size=8)


@settings(deadline=None)
@given(LINES, st.sampled_from(["f.csv", "f.tsv"]), st.sampled_from(["auto", "csv", "none"]))
def test_every_line_is_a_row_or_told_of_or_a_refusal(lines: list[str], name: str, quoting: Quoting) -> None:
    """Whatever the quotes: fewer rows than lines are never silent."""
    with tempfile.TemporaryDirectory() as folder:
        separator = "," if name == "f.csv" else "\t"
        path = written(Path(folder), name, "\n".join([separator.join(["id", "text"]), *lines]) + "\n")
        try:
            table = read_table(path, quoting=quoting)
        except DataError as error:
            assert "its quotes do not pair" in str(error) or "no rows" in str(error)  # noqa: PT017
            return
    assert table.broken or len(table.rows) == sum(1 for line in lines if line)
    assert all(row in table.short or None not in cells for row, cells in enumerate(table.rows, start=1))


@pytest.mark.parametrize("rows", ["gut;1\n", '"Er sagte ""ja"", oder; nein";1\n', '"gut";"1"\n'])
def test_semicolons_are_read_as_commas_are(tmp_path: Path, rows: str) -> None:
    (tmp_path / "f.csv").write_text("text;label\n" + rows)
    table = read_table(tmp_path / "f.csv")
    assert table.header == ["text", "label"]
    assert table.rows == [next(csv.reader([rows], delimiter=";"))]
    assert table.notes == ["cut at semicolons, as its header is"]


@pytest.mark.parametrize("name", ["f.tsv", "f.csv"])
def test_semicolons_where_others_are_expected_are_named(tmp_path: Path, name: str) -> None:
    """A header with a comma as well is cut at it, whatever the quotes of the rows do."""
    header = "text;label" if name == "f.tsv" else '"text; or so, more;label"'
    (tmp_path / name).write_text(header + "\ngut;1\n")
    with pytest.raises(DataError, match="is separated by semicolons; save it with commas or tabs"):
        read_table(tmp_path / name).column("label")
