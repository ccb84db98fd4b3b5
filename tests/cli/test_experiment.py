"""`minbert experiment`: what plan, run and status say, and that they agree."""

import json
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cli.conftest import Command
from minbert.experiments import local
from minbert.experiments.grid import Cell
from minbert.experiments.local import News
from minbert.experiments.timing import Estimate, Stopwatch
from minbert.recipes import load
from minbert.training import begin, records

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def test_plan_run_and_status_agree(recipes: Path, tmp_path: Path, command: Command) -> None:
    options = [str(recipes), "--seeds", "3", "--scale", "0.1", "--runs", str(tmp_path / "runs")]
    planned = command("experiment", "plan", *options)
    assert planned.code == 0, planned.err
    assert "6 runs:" in planned.out
    assert "for 6 not complete yet" in planned.out
    assert "Smallest visible difference" in planned.out
    assert "any two of 2 recipes" in planned.out
    assert "SUM is PCG but for gradients.method\n" in planned.out
    row = next(line.split() for line in planned.out.splitlines() if line.split()[:2] == ["PCG", "6"])
    assert row[1] == "6", "a tenth of 2 updates an epoch, rounded up"
    assert not (tmp_path / "runs").exists()
    ran = command("experiment", "run", *options)
    assert ran.code == 0, ran.err
    assert "6 runs: 0 complete already, 6 to do" in ran.err
    table = ran.out.splitlines()
    shown = [line.split()[0] for line in table if line.split()]
    assert shown.index("always") < shown.index("PCG") < shown.index("SUM")
    found = json.loads(command("experiment", "status", *options, "--json").out)
    assert [(r["recipe"], r["seed"], r["condition"], r["step"], r["fault"]) for r in found["runs"]] == [
        (name, seed, "complete", 6, None) for seed in (1, 2, 3) for name in ("PCG", "SUM")
    ]
    assert {score["name"]: score["seeds"] for score in found["scores"]} == {"PCG": 3, "SUM": 3}
    again = command("experiment", "run", *options)
    assert "6 runs: 6 complete already, 0 to do" in again.err
    assert again.out == ran.out
    assert "for 0 not complete yet" in command("experiment", "plan", *options).out


