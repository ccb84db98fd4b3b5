"""Numbers of results -> Markdown tables, each with the words that a reader needs beside it."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

import numpy as np
import polars as pl

from minbert import comparison
from minbert.comparison import SEEDS_NEEDED, Churn
from minbert.data import Reading
from minbert.errors import counted
from minbert.experiments.compare import SUM, ScoreLine, answers_of
from minbert.experiments.devsets import DevSet, readings
from minbert.experiments.results import ENCODER, Group, Groups, Result, without_paths
from minbert.metrics import Interval, correlation_interval, proportion_interval, total
from minbert.reports.claims import Judged
from minbert.reports.figure_data import cosines
from minbert.reports.source import Contrast, Source
from minbert.schema import Recipe
from minbert.tasks import Task

Compared = tuple[Contrast, list[ScoreLine]]
SPECIAL = re.compile(r"[\\`*_\[\]<>|~&!]")  # of Markdown, in a table's cell


def markdown(columns: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """A table whose first `left` columns are words and whose other columns are numbers."""
    ruler = ["---"] * left + ["--:"] * (len(columns) - left)
    lines = [[_cell(cell) for cell in row] for row in (columns, ruler, *rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    """On one line, and nothing in it is taken for Markdown or HTML: texts of the data stand in tables."""
    return SPECIAL.sub(r"\\\g<0>", " ".join(text.split()))


def number(value: float | None, digits: int = 3) -> str:
    """A score, or a word where it is undefined; a minus that is as long as a plus."""
    return "undefined" if value is None else f"{value:.{digits}f}".replace("-", "−")


def score_digits(dev: DevSet) -> int:
    """Those of a score as it is printed: one after the point on a scale wider than 2, else two."""
    low, high = dev.task.bounds
    return 1 if high - low > 2 else 2


def signed(value: float | None) -> str:
    """A difference with its sign, where three digits have one; nothing where it is undefined."""
    if value is None:
        return ""
    return f"{value:+.3f}".replace("-", "−") if round(value, 3) else "0.000"


def between(interval: Interval | None, of: Callable[[float], str] | None = None) -> str:
    """Both ends of an interval, each as `of` writes it, with its sign without one; or nothing."""
    return "" if interval is None else " to ".join(map(of or signed, interval))


def scores(groups: Groups, dev: Mapping[str, DevSet], source: Source | None) -> str:
    """Every group's dev scores at the last update: means over seeds, each with its interval, beside the source's."""
    tasks = [name for name in dev if any(name in group[0].answers for group in groups.values())]
    printed = {row.run: row.scores for row in source.table} if source else {}
    constant = {name: _baseline(groups, name) for name in tasks}
    of_sum = number(total(constant)) if len(tasks) > 1 else ""
    rows = [["always one answer", "", *map(number, constant.values()), of_sum] + [""] * bool(printed)]
    for name, group in _in_order(groups, list(printed)).items():
        cells = [_score(group, dev, [task]) if task in group[0].answers else "" for task in tasks]
        whole = _score(group, dev, tasks) if len(tasks) > 1 and group[0].answers.keys() == set(tasks) else ""
        theirs = printed.get(name, {})
        beside = [" / ".join(number(theirs[key]) for key in (*tasks, SUM) if key in theirs)] if printed else []
        rows.append([name, str(len(group)), *cells, whole, *beside])
    titles = [f"{name}, {metric_of(dev[name])}" for name in tasks]
    columns = ["run", "seeds", *titles, SUM, *([f"as printed: {' / '.join([*tasks, SUM])}"] if printed else [])]
    return markdown(columns, rows)


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
    values = [total({name: result.scores[name] for name in tasks}) for result in group]
    if len(tasks) == 1 and any(result.scores[tasks[0]] is None for result in group):
        return "undefined"
    return f"{number(fmean(values))} ({between(score_interval(group, dev, tasks), number) or 'no interval'})"


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
    rows = []
    for name, group in groups.items():
        sums = [total(result.scores) for result in group]
        spread = number(stdev(sums)) if len(sums) > 1 else ""
        batches = ", ".join(f"{task} {count:,}" for task, count in group[0].batches.items())
        angle = "" if group[0].angle is None else f"{fmean(result.angle or 0 for result in group):.1f}"
        minutes = f"{fmean(result.seconds for result in group) / 60:.1f}"
        rows.append([name, ", ".join(str(result.seed) for result in group), batches or "none", spread, angle, minutes])
    columns = ("run", "seeds", "batches of a task", "sd of the sum", "surgery's angle, degrees", "minutes of updates")
    return f"{markdown(columns, rows, left=3)}\n\n{MINUTES_NOTE}"


def patience(groups: Groups) -> str:
    """Which runs ended when dev did not improve, in a sentence; nothing where none might."""
    names = [name for name, group in groups.items() if group[0].recipe.training.patience is not None]
    return f"Dev chose when these ended (`training.patience`): {', '.join(names)}." if names else ""


def training(groups: Groups) -> str:
    """How groups were trained, where that is no default or not the same in all; and what each does otherwise."""
    keys = {name: _keys_of_training(without_paths(group[0].recipe)) for name, group in groups.items()}
    every = dict.fromkeys(key for of_group in keys.values() for key in of_group)
    told = {name: {key: _told(of_group.get(key)) for key in every} for name, of_group in keys.items()}
    usual = {key: Counter(of_group[key] for of_group in told.values()).most_common(1)[0][0] for key in every}
    varied = {key for key in every if len({of_group[key] for of_group in told.values()}) > 1}
    lines: dict[str, list[str]] = {}
    for key in every:
        table, _, last = key.rpartition(".")
        if key in varied or key in ALWAYS_TOLD or usual[key] != _default(key):
            lines.setdefault(table, []).append(f"{last} = {_cell(usual[key])}")
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


def contrasts(pairs: Sequence[Compared]) -> str:
    """Differences of pairs of groups with their verdicts."""
    rows = []
    for pair, lines in pairs:
        for line in lines:
            sharper = "" if line.sharper is None else between(line.sharper.interval)
            ends = [signed(line.difference.value), between(line.difference.interval), sharper]
            told = [probability(line.adjusted_p), line.verdict, _visible(line.smallest_visible)]
            rows.append([pair.name, line.score, seeds_of(line.difference.seeds, line.same_seeds), *ends, *told])
    ends = ["difference", "95 % interval", "the same, seeds kept"]
    return markdown(("left − right", "score", "seeds", *ends, "p (Holm)", "left is", "visible from"), rows, left=3)


def seeds_of(groups: Sequence[int], same_seeds: bool) -> str:
    """'3' of one group, '3 paired' of several whose runs of a seed are, else '3 and 5'."""
    if len(groups) < 2:
        return "".join(map(str, groups))
    return f"{groups[0]} paired" if same_seeds else f"{', '.join(map(str, groups[:-1]))} and {groups[-1]}"


def worth(line: ScoreLine) -> str:
    """A difference in a sentence: score, size, interval, verdict, and what could have been seen."""
    found = line.difference
    ends = f" ({between(found.interval)})" if found.interval else ""
    size = "" if found.value is None else f" {signed(found.value)}{ends}"
    p = "" if line.adjusted_p is None else f" (p {_after_holm(line.adjusted_p)} after Holm)"
    visible = (
        ""
        if line.smallest_visible is None
        else f"; a true difference from {number(line.smallest_visible)} on would show"
    )
    return f"{line.score}{size}, *{line.verdict}*{p}{visible}"


def verdicts(lines: Sequence[ScoreLine]) -> str:
    """What was said of each task, the tasks of one verdict together."""
    words = dict.fromkeys(line.verdict for line in lines)
    tasks = {word: ", ".join(line.score for line in lines if line.verdict == word) for word in words}
    return "by task: " + ", ".join(f"*{word}* ({of})" for word, of in tasks.items())


def _after_holm(p: float) -> str:
    return probability(p) if p < 0.001 else f"= {probability(p)}"


def probability(p: float | None) -> str:
    """A p-value, as far as three digits can tell it."""
    return "" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def _visible(difference: float | None) -> str:
    return "" if difference is None else number(difference)


def churn(pairs: Sequence[Compared]) -> str:
    """Answers that two groups do not share, beside what another seed alone changes."""
    rows = []
    for pair, lines in pairs:
        for line in lines:
            if line.churn is not None:
                rows.append([pair.name, line.score, *churn_cells(line.churn)])
    table = markdown(("left and right", "task", "changed", "by another seed", "gained", "lost"), rows, left=2)
    return f"{CHURN_NOTE}\n\n{table}"


def churn_cells(churn: Churn) -> list[str]:
    """Answers changed, changed by another seed alone, gained, lost: shares of classes, or how far apart scores lie."""
    form = "{:.1%}" if churn.gained is not None else "{:.3f} apart"
    parts = (churn.changed, churn.reseeded, churn.gained, churn.lost)
    return ["" if part is None else form.format(part) for part in parts]


def conflict(groups: Groups) -> str:
    """Cosines of gradients in the whole encoder over all updates and seeds: pairs of tasks, then each task's null."""
    rows = []
    for name, group in groups.items():
        found = cosines(group).filter(pl.col("layer") == ENCODER)
        ends_of = {row["between"]: Interval(row["low"], row["high"]) for row in found.drop_nulls("low").to_dicts()}
        for row in sorted(found.to_dicts(), key=lambda row: "/" not in row["between"]):
            ends, (one, *others) = ends_of.get(row["between"]), row["between"].split("/")
            what = row["between"] if others else f"null: {one} and {one}"
            lies = _beside([ends_of.get(task) for task in (one, *others)], ends) if others else ""
            numbers = [signed(row["mean"]), between(ends), f"{row['negative']:.0%}", f"{row['count']:,}"]
            rows.append([name, what, lies, *numbers])
    columns = ("run", "gradients of", "conflict", "mean cosine", "95 % interval", "below 0", "pairs of gradients")
    return markdown(columns, rows, left=3)


