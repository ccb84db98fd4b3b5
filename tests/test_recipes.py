"""Recipes: what is refused and with which words, inheritance, paths, overrides, and what a reload gives."""

import copy
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from minbert.errors import RecipeError
from minbert.recipes import STARTER, load
from minbert.schedules import SCHEDULES
from minbert.schema import (
    ControlTable,
    GradientsTable,
    OptimizerTable,
    Recipe,
    ScheduleTable,
    Table,
    TrainingTable,
)
from minbert.tasks import NOT_IN_RECIPES, Calibration, Task

ROOT = Path(__file__).parents[1]
SHIPPED = [*sorted((ROOT / "recipes").rglob("*.toml")), STARTER / "demo.toml"]
OWN: dict[str, Any] = {"kind": "classification", "train": "train.csv", "dev": "dev.csv"}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a recipe's text, by default into r.toml, and gives its path."""

    def written(text: str, name: str = "r.toml", encoding: str = "utf-8") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding=encoding)
        return path

    return written


def refusal(source: Any, *overrides: str, data: Path | None = None) -> str:
    """The message with which a recipe is refused: always one that a terminal can show."""
    with pytest.raises(RecipeError) as caught:
        load(source, overrides, data)
    message = str(caught.value)
    assert len(message.splitlines()) <= 3
    return message


POINT = "write a number with digits on both sides of its point, such as 0.5"


# Field report B37: what TOML itself refuses, with the line and the remedy.
@pytest.mark.parametrize(
    ("line", "said", "remedy"),
    [
        (r'train = "C:\Users\ana\new.csv"', "Invalid hex value", "in a path write / or use single quotes"),
        (r'train = "C:\data\x.csv"', "Unescaped", "in a path write / or use single quotes"),
        ("weight = .5", "Invalid value", POINT),
        ("weight = -.5", "Invalid value", POINT),
        ("weight = 5.", "Expected newline", POINT),
        ("weight = True", "Invalid value", "write true or false"),
        ("head = linear", "Invalid value", "put text in quotes"),
        ("train = data/x.csv", "Invalid value", "put text in quotes"),
        ("head = 'linear'\nhead = 'linear'", "Cannot overwrite a value", "remove one of the two"),
        ("[tasks.sst]", "Cannot declare", "remove one of the two"),
        ("my head = 'linear'", "Expected '='", "correct it there"),
        ("head = 'linear", "Expected", "correct it there"),
        ("labels = ['0',", "Invalid value", "correct it there"),
        ("[training", "Expected ']'", "correct it there"),
        ("weight =", "Invalid value", "correct it there"),
    ],
)
def test_what_is_no_toml_is_refused_with_file_line_and_remedy(
    write: Callable[..., Path], line: str, said: str, remedy: str
) -> None:
    path = write(f"[tasks.sst]\n{line}\n")
    message = refusal(path)
    assert message.startswith(f"{path}: {said}")
    assert "line " in message or "end of document" in message
    assert message.endswith(f"; {remedy}")


def test_the_last_line_may_be_the_faulty_one(write: Callable[..., Path]) -> None:
    for text in ("[tasks.sst]\nweight = [", "[tasks.sst]\r\nweight = \r\n", "x = '''\n", "", "\n"):
        assert refusal(write(text))


