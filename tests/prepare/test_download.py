"""Public originals, from a server that plays the hub: the course's layout to the byte, and what is refused."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hub_server import Hub, played
from minbert.errors import DataError, MinbertError, RunError
from minbert.prepare import download as module
from minbert.prepare.download import ORIGINALS, download
from minbert.recipes import load
from minbert.splits import read_splits
from minbert.tasks import BUILT_IN
from originals import ROWS, Row, cells_of, expect, ids_of, publish, write


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The hub with the three originals, a few rows of each, and an empty cache."""
    expect(monkeypatch)
    with played(tmp_path / "hub", monkeypatch) as server:
        publish(server, tmp_path)
        yield server


def original(folder: Path, task: str, split: str) -> Path:
    """Where the played hub keeps a file."""
    return folder / ORIGINALS[task].repository / ORIGINALS[task].files[split].path  # type: ignore[index]


LAYOUT = {
    "ids-sst-train.csv": (
        "\tid\tsentence\tsentiment\n"
        "0\tID\ta good film\t3\n"
        '1\tID\t"not ""very"" good"\t1\n'
        "2\tID\tdull\t0\n"
        "3\tID\tquiet , and very good\t4\n"
        "4\tID\ta film\t2\n"
    ),
    "ids-sst-dev.csv": "\tid\tsentence\tsentiment\n0\tID\tthe dog was good\t3\n1\tID\tbad\t0\n",
    "ids-sst-test-student.csv": "0\t\tid\tsentence\n1\t0.0\tID\ta very bad film\n2\t1.0\tID\t\n3\t2.0\tID\tthe cat\n",
    "quora-train.csv": (
        "\tid\tsentence1\tsentence2\tis_duplicate\n"
        "0\tID\tWas it good?\tWas it bad?\t0.0\n"
        '1\tID\t"""the"" cat"\t"""the cat"""\t1.0\n'
        "2\tID\ta b c\tdull\t0.0\n"
    ),
    "quora-dev.csv": (
        "\tid\tsentence1\tsentence2\tis_duplicate\n0\tID\tthe cat sat\ta cat sat\t1.0\n1\tID\tthe dog\tbad film\t0.0\n"
    ),
    "sts-train.csv": (
        "\tid\tsentence1\tsentence2\tsimilarity\n"
        "0\tID\tthe cat sat\ta cat sat\t4.6\n"
        "1\tID\tgood\tbad\t1.714\n"
        "2\tID\ta film\tthe film\t5.0\n"
        "3\tID\ta\tb\t0.0\n"
    ),
    "sts-dev.csv": (
        "\tid\tsentence1\tsentence2\tsimilarity\n0\tID\tthe dog\ta dog\t4.25\n1\tID\tvery good\tquiet\t0.4\n"
    ),
    "sts-test-student.csv": "\tid\tsentence1\tsentence2\n0\tID\tthe dog sat\ta dog sat\n1\tID\tgood\t\n",
}


def test_the_files_are_in_the_courses_layout_to_the_byte(hub: Hub, tmp_path: Path) -> None:
    written = download(["sst", "para", "sts"], tmp_path / "data")
    assert [file.path.name for file in written] == list(LAYOUT)
    assert sorted(file.name for file in (tmp_path / "data").iterdir()) == sorted(LAYOUT)
    ids = [name for file in written for name in ids_of(file.path)]
    assert len(set(ids)) == len(ids) == sum(file.rows for file in written)
    assert all(len(name) == 25 and set(name) <= set("0123456789abcdef") for name in ids)
    for file in written:
        content = file.path.read_bytes().decode()
        for name in ids_of(file.path):
            content = content.replace(name, "ID")
        assert content == LAYOUT[file.path.name]


@pytest.mark.parametrize("task", ORIGINALS)
@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_the_layout_is_that_of_the_courses_own_files(
    task: str, split: str, hub: Hub, tmp_path: Path, course_data: Path
) -> None:
    """What is written of the course's own cells is the course's own file; so are the headers."""
    path = course_data / BUILT_IN[task][split]
    header, *rows = cells_of(path)
    module._write(tmp_path / "again.csv", header, rows)
    assert (tmp_path / "again.csv").read_bytes() == path.read_bytes()
    if split in ORIGINALS[task].files:
        download([task], tmp_path / "data")
        assert cells_of(tmp_path / "data" / path.name)[0] == header


def test_what_is_read_back_is_what_the_originals_hold(hub: Hub, tmp_path: Path) -> None:
    download(list(ORIGINALS), tmp_path / "data")
    tasks = load({"tasks": {name: {} for name in ORIGINALS}}, data=tmp_path / "data").tasks
    for name, task in tasks.items():
        for split, reading in read_splits(task)[1].items():
            assert reading.bad_rows == []
            rows = [[" ".join(c.split()) if isinstance(c, str) else c for c in row] for row in ROWS[name][split]]
            assert [list(column) for column in reading.examples.texts] == [list(c) for c in zip(*rows, strict=True)][
                :-1
            ]
            if split != "test":
                assert reading.examples.labels is not None
                assert reading.examples.labels.tolist() == pytest.approx([row[-1] for row in rows], abs=1e-7)


