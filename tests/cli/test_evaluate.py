"""`evaluate`: scores of a model and of a file of predictions."""

import json
from pathlib import Path

import numpy as np
import pytest

import minbert
from cli.conftest import Command
from minbert.recipes import STARTER


def test_the_course_file_is_read_back_and_scored(command: Command, trained: Path) -> None:
    for task, prefix in (("sst", "ids-sst"), ("para", "quora"), ("sts", "sts")):
        source = STARTER / f"{prefix}-dev.csv"
        done = command(
            "predict", trained, "--task", task, "--input", source, "--format", "course", "--output", f"{task}.csv"
        )
        assert done.code == 0, done.err
        assert Path(f"{task}.csv").read_bytes() == (trained / "predictions" / f"{task}-dev-output.csv").read_bytes()
        from_file = json.loads(command("evaluate", f"{task}.csv", "--task", task, "--json").out)["tasks"][task]
        from_model = json.loads(command("evaluate", trained, "--task", task, "--json").out)["tasks"][task]
        assert from_file == from_model


def test_evaluate_prints_scores_with_interval_and_baseline(command: Command, trained: Path) -> None:
    done = command("evaluate", trained)
    assert done.code == 0, done.err
    for word in ("sst", "para", "sts", "sum", "course", "always one answer", "95 % interval"):
        assert word in done.out
    scores = json.loads(command("evaluate", trained, "--json").out)
    record = [
        r for r in map(json.loads, (trained / "metrics.jsonl").read_text().splitlines()) if r["kind"] == "evaluation"
    ]
    best = [r for r in record if r["is_best"]][-1]
    assert scores["sum"] == pytest.approx(best["sum"])
    assert scores["tasks"]["sts"]["always_one_answer"] is None  # a constant has no correlation
    low, high = scores["tasks"]["sst"]["interval"]
    assert low < scores["tasks"]["sst"]["score"] < high


def test_evaluate_finds_own_tasks_below_data(command: Command, tiny_encoder: Path) -> None:
    for folder in ("here", "there"):
        Path(folder).mkdir()
        Path(folder, "a.csv").write_text("text,label\ngood,0\nbad,1\n" + "dull,1\n" * (folder == "there"))
    task = {"kind": "classification", "train": "here/a.csv", "dev": "here/a.csv"}
    run = minbert.train({"name": "r", "encoder": str(tiny_encoder), "tasks": {"t": task}, "training": {"max_steps": 1}})
    scored = [json.loads(command("evaluate", run.folder, "--json", *more).out) for more in ([], ["--data", "there"])]
    assert [one["tasks"]["t"]["rows"] for one in scored] == [2, 3]
    assert np.sum(scored[1]["tasks"]["t"]["confusion"]) == 3


@pytest.mark.parametrize("task", [[], ["--task", "mood"]])
def test_predictions_are_scored_for_the_courses_tasks_alone_and_it_is_said(command: Command, task: list[str]) -> None:
    Path("answers.csv").write_text("id,prediction\n1,0\n")
    done = command("evaluate", "answers.csv", *task)
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "error: answers.csv is taken for a file of predictions, which can be scored for the course's tasks alone: "
        "--task sst, --task cfimdb, --task para, --task sts; for others, evaluate the run's folder\n"
    )
    shown = " ".join(command("evaluate", "--help").out.replace("│", " ").split())
    assert "for the course's tasks alone, named by --task (sst, cfimdb, para or sts)" in shown


def test_named_dev_sets_are_scored_apart_wherever_scores_are_shown(
    tmp_path: Path, tiny_encoder: Path, command: Command
) -> None:
    for name, rows in (("a", 6), ("b", 4), ("c", 8)):
        lines = [f"{('good', 'bad')[n % 2]} film {n},{('up', 'down')[n % 2]}" for n in range(rows)]
        (tmp_path / f"{name}.csv").write_text("text,label\n" + "\n".join(lines) + "\n")
    task = (
        '[tasks.mood]\nkind = "classification"\ntrain = ["a.csv", "c.csv"]\ndev = { web = "a.csv", mail = "b.csv" }\n'
    )
    (tmp_path / "it.toml").write_text(f'encoder = "{tiny_encoder}"\n{task}[training]\nmax_steps = 2\n')
    trained = command("train", "it.toml")
    assert trained.code == 0, trained.err
    found = command("evaluate", "runs/it")
    assert found.code == 0, found.err
    for shown in (trained.out, found.out):
        rows = {line.split()[0]: line.split()[2] for line in shown.splitlines() if "accuracy" in line}
        assert rows == {"mood": "10", "web": "6", "mail": "4"}
    (tmp_path / "moved").mkdir()
    for name in "abc":
        (tmp_path / f"{name}.csv").rename(tmp_path / "moved" / f"{name}.csv")
    again = command("evaluate", "runs/it", "--data", "moved", "--json")
    assert again.code == 0, again.err
    scored = json.loads(again.out)["tasks"]["mood"]
    assert {name: of["rows"] for name, of in scored["dev_sets"].items()} == {"web": 6, "mail": 4}
    whole = command("evaluate", "runs/it", "--data", "moved", "--split", "train", "--json")
    assert json.loads(whole.out)["tasks"]["mood"]["rows"] == 14
    checked = command("data", "check", "--recipe", "it.toml", "--data", "moved")
    assert checked.code == 0, checked.err
