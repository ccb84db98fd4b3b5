"""`minbert sharing`: what it prints, that labels which should help do, and that its page's commands run."""

import contextlib
import json
import random
import re
import shlex
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import Command
from minbert.cli import experiment
from minbert.errors import MinbertError
from minbert.experiments import local
from minbert.experiments.grid import Cell
from minbert.experiments.local import News
from minbert.kernels import Kernels
from minbert.recipes import load
from minbert.runs import Run
from minbert.training import begin, records
from tiny import with_training

PAGE = (Path(__file__).parents[2] / "docs" / "sharing.md").read_text(encoding="utf-8")
LETTERS = "abcdefghijklmnopqrstuvwxyz"
Rows = list[tuple[str, int]]


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs are trained in this process, which saves starting others; the other tests start them."""

    def train(cell: Cell, skip_bad_rows: bool) -> News:
        session = begin(cell.recipe, cell.folder, skip_bad_rows, resume=True, kernels=Kernels(1, "highest"))
        try:
            deque(records(session), maxlen=0)
        except MinbertError as error:
            return News(cell, "failed", reason=str(error))
        return News(cell, "done")

    def run_cells(cells: list[Cell], _jobs: int, skip_bad_rows: bool, _stopping: object) -> Iterator[News]:
        yield from (train(cell, skip_bad_rows) for cell in cells)

    monkeypatch.setattr(local, "run_cells", run_cells)


def labelled(rows: int, seed: int) -> Rows:
    """Three letters a text; 1 where most of them are of a half of the alphabet that no rule of spelling tells."""
    generator, half = random.Random(seed), set(random.Random(0).sample(LETTERS, 13))
    texts = [[generator.choice(LETTERS) for _ in range(3)] for _ in range(rows)]
    return [(" ".join(text), int(sum(letter in half for letter in text) > 1)) for text in texts]


def with_permuted_labels(rows: Rows) -> Rows:
    labels = [label for _, label in rows]
    random.Random(4).shuffle(labels)
    return [(text, label) for (text, _), label in zip(rows, labels, strict=True)]


def write_recipe(folder: Path, encoder: Path, more: Rows) -> Path:
    """A recipe of the task `few`, which has 8 rows and 200 of dev, and of the rows `more` with a head of their own."""
    for name, rows in (("few", labelled(8, 1)), ("dev", labelled(200, 3)), ("more", more)):
        (folder / f"{name}.csv").write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    files = {"few": {"train": str(folder / "few.csv"), "dev": str(folder / "dev.csv")}}
    files["more"] = {"train": str(folder / "more.csv")}
    tasks = {name: {"kind": "classification"} | of for name, of in files.items()}
    training = {"max_steps": 40, "batch_size": {"few": 8, "more": 32}}
    values = {"name": "it", "encoder": str(encoder), "tasks": tasks, "optimizer": {"lr": 1e-2}, "training": training}
    (folder / "it.toml").write_text(load(values).to_toml())
    return folder / "it.toml"


def test_more_labels_of_the_same_task_help(tiny_encoder: Path, tmp_path: Path, command: Command) -> None:
    recipe = write_recipe(tmp_path, tiny_encoder, labelled(300, 2))
    ran = command("sharing", recipe, "--seeds", 3)
    assert ran.code == 0, ran.err
    assert "6 runs: 0 complete already, 6 to do" in ran.err
    assert "note: more is not judged: it has no dev file" in ran.err
    row = next(line for line in ran.out.splitlines() if line.split()[:1] == ["few"])
    assert row.split()[-1] == "better"
    alone, together = map(float, row.split()[2:4])
    assert together > alone + 0.2
    assert "Sharing helps few." in ran.out
    assert re.search(r"delta-m, the mean relative gain of sharing: \+\d+\.\d % \(95 % interval \+", ran.out)
    again = command("sharing", recipe, "--seeds", 3, "--json")
    assert "6 runs: 6 complete already, 0 to do" in again.err
    found = json.loads(again.out)
    (few,) = found["tasks"]
    assert (few["verdict"], few["rows"], few["dev_rows"], few["batches"]) == ("better", 8, 200, 40)
    assert few["alone"] == pytest.approx(alone, abs=5e-4)
    assert few["difference"]["value"] == pytest.approx(few["together"] - few["alone"])
    assert found["delta_m"]["value"] == pytest.approx(100 * few["difference"]["value"] / few["alone"])
    assert (found["recipe"], found["seeds"], found["together"]["models"]) == ("it", 3, 1)
    compared = command("compare", "runs/it-together", "runs/it-alone-few", "--json")
    (score,) = json.loads(compared.out)["scores"]
    assert score["difference"] == few["difference"]


@pytest.mark.usefixtures("here")
def test_permuted_labels_do_not_help(tiny_encoder: Path, tmp_path: Path, command: Command) -> None:
    recipe = write_recipe(tmp_path, tiny_encoder, with_permuted_labels(labelled(300, 2)))
    found = json.loads(command("sharing", recipe, "--seeds", 3, "--json").out)
    assert found["tasks"][0]["verdict"] == "undecided"
    assert found["conclusion"][0].startswith("For few it cannot be told: a difference of 0.0")


@pytest.fixture
def tickets(values: dict[str, Any], tmp_path: Path) -> Path:
    """The recipe of the page, of two tiny tasks and two updates."""
    tasks = {name: values["tasks"][name] for name in ("mood", "near")}
    recipe = load(with_training(values, max_steps=2) | {"name": "tickets", "tasks": tasks})
    (tmp_path / "tickets.toml").write_text(recipe.to_toml())
    return tmp_path / "tickets.toml"


class AfterOneRun:
    """An interrupt that comes when the first run is complete."""

    def __init__(self, run: Path) -> None:
        self.run = Run(run)

    def __bool__(self) -> bool:
        return self.run.progress().is_complete


def test_a_stopped_comparison_goes_on(
    tickets: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tmp_path / "runs" / "tickets-together" / "seed-1"
    with monkeypatch.context() as context:
        context.setattr(experiment, "interrupts", lambda: contextlib.nullcontext(AfterOneRun(first)))
        stopped = command("sharing", tickets, "--seeds", "1")
    assert (stopped.code, stopped.out) == (130, "")
    assert f"what was under way is saved; go on with\nminbert sharing {tickets} --seeds 1" in stopped.err
    metrics = (first / "metrics.jsonl").read_bytes()
    ran = command("sharing", tickets, "--seeds", "1")
    assert ran.code == 0, ran.err
    assert int(re.search(r"3 runs: (\d) complete already", ran.err)[1]) >= 1  # type: ignore[index]
    assert (first / "metrics.jsonl").read_bytes() == metrics
    assert "For mood and near it cannot be told: pass --seeds 3 or more." in ran.out
    assert "(no interval below 3 seeds)" in ran.out or "undefined; the score of" in ran.out
    rows = {line.split()[0]: line.split() for line in ran.out.splitlines() if line.strip()}
    assert rows["mood"][-3:] == ["7", "2", "7"], "training rows, batches, dev rows"
    assert rows["near"][-3:] == ["5", "2", "5"]
    alone, together = rows["each"][2:], rows["together"][1:]
    assert (alone[0], alone[2], alone[4]) == ("2", "4", "2"), "models, updates, passes"
    assert (together[0], together[2], together[4]) == ("1", "2", "1")


@pytest.mark.usefixtures("here")
def test_where_a_run_fails_nothing_is_compared(tickets: Path, command: Command) -> None:
    failed = command("sharing", tickets, "--seeds", "1", "--set", "optimizer.lr=1e30", "--set", "training.max_steps=9")
    assert (failed.code, failed.out) == (2, "")
    assert "failed: tickets-together seed 1: step" in failed.err
    assert failed.err.endswith("nothing is compared before every run is complete\n")


@pytest.mark.usefixtures("here")
def test_what_cannot_be_compared_is_refused_in_one_sentence_and_leaves_nothing(
    tickets: Path, tmp_path: Path, command: Command
) -> None:
    refused = command("sharing", tickets, "--set", 'schedule.order=["mood"]')
    assert (refused.code, refused.out) == (2, "")
    assert refused.err == (
        "error: 'tickets' trains 1 task, so nothing is shared; name a recipe that trains two or more\n"
    )
    with (tmp_path / "a.csv").open("a") as handle:
        handle.write("no label here,\n")
    refused = command("sharing", tickets)
    assert refused.code == 2
    assert "task 'mood'" in refused.err
    assert "row 8 (line 9)" in refused.err
    assert not (tmp_path / "runs").exists()
    ran = command("sharing", tickets, "--seeds", "1", "--skip-bad-rows", "--json")
    assert ran.code == 0, ran.err
    assert ran.err.count("mood train: skipped 1 of 8 rows") == 1
    assert json.loads(ran.out)["tasks"][0]["rows"] == 7


@pytest.mark.usefixtures("here")
def test_the_commands_of_its_page_run(tickets: Path, tmp_path: Path, command: Command) -> None:
    """With three seeds; what one leaves, the next one takes."""
    assert tickets.name in PAGE
    (tmp_path / "new.csv").write_text("text\nthe good film\n")
    lines = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
    commands = [shlex.split(line.split(" #")[0].split(" > ")[0]) for line in lines if line.startswith("minbert")]
    assert [words[:2] for words in commands[:2]] == [["minbert", "sharing"]] * 2
    for words in commands:
        ran = command(*["3" if word == "5" else word for word in words[1:]])
        assert ran.code == 0, ran.err
        assert ran.out
