"""Inputs that a source discusses -> what the runs answered to them; and what the files of the tasks look like."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from minbert.errors import near
from minbert.experiments.devsets import DevSet
from minbert.experiments.results import Group, Groups
from minbert.predictions import answer
from minbert.recipes import STARTER
from minbert.reports import tables
from minbert.reports.source import Example
from minbert.tasks import BUILT_IN

FORMAT_ROWS = 2  # of a starter file that are shown


def section(examples: Sequence[Example], groups: Groups, dev: Mapping[str, DevSet], with_text: bool) -> str:
    """Every example's rows of dev with the answers of each group's seeds; the examples that dev has not are named."""
    parts, lacking = ["## The source's own examples"], []
    for task in dict.fromkeys(example.task for example in examples):
        if task not in dev:
            parts.append(f"No run has a task {task}{near(task, list(dev))}, of which the source has examples.")
            continue
        rows = []
        for example in (one for one in examples if one.task == task):
            found = list(_rows_with(example.words, dev[task]))
            rows += [_row(place, dev[task], groups, example, with_text) for place in found]
            lacking += [] if found else [f"“{' … '.join(example.words)}” ({task})"]
        if rows:
            parts += [f"### {task}", tables.markdown(("row", "text", "label", *groups), rows, left=2)]
    if lacking:
        parts.append(f"Not among our dev rows: {', '.join(lacking)}.")
    return "\n\n".join(parts)


def _rows_with(words: Sequence[str], dev: DevSet) -> Iterator[int]:
    """Places of the examples in which all the words occur, as whole words."""
    wanted = [re.compile(rf"(?<!\w){re.escape(word.casefold())}(?!\w)") for word in words]
    for place, texts in enumerate(zip(*dev.examples.texts, strict=True)):
        whole = " ".join(texts).casefold()
        if all(word.search(whole) for word in wanted):
            yield place


def _row(place: int, dev: DevSet, groups: Groups, example: Example, with_text: bool) -> list[str]:
    texts = " / ".join(column[place].strip() for column in dev.examples.texts)
    shown = texts if with_text else f"id {dev.examples.ids[place]}: “{' … '.join(example.words)}”"
    answers = [_answers(group, dev, place) if dev.name in group[0].answers else "" for group in groups.values()]
    return [str(place + 1), shown, _said(dev, float(dev.labels[place])), *answers]


def _answers(group: Group, dev: DevSet, place: int) -> str:
    """What the seeds answered: scores from low to high, classes by how many seeds gave them."""
    values = [float(result.answers[dev.name][place]) for result in group]
    if dev.task.is_regression:
        return " to ".join(dict.fromkeys(_said(dev, value) for value in (min(values), max(values))))
    counts = Counter(_said(dev, value) for value in values)
    return ", ".join(
        name if count == len(values) else f"{name} ({count} of {len(values)})" for name, count in counts.items()
    )


def _said(dev: DevSet, value: float) -> str:
    return f"{value:.{tables.score_digits(dev)}f}" if dev.task.is_regression else str(answer(dev.task, value))


def formats(tasks: Iterable[str]) -> str:
    """The first rows of the starter file of each built-in task among these, as they stand there."""
    known = [BUILT_IN[name] for name in BUILT_IN if name in set(tasks)]
    if not known:
        return ""
    parts = ["What such files look like (invented examples that ship with minbert; columns are separated by tabs):"]
    for definition in known:
        file = STARTER / definition["train"]
        if file.is_file():
            lines = file.read_text(encoding="utf-8").splitlines()[: FORMAT_ROWS + 1]
            parts.append(f"`{file.name}`\n\n```\n" + "\n".join(lines) + "\n```")
    return "\n\n".join(parts)
