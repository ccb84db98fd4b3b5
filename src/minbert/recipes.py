"""A run as data: the schema of a recipe, its defaults, inheritance, and overrides.

A field's text is its documentation. Every fault of a recipe is reported at once.
"""

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from minbert.errors import RecipeError, near, several
from minbert.tasks import BUILT_IN, Task

STARTER = Path(__file__).parent / "starter"
SPLITS = ("train", "dev", "test")
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # Windows keeps these names
SCORES = ("sum", "course")  # over all tasks
USE_SLASHES = "in a path write / or use single quotes"
Positive = Annotated[int, Field(gt=0)]
Rate = Annotated[float, Field(ge=0, lt=1)]


class Table(BaseModel):
    """A table of a recipe: unknown keys and values of another type are errors."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class ScheduleTable(Table):
    """`[schedule]`: which tasks an update trains."""

    kind: Literal["simultaneous", "round-robin"] = "simultaneous"
    """simultaneous: a batch of every task in every update. round-robin: one task an epoch, in `order`."""
    order: list[str] | None = None
    """The tasks in turn; round-robin may name a task several times. Default: as the tasks stand in the recipe."""


class GradientsTable(Table):
    """`[gradients]`: how the tasks' gradients become one."""

    method: Literal["sum"] = "sum"
    """sum: the weighted losses' gradients are added."""
    clip: Annotated[float, Field(gt=0)] | Literal["off"] = 1.0
    """Largest norm of an update's gradient over encoder and heads together, or "off"."""


class OptimizerTable(Table):
    """`[optimizer]`: AdamW and its learning rate over time."""

    lr: Annotated[float, Field(ge=0)] = 1e-4
    """Peak learning rate of the encoder."""
    head_lr: Annotated[float, Field(ge=0)] | None = None
    """Peak learning rate of the heads; without it, five times the encoder's, since they start untrained."""
    betas: list[Rate] = Field(default=[0.9, 0.999], min_length=2, max_length=2)
    """AdamW's decay rates of the gradient's mean and of its square."""
    eps: Annotated[float, Field(gt=0)] = 1e-8
    """AdamW's term against division by zero."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """Decay of matrices; biases and LayerNorm have none."""
    warmup: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Share of all updates over which the learning rate rises from zero."""
    decay: Literal["linear", "cosine", "constant"] = "linear"
    """How the learning rate falls after the warm-up."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Factor of the learning rate for each encoder layer below the top one."""


class TrainingTable(Table):
    """`[training]`: how long, in what portions, and what is kept."""

    epochs: Annotated[int, Field(ge=0)] | None = None
    """Epochs at most. With neither epochs nor max_steps, 3; with max_steps alone, as many as it takes."""
    max_steps: Annotated[int, Field(ge=0)] | None = None
    """Updates at most."""
    batch_size: Positive | dict[str, Positive] = 16
    """Examples of a task in a batch; a table gives each task its own."""
    accumulate: Positive = 1
    """Batches of a task whose gradients are averaged into one update."""
    steps_per_epoch: Positive | None = None
    """Updates an epoch at most; the next epoch goes on with rows not yet seen."""
    batching: Literal["length", "random"] = "length"
    """length: texts of like length share a batch, which saves padding. random: any. Every row once a pass in both."""
    swap_pairs: bool = False
    """Whether a pair's two texts change places at random in training."""
    head_dropout: Rate = 0.1
    """Dropout in the heads."""
    encoder_dropout: Rate | None = None
    """Replaces both dropout rates of the encoder's config; without it they stay."""
    max_length: Annotated[int, Field(ge=3)] | None = None
    """Longest text in tokens, [CLS] and [SEP] included; without it, the encoder's limit."""
    evaluate_every: Positive | None = None
    """Updates between evaluations on dev; without it, each epoch's end."""
    patience: Positive | None = None
    """Training ends after so many evaluations without a better score."""
    checkpoint_every: Positive = 200
    """Updates between saved states; one is saved at every evaluation besides."""
    time_limit: Annotated[float, Field(gt=0)] | None = None
    """Seconds of training after which the run ends in good order."""
    select_on: str = "sum"
    """What the best model is chosen by on dev: sum, course, or a task's name."""
    precision: Literal["fp32"] = "fp32"
    """Number format of the arithmetic."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; auto takes a GPU if there is one."""


