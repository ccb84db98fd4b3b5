"""What is kept of runs is what their folders held, without a word of their data, and without the folders."""

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from minbert.errors import MinbertError, RunError
from minbert.experiments.devsets import dev_sets, readings
from minbert.experiments.grid import expand, fault_of_folder, not_kept, standing
from minbert.experiments.loading import load_results
from minbert.experiments.results import Result, group_of, keep
from minbert.metrics import METRICS
from minbert.runs import Run, digest
from tiny import PAIRS, SST


@pytest.fixture
def results(runs: Path) -> list[Result]:
    return load_results(runs)


def test_a_result_is_what_the_runs_records_say(runs: Path, results: list[Result]) -> None:
    assert [(result.group, result.seed) for result in results] == [
        (g, s) for g in ("runs/PCG", "runs/SUM") for s in (1, 2, 3)
    ]
    run, result = Run(runs / "PCG" / "seed-2"), results[1]
    steps = [record for record in run.records() if record["kind"] == "step"]
    assert result.updates == len(steps) == 12
    assert result.batches == {"mood": 12, "same": 12, "near": 12}
    assert result.tokens == sum(step["tokens"] for step in steps)
    assert [(point.step, point.epoch) for point in result.curve] == [(2 * epoch, epoch) for epoch in range(7)]
    assert result.recipe == run.recipe()
    file_of = dict(zip(("mood", "same", "near"), ("a.csv", "b.csv", "c.csv"), strict=True))
    digests = {name: digest(runs.parent / file) for name, file in file_of.items()}
    assert result.data == {name: dict.fromkeys(("train", "dev"), digest) for name, digest in digests.items()}


def test_the_kept_answers_give_the_recorded_scores(results: list[Result]) -> None:
    dev = dev_sets(results)
    for result in results:
        for name, answers in result.answers.items():
            for metric, value in result.curve[-1].metrics[name].items():
                assert METRICS[metric](answers, dev[name].labels) == pytest.approx(value, abs=1e-12)


def test_conflict_is_the_mean_of_the_steps_of_an_epoch(runs: Path, results: list[Result]) -> None:
    records = Run(runs / "PCG" / "seed-1").records()
    steps = [record for record in records if record["kind"] == "step" and record["epoch"] == 3]
    cosines = [step["cosines"]["same/mood"] for step in steps]
    found = {(c.epoch, c.layer, c.between): c for c in results[0].conflict}
    whole = found[3, "all", "same/mood"]
    assert whole.cosine == pytest.approx(np.mean(cosines))
    assert whole.negative == np.mean([cosine < 0 for cosine in cosines])
    assert whole.count == 2
    looked = next(record for record in records if "layer_cosines" in record)
    assert found[1, "layer.1", "near/same"].cosine == pytest.approx(looked["layer_cosines"]["layer.1"]["near/same"])
    assert found[1, "all", "same"].cosine == pytest.approx(looked["null_cosines"]["same"])
    assert found[1, "layer.1", "same"].cosine == pytest.approx(looked["layer_null_cosines"]["layer.1"]["same"])


def test_what_is_kept_is_what_was_there(runs: Path, results: list[Result], tmp_path: Path) -> None:
    keep(results, tmp_path / "kept")
    shutil.rmtree(runs)
    again = load_results(tmp_path / "kept")
    for before, after in zip(results, again, strict=True):
        assert {n: a.tolist() for n, a in after.answers.items()} == {n: a.tolist() for n, a in before.answers.items()}
        assert [replace(c, cosine=0, negative=0) for c in after.conflict] == [
            replace(c, cosine=0, negative=0) for c in before.conflict
        ]
        assert np.allclose([c.cosine for c in after.conflict], [c.cosine for c in before.conflict], atol=1e-6)
        assert after.recipe.tasks["mood"].train == "a.csv"
        paths = {"answers": {}, "conflict": [], "recipe": before.recipe, "folder": None}
        assert replace(after, **paths) == replace(before, **paths)  # type: ignore[arg-type]


