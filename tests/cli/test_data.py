"""`minbert data check` as a user and a program meet it: what is printed where, and the exit code."""

import io
import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from minbert.cli import app
from minbert.cli.data import CLASSES, data_app
from minbert.errors import DataError, RecipeError
from minbert.prepare.check import REMARKS, check
from minbert.recipes import load
from minbert.tables import write_table

Rows = list[list[str | int | float | bool | None]]
GOOD: Rows = [["a1", "a good film", "1"], ["a2", "a bad film", "0"], ["a3", "the cat sat", "1"]]


def files(folder: Path, encoder: Path, train: Rows = GOOD, task: str = "", **more: Rows) -> Path:
    """A recipe of one task beside its files."""
    lines = ['kind = "classification"', 'text = "text"', 'label = "label"', 'id = "id"', task]
    for split, rows in ({"train": train} | more).items():
        write_table(folder / f"{split}.csv", ["id", "text", "label"][: len(rows[0])], rows)
        lines.append(f'{split} = "{split}.csv"')
    recipe = folder / "mine.toml"
    recipe.write_text("\n".join([f"encoder = '{encoder}'", "[tasks.mood]", *lines]), encoding="utf-8")
    return recipe


def run(*words: str | Path, columns: int = 80, charset: str = "utf-8") -> Result:
    runner = CliRunner(env={"COLUMNS": str(columns), "NO_COLOR": "1"}, charset=charset)
    return runner.invoke(data_app, ["check", *map(str, words)])


def words_of(text: str) -> str:
    """The text however it is wrapped."""
    return " ".join(text.split())


def test_good_files_exit_0_and_say_what_was_looked_for(tmp_path: Path, tiny_encoder: Path) -> None:
    result = run("--recipe", files(tmp_path, tiny_encoder))
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    text = words_of(result.stdout)
    assert "limit 40)" in text
    assert "mood train 3 3 0" in text
    assert "Summary Looked for and not found:" in text
    assert all(what in text for what in REMARKS)
    assert result.stdout.rstrip().endswith("Train would refuse nothing.")


def test_every_bad_row_is_a_line_of_its_own_and_the_exit_code_is_2(tmp_path: Path, tiny_encoder: Path) -> None:
    bad: Rows = [[f"b{n}", "good", "seven" if n % 2 else ""] for n in range(25)]
    result = run("--recipe", files(tmp_path, tiny_encoder, [*GOOD, *bad], 'labels = ["0", "1"]'), columns=40)
    assert result.exit_code == 2
    lines = result.stdout.splitlines()
    assert lines[0] == "Train would refuse"
    for n in range(25):
        place = f"{tmp_path / 'train.csv'}, row {n + 4} (line {n + 5}, id b{n}), column 'label': "
        assert lines[n + 1].startswith(place + ("'seven' is not among" if n % 2 else "the label is blank"))
    assert result.stderr == ("error: train would refuse 25 bad rows; correct them, or pass --skip-bad-rows to train\n")


def test_a_file_that_cannot_be_read_is_named_beside_the_others(tmp_path: Path, tiny_encoder: Path) -> None:
    recipe = files(tmp_path, tiny_encoder, [*GOOD, ["a4", "", "0"]], dev=GOOD)
    (tmp_path / "dev.csv").unlink()
    result = run("--recipe", recipe)
    assert result.exit_code == 2
    assert f"mood: {tmp_path / 'dev.csv'} does not exist; correct the path or make the file" in result.stdout
    assert result.stderr == "error: train would refuse 1 bad row and 1 file; correct them\n"
    assert "mood dev refused" in words_of(result.stdout)


BAD = ["b1", "", "0"]
ONE_CLASS: Rows = [["c1", "good", "0"], ["c2", "bad", "0"]]