def _beside(nulls: Sequence[Interval | None], found: Interval | None) -> str:
    """Whether two tasks' cosine lies below both of their nulls, or above them, or neither for sure."""
    if found is not None and all(null is not None and found.high < null.low for null in nulls):
        return "yes"
    if found is not None and all(null is not None and found.low > null.high for null in nulls):
        return "no"
    return "cannot be told"


def findings(judged: Judged) -> str:
    """What a claim's judgement rests on, and what else differs between the runs that it compares."""
    rows = []
    for f in judged.findings:
        value = "" if f.judgement == "not run" else signed(f.value) or "undefined"
        seeds = seeds_of(f.seeds, f.same_seeds)
        ends = between(f.interval) + " (range of seeds)" * (f.is_of_curve and f.interval is not None)
        told = [probability(f.adjusted_p), _visible(f.smallest_visible), f.judgement]
        rows.append([f.what, seeds, value, ends, *told])
    columns = ("what was compared", "seeds", "difference", "95 % interval", "p (Holm)", "visible from", "judgement")
    parts = [markdown(columns, rows, left=2)]
    if lacking := list(dict.fromkeys(name for f in judged.findings for name in f.lacking)):
        parts.append(f"No run of {', '.join(lacking)}.")
    pairs = {name: found for f in judged.findings for name, found in f.differing.items()}
    return "\n\n".join([*parts, *confounds(pairs)])


