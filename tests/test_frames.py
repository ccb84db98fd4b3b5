"""Tables of pandas, polars and datasets in place of files, and in place of lists of inputs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import polars as pl
import pytest

from minbert import MultitaskModel, train
from minbert.errors import InputError, MinbertError
from minbert.frames import column, is_frame
from minbert.runs import Run

TEXTS = [f"{('good', 'bad')[n % 2]} film {n}" for n in range(16)]
LABELS = [("up", "down")[n % 2] for n in range(16)]
MAKERS: dict[str, Callable[[dict[str, list[Any]]], Any]] = {
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "datasets": datasets.Dataset.from_dict,
}


def recipe(encoder: Path, train: Any, **more: Any) -> dict[str, Any]:
    task = {"kind": "classification", "train": train, "dev": train} | more
    return {"name": "it", "encoder": str(encoder), "tasks": {"mood": task}, "training": {"max_steps": 2}}


@pytest.fixture
def of_file(tmp_path: Path, tiny_encoder: Path) -> Run:
    """The run that reads the same rows from a file."""
    pl.DataFrame({"text": TEXTS, "label": LABELS}).write_csv(tmp_path / "mood.csv")
    return train(recipe(tiny_encoder, str(tmp_path / "mood.csv")), runs=tmp_path / "of-file")


@pytest.mark.parametrize("library", MAKERS)
def test_a_table_is_trained_from_as_a_file_is(library: str, of_file: Run, tmp_path: Path, tiny_encoder: Path) -> None:
    frame = MAKERS[library]({"text": TEXTS, "label": LABELS})
    assert is_frame(frame)
    run = train(recipe(tiny_encoder, frame), runs=tmp_path / "runs")
    for file in ("model.safetensors", "heads.safetensors", "tasks.json"):
        assert (run.best / file).read_bytes() == (of_file.best / file).read_bytes()
    again = train(recipe(tiny_encoder, frame), runs=tmp_path / "runs", resume=True)
    assert again.progress().is_complete
    stored = list((tmp_path / "runs" / "data").iterdir())
    assert len({path.name.rpartition("-")[2] for path in stored}) == 1, "one table, one digest"


@pytest.mark.parametrize("library", MAKERS)
def test_a_table_is_answered_as_a_list_is(library: str, of_file: Run) -> None:
    model = MultitaskModel.from_pretrained(of_file.best)
    frame = MAKERS[library]({"id": list(range(16)), "text": TEXTS})
    assert model.predict("mood", frame) == model.predict("mood", TEXTS)
    with pytest.raises(InputError, match=r"the table has no column 'text' \(did you mean 'texts'\?\); it has texts"):
        model.predict("mood", MAKERS[library]({"texts": TEXTS}))


def test_pairs_come_from_two_columns(of_file: Run, tiny_encoder: Path, tmp_path: Path) -> None:
    frame = pl.DataFrame({"a": TEXTS, "b": TEXTS[::-1], "label": LABELS})
    pairs = {"kind": "pair-classification", "text": ["a", "b"], "dev": None}
    values = recipe(tiny_encoder, frame)
    values["tasks"]["mood"] |= pairs
    del values["tasks"]["mood"]["dev"]
    run = train(values, runs=tmp_path / "runs")
    model = MultitaskModel.from_pretrained(run.best)
    assert model.predict("mood", frame) == model.predict("mood", list(zip(TEXTS, TEXTS[::-1], strict=True)))


def test_missing_cells_of_every_kind_are_none() -> None:
    frame = pd.DataFrame(
        {"text": ["a", None, np.nan], "label": [1.0, np.nan, 0.0], "when": pd.Categorical(["x", None, "y"])}
    )
    assert column(frame, "text") == ["a", None, None]
    assert column(frame, "label") == [1.0, None, 0.0]
    assert column(frame, "when") == ["x", None, "y"]
    assert column(pl.DataFrame({"label": [1, None]}), "label") == [1, None]


def test_a_label_of_datasets_is_its_name() -> None:
    names = datasets.ClassLabel(names=["down", "up"])
    features = datasets.Features({"label": names, "tags": datasets.List(names)})
    frame = datasets.Dataset.from_dict({"label": [1, 0, -1], "tags": [[1], [], [0, 1]]}, features=features)
    assert column(frame, "label") == ["up", "down", None]
    assert column(frame, "tags") == [["up"], [], ["down", "up"]]


def test_several_tables_and_named_dev_sets(tmp_path: Path, tiny_encoder: Path) -> None:
    frame = pl.DataFrame({"text": TEXTS, "label": LABELS})
    run = train(recipe(tiny_encoder, [frame[:8], frame[8:]], dev={"web": frame[:4], "mail": frame[4:]}), runs=tmp_path)
    record = next(record for record in run.records() if record["kind"] == "evaluation")
    assert list(record["dev_sets"]["mood"]) == ["web", "mail"]


def test_what_is_refused_leaves_nothing_behind(tmp_path: Path, tiny_encoder: Path) -> None:
    frame = pd.DataFrame({"text": ["good", None], "label": ["up", "down"]})
    with pytest.raises(
        MinbertError, match=r"'mood': .*mood-train-\w+.parquet, row 2, column 'text': the text is blank"
    ):
        train(recipe(tiny_encoder, frame), runs=tmp_path / "runs")
    assert not (tmp_path / "runs" / "data").exists()


@pytest.mark.parametrize("value", ["a.csv", ["a.csv"], {"a": "b"}, None, 3, Path("a.csv"), pd.Series(["a"])])
def test_other_values_are_no_tables(value: object) -> None:
    assert not is_frame(value)
