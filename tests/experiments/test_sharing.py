"""Each task alone learns from the very batches that it has together; what is said of the two is what was planted."""

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file

from experiments.planted import group_of, mood_set
from minbert.changes import changed_keys
from minbert.comparison import Answers, Difference, Verdict, difference, holm
from minbert.data import Examples
from minbert.errors import RecipeError, RunError
from minbert.experiments.delta_m import delta_m
from minbert.experiments.devsets import DevSet
from minbert.experiments.grid import Cell
from minbert.experiments.loading import joined
from minbert.experiments.results import Result
from minbert.experiments.sharing import Arms, TaskLine, conclusion, derive, judge, outcome
from minbert.jobs import Job, prepare
from minbert.kernels import Kernels
from minbert.metrics import METRICS
from minbert.recipes import load
from minbert.schema import Recipe
from minbert.training import begin, records
from tiny import with_training

Values = dict[str, Any]
SCHEDULES: dict[str, Values] = {
    "simultaneous": {"order": ["same", "mood"]},
    "round-robin": {"order": ["mood", "same", "near", "mood"]},
    "alternating": {"order": ["same", "mood", "same", "near"]},
    "proportional": {},
    "annealed": {},
}


def drawn(job: Job, task: str) -> list[list[int]]:
    """The rows of every batch of a task that a run trains, step after step."""
    steps = range(1, job.last_step + 1)
    draws = [draw for step in steps for draw in job.schedule.draws(step) if job.names[draw.task] == task]
    numbers = [draw.first + k for draw in draws for k in range(draw.count)]
    return [job.streams[task].batch(number).tolist() for number in numbers]


@pytest.mark.parametrize("kind", SCHEDULES)
def test_each_task_alone_is_trained_on_the_same_batches(values: Values, tmp_path: Path, kind: str) -> None:
    changes = {"epochs": 15, "accumulate": 2, "steps_per_epoch": 3, "batch_size": {"mood": 3, "same": 4, "near": 2}}
    arms = derive(load(with_training(values, **changes) | {"schedule": {"kind": kind} | SCHEDULES[kind]}), tmp_path, 2)
    trained = SCHEDULES[kind].get("order", ["mood", "same", "near"])
    assert set(arms.alone) == set(trained)
    for place, cell in enumerate(arms.together):
        together, _ = prepare(cell.recipe)
        assert together.last_step > 3
        for task, cells in arms.alone.items():
            alone, _ = prepare(cells[place].recipe)
            assert drawn(alone, task) == drawn(together, task)
            assert alone.recipe.seed == together.recipe.seed


def test_nothing_else_differs_between_the_arms(values: Values, tmp_path: Path) -> None:
    surgery = {"gradients": {"method": "pcgrad", "clip": 0.5}, "control": {"of": "it", "key": "gradients.method"}}
    recipe = load(with_training(values, patience=1, time_limit=1.0, evaluate_every=1, select_on="near") | surgery)
    arms = derive(recipe, tmp_path, 1)
    together, near = arms.together[0].recipe, arms.alone["near"][0].recipe
    fixed = {"name", "control.of", "control.key", "gradients.inspect_every"}
    fixed |= {"training.patience", "training.time_limit", "training.evaluate_every"}
    assert {key.removesuffix(".labels") for key in changed_keys(recipe, together)} - {
        "tasks.mood",
        "tasks.same",
    } <= fixed
    allowed = {"training.epochs", "training.max_steps", "training.evaluate_every", "training.select_on"}
    different = [key for key in changed_keys(together, near) if not key.startswith(("tasks.mood", "tasks.same"))]
    assert set(different) == {"name", "gradients.method", *allowed} - {"training.evaluate_every"}
    jobs, models = zip(prepare(together), prepare(near), strict=True)
    weights = [dict(model.named_parameters()) for model in models]
    assert all(torch.equal(weight, weights[0][name]) for name, weight in weights[1].items()), "they begin as one"
    assert [job.last_step for job in jobs] == [8, 8]
    assert arms.notes == [
        "training.patience is off in all runs, since both arms do a fixed number of updates",
        "training.time_limit is off in all runs, since both arms do a fixed number of updates",
        "gradients.method = 'pcgrad' is for the runs together; alone there is no conflict",
    ]


