"""Numbers of results -> Markdown tables, each with the words that a reader needs beside it."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean

import numpy as np
import polars as pl

from minbert.comparison import Churn, Verdict
from minbert.data import Reading
from minbert.errors import counted
from minbert.experiments.compare import ScoreLine
from minbert.experiments.devsets import DevSet, readings
from minbert.experiments.results import ENCODER, Groups, Result
from minbert.metrics import Interval
from minbert.reports.claims import Finding, Judged
from minbert.reports.figure_data import cosines
from minbert.reports.source import Contrast
from minbert.splits import row_key

Compared = tuple[Contrast, list[ScoreLine]]
SPECIAL = re.compile(r"[\\`*_\[\]<>|~&!]")  # of Markdown, in a table's cell


def markdown(columns: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """A table whose first `left` columns are words and whose other columns are numbers."""
    ruler = ["---"] * left + ["--:"] * (len(columns) - left)
    lines = [[cell(text) for text in row] for row in (columns, ruler, *rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(text: str) -> str:
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
        else f"; a true difference from {number(line.smallest_visible)} on would show four times in five"
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
    """Whether two tasks' cosine lies below 0 and both of their nulls, or above the nulls, or neither for sure."""
    if found is not None and found.high < 0 and all(null is not None and found.high < null.low for null in nulls):
        return "yes"
    if found is not None and all(null is not None and found.low > null.high for null in nulls):
        return "no"
    return "cannot be told"


def surgery(groups: Groups) -> str:
    """How much there was for gradient surgery to change in the first group that has it, in a sentence; or nothing."""
    group = next((group for group in groups.values() if group[0].recipe.gradients.method == "pcgrad"), None)
    if group is None:
        return ""
    found = cosines(group).filter((pl.col("layer") == ENCODER) & pl.col("between").str.contains("/")).drop_nulls("low")
    if found.is_empty():
        return ""
    low, high, negative, count = (found[column].to_numpy() for column in ("low", "high", "negative", "count"))
    angle = fmean(result.angle or 0.0 for result in group)
    return (
        f"How much is there for surgery to change? In {group[0].recipe.name} the mean cosines between the gradients of "
        f"two tasks lie within {signed(low.min())} to {signed(high.max())} (95 %), "
        f"{np.average(negative, weights=count):.0%} of all cosines are below 0, and surgery turned the summed "
        f"gradient by {angle:.1f} degrees on the mean"
    )


def findings(judged: Judged) -> str:
    """What a claim's judgement rests on, and what else differs between the runs that it compares."""
    rows = []
    for f in judged.findings:
        value = "" if f.judgement == "not run" else signed(f.value) or "undefined"
        seeds = seeds_of(f.seeds, f.same_seeds)
        small = f" ({SMALL})" if f.is_small else ""
        told = [probability(f.adjusted_p), _visible(f.smallest_visible), f.judgement + small]
        rows.append([f.what, seeds, value, _ends(f), *told])
    columns = ("what was looked at", "seeds", "found", "95 % interval", "p (Holm)", "visible from", "judgement")
    parts = [markdown(columns, rows, left=2)]
    if lacking := list(dict.fromkeys(name for f in judged.findings for name in f.lacking)):
        parts.append(f"No run of {', '.join(lacking)}.")
    pairs = {name: found for f in judged.findings for name, found in f.differing.items()}
    return "\n\n".join([*parts, *confounds(pairs)])


def _ends(finding: Finding) -> str:
    """The 95 % interval; of a curve the range of its seeds, which is said."""
    return between(finding.interval) + ", range of seeds" * (finding.is_of_curve and finding.interval is not None)


def grounds(judged: Judged) -> str:
    """The findings that a claim is supported or contradicted by, in a line; of one that stays open what is shown."""
    is_told = judged.judgement in ("supported", "contradicted")
    shown = [f for f in judged.findings if f.judgement == (judged.judgement if is_told else "supported")]
    found = "; ".join(f"{f.what} {signed(f.value)}{f' ({_ends(f)})' if f.interval else ''}" for f in shown)
    if is_told:
        return found
    small = ", ".join(f.what for f in judged.findings if f.is_small)
    return "; ".join([f"shown of it: {found}"] * bool(found) + [f"{SMALL}: {small}"] * bool(small))


def confounds(pairs: Mapping[str, Sequence[str]]) -> list[str]:
    """What else differs between two groups, a line for each pair; nothing where there is no pair."""
    lines = [f"- {name}: {'; '.join(map(cell, differing))}" for name, differing in pairs.items()]
    return ["What else differs (seconds are the machine's too):", "\n".join(lines)] if lines else []


