"""The shipped rows of the paper's table, their controls and the single tasks, key by key against the design's table."""

import fnmatch
import tomllib
from pathlib import Path
from typing import Any

import pytest

from minbert.recipes import load
from minbert.schema import Recipe

RECIPES = Path(__file__).parents[1] / "recipes"
SSTFIRST = ["sst", "para", "sts"] * 3
SSTLAST = ["sts", "para", "sst"] * 3
SUM12 = ["sst", "para", "sts", "sts", "sst", "para", "para", "sts", "sst"]

# name: schedule, order, method, batch size, updates an epoch at most, head of para, head of sts
Row = tuple[str, list[str] | None, str, int, int | None, str, str]
PAPER: dict[str, Row] = {
    "Baseline-Finetune": ("simultaneous", None, "sum", 16, None, "concat", "concat"),
    "Baseline-Finetune-SST": ("round-robin", ["sst"], "sum", 16, None, "concat", "concat"),
    "RR-SSTFIRST-Pretrain": ("round-robin", SSTFIRST, "sum", 16, None, "concat", "concat"),
    "RR-SSTFIRST-Finetune": ("round-robin", SSTFIRST, "sum", 16, None, "concat", "concat"),
    "RR-SSTFIRST-200": ("round-robin", SSTFIRST, "sum", 8, 200, "concat", "concat"),
    "PCG-200": ("simultaneous", None, "pcgrad", 8, 200, "concat", "concat"),
    "RR-SSTFIRST-COSSTS-200": ("round-robin", SSTFIRST, "sum", 8, 200, "concat", "cosine"),
    "PCG-COSSTS-200": ("simultaneous", None, "pcgrad", 8, 200, "concat", "cosine"),
    "PCG-COSSTS-200-16": ("simultaneous", None, "pcgrad", 16, 200, "concat", "cosine"),
    "PCG-COSPARA-200-16": ("simultaneous", None, "pcgrad", 16, 200, "concat-cosine", "concat"),
    "PCG-COSSTS-COSPARA-200-16": ("simultaneous", None, "pcgrad", 16, 200, "concat-cosine", "cosine"),
    "RR-SSTLAST-COSSTS-200": ("round-robin", SSTLAST, "sum", 8, 200, "concat", "cosine"),
    "RR-SUM12-COSSTS-200": ("round-robin", SUM12, "sum", 8, 200, "concat", "cosine"),
    "PCGrad-COSSTS-MinBatches": ("simultaneous", None, "pcgrad", 8, None, "concat", "cosine"),
}
CONTROLS = {  # name: partner, the one key, its value in the control
    "SUM-200": ("PCG-200", "gradients.method", "sum"),
    "SUM-COSSTS-200": ("PCG-COSSTS-200", "gradients.method", "sum"),
    "SUM-COSSTS-MinBatches": ("PCGrad-COSSTS-MinBatches", "gradients.method", "sum"),
    "RR-SSTFIRST-CAP600": ("RR-SSTFIRST-200", "training.steps_per_epoch", 600),
    "RR-SSTFIRST-COSSTS-CAP600": ("RR-SSTFIRST-COSSTS-200", "training.steps_per_epoch", 600),
    "PCG-CAP67": ("PCG-200", "training.steps_per_epoch", 67),
    "SUM-200-AA": ("SUM-200", "seed", 1000),
    "RR-SSTFIRST-200-mean": ("RR-SSTFIRST-200", "tasks.*.pooling", "mean"),
    "RR-SSTFIRST-CAP600-mean": ("RR-SSTFIRST-CAP600", "tasks.*.pooling", "mean"),
    "PCG-200-mean": ("PCG-200", "tasks.*.pooling", "mean"),
    "SUM-200-mean": ("SUM-200", "tasks.*.pooling", "mean"),
    "RR-SSTFIRST-COSSTS-200-mean": ("RR-SSTFIRST-COSSTS-200", "tasks.*.pooling", "mean"),
    "RR-SSTFIRST-COSSTS-CAP600-mean": ("RR-SSTFIRST-COSSTS-CAP600", "tasks.*.pooling", "mean"),
    "PCG-COSSTS-200-mean": ("PCG-COSSTS-200", "tasks.*.pooling", "mean"),
    "SUM-COSSTS-200-mean": ("SUM-COSSTS-200", "tasks.*.pooling", "mean"),
}


def shipped(folder: str) -> dict[str, Recipe]:
    recipes = [load(path) for path in sorted((RECIPES / folder).glob("[!_]*.toml"))]
    return {recipe.name: recipe for recipe in recipes}


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    items: dict[str, Any] = {}
    for key, value in values.items():
        items |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return items


def keys_of(recipe: Recipe) -> dict[str, Any]:
    return flat(recipe.model_dump(exclude={"name", "control"}))


@pytest.mark.parametrize("folder", ["paper", "controls", "single"])
def test_a_file_is_named_after_its_run(folder: str) -> None:
    for path in (RECIPES / folder).glob("[!_]*.toml"):
        assert tomllib.loads(path.read_text(encoding="utf-8"))["name"].lower() == path.stem


def test_the_rows_are_all_there() -> None:
    assert shipped("paper").keys() == PAPER.keys()
    assert shipped("controls").keys() == CONTROLS.keys()