def test_the_runs_have_folders_of_their_own_seed_after_seed(values: Values, tmp_path: Path) -> None:
    cells = derive(load(values | {"seed": 5}), tmp_path, 2).cells
    assert [str(cell.folder.relative_to(tmp_path)) for cell in cells] == [
        f"tiny-{arm}/seed-{seed}" for seed in (5, 6) for arm in ("together", "alone-mood", "alone-same", "alone-near")
    ]
    assert [cell.keeps_weights for cell in cells] == [True] * 4 + [False] * 4
    assert all(cell.recipe.name == cell.folder.parent.name for cell in cells)


def trained(recipe: Recipe, folder: Path, seeds: int) -> Arms:
    arms = derive(recipe, folder, seeds)
    for cell in arms.cells:
        for _ in records(begin(cell.recipe, cell.folder, kernels=Kernels(1, "highest"))):
            pass
    return arms


def test_a_task_without_a_head_of_its_own_has_one_alone_with_the_same_classes(
    tmp_path: Path, tiny_encoder: Path
) -> None:
    """web's rows lack the class 'odd', which lies before its others: its own numbers would mean something else."""
    rows = {"mail": ["odd", "rare", "usual"] * 4, "web": ["rare", "usual"] * 5}
    for name, labels in rows.items():
        lines = "".join(f"good film {place},{label}\n" for place, label in enumerate(labels))
        (tmp_path / f"{name}.csv").write_text("text,label\n" + lines)
    files = {n: {"train": str(tmp_path / f"{n}.csv"), "dev": str(tmp_path / f"{n}.csv")} for n in rows}
    tasks = {name: {"kind": "classification"} | of for name, of in files.items()}
    tasks["web"]["shares_head"] = "mail"
    recipe = load({"name": "it", "encoder": str(tiny_encoder), "tasks": tasks, "training": {"max_steps": 2}})
    arms = trained(recipe, tmp_path / "runs", 1)
    (web,) = arms.alone["web"]
    assert (web.run.recipe().tasks["web"].shares_head, web.run.recipe().tasks["web"].labels) == (
        None,
        ["odd", "rare", "usual"],
    )
    assert "web shares the head of mail; alone it has one of its own" in arms.notes
    found = outcome(arms)
    assert [line.verdict for line in found.tasks] == ["undecided (seeds)"] * 2
    head, encoder = 3 * 16 + 3, sum(w.size for w in load_file(web.folder / "best" / "model.safetensors").values())
    assert (found.together.parameters, found.alone.parameters) == (encoder + head, 2 * (encoder + head))


def test_what_each_arm_costs_is_counted(values: Values, tmp_path: Path) -> None:
    recipe = load(with_training(values, epochs=2) | {"schedule": {"kind": "alternating"}})
    arms = trained(recipe, tmp_path, 2)
    found = outcome(arms)
    steps = {cell.folder: [r for r in cell.run.records() if r["kind"] == "step"] for cell in arms.cells}
    counts = Counter(task for cell in arms.together for step in steps[cell.folder] for task in step["losses"])
    assert {line.task: line.batches for line in found.tasks} == {task: n / 2 for task, n in counts.items()}
    assert found.alone.updates == found.together.updates == sum(counts.values()) / 2
    alone = [cell for cells in arms.alone.values() for cell in cells]
    seconds = sum(step["seconds"] for cell in alone for step in steps[cell.folder])
    assert found.alone.seconds == pytest.approx(seconds / 2)

    def weights(cell: Any) -> int:
        files = (cell.folder / "best" / f"{part}.safetensors" for part in ("model", "heads"))
        return sum(weight.size for file in files for weight in load_file(file).values())

    assert found.together.parameters == weights(arms.together[0])
    assert found.alone.parameters == sum(weights(cells[0]) for cells in arms.alone.values())
    assert (found.together.models, found.alone.models, found.together.passes, found.alone.passes) == (1, 3, 1, 3)
    assert [line.constant for line in found.tasks] == [pytest.approx(3 / 7), 0.5, None]
    for line in found.tasks:
        cells = arms.alone[line.task]
        last = [cell.run.records()[-1]["metrics"][line.task][line.metric] for cell in cells]
        assert line.alone == pytest.approx(np.mean(last))


def test_a_frozen_encoder_is_counted_once_and_it_is_said_that_nothing_is_shared(values: Values, tmp_path: Path) -> None:
    tasks = values["tasks"]
    near = {"near": tasks["near"] | {"head": "concat"}}
    recipe = load(with_training(values, epochs=1, mode="frozen") | {"tasks": tasks | near})
    arms = trained(recipe, tmp_path, 1)
    found = outcome(arms)
    assert found.alone.parameters == found.together.parameters
    assert (found.alone.models, found.alone.passes) == (3, 1)
    assert "the encoder is frozen and no head is shared, so no task can learn from another" in arms.notes[0]


