"""`duplicates` and `similar`: planted duplicates come out in every format, and mistakes are one message each."""

import inspect
import json
import re
import shlex
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import minbert
from cli.conftest import Command
from minbert.cli import search as cli_search
from minbert.inference import search
from minbert.inference.judging import THRESHOLDS, PairHead
from minbert.inference.search import duplicates, similar

ROWS = [
    ("a", "Which lamp lights the stairs at night?"),
    ("b", "which lamp  lights the STAIRS at night?"),
    ("c", "My kettle leaks from the lid."),
    ("d", ""),
    ("e", "Which lamp lights the stairs at night ?"),
    ("f", "The train to the coast was late again."),
]
PARA = ("--task", "para", "--threshold", "0")
COLUMNS = ["group", "row_1", "row_2", "id_1", "id_2", "text_1", "text_2", "cosine", "probability", "note"]


@pytest.fixture
def rows(command: Command) -> str:
    pl.DataFrame(ROWS, schema=["id", "text"], orient="row").write_csv("rows.csv")
    return "rows.csv"


def words(rows: str, *more: object) -> tuple[object, ...]:
    return ("--input", rows, "--column", "text", *more)


def test_planted_duplicates_come_out_first(command: Command, trained: Path, rows: str) -> None:
    """Row 2 is row 1 but for case and blanks; row 5 has its very tokens."""
    done = command("duplicates", trained, *words(rows, *PARA, "--json"))
    assert done.code == 0, done.err
    found = [json.loads(line) for line in done.out.splitlines()]
    assert [list(one) for one in found] == [COLUMNS] * len(found)
    assert [found[0][name] for name in COLUMNS[:5]] == [1, 1, 2, "a", "b"]
    assert [found[0][name] for name in COLUMNS[7:]] == [None, None, "same text"]
    (planted,) = [one for one in found if (one["row_1"], one["row_2"]) == (1, 5)]
    assert planted["cosine"] == pytest.approx(1, abs=1e-5)
    assert planted["group"] == 1
    assert max(one["cosine"] for one in found[1:]) == planted["cosine"]
    assert 4 not in {one[side] for one in found for side in ("row_1", "row_2")}
    assert "rows.csv: left out 1 blank text of 6" in " ".join(done.err.split())
    assert f"{len(found)} pairs in 1 group among 6 rows" in " ".join(done.err.split())
    model = minbert.MultitaskModel.from_pretrained(trained)
    expected = duplicates(model, [text for _, text in ROWS], PairHead("para", "1"), 0.0)
    assert [(one["row_1"], one["row_2"], one["probability"]) for one in found] == [
        (pair.first + 1, pair.second + 1, pair.score) for pair in expected
    ]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_a_file_of_pairs_has_the_columns_of_the_lines(command: Command, trained: Path, rows: str, suffix: str) -> None:
    done = command("duplicates", trained, *words(rows, *PARA, "--output", f"pairs{suffix}"))
    assert (done.code, done.out) == (0, ""), done.err
    assert f"pairs in 1 group among 6 rows, in pairs{suffix}" in " ".join(done.err.split())
    read = {".csv": pl.read_csv, ".tsv": lambda p: pl.read_csv(p, separator="\t")}
    read |= {".jsonl": pl.read_ndjson, ".parquet": pl.read_parquet}
    frame = read[suffix](f"pairs{suffix}")
    assert frame.columns == COLUMNS
    lines = command("duplicates", trained, *words(rows, *PARA)).out.splitlines()
    assert [line.split("\t")[:5] for line in lines] == [[str(c) for c in row[:5]] for row in frame.iter_rows()]
    assert lines[0].split("\t")[7:] == ["", "", "same text"]
    assert [line.split("\t")[8] for line in lines[1:]] == [f"{score:.3f}" for score in frame["probability"][1:]]


def test_a_task_of_scores_has_a_column_of_scores(command: Command, trained: Path, rows: str) -> None:
    done = command("duplicates", trained, *words(rows, "--task", "sts", "--threshold", "4.9", "--json"))
    found = [json.loads(line) for line in done.out.splitlines()]
    assert list(found[1]) == [name.replace("probability", "score") for name in COLUMNS]
    assert {(one["row_1"], one["row_2"]) for one in found} >= {(1, 2), (1, 5)}
    assert found[1]["score"] == pytest.approx(5, abs=1e-5)