# Field report B37: values of another type, and out of range.
@pytest.mark.parametrize(
    ("table", "line", "message"),
    [
        ("optimizer", 'lr = "1e-5"', 'optimizer.lr = "1e-5" is text; write 1e-5 without quotes'),
        ("optimizer", 'lr = ".5"', 'optimizer.lr = ".5" is text; write 0.5 without quotes'),
        ("optimizer", 'lr = "-5."', 'optimizer.lr = "-5." is text; write -5.0 without quotes'),
        ("optimizer", "lr = 'fast'", 'optimizer.lr = "fast" should be a valid number'),
        ("optimizer", "lr = -1e-5", "optimizer.lr = -1e-05 should be greater than or equal to 0"),
        ("optimizer", "lr = inf", "optimizer.lr = Infinity should be a finite number"),
        ("optimizer", "lr = nan", "optimizer.lr = NaN should be a finite number"),
        ("optimizer", "betas = 0.9", "optimizer.betas = 0.9 should be a valid list"),
        ("optimizer", "betas = [0.9]", "optimizer.betas = [0.9] should have at least 2 items, not 1"),
        ("optimizer", "betas = [0.9, 1.0]", "1.0 in optimizer.betas should be less than 1"),
        ("optimizer", 'betas = ["0.9", 0.5]', '"0.9" in optimizer.betas is text; write 0.9 without quotes'),
        ("optimizer", "warmup = 10", "optimizer.warmup = 10 should be less than or equal to 1"),
        ("optimizer", "decay = 'liner'", "optimizer.decay = \"liner\" should be 'linear', 'cosine' or 'constant'"),
        ("training", 'epochs = "3"', 'training.epochs = "3" is text; write 3 without quotes'),
        ("training", "epochs = 3.0", "training.epochs = 3.0 should be a whole number; write 3"),
        ("training", "epochs = 3.5", "training.epochs = 3.5 should be a whole number"),
        ("training", "epochs = true", "training.epochs = true should be a whole number"),
        ("training", "epochs = -1", "training.epochs = -1 should be greater than or equal to 0"),
        ("training", "max_length = 2", "training.max_length = 2 should be greater than or equal to 3"),
        ("training", "scale = 0", "training.scale = 0 should be greater than 0"),
        ("training", "scale = -0.5", "training.scale = -0.5 should be greater than 0"),
        ("training", "scale = 1.5", "training.scale = 1.5 should be less than or equal to 1"),
        ("training", 'scale = ".5"', 'training.scale = ".5" is text; write 0.5 without quotes'),
        ("training", "scale = nan", "training.scale = NaN should be a finite number"),
        ("training", "swap_pairs = 'true'", 'training.swap_pairs = "true" should be true or false, without quotes'),
        ("training", "swap_pairs = 1", "training.swap_pairs = 1 should be true or false, without quotes"),
        ("training", 'batch_size = "16"', 'training.batch_size = "16" is text; write 16 without quotes'),
        ("training", "batch_size = [16]", "training.batch_size = [16] should be a whole number or be a table"),
        ("training", "batch_size = 0", "training.batch_size = 0 should be greater than 0 or be a table"),
        ("training", "batch_size = {sst = 0}", "0 in training.batch_size should be greater than 0"),
        ("training", 'batch_size = {sst = "8"}', '"8" in training.batch_size is text; write 8 without quotes'),
        ("training", "precision = 'fp8'", "training.precision = \"fp8\" should be 'fp32'"),
        ("training", "select_on = 3", 'training.select_on = 3 should be text; write "3"'),
        ("gradients", "clip = 'on'", "gradients.clip = \"on\" should be a valid number or be 'off'"),
        ("gradients", "clip = 0", "gradients.clip = 0 should be greater than 0 or be 'off'"),
        ("gradients", 'clip = "1.0"', 'gradients.clip = "1.0" is text; write 1.0 without quotes'),
        ("schedule", "order = 'sst'", 'schedule.order = "sst" should be a valid list'),
        ("schedule", "order = [1]", '1 in schedule.order should be text; write "1"'),
        ("tasks.sst", 'labels = ["0", 1]', '1 in tasks.sst.labels should be text; write "1"'),
        ("tasks.sst", 'weight = "2"', 'tasks.sst.weight = "2" is text; write 2 without quotes'),
        ("tasks.sst", "weight = -1", "tasks.sst.weight = -1 should be greater than or equal to 0"),
        ("tasks.sst", "weight = 0", "every task has weight 0; give one a weight"),
        ("tasks.sst", "head = 3", 'tasks.sst.head = 3 should be text; write "3"'),
        ("tasks.sst", "head = 'liner'", "[tasks.sst] head 'liner' is unknown to a classification task; take one of"),
        ("tasks.sst", "kind = 'pair'", "tasks.sst.kind = \"pair\" should be 'classification', 'pair-classification'"),
        ("tasks.sst", "range = [0]", "tasks.sst.range = [0] should have more values"),
        ("tasks.sst", "weight = {x = 1}", 'tasks.sst.weight = {"x": 1} should be a valid number'),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_its_key_and_what_would(
    write: Callable[..., Path], table: str, line: str, message: str
) -> None:
    tables = f"[{table}]\n{line}\n" if table == "tasks.sst" else f"[tasks.sst]\n[{table}]\n{line}\n"
    path = write(tables)
    assert refusal(path).startswith(f"{path}: {message}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there is no [tasks.NAME] table; write one, such as [tasks.sst]"),
        ("tasks = 3", "there is no [tasks.NAME] table; write one, such as [tasks.sst]"),
        ("[tasks]", "there is no [tasks.NAME] table; write one, such as [tasks.sst]"),
        ("[tasks]\nsst = 3", "tasks.sst = 3 should be a table"),
        ("[[tasks.sst]]", "tasks.sst = [{}] should be a table"),
        ("[tasks.mine]\ntrain = 'x.csv'", "tasks.mine.kind is missing; write it"),
        ("training = 3\n[tasks.sst]", "training = 3 should be a table"),
        ("name = 3\n[tasks.sst]", 'name = 3 should be text; write "3"'),
        ("seed = -1\n[tasks.sst]", "seed = -1 should be greater than or equal to 0"),
        ("seed = 1.0\n[tasks.sst]", "seed = 1.0 should be a whole number; write 1"),
        ("encoder = 3\n[tasks.sst]", 'encoder = 3 should be text; write "3"'),
    ],
)
def test_a_recipe_without_its_tables_is_refused(write: Callable[..., Path], text: str, message: str) -> None:
    path = write(text)
    assert refusal(path) == f"{path}: {message}"


@pytest.mark.parametrize(
    "value", ["lr = 1e-5", "lr = 1", "lr = 0.5", "lr = 1_000.0", "betas = [0, 0.5]", "warmup = 0", "head_lr = 5e-4"]
)
def test_numbers_as_toml_writes_them_are_taken(write: Callable[..., Path], value: str) -> None:
    assert load(write(f"[tasks.sst]\n[optimizer]\n{value}\n"))


# Names of runs and tasks.
BAD_NAMES = ["a:b", "a?b", "../x", "a/b", "a\\b", "CON", "nul.txt", "com1", "", ".", "..", "a.", "-x", ".x", "é"]


@pytest.mark.parametrize("name", [*BAD_NAMES, "a\nb\nc\nd", "x" * 101])
def test_a_name_that_cannot_be_a_folder_everywhere_is_refused(name: str) -> None:
    message = refusal({"name": name, "tasks": {"sst": {}}})
    assert message == (
        f"the recipe: name = {name!r:.60} cannot name a folder everywhere; use letters, digits, '-', '_', '.'"
        " in name or --name"
    )


