"""Results -> the tables of what runs scored, how far seeds lie apart, and how they were trained."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from minbert import comparison
from minbert.comparison import SEEDS_NEEDED
from minbert.experiments.compare import SUM, answers_of
from minbert.experiments.devsets import DevSet
from minbert.experiments.results import Group, Groups, without_paths
from minbert.metrics import Interval, correlation_interval, proportion_interval, total
from minbert.reports.source import Source
from minbert.reports.tables import between, cell, markdown, number
from minbert.schema import Recipe
from minbert.tasks import Task


def score_cells(groups: Groups, dev: Mapping[str, DevSet]) -> dict[str, list[str]]:
    """By group its dev scores at the last update, means over seeds, each with its interval; and those of their sum."""
    tasks = _tasks_of(groups, dev)
    cells = {}
    for name, group in groups.items():
        cells[name] = [_score(group, dev, [task]) if task in group[0].answers else "" for task in tasks]
        cells[name] += [_score(group, dev, tasks) if len(tasks) > 1 and _has_all(group, tasks) else ""]
    return cells


def scores(
    groups: Groups,
    dev: Mapping[str, DevSet],
    cells: Mapping[str, Sequence[str]],
    source: Source | None,
    beside: Mapping[str, Groups],
) -> str:
    """The cells of `score_cells` below what one answer scores, beside the same groups elsewhere, and the source's.

    beside: groups by title, such as the name of their folder.
    """
    tasks = _tasks_of(groups, dev)
    printed = {row.run: row.scores for row in source.table} if source else {}
    theirs: dict[str, Mapping[str, Mapping[str, float | None]]]
    theirs = {title: {name: _means(group, tasks) for name, group in of.items()} for title, of in beside.items()}
    theirs |= {"as printed": printed} if printed else {}
    constant = {name: _baseline(groups, name) for name in tasks}
    of_sum = number(total(constant)) if len(tasks) > 1 else ""
    rows = [["always one answer", "", *map(number, constant.values()), of_sum] + [""] * len(theirs)]
    for name, group in _in_order(groups, list(printed)).items():
        told = [_joined(of.get(name, {}), [*tasks, SUM]) for of in theirs.values()]
        rows.append([name, str(len(group)), *cells[name], *told])
    titles = [f"{name}, {metric_of(dev[name])}" for name in tasks]
    columns = ["run", "seeds", *titles, SUM, *(f"{title}: {' / '.join([*tasks, SUM])}" for title in theirs)]
    return markdown(columns, rows)


def _joined(values: Mapping[str, float | None], keys: Sequence[str]) -> str:
    """The values of all keys, with an empty place for one that is not there; nothing where none is."""
    told = [number(values[key]) if key in values else "" for key in keys]
    return " / ".join(told) if any(told) else ""


def _tasks_of(groups: Groups, dev: Mapping[str, DevSet]) -> list[str]:
    return [name for name in dev if any(name in group[0].answers for group in groups.values())]


def _has_all(group: Group, tasks: Sequence[str]) -> bool:
    return group[0].answers.keys() == set(tasks)


def metric_of(dev: DevSet) -> str:
    """A task's metric as readers know it."""
    return {"pearson": "Pearson's r", "spearman": "Spearman's ρ"}.get(str(dev.task.metric), str(dev.task.metric))


def _in_order(groups: Groups, first: Sequence[str]) -> dict[str, Group]:
    """The groups, those of the source's table first and in its order."""
    known = [name for name in first if name in groups]
    return {name: groups[name] for name in (*known, *(name for name in groups if name not in known))}


def _baseline(groups: Groups, task: str) -> float | None:
    found = [group[0].baselines[task] for group in groups.values() if task in group[0].baselines]
    return found[0] if found else None


def _score(group: Group, dev: Mapping[str, DevSet], tasks: Sequence[str]) -> str:
    """A mean over seeds with its 95 % interval, over seeds and examples where there are enough seeds."""
    mean = _mean(group, tasks)
    if mean is None:
        return number(mean)
    return f"{number(mean)} ({between(score_interval(group, dev, tasks), number) or 'no interval'})"


def _mean(group: Group, tasks: Sequence[str]) -> float | None:
    """Over seeds: of the tasks' sum, or of one task's score, where all seeds have one."""
    if len(tasks) == 1 and any(result.scores[tasks[0]] is None for result in group):
        return None
    return fmean(total({name: result.scores[name] for name in tasks}) for result in group)


def _means(group: Group, tasks: Sequence[str]) -> dict[str, float | None]:
    """Of each task that a group has and, where it has all, of their sum."""
    means = {name: _mean(group, [name]) for name in tasks if name in group[0].answers}
    return means | ({SUM: _mean(group, tasks)} if len(tasks) > 1 and _has_all(group, tasks) else {})


def score_interval(group: Group, dev: Mapping[str, DevSet], tasks: Sequence[str]) -> Interval | None:
    """Over seeds and examples; below three seeds that of one run over examples alone, where a formula is known."""
    if len(group) >= SEEDS_NEEDED:
        return comparison.score_interval(list(answers_of(group, dev, tasks).values()))
    metric, values = group[0].recipe.tasks[tasks[0]].metric, [result.scores[tasks[0]] for result in group]
    if len(tasks) > 1 or None in values or metric not in ("accuracy", "pearson"):
        return None
    n, value = len(dev[tasks[0]]), fmean(value or 0.0 for value in values)
    return proportion_interval(value, n) if metric == "accuracy" else correlation_interval(value, n)


