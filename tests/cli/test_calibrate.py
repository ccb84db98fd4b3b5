"""`calibrate`, and what `predict` makes of it: probabilities, `?`, margins."""

import io
import json
import re
import shutil
from pathlib import Path

import polars as pl
import pytest
from filelock import FileLock

import minbert
from cli.conftest import Command
from minbert.pretrained import read_weights, write_weights
from minbert.recipes import STARTER
from minbert.tasks import Calibration

PAGE = (Path(__file__).parents[2] / "docs" / "calibration.md").read_text(encoding="utf-8")
SST = STARTER / "ids-sst-dev.csv"


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of the trained run, to change."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


def stored(run: Path) -> dict[str, dict[str, object]]:
    return dict(json.loads((run / "best" / "tasks.json").read_text(encoding="utf-8")))


def give(run: Path, task: str, **changes: object) -> None:
    """Plants a calibration."""
    calibration = {"rows": 400, "files": {"dev.csv": "0"}} | changes
    Calibration.model_validate(calibration)
    tasks = stored(run)
    tasks[task]["calibration"] = calibration
    (run / "best" / "tasks.json").write_text(json.dumps(tasks), encoding="utf-8")


def test_all_tasks_are_calibrated_and_no_answer_changes(command: Command, run: Path) -> None:
    texts = ["A great film", "Meh.", "the dull, dull cat"]
    before = minbert.MultitaskModel.from_pretrained(run)
    scores = command("evaluate", run, "--json").out
    done = command("calibrate", run)
    assert done.code == 0, done.err
    for word in ("temperature", "NLL", "ECE", "by chance", "--abstain", "95 % margin"):
        assert word in done.out
    assert "the model was chosen by these rows too, so all of this is a little too good for it" in done.err
    assert f"calibrated sst, para, sts in {run / 'best' / 'tasks.json'}; no answer changes" in done.err
    after = minbert.MultitaskModel.from_pretrained(run)
    for task, given in (("sst", texts), ("para", list(zip(texts, texts[::-1], strict=True)))):
        old, new = before.predict(task, given), after.predict(task, given)
        assert [one.answer for one in old] == [one.answer for one in new]
        assert [one.probabilities for one in old] != [one.probabilities for one in new]
        assert all(sum((one.probabilities or {}).values()) == pytest.approx(1) for one in new)
    assert command("evaluate", run, "--json").out == scores
    found = stored(run)
    assert found["sst"]["calibration"]["rows"] == 65
    assert list(found["sst"]["calibration"]["files"]) == ["ids-sst-dev.csv"]
    assert found["sts"]["calibration"]["margin"] > 0
    card = (run / "best" / "README.md").read_text(encoding="utf-8")
    assert card.count("## Calibration by `minbert calibrate`") == 1
    assert re.search(r"\| sst \| 65 \| ids-sst-dev.csv \| temperature \d", card)
    assert re.search(r"\| sts \| 60 \| sts-dev.csv \| 95 % of true scores within ±\d", card)


def test_a_calibration_is_replaced_by_force_alone(command: Command, run: Path) -> None:
    assert command("calibrate", run, "--task", "sst").code == 0
    first, card = stored(run), (run / "best" / "README.md").read_bytes()
    again = command("calibrate", run)
    assert again.code == 2
    known = f"task 'sst' of {run / 'best'} is calibrated already, by 65 rows of ids-sst-dev.csv"
    assert again.err == f"error: {known}; --force replaces that\n"
    assert stored(run) == first
    forced = command("calibrate", run, "--task", "sst", "--force")
    assert forced.code == 0, forced.err
    assert stored(run) == first  # the head's own logits are what is calibrated, and the rows are the same
    assert (run / "best" / "README.md").read_bytes() == card


