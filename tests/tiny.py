"""A recipe of three tiny tasks for tests of the loop: 7, 20 and 5 rows."""

from pathlib import Path

from minbert.jobs import Job, prepare
from minbert.recipes import load
from minbert.training import State

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