@pytest.mark.parametrize(
    ("train", "dev", "test", "verdict"),
    [
        ([*GOOD, BAD], GOOD, [["x", "good"]], "1 bad row; correct it, or pass --skip-bad-rows to train"),
        ([*GOOD, BAD], [*GOOD, BAD], [], "2 bad rows; correct them, or pass --skip-bad-rows to train"),
        (GOOD, None, [["x", "good"]], "1 file; correct it"),
        (GOOD, None, None, "2 files; correct them"),
        (None, None, None, "3 files; correct them"),
        (ONE_CLASS, [], [], "1 task; correct it"),
        ([*ONE_CLASS, BAD, BAD], None, [], "2 bad rows and 1 file; correct them"),
    ],
)
def test_the_last_word_counts_what_is_refused_and_is_said_once(
    tmp_path: Path, tiny_encoder: Path, train: Rows | None, dev: Rows | None, test: Rows | None, verdict: str
) -> None:
    """A file that is None cannot be read, one that is empty is not named."""
    given = {"train": train, "dev": dev, "test": test}
    recipe = files(tmp_path, tiny_encoder, **{split: rows or GOOD for split, rows in given.items() if rows != []})
    for split, rows in given.items():
        if rows is None:
            (tmp_path / f"{split}.csv").unlink()
    result = run("--recipe", recipe)
    assert result.stderr == f"error: train would refuse {verdict}\n"
    assert verdict not in words_of(result.stdout)
    assert words_of(result.stdout).startswith("Train would refuse ")


def test_where_no_file_can_be_read_there_is_nothing_to_report(tmp_path: Path, tiny_encoder: Path) -> None:
    recipe = files(tmp_path, tiny_encoder, dev=GOOD)
    for split in ("train", "dev"):
        (tmp_path / f"{split}.csv").unlink()
    assert run("--recipe", recipe, columns=400).stdout.splitlines() == [
        "Train would refuse",
        f"mood: {tmp_path / 'train.csv'} does not exist; correct the path or make the file",
        f"mood: {tmp_path / 'dev.csv'} does not exist; correct the path or make the file",
    ]


def test_words_for_a_missing_value_are_a_doubt_with_their_rows(tmp_path: Path, tiny_encoder: Path) -> None:
    train: Rows = [*GOOD, ["a4", " n/a ", "1"], ["a5", "dull", "NaN"], ["a6", "NA rows are dull", "1"]]
    dev: Rows = [["d1", text, "1"] for text in ("NA", "NaN", "null", "N/A", "#N/A", "nano", "no", "-")]
    result = run("--recipe", files(tmp_path, tiny_encoder, train, dev=dev))
    assert result.exit_code == 0
    what = "texts or labels that say NA, NaN, null, N/A or #N/A"
    lines = [words_of(line) for line in result.stdout.splitlines()]
    place = lines.index(f"mood train: {what} (2 of 2)")
    assert lines[place + 1 : place + 3] == ["4 a4 1 n/a", "5 a5 NaN dull"]
    assert f"{what}: 2 of mood train, 5 of mood dev" in words_of(result.stdout)