@pytest.mark.parametrize("name", ["a", "demo", "v1.2", "a_b-c", "Run+2", "console", "_x", "x" * 100])
def test_other_names_are_taken(name: str) -> None:
    assert load({"name": name, "tasks": {"sst": {}}}).name == name


def test_a_run_is_called_as_the_command_says_else_the_recipe_else_its_file(write: Callable[..., Path]) -> None:
    path = write("[tasks.sst]\n", "from-the-file.toml")
    named = write("name = 'from-the-recipe'\n[tasks.sst]\n")
    assert load(path).name == "from-the-file"
    assert load(named).name == "from-the-recipe"
    assert load(named, ["name=from-set"]).name == "from-set"
    assert load(named, ["name=from-set"], name="from-the-command").name == "from-the-command"
    assert load({"tasks": {"sst": {}}}).name == "run"


@pytest.mark.parametrize("name", ["my task", "a.b", "a/b", "", "é", "-a", "x" * 51, "a\nb"])
def test_a_task_name_that_cannot_be_a_key_is_refused(name: str) -> None:
    message = refusal({"tasks": {name: OWN}})
    assert message == f"the recipe: task name {name!r:.60} should be of letters, digits, '-' and '_' alone"


@pytest.mark.parametrize("name", ["sum", "course"])
def test_a_task_may_not_be_called_as_a_score_over_all_tasks(name: str) -> None:
    assert f"'{name}' is a score over all tasks; give the task another name" in refusal({"tasks": {name: OWN}})


# Unknown keys.
@pytest.mark.parametrize(
    ("place", "key", "hint"),
    [
        ("", "sede", " (did you mean 'seed'?)"),
        ("", "encodr", " (did you mean 'encoder'?)"),
        ("", "epochs", " (it belongs in [training])"),
        ("", "lr", " (it belongs in [optimizer])"),
        ("", "head", " (it belongs in [tasks.NAME])"),
        ("", "zzz", ""),
        ("schedule", "oder", " (did you mean 'order'?)"),
        ("gradients", "clp", " (did you mean 'clip'?)"),
        ("optimizer", "wieght_decay", " (did you mean 'weight_decay'?)"),
        ("optimizer", "learning_rate", " (did you mean 'lr'?)"),
        ("optimizer", "lerning_rate", " (did you mean 'lr'?)"),
        ("optimizer", "clip", " (it belongs in [gradients])"),
        ("training", "epocs", " (did you mean 'epochs'?)"),
        ("training", "lr", " (it belongs in [optimizer])"),
        ("training", "seed", " (it belongs at the top)"),
        ("tasks.sst", "haed", " (did you mean 'head'?)"),
        ("tasks.sst", "batch_size", " (it belongs in [training])"),
        ("tasks.sst", "a\nb\nc\nd", ""),
    ],
)
def test_an_unknown_key_is_refused_with_the_one_that_was_meant(place: str, key: str, hint: str) -> None:
    values: dict[str, Any] = {"tasks": {"sst": {}}}
    table = values
    for part in place.split(".") if place else []:
        table = table.setdefault(part, {})
    table[key] = 1
    where = f" in [{place}]" if place else ""
    assert refusal(values) == f"the recipe: unknown key {key!r}{where}{hint}"


TABLES: dict[str, type[BaseModel]] = {
    "": Recipe,
    "schedule": ScheduleTable,
    "gradients": GradientsTable,
    "optimizer": OptimizerTable,
    "training": TrainingTable,
    "control": ControlTable,
    "tasks.sst": Task,
}


@pytest.mark.parametrize("place", TABLES)
def test_every_key_is_suggested_for_its_own_misspelling(place: str) -> None:
    for key in TABLES[place].model_fields:
        if len(key) < 4 or key in NOT_IN_RECIPES:
            continue
        values: dict[str, Any] = {"tasks": {"sst": {}}}
        table = values
        for part in place.split(".") if place else []:
            table = table.setdefault(part, {})
        table[key + "x"] = 1
        assert f"(did you mean '{key}'?)" in refusal(values)


def test_the_table_of_the_tests_is_the_schemas() -> None:
    own = {table for table in Table.__subclasses__() if table.__module__ == Table.__module__}  # others build on it
    assert set(TABLES.values()) == {Task, *own}


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.__name__)
def test_every_key_has_its_documentation(table: type[BaseModel]) -> None:
    undocumented = {"schedule", "gradients", "optimizer", "training"} if table is Recipe else set()  # tables have it
    assert table.__doc__
    for name, field in table.model_fields.items():
        assert name in undocumented or (field.description or "").endswith((".", "?")), name


# Several faults.
def test_every_fault_is_reported_at_once_the_first_three_in_words() -> None:
    values = {"tasks": {"sst": {"haed": 1}}, "optimizer": {"lr": "1"}, "training": {"epochs": 1.0}}
    message = refusal(values)
    assert "'haed'" in message
    assert "optimizer.lr" in message
    assert "training.epochs" in message
    values |= {"sed": 1, "seed": "1"}
    assert refusal(values).endswith("; and 2 more")


