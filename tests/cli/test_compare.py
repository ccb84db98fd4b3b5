"""`minbert compare`: two groups by their folders or among kept results, as tables and as JSON."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cli.conftest import Command
from experiments.planted import group_of, mood_set
from minbert.experiments.devsets import dev_sets, row_numbers
from minbert.experiments.loading import load_results
from minbert.experiments.results import Point, keep
from minbert.metrics import METRICS
from minbert.recipes import load
from minbert.runs import digest
from minbert.tables import write_table
from minbert.tasks import SPLITS


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Results of groups "better" and "worse", and the dev file that they were scored on in the folder "data"."""
    dev, data = mood_set(), tmp_path / "data"
    data.mkdir()
    labels = [(dev.task.labels or [])[int(label)] for label in dev.labels]
    rows = [[text, label, len(text) % 2] for text, label in zip(dev.examples.texts[0], labels, strict=True)]
    write_table(data / "mood.csv", ["text", "label", "desk"], rows)
    known = {"mood": dict.fromkeys(SPLITS[:2], digest(data / "mood.csv"))}
    groups = group_of(dev, "better", 0.7, 1, 3) + group_of(dev, "worse", 0.6, 11, 3)
    keep([replace(result, data=known) for result in groups], tmp_path / "kept")
    return tmp_path / "kept"


def test_two_groups_of_kept_results(kept: Path, command: Command) -> None:
    options = ["better", "worse", "--results", kept, "--data", "data"]
    found = command("compare", *options, "--column", "desk")
    assert found.code == 0, found.err
    assert found.out.startswith("better: 3 runs, seed 1, 2, 3\nworse: 3 runs, seed 11, 12, 13\n")
    row = next(line.split() for line in found.out.splitlines() if line.split()[:1] == ["mood"])
    as_json = json.loads(command("compare", *options, "--json").out)
    (line,) = as_json["scores"]
    assert row[1:4] == [f"{line['left']:.3f}", f"{line['right']:.3f}", f"+{line['difference']['value']:.3f}"]
    assert row[-3:] == ["<", "0.001", "better"]
    assert line["verdict"] == "better"
    assert {part["kind"] for part in as_json["slices"]} == {"length", "label", "negation"}
    assert "desk" in found.out
    assert "How sharp the view is" in found.out
    assert "seconds a run: 10 and 10" in found.out


@pytest.mark.parametrize("seeds", [2, 5])
def test_json_holds_no_number_that_other_readers_do_not_know(kept: Path, command: Command, seeds: int) -> None:
    """Such as Infinity: below three seeds, and where they are kept, no degrees of freedom are known."""
    dev = mood_set()
    known = {"mood": dict.fromkeys(SPLITS[:2], digest(kept.parent / "data" / "mood.csv"))}
    groups = group_of(dev, "one", 0.7, 1, seeds) + group_of(dev, "two", 0.6, 11, seeds)
    keep([replace(result, data=known) for result in groups], kept)
    found = command("compare", "one", "two", "--results", kept, "--data", "data", "--json")
    (line,) = json.loads(found.out, parse_constant=pytest.fail)["scores"]
    assert line["difference"]["examples"] == len(dev)
    assert (line["sharper"] is None) == (seeds < 5)


def test_where_a_run_lacks_a_score_it_is_said_beside_the_mean(tmp_path: Path, command: Command) -> None:
    """A mean with a 0 in it looks like that of a bad method."""
    generator = np.random.default_rng(0)
    write_table(tmp_path / "near.csv", ["x", "y", "score"], [["a", f"b {n}", f"{n / 10:g}"] for n in range(50)])
    task = {"kind": "pair-regression", "text": ["x", "y"], "label": "score", "range": [0, 5], "metric": "pearson"}
    recipe = load({"name": "A", "tasks": {"near": task | {"train": "near.csv", "dev": "near.csv"}}})
    labels, data = np.arange(50) / 10, {"near": dict.fromkeys(SPLITS[:2], digest(tmp_path / "near.csv"))}
    made = []
    for group, seed in (("A", 1), ("A", 2), ("A", 3), ("B", 1), ("B", 2), ("B", 3)):
        answers = np.ones(50) if (group, seed) == ("A", 2) else labels + generator.normal(size=50)
        metrics = {name: METRICS[name](answers, labels) for name in ("pearson", "spearman")}
        one = replace(group_of(mood_set(), group, 0.5, seed, 1)[0], recipe=recipe.model_copy(update={"seed": seed}))
        curve = [Point(100, 1, {"near": metrics})]
        made.append(replace(one, answers={"near": answers}, curve=curve, data=data, batches={"near": 1}))
    keep(made, tmp_path / "kept")
    told = command("compare", "A", "B", "--results", "kept", "--data", ".").out.splitlines()
    assert "near is undefined in 1 of 3 runs of A, and counts as 0." in told
    assert sum("is undefined in" in line for line in told) == 1