def test_results_grow_and_a_run_that_is_done_again_takes_its_place(results: list[Result], tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    keep(results[1:], folder)
    renewed = replace(results[1], seconds=1.0)
    kept = keep([renewed, results[0]], folder)
    assert [result.name for result in kept] == [result.name for result in results]
    assert load_results(folder)[1].seconds == 1.0


def test_a_large_seed_is_kept(results: list[Result], tmp_path: Path) -> None:
    (kept,) = keep([replace(results[0], seed=3_000_000_000)], tmp_path / "kept")
    (again,) = load_results(tmp_path / "kept")
    assert again.seed == kept.seed == 3_000_000_000
    assert again.answers.keys() == results[0].answers.keys()


def test_two_that_keep_at_once_lose_nothing(results: list[Result], tmp_path: Path) -> None:
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda result: keep([result], tmp_path / "kept"), results))
    assert [result.name for result in load_results(tmp_path / "kept")] == [result.name for result in results]


def test_no_word_of_the_data_and_no_place_of_the_machine_is_kept(results: list[Result], tmp_path: Path) -> None:
    keep(results, tmp_path / "kept")
    answers = pl.read_parquet(tmp_path / "kept" / "answers.parquet")
    assert answers.columns == ["run", "seed", "task", "row", "prediction"]
    frames = [pl.read_parquet(file).write_ndjson() for file in (tmp_path / "kept").glob("*.parquet")]  # not packed
    kept = "".join([*frames, (tmp_path / "kept" / "runs.jsonl").read_text()])
    assert '"task":"mood"' in kept
    assert str(tmp_path) not in kept
    assert not any(text in kept for text in (*SST, *(text for pair in PAIRS for text in pair)) if " " in text)


def test_one_run_twice_is_no_second_seed(runs: Path) -> None:
    shutil.copytree(runs, runs.parent / "backup" / "runs")
    with pytest.raises(RunError, match="are both runs/PCG seed 1; name a folder that holds one of them"):
        load_results(runs.parent)


def test_seeds_of_another_recipe_or_other_data_are_no_group(results: list[Result], tmp_path: Path) -> None:
    optimizer = results[0].recipe.optimizer.model_copy(update={"lr": 0.5})
    other = replace(results[1], recipe=results[1].recipe.model_copy(update={"optimizer": optimizer}))
    keep([results[0], other], tmp_path / "recipe")
    with pytest.raises(RunError, match=r"seeds 1 and 2 of runs/PCG are not runs of one recipe: optimizer.lr = "):
        load_results(tmp_path / "recipe")
    keep([results[0], replace(results[1], data=results[1].data | {"mood": {"train": "0"}})], tmp_path / "data")
    with pytest.raises(RunError, match="are not runs of one recipe: other files of mood"):
        load_results(tmp_path / "data")


def test_a_run_that_stands_in_the_results_twice_is_no_second_seed(results: list[Result], tmp_path: Path) -> None:
    keep(results, tmp_path / "kept")
    file = tmp_path / "kept" / "runs.jsonl"
    file.write_text(file.read_text() + file.read_text().splitlines()[0] + "\n")
    with pytest.raises(RunError, match=r"a run in .*kept and a run in .*kept are both runs/PCG seed 1"):
        load_results(tmp_path / "kept")


def test_answers_are_known_by_their_row_and_must_give_the_score(results: list[Result], tmp_path: Path) -> None:
    keep(results, tmp_path / "kept")
    file = tmp_path / "kept" / "answers.parquet"
    answers = pl.read_parquet(file)
    answers.sample(fraction=1, shuffle=True, seed=0).write_parquet(file)
    again = load_results(tmp_path / "kept")
    assert {n: a.tolist() for n, a in again[0].answers.items()} == {
        n: a.astype(np.float32).tolist() for n, a in results[0].answers.items()
    }
    answers.filter(~((pl.col("task") == "mood") & (pl.col("row") == 2))).write_parquet(file)
    with pytest.raises(RunError, match=r"the answers of runs/PCG seed 1 are not those of rows 1 to n"):
        load_results(tmp_path / "kept")
    is_last = (pl.col("task") == "mood") & (pl.col("row") == pl.col("row").filter(pl.col("task") == "mood").max())
    answers.filter(~is_last).write_parquet(file)
    with pytest.raises(RunError, match=r"answers of runs/PCG seed 1 to the \d+ dev rows of task 'mood' do not"):
        dev_sets(load_results(tmp_path / "kept"), tmp_path)
    turned = pl.when(pl.col("task") == "mood").then(2 - pl.col("prediction")).otherwise(pl.col("prediction"))
    answers.with_columns(turned.alias("prediction")).write_parquet(file)
    with pytest.raises(RunError, match=r"dev rows of task 'mood' do not give its score"):
        dev_sets(load_results(tmp_path / "kept"), tmp_path)


