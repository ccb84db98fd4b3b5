"""`minbert experiment`: what plan, run and status say, and that they agree."""

import json
import tomllib
from pathlib import Path

import pytest

from cli.conftest import Command
from minbert.experiments.timing import Estimate, Stopwatch
from minbert.recipes import load
from minbert.training import begin, records


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
    one = Estimate(load(recipes / "pcg.toml"), updates=6, seconds=7200, kept=0, answers=0, peak=0, dev_rows={"mood": 7})
    monkeypatch.setattr(Stopwatch, "estimate", lambda *_: one)
    monkeypatch.setattr(Stopwatch, "start", 0.0)
    options = [str(recipes / "pcg.toml"), "--runs", str(tmp_path / "runs")]
    session = begin(one.recipe, tmp_path / "runs" / "PCG" / "seed-1")
    for record in records(session):
        if record.step == 3:
            session.save()
            break
    said = command("experiment", "plan", *options).out
    assert "1 run: 2.00 hours in all, 1.00 for 1 not complete yet" in said
    assert "Smallest visible difference" not in said, "there is nothing to compare it with"


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