def confounds(pairs: Mapping[str, Sequence[str]]) -> list[str]:
    """What else differs between two groups, a line for each pair; nothing where there is no pair."""
    lines = [f"- {name}: {'; '.join(map(_cell, differing))}" for name, differing in pairs.items()]
    return ["What else differs (seconds are the machine's too):", "\n".join(lines)] if lines else []


def data(dev: Mapping[str, DevSet], rows: Mapping[str, Mapping[str, int]]) -> str:
    """Rows of every split beside the source's, and how the labels of train and dev lie."""
    lines = []
    for name, task in dev.items():
        for split, reading in readings(task.task).items():
            theirs = rows.get(name, {}).get(split)
            beside = [f"{theirs:,}" if theirs else ""] if rows else []
            left_out = str(len(reading.bad_rows)) if reading.bad_rows else ""
            lines.append([name, split, f"{len(reading.examples):,}", left_out, *beside, _balance(task, reading)])
    beside = ["rows as printed"] if rows else []
    return markdown(("task", "split", "usable rows", "left out", *beside, "labels"), lines, left=2)


def _balance(dev: DevSet, reading: Reading) -> str:
    labels = reading.examples.labels
    if labels is None:
        return "none"
    if dev.task.is_regression:
        quarters = ", ".join(f"{value:.1f}" for value in np.quantile(labels, [0.25, 0.5, 0.75]))
        return f"mean {labels.mean():.2f}; quartiles {quarters}"
    shares = [dev.task.is_class(labels, place).mean() for place in range(len(dev.task.labels or ()))]
    return ", ".join(f"{name}: {share:.0%}" for name, share in zip(dev.task.labels or (), shares, strict=True))


