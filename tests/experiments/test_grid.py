"""From recipes and seeds to runs, what may be gone on with, and what is read from runs that are done."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import minbert
from minbert.errors import DataError, MinbertError, RecipeError, RunError
from minbert.experiments.grid import baselines, check, expand, fault_of_folder, not_kept, scores
from minbert.recipes import load
from minbert.training import begin, records
from tiny import with_training

Write = Callable[..., Path]


@pytest.fixture
def write(values: dict[str, object], tmp_path: Path) -> Write:
    """Writes the recipe of three tiny tasks under a name, with changed tables, and gives its path."""

    def written(name: str, folder: str = "recipes", **changes: object) -> Path:
        recipe = load(with_training(values, epochs=1) | {"name": name} | changes)
        path = tmp_path / folder / f"{name.lower()}.toml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(recipe.to_toml(), encoding="utf-8")
        return path

    return written


def train(path: Path, seed: int, runs: Path) -> None:
    recipe = load(path, [f"seed={seed}"])
    for _ in records(begin(recipe, runs / recipe.name / f"seed-{seed}")):
        pass


def test_every_recipe_has_its_first_seed_before_any_has_its_second(write: Write, tmp_path: Path) -> None:
    write("A"), write("B", seed=7)
    (tmp_path / "recipes" / "_base.toml").write_text("seed = 1\n")
    cells = expand([tmp_path / "recipes"], tmp_path / "runs", seeds=3)
    assert [cell.name for cell in cells] == [
        "A seed 1", "B seed 7", "A seed 2", "B seed 8", "A seed 3", "B seed 9",
    ]  # fmt: skip
    assert [cell.keeps_weights for cell in cells] == [True, True] + [False] * 4
    assert [cell.folder for cell in cells[:2]] == [
        tmp_path / "runs" / "A" / "seed-1",
        tmp_path / "runs" / "B" / "seed-7",
    ]
    assert all(cell.keeps_weights for cell in expand([tmp_path / "recipes"], tmp_path, 2, keep_weights=True))


def test_scale_and_overrides_reach_every_recipe_and_nothing_else_changes(write: Write, tmp_path: Path) -> None:
    path = write("A")
    (cell,) = expand([path, path], tmp_path, scale=0.05, overrides=["optimizer.lr=0.5"])
    expected = load(path, ["optimizer.lr=0.5"])
    training = expected.training.model_copy(update={"scale": 0.05})
    assert cell.recipe == expected.model_copy(update={"training": training})


def test_what_cannot_be_expanded_is_refused(write: Write, values: dict[str, object], tmp_path: Path) -> None:
    write("A"), write("a", "others")
    with pytest.raises(RecipeError, match="two recipes are named 'a', and so would be their folders; rename one"):
        expand([tmp_path / "recipes", tmp_path / "others"], tmp_path)
    (tmp_path / "none").mkdir()
    with pytest.raises(RecipeError, match=r"none holds no recipe .* name another folder or a file"):
        expand([tmp_path / "none"], tmp_path)
    limited = write("limited", "limited", training=values["training"] | {"max_steps": 5, "epochs": None})  # type: ignore[operator]
    with pytest.raises(RecipeError, match=r"'limited' is limited by training\.max_steps, and --scale shortens epochs"):
        expand([limited], tmp_path, scale=0.5)
    assert expand([limited], tmp_path)


def test_data_and_encoder_are_checked_before_anything_runs(write: Write, tmp_path: Path) -> None:
    cells = expand([write("A"), write("B")], tmp_path / "runs")
    check(cells, skip_bad_rows=False)
    with (tmp_path / "c.csv").open("a") as file:
        file.write("dog,cat,seven\n")
    with pytest.raises(DataError, match=r"task 'near': .*c\.csv, row 6"):
        check(cells, skip_bad_rows=False)
    read = check(cells, skip_bad_rows=True)
    assert [name for name, reading in read.items() if reading.bad_rows] == ["near train", "near dev"]
    with pytest.raises(MinbertError, match="encoder 'nowhere'"):
        check(expand([write("C", encoder="nowhere")], tmp_path / "runs"), skip_bad_rows=True)
    assert not (tmp_path / "runs").exists()


def test_only_runs_of_the_same_recipe_and_data_are_gone_on_with(write: Write, tmp_path: Path) -> None:
    path, runs = write("A"), tmp_path / "runs"
    train(path, 1, runs)
    (same,) = expand([path], runs)
    assert fault_of_folder(same) is None
    assert same.condition == "complete"
    for change, key in (
        (["training.batch_size=2"], r"training\.batch_size = .* \(now 2\)"),
        (["training.scale=0.5"], r"training\.scale = 1\.0 \(now 0\.5\)"),
    ):
        with pytest.raises(RunError, match=rf"seed-1 was made with {key}; give the same recipe and options"):
            check(expand([path], runs, overrides=change), skip_bad_rows=False)
    with (tmp_path / "c.csv").open("a") as file:
        file.write("dog,cat,1.0\n")
    with pytest.raises(RunError, match=r"c\.csv has changed since .*seed-1 was made; put it back"):
        check([same], skip_bad_rows=False)
    (tmp_path / "c.csv").unlink()
    assert "c.csv is not there any more since " in (fault_of_folder(same) or "")


def test_a_key_that_was_taken_out_counts_as_a_change(write: Write, values: dict[str, object], tmp_path: Path) -> None:
    capped = values["training"] | {"epochs": 1, "steps_per_epoch": 1}  # type: ignore[operator]
    near = values["tasks"]["near"] | {"head": "concat"}  # type: ignore[index]
    tasks = values["tasks"] | {"near": near}  # type: ignore[operator]
    order = {"kind": "round-robin", "order": ["near", "mood", "same"]}
    train(write("A", training=capped, tasks=tasks, schedule=order), 1, tmp_path / "runs")
    for changes, key in (
        ({"tasks": tasks, "schedule": order}, "training.steps_per_epoch"),
        ({"training": capped, "schedule": order}, "tasks.near.head"),
        ({"training": capped, "tasks": tasks, "schedule": {"kind": "round-robin"}}, "schedule.order"),
    ):
        path = write("A", **changes)
        assert "order" not in path.read_text() or "order" in changes["schedule"], (
            "written in full it would be no change"
        )
        (cell,) = expand([path], tmp_path / "runs")
        assert f" made with {key} = " in (fault_of_folder(cell) or "")


def test_what_a_run_is_compared_with_is_no_part_of_it(write: Write, tmp_path: Path) -> None:
    train(write("A"), 1, tmp_path / "runs")
    (cell,) = expand([write("A", control={"of": "B", "key": "seed"})], tmp_path / "runs")
    assert fault_of_folder(cell) is None


def test_a_group_never_lies_in_a_single_runs_folder(write: Write, tmp_path: Path) -> None:
    path = write("A")
    minbert.train(path, runs=tmp_path / "runs")
    with pytest.raises(RunError, match="is a single run of its own; choose another --runs"):
        check(expand([path], tmp_path / "runs"), skip_bad_rows=False)


def test_scores_are_means_at_the_last_update_with_the_baseline_above(write: Write, tmp_path: Path) -> None:
    path, runs = write("A"), tmp_path / "runs"
    for seed in (1, 2):
        train(path, seed, runs)
    cells = expand([path, write("B")], runs, seeds=3)
    assert [cell.condition for cell in cells] == ["complete", "missing", "complete", "missing", "missing", "missing"]
    (row,) = scores(cells)
    last, seconds = [], 0.0
    for cell in (cells[0], cells[2]):
        lines = [json.loads(line) for line in (cell.folder / "metrics.jsonl").read_text().splitlines()]
        last.append([line for line in lines if line["kind"] == "evaluation"][-1])
        seconds += sum(line["seconds"] for line in lines if line["kind"] == "step")
    sums = [record["sum"] for record in last]
    assert (row.name, row.seeds, row.values["sum"]) == ("A", 2, pytest.approx(sum(sums) / 2))
    assert row.values["mood"] == pytest.approx(sum(record["metrics"]["mood"]["accuracy"] for record in last) / 2)
    assert row.deviations["sum"] == pytest.approx(abs(sums[0] - sums[1]) / 2**0.5)
    assert row.seconds == pytest.approx(seconds / 2)
    constant = baselines(cells)
    assert constant == {"mood": pytest.approx(3 / 7), "same": 0.5, "near": None, "sum": pytest.approx(3 / 7 + 0.5)}


def test_a_score_that_one_run_lacks_is_undefined(write: Write, tmp_path: Path) -> None:
    path, runs = write("A"), tmp_path / "runs"
    train(path, 1, runs)
    cells = expand([path], runs)
    file = cells[0].folder / "metrics.jsonl"
    records = [json.loads(line) for line in file.read_text().splitlines()]
    for record in records:
        if record["kind"] == "evaluation":
            record["metrics"]["near"]["pearson"] = None
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    (row,) = scores(cells)
    assert row.values["near"] is None
    assert row.deviations == dict.fromkeys(row.values)


def test_a_control_that_does_not_differ_as_it_says_is_refused(
    write: Write, values: dict[str, object], tmp_path: Path
) -> None:
    other = values["training"] | {"epochs": 1, "batch_size": 4}  # type: ignore[operator]
    folder = write("A").parent
    write("B", control={"of": "A", "key": "training.batch_size"}, training=other)
    assert len(expand([folder], tmp_path)) == 2
    assert len(expand([folder / "b.toml"], tmp_path, overrides=["training.batch_size=2"])) == 1, (
        "its partner is not here"
    )
    with pytest.raises(
        RecipeError, match=r"'B' is a control of 'A' in training\.batch_size, but here they differ in nothing;"
    ):
        expand([folder], tmp_path, overrides=["training.batch_size=2"])
    write("B", control={"of": "A", "key": "training.batch_size"}, training=other, seed=3)
    with pytest.raises(RecipeError, match=r"they differ in seed, training\.batch_size; mend the recipe"):
        expand([folder], tmp_path)
    assert len(expand([folder], tmp_path, overrides=["seed=1"])) == 2


def test_an_a_a_pair_shares_no_seed(write: Write, tmp_path: Path) -> None:
    folder = write("A").parent
    write("B", control={"of": "A", "key": "seed"}, seed=3)
    assert len(expand([folder], tmp_path, seeds=2)) == 4
    with pytest.raises(RecipeError, match="begin at seeds 3 and 1, so with --seeds 3 they share some"):
        expand([folder], tmp_path, seeds=3)


def test_there_is_no_sum_of_baselines_beside_recipes_of_other_tasks(
    write: Write, values: dict[str, object], tmp_path: Path
) -> None:
    both, runs = write("A"), tmp_path / "runs"
    one = write("B", tasks={"mood": values["tasks"]["mood"]})  # type: ignore[index]
    for path in (both, one):
        train(path, 1, runs)
    assert "sum" in baselines(expand([both], runs))
    assert baselines(expand([one], runs))["sum"] == pytest.approx(3 / 7)
    assert "sum" not in baselines(expand([both, one], runs))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_length": 41}, "max_length = 41 is more than this encoder's 40 tokens"),
        ({"mode": "frozen"}, "task 'near': head 'cosine' has no weights"),
    ],
)
def test_a_model_that_cannot_be_made_is_found_before_anything_runs(
    write: Write, values: dict[str, object], tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    write("A"), write("B", training=values["training"] | changes)  # type: ignore[operator]
    with pytest.raises(MinbertError, match=message):
        check(expand([tmp_path / "recipes"], tmp_path / "runs", seeds=2), skip_bad_rows=False)


def test_files_of_one_name_are_told_apart(write: Write, values: dict[str, object], tmp_path: Path) -> None:
    mood = values["tasks"]["mood"]  # type: ignore[index]
    other = tmp_path / "other.csv"
    other.write_text(Path(mood["train"]).read_text())
    paths = [write("A"), write("B", tasks=values["tasks"] | {"mood": mood | {"train": str(other)}})]  # type: ignore[operator]
    read = check(expand(paths, tmp_path / "runs"), skip_bad_rows=False)
    assert {"mood train", f"mood train of {other}"} <= set(read)


def test_an_empty_folder_of_results_holds_none(write: Write, tmp_path: Path) -> None:
    """Also one in which a kill left answers and no list of runs."""
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "answers.parquet").write_bytes(b"")
    cells = expand([write("A")], tmp_path / "runs")
    assert not_kept(cells, tmp_path / "results") == cells