def test_with_folds_every_part_is_a_run_of_each_arm_and_a_seed_is_scored_on_all_rows(
    values: Values, tmp_path: Path
) -> None:
    tasks = {name: values["tasks"][name] | {"folds": 2} for name in ("mood", "same")}
    for task in tasks.values():
        del task["dev"]
    arms = trained(load(with_training(values, epochs=1) | {"tasks": tasks}), tmp_path, 1)
    assert [str(cell.folder.relative_to(tmp_path)) for cell in arms.cells] == [
        f"tiny-{arm}/seed-1/fold-{fold}" for fold in (1, 2) for arm in ("together", "alone-mood", "alone-same")
    ]
    found = outcome(arms)
    assert {line.task: line.dev_rows for line in found.tasks} == {"mood": 7, "same": 20}
    assert found.alone.updates == sum(line.batches for line in found.tasks)
    for line in found.tasks:
        cells = arms.alone[line.task]
        assert len(cells) == found.seeds * 2
        right = sum(cell.run.records()[-1]["metrics"][line.task]["accuracy"] * held(cell, line.task) for cell in cells)
        assert line.alone == pytest.approx(right / line.dev_rows)
    one, other = (Result.of(cell.run) for cell in arms.together)
    changed = other.recipe.model_copy(update={"optimizer": other.recipe.optimizer.model_copy(update={"lr": 0.5})})
    with pytest.raises(RunError, match=r"parts 1 and 2 of .*seed 1 are not runs of one recipe: optimizer.lr = "):
        joined([one, replace(other, recipe=changed)])
    (whole,) = joined([replace(one, batches={"mood": 2}), replace(other, batches={"mood": 1, "same": 3})])
    assert whole.batches == {"mood": 3, "same": 3}


def held(cell: Cell, task: str) -> int:
    """How many rows a run held back to be scored on."""
    return len(cell.run.read_predictions(task, cell.run.recipe().tasks[task]).ids)


def test_a_task_without_a_batch_is_refused(values: Values, tmp_path: Path) -> None:
    changes = {"schedule": {"kind": "round-robin"}}
    with pytest.raises(RecipeError, match="task 'same' gets no batch in 1 update, so there is nothing to judge; give"):
        derive(load(with_training(values, max_steps=1) | changes), tmp_path, 1)


def test_tasks_that_do_not_learn_or_have_no_dev_file_are_left_out_and_named(values: Values, tmp_path: Path) -> None:
    tasks = values["tasks"]
    del tasks["same"]["dev"]
    more = {"idle": tasks["mood"], "mute": tasks["mood"] | {"weight": 0.0}}
    changes = {"tasks": tasks | more, "schedule": {"order": ["mood", "same", "near", "mute"]}}
    arms = derive(load(values | changes), tmp_path, 1)
    assert list(arms.alone) == ["mood", "near"]
    assert arms.notes == [
        "same is not judged: it has no dev file",
        "idle is not judged: it is not trained",
        "mute is not judged: it has weight 0",
    ]


def test_what_cannot_be_compared_is_refused(values: Values, tmp_path: Path) -> None:
    tasks = values["tasks"]
    with pytest.raises(RecipeError, match="'tiny' trains 1 task, so nothing is shared; name a recipe that"):
        derive(load(values | {"schedule": {"order": ["mood"]}}), tmp_path, 1)
    with pytest.raises(RecipeError, match=r"'tiny' does no update; give training.epochs or training.max_steps more"):
        derive(load(with_training(values, epochs=0)), tmp_path, 1)
    with pytest.raises(RecipeError, match="-alone-mood', 105 characters, and 100 are the most; pass --set name=S"):
        derive(load(values | {"name": "n" * 94}), tmp_path, 1)
    unscored = {name: {key: value for key, value in task.items() if key != "dev"} for name, task in tasks.items()}
    with pytest.raises(
        RecipeError, match=r'no task that .tiny. trains has a dev file to be scored on; give one dev = "'
    ):
        derive(load(values | {"tasks": unscored}), tmp_path, 1)


# What is said of answers that were planted

MOOD = mood_set()
TONE = replace(mood_set(1), name="tone")
DEV = {"mood": MOOD, "tone": TONE}