def making(results: Sequence[Result]) -> str:
    """Runs, updates and hours in all; on what machines and with what versions."""
    hours = sum(result.seconds for result in results) / 3600
    took = f"{hours:.1f} hours" if hours >= 1 else f"{60 * hours:.1f} minutes"
    updates = sum(result.updates for result in results)
    parts = [f"{counted(len(results), 'run')}, {updates:,} updates, {took} of updates in all, evaluations apart."]
    keys = {"processor": "Processors", "device": "Devices", "threads": "Threads a run"}
    keys |= {"float32_matmul_precision": "Kernels for float32 products"}
    for key, title in keys.items():
        counts = Counter(str(result.about[key]) for result in results if key in result.about)
        parts.append(f"{title}: {_counts(counts)}.")
    versions = Counter(
        ", ".join(f"{name} {version}" for name, version in result.about.get("packages", {}).items())
        for result in results
    )
    parts.append(f"Versions: {_counts(versions)}.")
    return "\n\n".join(parts)


def _counts(values: Counter[str]) -> str:
    return "; ".join(f"{value} ({counted(count, 'run')})" for value, count in values.most_common())


BRACKETS = "In brackets: 95 % intervals, from three seeds on over seeds and dev rows, below over the rows of dev alone."
UNNAMED = """No pair of groups was named, so none is compared here. `minbert compare LEFT RIGHT` tells what a difference
is worth; a recipe's `[control]`, or a source with `[[contrasts]]` (`--source`), names pairs for a report."""
SCORES_NOTE = """In brackets the 95 % interval: with three seeds or more over seeds and dev examples (Multi-Bootstrap),
with fewer that of a single run with this score over other examples of the same kind, which says nothing about other
seeds. No checkpoint was chosen on dev: every score is that of the last update."""
MINUTES_NOTE = """Minutes are those of the machine, and of what else it did, as much as the method's."""
CONTRASTS_NOTE = """Difference of the means over seeds; the 95 % interval resamples seeds and examples (Multi-Bootstrap,
Sellam et al. 2022), and is no narrower than Student's t makes it. Where left and right have the same seeds their runs
are paired: those of a seed share initial heads, order of the data and dropout as far as their recipes are alike, and a
draw picks the same seeds on both sides; where three seeds or more are common to both, runs of others are left out. "The
same, seeds kept" resamples examples alone; it is given where five seeds or more, or the differences of as many pairs,
differ no more than single answers explain, and is too narrow elsewhere. p is adjusted for all scores of the table,
those of pairs that were not run included (Holm 1979). "Visible from" is the true difference that such an experiment
finds four times in five, Holm's correction included."""
CHURN_NOTE = """Answers that differ between left and right, runs of one seed where they are paired, beside those that
differ between two seeds of one side; *gained* are right in left alone, *lost* in right alone."""
CONFLICT_NOTE = """The cosine between two tasks' gradients in the encoder, before any surgery. Two small batches of one
and the same task disagree too: that is the null, and conflict between tasks is only what lies below it. *Yes*: the
whole interval lies below those of both tasks' nulls; *no*: it lies above them. Intervals are Student's t over the means
of single epochs of single seeds, as if these had nothing to do with each other."""
CLAIMS_NOTE = """A claim is supported where everything that it needs is shown, and contradicted where the opposite of a
part is. Below three seeds a run nothing but "never" is judged. Runs are paired as above. Whether left and right differ
is one family of tests (Holm 1979), those that were not run included; a difference that several claims ask for is one
test, and "visible from" is the true difference that such a test finds four times in five. "Equal" is supported where
the 90 % interval lies within 0.01 of 0, as a verdict is (two one-sided tests at 5 %), "not higher" where it lies below
0.01 (one of them), with 300 dev rows or more; neither is adjusted for the family. "Between" is judged by whether the
95 % interval lies between the ends or beside them, "never" by whether it happened in any seed. Curves are judged by
whether all seeds agree, on these dev rows alone: "in these runs"."""
