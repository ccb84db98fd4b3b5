"""`minbert init` as a user meets it: what is written and said, and that train runs what was proposed."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import Command
from minbert.tables import write_table

PAGE = (Path(__file__).parents[2] / "docs" / "own-tasks.md").read_text(encoding="utf-8")
WORDS = ["good", "bad", "film", "cat", "dog", "dull", "quiet"]


def text(n: int) -> str:
    return f"the {WORDS[n % 7]} {WORDS[n // 7 % 7]} was number {n}"


KINDS: dict[str, tuple[list[str], list[list[Any]]]] = {
    "classification": (["text", "mood"], [[text(n), ("up", "down")[n % 2]] for n in range(24)]),
    "pair-classification": (["one", "two", "same"], [[text(n), text(n + 50), n % 3 == 0] for n in range(24)]),
    "pair-regression": (["one", "two", "score"], [[text(n), text(n + 50), n / 5] for n in range(24)]),
    "multi-label": (["text", "tags"], [[text(n), ["a", "a,b", "", "b,c"][n % 4]] for n in range(24)]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_train_runs_what_was_proposed_as_it_is(tmp_path: Path, tiny_encoder: Path, command: Command, kind: str) -> None:
    write_table(tmp_path / "in.tsv", *KINDS[kind])
    proposed = command("init", "in.tsv")
    assert proposed.code == 0, proposed.err
    label = KINDS[kind][0][-1]
    texts = " and ".join(KINDS[kind][0][:-1])
    assert proposed.out == f"in: {kind} of {texts} by {label}; rows: 20 train, 4 dev (held back)\nrecipe in.toml\n"
    assert proposed.err.endswith("train in.toml\n")
    checked = command("data", "check", "--recipe", "in.toml", "--encoder", tiny_encoder)
    assert checked.code == 0, checked.out
    trained = command("train", "in.toml", "--set", f"encoder={tiny_encoder}", "--set", "training.epochs=1")
    assert trained.code == 0, trained.err
    assert "Scores on dev" in trained.out


def test_several_tasks_with_their_splits_train_together(tmp_path: Path, tiny_encoder: Path, command: Command) -> None:
    for name, (header, rows) in KINDS.items():
        for split, part in (("train", rows[:16]), ("dev", rows[16:])):
            write_table(tmp_path / f"{name}-{split}.parquet", header, part)
    write_table(tmp_path / "classification-test.csv", ["text"], [["what came today"], ["a film"]])
    proposed = command("init", *sorted(tmp_path.glob("*-*.*")), "--output", "all.toml")
    assert proposed.code == 0, proposed.err
    assert "classification: classification of text by mood; rows: 16 train, 8 dev, 2 test\n" in proposed.out
    trained = command("train", "all.toml", "--set", f"encoder={tiny_encoder}", "--set", "training.max_steps=2")
    assert trained.code == 0, trained.err
    assert (tmp_path / "runs" / "all" / "predictions").is_dir()


def test_held_back_is_said_of_dev_where_there_is_a_test_file(tmp_path: Path, command: Command) -> None:
    header, rows = KINDS["classification"]
    write_table(tmp_path / "mood-train.csv", header, rows)
    write_table(tmp_path / "mood-test.csv", header, [["what came today", "up"]])
    proposed = command("init", "mood-train.csv", "mood-test.csv", "--output", "r.toml")
    assert "rows: 20 train, 4 dev (held back), 1 test\n" in proposed.out


def test_bad_rows_are_said_and_train_needs_to_be_told(tmp_path: Path, tiny_encoder: Path, command: Command) -> None:
    header, rows = KINDS["classification"]
    write_table(tmp_path / "in.csv", header, [*rows, ["a film without a mood", ""]])
    proposed = command("init", "in.csv")
    assert proposed.code == 0
    assert "task 'in': 1 row cannot be used, the first: in.csv, row 25 (line 26), column 'mood'" in proposed.err
    assert proposed.err.endswith("train in.toml --skip-bad-rows   (train refuses 1 row)\n")
    words = ["train", "in.toml", "--set", f"encoder={tiny_encoder}", "--set", "training.max_steps=1"]
    assert command(*words).code == 2
    assert command(*words, "--skip-bad-rows").code == 0


def test_nothing_is_overwritten_without_force(tmp_path: Path, command: Command) -> None:
    write_table(tmp_path / "in.csv", *KINDS["classification"])
    (tmp_path / "in.toml").write_text("mine")
    refused = command("init", "in.csv")
    assert refused.code == 2
    assert refused.err == "error: in.toml exists already; --force replaces it, --output names another file\n"
    assert (tmp_path / "in.toml").read_text() == "mine"
    assert command("init", "in.csv", "--force").code == 0
    assert "[tasks.in]" in (tmp_path / "in.toml").read_text()
    assert command("init", "in.csv", "--output", "a/new/one.toml").code == 0
    assert 'train = "../../in.csv"' in (tmp_path / "a" / "new" / "one.toml").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["gone.csv"], "gone.csv does not exist; correct the path or make the file"),
        (["notes.txt"], "notes.txt: its name should end in one of .csv, .tsv, .jsonl, .ndjson, .parquet, to tell its"),
        (["one.csv"], "one.csv: no column can be a label: 'mood' has the one value 'up', and a task needs two; "
         "'text' holds the texts"),
        (["one.csv", "--output", "_base.toml"], "_base.toml: a recipe whose name starts with _ is only for others to "
         "extend; take another name"),
        (["one.csv", "--output", "notes.txt/r.toml"], "notes.txt/r.toml cannot be written: "),
        (["."], ". is a folder; name a file in it"),
    ],
)  # fmt: skip
def test_what_is_refused_leaves_nothing_behind(
    tmp_path: Path, command: Command, words: list[str], message: str
) -> None:
    write_table(tmp_path / "one.csv", ["text", "mood"], [["a good film", "up"]])
    (tmp_path / "notes.txt").write_text("text\n")
    before = sorted(tmp_path.rglob("*"))
    refused = command("init", *words)
    assert refused.code == 2
    said = refused.err.removesuffix("\n")
    assert said.startswith(f"error: {message}")
    assert len(said.splitlines()) <= 3
    assert refused.out == ""
    assert sorted(tmp_path.rglob("*")) == before


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_commands_of_the_page_run_and_its_recipe_is_the_one_proposed(
    tmp_path: Path, tiny_encoder: Path, command: Command
) -> None:
    """Each command as it stands there, with a tiny encoder in place of the built-in one."""
    (tmp_path / "tickets.csv").write_text(blocks("csv")[0], encoding="utf-8")
    tiny = {"train": ["--set", f"encoder={tiny_encoder}"], "data": ["--encoder", str(tiny_encoder)]}
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    assert len(lines) == 5
    for line in lines:
        before, _, called = line.rpartition("|")
        words = shlex.split(called, comments=True)[1:]
        stdin = shlex.split(before)[1] if before else ""
        done = command(*words, *tiny.get(words[0], []), stdin=stdin)
        assert done.code == 0, done.err
        assert done.out
    assert (tmp_path / "tickets.toml").read_text(encoding="utf-8") == blocks("toml")[0]
