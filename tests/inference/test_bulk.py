"""Answers of a file of any length: the rows and order of the file, whatever the window, in memory for one window."""

import datetime
import json
import random
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from minbert.answering import Answered
from minbert.data import Examples
from minbert.errors import DataError, RunError
from minbert.files import one_writer_of
from minbert.inference.bulk import (
    LISTED,
    Make,
    as_vectors,
    check_course_ids,
    fill,
    in_course_layout,
    origin,
    survey,
    windows,
    with_answers,
)
from minbert.inference.growing import Progress, growing, progress_file
from minbert.predictions import Predictions
from minbert.tables import Cell, ColumnTypes, format_of, open_lines, open_table, read_table, write_table
from minbert.tasks import Task


class Stopped(Exception):  # noqa: N818
    """Stands in for a kill."""


TASK = Task.model_validate({"kind": "classification", "labels": ["0", "1"]}).completed(None)
HEADER = ["n", "text", "more"]


def answer(examples: Examples) -> Answered:
    """Stands in for a model: what it says depends on the text alone."""
    sizes = np.array([len(text) for text in examples.texts[0]], dtype=float)
    odd = sizes % 2
    scores = np.stack([1 - odd, odd], axis=1).reshape(-1, 2)
    return Answered(Predictions(examples.ids, odd, scores), ["" if text else "empty" for text in examples.texts[0]])


def cells(rows: int) -> list[list[Cell]]:
    draw = random.Random(rows)
    texts = ["", "a", "b,b", 'say "x"', "one\ntwo", "tab\there", "naïve", "long " * 20]
    return [[str(row), draw.choice(texts), f"{row} more"] for row in range(1, rows + 1)]


def written(output: Path, source: Path, size: int, resume: bool = False, stop_after: int | None = None) -> Progress:
    """Answers a file by windows of a size; where it is to stop, as an error would."""
    file = open_table(source, quoting="csv")
    types = ColumnTypes(len(file.header))
    found = survey(file, TASK, True, look=lambda window: types.add(list(window.kept.values())), size=size)
    make = with_answers(file, TASK, answer, format_of(output), types)
    return grown(output, source, make, size, found.rows, resume, stop_after)


def grown(
    output: Path, source: Path, make: Make, size: int, rows: int, resume: bool = False, stop_after: int | None = None
) -> Progress:
    file = open_table(source, quoting="csv")
    with growing(output, {"input": file.source.digest()}, resume, output.suffix == ".parquet") as growth:
        for number, progress in enumerate(fill(growth, file, TASK, make, size), start=1):
            if number == stop_after:
                raise Stopped
            assert progress.rows == min(rows, progress.rows)
        return growth.progress


@pytest.mark.parametrize("name", ["in.csv", "in.tsv", "in.jsonl", "in.parquet"])
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_the_window_changes_nothing(tmp_path: Path, name: str, suffix: str) -> None:
    """Beside the answers written at once, from the cells read at once."""
    write_table(tmp_path / name, HEADER, cells(23))
    expected: list[list[Cell]] = []
    for row in cells(23):
        odd = len(str(row[1])) % 2
        expected.append([*row, str(odd), 1.0 - odd, float(odd), "" if row[1] else "empty"])
    header = [*HEADER, "prediction", "probability_0", "probability_1", "note"]
    write_table(tmp_path / f"whole{suffix}", header, expected)
    for size in (1, 4, 23, 100):
        output = tmp_path / f"out-{size}{suffix}"
        progress = written(output, tmp_path / name, size)
        assert progress.counts == {"answer": 23, "empty": sum(not row[1] for row in cells(23))}
        assert not progress_file(output).exists()
        if suffix == ".parquet":
            assert pl.read_parquet(output).equals(pl.read_parquet(tmp_path / "whole.parquet"))
            assert not output.with_name(f"{output.name}.parts").exists()
        else:
            assert output.read_bytes() == (tmp_path / f"whole{suffix}").read_bytes()


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("stop_after", [1, 2, 6])
def test_it_goes_on_from_its_last_whole_window(tmp_path: Path, suffix: str, stop_after: int) -> None:
    source, output, whole = tmp_path / "in.csv", tmp_path / f"out{suffix}", tmp_path / f"whole{suffix}"
    write_table(source, HEADER, cells(23))
    written(whole, source, 4)
    with pytest.raises(Stopped):
        written(output, source, 4, stop_after=stop_after)
    progress = Progress.of(output)
    assert progress is not None
    assert progress.rows == min(23, 4 * stop_after)
    if suffix == ".parquet":
        parts = sorted(output.with_name("out.parquet.parts").iterdir())
        assert pl.read_parquet(parts)["n"].to_list() == [str(row) for row in range(1, progress.rows + 1)]
        (parts[0].parent / ".000009.parquet.0a1b").write_bytes(b"half a part")
    else:
        assert len(read_table(output).rows) == progress.rows  # readable while it grows
        assert output.stat().st_size == progress.size
        with output.open("ab") as handle:
            handle.write(b'half a "')
    assert written(output, source, 4, resume=True).rows == 23
    assert output.read_bytes() == whole.read_bytes()


