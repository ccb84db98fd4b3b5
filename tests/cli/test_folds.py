"""Parts of a train file held back in turn: the runs of a seed count as one, which answered every row once."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from cli.conftest import Command
from minbert.experiments.devsets import dev_sets, row_numbers
from minbert.experiments.loading import load_results
from minbert.runs import Run
from minbert.splits import read_splits
from minbert.tables import write_table

FOLDS = (1, 2, 3)


@pytest.fixture
def recipe(tmp_path: Path, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two tasks of 31 and 22 rows, in three parts each."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    words = ["good", "bad", "film", "cat", "dog", "dull", "quiet", "very"]
    texts = [f"{words[n % 8]} {words[n // 8]}" for n in range(31)]
    write_table(
        tmp_path / "mood.csv", ["text", "label"], [[text, ("up", "down")[n % 2]] for n, text in enumerate(texts)]
    )
    near = [[texts[n], f"{texts[n]} {n}", str(n % 6)] for n in range(22)]
    write_table(tmp_path / "near.csv", ["one", "two", "score"], near)
    path = tmp_path / "small.toml"
    path.write_text(
        f'encoder = "{tiny_encoder}"\n[tasks.mood]\nkind = "classification"\ntrain = "mood.csv"\nfolds = 3\n'
        '[tasks.near]\nkind = "pair-regression"\ntrain = "near.csv"\ntext = ["one", "two"]\nlabel = "score"\n'
        "range = [0, 5]\nfolds = 3\n[training]\nmax_steps = 2\nbatch_size = 4\n"
    )
    return path


def test_the_runs_of_a_seed_answer_every_row_once_and_are_scored_together(
    recipe: Path, command: Command, caplog: pytest.LogCaptureFixture
) -> None:
    assert "for a single run say which one, as in fold = 1" in command("train", recipe).err
    done = command("experiment", "run", recipe, "--seeds", "2", "--results", "kept")
    assert done.code == 0, done.err
    assert "small seed 2 fold 3" in done.err
    status = command("experiment", "status", recipe, "--seeds", "2", "--json")
    (score,) = json.loads(status.out)["scores"]
    results = load_results(Path("runs/small"))
    assert [(result.group, result.seed) for result in results] == [("runs/small", 1), ("runs/small", 2)]
    dev, means = dev_sets(results), [result.scores["mood"] for result in results]
    assert score["seeds"] == 2
    assert score["values"]["mood"] == pytest.approx(np.mean([mean for mean in means if mean is not None]))
    for result in results:
        right = rows = 0
        for fold in FOLDS:
            run = Run(Path(f"runs/small/seed-{result.seed}/fold-{fold}"))
            answered = run.read_predictions("mood", run.recipe().tasks["mood"])
            assert answered.labels is not None
            right, rows = right + int((answered.values == answered.labels).sum()), rows + len(answered.labels)
        assert result.scores["mood"] == pytest.approx(right / rows)
        assert (result.answers["mood"] == dev["mood"].labels).mean() == pytest.approx(right / rows)
    assert sorted(row_numbers(dev["mood"])) == list(range(1, 32))
    assert sorted(row_numbers(dev["near"])) == list(range(1, 23))
    kept = load_results(Path("kept"))
    assert [(result.seed, result.scores, len(result.answers["near"])) for result in kept] == [
        (result.seed, result.scores, 22) for result in results
    ]
    again = command("experiment", "run", recipe, "--seeds", "2", "--results", "kept")
    assert "6 runs of 6 kept in kept already" in again.err
    shutil.rmtree("runs/small/seed-2/fold-3")
    caplog.clear()
    assert [result.seed for result in load_results(Path("runs/small"))] == [1]
    assert "left out 1 seed, of which some part is not there: runs/small seed 2" in caplog.text


def test_parts_can_be_compared_and_reported(recipe: Path, command: Command) -> None:
    other = recipe.with_name("other.toml")
    other.write_text(recipe.read_text() + "[optimizer]\nlr = 1e-3\n")
    done = command("experiment", "run", recipe, other, "--seeds", "3")
    assert done.code == 0, done.err
    found = command("compare", "runs/small", "runs/other")
    assert found.code == 0, found.err
    assert "optimizer.lr" in found.out
    reported = command("report", "runs", "--output", "report")
    assert reported.code == 0, reported.err
    Path("mine/figures").mkdir(parents=True)
    Path("mine/figures/curves.csv").write_text("of my own")
    refused = command("report", "runs", "--output", "mine")
    assert refused.code == 2
    assert "figures exists already; choose another --output, or pass --force" in " ".join(refused.err.split())
    assert Path("mine/figures/curves.csv").read_text() == "of my own"
    whole = command("evaluate", "runs/small")
    assert whole.code == 2
    assert "runs/small holds a run for each part of its train files; take runs/small/seed-1/fold-1" in whole.err
    one_part = command("compare", "runs/small/seed-1/fold-2", "runs/other")
    assert one_part.code == 2
    assert "lacks some part of runs/small seed 1; complete its runs, and name the folder of them all" in one_part.err


def test_a_single_run_may_hold_back_one_part(recipe: Path, command: Command) -> None:
    done = command("train", recipe, "--set", "tasks.mood.fold=2", "--set", "tasks.near.fold=2")
    assert done.code == 0, done.err
    held, run = read_splits(Run(Path("runs/small")).recipe().tasks["mood"])[1]["dev"].examples, Run(Path("runs/small"))
    assert run.read_predictions("mood", run.recipe().tasks["mood"]).ids == held.ids
    assert 0 < len(held) < 31
    checked = command("data", "check", "--recipe", recipe)
    assert checked.code == 0, checked.err
    assert checked.out.rstrip().endswith("Experiment run would refuse nothing.")