def test_faults_between_tables_are_reported_together() -> None:
    message = refusal(
        {
            "tasks": {"sst": {}, "sts": {}},
            "schedule": {"order": ["stt"]},
            "training": {"batch_size": {"sst": 8, "para": 8}, "select_on": "sumn"},
        }
    )
    for part in (
        "schedule.order names 'stt', no task (did you mean 'sts'?)",
        "training.batch_size names 'para', no task",
        "training.batch_size gives no size to 'sts'",
        "training.select_on = 'sumn' is not sum, course or a task (did you mean 'sum'?)",
    ):
        assert part in message


KEYS = [(place, key) for place, table in TABLES.items() for key in [*table.model_fields, "extends", "other"]]
VALUES = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(["sst", "off", "1e-5", "."]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None)
@given(place_and_key=st.sampled_from(KEYS), value=VALUES)
def test_any_value_under_any_key_is_taken_or_refused_in_at_most_three_lines(
    place_and_key: tuple[str, str], value: object
) -> None:
    place, key = place_and_key
    values: dict[str, Any] = {"tasks": {"sst": {}}}
    table = values
    for part in place.split(".") if place else []:
        table = table.setdefault(part, {})
    table[key] = value
    before, message = repr(values), ""
    try:
        load(values)
    except RecipeError as error:
        message = str(error)
    assert len(message.splitlines()) <= 3
    assert repr(values) == before


# Schedules, sizes and scores must fit the tasks.
@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ({"order": ["stt"]}, "schedule.order names 'stt', no task (did you mean 'sts'?)"),
        ({"order": []}, "schedule.order names no task"),
        ({"order": ["sst", "sst"]}, "schedule.order names a task twice; a simultaneous update trains each once"),
        (
            {"kind": "proportional", "order": ["sst", "sts", "sst"]},
            "schedule.order names a task twice; a proportional schedule draws each by its rows, so name it once",
        ),
        (
            {"kind": "annealed", "order": ["sts", "sts"]},
            "schedule.order names a task twice; an annealed schedule draws each by its rows, so name it once",
        ),
        (
            {"kind": "simultanous"},
            "schedule.kind = \"simultanous\" should be 'simultaneous', 'round-robin', 'alternating', 'proportional' or"
            " 'annealed'",
        ),
    ],
)
def test_a_schedule_that_does_not_fit_its_tasks_is_refused(schedule: dict[str, Any], message: str) -> None:
    assert refusal({"tasks": {"sst": {}, "sts": {}}, "schedule": schedule}) == f"the recipe: {message}"


@pytest.mark.parametrize("kind", SCHEDULES)
def test_an_order_may_leave_out_a_task_but_names_none_that_is_not_there(kind: str) -> None:
    tasks: dict[str, Any] = {"sst": {}, "sts": {}}
    assert load({"tasks": tasks, "schedule": {"kind": kind, "order": ["sts"]}}).order == ["sts"]
    message = "the recipe: schedule.order names 'para', no task"
    assert refusal({"tasks": tasks, "schedule": {"kind": kind, "order": ["sst", "para"]}}) == message


def test_the_order_is_the_recipes_own_or_the_tasks_as_they_stand() -> None:
    tasks: dict[str, Any] = {"sts": {}, "sst": {}, "para": {}}
    assert load({"tasks": tasks}).order == ["sts", "sst", "para"]
    sum12 = ["sst", "para", "sts", "sts", "sst", "para", "para", "sts", "sst"]
    for kind in ("round-robin", "alternating"):
        assert load({"tasks": tasks, "schedule": {"kind": kind, "order": sum12}}).order == sum12
    assert load({"tasks": tasks, "schedule": {"order": ["sst"]}}).order == ["sst"]


def test_a_batch_size_is_one_number_or_a_table_of_all_tasks(write: Callable[..., Path]) -> None:
    path = write("[tasks.sst]\n[tasks.sts]\n[training]\nbatch_size = {sst = 8, sts = 4}\n")
    assert [load(path).batch_size(task) for task in ("sst", "sts")] == [8, 4]
    replaced = load(path, ["training.batch_size=16"])
    assert [replaced.batch_size(task) for task in ("sst", "sts")] == [16, 16]
    one = load(path, ["training.batch_size.sts=2"])
    assert [one.batch_size(task) for task in ("sst", "sts")] == [8, 2]
    with pytest.raises(RecipeError, match=r"training\.batch_size gives no size to 'sts'"):
        load(path, ["training.batch_size={sst=16}"])
    with pytest.raises(RecipeError, match=r"names 'stt', no task \(did you mean 'sts'\?\)"):
        load(path, ["training.batch_size.stt=16"])


@pytest.mark.parametrize("select_on", ["sum", "course", "sst"])
def test_a_model_is_chosen_by_a_score_or_a_tasks_metric(select_on: str) -> None:
    assert load({"tasks": {"sst": {}}, "training": {"select_on": select_on}}).training.select_on == select_on


def test_a_model_cannot_be_chosen_on_a_task_without_a_dev_file() -> None:
    tasks = {"mine": {"kind": "classification", "train": "x.csv"}, "sst": {}}
    message = refusal({"tasks": tasks, "training": {"select_on": "mine"}})
    assert message == "the recipe: training.select_on = 'mine', and tasks.mine names no dev file to score it on"


