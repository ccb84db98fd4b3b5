"""Tasks on their way into a recipe -> its text: a key's line under the reason for its value, paths from its folder."""

import os
import re
import shlex
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tomli_w

from minbert.data import Reading
from minbert.errors import shown
from minbert.prepare.roles import Choice
from minbert.tasks import BUILT_IN, SPLITS, Split, Task

WIDTH = 100
ORDER = (
    *("kind", "train", "dev", "holdout", "test", "text", "label", "separator", "id", "labels", "range"),
    *("class_weights", "metric", "encoding"),
)
Readings = Mapping[Split, Reading]


@dataclass(frozen=True)
class Draft:
    """A task on its way into a recipe, with files as the user named them. `about` is on the whole of it; `doubts` are
    what was assumed, and what looks wrong in the files."""

    name: str
    choices: list[Choice]
    doubts: list[str]
    about: str = ""

    @property
    def is_built_in(self) -> bool:
        """Whether kind, columns and labels are the built-in task's, and need not be said."""
        return "kind" not in self.values

    @property
    def values(self) -> dict[str, Any]:
        return {choice.key: choice.value for choice in self.choices}

    @property
    def remarks(self) -> list[str]:
        """What a user should look at before anything else: an encoding that was guessed, too."""
        guessed = [f"read as {c.value}, {c.reason}" for c in self.choices if c.key == "encoding"]
        return [*guessed, *self.doubts]

    @property
    def task(self) -> Task:
        known = BUILT_IN[self.name] if self.is_built_in else {}
        return Task.model_validate({key: value for key, value in known.items() if key not in SPLITS} | self.values)

    def with_choices(self, *more: Choice) -> "Draft":
        return replace(self, choices=[*self.choices, *more])

    def with_reason(self, key: str, more: str) -> "Draft":
        """With more said above the key's line."""
        said = [
            replace(c, reason="; ".join(filter(None, [c.reason, more]))) if c.key == key else c for c in self.choices
        ]
        return replace(self, choices=said)

    def with_doubts(self, *more: str) -> "Draft":
        return replace(self, doubts=[*self.doubts, *more])


def text_of(drafts: Sequence[Draft], readings: Mapping[str, Readings], output: Path) -> str:
    """The recipe, with paths from its own folder."""
    bad = sum(len(reading.bad_rows) for splits in readings.values() for reading in splits.values())
    where, skipping = shlex.quote(output.as_posix()), " --skip-bad-rows" if bad else ""
    lines = [
        *_comment("Proposed by minbert init from what the files hold. Correct what is wrong here, then:"),
        f"#   minbert data check --recipe {where}",
        f"#   minbert train {where}{skipping}",
        *_comment("Paths are relative to this file. A key that is not here has its default (docs/recipes.md)."),
    ]
    if name_of(output) != output.stem:
        lines += ["", *setting(Choice("name", name_of(output)))]
    for draft in drafts:
        lines += ["", f"[tasks.{draft.name}]"]
        lines += [line for said in (draft.about, *draft.doubts) for line in _comment(said)]
        for choice in sorted(draft.choices, key=lambda choice: ORDER.index(choice.key)):
            is_file = choice.key in SPLITS
            lines += setting(replace(choice, value=_from(output.parent, choice.value)) if is_file else choice)
    return "\n".join(lines) + "\n"


def setting(choice: Choice) -> list[str]:
    """A key's line under its reason."""
    value = inline(choice.value)
    line = f"{choice.key} = {value}"
    if len(line) > WIDTH and isinstance(choice.value, list):
        inner = textwrap.wrap(
            value[1:-1],
            WIDTH,
            initial_indent="  ",
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        line = "\n".join([f"{choice.key} = [", *inner, "]"])
    return [*(_comment(choice.reason) if choice.reason else []), line]


def _comment(text: str) -> list[str]:
    return textwrap.wrap(shown(text, 1000), WIDTH, initial_indent="# ", subsequent_indent="# ")


def inline(value: Any) -> str:
    """A value as TOML has it, on one line."""
    if isinstance(value, list):
        return f"[{', '.join(map(inline, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_key(key)} = {inline(inner)}' for key, inner in value.items())} }}"
    return tomli_w.dumps({"value": value}).removeprefix("value = ").rstrip("\n")


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else inline(name)


def _from(folder: Path, files: Any) -> Any:
    """Files as a recipe in `folder` names them; by their whole path where none leads there, as from another drive."""
    if isinstance(files, list):
        return [_from(folder, file) for file in files]
    if isinstance(files, dict):
        return {name: _from(folder, file) for name, file in files.items()}
    file = place_of(Path(files))
    try:
        return Path(os.path.relpath(file, folder.resolve())).as_posix()
    except ValueError:
        return file.as_posix()


def name_of(output: Path) -> str:
    """A run's name for a recipe's file."""
    return slug(output.stem) or "recipe"


def slug(text: str) -> str:
    """A text as a task or a run may be called; empty where none of its letters can stay."""
    return re.sub(r"[^A-Za-z0-9_]+", "-", text).strip("-_")[:45]


def place_of(file: Path) -> Path:
    """A file's one path, its name kept where it is a link."""
    return file.parent.resolve() / file.name