def merged(groups: dict[str, list[Result]]) -> list[Result]:
    """Results of single tasks, seed by seed, as those of runs that had all of these tasks."""
    found = []
    for parts in zip(*groups.values(), strict=True):
        tasks = {name: part.recipe.tasks[name] for name, part in zip(groups, parts, strict=True)}
        answers = {name: part.answers[name] for name, part in zip(groups, parts, strict=True)}
        recipe = parts[0].recipe.model_copy(update={"tasks": tasks})
        found.append(replace(parts[0], group="together", recipe=recipe, answers=answers))
    return found


def planted(mood: tuple[float, float], tone: tuple[float, float], seeds: int = 4) -> list[TaskLine]:
    """The lines of two tasks with these accuracies together and alone."""
    accuracies = {"mood": mood, "tone": tone}
    arms = [
        {name: group_of(DEV[name], name, of[arm], 1 + 100 * (2 * arm + place), seeds)
         for place, (name, of) in enumerate(accuracies.items())}
        for arm in (0, 1)
    ]  # fmt: skip
    return judge(merged(arms[0]), arms[1], DEV, {"mood": 10, "tone": 20})


def test_help_and_harm_are_told_apart_and_are_one_family() -> None:
    mood, tone = planted((0.7, 0.6), (0.6, 0.64))
    assert (mood.verdict, mood.task, mood.rows, mood.dev_rows) == ("better", "mood", 10, 1200)
    assert mood.together == pytest.approx(0.7, abs=0.02)
    assert mood.alone == pytest.approx(0.6, abs=0.02)
    assert mood.difference.value == pytest.approx(mood.together - mood.alone)
    assert tone.difference.value is not None
    assert tone.difference.value < 0
    assert [mood.adjusted_p, tone.adjusted_p] == holm([mood.difference.p, tone.difference.p])
    assert conclusion([mood, tone], 4)[0] == "Sharing helps mood."
    assert planted((0.5, 0.7), (0.5, 0.7))[0].verdict == "worse"


def line(task: str, verdict: Verdict, value: float | None = 0.0, visible: float | None = 0.0) -> TaskLine:
    error = None if visible is None else visible / 2.8
    found = Difference(value, None, None, None, error, (5, 5))
    return TaskLine(task, "accuracy", 9, 1000, 1.0, 0.5, 0.6, 0.6, found, visible, None, verdict)


def test_the_conclusion_says_what_would_tell() -> None:
    lines = [line("a", "better"), line("b", "worse"), line("c", "better"), line("d", "no difference above 0.01")]
    lines += [line("e", "better"), line("f", "undecided", 0.02, 0.05), line("g", "undecided", -0.001, 0.02)]
    lines += [line("h", "undecided", 0.1, 0.09), line("j", "undecided", 0.01, 0.1), line("i", "undefined", None, None)]
    assert conclusion(lines, 5) == [
        "Sharing helps a, c and e.",
        "Sharing harms b.",
        "Sharing changes d by no more than 0.01.",
        "For i it cannot be told: the score is undefined in every run, alone or together.",
        "For f it cannot be told: a difference of 0.020 would show with about 7 times the dev rows "
        "and seeds (7,000 and 35).",
        "For g it cannot be told: a difference of 0.010 would show with about 4 times the dev rows "
        "and seeds (4,000 and 20).",
        "For h it cannot be told: a difference of 0.100 would show with about 2 times the dev rows "
        "and seeds (2,000 and 10).",
        "For j it cannot be told: a difference of 0.010 would take more than 20 times the dev rows and seeds to show.",
    ]
    assert conclusion([line("a", "undecided", visible=None)], 5) == [
        "For a it cannot be told: no dev row tells the two apart, and that there is no difference can be said from 300 "
        "dev rows on."
    ]
    assert conclusion([line("a", "undecided (seeds)")], 2) == ["For a it cannot be told: pass --seeds 3 or more."]


def test_two_seeds_are_no_verdict() -> None:
    assert {one.verdict for one in planted((0.9, 0.5), (0.5, 0.5), seeds=2)} == {"undecided (seeds)"}


# delta-m


def scored(accuracies: list[float], n: int = 200, seed: int = 0, metric: str = "accuracy") -> Answers:
    """One task's answers of a seed each with exactly these accuracies, wrong on rows of their own."""
    generator, labels = np.random.default_rng(seed), np.random.default_rng(99).integers(0, 3, n)
    rows = []
    for accuracy in accuracies:
        wrong = generator.permutation(n)[: round((1 - accuracy) * n)]
        rows.append(labels.copy())
        rows[-1][wrong] = (labels[wrong] + 1) % 3
    return Answers(metric, np.array(rows), labels)