# Inheritance.
def test_a_chain_of_recipes_merges_table_by_table(write: Callable[..., Path]) -> None:
    write("seed = 1\n[tasks.sst]\nweight = 1.0\n[optimizer]\nlr = 1e-3\nwarmup = 0.5\n", "_base.toml")
    write("extends = '_base.toml'\nseed = 2\n[tasks.sst]\nmetric = 'macro-f1'\n[optimizer]\nlr = 1e-4\n", "_mid.toml")
    recipe = load(write("extends = '_mid.toml'\n[tasks.sst]\nweight = 3\n[tasks.sts]\n[training]\nepochs = 1\n"))
    assert (recipe.seed, recipe.optimizer.lr, recipe.optimizer.warmup, recipe.training.epochs) == (2, 1e-4, 0.5, 1)
    assert (recipe.tasks["sst"].weight, recipe.tasks["sst"].metric) == (3.0, "macro-f1")
    assert list(recipe.tasks) == ["sst", "sts"]
    assert recipe.name == "r"


@pytest.mark.parametrize(
    ("base", "own", "expected"),
    [
        ("16", "{sst = 8}", {"sst": 8}),
        ("{sst = 8}", "16", 16),
        ("{sst = 8}", "{sst = 4}", {"sst": 4}),
    ],
)
def test_a_list_or_number_is_replaced_whole_and_a_table_key_by_key(
    write: Callable[..., Path], base: str, own: str, expected: object
) -> None:
    write(f"[tasks.sst]\n[training]\nbatch_size = {base}\n", "_base.toml")
    recipe = load(write(f"extends = '_base.toml'\n[training]\nbatch_size = {own}\n"))
    assert recipe.training.batch_size == expected


@pytest.mark.parametrize("chain", [["r.toml"], ["a.toml", "r.toml"], ["a.toml", "b.toml", "a.toml"]])
def test_a_circle_of_recipes_is_refused(write: Callable[..., Path], chain: list[str]) -> None:
    path = write(f"extends = '{chain[0]}'\n[tasks.sst]\n")
    for name, parent in itertools.pairwise(chain):
        write(f"extends = '{parent}'\n", name)
    assert "extends itself, by way of " in refusal(path)
    assert refusal(path).endswith("; remove one extends")


def test_a_parent_that_is_not_there_or_no_name_is_refused(write: Callable[..., Path], tmp_path: Path) -> None:
    missing = refusal(write("extends = '_none.toml'\n"))
    assert missing == f"{tmp_path / 'r.toml'} extends _none.toml, which does not exist; correct that line"
    path = write("extends = ['_base.toml']\n")
    assert refusal(path) == f'{path}: extends names one file, such as extends = "_base.toml"'


def test_a_fault_in_the_syntax_of_a_parent_names_the_parent(write: Callable[..., Path]) -> None:
    parent = write("seed = .5\n", "_base.toml")
    assert refusal(write("extends = '_base.toml'\n")).startswith(f"{parent}: Invalid value (at line 1")


def test_a_file_for_others_to_extend_is_not_run(write: Callable[..., Path]) -> None:
    path = write("[tasks.sst]\n", "_base.toml")
    assert refusal(path) == f"{path} is only for other recipes to extend; run one that does"
    assert load(write("extends = '_base.toml'\n")).tasks


@pytest.mark.parametrize("override", [[], ["extends=_base.toml"]])
def test_extends_is_a_key_of_files_alone(override: list[str]) -> None:
    values = {"tasks": {"sst": {}}} | ({} if override else {"extends": "_base.toml"})
    assert refusal(values, *override) == "the recipe: unknown key 'extends' (extends works in a recipe file alone)"


# Files.
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_recipe_may_begin_with_a_byte_order_mark(write: Callable[..., Path], encoding: str) -> None:
    """Field report B25."""
    path = write("# café – “ok”\n[tasks.mine]\nkind = 'classification'\ntrain = 'naïve.csv'\n", encoding=encoding)
    assert load(path).tasks["mine"].train == str(path.parent / "naïve.csv")


@pytest.mark.parametrize("encoding", ["utf-16", "cp1252"])
def test_a_recipe_in_another_encoding_is_refused(write: Callable[..., Path], encoding: str) -> None:
    path = write("[tasks.sst]\ntrain = 'café.csv'\n", encoding=encoding)
    message = refusal(path)
    assert message.startswith(f"recipe {path} cannot be read (")
    assert message.endswith("; save it as UTF-8")


def test_a_recipe_that_is_not_there_or_a_folder_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "x.toml") == f"recipe {tmp_path / 'x.toml'} does not exist; correct the path"
    assert refusal(str(tmp_path)) == f"recipe {tmp_path} is a folder; name a .toml file in it"


# Paths.
def own(**files: str) -> str:
    return "[tasks.mine]\nkind = 'classification'\n" + "".join(f"{k} = '{v}'\n" for k, v in files.items())