def test_an_output_is_not_gone_on_with_from_something_else(tmp_path: Path) -> None:
    source, output = tmp_path / "in.csv", tmp_path / "out.csv"
    write_table(source, HEADER, cells(9))
    with pytest.raises(Stopped):
        written(output, source, 4, stop_after=1)
    before = output.read_bytes()
    write_table(source, HEADER, cells(10))
    for made_from, said in [
        ({"input": "x"}, f"{output} was begun with another input; give those again, or begin anew with --force"),
        ({"input": "x", "model": "y"}, f"{output} was begun with another input and another model; give those again"),
    ]:
        with pytest.raises(RunError) as refused, growing(output, made_from, resume=True):
            pass
        assert str(refused.value).startswith(said)
    assert output.read_bytes() == before


def test_what_was_damaged_meanwhile_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    write_table(source, HEADER, cells(9))
    for name in ("out.csv", "out.parquet", "json.csv"):
        with pytest.raises(Stopped):
            written(tmp_path / name, source, 4, stop_after=2)
    (tmp_path / "out.csv").write_bytes(b"n")
    (tmp_path / "out.parquet.parts" / "000001.parquet").unlink()
    (tmp_path / "json.csv.progress").write_text("{")
    for name, said in {
        "out.csv": "out.csv is shorter than out.csv.progress says; begin anew with --force",
        "out.parquet": "000001.parquet is missing; begin anew with --force",
        "json.csv": "json.csv.progress is damaged; begin anew with --force",
    }.items():
        with pytest.raises(RunError) as refused:
            written(tmp_path / name, source, 4, resume=True)
        assert str(refused.value).endswith(said)
        written(tmp_path / name, source, 4)
        assert len(read_table(tmp_path / name).rows) == 9


def test_an_output_has_one_writer(tmp_path: Path) -> None:
    write_table(tmp_path / "in.csv", HEADER, cells(3))
    output = tmp_path / "out.csv"
    with one_writer_of(output), pytest.raises(RunError) as refused:
        written(output, tmp_path / "in.csv", 4)
    assert str(refused.value) == f"{output} is being written by another process; wait for it, or name another file"
    written(output, tmp_path / "in.csv", 4)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in.csv", "out.csv"]


def test_a_full_disk_is_told_and_what_is_whole_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_table(tmp_path / "in.csv", HEADER, cells(9))
    output, calls = tmp_path / "out.csv", []

    def fsync(file: int) -> None:
        calls.append(file)
        if len(calls) == 4:  # progress, window, progress, window
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fsync)
    with pytest.raises(RunError, match=r"out\.csv cannot be written: No space left on device; make room"):
        written(output, tmp_path / "in.csv", 4)
    assert written(output, tmp_path / "in.csv", 4, resume=True).rows == 9
    assert len(read_table(output, quoting="csv").rows) == 9


