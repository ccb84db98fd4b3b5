"""Long outputs of `predict` and `embed`: killed at any moment and gone on with, each row is answered once."""

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cli.conftest import Command
from minbert.cli.app import main
from minbert.inference import bulk
from minbert.model import MultitaskModel
from minbert.tables import read_table, write_table
from tiny import ENVIRONMENT

# The command line with windows of 8 rows, which is sent a signal at the n-th call of what a moment names.
PROGRAM = """
import os, sys
from functools import partial
from minbert.cli.app import main
from minbert.inference import bulk, growing
number, moment, count, *words = sys.argv[1:]
bulk.fill = partial(bulk.fill, size=8)
place, name = {
    "before a block is on the disk": (os, "fsync"),
    "when a block is there and nothing says so": (growing.Progress, "keep"),
    "when all is there": (growing.Growing, "finish"),
    "when a block is told of": (growing.Growing, "append"),
}[moment]
whole, calls = getattr(place, name), []
def struck(*arguments):
    calls.append(arguments)
    if len(calls) == int(count):
        os.kill(os.getpid(), int(number))
    return whole(*arguments)
setattr(place, name, struck)
sys.argv = ["minbert", *words]
main()
"""
LONG = [f"a good film {'and so on ' * (row % 9)}{row}" for row in range(50)]


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """A file of 50 rows, of which the one with number 20 is short of a cell."""
    lines = ["id,sentence", *(f"{row},{text}" for row, text in enumerate(LONG, start=1))]
    lines[20] = "20"
    (tmp_path / "in.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "in.csv"


def struck(folder: Path, words: list[str], number: int, moment: str, count: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, str(int(number)), moment, str(count), *words]
    return subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)


