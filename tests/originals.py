"""Small data sets in the shape of the public originals, as the hub's repositories hold them."""

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from hub_server import Hub
from minbert.prepare.download import ORIGINALS, File
from minbert.tasks import Split

Row = tuple[object, ...]
ROWS: dict[str, dict[Split, list[Row]]] = {
    "sst": {
        "train": [("a good film", 3), ('not "very" good', 1), ("dull", 0), ("quiet , and very good", 4), ("a film", 2)],
        "dev": [("the dog was good", 3), ("bad", 0)],
        "test": [("a very bad film", 0), ("", 2), ("the cat", 2)],
    },
    "para": {
        "train": [("Was it good?", "Was it bad?", 0), ('"the" cat', '"the cat"', 1), ("a\tb\r\nc", "dull", 0)],
        "dev": [("the cat sat", "a cat sat", 1), ("the dog", "bad film", 0)],
    },
    "sts": {
        "train": [
            ("the cat sat", "a cat sat", 4.6),
            ("good", "bad", 1.714),
            ("a film", "the film", 5.0),
            ("a", "b", 0),
        ],
        "dev": [("the dog", "a dog", 4.25), ("very good", "quiet", 0.4)],
        "test": [("the dog sat", "a dog sat", -1.0), ("good", "", -1.0)],
    },
}


def publish(hub: Hub, folder: Path, rows: dict[str, dict[Split, list[Row]]] | None = None) -> None:
    """Puts the originals on the hub with these rows, or those of ROWS."""
    for task, splits in (rows or ROWS).items():
        for split, cells in splits.items():
            file = folder / ORIGINALS[task].repository / ORIGINALS[task].files[split].path
            file.parent.mkdir(parents=True, exist_ok=True)
            write(file, task, cells)
    for name in {original.repository for original in ORIGINALS.values()}:
        hub.add(f"datasets/{name}", folder / name)


def write(file: Path, task: str, rows: Sequence[Row]) -> None:
    """SetFit's lines of JSON with a column `label_text`; GLUE's Parquet with scores of 32 bits and a column `idx`."""
    texts = ORIGINALS[task].text
    columns = [*([texts] if isinstance(texts, str) else texts), "label"]
    if file.suffix == ".jsonl":
        objects = [dict(zip(columns, row, strict=True)) | {"label_text": "neutral"} for row in rows]
        file.write_text("".join(json.dumps(value, ensure_ascii=False) + "\n" for value in objects), encoding="utf-8")
        return
    kinds = [pl.String, pl.String, pl.Float32 if task == "sts" else pl.Int64]
    frame = pl.DataFrame(rows, schema=dict(zip(columns, kinds, strict=True)), orient="row", strict=False)
    frame.with_row_index("idx").with_columns(pl.col("idx").cast(pl.Int32)).write_parquet(file)


def expect(monkeypatch: pytest.MonkeyPatch, rows: dict[str, dict[Split, list[Row]]] | None = None) -> None:
    """Makes these rows, or those of ROWS, as many as were published."""
    for task, splits in (rows or ROWS).items():
        known = ORIGINALS[task]
        files = {split: File(known.files[split].path, len(cells)) for split, cells in splits.items()}
        monkeypatch.setitem(ORIGINALS, task, replace(known, files=known.files | files))


def cells_of(file: Path) -> list[list[str]]:
    """A course's file as Python's csv reads it, header and all."""
    with file.open(encoding="utf-8", newline="") as handle:
        return list(csv.reader(handle, delimiter="\t"))


def ids_of(file: Path) -> list[str]:
    header, *rows = cells_of(file)
    return [row[header.index("id")] for row in rows]