def test_doubts_exit_0_with_a_table_the_rows_and_a_summary(tmp_path: Path, tiny_encoder: Path) -> None:
    dev: Rows = [["d1", "A good  film", "0"], ["d2", "the cat sat", "1"]]
    train: Rows = [*GOOD, ["a3", "bad " * 60, "0"]]
    result = run("--recipe", files(tmp_path, tiny_encoder, train, dev=dev, test=[["x1", ""], ["x2", "猫 猫"]]))
    assert result.exit_code == 0
    lines = [words_of(line) for line in result.stdout.splitlines()]
    assert "mood dev train 2 1 0 1 1" in lines
    assert lines[lines.index("mood dev: rows that train holds too (2 of 2)") + 1 :][:2] == [
        "equal 2 = 3 d2 1 the cat sat",
        "folded 1 = 1 d1 0 / 1 A good film",
    ]
    assert words_of(lines[lines.index("mood train: rows longer than the limit (1 of 1)") + 1]).startswith(
        "4 a3 62 tokens 0 bad bad"
    )
    assert lines[lines.index("mood train: ids given twice (1 of 1)") + 1].startswith("4 a3 id of row 3 0 bad")
    assert lines[lines.index("mood test: rows of mostly unknown tokens (1 of 1)") + 1] == "2 x2 猫 猫"
    summary = words_of(result.stdout.split("Summary")[1])
    for remark in (
        "- rows that another split holds too: 2 of mood dev in train",
        "- rows that another split holds with another label: 1 of mood dev in train",
        "- ids given twice in a file: 1 of mood train",
        "- rows longer than the limit: 1 of mood train",
        "- blank texts in unlabelled files: 1 of mood test",
    ):
        assert remark in summary


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("charset", ["utf-8", "ascii"])
def test_the_report_keeps_to_the_width_and_letters_of_the_terminal(
    tmp_path: Path, tiny_encoder: Path, columns: int, charset: str
) -> None:
    train: Rows = [[f"{n:025x}", "good film " * (n % 90 + 1), str(n % 5)] for n in range(1, 400)]
    recipe = files(tmp_path, tiny_encoder, train, dev=train, test=[["x1", "good"]])
    result = run("--recipe", recipe, columns=columns, charset=charset)
    assert result.exit_code == 0, result.exception
    table = [line for line in result.stdout.splitlines() if "mood" in line or "equal" in line]
    assert max(map(len, result.stdout.splitlines())) <= columns
    assert any("399" in line for line in table)
    assert result.stdout.isascii() is (charset == "ascii")


def test_texts_and_labels_are_printed_as_they_are(tmp_path: Path, tiny_encoder: Path) -> None:
    """What a printing library would take for markup, an emoji's name or a colour stays text."""
    train: Rows = [
        ["1", "[bold]good[/bold] :dog: \x1b[31m", "[red]"],
        ["2", "[bold]good[/bold] :dog: \x1b[31m", ":cat:"],
    ]
    result = run("--recipe", files(tmp_path, tiny_encoder, train), columns=120)
    assert result.exit_code == 0
    assert "equal  2 = 1  2  :cat: / [red]  [bold]good[/bold] :dog: [31m" in result.stdout
    assert "\x1b" not in result.stdout


def test_of_many_classes_the_commonest_are_shown_and_the_rest_counted(tmp_path: Path, tiny_encoder: Path) -> None:
    train: Rows = [[f"{k} {n}", f"good {k} {n}", f"class-{k}"] for k in range(CLASSES + 3) for n in range(k + 1)]
    text = words_of(run("--recipe", files(tmp_path, tiny_encoder, train)).stdout)
    assert text.index(f"mood class-{CLASSES + 2} {CLASSES + 3} ") < text.index("mood class-3 4 ")
    assert "mood class-2 " not in text
    assert "mood and 3 rarer ones" in text


def test_scores_show_their_fifths_mean_and_quartiles(tmp_path: Path, tiny_encoder: Path) -> None:
    write_table(tmp_path / "s.csv", ["a", "b", "y"], [["good", "bad", x] for x in (0, 1, 2, 4, 5)])
    task = {"kind": "pair-regression", "text": ["a", "b"], "label": "y", "range": [0, 5], "train": "s.csv"}
    recipe = tmp_path / "r.toml"
    recipe.write_text(
        load({"name": "r", "encoder": str(tiny_encoder), "tasks": {"sim": task}}, data=tmp_path).to_toml()
    )
    text = words_of(run("--recipe", recipe).stdout)
    assert "sim 0 to 1 1 20% sim 1 to 2 1 20% sim 2 to 3 1 20% sim 3 to 4 0 0% sim 4 to 5 2 40%" in text
    assert "sim mean 2.4 sim quartiles 1, 2, 4" in text


def test_json_is_one_object_with_the_facts_of_the_report(tmp_path: Path, tiny_encoder: Path) -> None:
    recipe = files(tmp_path, tiny_encoder, [*GOOD, ["b", "", "0"]], dev=GOOD)
    result = run("--recipe", recipe, "--json", charset="ascii")
    assert result.exit_code == 2
    assert json.loads(result.stdout) == json.loads(json.dumps(check(load(recipe)).as_json()))
    assert result.stderr.startswith("error: train would refuse 1 bad row")


# Which files are meant