class Recipe(Table):
    """A whole recipe. Load one with `load`, which fills in the built-in tasks and finds their files."""

    name: str
    """The run's name, and its folder's; without it, the recipe file's."""
    encoder: str = "minilm"
    """minilm (built in), a folder of a BERT checkpoint or of a run, or a hub id."""
    seed: Annotated[int, Field(ge=0)] = 1
    """Decides initial heads, the order of the data, and dropout."""
    tasks: Annotated[dict[str, Task], Field(min_length=1)]
    """The tasks by name; `[tasks.sst]` alone is the built-in task of that name."""
    schedule: ScheduleTable = ScheduleTable()
    gradients: GradientsTable = GradientsTable()
    optimizer: OptimizerTable = OptimizerTable()
    training: TrainingTable = TrainingTable()

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, name: str) -> str:
        if not re.fullmatch(r"[\w][\w.+-]{0,99}", name, re.ASCII) or name.endswith(".") or RESERVED.fullmatch(name):
            raise ValueError(f"name = {name!r:.60} cannot name a folder everywhere; use letters, digits, '-', '_', '.'")
        return name

    @field_validator("tasks")
    @classmethod
    def _names_tasks(cls, tasks: dict[str, Task]) -> dict[str, Task]:
        for name in tasks:
            if not re.fullmatch(r"\w[\w-]{0,49}", name, re.ASCII):
                raise ValueError(f"task name {name!r:.60} should be of letters, digits, '-' and '_' alone")
            if name in SCORES:
                raise ValueError(f"'{name}' is a score over all tasks; give the task another name")
        if not any(task.weight for task in tasks.values()):
            raise ValueError("every task has weight 0; give one a weight")
        return tasks

    @model_validator(mode="after")
    def _fits_its_tasks(self) -> Self:
        names, order = list(self.tasks), self.order
        faults = [f"schedule.order names '{n}', no task{near(n, names)}" for n in order if n not in names]
        if not order:
            faults.append("schedule.order names no task")
        if self.schedule.kind == "simultaneous" and len(set(order)) < len(order):
            faults.append("schedule.order names a task twice; a simultaneous update trains each once")
        if isinstance(self.training.batch_size, dict):
            sizes = self.training.batch_size
            faults += [f"training.batch_size names '{n}', no task{near(n, names)}" for n in sizes if n not in names]
            faults += [f"training.batch_size gives no size to '{n}'" for n in names if n not in sizes]
        faults += self._faults_of_files()
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def _faults_of_files(self) -> list[str]:
        """What is wrong with paths as such, and with choosing a model by a file that is not there."""
        paths = {f"tasks.{name}.{split}": getattr(task, split) for name, task in self.tasks.items() for split in SPLITS}
        faults = [
            f"{key} = {json.dumps(path)} holds a control character; {USE_SLASHES}"  # "C:\temp" is C:, a tab, and emp
            for key, path in (paths | {"encoder": self.encoder}).items()
            if path is not None and re.search(r"[\x00-\x1f\x7f]", path)
        ]
        chosen, known = self.training.select_on, [*SCORES, *self.tasks]
        if chosen not in known:
            faults.append(f"training.select_on = {chosen!r:.60} is not sum, course or a task{near(chosen, known)}")
        elif chosen in self.tasks and self.tasks[chosen].dev is None:
            faults.append(f"training.select_on = '{chosen}', and tasks.{chosen} names no dev file to score it on")
        return faults

    @property
    def order(self) -> list[str]:
        return list(self.tasks) if self.schedule.order is None else self.schedule.order

    def batch_size(self, task: str) -> int:
        size = self.training.batch_size
        return size if isinstance(size, int) else size[task]

    def to_toml(self) -> str:
        """The recipe in full, every default written out; loading it gives the same recipe."""
        return tomli_w.dumps(self.model_dump(exclude_none=True))