def seeds(groups: Groups) -> str:
    """How far the seeds of each group lie apart, and what a run cost."""
    rows, tasks = [], list(dict.fromkeys(task for group in groups.values() for task in group[0].answers))
    for name, group in groups.items():
        sums = [total(result.scores) for result in group]
        spread = number(stdev(sums)) if len(sums) > 1 else ""
        batches = ", ".join(f"{task} {count:,}" for task, count in group[0].batches.items())
        angle = "" if group[0].angle is None else f"{fmean(result.angle or 0 for result in group):.1f}"
        minutes = f"{fmean(result.seconds for result in group) / 60:.1f}"
        named = [name, ", ".join(str(result.seed) for result in group), batches or "none"]
        rows.append([*named, _start(group, tasks), spread, angle, minutes])
    before = f"before any update: {' / '.join(tasks)}"
    ends = (before, "sd of the sum", "surgery's angle, degrees", "minutes of updates")
    return f"{markdown(('run', 'seeds', 'batches of a task', *ends), rows, left=3)}\n\n{SEEDS_NOTE}"


def _start(group: Group, tasks: Sequence[str]) -> str:
    """Each task's metric before any update, the mean over seeds; nothing where that was not looked at."""
    if any(result.curve[0].step for result in group):
        return ""
    told = []
    for task in tasks:
        metric = str(group[0].recipe.tasks[task].metric) if task in group[0].answers else ""
        values = [result.curve[0].metrics[task][metric] for result in group] if metric else []
        known = [value for value in values if value is not None]
        told.append(number(fmean(known) if len(known) == len(values) else None) if values else "")
    return " / ".join(told)


def patience(groups: Groups) -> str:
    """Which runs ended when dev did not improve, in a sentence; nothing where none might."""
    names = [name for name, group in groups.items() if group[0].recipe.training.patience is not None]
    return f"Dev chose when these ended (`training.patience`): {', '.join(names)}." if names else ""


def training(groups: Groups) -> str:
    """How groups were trained, where that is no default or not the same in all; and what each does otherwise."""
    keys = {name: _keys_of_training(without_paths(group[0].recipe)) for name, group in groups.items()}
    every = dict.fromkeys(key for of_group in keys.values() for key in of_group)
    told = {
        name: {key: _told(of.get(key)) for key in every if key in of or not key.startswith("tasks.")}
        for name, of in keys.items()  # a group without a task trained none of it otherwise
    }
    values = {key: [of_group[key] for of_group in told.values() if key in of_group] for key in every}
    usual = {key: Counter(of_key).most_common(1)[0][0] for key, of_key in values.items()}
    varied = {key for key, of_key in values.items() if len(set(of_key)) > 1}
    lines: dict[str, list[str]] = {}
    for key in every:
        table, _, last = key.rpartition(".")
        if key in varied or key in ALWAYS_TOLD or usual[key] != _default(key):
            lines.setdefault(table, []).append(f"{last} = {cell(usual[key])}")
    runs = "But for what the table says, these runs were" if varied else "Every one of these runs was"
    parts = [f"{runs} trained with what follows, and defaults:"]
    parts.append("\n".join(f"- {table and f'`[{table}]` '}{', '.join(of)}" for table, of in lines.items()))
    rows = [[name, "; ".join(f"{k} = {v}" for k, v in of.items() if v != usual[k])] for name, of in told.items()]
    if varied:
        parts.append(markdown(("run", "what it does otherwise"), [row for row in rows if row[1]], left=2))
    return "\n\n".join(parts)


OF_TASKS = ("head", "pooling", "loss", "weight", "class_weights", "shares_head")
"""A task's keys that say how it is trained; the others say where its data are and how they are read."""
ALWAYS_TOLD = ("encoder", "gradients.method", "optimizer.lr", "optimizer.warmup", "optimizer.decay")


def _keys_of_training(recipe: Recipe) -> dict[str, Any]:
    """The value of each key that says how was trained, whole where it is a table itself; `optimizer.lr` for one."""
    keys: dict[str, Any] = {}
    for key, value in recipe.model_dump(exclude={"name", "seed", "control", "track"}).items():
        if key == "tasks":
            for task, of_task in value.items():
                keys |= {f"tasks.{task}.{last}": of_task[last] for last in OF_TASKS}
        else:
            keys |= {f"{key}.{last}": one for last, one in value.items()} if isinstance(value, dict) else {key: value}
    return keys


def _default(key: str) -> str:
    """The value of a key that a recipe does not name; nothing of one that it must name, or that follows from others."""
    table, _, last = key.rpartition(".")
    owner = Task if table.startswith("tasks.") else type(Recipe.model_fields[table].default) if table else Recipe
    field = owner.model_fields[last]
    return "" if field.is_required() or field.default_factory else _told(field.default)


def _told(value: object) -> str:
    return "unset" if value is None else json.dumps(value)


BRACKETS = "In brackets: 95 % intervals, from three seeds on over seeds and dev rows, below over the rows of dev alone."
SCORES_NOTE = """In brackets the 95 % interval: with three seeds or more over seeds and dev examples (Multi-Bootstrap),
with fewer that of a single run with this score over other examples of the same kind (Wilson's of an accuracy, Fisher's
z of a correlation, none of a sum), which says nothing about other seeds. A sum counts an undefined score as 0. No
checkpoint was chosen on dev: every score is that of the last update."""
SEEDS_NOTE = """Surgery's angle is that between the summed gradient and the one that was used, the mean over updates.
Minutes are those of the machine, and of what else it did, as much as the method's."""
