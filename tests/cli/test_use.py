"""`predict`, `embed`, and every user's mistake as one message and exit code 2."""

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from filelock import FileLock

import minbert
from cli.conftest import Command


def test_a_line_in_is_an_answer_out(command: Command, trained: Path) -> None:
    done = command("predict", trained, "--task", "sst", stdin="A great film\n\nMeh.\n")
    answers = [line.split("\t") for line in done.out.splitlines()]
    assert answers[1] == [answers[1][0], answers[1][1], "", "[empty]"]
    model = minbert.MultitaskModel.from_pretrained(trained)
    expected = model.predict("sst", ["A great film", "", "Meh."])
    assert [cells[0] for cells in answers] == [prediction.answer for prediction in expected]
    assert [cells[2] for cells in answers] == ["A great film", "", "Meh."]


def test_pairs_are_two_texts_with_a_tab(command: Command, trained: Path) -> None:
    done = command("predict", trained, "--task", "sts", "--json", stdin="a cat\ta dog\nsame\tsame\n")
    answers = [json.loads(line) for line in done.out.splitlines()]
    assert [answer["input"] for answer in answers] == [["a cat", "a dog"], ["same", "same"]]
    assert answers[1]["answer"] == pytest.approx(5, abs=1e-5)
    refused = command("predict", trained, "--task", "sts", stdin="a cat\ta dog\nonly one\n")
    assert refused.code == 2
    assert "standard input, line 2: task 'sts' takes two texts with one tab between them" in refused.err


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_a_file_of_answers_keeps_the_columns_of_the_input(command: Command, trained: Path, suffix: str) -> None:
    frame = pl.DataFrame(
        {"who": ["Ann", "Ben", "Cay"], "sentence": ["Fine, really", 'He said "no"', " "], "n": [1, 2, 3]}
    )
    source, target = Path(f"in{suffix}"), Path(f"out{suffix}")
    write = {".csv": frame.write_csv, ".tsv": lambda p: frame.write_csv(p, separator="\t")}
    write |= {".jsonl": frame.write_ndjson, ".parquet": frame.write_parquet}
    write[suffix](source)
    done = command("predict", trained, "--task", "sst", "--input", source, "--output", target)
    assert done.code == 0, done.err
    read = {".csv": pl.read_csv, ".tsv": lambda p: pl.read_csv(p, separator="\t")}
    read |= {".jsonl": pl.read_ndjson, ".parquet": pl.read_parquet}
    answers = read[suffix](target)
    assert answers.columns == ["who", "sentence", "n", "prediction", *(f"probability_{k}" for k in range(5)), "note"]
    assert answers["who"].to_list() == ["Ann", "Ben", "Cay"]
    assert answers["sentence"].to_list() == frame["sentence"].to_list()
    assert answers["note"].fill_null("").to_list() == ["", "", "empty"]
    model = minbert.MultitaskModel.from_pretrained(trained)
    expected = [prediction.answer for prediction in model.predict("sst", frame["sentence"].to_list())]
    assert [str(answer) for answer in answers["prediction"]] == expected


def test_embed_writes_what_the_model_embeds(command: Command, trained: Path) -> None:
    Path("texts.txt").write_text("a good film\nthe cat sat on a very quiet dog\n", encoding="utf-8")
    done = command("embed", trained, "--input", "texts.txt", "--output", "v.npy", "--normalize")
    assert done.code == 0, done.err
    assert "2 vectors of 16 numbers in v.npy; texts are cut at 40 tokens" in " ".join(done.err.split())
    model = minbert.MultitaskModel.from_pretrained(trained)
    vectors = np.load("v.npy")
    assert vectors.dtype == np.float32
    texts = Path("texts.txt").read_text().splitlines()
    np.testing.assert_array_equal(vectors, model.embed(texts, normalize=True))
    assert command("embed", trained, "--input", "texts.txt", "--output", "v.npy").code == 2
    assert (
        "v.npy exists already; --force replaces it"
        in command("embed", trained, "--input", "texts.txt", "--output", "v.npy").err
    )


def write(name: str, content: str | bytes) -> str:
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return name