@pytest.mark.parametrize("name", ["in.csv", "in.jsonl"])
def test_bad_rows_of_every_window_are_counted_and_keep_their_numbers(tmp_path: Path, name: str) -> None:
    rows = [["good"] for _ in range(2500)]
    lines = ["text,n", *("good,1" for _ in rows)] if name == "in.csv" else ['{"text": "good", "n": 1}' for _ in rows]
    bad = list(range(2, 2500, 2))
    for row in bad:
        lines[row if name == "in.csv" else row - 1] = "broken"
    (tmp_path / name).write_text("\n".join(lines) + "\n")
    file = open_table(tmp_path / name)
    with pytest.raises(DataError) as refused:
        survey(file, TASK, False, size=100)
    first, more, remedy = str(refused.value).splitlines()
    assert first.startswith(f"{tmp_path / name}, row 2")
    assert more == f"and {len(bad) - 1:,} more bad rows in this file"
    assert remedy == "correct the file, or pass --skip-bad-rows to leave such rows out"
    found = survey(file, TASK, True, size=100)
    assert (found.rows, found.bad, found.good) == (2500, len(bad), 2500 - len(bad))
    assert [row.row for row in found.bad_rows] == bad[:LISTED]
    kept = [row for window in windows(file, TASK, 100) for row in window.kept]
    assert kept == sorted(set(range(1, 2501)) - set(bad))
    assert [i for window in windows(file, TASK, 100) for i in window.examples.ids] == [str(row) for row in kept]