def test_an_encoder_without_tasks_gives_cosines_and_says_so(command: Command, tiny_encoder: Path, rows: str) -> None:
    done = command("duplicates", tiny_encoder, *words(rows, "--threshold", "0.99999", "--json"))
    assert "this model has no pair task: texts are judged by their cosine alone" in " ".join(done.err.split())
    found = [json.loads(line) for line in done.out.splitlines()]
    assert [(one["row_1"], one["row_2"]) for one in found] == [(1, 2), (1, 5)]
    assert list(found[0]) == [name for name in COLUMNS if name != "probability"]


def test_lines_of_a_text_file_have_no_ids(command: Command, tiny_encoder: Path) -> None:
    Path("a.txt").write_text("one cat\ttwo\nA dog\nONE  cat two\n", encoding="utf-8")
    done = command("duplicates", tiny_encoder, "--input", "a.txt", "--threshold", "1")
    assert done.out == "1\t1\t3\tone cat two\tONE  cat two\t\tsame text\n"


def test_where_no_two_are_alike_nothing_is_printed(command: Command, tiny_encoder: Path) -> None:
    Path("a.txt").write_text("one\n", encoding="utf-8")
    done = command("duplicates", tiny_encoder, "--input", "a.txt")
    assert (done.code, done.out) == (0, "")
    assert "0 pairs in 0 groups among 1 row" in done.err


def test_similar_gives_the_nearest_rows_of_every_query(command: Command, trained: Path, rows: str) -> None:
    asked = ["Which lamp lights the stairs at night?", "a late train"]
    options = ["--query", asked[0], "--query", asked[1], "--task", "para", "--top", 3]
    done = command("similar", trained, *words(rows, *options, "--json"))
    found = [json.loads(line) for line in done.out.splitlines()]
    assert list(found[0]) == ["query", "query_text", "rank", "row", "id", "text", "cosine", "probability", "note"]
    assert [(one["query"], one["query_text"], one["rank"]) for one in found] == [
        (number, text, rank) for number, text in enumerate(asked, start=1) for rank in (1, 2, 3)
    ]
    assert {one["row"] for one in found[:3]} >= {1, 2, 5}
    assert {one["id"] for one in found} <= {"a", "b", "c", "e", "f"}
    model = minbert.MultitaskModel.from_pretrained(trained)
    expected = similar(model, [text for _, text in ROWS], asked, PairHead("para", "1"), 3)
    assert [(one["row"], one["cosine"], one["probability"]) for one in found] == [
        (hit.place + 1, hit.cosine, hit.score) for hit in expected
    ]
    assert "6 answers among 6 rows; texts are cut at 40 tokens" in " ".join(done.err.split())


@pytest.mark.parametrize(("name", "content"), [("q.txt", "a late train\n\n"), ("q.csv", 'what,n\n"a late train",1\n')])
def test_queries_may_come_from_a_file(command: Command, tiny_encoder: Path, rows: str, name: str, content: str) -> None:
    Path(name).write_text(content, encoding="utf-8")
    which = ["--query-column", "what"] if name == "q.csv" else []
    done = command("similar", tiny_encoder, *words(rows, "--queries", name, *which, "--output", "out.parquet"))
    assert done.code == 0, done.err
    alone = command("similar", tiny_encoder, *words(rows, "--query", "a late train", "--json"))
    assert pl.read_parquet("out.parquet").to_dicts() == [json.loads(line) for line in alone.out.splitlines()]
    assert ("q.txt: left out 1 blank text of 2" in " ".join(done.err.split())) == (name == "q.txt")


