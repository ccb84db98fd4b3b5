"""`minbert experiment`: what plan, run and status say, and that they agree."""

import json
from pathlib import Path

import pytest

from cli.conftest import Command


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def test_plan_run_and_status_agree(recipes: Path, tmp_path: Path, command: Command) -> None:
    options = [str(recipes), "--seeds", "3", "--scale", "0.1", "--runs", str(tmp_path / "runs")]
    planned = command("experiment", "plan", *options)
    assert planned.code == 0, planned.err
    assert "6 runs:" in planned.out
    assert "for the 6 that are not complete" in planned.out
    assert "Smallest visible difference" in planned.out
    row = next(line.split() for line in planned.out.splitlines() if line.split()[:2] == ["PCG", "6"])
    assert row[1] == "6", "a tenth of 2 updates an epoch, rounded up"
    assert not (tmp_path / "runs").exists()
    ran = command("experiment", "run", *options)
    assert ran.code == 0, ran.err
    assert "6 runs, 0 of them complete already, 6 to do" in ran.err
    table = ran.out.splitlines()
    shown = [line.split()[0] for line in table if line.split()]
    assert shown.index("always") < shown.index("PCG") < shown.index("SUM")
    found = json.loads(command("experiment", "status", *options, "--json").out)
    assert [(r["recipe"], r["seed"], r["condition"], r["step"], r["fault"]) for r in found["runs"]] == [
        (name, seed, "complete", 6, None) for seed in (1, 2, 3) for name in ("PCG", "SUM")
    ]
    assert {score["name"]: score["seeds"] for score in found["scores"]} == {"PCG": 3, "SUM": 3}
    again = command("experiment", "run", *options)
    assert "6 runs, 6 of them complete already, 0 to do" in again.err
    assert again.out == ran.out
    assert "for the 0 that are not complete" in command("experiment", "plan", *options).out


def test_failures_are_named_at_the_end(recipes: Path, tmp_path: Path, command: Command) -> None:
    failed = command("experiment", "run", str(recipes), "--runs", str(tmp_path / "runs"), "--set", "optimizer.lr=1e30")
    assert failed.code == 2, failed.err
    for name in ("PCG", "SUM"):
        assert f"failed: {name} seed 1: step" in failed.err
    assert "Traceback" not in failed.err