def test_paths_are_relative_to_the_recipe_wherever_it_is_run(
    write: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(own(train="x/train.csv", dev="../dev.csv", test=str(tmp_path / "abs.csv")), "recipes/r.toml")
    monkeypatch.chdir(tmp_path / "recipes")
    for source in (path, "r.toml"):
        task = load(source).tasks["mine"]
        assert task.train == str(tmp_path / "recipes" / "x" / "train.csv")
        assert Path(task.dev or "").resolve() == tmp_path / "dev.csv"
        assert task.test == str(tmp_path / "abs.csv")


def test_paths_are_relative_to_data_where_it_is_given(write: Callable[..., Path], tmp_path: Path) -> None:
    path = write(own(train="train.csv", test=str(tmp_path / "abs.csv")), "recipes/r.toml")
    task = load(path, data=tmp_path / "data").tasks["mine"]
    assert (task.train, task.test) == (str(tmp_path / "data" / "train.csv"), str(tmp_path / "abs.csv"))


def test_a_parents_paths_are_relative_to_the_parent(write: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "shared" / "bert").mkdir(parents=True)
    write("encoder = 'bert'\n" + own(train="train.csv", dev="dev.csv"), "shared/_base.toml")
    recipe = load(write("extends = '../shared/_base.toml'\n[tasks.mine]\ndev = 'dev.csv'\n", "recipes/r.toml"))
    task = recipe.tasks["mine"]
    assert Path(task.train or "").resolve() == tmp_path / "shared" / "train.csv"
    assert task.dev == str(tmp_path / "recipes" / "dev.csv")
    assert Path(recipe.encoder).resolve() == tmp_path / "shared" / "bert"


def test_an_overridden_path_is_as_if_it_stood_in_the_recipe(write: Callable[..., Path], tmp_path: Path) -> None:
    path = write(own(train="train.csv"), "recipes/r.toml")
    assert load(path, ["tasks.mine.dev=dev.csv"]).tasks["mine"].dev == str(tmp_path / "recipes" / "dev.csv")
    with_data = load(path, ["tasks.mine.dev=dev.csv"], data=tmp_path)
    assert with_data.tasks["mine"].dev == str(tmp_path / "dev.csv")


def test_a_mappings_paths_are_relative_to_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bert").mkdir()
    for file, encoder in (("x.csv", "bert"), (Path("x.csv"), Path("bert"))):
        recipe = load({"encoder": encoder, "tasks": {"mine": OWN | {"train": file}}})
        assert (recipe.tasks["mine"].train, recipe.encoder) == (str(tmp_path / "x.csv"), str(tmp_path / "bert"))


def test_an_encoder_is_a_folder_beside_the_recipe_or_here_or_a_name(
    write: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write("[tasks.sst]\n", "recipes/r.toml")
    for folder in ("recipes/near", "runs/here"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    expected = {
        "near": tmp_path / "recipes" / "near",
        "runs/here": tmp_path / "runs" / "here",
        "./missing": tmp_path / "recipes" / "missing",
        "minilm": "minilm",
        "google-bert/bert-base-uncased": "google-bert/bert-base-uncased",
    }
    for encoder, found in expected.items():
        assert load(path, [f"encoder={encoder}"]).encoder == str(found)


def test_a_windows_path_is_taken_in_single_quotes_or_with_slashes(write: Callable[..., Path]) -> None:
    task = load(write(own(train=r"C:\data\x.csv", dev="C:/data/x.csv"))).tasks["mine"]
    assert (task.train or "").endswith(r"C:\data\x.csv")
    assert (task.dev or "").endswith("C:/data/x.csv")


@pytest.mark.parametrize(
    ("key", "value"), [("train", r"C:\temp\new.csv"), ("test", r"data\new.csv"), ("dev", r"x\rows.csv")]
)
def test_a_backslash_that_toml_takes_for_a_control_character_is_refused(
    write: Callable[..., Path], key: str, value: str
) -> None:
    """TOML reads C:\\temp as C:, a tab, and emp."""
    path = write(f"[tasks.mine]\nkind = 'classification'\n{key} = \"{value}\"\n")
    message = refusal(path)
    assert message.startswith(f"{path}: tasks.mine.{key} = ")
    assert message.endswith("holds a control character; in a path write / or use single quotes")
    encoder = refusal({"encoder": "C:\temp", "tasks": {"sst": {}}})
    assert encoder == (
        'the recipe: encoder = "C:\\temp" holds a control character; in a path write / or use single quotes'
    )


# Built-in tasks.
@pytest.mark.parametrize("name", ["sst", "para", "sts"])
def test_a_built_in_task_reads_the_starter_data(name: str) -> None:
    task = load({"tasks": {name: {}}}).tasks[name]
    assert task.train is not None
    assert task.dev is not None
    assert Path(task.train).is_file()
    assert Path(task.dev).is_file()
    assert Path(task.train).parent == STARTER
    assert task.test is None


def test_a_built_in_task_reads_the_data_folder_and_its_test_split_is_optional(tmp_path: Path) -> None:
    tasks = {"tasks": {"sst": {}, "cfimdb": {}}}
    before = load(tasks, data=tmp_path).tasks
    assert before["cfimdb"].train == str(tmp_path / "ids-cfimdb-train.csv")
    assert before["sst"].test is None
    (tmp_path / "ids-sst-test-student.csv").write_text("")
    after = load(tasks, data=tmp_path).tasks
    assert after["sst"].test == str(tmp_path / "ids-sst-test-student.csv")
    assert after["cfimdb"].test is None


def test_the_starter_data_says_what_it_lacks() -> None:
    assert refusal({"tasks": {"cfimdb": {}}}) == (
        "task 'cfimdb': the starter data has none of it; pass --data DIR with ids-cfimdb-train.csv"
    )


def test_a_recipes_keys_go_over_a_built_in_tasks() -> None:
    tasks = load({"tasks": {"sst": {"labels": ["a", "b"], "label": "mood"}, "sts": {"range": [0, 1]}}}).tasks
    assert (tasks["sst"].labels, tasks["sst"].label, tasks["sst"].text) == (["a", "b"], "mood", "sentence")
    assert tasks["sts"].range == (0.0, 1.0)


@pytest.mark.parametrize("data", [False, True])
def test_a_built_in_task_with_a_file_of_its_own_takes_none_of_the_others(tmp_path: Path, data: bool) -> None:
    """Train on one's own rows and dev on the starter's would be no one's wish."""
    mine = {"tasks": {"sst": {"train": str(tmp_path / "mine.csv")}}}
    task = load(mine, data=tmp_path if data else None).tasks["sst"]
    assert (task.train, task.dev, task.test) == (str(tmp_path / "mine.csv"), None, None)
    assert task.labels == ["0", "1", "2", "3", "4"]


# Overrides.
@pytest.mark.parametrize(
    ("override", "found", "expected"),
    [
        ("training.epochs=3", lambda r: r.training.epochs, 3),
        (" training.epochs = 3 ", lambda r: r.training.epochs, 3),
        ("training.scale=0.05", lambda r: r.training.scale, 0.05),
        ("training.epochs=3 # as in the paper", lambda r: r.training.epochs, 3),
        ("optimizer.lr=1e-5", lambda r: r.optimizer.lr, 1e-5),
        ("optimizer.betas=[0.9, 0.98]", lambda r: r.optimizer.betas, [0.9, 0.98]),
        ("training.swap_pairs=true", lambda r: r.training.swap_pairs, True),
        ("gradients.clip=off", lambda r: r.gradients.clip, "off"),
        ('gradients.clip="off"', lambda r: r.gradients.clip, "off"),
        ("schedule.kind=round-robin", lambda r: r.schedule.kind, "round-robin"),
        ('schedule.order=["sst"]', lambda r: r.schedule.order, ["sst"]),
        ("tasks.sst.weight=2", lambda r: r.tasks["sst"].weight, 2.0),
        ("tasks.sst.label='a=b'", lambda r: r.tasks["sst"].label, "a=b"),
        ("tasks.sts.kind=pair-regression", lambda r: list(r.tasks), ["sst", "sts"]),
        ("encoder=google-bert/bert-base-uncased", lambda r: r.encoder, "google-bert/bert-base-uncased"),
        ("name=a-b", lambda r: r.name, "a-b"),
    ],
)
def test_an_override_is_read_as_toml_and_a_bare_word_as_text(
    write: Callable[..., Path], override: str, found: Callable[[Recipe], object], expected: object
) -> None:
    assert found(load(write("[tasks.sst]\n[training]\nepochs = 9\n"), [override])) == expected


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.epochs", "--set training.epochs should be key=value, such as --set training.epochs=3"),
        ("=3", "--set =3 should be key=value, such as --set training.epochs=3"),
        ("training..epochs=3", "--set training..epochs=3 should be key=value, such as --set training.epochs=3"),
        ("name=a b", "--set name=a b: the value is not TOML; quote text twice, as in 'key=\"some text\"'"),
        (
            "tasks.ssst.head=x",
            "--set tasks.ssst.head=x: there is no task 'ssst' (did you mean 'sst'?); correct its name",
        ),
        ("seed=", "--set seed=: the value is not TOML; quote text twice, as in 'key=\"some text\"'"),
        ("seed=3\nname=x\n\n\n", "--set seed=3 name=x: the value is not TOML; quote text twice, as in"),
        ("schedule.order=[sst]", "--set schedule.order=[sst]: the value is not TOML; quote text twice"),
        ("optimizer.lr=.5", 'optimizer.lr = ".5" is text; write 0.5 without quotes'),
        ('training.epochs="3"', 'training.epochs = "3" is text; write 3 without quotes'),
        ("training.epochs=3.0", "training.epochs = 3.0 should be a whole number; write 3"),
        ("training.swap_pairs=True", 'training.swap_pairs = "True" should be true or false, without quotes'),
        ("training.epocs=3", "unknown key 'epocs' in [training] (did you mean 'epochs'?)"),
        ("training=3", "training = 3 should be a table"),
        ("seed.x=3", 'seed = {"x": 3} should be a whole number'),
        ("tasks=3", "there is no [tasks.NAME] table"),
    ],
)
def test_an_override_that_cannot_be_is_refused(write: Callable[..., Path], override: str, message: str) -> None:
    path = write("[tasks.sst]\n")
    assert refusal(path, override).removeprefix(f"{path}: ").startswith(message)


def test_overrides_may_make_a_task_in_any_order(write: Callable[..., Path]) -> None:
    columns = ['tasks.new.train="a.csv"', "tasks.new.text=text", "tasks.new.label=label"]
    recipe = load(write("[tasks.sst]\n"), [*columns, "tasks.new.kind=classification"])
    assert recipe.tasks["new"].kind == "classification"


@pytest.mark.parametrize("overrides", [["tasks=3"], ["tasks={a={head=1}}"]])
def test_what_is_no_table_of_tasks_is_for_the_schema_to_refuse(
    write: Callable[..., Path], overrides: list[str]
) -> None:
    assert "--set" not in refusal(write("[tasks.sst]\n"), *overrides)


def test_an_override_of_a_task_in_no_table_of_tasks_is_refused(write: Callable[..., Path]) -> None:
    assert refusal(write("tasks = 3\n"), "tasks.a.weight=2").endswith("there is no task 'a'; correct its name")


def test_later_overrides_win_and_the_callers_mapping_stays_as_it_was() -> None:
    values: dict[str, Any] = {"tasks": {"sst": {"weight": 1.0}}, "training": {"epochs": 9, "batch_size": {"sst": 8}}}
    before = copy.deepcopy(values)
    overrides = ["training.epochs=1", "training.epochs=2", "tasks.sst.weight=3", "training.batch_size.sst=1"]
    recipe = load(values, overrides)
    assert (recipe.training.epochs, recipe.tasks["sst"].weight, recipe.batch_size("sst")) == (2, 3.0, 1)
    assert values == before


# A resolved recipe.
RATES = st.floats(0, 0.99)
TABLES_OF: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "schedule": st.fixed_dictionaries(
        {"kind": st.sampled_from(["round-robin", "alternating"])},
        optional={"order": st.lists(st.sampled_from(["sst", "mine"]), min_size=1)},
    ),
    "gradients": st.fixed_dictionaries({}, optional={"clip": st.just("off") | st.floats(1e-9, 1e9)}),
    "optimizer": st.fixed_dictionaries(
        {},
        optional={
            "lr": st.floats(0, 1e300),
            "head_lr": st.floats(0, 1),
            "betas": st.lists(RATES, min_size=2, max_size=2),
            "eps": st.floats(1e-300, 1),
            "layer_decay": st.floats(0.01, 1),
            "decay": st.sampled_from(["linear", "cosine", "constant"]),
        },
    ),
    "training": st.fixed_dictionaries(
        {},
        optional={
            "epochs": st.integers(0, 10**12),
            "batch_size": st.integers(1, 99) | st.fixed_dictionaries({"sst": st.integers(1), "mine": st.integers(1)}),
            "encoder_dropout": RATES,
            "scale": st.floats(0, 1, exclude_min=True),
            "swap_pairs": st.booleans(),
            "select_on": st.sampled_from(["sum", "course", "mine"]),
            "time_limit": st.floats(1e-3, 1e9),
        },
    ),
}
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=12)