@pytest.mark.parametrize("name", PAPER)
def test_a_row_is_that_of_the_papers_table(name: str) -> None:
    recipe = shipped("paper")[name]
    kind, order, method, batch, cap, para, sts = PAPER[name]
    frozen = name == "RR-SSTFIRST-Pretrain"
    lr = 1e-3 if frozen else 1e-5
    said = {
        "encoder": "minilm",
        "seed": 1,
        "schedule.kind": kind,
        "schedule.order": order,
        "gradients.method": method,
        "gradients.clip": "off",
        "optimizer.lr": lr,
        "optimizer.head_lr": lr,
        "optimizer.betas": [0.9, 0.999],
        "optimizer.eps": 1e-6,
        "optimizer.weight_decay": 0.0,
        "optimizer.warmup": 0.0,
        "optimizer.decay": "constant",
        "optimizer.layer_decay": 1.0,
        "training.mode": "frozen" if frozen else "finetune",
        "training.frozen_dropout": frozen,
        "training.max_steps": None,
        "training.epochs": 0 if name == "Baseline-Finetune" else 9,
        "training.batch_size": batch,
        "training.accumulate": 1,
        "training.steps_per_epoch": cap,
        "training.batching": "random",
        "training.swap_pairs": False,
        "training.head_dropout": 0.1,
        "training.encoder_dropout": None,
        "training.max_length": 512,
        "training.evaluate_every": None,
        "training.patience": None,
        "training.time_limit": None,
        "training.select_on": "sum",
        "training.precision": "fp32",
        "training.scale": 1.0,
        "gradients.inspect_every": 50,
        "tasks.sst.head": None,
        "tasks.para.head": para,
        "tasks.sts.head": sts,
    }
    for task in ("sst", "para", "sts"):
        said |= {f"tasks.{task}.pooling": "cls", f"tasks.{task}.loss": None, f"tasks.{task}.weight": 1.0}
        said |= {f"tasks.{task}.max_length": None, f"tasks.{task}.metric": None}
        said |= {f"tasks.{task}.class_weights": None, f"tasks.{task}.shares_head": None}
    keys = keys_of(recipe)
    assert {key: keys[key] for key in said} == said
    assert list(recipe.tasks) == ["sst", "para", "sts"]
    files = {f"tasks.{task}.{key}" for task in recipe.tasks for key in type(recipe.tasks[task]).model_fields}
    unsaid = {"training.checkpoint_every", "training.device", "track"}
    assert keys.keys() - said.keys() <= files | unsaid


def test_a_control_differs_from_its_partner_in_the_one_key_that_it_names() -> None:
    every = shipped("paper") | shipped("controls")
    for name, (partner, key, value) in CONTROLS.items():
        recipe = every[name]
        assert recipe.control is not None
        assert (recipe.control.of, recipe.control.key) == (partner, key)
        ours, theirs = keys_of(recipe), keys_of(every[partner])
        assert ours.keys() == theirs.keys()
        different = {k for k in ours if ours[k] != theirs[k]}
        assert different
        assert different == {k for k in ours if fnmatch.fnmatch(k, key)}, name
        assert {ours[k] for k in different} == {value}


def test_equal_batches_are_equal() -> None:
    """With a task's batches to spare: as many a task as PCG-200, and within a hundredth as many in all as RR-200."""

    def batches(recipe: Recipe) -> dict[str, int]:
        cap, epochs = recipe.training.steps_per_epoch, recipe.training.epochs
        assert cap is not None
        assert epochs is not None
        if recipe.schedule.kind == "simultaneous":
            return dict.fromkeys(recipe.tasks, cap * epochs)
        return {task: recipe.order.count(task) * cap for task in recipe.tasks}

    every = shipped("paper") | shipped("controls")
    for capped, surgery in (("RR-SSTFIRST-CAP600", "PCG-200"), ("RR-SSTFIRST-COSSTS-CAP600", "PCG-COSSTS-200")):
        assert batches(every[capped]) == batches(every[surgery]) == dict.fromkeys(["sst", "para", "sts"], 1800)
    found, wanted = (sum(batches(every[name]).values()) for name in ("PCG-CAP67", "RR-SSTFIRST-200"))
    assert abs(found / wanted - 1) < 0.01


@pytest.mark.parametrize("task", ["sst", "cfimdb"])
def test_a_single_task_is_trained_as_the_course_does(task: str, tmp_path: Path) -> None:
    for mode, lr in (("frozen", 1e-3), ("finetune", 1e-5)):
        recipe = load(RECIPES / "single" / f"{task}-{mode}.toml", data=_course_like(tmp_path, task))
        training, optimizer = recipe.training, recipe.optimizer
        assert list(recipe.tasks) == [task]
        assert (training.mode, training.frozen_dropout) == (mode, mode == "frozen")
        assert (optimizer.lr, optimizer.head_lr, optimizer.decay, optimizer.warmup) == (lr, lr, "constant", 0.0)
        assert (optimizer.betas, optimizer.eps, optimizer.weight_decay) == ([0.9, 0.999], 1e-6, 0.0)
        assert (training.epochs, training.batch_size, training.max_length) == (10, 8, 512)
        assert training.batching == "length"
        assert (training.head_dropout, recipe.tasks[task].pooling, recipe.gradients.clip) == (0.3, "cls", "off")


def _course_like(folder: Path, task: str) -> Path:
    """A folder with the one file that loading looks for."""
    (folder / f"ids-{task}-train.csv").touch()
    return folder