def load(
    source: str | Path | Mapping[str, Any] | Recipe,
    overrides: Sequence[str] = (),
    data: str | Path | None = None,
    name: str | None = None,
) -> Recipe:
    """A recipe from a TOML file, a mapping, or a recipe, with `key=value` overrides as if they stood in it.

    Tasks' files are relative to the recipe they stand in (a mapping: to the current folder), or to `data` where it
    is given; so is the encoder's folder, which may also be relative to the current one. Raises RecipeError.
    """
    base = None if data is None else Path(data)
    if isinstance(source, Recipe):
        source = source.model_dump(exclude_none=True)
    if isinstance(source, Mapping):
        values, origin, folder, default_name = dict(source), "the recipe", Path(), "run"
    else:
        path = Path(source)
        if path.name.startswith("_"):
            raise RecipeError(f"{path} is only for other recipes to extend; run one that does")
        values, origin, folder, default_name = _read(path, base), str(path), path.parent, path.stem
    values.setdefault("name", default_name)
    for override in overrides:
        _set(values, override)
    if name is not None:
        values["name"] = name
    values = _anchored(values, folder, base)
    if isinstance(values.get("tasks"), dict):  # anything else is for the schema to refuse
        values["tasks"] = {name: _built_in(name, task, base) for name, task in values["tasks"].items()}
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise RecipeError(f"{origin}: {several(_faults(error))}") from None