@settings(max_examples=80, deadline=None)
@given(tables=st.fixed_dictionaries(TABLES_OF), label=TEXTS, texts=st.lists(TEXTS, min_size=2, max_size=2))
def test_a_recipe_written_in_full_loads_as_the_same_recipe(
    tmp_path_factory: pytest.TempPathFactory, tables: dict[str, Any], label: str, texts: list[str]
) -> None:
    mine = {"kind": "pair-regression", "train": "t.csv", "dev": "d.csv", "range": [-1, 2.5], "text": texts}
    recipe = load({"name": "here", "tasks": {"sst": {}, "mine": mine | {"label": label}}} | tables)
    path = tmp_path_factory.mktemp("run") / "recipe.toml"
    path.write_text(recipe.to_toml(), encoding="utf-8")
    assert load(path) == recipe
    assert load(recipe) == recipe
    assert load(path).to_toml() == recipe.to_toml()
    assert Recipe.model_validate(json.loads(json.dumps(recipe.model_dump(mode="json")))) == recipe


def test_a_recipe_written_in_full_names_every_key_that_has_a_value() -> None:
    recipe = load({"tasks": {"sst": {}}})
    text = recipe.to_toml()
    for table in (ScheduleTable, GradientsTable, OptimizerTable, TrainingTable):
        for key, field in table.model_fields.items():
            assert (f"\n{key} = " in text) == (field.default is not None), key