RECIPE = '[tasks.mood]\nkind = "classification"\ntrain = "{}"\n'
MISTAKES: dict[str, tuple[Callable[[], list[str]], str]] = {
    "missing recipe": (lambda: ["train", "no.toml"], "recipe no.toml does not exist"),
    "missing file": (lambda: ["train", write("r.toml", RECIPE.format("no.csv"))], "no.csv does not exist"),
    "wrong column": (
        lambda: ["train", write("r.toml", RECIPE.format(write("a.csv", "txt,label\nx,1\ny,2\n")))],
        "there is no column 'text' (did you mean 'txt'?)",
    ),
    "semicolons": (
        lambda: ["train", write("r.toml", RECIPE.format(write("a.tsv", "text;label\nx;1\ny;2\n")))],
        "a.tsv is separated by semicolons; save it with commas or tabs",
    ),
    "wrong label": (
        lambda: [
            "train",
            write("r.toml", RECIPE.format(write("a.csv", "text,label\nx,1\ny,7\n")) + 'labels = ["0", "1"]'),
        ],
        "a.csv, row 2 (line 3), column 'label': '7' is not among 0, 1",
    ),
    "empty file": (lambda: ["train", write("r.toml", RECIPE.format(write("a.csv", "")))], "a.csv is empty"),
    "wrong encoding": (
        lambda: ["train", write("r.toml", RECIPE.format(write("a.csv", "text,label\nx,1\ncafé,2\n".encode("cp1252"))))],
        "a.csv, line 3: byte 0xe9 is not UTF-8",
    ),
    "short row": (
        lambda: ["train", write("r.toml", RECIPE.format(write("a.csv", "text,label\nx,1\ny\n")))],
        "a.csv, row 2 (line 3): 1 cell where the header has 2",
    ),
    "unknown key": (
        lambda: ["train", write("r.toml", "[tasks.sst]\n[optimizer]\nlerning_rate = 1\n")],
        "unknown key 'lerning_rate' in [optimizer]",
    ),
    "missing model": (lambda: ["predict", "runs/none", "--task", "sst"], "runs/none does not exist"),
    "missing encoder": (
        lambda: ["train", write("r.toml", 'encoder = "./none"\n[tasks.sst]\n')],
        "none' is no folder; write minilm, a folder, or a hub id",
    ),
    "both resume and force": (
        lambda: ["train", write("r.toml", "[tasks.sst]\n"), "--resume", "--force"],
        "--resume goes on with a run and --force replaces it; choose one",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_message_and_nothing_is_left_behind(command: Command, tmp_path: Path, mistake: str) -> None:
    words, message = MISTAKES[mistake]
    done = command(*words())
    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err
    assert len(done.err.strip().splitlines()) <= 3
    assert done.out == ""
    assert not (tmp_path / "runs").exists()


def test_mistakes_with_a_model_at_hand(command: Command, trained: Path) -> None:
    write("in.csv", "sentence,prediction,answer_prediction\nhello,1,2\n")
    for words, message in [
        (["predict", trained], "this model has 3 tasks; choose one: --task sst, --task para, --task sts"),
        (["predict", trained, "--task", "sts1"], "has no task 'sts1' (did you mean 'sts'?)"),
        (
            ["predict", trained, "--task", "sst", "--input", "in.csv", "--output", "o.csv"],
            "has a column 'answer_prediction' already",
        ),
        (
            ["predict", trained, "--task", "para", "--input", "in.csv", "--output", "o.csv"],
            "there is no column 'sentence1'",
        ),
        (["predict", trained, "--task", "sst", "--input", "in.csv", "--output", "o.xls"], "should end in one of .csv"),
        (["predict", trained, "--task", "sst", "--input", "in.csv", "--format", "course"], "name it with --output"),
        (["evaluate", trained, "--data", "nowhere"], "ids-sst-dev.csv does not exist"),
        (
            ["embed", trained, "--input", "in.csv", "--output", "o.npy"],
            "choose one of sentence, prediction, answer_prediction with --column",
        ),
        (["embed", trained, "--input", "in.csv", "--output", "o.txt"], "name the file so"),
    ]:
        done = command(*words)
        assert done.code == 2, words
        assert message in done.err
        assert not [file for file in Path().iterdir() if file.name.startswith("o.")]


HELP = """
import sys
from minbert.cli.app import main
sys.argv = ["minbert", *sys.argv[1:], "--help"]
try:
    main()
finally:
    heavy = {"torch", "polars", "scipy", "transformers"} & set(sys.modules)
    print("loaded:", *heavy, file=sys.stderr)
"""


@pytest.mark.parametrize("words", [[], ["train"], ["demo"], ["evaluate"], ["predict"], ["embed"], ["data", "check"]])
def test_help_reads_well_and_loads_nothing_heavy(words: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", HELP, *words], capture_output=True, text=True, check=True)
    assert "Usage: minbert" in done.stdout
    assert "Show this message and exit" in done.stdout
    assert done.stderr == "loaded:\n"


def test_standard_input_of_another_encoding_is_refused_by_row(
    command: Command, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stdin = io.TextIOWrapper(io.BytesIO("fine\ncafé\n".encode("cp1252")), encoding="ascii")
    monkeypatch.setattr("io.StringIO", lambda text: stdin)
    refused = command("predict", trained, "--task", "sst")
    assert refused.code == 2
    assert "standard input, line 2: byte 0xe9 is not UTF-8" in refused.err


def test_a_reader_that_has_seen_enough_ends_a_command_in_peace(trained: Path) -> None:
    script = f"yes fine | head -2000 | {sys.executable} -m minbert.cli.app predict {trained} --task sst | head -1"
    done = subprocess.run(
        ["bash", "-c", f"{script}; echo ${{PIPESTATUS[2]}}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "0"
    assert done.stderr == ""


def test_places_that_cannot_be_written_are_refused_at_once(command: Command, trained: Path) -> None:
    write("in.csv", "sentence\nhello\n")
    write("file", "x")
    Path("folder").mkdir()
    for words, message in [
        (
            ["predict", trained, "--task", "sst", "--input", "in.csv", "--output", "file/x.csv"],
            "is a file, not a folder",
        ),
        (
            ["predict", trained, "--task", "sst", "--input", "in.csv", "--output", "folder"],
            "folder is a folder; name a",
        ),
        (["train", write("r.toml", "[tasks.sst]\n"), "--runs", "file"], "is a file, not a folder"),
    ]:
        done = command(*words)
        assert done.code == 2, done.err
        assert message in done.err


def test_a_folder_in_use_is_refused_on_the_command_line(command: Command, trained: Path) -> None:
    recipe = write("tiny.toml", (trained / "recipe.toml").read_text())
    with FileLock(trained / ".lock"):
        done = command("train", recipe, "--runs", trained.parent, "--force")
    assert done.code == 2
    assert "is in use by another process" in done.err
    assert (trained / "metrics.jsonl").is_file()


def test_control_codes_of_a_text_stay_out_of_the_terminal(command: Command, trained: Path) -> None:
    done = command("predict", trained, "--task", "sst", stdin="red \x1b[31m alert\n")
    assert "\x1b" not in done.out


@pytest.mark.parametrize("how", [{"encoding": "cp1252"}, {"quoting": "none"}])
def test_a_model_reads_files_as_its_task_said(command: Command, tiny_encoder: Path, how: dict[str, str]) -> None:
    rows = ['café "ole,0', "dull,1", "good,0", "bad,1"]
    Path("a.csv").write_text("text,label\n" + "\n".join(rows) + "\n", encoding=how.get("encoding", "utf-8"))
    task = {"kind": "classification", "train": "a.csv", "dev": "a.csv"} | how
    if "encoding" in how:
        Path("a.csv").write_text(Path("a.csv").read_text("cp1252").replace('"', ""), encoding="cp1252")
    run = minbert.train({"name": "r", "encoder": str(tiny_encoder), "tasks": {"t": task}, "training": {"max_steps": 1}})
    assert command("evaluate", run.folder).code == 0
    done = command("predict", run.folder, "--input", "a.csv", "--output", "out.csv")
    assert done.code == 0, done.err
    assert pl.read_csv("out.csv").height == 4


# A file that is not like those trained on


MISREAD: dict[str, tuple[str, bytes, str]] = {
    "another column": (
        "f.csv",
        b"review,stars\nfine,1\n",
        "there is no column 'sentence'; its columns are 'review', 'stars': correct the header, or name the column with "
        "--column",
    ),
    "another encoding": (
        "f.csv",
        "sentence\ncafé\n".encode("cp1252"),
        "line 2: byte 0xe9 is not UTF-8; save the file as UTF-8, or pass --encoding cp1252 if it was saved so",
    ),
    "UTF-16": (
        "f.csv",
        "sentence\nfine\n".encode("utf-16-be"),
        "looks like UTF-16 without a byte order mark; save it as UTF-8, or pass --encoding utf-16-be",
    ),
    "plain quotes between commas": (
        "f.csv",
        b'sentence\n"good\n',
        "double a quote inside a quoted cell, or pass --quoting none if quotes are plain characters in this file",
    ),
    "quoted tabs": (
        "f.tsv",
        b'sentence\tn\n"a\tb"\t1\n',
        "3 cells where the header has 2; add or join cells, or pass --quoting csv if quotes wrap cells",
    ),
}


@pytest.mark.parametrize(("name", "content", "message"), MISREAD.values(), ids=MISREAD)
def test_what_the_options_can_say_is_what_the_message_offers(
    command: Command, trained: Path, name: str, content: bytes, message: str
) -> None:
    """Who calls predict or embed has no recipe to set a key in."""
    write(name, content)
    for words in (
        ["predict", trained, "--task", "sst", "--input", name],
        ["embed", trained, "--input", name, "--output", "v.npy", "--column", "sentence"],
    ):
        done = command(*words)
        assert done.code == 2
        assert message in done.err
        assert "recipe" not in done.err
        assert "in the task" not in done.err
        assert words[0] == "predict" or "--skip-bad-rows" not in done.err


READ: dict[str, tuple[str, bytes, list[str]]] = {
    "another column": ("f.csv", b'n,review\n1,"good, good"\n2,bad\n', ["--column", "review"]),
    "another encoding": ("f.csv", 'sentence\n"good, good"\nbad\n'.encode("utf-16-be"), ["--encoding", "utf-16-be"]),
    "plain quotes between commas": ("f.csv", b"sentence,n\ngood  good,1\nbad,2\n", ["--quoting", "none"]),
    "quotes between tabs": ("f.tsv", b'n\tsentence\n1\t"good\tgood"\n2\tbad\n', ["--quoting", "csv"]),
}


@pytest.mark.parametrize(("name", "content", "options"), READ.values(), ids=READ)
def test_options_say_how_a_file_is_to_be_read(
    command: Command, trained: Path, name: str, content: bytes, options: list[str]
) -> None:
    write(name, content)
    done = command("predict", trained, "--task", "sst", "--input", name, "--json", *options)
    assert done.code == 0, done.err
    answers = [json.loads(line) for line in done.out.splitlines()]
    model = minbert.MultitaskModel.from_pretrained(trained)
    expected = model.predict("sst", [answer["input"] for answer in answers])
    assert [answer["input"].split()[0].strip(",") for answer in answers] == ["good", "bad"]
    assert [answer["answer"] for answer in answers] == [prediction.answer for prediction in expected]
    column = [] if "--column" in options else ["--column", "sentence"]
    embedded = command("embed", trained, "--input", name, "--output", "v.npy", *options, *column)
    assert embedded.code == 0, embedded.err
    np.testing.assert_array_equal(np.load("v.npy"), model.embed([answer["input"] for answer in answers]))


def test_a_text_that_is_not_there_is_refused_and_one_that_is_null_is_empty(command: Command, trained: Path) -> None:
    write("in.jsonl", '{"sentence": "good"}\n{"sentence": null}\n{"txt": "bad"}\n{"sentence": ""}\n')
    predict = ["predict", trained, "--task", "sst", "--input", "in.jsonl", "--output", "out.csv"]
    refused = command(*predict)
    assert refused.code == 2
    assert refused.err.splitlines() == [
        "error: in.jsonl, row 3, column 'sentence': the line does not have it; write it there",
        "correct the file, or pass --skip-bad-rows to leave such rows out",
    ]
    done = command(*predict, "--skip-bad-rows")
    assert done.code == 0
    assert pl.read_csv("out.csv")["note"].to_list() == [None, "empty", "empty"]


def test_texts_of_several_lines_are_no_matter_for_a_warning(command: Command, trained: Path) -> None:
    write("in.csv", 'sentence\n"good\nfilm"\n')
    done = command("predict", trained, "--task", "sst", "--input", "in.csv", "--output", "out.csv")
    assert (done.code, done.err) == (0, "1 answer in out.csv; texts are cut at 40 tokens\n")


@pytest.mark.parametrize("layout", [[], ["--format", "course"]])
def test_blank_and_cut_texts_are_counted(command: Command, trained: Path, layout: list[str]) -> None:
    long = "good " * 40
    write("in.csv", f"id,sentence\n1,fine\n2,\n3,{long}\n4,\n5,{long}\n6,\n")
    predict = ["predict", trained, "--task", "sst", "--input", "in.csv", "--output", "out.csv", *layout]
    assert command(*predict).err == "6 answers in out.csv, 3 empty, 2 truncated; texts are cut at 40 tokens\n"
    write("in.csv", "id,sentence\n1,fine\n")
    assert command(*predict, "--force").err == "1 answer in out.csv; texts are cut at 40 tokens\n"


@pytest.mark.parametrize(
    ("content", "ids"),
    [("id,text\nx7,good\nx3,bad\n", ["x7", "x3"]), ("text\ngood\nbad\n", ["1", "2"])],
)
def test_the_course_file_has_the_ids_of_its_input(
    command: Command, tiny_encoder: Path, content: str, ids: list[str]
) -> None:
    """Also where the task was trained without an id column."""
    write("a.csv", "text,label\ngood,0\nbad,1\n")
    task = {"kind": "classification", "train": "a.csv"}
    run = minbert.train({"name": "r", "encoder": str(tiny_encoder), "tasks": {"t": task}, "training": {"max_steps": 1}})
    write("new.csv", content)
    done = command("predict", run.folder, "--input", "new.csv", "--format", "course", "--output", "out.csv")
    assert done.code == 0, done.err
    assert [line.split(" , ")[0] for line in Path("out.csv").read_text().splitlines()[1:]] == ids


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_the_input_is_never_the_output(command: Command, trained: Path, force: list[str]) -> None:
    content = "sentence\nfine\n"
    write("in.csv", content)
    Path("folder").mkdir()
    Path("link.csv").symlink_to("in.csv")
    for output in ("in.csv", "folder/../in.csv", "link.csv"):
        done = command("predict", trained, "--task", "sst", "--input", "in.csv", "--output", output, *force)
        assert done.code == 2
        assert f"{output} is the input itself; name another --output" in done.err
    assert Path("in.csv").read_text() == content
    assert Path("link.csv").is_symlink()


def test_the_columns_of_a_pair_are_named_in_their_order(command: Command, trained: Path) -> None:
    write("f.csv", "left,right\na cat,a dog\n")
    predict = ["predict", trained, "--task", "para", "--input", "f.csv", "--json"]
    for columns, pair in ((["left", "right"], ["a cat", "a dog"]), (["right", "left"], ["a dog", "a cat"])):
        done = command(*predict, *(word for column in columns for word in ("--column", column)))
        assert json.loads(done.out)["input"] == pair
    refused = command(*predict, "--column", "left")
    assert refused.code == 2
    assert "task 'para' takes 2 texts a row; give --column twice, for the first and for the second text" in refused.err
    refused = command("predict", trained, "--task", "sst", "--input", "f.csv", "--column", "left", "--column", "right")
    assert "task 'sst' takes 1 text a row; give --column once" in refused.err


@pytest.mark.parametrize("option", [["--column", "x"], ["--encoding", "cp1252"], ["--quoting", "csv"]])
def test_options_on_a_file_need_one(command: Command, trained: Path, option: list[str]) -> None:
    done = command("predict", trained, "--task", "sst", *option, stdin="fine\n")
    assert (done.code, done.out) == (2, "")
    assert "--column, --encoding and --quoting go with --input FILE; lines of standard input" in done.err


def test_a_model_trained_on_another_encoding_reads_a_file_of_utf8_as_such(command: Command, tiny_encoder: Path) -> None:
    write("a.csv", "text,label\ncafé,0\ndull,1\n".encode("cp1252"))
    write("new.csv", "text\ncafé\n")
    write("old.csv", "text\ncafé\n".encode("cp1252"))
    task = {"kind": "classification", "train": "a.csv", "encoding": "cp1252"}
    run = minbert.train({"name": "r", "encoder": str(tiny_encoder), "tasks": {"t": task}, "training": {"max_steps": 1}})
    for file in ("new.csv", "old.csv"):
        done = command("predict", run.folder, "--input", file)
        assert (done.code, done.err) == (0, "")
        assert "café" in done.out
    told = command("predict", run.folder, "--input", "new.csv", "--encoding", "cp1252")
    assert told.code == 0
    assert " ".join(told.err.split()) == (
        "warning: new.csv: it also reads as UTF-8, with other letters: 'café' where encoding 'cp1252' gives 'cafÃ©'; "
        "pass --encoding utf-8 if that is right"
    )


def test_an_answers_column_makes_way_for_one_of_the_inputs(command: Command, trained: Path) -> None:
    write("in.csv", "sentence,prediction,note\nhello,1,mine\n")
    done = command("predict", trained, "--task", "sst", "--input", "in.csv", "--output", "o.csv")
    assert done.code == 0, done.err
    header, row = Path("o.csv").read_text(encoding="utf-8").splitlines()
    assert header.startswith("sentence,prediction,note,answer_prediction,probability_0")
    assert header.endswith(",answer_note")
    assert row.startswith("hello,1,mine,")