def test_delta_m_is_the_mean_relative_gain_in_percent() -> None:
    """a: 0.5 -> 0.6 is +20 %; b: 0.8 -> 0.6 is -25 %."""
    together = {"a": scored([0.5, 0.6, 0.7]), "b": scored([0.6, 0.6, 0.6])}
    alone = {"a": scored([0.4, 0.5, 0.6], seed=1), "b": scored([0.7, 0.8, 0.9], seed=1)}
    found = delta_m(together, alone, draws=1000)
    assert found.value == pytest.approx((20 - 25) / 2)
    assert found.interval is not None
    assert found.interval.low < -2.5 < found.interval.high
    assert delta_m({"a": together["a"]}, {"a": alone["a"]}, draws=1000).value == pytest.approx(20)
    assert delta_m(alone, alone, draws=1000).value == 0


@pytest.mark.parametrize("same_seeds", [False, True])
def test_delta_m_has_the_interval_of_a_literal_multi_bootstrap(same_seeds: bool) -> None:
    generator = np.random.default_rng(0)
    together = {"a": scored([0.5, 0.6, 0.7], 60), "b": scored([0.6, 0.65, 0.6], 60)}
    of_a = [0.4, 0.5, 0.6] if same_seeds else [0.4, 0.5, 0.55, 0.6]
    alone = {"a": scored(of_a, 60, 1), "b": scored([0.7, 0.8, 0.9], 60, 1)}
    draws = []
    for _ in range(1500):
        picked = generator.integers(0, 3, 3)
        gains = []
        for name, one in alone.items():
            rows = generator.integers(0, 60, 60)
            means = []
            for answers, chosen in ((together[name], picked), (one, picked if same_seeds else None)):
                S = len(answers.predictions)
                seeds = generator.integers(0, S, S) if chosen is None else chosen
                each = [METRICS["accuracy"](row[rows], answers.labels[rows]) or 0.0 for row in answers.predictions]
                over_all, over_picked = np.mean(each), np.mean([each[s] for s in seeds])
                means.append(over_all + math.sqrt(S / (S - 1)) * (over_picked - over_all))
            gains.append(100 * (means[0] - means[1]) / means[1])
        draws.append(np.mean(gains))
    found = delta_m(together, alone, same_seeds=same_seeds)
    assert found.interval is not None
    low, high = np.quantile(draws, [0.025, 0.975])
    # Student's t makes it as wide as the draws, or wider, and with seeds few it is not twice as wide
    assert found.interval.low < low + 0.05 * (high - low)
    assert found.interval.high > high - 0.05 * (high - low)
    assert high - low < 1.05 * (found.interval.high - found.interval.low) < 2 * (high - low)


def test_delta_m_of_runs_of_the_same_seeds_leaves_out_what_a_seed_does_to_both() -> None:
    """Each seed gains a tenth, whatever it starts from."""
    alone = scored([0.4, 0.5, 0.6, 0.7], 1000)
    together = scored([0.44, 0.55, 0.66, 0.77], 1000)  # wrong on the first of the same rows
    paired, apart = (delta_m({"a": together}, {"a": alone}, same_seeds=same) for same in (True, False))
    assert paired.value == apart.value == pytest.approx(10)
    assert paired.interval is not None
    assert apart.interval is not None
    assert apart.interval.low < 0
    assert 6 < paired.interval.low < paired.interval.high < 14


def test_where_one_task_has_no_spread_alone_delta_m_is_the_difference_in_percent_of_it() -> None:
    """The score alone a constant 1 in every draw: delta-m is 100 times the difference, and so is its interval."""
    together, alone = scored([0.8, 0.85, 0.9, 0.7]), scored([1.0, 1.0, 1.0])
    found, expected = delta_m({"a": together}, {"a": alone}), difference([together], [alone])
    assert found.value == pytest.approx(100 * (expected.value or 0))
    assert found.interval == pytest.approx([100 * end for end in expected.interval or ()], rel=0.05)


