"""A recipe of three tiny tasks for tests of the loop: 7, 20 and 5 rows; its runs here and in other processes."""

import json
import os
import sys
from pathlib import Path

from minbert.jobs import Job, prepare
from minbert.recipes import load
from minbert.training import State

PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PATH": PATH, "COLUMNS": "100"}  # of processes that tests start
PROGRAM = [sys.executable, "-m", "minbert.cli.app"]

SST = ["the good film", "a bad dull film", "the cat sat", "very good", "not very good dog", "dull", "quiet film"]
PAIRS = [
    ("the cat sat", "a cat sat"),
    ("good film", "bad film"),
    ("the dog", "the dog was quiet"),
    ("dull", "very dull"),
]


def write_tasks(folder: Path) -> dict[str, dict[str, object]]:
    """The tables of tasks mood, same and near, whose files are written."""
    (folder / "a.csv").write_text("text,label\n" + "".join(f"{t},{i % 3}\n" for i, t in enumerate(SST)))
    rows = "".join(f"{a} {i},{b} {i},{i % 2}\n" for i, (a, b) in enumerate(PAIRS * 5))
    (folder / "b.csv").write_text("one,two,label\n" + rows)
    scores = "".join(f"{a},{b} good,{i}.5\n" for i, (a, b) in enumerate([*PAIRS, ("dog", "cat")]))
    (folder / "c.csv").write_text("one,two,label\n" + scores)
    pair = {"text": ["one", "two"]}
    return {
        "mood": {"kind": "classification"} | _files(folder / "a.csv"),
        "same": {"kind": "pair-classification"} | pair | _files(folder / "b.csv"),
        "near": {"kind": "pair-regression", "range": [0, 5], "weight": 0.2} | pair | _files(folder / "c.csv"),
    }


def _files(file: Path) -> dict[str, str]:
    return {"train": str(file), "dev": str(file)}


def with_training(values: dict[str, object], **changes: object) -> dict[str, object]:
    return values | {"training": values["training"] | changes}  # type: ignore[operator]


def start(values: dict[str, object]) -> tuple[Job, State]:
    job, model = prepare(load(values))
    return job, State.start(job, model)


def contents(folder: Path) -> dict[str, object]:
    """All that must be equal between two runs of one recipe, or two experiments: every file, without seconds and
    what it ran on."""
    found: dict[str, object] = {}
    for file in sorted(folder.rglob("*")):
        name = str(file.relative_to(folder))
        if file.suffix == ".jsonl" or file.name == "progress.json":
            lines = file.read_text().splitlines() if file.suffix == ".jsonl" else [file.read_text()]
            found[name] = [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]
        elif file.is_file() and file.name not in ("environment.json", ".lock"):
            found[name] = file.read_bytes()
    return found


def assert_same(found: dict[str, object], expected: dict[str, object]) -> None:
    """Names what differs, and does not print megabytes."""
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []
