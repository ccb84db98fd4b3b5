"""A run as data: the schema of a recipe, its defaults, inheritance, and overrides.

A field's text is its documentation. Every fault of a recipe is reported at once.
"""

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
Positive = Annotated[int, Field(gt=0)]
Rate = Annotated[float, Field(ge=0, lt=1)]


class Table(BaseModel):
    """A table of a recipe: unknown keys and values of another type are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


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
            raise ValueError(f"name = '{name}' cannot name a folder; use letters, digits, '-', '_' and '.'")
        return name

    @field_validator("tasks")
    @classmethod
    def _names_tasks(cls, tasks: dict[str, Task]) -> dict[str, Task]:
        for name in tasks:
            if not re.fullmatch(r"\w[\w-]{0,49}", name, re.ASCII):
                raise ValueError(f"task name '{name}' should be of letters, digits, '-' and '_' alone")
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
        if self.training.select_on not in ("sum", "course", *names):
            faults.append(f"training.select_on = '{self.training.select_on}' is not sum, course or a task")
        if faults:
            raise ValueError("; ".join(faults))
        return self

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
    """A recipe from a TOML file, a mapping, or a recipe, with `key=value` overrides.

    Paths are relative to the file they stand in, or to `data` where it is given. Raises RecipeError.
    """
    if isinstance(source, Recipe):
        source = source.model_dump(exclude_none=True)
    if isinstance(source, Mapping):
        values, origin, default_name = _anchored(dict(source), Path(data or ".")), "the recipe", "run"
    else:
        path = Path(source)
        if path.name.startswith("_"):
            raise RecipeError(f"{path} is only for other recipes to extend; run one that does")
        values, origin, default_name = (
            _read(path, base=None if data is None else Path(data)),
            str(path),
            path.stem,
        )
    values.setdefault("name", default_name)
    for override in overrides:
        _set(values, override)
    if name is not None:
        values["name"] = name
    values["tasks"] = _with_built_in(values.get("tasks"), None if data is None else Path(data), origin)
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise RecipeError(f"{origin}: {several(_faults(error))}") from None


def _read(path: Path, base: Path | None, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """A file's values over those of the file it extends; task files as paths from `base`, else from the file."""
    if path.resolve() in seen:
        raise RecipeError(f"{path} extends itself, by way of {seen[-1].name}; remove one extends")
    values = _anchored(_parse(path), path.parent if base is None else base)
    if str(values.get("encoder", "")).startswith("."):
        values["encoder"] = str((path.parent / values["encoder"]).absolute())
    parent = values.pop("extends", None)
    if parent is None:
        return values
    if not isinstance(parent, str):
        raise RecipeError(f'{path}: extends names one file, such as extends = "_base.toml"')
    return _merged(_read(path.parent / parent, base, (*seen, path.resolve())), values)