def test_delta_m_is_undefined_where_the_score_alone_is_none_or_nothing() -> None:
    good, truth = scored([0.5, 0.6, 0.7]), np.linspace(0, 1, 50)
    nothing = scored([0.0, 0.0, 0.0])
    constant, against = (Answers("pearson", np.tile(row, (3, 1)), truth) for row in (np.ones(50), -truth))
    right = Answers("pearson", np.tile(truth, (3, 1)), truth)
    for together, alone, reason in (
        ({"a": good, "b": good}, {"a": good, "b": nothing}, "the score of b is not above 0 alone (0.000)"),
        ({"r": right}, {"r": against}, "the score of r is not above 0 alone (-1.000)"),
        ({"r": right}, {"r": constant}, "the score of r is undefined"),
        ({"r": constant}, {"r": right}, "the score of r is undefined"),
    ):
        found = delta_m(together, alone, draws=100)
        assert (found.value, found.interval, found.reason) == (None, None, reason)
    few = delta_m({"a": scored([0.5, 0.6])}, {"a": scored([0.5, 0.5])}, draws=100)
    assert (few.value, few.interval, few.reason) == (pytest.approx(10), None, "no interval below 3 seeds")
    near = delta_m({"a": scored([0.1, 0.1, 0.1], 20)}, {"a": scored([0.05, 0.05, 0.05], 20)}, draws=1000)
    assert near.value == pytest.approx(100)
    assert (near.interval, near.reason) == (None, "the score of a alone is too near 0 for an interval")


# A task against itself: frozen features, linear heads, and whatever a seed decides

FEATURES, CLASSES, ROWS, DEV_ROWS, BATCH, UPDATES = 16, 3, 200, 400, 16, 60
Array = NDArray[np.float64]


def linear_heads(
    features: Array, labels: NDArray[np.int64], seeds: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    """Weights [S, D, K] of softmax regressions by SGD, each with initial weights and an order of rows of its own."""
    W = 0.1 * generator.normal(size=(seeds, FEATURES, CLASSES))
    for _ in range(UPDATES):
        rows = generator.integers(0, len(labels), (seeds, BATCH))
        X, Y = features[rows], np.eye(CLASSES)[labels[rows]]  # [S, B, D], [S, B, K]
        logits = X @ W
        p = np.exp(logits - logits.max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
        W = W - 0.3 / BATCH * X.transpose(0, 2, 1) @ (p - Y)
    return W


def verdicts_of_twins(repeat: int, rows_alone: int = ROWS) -> list[Verdict]:
    """What is said of one task under two names, together and alone, where it may have fewer labels."""
    generator = np.random.default_rng(repeat)
    truth = generator.normal(size=(FEATURES, CLASSES))
    X = generator.normal(size=(ROWS + DEV_ROWS, FEATURES))
    y = (X @ truth + 2 * generator.gumbel(size=(len(X), CLASSES))).argmax(-1)
    dev_X, dev_y = X[-DEV_ROWS:], y[-DEV_ROWS:].astype(np.float64)
    texts = [f"row {row}" for row in range(DEV_ROWS)]
    dev = {
        name: replace(MOOD, name=name, examples=Examples(texts, [texts], dev_y), task=MOOD.task)
        for name in ("one", "two")
    }

    def group(name: str, rows: int, first: int) -> list[Result]:
        W = linear_heads(X[:rows], y[:rows], 5, generator)
        return [result_of(dev[name], name, first + s, (dev_X @ W[s]).argmax(-1).astype(float)) for s in range(5)]

    together = merged({name: group(name, ROWS, 1) for name in dev})
    alone = {name: group(name, rows_alone, 1000) for name in dev}
    return [one.verdict for one in judge(together, alone, dev, dict.fromkeys(dev, ROWS))]


def result_of(dev: DevSet, name: str, seed: int, answers: Array) -> Result:
    template = TEMPLATE[0]
    recipe = template.recipe.model_copy(update={"tasks": {name: dev.task}, "seed": seed})
    return replace(
        template,
        group=name,
        seed=seed,
        recipe=recipe,
        baselines={name: 0.4},
        batches={name: 60},
        answers={name: answers},
    )


TEMPLATE = group_of(MOOD, "planted", 0.5, 1, 1)
UNSURE: set[Verdict] = {"undecided", "no difference above 0.01"}


def test_a_task_against_itself_is_seldom_told_apart() -> None:
    """At 5 % more than two wrong families of eight have a chance of 1 %."""
    wrong = sum(not set(verdicts_of_twins(repeat)) <= UNSURE for repeat in range(8))
    assert wrong <= 2


def test_a_task_beside_a_few_of_its_own_labels_is_told_apart() -> None:
    assert verdicts_of_twins(0, rows_alone=6) == ["better", "better"]


@pytest.mark.slow
def test_a_task_against_itself_is_told_apart_in_at_most_8_percent_of_experiments() -> None:
    wrong = sum(not set(verdicts_of_twins(repeat)) <= UNSURE for repeat in range(200))
    print(f"a task against itself: {wrong} of 200 experiments gave a verdict")
    assert wrong <= 16