def test_a_recipe_loads_again_with_overrides(tmp_path: Path) -> None:
    recipe = load({"tasks": {"sst": {}}}, data=tmp_path)
    again = load(recipe, ["training.epochs=7"], name="other")
    assert (again.training.epochs, again.name, again.tasks) == (7, "other", recipe.tasks)


def test_a_key_that_is_not_there_has_its_default() -> None:
    recipe = load({"tasks": {"sst": {}}})
    assert recipe.encoder == "minilm"
    assert recipe.training == TrainingTable()
    assert recipe.training.epochs == 3
    assert load({"tasks": {"sst": {}}, "training": {"max_steps": 5}}).training.epochs is None
    assert load({"tasks": {"sst": {}}, "optimizer": {"lr": 2e-5}}).optimizer.head_lr == 5 * 2e-5


def test_training_without_an_end_is_refused() -> None:
    message = refusal({"tasks": {"sst": {}}, "training": {"epochs": None}})
    assert message == "the recipe: [training] says no end; give it epochs or max_steps"


# What ships.
@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_a_shipped_recipe_loads_and_changes_neither_precision_nor_the_encoders_dropout(
    path: Path, tmp_path: Path
) -> None:
    if path.name.startswith("_"):
        assert "only for other recipes to extend" in refusal(path)
        return
    recipe = load(path, data=tmp_path)
    assert (recipe.training.precision, recipe.training.encoder_dropout) == ("fp32", None)
    assert load(recipe) == recipe


@pytest.mark.parametrize("value", [3, {"rows": 20, "files": {}}])
def test_a_calibration_is_found_and_not_written(value: object) -> None:
    said = r"tasks\.sst\.calibration is what `minbert calibrate` finds for a trained model; leave it out$"
    with pytest.raises(RecipeError, match=said):
        load({"tasks": {"sst": {"calibration": value}}})
    found = Calibration(rows=20, files={})
    calibrated = load({"tasks": {"sst": {}}}).tasks["sst"].model_copy(update={"calibration": found})
    with pytest.raises(RecipeError, match=said):
        load({"tasks": {"sst": calibrated}})
    with pytest.raises(RecipeError, match=r"unknown key 'calibratoin' in \[tasks.sst\]$"):
        load({"tasks": {"sst": {"calibratoin": value}}})