def test_mistakes_are_one_message_and_leave_nothing_behind(command: Command, trained: Path, rows: str) -> None:
    Path("blank.txt").write_text(" \n\u200b\n", encoding="utf-8")
    Path("taken.csv").write_text("x\n", encoding="utf-8")
    before = {path: path.read_bytes() for path in Path().iterdir()}
    found = "duplicates", trained
    asked = "similar", trained, "--task", "para"
    for line, message in [
        ((*found, *words(rows)), "this model has 2 pair tasks; choose one: --task para, --task sts"),
        ((*found, *words(rows, "--task", "sst")), "task 'sst' takes one text; choose a pair task: --task para"),
        ((*found, *words(rows, "--task", "sts")), "say from which score on two texts are duplicates, with --threshold"),
        (
            (*found, *words(rows, "--task", "para", "--threshold", "2")),
            "--threshold 2 decides nothing; give one inside",
        ),
        ((*found, *words(rows, "--task", "para", "--label", "2")), "task 'para' has no class '2'; it has 0, 1"),
        (
            (*found, "--task", "para", "--input", rows),
            "rows.csv has several columns; choose one of id, text with --column",
        ),
        ((*found, *PARA, "--input", rows, "--column", "txt"), "no column 'txt' (did you mean 'text'?)"),
        ((*found, *PARA, "--input", "none.csv"), "none.csv does not exist"),
        ((*found, *PARA, "--input", "blank.txt"), "blank.txt has blank texts alone; name another column with --column"),
        ((*found, *words(rows, *PARA, "--output", "taken.csv")), "taken.csv exists already; --force replaces it"),
        ((*found, *words(rows, *PARA, "--output", rows, "--force")), "rows.csv is the input itself; name another"),
        ((*found, *words(rows, *PARA, "--output", "o.xls")), "o.xls: its name should end in one of .csv"),
        (("duplicates", "nowhere", *words(rows)), "nowhere' is no folder; write minilm, a folder, or a hub id"),
        ((*asked, *words(rows)), "say what to look for: --query TEXT or --queries FILE, one of the two"),
        (
            (*asked, *words(rows, "--query", "x", "--queries", "q.txt")),
            "--query TEXT or --queries FILE, one of the two",
        ),
        ((*asked, *words(rows, "--query", "x", "--query-column", "q")), "--query-column goes with --queries FILE"),
        ((*asked, *words(rows, "--query", "x", "--query", "\u200b")), "a --query is blank; write a text"),
        (
            (*asked, *words(rows, "--queries", rows)),
            "rows.csv has several columns; choose one of id, text with --query-c",
        ),
        ((*asked, *words(rows, "--queries", rows, "--query-column", "q")), "or name the column with --query-column"),
        (
            (*asked, *words("taken.csv", "--queries", "blank.txt", "--output", "blank.txt", "--force")),
            "the input itself",
        ),
    ]:
        done = command(*line)
        assert done.code == 2, line
        assert message in " ".join(done.err.split()), line
        assert len(done.err.strip().splitlines()) <= 3
        assert "Traceback" not in done.err
        assert done.out == ""
    assert {path: path.read_bytes() for path in Path().iterdir()} == before


def test_more_texts_than_are_compared_are_refused_before_they_are_embedded(
    command: Command, trained: Path, rows: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "LIMIT", 4)
    monkeypatch.setattr(minbert.MultitaskModel, "embed", None)
    monkeypatch.setattr(minbert.MultitaskModel, "pool_once", None)
    done = command("duplicates", trained, *words(rows, "--task", "para"))
    assert done.code == 2
    assert "rows.csv: 5 texts are more than the 4 that are compared with each other; search in parts" in done.err


def test_queries_by_texts_are_limited_and_not_texts_alone(
    command: Command, trained: Path, rows: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "LIMIT", 4)
    monkeypatch.setattr(search, "COMPARISONS", 5)
    assert command("similar", trained, *words(rows, "--query", "x", "--task", "para")).code == 0
    monkeypatch.setattr(minbert.MultitaskModel, "embed", None)
    monkeypatch.setattr(minbert.MultitaskModel, "pool_once", None)
    done = command("similar", trained, *words(rows, "--query", "x", "--query", "y", "--task", "para"))
    said = "rows.csv: 2 queries by 5 texts are more than 5 comparisons; search in parts"
    assert (done.code, done.err.splitlines()[-1]) == (2, f"error: {said}")


@pytest.mark.parametrize("told", [(), ("--task", "para")], ids=["cosine", "head"])
def test_pairs_of_cut_texts_are_noted_and_counted(
    command: Command, trained: Path, tiny_encoder: Path, told: tuple[str, ...]
) -> None:
    """The tiny model takes 40 tokens; two texts differ after them alone."""
    start = "the cat sat " * 20
    pl.DataFrame({"text": [start + "good", start + "bad", "the cat sat", "a cat sat"]}).write_csv("long.csv")
    model = trained if told else tiny_encoder
    at = ("--threshold", "0", "--min-cosine", "-1", "--json", *told)
    done = command("duplicates", model, "--input", "long.csv", *at)
    found = {(one["row_1"], one["row_2"]): one["note"] for one in map(json.loads, done.out.splitlines())}
    assert found[1, 2] == "truncated"
    assert all(note == ("truncated" if rows[0] <= 2 else "") for rows, note in found.items())
    cut = sum(note == "truncated" for note in found.values())
    assert f"among 4 rows, {cut} truncated; texts are cut at 40 tokens" in " ".join(done.err.split())
    done = command("similar", model, "--input", "long.csv", "--query", "a cat", "--top", "4", "--json", *told)
    hits = {one["row"]: one["note"] for one in map(json.loads, done.out.splitlines())}
    assert hits == {1: "truncated", 2: "truncated", 3: "", 4: ""}
    assert "4 answers among 4 rows, 2 truncated; texts are cut at 40 tokens" in " ".join(done.err.split())


