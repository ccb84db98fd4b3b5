"""A recipe's file -> a Recipe: inheritance, overrides, built-in tasks, paths; every fault is reported at once."""

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from minbert.errors import RecipeError, near, several
from minbert.schema import USE_SLASHES, Recipe, Table
from minbert.tasks import BUILT_IN, NOT_IN_RECIPES, SPLITS, Task

STARTER = Path(__file__).parent / "starter"


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
    known = _tasks_in(values)
    for override in overrides:
        _set(values, override)
    _check_overridden(_tasks_in(values), known, overrides)
    if name is not None:
        values["name"] = name
    values = _anchored(values, folder, base)
    if tasks := _tasks_in(values):
        values["tasks"] = {name: _built_in(name, task, base) for name, task in tasks.items()}
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
    if not (path.parent / parent).exists():
        raise RecipeError(f"{path} extends {parent}, which does not exist; correct that line")
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

    def located(files: object) -> object:
        if isinstance(files, str | Path):
            return str((folder / files).absolute())
        if isinstance(files, list):
            return [located(file) for file in files]
        return {name: located(of) for name, of in files.items()} if isinstance(files, dict) else files

    return task | {split: located(task[split]) for split in SPLITS if split in task}


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


def _tasks_in(values: Mapping[str, Any]) -> dict[str, Any]:
    """The tables of tasks by name; of anything else, which is for the schema to refuse, none."""
    tasks = values.get("tasks")
    return tasks if isinstance(tasks, dict) else {}


def _check_overridden(tasks: Mapping[str, Any], known: Mapping[str, Any], overrides: Sequence[str]) -> None:
    """Raises RecipeError where an override names a task that is not known, and they do not make it one."""
    for override in overrides:
        keys = override.partition("=")[0].strip().split(".")
        name = keys[1] if keys[0] == "tasks" and len(keys) > 2 else ""
        made = tasks.get(name)
        if isinstance(made, dict) and "kind" not in made and name not in {*known, *BUILT_IN}:
            said = " ".join(override.split())
            raise RecipeError(f"--set {said}: there is no task '{name}'{near(name, list(known))}; correct its name")


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
        if fault["type"] == "default_factory_not_called":
            continue  # follows from another fault of the table
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
    fields = {"tasks": list(Task.model_fields), "": list(Recipe.model_fields)}
    for name, field in Recipe.model_fields.items():
        for kind in get_args(field.annotation) or [field.annotation]:  # of a table that may be left out, the table
            if isinstance(kind, type(Table)):
                fields[name] = [key for key in kind.model_fields if key not in NOT_IN_RECIPES]
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
