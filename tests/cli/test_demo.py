"""`minbert demo` and `./dev` as a newcomer meets them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_demo_learns_and_names_what_to_try_next(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "minbert.cli.app", "demo", "--runs", str(tmp_path / "runs")]
    environment = os.environ | {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=tmp_path, env=environment)
    records = [json.loads(line) for line in (tmp_path / "runs/demo/metrics.jsonl").read_text().splitlines()]
    evaluations = [record for record in records if record["kind"] == "evaluation"]
    assert max(record["sum"] for record in evaluations) > evaluations[0]["sum"] + 0.2
    for text in ("always one answer", "before", "95 % interval", "Dev sets this small are noisy", "sst: how it sounds"):
        assert text in done.stdout
    commands = [line.strip() for line in done.stdout.splitlines() if line.startswith("  ") and "minbert" in line]
    for command in commands[:2]:
        subprocess.run(["bash", "-c", command], capture_output=True, check=True, cwd=tmp_path, env=environment)
    again = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert again.returncode == 2
    assert "holds a run already" in again.stderr


def test_dev_alone_lists_its_commands() -> None:
    done = subprocess.run([sys.executable, str(ROOT / "dev")], capture_output=True, text=True, check=True)
    commands = ["demo", "test", "check", "format", "bench", "paper"]
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == commands
    wrong = subprocess.run([sys.executable, str(ROOT / "dev"), "tset"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
