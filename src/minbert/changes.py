"""Two recipes -> the keys, of those that training looks at, in which they differ."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from minbert.errors import shown
from minbert.schema import Recipe
from minbert.tasks import Task


def _said(value: object) -> str:
    """A recipe's value as a message can hold it."""
    return "unset" if value is None else shown(json.dumps(value, ensure_ascii=False))


def as_resolved(recipe: Recipe, stored: Recipe) -> Recipe:
    """A recipe as preparing it would make it; what only data and encoder can say is taken from the `stored` one.

    Those are the classes, and the encoder's longest text.
    """
    tasks = {name: _task_as_resolved(task, recipe, stored.tasks.get(name)) for name, task in recipe.tasks.items()}
    schedule = recipe.schedule.model_copy(update={"order": recipe.order})
    return recipe.model_copy(update={"tasks": tasks, "schedule": schedule})


def _task_as_resolved(task: Task, recipe: Recipe, stored: Task | None) -> Task:
    labels, longest = (None, None) if stored is None else (stored.labels, stored.max_length)
    completed = task.completed(labels)
    return completed.model_copy(update={"max_length": task.max_length or recipe.training.max_length or longest})


@dataclass(frozen=True)
class Change:
    """A key of a recipe with another value; both as a message can hold them."""

    key: str
    before: str
    now: str

    def __str__(self) -> str:
        return f"{self.key} = {self.before} (now {self.now})"


def changes(stored: Recipe, given: Recipe) -> list[Change]:
    """Where two recipes differ, but for what training does not look at."""
    before, now = keys_of(stored), keys_of(given)
    return [Change(key, _said(before.get(key)), _said(now.get(key))) for key in changed_keys(stored, given)]


def changed_keys(stored: Recipe, given: Recipe) -> list[str]:
    """The keys with other values, but for what training does not look at."""
    before, now = keys_of(stored), keys_of(given)
    return sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))


def keys_of(recipe: Recipe) -> dict[str, Any]:
    """The value of every key that training looks at, `optimizer.lr` for one."""
    return _flat(recipe.model_dump(exclude={"control", "track"}))


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