ODD = [
    '"',
    '""',
    '"a"',
    'a "b',
    '"a" b "c"',
    " a blank before",
    "a blank after ",
    "'",
    "NA",
    "null",
    "# no comment",
    "a,b;c|d",
    "\\n \\",
    "a\u2028line\u0085end",
    "\ufeffa mark",
    "a\0b",
    "naïve “café” 北京 🙂",
    "x" * 200_000,
]


def test_odd_texts_come_back_letter_by_letter(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: dict[str, list[Row]] = {"sst": [(text, n % 5) for n, text in enumerate(ODD)]}
    rows["para"] = [(text, text[::-1], n % 2) for n, text in enumerate(ODD)]
    for task, of_task in rows.items():
        expect(monkeypatch, {task: {"train": of_task}})
        write(original(tmp_path, task, "train"), task, of_task)
    download(["sst", "para"], tmp_path / "data")
    for name, task in load({"tasks": {"sst": {}, "para": {}}}, data=tmp_path / "data").tasks.items():
        examples = read_splits(task)[1]["train"].examples
        assert [tuple(texts) for texts in zip(*examples.texts, strict=True)] == [row[:-1] for row in rows[name]]


def test_the_same_originals_give_the_same_bytes(hub: Hub, tmp_path: Path) -> None:
    download(["sst", "sts"], tmp_path / "one")
    shutil.rmtree(tmp_path / "hub")
    download(["sts", "sst", "sst"], tmp_path / "two")
    files = sorted(file.name for file in (tmp_path / "one").iterdir())
    assert files == sorted(file.name for file in (tmp_path / "two").iterdir())
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_a_second_download_asks_the_hub_for_nothing(hub: Hub, tmp_path: Path) -> None:
    download(list(ORIGINALS), tmp_path / "one")
    assert len(hub.fetched()) == 8
    hub.asked.clear()
    download(list(ORIGINALS), tmp_path / "two")
    assert hub.asked == []


def test_rows_without_a_text_are_left_out_and_counted_where_there_are_labels(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[Row] = [*ROWS["para"]["train"] * 100, ("", "a", 1), ("a", " \t", 0), (None, "a", 1)]
    expect(monkeypatch, {"para": {"train": rows}})
    write(original(tmp_path, "para", "train"), "para", rows)
    train, dev = download(["para"], tmp_path / "data")
    assert (train.rows, train.left_out, dev.left_out) == (300, 3, 0)
    assert len(set(ids_of(train.path))) == 300


# What is not what was published


def rewrite(file: Path, before: str, after: str) -> None:
    content = file.read_text()
    assert before in content
    file.write_text(content.replace(before, after))


NO_PARQUET = "is not a Parquet file ("
FAULTS: dict[str, tuple[str, str, Callable[[Path], object], str]] = {
    "no file": ("sst", "dev", lambda f: f.unlink(), "it is not there"),
    "another column": ("sst", "dev", lambda f: rewrite(f, '"text"', '"sentence"'), "its columns are sentence, label, "),
    "a label out of range": (
        "sst",
        "dev",
        lambda f: rewrite(f, '"label": 3', '"label": 5'),
        "row 1, column 'label': '5' is not among 0..4",
    ),
    "a score for a class": (
        "sst",
        "train",
        lambda f: rewrite(f, '"label": 3', '"label": 2.5'),
        "row 1, column 'label': '2.5' is not among 0..4",
    ),
    "no label": (
        "sst",
        "dev",
        lambda f: rewrite(f, '"label": 3, ', ""),
        "row 1, column 'label': the line does not have",
    ),
    "a broken line": ("sst", "train", lambda f: f.write_text(f.read_text()[:-9]), "row 5, column '': not JSON ("),
    "an empty file": ("sst", "test", lambda f: f.write_text(""), "is empty"),
    "a row less": (
        "sst",
        "dev",
        lambda f: f.write_text(f.read_text().split("\n")[0]),
        "1 of its rows have a text, and 2 were published",
    ),
    "a row more": (
        "sts",
        "dev",
        lambda f: write(f, "sts", ROWS["sts"]["dev"] * 2),
        "4 of its rows have a text, and 2 were published",
    ),
    "many rows without a text": (
        "para",
        "dev",
        lambda f: write(f, "para", [("", "a", 1), ("a", "b", 0)]),
        "1 of its rows have a text, and 2 were published",
    ),
    "a score out of range": (
        "sts",
        "train",
        lambda f: write(f, "sts", [("a", "b", 5.5)] * 4),
        "row 1, column 'label': '5.5' is not a number in 0..5",
    ),
    "scores of a hidden split": (
        "sts",
        "train",
        lambda f: write(f, "sts", [("a", "b", -1.0)] * 4),
        "row 1, column 'label': '-1' is not a number in 0..5",
    ),
    "no Parquet": ("para", "train", lambda f: f.write_bytes(b"PAR1 and no more"), NO_PARQUET),
    "Parquet cut short": ("sts", "test", lambda f: f.write_bytes(f.read_bytes()[:-50]), NO_PARQUET),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_anything_else_than_was_published_is_refused_and_nothing_is_written(
    fault: str, hub: Hub, tmp_path: Path
) -> None:
    task, split, damage, why = FAULTS[fault]
    damage(original(tmp_path, task, split))
    with pytest.raises(DataError) as caught:
        download(list(ORIGINALS), tmp_path / "data")
    name = ORIGINALS[task].repository
    file = ORIGINALS[task].files[split].path  # type: ignore[index]
    assert str(caught.value).startswith(f"data set '{name}' is not what was published: {file}: {why}")
    cache = tmp_path / "hub" / "cache" / f"datasets--{name.replace('/', '--')}"
    remedy = f"; delete {cache} to fetch it anew, or write the course's files yourself, as docs/data.md says"
    assert str(caught.value).endswith(remedy)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "data").exists()

    write(original(tmp_path, task, split), task, ROWS[task][split])  # type: ignore[index]
    shutil.rmtree(cache)
    assert download([task], tmp_path / "data")


def test_a_file_beyond_all_bounds_is_not_read(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = original(tmp_path, "sst", "train").stat().st_size
    monkeypatch.setattr(module, "LARGEST", size - 1)
    with pytest.raises(DataError, match=f"it has {size} bytes, and no more than {size - 1} are read; delete"):
        download(["sst"], tmp_path / "data")
    monkeypatch.setattr(module, "LARGEST", size)
    download(["sst"], tmp_path / "data")


def test_a_hundredth_of_the_published_rows_may_come_or_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the counts that ship."""
    counts = {split: file.rows for split, file in ORIGINALS["sst"].files.items()}
    with played(tmp_path / "hub", monkeypatch) as hub:
        rows = {split: [(f"text {n}", n % 5) for n in range(count)] for split, count in counts.items()}
        publish(hub, tmp_path, {"sst": rows})  # type: ignore[arg-type]
        assert [file.rows for file in download(["sst"], tmp_path / "data")] == [8544, 1101, 2210]
        for count, is_fine in ((8459, True), (8458, False), (8629, True), (8630, False)):
            write(original(tmp_path, "sst", "train"), "sst", [(f"text {n}", n % 5) for n in range(count)])
            shutil.rmtree(tmp_path / "hub" / "cache")
            if is_fine:
                assert download(["sst"], tmp_path / "data", force=True)[0].rows == count
            else:
                with pytest.raises(DataError, match=f"{count:,} of its rows have a text, and 8,544 were published"):
                    download(["sst"], tmp_path / "data", force=True)


# What may not be done


def test_nothing_is_replaced_unasked_and_then_nothing_is_asked_for(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "sts-dev.csv").write_text("mine")
    with pytest.raises(RunError) as caught:
        download(["sst", "sts"], tmp_path / "data")
    existing = tmp_path / "data" / "sts-dev.csv"
    assert str(caught.value) == f"{existing} exists already; --force replaces it, --output names another folder"
    assert [file.read_text() for file in (tmp_path / "data").iterdir()] == ["mine"]
    assert hub.asked == []
    download(["sst"], tmp_path / "data")
    download(["sts"], tmp_path / "data", force=True)
    assert existing.read_text().startswith("\tid\t")


def test_a_hub_that_refuses_names_the_data_set_and_its_page(hub: Hub, tmp_path: Path) -> None:
    hub.tokens["datasets/nyu-mll/glue"] = "mine"
    hub.gated.add("datasets/nyu-mll/glue")
    with pytest.raises(DataError) as caught:
        download(["sst", "sts"], tmp_path / "data")
    assert str(caught.value) == (
        "data set 'nyu-mll/glue' cannot be fetched: it is gated; accept its terms at "
        f"{hub.address}/datasets/nyu-mll/glue, and set HF_TOKEN to a token of that account"
    )
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("stst", "there is no public original of 'stst' (did you mean 'sts'?); take sst, para, sts"),
        ("cfimdb", "there is no public original of 'cfimdb'; take sst, para, sts"),
    ],
)
def test_a_task_without_an_original_is_refused(task: str, message: str, hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        download(["sst", task], tmp_path / "data")
    assert str(caught.value) == message
    assert hub.asked == []


def test_a_folder_that_cannot_be_is_refused_before_the_hub_is_asked(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MinbertError, match="is a file, not a folder; choose another place"):
        download(["sst"], tmp_path / "file" / "data")
    assert hub.asked == []


def test_the_document_has_the_table_of_originals() -> None:
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if "| `" in line]
    documented = [cells[2:5] for cells in rows if len(cells) == 5]
    assert documented == [
        [f"`{file.path}`", f"{file.rows:,}", f"`{BUILT_IN[task][split]}`"]
        for task, original in ORIGINALS.items()
        for split, file in original.files.items()
    ]
    assert all(f"| {task} | {original.repository} |" in page for task, original in ORIGINALS.items())