def test_a_head_that_is_four_times_as_sure_gets_four_times_the_temperature(command: Command, run: Path) -> None:
    texts = ["A great film", "Meh.", "the dull, dull cat"]
    command("calibrate", run, "--task", "sst")
    plain = minbert.MultitaskModel.from_pretrained(run).predict("sst", texts)
    cold = stored(run)["sst"]["calibration"]["temperature"]
    weights = read_weights(run / "best" / "heads.safetensors")
    surer = {key: weight * 4 if key.startswith("sst.") else weight for key, weight in weights.items()}
    write_weights(surer, run / "best" / "heads.safetensors")
    done = json.loads(command("calibrate", run, "--task", "sst", "--force", "--json").out)
    assert done["sst"]["calibration"]["temperature"] == pytest.approx(4 * cold, rel=1e-3)
    assert done["sst"]["calibration"] == stored(run)["sst"]["calibration"]
    for one, other in zip(plain, minbert.MultitaskModel.from_pretrained(run).predict("sst", texts), strict=True):
        assert other.probabilities == pytest.approx(one.probabilities, rel=1e-3)


def test_a_file_of_other_rows_calibrates_one_task(command: Command, run: Path) -> None:
    rows = SST.read_text(encoding="utf-8").splitlines(keepends=True)
    Path("mine.csv").write_text("".join(rows[:41]), encoding="utf-8")
    done = command("calibrate", run, "--task", "sst", "--input", "mine.csv", "--json")
    assert done.code == 0, done.err
    assert "chosen by these rows" not in done.err
    assert json.loads(done.out)["sst"]["calibration"]["rows"] == 40
    assert "calibration" not in stored(run)["para"]
    refused = command("calibrate", run, "--input", "mine.csv")
    assert (refused.code, refused.out) == (2, "")
    assert "this model has 3 tasks; choose one: --task sst" in refused.err
    Path("few.csv").write_text("".join(rows[:11]), encoding="utf-8")
    few = command("calibrate", run, "--task", "sst", "--input", "few.csv", "--force")
    message = "task 'sst': 10 labelled rows in few.csv; calibrating takes 20 or more, so add some"
    assert (few.code, few.err) == (2, f"error: {message}\n")
    assert stored(run)["sst"]["calibration"]["rows"] == 40


def test_rows_that_the_model_learned_from_are_refused(command: Command, run: Path) -> None:
    copy = shutil.copy(STARTER / "ids-sst-train.csv", "renamed.csv")
    known = len(pl.read_csv(copy, separator="\t", quote_char=None))
    refused = command("calibrate", run, "--task", "sst", "--input", copy)
    assert refused.code == 2
    assert refused.err == (
        f"error: {known} of {known} rows are what task 'sst' learned from, and there it is surer than of new texts; "
        "calibrate it by other labelled rows: --task sst --input FILE\n"
    )
    assert "calibration" not in stored(run)["sst"]


def test_single_rows_that_the_model_learned_from_are_left_out_and_counted(command: Command, run: Path) -> None:
    """Whatever their case and blanks, and in a file of another digest."""
    header, *rows = SST.read_text(encoding="utf-8").splitlines()
    learned = (STARTER / "ids-sst-train.csv").read_text(encoding="utf-8").splitlines()[1:11]
    Path("mixed.csv").write_text("\n".join([header, *rows[:40], *(row.upper() for row in learned), ""]))
    done = command("calibrate", run, "--task", "sst", "--input", "mixed.csv")
    assert done.code == 0, done.err
    assert "task 'sst': left out 10 of 50 rows that it learned from\n" in done.err
    assert stored(run)["sst"]["calibration"]["rows"] == 40
    pairs = [line.split("\t") for line in (STARTER / "sts-train.csv").read_text(encoding="utf-8").splitlines()]
    first, second = (pairs[0].index(name) for name in ("sentence1", "sentence2"))
    for pair in pairs[1:]:
        pair[first], pair[second] = pair[second], pair[first]
    Path("turned.csv").write_text("".join("\t".join(pair) + "\n" for pair in pairs), encoding="utf-8")
    done = command("calibrate", run, "--task", "sts", "--input", "turned.csv")
    assert (done.code, done.err.count("are what task 'sts' learned from")) == (2, 1)


def test_where_train_files_are_gone_it_is_said(command: Command, tiny_encoder: Path) -> None:
    rows = [f"{('good', 'bad')[n % 2]} film {n},{('up', 'down')[n % 2]}" for n in range(60)]
    Path("a.csv").write_text("text,label\n" + "\n".join(rows[:30]) + "\n")
    Path("b.csv").write_text("text,label\n" + "\n".join(rows[30:]) + "\n")
    task = {"kind": "classification", "train": "a.csv", "dev": "b.csv"}
    values = {"name": "gone", "encoder": str(tiny_encoder), "tasks": {"mood": task}, "training": {"max_steps": 1}}
    run = minbert.train(values).folder
    Path("a.csv").unlink()
    done = command("calibrate", run)
    assert done.code == 0, done.err
    assert "a.csv is not there, so rows of it are not looked for among those given\n" in done.err


