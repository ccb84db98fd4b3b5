"""`minbert export` and `predict --backend onnx` as a user calls them: what is written, said and refused."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

import minbert
from minbert.inference import onnx_model
from minbert.model import MultitaskModel

from .conftest import Command

PAGE = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
TEXT = "A good film, and not dull."


def test_vectors_of_the_export_are_those_of_embed(command: Command, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text(f"{TEXT}\nThe cat sat\n")
    told = ("--pooling", "cls", "--normalize")
    done = command("export", trained, "--format", "sentence-transformers", "--output", "out", *told)
    assert (done.code, done.out) == (0, "")
    assert done.err == "out: cls pooling, length 1; texts are cut at 40 tokens\n"
    assert command("embed", trained, "--input", "in.txt", "--output", "v.npy", *told).code == 0
    vectors = SentenceTransformer("out", device="cpu").encode([TEXT, "The cat sat"])
    np.testing.assert_allclose(vectors, np.load("v.npy"), atol=1e-5)


def test_without_options_it_is_the_mean_as_in_embed(command: Command, trained: Path) -> None:
    done = command("export", trained, "--format", "sentence-transformers", "--output", "out")
    assert done.err == "out: mean pooling, any length; texts are cut at 40 tokens\n"
    vectors = SentenceTransformer("out", device="cpu").encode([TEXT])
    np.testing.assert_allclose(vectors, MultitaskModel.from_pretrained(trained).embed([TEXT]), atol=1e-5)


def test_predict_answers_by_onnx_as_it_does_by_torch(command: Command, trained: Path, tmp_path: Path) -> None:
    done = command("export", trained, "--format", "onnx", "--output", "graphs")
    assert (done.code, done.out) == (0, "")
    assert done.err == "graphs: a graph for each of sst, para, sts, and example.py\n"
    (tmp_path / "in.csv").write_text(f'sentence\n"{TEXT}"\ndull\n')
    ours = command("predict", trained, "--task", "sst", "--input", "in.csv", "--json")
    theirs = command("predict", "graphs", "--backend", "onnx", "--task", "sst", "--input", "in.csv", "--json")
    assert (ours.code, theirs.code) == (0, 0)
    for one, other in zip(ours.out.splitlines(), theirs.out.splitlines(), strict=True):
        assert json.loads(other)["answer"] == json.loads(one)["answer"]
        assert json.loads(other)["probabilities"] == pytest.approx(json.loads(one)["probabilities"], abs=1e-4)
    lines = [
        command("predict", *model, "--task", "sts", stdin="a cat\ta dog\n").out
        for model in ([trained], ["graphs", "--backend", "onnx"])
    ]
    assert lines[0] == lines[1] != ""


def test_int8_prints_how_it_agrees_on_dev(command: Command, trained: Path) -> None:
    done = command("export", trained, "--format", "onnx-int8", "--output", "small")
    assert done.code == 0, done.err
    lines = [line.split() for line in done.out.splitlines()]
    assert lines[0] == ["int8", "beside", "fp32", "on", "dev"]
    rows = {words[0]: words[1:] for words in lines if words and words[0] in ("sst", "para", "sts")}
    small, model = (
        kind.from_pretrained(path) for kind, path in ((onnx_model.OnnxModel, "small"), (MultitaskModel, trained))
    )
    assert {name: row[1:-2] for name, row in rows.items()} == {
        "sst": ["labels", "equal"],
        "para": ["labels", "equal"],
        "sts": ["r"],
    }
    assert small.predict("sst", [TEXT])[0].probabilities == pytest.approx(
        model.predict("sst", [TEXT])[0].probabilities, abs=0.1
    )
    assert all(float(row[-2]) >= float(row[-1]) for row in rows.values())


def test_int8_keeps_no_calibration_and_its_card_says_what_the_scores_are_of(
    command: Command, trained: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(trained, tmp_path / "run")
    assert command("calibrate", run).code == 0
    for kind, place in (("onnx", "graphs"), ("onnx-int8", "small")):
        done = command("export", run, "--format", kind, "--output", place)
        assert done.code == 0, done.err
        stored = json.loads((tmp_path / place / "tasks.json").read_text())
        assert ["calibration" in task for task in stored.values()] == [kind == "onnx"] * 3
    graphs, small = ((tmp_path / place / "README.md").read_text() for place in ("graphs", "small"))
    assert "## Calibration by" in graphs
    assert "## Calibration by" not in small
    assert "Scores below are of the model in fp32; in int8 some answers differ." in small
    table = small.partition("## int8 beside fp32 on dev")[2].partition("# A minbert model")[0]
    printed = [line.split() for line in done.out.splitlines() if line.strip().startswith(("sst", "para", "sts"))]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines() if row.startswith("|")]
    assert [" ".join(row).split() for row in cells[2:]] == printed
    plain = MultitaskModel.from_pretrained(trained).predict("sst", [TEXT])[0]
    answer = onnx_model.OnnxModel.from_pretrained("small").predict("sst", [TEXT])[0]
    assert answer.probabilities == pytest.approx(plain.probabilities, abs=0.02)
    words = ("--backend", "onnx", "--task", "sst", "--abstain", "0.2")
    assert command("predict", "graphs", *words, stdin="a\n").code == 0
    done = command("predict", "small", *words, stdin="a\n")
    said = "run `minbert calibrate` on the model, then export it with --format onnx; int8 keeps no calibration"
    assert (done.code, done.err) == (2, f"error: task 'sst' is not calibrated; {said}\n")


def test_int8_that_answers_otherwise_is_not_written(
    command: Command, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_model, "LEAST_R", 1.01)
    done = command("export", trained, "--format", "onnx-int8", "--output", "small")
    assert (done.code, Path("small").exists()) == (2, False)
    assert "sts" in done.out
    assert done.err.startswith("error: int8 is not written: task 'sts' has r ")
    assert done.err.endswith(", below 1.01; take --format onnx\n")


def test_int8_needs_dev_rows(command: Command, trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "best", tmp_path / "model")
    done = command("export", "model", "--format", "onnx-int8", "--output", "small")
    assert (done.code, Path("small").exists()) == (2, False)
    says = "model has no recipe that says where task 'sst' has its; give --data DIR"
    assert done.err == f"error: int8 is compared on dev, and {says}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("onnx", "--pooling", "mean"),
            "--pooling and --normalize are for sentence-transformers; each task of an ONNX",
        ),
        (("onnx-int8", "--normalize"), "--pooling and --normalize are for sentence-transformers; each task of an ONNX"),
        (("onnx", "--data", "x"), "--data and --skip-bad-rows go with --format onnx-int8, which is compared on dev"),
        (("sentence-transformers", "--skip-bad-rows"), "--data and --skip-bad-rows go with --format onnx-int8, which"),
    ],
)
def test_an_option_without_effect_is_refused(
    words: tuple[str, ...], message: str, command: Command, trained: Path
) -> None:
    done = command("export", trained, "--output", "out", "--format", *words)
    assert (done.code, Path("out").exists()) == (2, False)
    assert done.err.startswith(f"error: {message}")


def test_nothing_but_an_export_is_replaced_and_that_when_told(command: Command, trained: Path, tmp_path: Path) -> None:
    words = ("export", trained, "--format", "sentence-transformers", "--output")
    (tmp_path / "empty").mkdir()
    assert command(*words, "empty").code == 0
    done = command(*words, "empty")
    assert (done.code, done.err) == (2, "error: empty exists already; --force replaces it\n")
    assert command("export", trained, "--format", "onnx", "--output", "empty", "--force").code == 0
    assert not (tmp_path / "empty" / "modules.json").exists()
    shutil.copytree(trained / "best", tmp_path / "mine")
    (tmp_path / "file").write_text("mine")
    for place in ("mine", "file"):
        done = command(*words, place, "--force")
        assert (done.code, done.err) == (
            2,
            f"error: {place} exists and is no export of minbert's; name another --output\n",
        )
    assert (tmp_path / "mine" / "heads.safetensors").is_file()
    assert command(*words, "file/below").err.startswith("error: file/below cannot be written: ")


def test_a_folder_of_another_tool_is_left_alone(command: Command, trained: Path, tmp_path: Path) -> None:
    """As SentenceTransformer.save, and a program that has graphs and tasks of its own, leave them."""
    theirs = {"vectors": "modules.json", "graphs": "tasks.json"}
    for place, file in theirs.items():
        (tmp_path / place).mkdir()
        (tmp_path / place / file).write_text("{}")
    (tmp_path / "vectors" / "config_sentence_transformers.json").write_text('{"similarity_fn_name": "cosine"}')
    (tmp_path / "graphs" / "net.onnx").write_text("")
    for place, file in theirs.items():
        done = command("export", trained, "--format", "sentence-transformers", "--output", place, "--force")
        assert (done.code, (tmp_path / place / file).read_text()) == (2, "{}")
        assert done.err == f"error: {place} exists and is no export of minbert's; name another --output\n"


def test_a_model_is_not_written_over_itself(command: Command, trained: Path, tmp_path: Path) -> None:
    command("export", trained, "--format", "sentence-transformers", "--output", "v/one")
    words = ("export", "v/one", "--format", "sentence-transformers", "--force", "--output")
    for place in ("v/one", "v/one/two", "v"):
        done = command(*words, place)
        said = f"--output {place} is the model's own folder, inside it or around it; name another --output"
        assert (done.code, done.err) == (2, f"error: {said}\n")
    assert sorted(path.name for path in (tmp_path / "v").iterdir()) == ["one"]
    assert command(*words, "v/other").code == 0
    assert command(*words, "v/other").code == 0  # an export of ours is replaced


def test_a_folder_of_graphs_says_how_it_is_opened(command: Command, trained: Path) -> None:
    command("export", trained, "--format", "onnx", "--output", "graphs")
    done = command("predict", "graphs", "--task", "sst", stdin="a\n")
    assert (done.code, done.err) == (2, "error: graphs holds ONNX graphs; add --backend onnx\n")
    done = command("predict", trained, "--task", "sst", "--backend", "onnx", stdin="a\n")
    assert done.code == 2
    assert done.err.endswith(
        "holds no ONNX graph of minbert's; write one: minbert export MODEL --format onnx --output DIR\n"
    )


def test_what_the_page_shows_runs(command: Command, values: dict[str, object], tmp_path: Path) -> None:
    """Every command in its order, on a run of a tiny encoder, and the lines of Python."""
    minbert.train(values | {"name": "tickets"}, runs=tmp_path / "runs")
    (tmp_path / "new.csv").write_text("text\nIt broke on the first day.\n")
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    lines = [shlex.split(line) for block in blocks for line in block.splitlines()]
    assert {line[0] for line in lines} == {"minbert", "python"}
    for program, *words in lines:
        if program == "minbert":
            done = command(*words)
            assert done.code == 0, done.err
        else:
            assert subprocess.run([sys.executable, *words], check=True, capture_output=True).stdout
    (python,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(python, "export.md", "exec"), {})


def test_the_bounds_are_those_that_the_page_names() -> None:
    named = re.findall(r"at least (0\.\d+)", PAGE)
    assert [float(bound) for bound in named] == [onnx_model.LEAST_EQUAL, onnx_model.LEAST_R]