def _anchored(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The values with the tasks' files as absolute paths from `folder`."""
    tasks = values.get("tasks")
    if not isinstance(tasks, dict):
        return values
    anchored = {
        name: {
            key: str((folder / value).absolute()) if key in SPLITS and isinstance(value, str) else value
            for key, value in task.items()
        }
        if isinstance(task, dict)
        else task
        for name, task in tasks.items()
    }
    return values | {"tasks": anchored}


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
        line = text.splitlines()[int(place[1]) - 1] if place else ""
        hint = "; in a path write / or use single quotes" if re.search(r'"[^"]*\\', line) else ""
        raise RecipeError(f"{path}: {error}{hint}") from None


def _merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both else value
    return merged


def _set(values: dict[str, Any], override: str) -> None:
    """Sets one dotted key; the value is read as TOML, and a bare word as text."""
    dotted, equals, text = override.partition("=")
    keys = dotted.strip().split(".")
    if not equals or not all(keys):
        raise RecipeError(f"--set {override} should be key=value, such as --set training.epochs=3")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        if not re.fullmatch(r"[\w./:@+-]+", text.strip()):
            raise RecipeError(f"--set {override}: '{text}' is no TOML value; quote text as '\"…\"'") from None
        value = text.strip()
    table = values
    for key in keys[:-1]:
        inner = table.get(key)
        table[key] = dict(inner) if isinstance(inner, dict) else {}  # a copy: the caller keeps its mapping
        table = table[key]
    table[keys[-1]] = value


def _with_built_in(tasks: object, data: Path | None, origin: str) -> dict[str, Any]:
    if not isinstance(tasks, dict) or not all(isinstance(task, dict) for task in tasks.values()):
        raise RecipeError(f"{origin}: there is no [tasks.NAME] table; write one, such as [tasks.sst]")
    return {name: _located(name, task, data) for name, task in tasks.items()}


def _located(name: str, task: dict[str, Any], data: Path | None) -> dict[str, Any]:
    """A built-in task's definition under the recipe's own keys, its files in `data` or the starter data."""
    if name not in BUILT_IN:
        return task
    definition = dict(BUILT_IN[name])
    if any(split in task for split in SPLITS):
        for split in SPLITS:
            definition.pop(split)
    else:
        folder = STARTER if data is None else data
        if data is None and not (folder / definition["train"]).is_file():
            raise RecipeError(
                f"task '{name}': the starter data has none of it; pass --data DIR with {definition['train']}"
            )
        for split in SPLITS:
            definition[split] = str((folder / definition[split]).absolute())
        if not Path(definition["test"]).is_file():  # the one split that is optional
            definition.pop("test")
    return definition | task


def _faults(error: ValidationError) -> list[str]:
    """One short sentence a fault, with the key's full name and the remedy."""
    by_key: dict[str, list[str]] = {}
    for fault in error.errors():
        loc = [str(part) for part in fault["loc"]]
        fields = _fields_at(loc[:-1])
        if fault["type"] == "extra_forbidden" and fields is not None:
            by_key[".".join(loc)] = [f"unknown key '{loc[-1]}'{_in(loc[:-1])}{near(loc[-1], fields)}"]
        elif fault["type"] == "value_error":
            prefix = f"[{'.'.join(loc)}] " if loc and loc[0] == "tasks" and len(loc) > 1 else ""
            by_key.setdefault(".".join(loc) + fault["msg"], []).append(prefix + str(fault["ctx"]["error"]))
        elif fault["type"] == "missing":
            by_key[".".join(loc)] = [f"{'.'.join(loc)} is missing; write it"]
        else:
            key = ".".join(_known(loc))
            by_key.setdefault(key, []).append(_type_fault(key, fault["input"], fault["msg"]))
    return [faults[0] for faults in by_key.values()]


def _type_fault(key: str, value: object, message: str) -> str:
    if isinstance(value, str) and re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", value):
        return f'{key} = "{value}" is text; write {key.rpartition(".")[2]} = {value}, without quotes'
    if isinstance(value, float) and value.is_integer() and "integer" in message:
        return f"{key} = {value} should be a whole number; write {int(value)}"
    return f"{key} = {value!r:.60}: {message[0].lower()}{message[1:]}"


def _in(loc: list[str]) -> str:
    return f" in [{'.'.join(loc)}]" if loc else ""


def _known(loc: list[str]) -> list[str]:
    """A fault's place without what pydantic adds for the members of a union."""
    depth = 3 if loc[0] == "tasks" else 2
    return loc[:depth]


def _fields_at(loc: list[str]) -> list[str] | None:
    """The keys that the table at `loc` may have."""
    if not loc:
        return [*Recipe.model_fields, "extends"]
    if loc[0] == "tasks" and len(loc) == 2:
        return list(Task.model_fields)
    table = Recipe.model_fields[loc[0]].annotation if len(loc) == 1 and loc[0] in Recipe.model_fields else None
    return list(table.model_fields) if isinstance(table, type) and issubclass(table, Table) else None