def cut(file: Path, where: int) -> None:
    """Takes one line out of a file."""
    lines = file.read_text().splitlines(keepends=True)
    del lines[where]
    file.write_text("".join(lines))


BREAK: dict[str, Callable[[Path], object]] = {
    "progress cut": lambda run: (run / "last" / "progress.json").write_text('{"step": 1'),
    "progress of another version": lambda run: (run / "last" / "progress.json").write_text('{"steps": 1}'),
    "no environment": lambda run: (run / "environment.json").unlink(),
    "environment cut": lambda run: (run / "environment.json").write_text("{not"),
    "environment without a key": lambda run: (run / "environment.json").write_text('{"data": {}}'),
    "no records": lambda run: (run / "metrics.jsonl").unlink(),
    "records of another version": lambda run: (run / "metrics.jsonl").write_text('{"kind": "step", "step": 1}\n'),
    "records without an update": lambda run: cut(run / "metrics.jsonl", 1),
    "records without the last evaluation": lambda run: cut(run / "metrics.jsonl", -1),
    "recipe cut": lambda run: (run / "recipe.toml").write_text("name ="),
    "no answers": lambda run: shutil.rmtree(run / "predictions"),
    "answers cut": lambda run: (run / "predictions" / "last" / "mood-dev.parquet").write_bytes(b"PAR1"),
}


@pytest.mark.parametrize("break_it", BREAK.values(), ids=BREAK)
def test_a_damaged_run_is_named(runs: Path, break_it: Callable[[Path], object]) -> None:
    break_it(runs / "SUM" / "seed-2")
    with pytest.raises(MinbertError, match=r"SUM/seed-2.*(remove|put|correct)"):
        load_results(runs)


@pytest.mark.parametrize("name", [name for name in BREAK if name != "answers cut"])
def test_a_damaged_run_is_not_called_complete(runs: Path, name: str) -> None:
    BREAK[name](runs / "SUM" / "seed-2")
    cells = expand([runs.parent / "recipes"], runs, seeds=3)
    of_run = {cell.name: standing(cell) for cell in cells}
    condition, fault = of_run.pop("SUM seed 2")
    assert condition == "refused"
    assert "SUM/seed-2" in str(fault)
    assert {condition for condition, _ in of_run.values()} == {"complete"}


def test_a_run_that_lacks_an_update_is_not_gone_on_with(runs: Path) -> None:
    """Nor trained to its end, to be refused there."""
    folder = runs / "SUM" / "seed-2"
    cut(folder / "metrics.jsonl", 1)
    run = Run(folder)
    with (
        pytest.raises(RunError, match=r"does not hold .* updates, one after the other; put it back as it was"),
        run.writing(run.recipe(), run.environment(), resume=True),
    ):
        pass


def test_a_run_whose_recipe_is_gone_is_not_made_again_over_its_answers(runs: Path) -> None:
    (runs / "SUM" / "seed-2" / "recipe.toml").unlink()
    (cell,) = [cell for cell in expand([runs.parent / "recipes"], runs, seeds=3) if cell.name == "SUM seed 2"]
    assert "recipe.toml is not there; put it back" in str(fault_of_folder(cell))


def test_classes_in_another_order_are_other_rows(results: list[Result]) -> None:
    tasks = results[0].recipe.tasks
    turned = tasks | {"mood": tasks["mood"].model_copy(update={"labels": ["2", "1", "0"]})}
    other = replace(results[1], recipe=results[1].recipe.model_copy(update={"tasks": turned}))
    with pytest.raises(RunError, match="were scored on different rows of task 'mood'"):
        dev_sets([results[0], other])


def test_runs_that_are_not_complete_are_no_results(runs: Path, caplog: pytest.LogCaptureFixture) -> None:
    progress = runs / "PCG" / "seed-1" / "last" / "progress.json"
    progress.write_text(json.dumps(json.loads(progress.read_text()) | {"is_complete": False}))
    assert [result.name for result in load_results(runs / "PCG")] == ["runs/PCG seed 2", "runs/PCG seed 3"]
    assert caplog.messages == [f"left out 1 run, not complete: {runs / 'PCG' / 'seed-1'}"]
    shutil.rmtree(runs / "PCG")
    shutil.rmtree(runs / "SUM")
    with pytest.raises(RunError, match="holds no complete run and no results"):
        load_results(runs)