@pytest.fixture(autouse=True)
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the program above."""
    monkeypatch.setattr("minbert.inference.bulk.fill", partial(bulk.fill, size=8))


@pytest.mark.parametrize(
    ("output", "options", "moment", "count"),
    [
        ("out.csv", [], "before a block is on the disk", 6),
        ("out.jsonl", ["--format", "course"], "when a block is there and nothing says so", 4),
        ("out.csv", [], "when all is there", 1),
        ("out.parquet", [], "before a block is on the disk", 6),
        ("out.npy", ["--column", "sentence"], "when a block is there and nothing says so", 4),
    ],
)
def test_a_killed_command_ends_in_the_same_bytes(
    command: Command, texts: Path, trained: Path, output: str, options: list[str], moment: str, count: int
) -> None:
    words = ["predict", str(trained), "--task", "sst", "--skip-bad-rows", "--input", "in.csv", *options]
    if output.endswith("npy"):
        texts.write_text(texts.read_text().replace("\n20\n", "\n20,\n"))
        words = ["embed", str(trained), "--input", "in.csv", *options]
    whole = command(*words, "--output", f"whole-{output}")
    assert whole.code == 0, whole.err
    killed = struck(texts.parent, [*words, "--output", output], signal.SIGKILL, moment, count)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert Path(f"{output}.progress").exists()
    resumed = command(*words, "--output", output, "--resume")
    assert resumed.code == 0, resumed.err
    assert "going on after row" in resumed.err
    assert resumed.err.splitlines()[-1] == whole.err.splitlines()[-1].replace("whole-", "")
    assert Path(output).read_bytes() == Path(f"whole-{output}").read_bytes()
    left = {"in.csv", output, f"whole-{output}"}  # a temporary file that was under way is hidden
    assert {file.name for file in Path().iterdir() if not file.name.startswith(".")} == left


def test_a_signal_stops_it_after_a_window_and_says_how_to_go_on(command: Command, texts: Path, trained: Path) -> None:
    words = ["predict", str(trained), "--task", "sst", "--skip-bad-rows", "--input", "in.csv", "--output", "out.csv"]
    stopped = struck(texts.parent, words, signal.SIGINT, "when a block is told of", 3)
    assert stopped.returncode == 130, stopped.stderr
    *_, stopping, saved, way_on = stopped.stderr.splitlines()
    assert stopping == "stopping after these rows; once more to stop at once"
    assert saved == "interrupted: row 24 of 50 is saved; go on with"
    assert len(read_table(Path("out.csv")).rows) == 23
    assert shlex.split(way_on)[1:] == [*words, "--resume"]
    resumed = command(*shlex.split(way_on)[1:])
    assert resumed.code == 0, resumed.err
    assert [row[0] for row in read_table(Path("out.csv")).rows] == [str(n) for n in range(1, 51) if n != 20]


def test_what_to_do_with_an_output_that_is_there_is_asked(
    command: Command, texts: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["predict", str(trained), "--task", "sst", "--input", "in.csv", "--output", "out.csv", "--skip-bad-rows"]
    with monkeypatch.context() as patched:
        patched.setattr("minbert.inference.growing.Growing.finish", lambda growth: 1 / 0)
        patched.setattr(sys, "argv", ["minbert", *words])
        with pytest.raises(ZeroDivisionError):
            main()
    before = Path("out.csv").read_bytes()
    for options, said in [
        ([], "error: out.csv is not complete; --resume goes on with it, --force begins anew"),
        (["--resume", "--force"], "error: --resume goes on with an output and --force replaces it; choose one"),
        (
            ["--resume", "--quoting", "none"],
            "error: out.csv was begun with another set of options; give those again, or begin anew with --force",
        ),
    ]:
        refused = command(*words, *options)
        assert (refused.code, refused.err.splitlines()[-1]) == (2, said)
    assert Path("out.csv").read_bytes() == before
    assert command(*words, "--force").code == 0
    assert len(read_table(Path("out.csv")).rows) == 49
    refused = command(*words, "--resume")
    assert refused.code == 2
    assert "out.csv is complete, so there is nothing to resume; --force replaces it" in refused.err
    anew = command(*words[:-2], "new.csv", "--skip-bad-rows", "--resume")
    assert anew.code == 0
    assert "there is nothing to resume of new.csv; it begins" in anew.err
    assert Path("new.csv").read_bytes() == Path("out.csv").read_bytes()
    refused = command("predict", trained, "--task", "sst", "--input", "in.csv", "--resume")
    assert (refused.code, refused.err) == (2, "error: --resume goes on with a file of answers; name it with --output\n")


def test_a_bad_row_at_the_end_leaves_what_was_there(command: Command, trained: Path) -> None:
    Path("in.csv").write_text("sentence,n\n" + "good,1\n" * 5000 + "bad\n")
    Path("out.csv").write_text("dear to me")
    predict = ["predict", trained, "--task", "sst", "--input", "in.csv", "--output"]
    for words in ([*predict, "out.csv", "--force"], [*predict, "new.csv"], predict[:-1]):
        refused = command(*words)
        assert (refused.code, refused.out) == (2, "")
        assert refused.err.startswith("error: in.csv, row 5001 (line 5002): 1 cell where the header has 2")
    assert sorted(file.name for file in Path().iterdir()) == ["in.csv", "out.csv"]
    assert Path("out.csv").read_text() == "dear to me"


def test_skipped_rows_beyond_a_thousand_are_counted(command: Command, trained: Path) -> None:
    Path("in.csv").write_text("sentence,n\ngood,1\n" + "bad\n" * 1500)
    words = ["predict", trained, "--task", "sst", "--input", "in.csv", "--output", "out.csv", "--skip-bad-rows"]
    lines = command(*words).err.splitlines()
    assert lines[0] == "in.csv: skipped 1500 of 1,501 rows:"
    assert lines[-2:] == ["  and 500 more", "1 answer in out.csv; texts are cut at 40 tokens"]
    assert len(lines) == 1003


def test_a_pipe_can_be_read_once_and_is(command: Command, trained: Path) -> None:
    os.mkfifo("in.csv")
    writer = threading.Thread(target=Path("in.csv").write_text, args=("sentence\ngood\nbad\n",))
    writer.start()
    done = command("predict", trained, "--task", "sst", "--input", "in.csv", "--output", "out.csv")
    writer.join()
    assert done.code == 0, done.err
    assert pl.read_csv("out.csv")["sentence"].to_list() == ["good", "bad"]


@pytest.mark.parametrize("name", ["in.txt", "in.parquet"])
def test_vectors_of_many_windows_are_those_of_the_model(command: Command, trained: Path, name: str) -> None:
    texts = LONG[:20]
    if name == "in.txt":
        Path(name).write_text("\n".join(texts) + "\n")
    else:
        write_table(Path(name), ["text"], [[text] for text in texts])
    done = command("embed", trained, "--input", name, "--output", "v.npy")
    assert done.code == 0, done.err
    expected = MultitaskModel.from_pretrained(trained).embed(texts)
    np.testing.assert_allclose(np.load("v.npy"), expected, atol=1e-5)


def test_progress_is_told_in_lines_where_there_is_no_terminal(
    command: Command, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minbert.cli.show.RowsDisplay.SECONDS_BETWEEN_LINES", -1.0)
    Path("in.csv").write_text("sentence\n" + "good\n" * 10)
    done = command("predict", trained, "--task", "sst", "--input", "in.csv", "--output", "out.csv")
    first, second, _ = done.err.splitlines()
    assert first.startswith("row 8/10  ")
    assert second.startswith("row 10/10  ")
    assert second.endswith(" rows/s  0 min 00 s left")


def test_the_commands_of_the_page_on_long_files_work(
    command: Command, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "bulk.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    lines = [line.replace("runs/tickets", str(trained)).replace("mood", "sst") for line in block.splitlines()]
    Path("new.csv").write_text("sentence,text\n" + "good,good\n" * 20)
    answer, go_on, embed = (shlex.split(line, comments=True)[1:] for line in lines)
    with monkeypatch.context() as patched:
        patched.setattr("minbert.inference.growing.Growing.finish", lambda growth: 1 / 0)
        patched.setattr(sys, "argv", ["minbert", *answer])
        with pytest.raises(ZeroDivisionError):
            main()
    assert command(*answer).code == 2
    for words in (go_on, embed):
        done = command(*words)
        assert done.code == 0, done.err
    assert len(read_table(Path("answers.csv")).rows) == len(np.load("vectors.npy")) == 20