def built_in(folder: Path) -> None:
    rows: Rows = [["", "a1", "good", "4"], ["", "a2", "bad", "0"]]
    for split in ("train", "dev"):
        write_table(folder / f"ids-sst-{split}.csv", ["", "id", "sentence", "sentiment"], rows)


def test_a_folder_its_data_option_and_a_recipe_over_it_mean_the_same_files(tmp_path: Path, tiny_encoder: Path) -> None:
    built_in(tmp_path)
    recipe = tmp_path / "r.toml"
    recipe.write_text("[tasks.sst]\n[training]\nmax_length = 7\n")
    encoder = ("--encoder", tiny_encoder, "--json")
    results = [
        run(tmp_path, *encoder),
        run("--data", tmp_path, *encoder),
        run("--recipe", recipe, "--data", tmp_path, *encoder),
        run(tmp_path, "--recipe", recipe, *encoder),
    ]
    tasks = [json.loads(result.stdout)["tasks"][0] for result in results]
    assert [task["limit"] for task in tasks] == [40, 40, 7, 7]
    assert all(task["splits"] == tasks[0]["splits"] for task in tasks)
    assert tasks[0]["splits"][0]["path"] == str(tmp_path / "ids-sst-train.csv")


def test_a_folder_of_unlabelled_files_shows_no_labels_and_lacks_a_train_file(
    tmp_path: Path, tiny_encoder: Path
) -> None:
    write_table(tmp_path / "sts-test-student.csv", ["", "id", "sentence1", "sentence2"], [["", "a1", "good", ""]])
    result = run(tmp_path, "--encoder", tiny_encoder)
    assert result.exit_code == 2
    assert "Labels" not in result.stdout
    assert f"sts: {tmp_path / 'sts-train.csv'} does not exist" in result.stdout
    assert "sts test blank texts" in words_of(result.stdout).replace(":", "")
    assert result.stderr == "error: train would refuse 2 files; correct them\n"


def test_a_recipe_without_files_is_checked_on_the_starter_data(tmp_path: Path, tiny_encoder: Path) -> None:
    (tmp_path / "r.toml").write_text("[tasks.sst]\n")
    values = json.loads(run("--recipe", tmp_path / "r.toml", "--encoder", tiny_encoder, "--json").stdout)
    assert "starter" in values["tasks"][0]["splits"][0]["path"]
    assert not values["refused"]


@pytest.mark.parametrize(
    ("words", "kind", "message"),
    [
        ([], DataError, "nothing to check; name a folder of files, or pass --recipe RECIPE"),
        (["here", "--data", "there"], DataError, "here and --data there both name the data's folder; give one"),
        (["--recipe", "absent.toml"], RecipeError, "recipe absent.toml does not exist; correct the path"),
    ],
)
def test_a_command_that_names_no_files_is_an_error_of_one_sentence(
    words: list[str], kind: type[Exception], message: str
) -> None:
    result = run(*words)
    assert isinstance(result.exception, kind)
    assert str(result.exception) == message


def test_through_the_whole_command_line_on_an_ascii_terminal(
    tmp_path: Path, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ASCII cannot show is a question mark; the exit code and the last word are the same."""
    recipe = files(
        tmp_path, tiny_encoder, [*GOOD, ["c1", "café 猫", "0"], ["c1", "café 猫", "x"]], 'labels = ["0", "1"]'
    )
    streams = {name: io.TextIOWrapper(io.BytesIO(), encoding="ascii") for name in ("stdout", "stderr")}
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, stream)
    monkeypatch.setattr(sys, "argv", ["minbert", "data", "check", "--recipe", str(recipe)])
    with pytest.raises(SystemExit) as ended:
        app.main()
    written = {}
    for name, stream in streams.items():
        stream.flush()
        written[name] = stream.buffer.getvalue().decode("ascii")  # type: ignore[attr-defined]
    assert ended.value.code == 2
    assert written["stderr"] == ("error: train would refuse 1 bad row; correct it, or pass --skip-bad-rows to train\n")
    assert "'x' is not among 0" in written["stdout"]