def test_a_plan_counts_of_a_stopped_run_what_is_left(
    recipes: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One run of 6 updates was stopped after 3: with equal estimates a half of the hours is left."""
    recipe = load(recipes / "pcg.toml")
    one = Estimate(
        recipe, updates=6, passes={"mood": 2.0}, seconds=7200, kept=0, answers=0, peak=0, dev_rows={"mood": 7}
    )
    monkeypatch.setattr(Stopwatch, "estimate", lambda _, cell: replace(one, recipe=cell.recipe))
    monkeypatch.setattr(Stopwatch, "start", 0.0)
    options = [str(recipes / "pcg.toml"), "--runs", str(tmp_path / "runs")]
    session = begin(one.recipe, tmp_path / "runs" / "PCG" / "seed-1")
    for record in records(session):
        if record.step == 3:
            session.save()
            break
    said = command("experiment", "plan", *options).out
    assert "1 run: 2 h 00 min in all, 1 h 00 min for 1 not complete yet" in said
    assert "can be judged" not in said, "there is nothing to compare it with"
    both = command("experiment", "plan", str(recipes), "--runs", str(tmp_path / "others")).out
    assert "below 3 seeds a recipe no difference between two of them can be judged; pass" in both
    assert "stopped" in command("experiment", "status", *options).out
    assert "seed 1 at update 3" in command("experiment", "status", *options).out


def test_bad_rows_stop_it_or_are_skipped_and_listed_once(recipes: Path, tmp_path: Path, command: Command) -> None:
    mood = Path(tomllib.loads((recipes / "pcg.toml").read_text())["tasks"]["mood"]["train"])
    with mood.open("a") as handle:
        handle.write("no label here,\n")
    options = ["run", str(recipes), "--runs", str(tmp_path / "runs")]
    refused = command("experiment", *options)
    assert refused.code == 2
    assert "task 'mood'" in refused.err
    assert "row 8 (line 9)" in refused.err
    assert not (tmp_path / "runs").exists()
    ran = command("experiment", *options, "--skip-bad-rows")
    assert ran.code == 0, ran.err
    assert ran.err.count("mood train: skipped 1 of 8 rows") == 1


def test_failures_are_named_at_the_end(recipes: Path, tmp_path: Path, command: Command) -> None:
    failed = command("experiment", "run", str(recipes), "--runs", str(tmp_path / "runs"), "--set", "optimizer.lr=1e30")
    assert failed.code == 2, failed.err
    for name in ("PCG", "SUM"):
        assert f"failed: {name} seed 1: step" in failed.err
    assert "Traceback" not in failed.err
    assert f"remove what the old one left: {tmp_path / 'runs' / 'PCG'} {tmp_path / 'runs' / 'SUM'}" in failed.err
    options = [str(recipes), "--runs", str(tmp_path / "runs"), "--set", "optimizer.lr=1e30"]
    said = command("experiment", "status", *options).out
    assert "0 complete, 0 stopped, 0 missing, 2 failed of 2 runs" in said
    assert "failed: SUM seed 1: step" in said
    assert f"go on with\nminbert experiment run {' '.join(options)}" in said
    assert (tmp_path / "runs" / "SUM" / "seed-1" / "failure.txt").is_file()


def test_a_fault_of_ours_ends_with_code_1(
    recipes: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(cells: list[Cell], *_: object) -> Iterator[News]:
        yield News(cells[0], "failed", reason="Traceback of it", is_ours=True)

    monkeypatch.setattr(local, "run_cells", breaks)
    ended = command("experiment", "run", str(recipes), "--runs", str(tmp_path / "runs"))
    assert (ended.code, "failed: PCG seed 1: Traceback of it" in ended.err) == (1, True)


def test_runs_of_another_recipe_are_told_apart(recipes: Path, tmp_path: Path, command: Command) -> None:
    options = [str(recipes), "--seeds", "2", "--runs", str(tmp_path / "runs")]
    assert command("experiment", "run", *options, "--scale", "0.1", "--seeds", "1").code == 0
    said = command("experiment", "status", *options, "--jobs", "2").out
    assert "0 complete, 0 stopped, 2 missing, 2 refused of 4 runs" in said
    assert "seed-1 was made with training.scale = 0.1 (now 1.0); give the same recipe and options, choose" in said
    assert "Dev scores" not in said
    found = json.loads(command("experiment", "status", *options, "--json").out)
    assert [run["condition"] for run in found["runs"]] == ["refused", "refused", "missing", "missing"]
    assert found["scores"] == []
    assert command("experiment", "run", *options).code == 2


def test_every_recipe_of_the_paper_and_every_control_runs(
    values: dict[str, object], tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the starter data with a tiny encoder; the table has all rows, under what one constant answer gets."""
    monkeypatch.setenv("COLUMNS", "200")
    folders = [ROOT / "recipes" / "paper", ROOT / "recipes" / "controls"]
    tiny = ["--set", f"encoder={values['encoder']}", "--set", "training.max_length=40", "--scale", "0.001"]
    tiny += ["--set", "training.evaluate_every=9"]  # the updates of the longest
    ran = command("experiment", "run", *folders, *tiny, "--runs", tmp_path / "runs")
    assert ran.code == 0, ran.err
    names = [load(path).name for folder in folders for path in sorted(folder.glob("[!_]*.toml"))]
    found = json.loads(command("experiment", "status", *folders, *tiny, "--runs", tmp_path / "runs", "--json").out)
    assert [(score["name"], score["seeds"]) for score in found["scores"]] == [(name, 1) for name in names]
    rows = [line.split()[0] for line in ran.out.splitlines() if line.split()]
    assert rows[rows.index("always") :] == ["always", *names]


def test_kept_results_stand_for_runs_on_every_command(recipes: Path, tmp_path: Path, command: Command) -> None:
    options = [str(recipes), "--scale", "0.1", "--runs", "runs"]
    assert command("experiment", "run", *options, "--results", "first").code == 0
    assert len((tmp_path / "first" / "runs.jsonl").read_text().splitlines()) == 2
    kept = command("experiment", "keep", "runs", "--output", "kept")
    assert kept.code == 0, kept.err
    assert kept.out.startswith("kept holds 2 runs, 2 of them from runs; ")
    more = [str(recipes), "--scale", "0.1", "--runs", "elsewhere", "--results", "kept"]
    again = command("experiment", "run", *more)
    assert (again.code, again.err) == (0, "2 runs of 2 kept in kept already\n")
    assert not (tmp_path / "elsewhere").exists()
    ran = command("experiment", "run", *more, "--seeds", "2")
    assert len((tmp_path / "kept" / "runs.jsonl").read_text().splitlines()) == 4, "run keeps what it completes"
    assert "2 runs of 4 kept in kept already" in ran.err
    assert "2 runs: 0 complete already, 2 to do\nbegun  PCG seed 2\n" in ran.err, "a log shows what is under way"
    assert sorted(folder.name for folder in (tmp_path / "elsewhere").glob("*/*")) == ["seed-2", "seed-2"]
    assert (
        "kept holds 4 runs, 2 of them from elsewhere"
        in command("experiment", "keep", "elsewhere", "--output", "kept").out
    )
    nothing = command("experiment", "status", *more, "--json")
    assert json.loads(nothing.out) == {"runs": [], "scores": [], "baselines": {}}
    changed = command("experiment", "status", *more, "--set", "optimizer.lr=0.5", "--json")
    assert [run["condition"] for run in json.loads(changed.out)["runs"]] == ["missing", "missing"]


def test_what_was_complete_before_is_kept_too_and_another_run_of_the_name_is_not(
    recipes: Path, tmp_path: Path, command: Command
) -> None:
    options = ["experiment", "run", str(recipes), "--scale", "0.1"]
    assert command(*options).code == 0
    assert command(*options, "--results", "kept").code == 0
    lines = (tmp_path / "kept" / "runs.jsonl").read_text()
    assert len(lines.splitlines()) == 2
    (tmp_path / "other").mkdir()
    other = command(*options, "--set", "optimizer.lr=0.5", "--runs", "other/runs", "--results", "kept")
    assert other.code == 2
    assert "kept holds another runs/PCG seed 1 already: optimizer.lr = " in other.err
    assert "and 1 more" in other.err
    assert not (tmp_path / "other" / "runs").exists(), "nothing is trained that could not be kept"
    assert (tmp_path / "kept" / "runs.jsonl").read_text() == lines
