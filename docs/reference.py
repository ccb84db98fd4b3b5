"""Writes docs/recipes.md and docs/claims.md from the schemas, so that neither can drift apart from its own.

python docs/reference.py
"""

from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from minbert.heads import HEADS, POOLINGS
from minbert.reports.source import KEYS, Claim, Contrast, Example, Requirement, Source, TableRow
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
SOURCE: dict[str, type[BaseModel]] = {
    "The source itself": Source,
    "[[contrasts]]": Contrast,
    "[[claims]]": Claim,
    "[[claims.needs]]": Requirement,
    "[[table]]": TableRow,
    "[[examples]]": Example,
}
RECIPES_BEGIN = """# Recipes

A recipe is a TOML file: one run as data. `minbert train RECIPE` trains it; `--set training.epochs=3` overrides a key.
Unknown keys and values of another type are errors. Paths are relative to the recipe, or to `--data DIR` where given.

`extends = "_base.toml"` takes over another file's keys, table by table; a file whose name starts with `_` is only
extended, never run. `[tasks.NAME]` with a built-in name (NAMES) is that task's whole definition, and
keys under it override single parts; a built-in task that names no file reads the course's files in `--data DIR`, or
the starter data.
"""

CLAIMS_BEGIN = """# Claims

A source is a TOML file: sentences about groups of runs, each with what must hold for it to hold. `minbert report RUNS
--output DIR --source FILE` lays the runs beside it and calls each claim *supported* where all that it needs is shown,
*contradicted* where the opposite of a part is, else *undecided*; with fewer than three seeds a group the most that is
said is *undecided (seeds)*, but for what must "never" happen. A claim whose runs are not there is *not run*. All
claims' tests are one family for Holm's correction.

A group is a recipe's name, with all of its seeds; of several folders of runs, in the one that the report is about
([experiments.md](experiments.md) says which). A small one, of two recipes called SUM and SURGERY and the tasks mood
and near:

```toml
title = "Our tickets"
question = "Does gradient surgery help where the tasks share one encoder?"

[[contrasts]]  # the main question, written down before any run
left = "SURGERY"
right = "SUM"
asks = "Does gradient surgery itself help?"

[[claims]]
name = "surgery-helps"
says = "Gradient surgery helps both tasks."
needs = [{ left = ["SURGERY"], right = ["SUM"], scores = ["mood", "near"] }]

[[claims]]
name = "no-price"
says = "It costs nothing where a text negates, and never calls a 2 a 0."
needs = [
  { left = ["SUM"], right = ["SURGERY"], scores = ["mood"], direction = "not higher", part = "with negation" },
  { left = ["SURGERY"], scores = ["mood"], statistic = "cell", true = "2", predicted = "0", direction = "never" },
]
```

[claims/paper.toml](../claims/paper.toml) has every kind.
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


def recipes() -> str:
    parts = [RECIPES_BEGIN.replace("NAMES", ", ".join(BUILT_IN))]
    for title, table in TABLES.items():
        parts += [f"## {title}\n", *rows(table), ""]
        if table is Task:
            parts += ["The first of each column is what a task gets that names none:\n", *kinds(), "", *heads(), ""]
    return "\n".join(parts)


def statistics() -> list[str]:
    lines = ["| statistic | needs | takes besides |", "|---|---|---|"]
    return lines + [f"| {name} | {', '.join(needed)} | {', '.join(taken)} |" for name, (needed, taken) in KEYS.items()]


def claims() -> str:
    parts = [CLAIMS_BEGIN]
    for title, table in SOURCE.items():
        parts += [f"## {title}\n", *rows(table), ""]
        if table is Requirement:
            parts += [*statistics(), ""]
    return "\n".join(parts)


DOCUMENTS = {"recipes.md": recipes, "claims.md": claims}

if __name__ == "__main__":
    for name, text in DOCUMENTS.items():
        (Path(__file__).parent / name).write_text(text(), encoding="utf-8")