def test_a_file_without_a_usable_row_has_no_answers(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("text,n\n" + "broken\n" * 5)
    for name in ("out.csv", "out.parquet"):
        assert written(tmp_path / name, tmp_path / "in.csv", 2).counts == {"answer": 0}
    assert (tmp_path / "out.csv").read_text() == "text,n,prediction,probability_0,probability_1,note\n"
    assert pl.read_parquet(tmp_path / "out.parquet").height == 0


def test_a_file_that_changes_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    write_table(source, HEADER, cells(9))
    file = open_table(source)
    with source.open("a") as handle:
        handle.write("10,late,x\n")
    with pytest.raises(DataError) as refused:
        list(windows(file, TASK, 4))
    assert str(refused.value) == f"{source} changed while it was read; begin anew when it is complete"
    source.unlink()
    with pytest.raises(DataError, match="does not exist"):
        list(windows(file, TASK, 4))


def test_what_came_from_elsewhere_has_another_origin(tmp_path: Path) -> None:
    model = tmp_path / "model"
    (model / "best").mkdir(parents=True)
    (model / "best" / "config.json").write_text("{}")
    write_table(tmp_path / "in.csv", HEADER, cells(3))
    file = open_table(tmp_path / "in.csv")
    one = origin(file, model, {"task": "t"})
    (model / "best" / "README.md").write_text("a card")
    assert origin(file, model, {"task": "t"}) == one
    (model / "best" / "config.json").write_text('{"x": 1}')
    other = origin(file, model, {"task": "t"})
    assert [name for name in one if one[name] != other[name]] == ["model"]
    again = origin(file, model / "best", {"task": "s"})
    assert [name for name in one if again[name] != other[name]] == ["set of options"]
    write_table(tmp_path / "in.csv", HEADER, cells(4))
    later = origin(open_table(tmp_path / "in.csv"), model, {"task": "s"})
    assert [name for name in one if again[name] != later[name]] == ["input"]


@pytest.mark.parametrize("name", ["in.csv", "in.jsonl", "in.parquet"])
def test_memory_does_not_grow_with_the_rows(tmp_path: Path, name: str) -> None:
    """What Python holds at most, for ten and for a hundred windows; the whole file would take ten times as much."""
    peaks = []
    for rows in (300, 3_000):
        source, output = tmp_path / f"{rows}-{name}", tmp_path / f"out-{rows}.jsonl"
        write_table(source, ["n", "text"], [[str(row), f"text {row} " * 10] for row in range(rows)])
        tracemalloc.start()
        written(output, source, 30)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


def test_vectors_have_a_head_for_all_of_them(tmp_path: Path) -> None:
    texts = ["a", "", "bb", "ccc", "a b"]
    (tmp_path / "in.txt").write_text("\n".join(texts) + "\n")
    file, task = open_lines(tmp_path / "in.txt"), Task(kind="classification", text="text")

    def embed(some: Sequence[str]) -> NDArray[np.float32]:
        return np.array([[len(text), 0.5, -1] for text in some], dtype=np.float32)

    output = tmp_path / "v.npy"
    with growing(output, {}, False) as growth:
        steps = fill(growth, file, task, as_vectors(embed, len(texts), 3), 2)
        next(steps)
        with pytest.raises(ValueError, match=r"read all data|reshape"):  # half of it cannot be taken for the whole
            np.load(output)
        list(steps)
        assert growth.progress.counts == {"vector": 5, "blank": 1}
    np.testing.assert_array_equal(np.load(output), embed(texts))
    np.save(tmp_path / "whole.npy", embed(texts))
    assert output.read_bytes() == (tmp_path / "whole.npy").read_bytes()


def test_the_courses_layout_is_the_same_window_by_window(tmp_path: Path) -> None:
    write_table(tmp_path / "in.csv", HEADER, cells(7))
    task = TASK.model_copy(update={"id": "n"})
    for size in (2, 7):
        file = open_table(tmp_path / "in.csv", quoting="csv")
        with growing(tmp_path / f"{size}.csv", {}, False) as growth:
            list(fill(growth, file, task, in_course_layout("mood", task, answer), size))
    assert (tmp_path / "2.csv").read_bytes() == (tmp_path / "7.csv").read_bytes()
    assert (tmp_path / "2.csv").read_text().startswith("id \t Predicted \n1 , ")
    write_table(tmp_path / "in.csv", HEADER, [*cells(4), ["5\n6", "x", "y"]])
    with pytest.raises(DataError) as refused:
        survey(open_table(tmp_path / "in.csv"), task, False, look=check_course_ids, size=2)
    assert str(refused.value) == (
        f"{tmp_path / 'in.csv'}, row 5: id '5\\n6' holds a line break; correct it, or write Parquet"
    )


def test_a_parquet_file_has_one_type_a_column_whatever_the_windows_hold(tmp_path: Path) -> None:
    """A column that is mixed in one window, or has nothing in another, is what it is in a file written at once."""
    objects = [
        {"text": "a", "mixed": 1, "late": None, "list": [1], "odd": [1], "big": 1},
        {"text": "b", "mixed": "x", "late": None, "list": [], "odd": {"a": 1}, "big": 2},
        {"text": "c", "mixed": None, "late": 2.5, "list": None, "odd": None, "big": 2**70},
    ]
    lines = "".join(json.dumps(one) + "\n" for one in objects)
    (tmp_path / "in.jsonl").write_text(lines)
    written(tmp_path / "out.parquet", tmp_path / "in.jsonl", 1)
    written(tmp_path / "whole.parquet", tmp_path / "in.jsonl", 10)
    found = pl.read_parquet(tmp_path / "out.parquet")
    assert found.equals(pl.read_parquet(tmp_path / "whole.parquet"))
    assert found["mixed"].to_list() == ["1", "x", None]
    assert found["late"].to_list() == [None, None, 2.5]
    assert found["list"].to_list() == [[1], [], None]
    assert found["big"].to_list() == ["1", "2", str(2**70)]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_dates_of_a_parquet_file_are_kept_as_the_format_can(tmp_path: Path, suffix: str) -> None:
    day = datetime.date(2024, 2, 29)
    pl.DataFrame({"text": ["a", "b"], "day": [day, None]}).write_parquet(tmp_path / "in.parquet")
    output = tmp_path / f"out{suffix}"
    written(output, tmp_path / "in.parquet", 1)
    days = [row[1] for row in read_table(output).rows]
    nothing = "" if suffix == ".csv" else None
    assert days == ([day, None] if suffix == ".parquet" else ["2024-02-29", nothing])
