"""A model's tasks, and what is known of its training -> its card, which says what it is for and what it is not."""

import re
from collections.abc import Mapping, Sequence

from minbert.errors import shown
from minbert.tasks import Task

TASKS = "One BERT encoder with a head for each task:"
SCORES = "## Scores on dev"
HEAD = f"""---
library_name: minbert
tags: [bert, multi-task, sentence-classification, sentence-similarity]
---

# A minbert model

{TASKS}
"""
USE = """
```python
from minbert import MultitaskModel

model = MultitaskModel.from_pretrained("PATH/TO/THIS/FOLDER")
model.predict({task!r}, {inputs})
model.embed(["a sentence"])  # float32 [1, {hidden}]
```

`transformers.AutoModel` opens the encoder alone.
"""
CALIBRATION = "## Calibration by `minbert calibrate`"
INTENDED_USE = "\n## Intended use\n"
LIMITS = f"""{INTENDED_USE}
Answers of these kinds to texts like the ones it learned from: to sort, to rank, to find alike, with a person who looks
at what matters.

## Limits

- Scores, where they are given, hold for rows like those of dev. Texts of another source, time, length or language may
  do worse, and nothing in an answer says so: score the model on your own labelled rows first (`minbert evaluate`).
- A probability is what the head gives. It says which of two answers is surer; it is no rate of being right, unless the
  task is calibrated (`minbert calibrate`), and then for rows like those that it was calibrated by.
- A text that is longer than the table says loses its end, and its answer has the note `truncated`.
- The encoder brings what it learned before, with the leanings of the texts that it was trained on.

## Before it decides about people

- **Misuse.** What tells friendly from unfriendly texts can also be used to watch, rank or silence those who wrote them.
  Use it on texts whose writers know and agree.
- **Terms of groups and cultures.** Dialect, irony, and words that a group uses of itself are read as the training texts
  used them, often wrongly. Look at such texts apart (`minbert compare --column`), with those whom they concern.
- **Human review.** No decision that matters to a person should rest on an answer alone: let a person see the text, the
  answer and its probability, and let the answer be contested.
"""


def card(tasks: Mapping[str, Task], max_length: int, hidden_size: int, about: str = "") -> str:
    """The whole card as Markdown. `about` says what the model was trained on and what it scored."""
    lines = ["", "| task | kind | texts | answers | head | pooling | longest text |", "|---|---|---|---|---|---|---|"]
    for name, task in tasks.items():
        texts, length = " and ".join(task.text_columns), task.max_length or max_length
        cells = (name, task.kind, _cell(texts), _cell(_answers(task)), task.head, task.pooling, f"{length} tokens")
        lines.append(f"| {' | '.join(map(str, cells))} |")
    use = "" if not tasks else USE.format(task=next(iter(tasks)), inputs=_inputs(tasks), hidden=hidden_size)
    return HEAD + "\n".join(lines) + "\n" + use + about + LIMITS


def exported(library: str, title: str, use: str, card: str | None) -> str:
    """The card of a model's export to a library: how it is used there, then the model's own card without its use."""
    head = f"---\nlibrary_name: {library}\ntags: [bert, minbert]\n---\n\n# {title}\n{use}"
    if card is None:
        return head
    own = re.sub(r"\A---\n.*?\n---\n+", "", card, flags=re.DOTALL)
    start, end = (re.escape(part) for part in (USE.partition("{")[0], USE.rpartition("```")[2]))
    return f"{head}\n{re.sub(f'{start}.*?{end}', '', own, flags=re.DOTALL)}"


def without(title: str, text: str) -> str:
    """A card without the section of this title."""
    return re.sub(rf"\n{title}\n.*?(?=\n## |\Z)", "", text, flags=re.DOTALL)


def without_tasks(text: str) -> str:
    """A card without the table of the heads and their tasks."""
    return re.sub(rf"{TASKS}\n\n(\|.*\n)*", "The encoder of a model with heads for tasks, without these.\n", text)


def with_calibration(text: str, tasks: Mapping[str, Task]) -> str:
    """A card with a section on the tasks that are calibrated, in place of an earlier one; the rest stays as it is."""
    rest = without(CALIBRATION, text)
    lines = ["", CALIBRATION, "", "| task | rows | of | found |", "|---|--:|---|---|"]
    for name, task in tasks.items():
        if (found := task.calibration) is not None:
            margin = "no margin" if found.margin is None else f"95 % of true scores within ±{found.margin:.3f}"
            said = margin if task.is_regression else f"temperature {found.temperature:.3f}"
            lines.append(f"| {name} | {found.rows:,} | {_cell(', '.join(found.files))} | {said} |")
    before, mark, after = rest.partition(INTENDED_USE)
    return before.rstrip("\n") + "\n" + "\n".join(lines) + "\n" + mark + after


def _answers(task: Task) -> str:
    """The classes or the range, as far as they fit."""
    if task.is_regression:
        return "a score in {:g} to {:g}".format(*task.bounds)
    return ("any of " if task.is_multi_label else "") + shown(", ".join(task.labels or ()), 80)


def _inputs(tasks: Mapping[str, Task]) -> Sequence[object]:
    return [("a text", "another text")] if next(iter(tasks.values())).is_pair else ["a text"]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