def data(dev: Mapping[str, DevSet], rows: Mapping[str, Mapping[str, int]]) -> str:
    """Rows of every split beside the source's, how many of them are rows of train too, and how their labels lie."""
    lines = []
    for name, task in dev.items():
        found = readings(task.task)
        keys = {split: [row_key(row) for row in zip(*of.examples.texts, strict=True)] for split, of in found.items()}
        train = set(keys.get("train", []))
        for split, reading in found.items():
            theirs = rows.get(name, {}).get(split)
            beside = [f"{theirs:,}" if theirs else ""] if rows else []
            left_out = str(len(reading.bad_rows)) if reading.bad_rows else ""
            twice = "" if split == "train" or not train else f"{sum(key in train for key in keys[split]):,}"
            numbers = [f"{len(reading.examples):,}", left_out, twice]
            lines.append([name, split, *numbers, *beside, _balance(task, reading)])
    beside = ["rows as printed"] if rows else []
    return markdown(("task", "split", "usable rows", "left out", "also in train", *beside, "labels"), lines, left=2)


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


SMALL: Verdict = "no difference above 0.01"
UNNAMED = """No pair of groups was named, so none is compared here. `minbert compare LEFT RIGHT` tells what a difference
is worth; a recipe's `[control]`, or a source with `[[contrasts]]` (`--source`), names pairs for a report."""
CONTRASTS_NOTE = """Difference of the means over seeds; the 95 % interval resamples seeds and examples (Multi-Bootstrap,
Sellam et al. 2022), and is no narrower than Student's t with the same standard error, whose degrees of freedom are
Satterthwaite's: seeds less one where seeds make all of the variance, more where dev rows have a part in it. Where left
and right have the same seeds their runs are paired: those of a seed share initial heads, order of the data and dropout
as far as their recipes are alike, and a draw picks the same seeds on both sides; where three seeds or more are common
to both, runs of others are left out. "The same, seeds kept" resamples examples alone; it is given where five seeds or
more, or the differences of as many pairs, differ no more than single answers explain, and is too narrow elsewhere. p is
adjusted for all scores of the table, those of pairs that were not run included (Holm 1979), so that an interval without
0 may stand beside a p of 1; of 10,000 draws none is below 0.0002 before that. "Visible from" is the true difference
that such an experiment finds four times in five, Holm's correction included. A score that is undefined in one run of
several counts as 0 there."""
CHURN_NOTE = """Answers that differ between left and right, runs of one seed where they are paired, beside those that
differ between two seeds of one side (the mean of both); *gained* are right in left alone, *lost* in right alone."""
REFERENCES = (
    "T. Sellam et al. The MultiBERTs: BERT Reproductions for Robustness Analysis. ICLR 2022 (Multi-Bootstrap).",
    "S. Holm. A Simple Sequentially Rejective Multiple Test Procedure. Scandinavian Journal of Statistics 6, 1979.",
    "F. Satterthwaite. An Approximate Distribution of Estimates of Variance Components. Biometrics Bulletin 2, 1946.",
    "E. B. Wilson. Probable Inference, the Law of Succession, and Statistical Inference. JASA 22, 1927.",
)
"""Of what a report cites whatever its runs."""
CONFLICT_NOTE = """The cosine between two tasks' gradients in the encoder, before any surgery. Two small batches of one
and the same task disagree too: that is the null, and conflict between tasks is only what lies below it and below 0.
*Yes*: the whole interval lies below 0 and those of both tasks' nulls; *no*: it lies above them. Intervals are Student's
t over the means of single epochs of single seeds, as if these had nothing to do with each other."""
CLAIMS_NOTE = """A claim is supported where everything that it needs is shown, and contradicted where the opposite of a
part is. Below three seeds a run nothing but "never" is judged. Runs are paired as above. Whether left and right differ
is one family of tests (Holm 1979), those that were not run included; a difference that several claims ask for is one
test, and "visible from" is the true difference that such a test finds four times in five. "Equal" is supported where
the 90 % interval lies within 0.01 of 0, as a verdict is (two one-sided tests at 5 %), "not higher" where it lies below
0.01 (one of them), with 300 dev rows or more; neither is adjusted for the family. "Between" is judged by whether the 95
% interval lies between the ends or beside them, "never" by whether it happened in any seed. Curves are judged by
whether all seeds agree. Both are of these seeds and dev rows alone: "in these runs"."""