def test_results_are_laid_beside_the_very_rows_that_were_scored(
    results: list[Result], runs: Path, tmp_path: Path
) -> None:
    keep(results, tmp_path / "kept")
    kept = load_results(tmp_path / "kept")
    dev = dev_sets(kept, tmp_path)
    assert dev["mood"].examples.texts == [SST]
    with pytest.raises(RunError, match=r"a.csv, on which runs/PCG seed 1 was scored, does not exist; pass --data DIR"):
        dev_sets(kept)
    (tmp_path / "a.csv").write_text("text,label\ngood,1\nbad,2\n")
    with pytest.raises(RunError, match=r"a.csv is not the file that runs/PCG seed 1 was scored on"):
        dev_sets(load_results(runs))
    other = replace(results[1], data=results[1].data | {"same": {"dev": "0"}})
    (tmp_path / "a.csv").unlink()
    with pytest.raises(
        RunError, match="runs/PCG seed 1 and runs/PCG seed 2 were scored on different rows of task 'same'"
    ):
        dev_sets([replace(r, answers={"same": r.answers["same"]}) for r in (results[0], other)])


def test_files_of_one_name_in_two_folders_stay_apart(results: list[Result], runs: Path, tmp_path: Path) -> None:
    """As in p/dev.csv and q/dev.csv."""
    tasks, data = dict(results[0].recipe.tasks), dict(results[0].data)
    for name, folder in (("mood", "p"), ("same", "q")):
        file = tmp_path / "two" / folder / "dev.csv"
        file.parent.mkdir(parents=True)
        shutil.copy(str(tasks[name].dev), file)
        tasks[name] = tasks[name].model_copy(update={"train": str(file), "dev": str(file), "test": None})
        data[name] = {"train": digest(file), "dev": digest(file)}
    answers = {name: results[0].answers[name] for name in ("mood", "same")}
    curve = replace(results[0].curve[-1], metrics={name: results[0].curve[-1].metrics[name] for name in answers})
    schedule = results[0].recipe.schedule.model_copy(update={"order": list(answers)})
    recipe = results[0].recipe.model_copy(
        update={"tasks": {name: tasks[name] for name in answers}, "schedule": schedule}
    )
    keep([replace(results[0], recipe=recipe, answers=answers, data=data, curve=[curve])], tmp_path / "kept")
    (kept,) = load_results(tmp_path / "kept")
    assert [kept.recipe.tasks[name].dev for name in answers] == ["p/dev.csv", "q/dev.csv"]
    dev = dev_sets([kept], tmp_path / "two")
    assert [one.paths for one in dev.values()] == [[tmp_path / "two" / folder / "dev.csv"] for folder in "pq"]


def test_only_the_dev_rows_are_needed_to_compare(results: list[Result], tmp_path: Path) -> None:
    keep(results, tmp_path / "kept")
    for file in "abc":
        shutil.copy(tmp_path / f"{file}.csv", tmp_path / f"dev-{file}.csv")
    tasks = {
        name: task.model_copy(update={"dev": f"dev-{task.dev}", "train": "gone.csv"})
        for name, task in load_results(tmp_path / "kept")[0].recipe.tasks.items()
    }
    kept = [
        replace(result, recipe=result.recipe.model_copy(update={"tasks": tasks}))
        for result in load_results(tmp_path / "kept")
    ]
    dev = dev_sets(kept, tmp_path)
    assert dev["mood"].examples.texts == [SST]
    assert list(readings(dev["mood"].task)) == ["dev"], "test and train are not at hand"


def test_a_run_of_another_recipe_or_other_data_is_not_kept_in_the_place_of_one(
    results: list[Result], tmp_path: Path
) -> None:
    keep(results, tmp_path / "kept")
    training = results[0].recipe.training.model_copy(update={"batch_size": 7})
    other = replace(results[0], recipe=results[0].recipe.model_copy(update={"training": training}))
    with pytest.raises(RunError, match=r"holds another runs/PCG seed 1 already: training.batch_size = 3 \(now 7\)"):
        keep([other], tmp_path / "kept")
    with pytest.raises(RunError, match="kept holds another runs/PCG seed 1 already: other files of mood"):
        keep([replace(results[0], data=results[0].data | {"mood": {"train": "0"}})], tmp_path / "kept")
    assert load_results(tmp_path / "kept")[0].recipe.training.batch_size == 3