def test_a_kept_group_is_known_by_the_end_of_its_name(kept: Path, command: Command) -> None:
    dev = mood_set()
    known = {"mood": dict.fromkeys(SPLITS[:2], digest(kept.parent / "data" / "mood.csv"))}
    of_names = {name: group_of(dev, name.partition("/")[2], 0.6, 1, 3) for name in ("tuned/it", "tuned/two", "old/two")}
    keep([replace(one, data=known, group=name) for name, group in of_names.items() for one in group], kept)
    options = ["--results", kept, "--data", "data"]
    found = command("compare", "it", "better", *options)
    assert found.out.startswith("tuned/it: 3 runs, seed 1, 2, 3\nbetter: 3 runs")
    assert "Runs of the same seed are paired: 1, 2, 3.\n" in found.out
    assert "paired" not in command("compare", "it", "worse", *options).out
    refused = command("compare", "two", "better", *options)
    assert (refused.code, refused.out) == (2, "")
    assert "kept has 2 groups of that name; name one of old/two, tuned/two" in refused.err


def test_two_folders_of_runs(recipes: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert command("experiment", "run", recipes, "--scale", "0.1", "--runs", "runs").code == 0
    found = command("compare", "runs/PCG", "runs/SUM/seed-1")
    assert found.code == 0, found.err
    assert "undecided (seeds)" in found.out
    assert "How sharp the view is" not in found.out, "of single runs nothing is known of seeds"
    assert 'gradients.method: "pcgrad" and "sum"' in found.out
    whole = command("compare", "runs", "runs/SUM")
    assert (whole.code, "runs holds 2 groups of runs; name one, such as runs/PCG" in whole.err) == (2, True)
    for name in ("PCG", "SUM"):
        Path("runs", name, "seed-1").rename(Path("runs", name, "whole"))
    single = command("compare", "runs", "runs/SUM")
    assert "runs holds 2 groups of runs; name one, such as runs/PCG/whole" in single.err


@pytest.mark.parametrize(
    ("left", "right", "more", "fault"),
    [
        ("better", "wurse", ["--results", "kept"], "kept has no group 'wurse' (did you mean 'worse'?)"),
        ("kept", "kept", [], "kept holds 2 groups of runs; pass --results kept and name one, such as better"),
        ("nowhere", "kept", [], "nowhere holds no complete run and no results"),
        ("better", "worse", ["--results", "kept"], "pass --data DIR with that file"),
        ("better", "better", ["--results", "kept", "--data", "data"], "better seed 1; better seed 2"),
        (
            "better",
            "worse",
            ["--results", "kept", "--data", "data", "--column", "desc"],
            "no dev file has a column 'desc' (did you mean 'desk'?); name one of 'text', 'label', 'desk'",
        ),
        (
            "better",
            "worse",
            ["--results", "kept", "--data", "data", "--column", "text"],
            "column 'text' has no value that 20 rows or more have and as many have not",
        ),
        (
            "better",
            "worse",
            ["--results", "kept", "--data", "data", "--column", "negation"],
            "no dev file has a column 'negation'; name one of 'text', 'label', 'desk'",
        ),
    ],
)
def test_what_cannot_be_compared(
    kept: Path, command: Command, left: str, right: str, more: list[str], fault: str
) -> None:
    refused = command("compare", left, right, *more)
    assert refused.code == 2
    assert fault in refused.err
    assert len(refused.err.splitlines()) <= 3


@pytest.mark.parametrize("column", ["desk", "length"])  # a kind of part without a column is called so too
def test_a_column_is_found_beside_held_back_and_bad_rows(
    tmp_path: Path, command: Command, tiny_encoder: Path, column: str
) -> None:
    """Parts by a column are those of the rows that were scored, wherever they stand in the file."""
    values = [f"https://example.org/all/of/them/begin/with/these/very/same/letters/{end}" for end in "ab"]
    words = ["good", "bad", "film", "cat", "dog", "dull", "quiet", "very", "nice", "poor"]
    rows = [[f"{words[n % 10]} {words[n // 10 % 10]} {n}", n % 2, values[n % 3 == 0]] for n in range(120)]
    rows.insert(7, ["no label", "", values[0]])
    write_table(tmp_path / "mood.csv", ["text", "label", column], rows)
    recipe = f'encoder = "{tiny_encoder}"\n[tasks.mood]\nkind = "classification"\ntrain = "mood.csv"\nholdout = 50\n'
    (tmp_path / "it.toml").write_text(recipe + "[training]\nmax_steps = 1\n")
    assert command("experiment", "run", "it.toml", "--skip-bad-rows", "--seeds", "2").code == 0
    found = command("compare", "runs/it/seed-1", "runs/it/seed-2", "--column", column, "--json")
    assert found.code == 0, found.err
    (dev,) = dev_sets(load_results(tmp_path / "runs" / "it" / "seed-1")).values()
    desks = [rows[row - 1][2] for row in row_numbers(dev)]
    assert [rows[row - 1][0] for row in row_numbers(dev)] == dev.examples.texts[0]
    of_column = [part for part in json.loads(found.out)["slices"] if part["kind"] == f"column {column}"]
    parts = {part["name"]: part["examples"] for part in of_column}
    shown = {value: f"https://example.org/all/of/the…with/these/very/same/letters/{value[-1]}" for value in values}
    assert parts == {shown[value]: desks.count(value) for value in values if 20 <= desks.count(value) <= 30}
    assert parts
