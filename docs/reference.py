"""Prints docs/recipes.md from the schema, so that the two cannot drift apart.

python docs/reference.py > docs/recipes.md
"""

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from minbert.heads import HEADS, POOLINGS
from minbert.schema import ControlTable, GradientsTable, OptimizerTable, Recipe, ScheduleTable, TrainingTable
from minbert.tasks import BUILT_IN, KINDS, NOT_IN_RECIPES, Task

TABLES: dict[str, type[BaseModel]] = {
    "The recipe itself": Recipe,
    "[tasks.NAME]": Task,
    "[schedule]": ScheduleTable,
    "[gradients]": GradientsTable,
    "[optimizer]": OptimizerTable,
    "[training]": TrainingTable,
    "[control]": ControlTable,
}
INTRODUCTION = """# Recipes

A recipe is a TOML file: one run as data. `minbert train RECIPE` trains it; `--set training.epochs=3` overrides a key.
Unknown keys and values of another type are errors. Paths are relative to the recipe, or to `--data DIR` where given.

`extends = "_base.toml"` takes over another file's keys, table by table; a file whose name starts with `_` is only
extended, never run. `[tasks.NAME]` with a built-in name (NAMES) is that task's whole definition, and
keys under it override single parts; a built-in task that names no file reads the course's files in `--data DIR`, or
the starter data.
"""


def rows(table: type[BaseModel]) -> list[str]:
    lines = ["| key | default | meaning |", "|---|---|---|"]
    fields = {key: field for key, field in table.model_fields.items() if key not in NOT_IN_RECIPES}
    for key, field in fields.items():
        nested = isinstance(field.default, BaseModel)
        default = "required" if field.is_required() else "its table" if nested else _shown(field)
        meaning = "see its table" if nested else " ".join((field.description or "").split())
        lines.append(f"| `{key}` | {default} | {meaning} |")
    return lines


def _shown(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "see there"
    value = field.default
    if value is None:
        return "none"
    return f"`{str(value).lower() if isinstance(value, bool) else repr(value) if isinstance(value, str) else value}`"


def kinds() -> list[str]:
    lines = ["| kind | texts | heads | losses | metrics |", "|---|---|---|---|---|"]
    for kind, traits in KINDS.items():
        choices = (", ".join(names) for names in (traits.heads, traits.losses, traits.metrics))
        lines.append(f"| {kind} | {traits.texts} | {' | '.join(choices)} |")
    return lines


def heads() -> list[str]:
    lines = ["| head or pooling | what it is |", "|---|---|"]
    for name, part in {**HEADS, **POOLINGS}.items():
        lines.append(f"| {name} | {' '.join((part.__doc__ or '').split()).replace('|', chr(92) + '|')} |")
    return lines


def reference() -> str:
    parts = [INTRODUCTION.replace("NAMES", ", ".join(BUILT_IN))]
    for title, table in TABLES.items():
        parts += [f"## {title}\n", *rows(table), ""]
        if table is Task:
            parts += ["The first of each column is what a task gets that names none:\n", *kinds(), "", *heads(), ""]
    return "\n".join(parts)


if __name__ == "__main__":
    print(reference(), end="")