def test_a_dev_file_by_another_name_is_still_what_the_model_was_chosen_by(command: Command, run: Path) -> None:
    copy = shutil.copy(SST, "renamed.csv")
    done = command("calibrate", run, "--task", "sst", "--input", copy)
    assert done.code == 0, done.err
    assert "the model was chosen by these rows too" in done.err
    both = command("calibrate", run, "--task", "sst", "--input", copy, "--data", STARTER, "--force")
    said = "--data says where dev files lie, and --input names a file itself; give one of the two"
    assert (both.code, both.err) == (2, f"error: {said}\n")


def test_rows_held_back_from_the_train_file_calibrate_and_the_file_does_not(
    command: Command, tiny_encoder: Path
) -> None:
    rows = [f"{('good', 'bad')[n % 2]} film {n},{('up', 'down')[n % 2]}" for n in range(60)]
    Path("a.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    task = {"kind": "classification", "train": "a.csv", "holdout": 24}
    values = {"name": "held", "encoder": str(tiny_encoder), "tasks": {"mood": task}, "training": {"max_steps": 1}}
    run = minbert.train(values).folder
    refused = command("calibrate", run, "--input", "a.csv")
    assert refused.code == 2
    assert "36 of 60 rows are what task 'mood' learned from" in refused.err
    done = command("calibrate", run)
    assert done.code == 0, done.err
    found = stored(run)["mood"]["calibration"]
    assert (found["rows"], list(found["files"])) == (24, ["a.csv"])


def test_a_run_that_is_training_is_left_alone(command: Command, run: Path) -> None:
    with FileLock(run / ".lock"):
        refused = command("calibrate", run)
    assert refused.code == 2
    assert "is in use by another process" in refused.err
    assert "calibration" not in stored(run)["sst"]


def test_a_model_that_abstains_answers_above_its_threshold_alone(command: Command, run: Path) -> None:
    texts = ["A great film", "Meh.", "the dull, dull cat", ""]
    model = minbert.MultitaskModel.from_pretrained(run)
    sure = sorted(max((one.probabilities or {}).values()) for one in model.predict("sst", texts))
    give(run, "sst", above=[sure[1], 0.0], answered=[200, 400], wrong=[3, 100])
    done = command("predict", run, "--task", "sst", "--abstain", "0.05", stdin="\n".join(texts) + "\n")
    assert done.code == 0, done.err
    said = "3 of 200 such answers on the rows calibrated on were wrong"
    assert done.err == f"answers have a confidence above {sure[1]:.3f} ({said}); the others are ?\n"
    plain = command("predict", run, "--task", "sst", stdin="\n".join(texts) + "\n").out.splitlines()
    lines = done.out.splitlines()
    assert sum(line.startswith("?\t\t") for line in lines) >= 2
    assert all(line.startswith("?\t\t") or line == other for line, other in zip(lines, plain, strict=True))
    as_json = command("predict", run, "--task", "sst", "--abstain", "0.05", "--json", stdin="\n".join(texts) + "\n")
    answers = [json.loads(line) for line in as_json.out.splitlines()]
    for answer, one in zip(answers, model.predict("sst", texts), strict=True):
        is_sure = max((one.probabilities or {}).values()) > sure[1] and one.note != "empty"
        assert answer["answer"] == (one.answer if is_sure else "?")
        assert answer["probabilities"] == pytest.approx(one.probabilities)
    pl.DataFrame({"sentence": texts}).write_csv("in.csv")
    command("predict", run, "--task", "sst", "--abstain", "0.05", "--input", "in.csv", "--output", "out.csv")
    assert pl.read_csv("out.csv", infer_schema=False)["prediction"].to_list() == [a["answer"] for a in answers]


def test_where_no_confidence_is_enough_every_answer_is_open_and_it_is_said(command: Command, run: Path) -> None:
    give(run, "sst", above=[0.5, 0.0], answered=[200, 400], wrong=[40, 100])
    done = command("predict", run, "--task", "sst", "--abstain", "0.05", stdin="A great film\n")
    assert done.out == "?\t\tA great film\n"
    assert done.err == (
        "every answer is ?, since no confidence is enough for 0.05 of wrong answers (tested first: 40 of the 200 "
        "surest were wrong); --abstain 0.26 is the least that answers\n"
    )
    give(run, "sst", above=[0.0], answered=[400], wrong=[390])
    done = command("predict", run, "--task", "sst", "--abstain", "0.05", stdin="A great film\n")
    assert done.err.endswith("(tested first: 390 of the 400 surest were wrong); no --abstain below 0.5 answers\n")
    give(run, "sst", rows=40, above=[0.0], answered=[40], wrong=[0])
    done = command("predict", run, "--task", "sst", "--abstain", "0.05", stdin="A great film\n")
    assert "(rows are too few for a first test); --abstain 0.08 is the least that answers" in done.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--task", "sst", "--abstain", "0.05"], "task 'sst' is not calibrated; run `minbert calibrate` on the model"),
        (
            ["--task", "sst", "--abstain", "5"],
            "abstaining by 5: give a share of wrong answers between 0 and 1, such as",
        ),
        (
            ["--task", "sts", "--abstain", "0.05"],
            "task 'sts' gives scores, whose error is taken to be as large for every text, so there is none to abstain",
        ),
        (
            ["--task", "sst", "--abstain", "0.1", "--input", str(SST), "--format", "course", "--output", "x.csv"],
            "the course's file has an answer for every row; leave --abstain out, or --format course",
        ),
    ],
)
def test_what_cannot_abstain_says_why(command: Command, run: Path, words: list[str], message: str) -> None:
    done = command("predict", run, *words, stdin="a\tb\n")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"error: {message}")
    assert len(done.err.splitlines()) == 1