def test_a_threshold_below_the_least_cosine_counts_where_the_cosine_decides(
    command: Command, tiny_encoder: Path, rows: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of four different texts one pair has a cosine of 1, one of 0.4, and the others less than 0."""
    angles = np.array([0.0, np.arccos(0.4), np.pi, np.pi])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    monkeypatch.setattr(minbert.MultitaskModel, "embed", lambda self, texts, **how: vectors[: len(texts)])

    def number_of(*told: object) -> int:
        done = command("duplicates", tiny_encoder, *words(rows, "--json", *told))
        return sum(json.loads(line)["note"] != "same text" for line in done.out.splitlines())

    assert number_of("--threshold", "0.3") == 2
    assert number_of("--threshold", "0.3", "--min-cosine", "0.5") == 1
    assert number_of("--threshold", "0.5", "--min-cosine", "0.3") == 1
    assert number_of() == 1


def test_rows_with_all_their_neighbours_above_the_threshold_are_counted(
    command: Command, tiny_encoder: Path, rows: str
) -> None:
    done = command("duplicates", tiny_encoder, *words(rows, "--threshold", "-1", "--neighbours", "2"))
    said = "4 rows had all 2 neighbours above the threshold: more may exist; raise --neighbours"
    assert said in done.err.splitlines()
    done = command("duplicates", tiny_encoder, *words(rows, "--threshold", "-1", "--neighbours", "3"))
    assert "more may exist" not in done.err  # there are three others
    done = command("duplicates", tiny_encoder, *words(rows, "--threshold", "0.99999", "--neighbours", "1"))
    assert "2 rows had all 1 neighbour above the threshold: more may exist; raise --neighbours" in done.err


PAGE = (Path(__file__).parents[2] / "docs" / "search.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def page(command: Command, trained: Path) -> Command:
    """A folder with all that the page names."""
    Path("runs").mkdir()
    Path("runs/demo").symlink_to(trained, target_is_directory=True)
    pl.DataFrame(ROWS, schema=["id", "text"], orient="row").write_csv("questions.csv")
    Path("asked.txt").write_text("the last train\na lamp\n", encoding="utf-8")
    return command


@pytest.mark.parametrize("line", [line for line in "".join(blocks("sh")).splitlines() if line.startswith("minbert")])
def test_every_command_of_the_page_runs(page: Command, line: str) -> None:
    done = page(*shlex.split(line)[1:])
    assert done.code == 0, done.err
    assert done.out or all(Path(name).stat().st_size for name in re.findall(r"--output (\S+)", line))


def test_the_python_of_the_page_runs(page: Command, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks("python")
    exec(compile(code, "search.md", "exec"), {})
    assert len(capsys.readouterr().out.splitlines()) >= 2


def test_the_columns_and_defaults_are_those_of_the_page(page: Command, trained: Path) -> None:
    documented = set(re.findall(r"`(\w+)`", PAGE.partition("## What comes out")[2]))
    assert set(COLUMNS) | {"score"} <= documented
    for value in (
        f"(`--neighbours` ({search.NEIGHBOURS})",
        f"`--min-cosine` ({search.MIN_COSINE})",
        f"{search.LIMIT:,}",
    ):
        assert value.strip("(") in PAGE
    for kind, threshold in THRESHOLDS.items():
        assert re.search(rf"\| `{kind}`[^|]* \| {threshold} \|", PAGE)
    defaults = {name: one.default for name, one in inspect.signature(cli_search.duplicates).parameters.items()}
    assert defaults["neighbours"] == search.NEIGHBOURS
    assert inspect.signature(cli_search.similar).parameters["top"].default == search.NEIGHBOURS
    about = inspect.signature(cli_search.duplicates, eval_str=True).parameters["min_cosine"].annotation
    assert f"({search.MIN_COSINE};" in about.__metadata__[0].help
    shown = " ".join(re.sub("[│ ]+", " ", page("duplicates", "--help").out).split())
    assert "probability ({probability}), cosine without a pair task ({cosine})".format(**THRESHOLDS) in shown
    assert all(option in shown for option in ("--neighbours", "--min-cosine", "--threshold", "--label", "--task"))