def _read(path: Path, base: Path | None, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """A file's values over those of the file it extends, each with paths as the file itself means them."""
    if path.resolve() in seen:
        raise RecipeError(f"{path} extends itself, by way of {seen[-1].name}; remove one extends")
    values = _anchored(_parse(path), path.parent, base)
    parent = values.pop("extends", None)
    if parent is None:
        return values
    if not isinstance(parent, str):
        raise RecipeError(f'{path}: extends names one file, such as extends = "_base.toml"')
    return _merged(_read(path.parent / parent, base, (*seen, path.resolve())), values)


def _anchored(values: dict[str, Any], folder: Path, base: Path | None) -> dict[str, Any]:
    """The values with paths made absolute: tasks' files from `base`, else from `folder`; the encoder's from there."""
    tasks, encoder = values.get("tasks"), values.get("encoder")
    anchored = dict(values)
    if isinstance(tasks, dict):
        anchored["tasks"] = {name: _located(task, folder if base is None else base) for name, task in tasks.items()}
    if isinstance(encoder, str | Path) and encoder != "minilm":
        found = [place for place in (folder / encoder, Path(encoder)) if place.is_dir()]
        found += [folder / encoder] if str(encoder).startswith(".") else []
        anchored["encoder"] = str(found[0].absolute() if found else encoder)
    return anchored


def _located(task: object, folder: Path) -> object:
    """A task's table with its files as absolute paths from `folder`."""
    if not isinstance(task, dict):
        return task
    return task | {key: str((folder / task[key]).absolute()) for key in SPLITS if isinstance(task.get(key), str | Path)}


def _parse(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise RecipeError(f"recipe {path} does not exist; correct the path") from None
    except IsADirectoryError:
        raise RecipeError(f"recipe {path} is a folder; name a .toml file in it") from None
    except (UnicodeDecodeError, OSError) as error:
        raise RecipeError(f"recipe {path} cannot be read ({error}); save it as UTF-8") from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"line (\d+)", str(error))
        said = f"{error}\n" + (text.split("\n")[int(place[1]) - 1] if place else "")
        remedy = next((hint for pattern, hint in SYNTAX.items() if re.search(pattern, said)), "correct it there")
        raise RecipeError(f"{path}: {error}; {remedy}") from None


SYNTAX = {  # what a fault and its line look like, and what to write instead
    r"^Cannot (overwrite|declare)": "remove one of the two",
    r'"[^"]*\\': USE_SLASHES,
    r"=\s*[+-]?(\.\d|\d+\.(?!\d))": "write a number with digits on both sides of its point, such as 0.5",
    r"=\s*(True|False)": "write true or false",
    r"=\s*[A-Za-z/.]": "put text in quotes",
}


def _merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both else value
    return merged


def _set(values: dict[str, Any], override: str) -> None:
    """Sets one dotted key; the value is read as TOML, and a bare word as text."""
    dotted, equals, text = override.partition("=")
    keys, said = dotted.strip().split("."), " ".join(override.split())
    if not equals or not all(keys):
        raise RecipeError(f"--set {said} should be key=value, such as --set training.epochs=3")
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        parsed = {"value": text.strip()} if re.fullmatch(r"[\w./:@+-]+", text.strip()) else {}
    if parsed.keys() != {"value"}:
        raise RecipeError(f"--set {said}: the value is not TOML; quote text twice, as in 'key=\"some text\"'")
    table = values
    for key in keys[:-1]:
        inner = table.get(key)
        table[key] = dict(inner) if isinstance(inner, dict) else {}  # a copy: the caller keeps its mapping
        table = table[key]
    table[keys[-1]] = parsed["value"]


def _built_in(name: str, task: object, data: Path | None) -> object:
    """A task's table over its built-in definition, whose files are in `data` or the starter data."""
    if name not in BUILT_IN or not isinstance(task, dict):
        return task
    definition = dict(BUILT_IN[name])
    files = {split: definition.pop(split) for split in SPLITS}
    if any(split in task for split in SPLITS):
        return definition | task
    folder = STARTER if data is None else data
    if data is None and not (folder / files["train"]).is_file():
        raise RecipeError(f"task '{name}': the starter data has none of it; pass --data DIR with {files['train']}")
    if not (folder / files["test"]).is_file():  # the one split that is optional
        files.pop("test")
    return definition | {split: str((folder / file).absolute()) for split, file in files.items()} | task


def _faults(error: ValidationError) -> list[str]:
    """One short sentence a key, with its full name and the remedy."""
    sentences: dict[str, str] = {}
    by_key: dict[str, list[Any]] = {}
    for fault in error.errors():
        loc = [str(part) for part in fault["loc"]]
        # A fault's place goes on below the key: into a list, or by what pydantic calls the members of a union.
        key = ".".join(loc[: 3 if loc[:1] == ["tasks"] else 2])
        if fault["type"] == "extra_forbidden":
            sentences[key] = _unknown(loc)
        elif fault["type"] == "value_error":
            sentences[key] = (f"[{key}] " if len(loc) > 1 else "") + str(fault["ctx"]["error"])
        elif key == "tasks":
            sentences[key] = "there is no [tasks.NAME] table; write one, such as [tasks.sst]"
        elif fault["type"] == "missing" and key == ".".join(loc):
            sentences[key] = f"{key} is missing; write it"
        else:
            by_key.setdefault(key, []).append(fault)
            sentences[key] = _unfit(key, by_key[key])
    return [" ".join(sentence.split()) for sentence in sentences.values()]


def _unfit(key: str, faults: list[Any]) -> str:
    """Why a value does not fit its key, and what would; of a union's members the one that came farthest speaks."""
    depth = max(len(fault["loc"]) for fault in faults)
    last = [fault for fault in faults if len(fault["loc"]) == depth]
    value, kinds = last[0]["input"], {fault["type"] for fault in last}
    shown = f"{json.dumps(value, ensure_ascii=False, default=str):.60}"
    is_part = (isinstance(last[0]["loc"][-1], int) and "missing" not in kinds) or depth > key.count(".") + 2
    said = f"{shown} in {key}" if is_part else f"{key} = {shown}"
    if isinstance(value, str) and kinds & {"int_type", "float_type"} and NUMBER.fullmatch(value):
        digits = re.sub(r"\.(?!\d)", ".0", re.sub(r"(?<!\d)\.", "0.", value))  # TOML wants them on both sides
        return f"{said} is text; write {digits} without quotes"
    if isinstance(value, float) and value.is_integer() and "int_type" in kinds:
        return f"{said} should be a whole number; write {int(value)}"
    if isinstance(value, int | float) and "string_type" in kinds:
        return f'{said} should be text; write "{shown}"'
    wanted = [EXPECTED.get(f["type"]) or re.sub(r"^.* should | after validation", "", f["msg"]) for f in last]
    return f"{said} should {' or '.join(dict.fromkeys(wanted))}"


NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
EXPECTED = {  # where pydantic's words are not the recipe's
    "int_type": "be a whole number",
    "bool_type": "be true or false, without quotes",
    "dict_type": "be a table",
    "model_type": "be a table",
    "missing": "have more values",
}


def _unknown(loc: list[str]) -> str:
    """An unknown key, with the one that was meant, or the table that has it."""
    *table, key = loc
    tables = {name: field.annotation for name, field in Recipe.model_fields.items()}
    fields = {name: list(t.model_fields) for name, t in tables.items() if isinstance(t, type(Table))}
    fields |= {"tasks": list(Task.model_fields), "": list(tables)}
    here = fields[table[0] if table else ""]
    hint = near(key, here)
    if "lr" in here and near(key, ["learning_rate"]):
        hint = " (did you mean 'lr'?)"
    for place, names in fields.items():
        if key in names:
            hint = f" (it belongs in [{place.replace('tasks', 'tasks.NAME')}])" if place else " (it belongs at the top)"
    if key == "extends":
        hint = " (extends works in a recipe file alone)"
    where = f" in [{'.'.join(table)}]" if table else ""
    return f"unknown key {key!r:.60}{where}{hint}"