def test_a_calibrated_score_has_its_margin_beside_it(command: Command, run: Path) -> None:
    give(run, "sts", margin=0.754)
    done = command("predict", run, "--task", "sts", stdin="a cat\ta cat\n")
    assert done.out == "5.00\t±0.75\ta cat\ta cat\n"
    as_json = command("predict", run, "--task", "sts", "--json", stdin="a cat\ta cat\n")
    assert json.loads(as_json.out)["margin"] == 0.754
    source = STARTER / "sts-dev.csv"
    command("predict", run, "--task", "sts", "--input", source, "--output", "out.parquet")
    answers = pl.read_parquet("out.parquet")
    assert answers.columns[-4:] == ["prediction", "score", "margin", "note"]
    assert set(answers["margin"]) == {0.754}


@pytest.mark.parametrize(
    "damage",
    [{"temperature": 0.0}, {"wrong": [1]}, {"above": [0.5], "answered": [5], "wrong": [6]}, {"rows": "many"}, {"x": 1}],
)
def test_a_damaged_calibration_is_a_damaged_model(command: Command, run: Path, damage: dict[str, object]) -> None:
    tasks = stored(run)
    tasks["sst"]["calibration"] = {"rows": 400, "files": {}} | damage
    (run / "best" / "tasks.json").write_text(json.dumps(tasks), encoding="utf-8")
    done = command("predict", run, "--task", "sst", stdin="A great film\n")
    assert done.code == 2
    assert re.search(r"tasks.json is damaged \(.*\); copy the model anew", done.err)


def test_the_commands_of_the_page_run(
    command: Command, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(run, tmp_path / "runs" / "default")
    shutil.copytree(STARTER, tmp_path / "DATA")
    shutil.copy(SST, tmp_path / "mine.csv")
    pl.DataFrame({"sentence": ["A great film", "Meh."]}).write_csv(tmp_path / "new.csv")
    lines = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
    assert len(lines) >= 5
    for line in lines:
        *before, last = line.split("#")[0].split("|")
        words = last.split()
        assert words.pop(0) == "minbert"
        done = command(*words, stdin="".join(f"{one}\n" for one in before))
        assert done.code == 0, f"{line}: {done.err}"
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    printed = io.StringIO()
    monkeypatch.setattr("sys.stdout", printed)
    exec(compile(code, "calibration.md", "exec"), {})
    assert printed.getvalue()