def test_results_are_not_mixed_with_other_files(results: list[Result], tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match=r"notes holds other files, such as notes.txt; keep results in a folder of"):
        keep(results, tmp_path / "notes")
    assert [file.name for file in (tmp_path / "notes").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("run", "group"),
    [
        ("runs/A/seed-1", "runs/A"),
        ("runs/A/seed-1/fold-2", "runs/A"),
        ("runs/A", "runs/A"),
        ("runs/seed-study", "runs/seed-study"),
        ("runs/fold-in", "runs/fold-in"),
    ],
)
def test_a_runs_group_is_known_by_its_folder(run: str, group: str) -> None:
    assert group_of(Path(run)) == group


def test_results_and_runs_never_lie_in_one_folder(results: list[Result], runs: Path) -> None:
    before = sorted(runs.rglob("*"))
    for folder in (runs, runs.parent):
        with pytest.raises(RunError, match=r"holds runs, such as .*seed-.; keep results in a folder of their own"):
            keep(results, folder)
    assert sorted(runs.rglob("*")) == before


def test_a_run_that_could_not_be_kept_is_refused_before_it_is_made(runs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    keep(load_results(runs), folder)
    recipes = [tmp_path / "recipes"]
    assert not_kept(expand(recipes, runs), folder) == []
    changed = expand(recipes, tmp_path / "new" / "runs", overrides=["optimizer.lr=0.5"])
    with pytest.raises(
        RunError, match=r"kept holds another runs/PCG seed 1 already: optimizer.lr = .*; and 1 more\ngive"
    ):
        not_kept(changed, folder)
    elsewhere = expand(recipes, tmp_path / "others", overrides=["optimizer.lr=0.5"])
    assert not_kept(elsewhere, folder) == elsewhere, "kept by a name of its own"
    for place in (tmp_path / "others", tmp_path):
        with pytest.raises(RunError, match=r"(would hold|holds) runs, such as .*seed-.; keep results in a folder of"):
            not_kept(elsewhere, place)
    with pytest.raises(RunError, match=r"recipes holds other files, such as .*; keep results in a folder of their own"):
        not_kept(elsewhere, recipes[0])
    with (tmp_path / "a.csv").open("a") as file:
        file.write("one more,1\n")
    with pytest.raises(RunError, match="seed 1 already: other files of mood"):
        not_kept(expand(recipes, tmp_path / "new" / "runs"), folder)


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda folder: (folder / "runs.jsonl").write_text('{"group": "a/b", "se'), "cannot be read as results"),
        (
            lambda folder: (folder / "runs.jsonl").write_text('{"group": "a/b", "seed": 1}\n'),
            "cannot be read as results",
        ),
        (lambda folder: (folder / "runs.jsonl").write_text("null\n"), "cannot be read as results"),
        (
            lambda folder: (folder / "runs.jsonl").write_text(
                (folder / "runs.jsonl").read_text().replace('"tokens"', '"newer": 1, "tokens"')
            ),
            r"cannot be read as results \(TypeError: .*newer.*with the version of minbert that kept them",
        ),
        (lambda folder: (folder / "answers.parquet").write_bytes(b"PAR1 no"), "cannot be read as results"),
        (lambda folder: (folder / "answers.parquet").unlink(), "answers.parquet lacks the answers of runs/PCG seed 1"),
    ],
    ids=["cut", "keys", "null", "newer", "broken", "gone"],
)
def test_spoiled_results_are_named(
    results: list[Result], tmp_path: Path, spoil: Callable[[Path], object], fault: str
) -> None:
    keep(results, tmp_path / "kept")
    spoil(tmp_path / "kept")
    with pytest.raises(RunError, match=fault):
        load_results(tmp_path / "kept")


def test_runs_scored_by_two_metrics_are_not_set_beside_each_other(results: list[Result]) -> None:
    tasks = results[0].recipe.tasks
    other = results[1].recipe.model_copy(
        update={"tasks": tasks | {"mood": tasks["mood"].model_copy(update={"metric": "macro-f1"})}}
    )
    with pytest.raises(
        RunError, match="runs/PCG seed 1 is scored by accuracy of task 'mood', runs/PCG seed 2 by macro-f1"
    ):
        dev_sets([results[0], replace(results[1], recipe=other)])
