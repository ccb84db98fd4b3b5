"""Where a group errs on a task -> Markdown: tables, one sentence for each trait, and the rows that are most wrong."""

from minbert.errors import counted
from minbert.experiments.devsets import DevSet
from minbert.experiments.results import Group
from minbert.reports import tables
from minbert.reports.mistakes import ClassMistakes, Estimate, Row, ScoreMistakes, WrongClass, mistakes
from minbert.reports.traits import sentence
from minbert.runs import Run


def section(group: Group, dev: DevSet, with_text: bool) -> str:
    """Everything on one task; with the texts of rows, or their ids alone."""
    folders = {r.seed: r.folder for r in group if r.folder is not None and not dev.task.is_regression}
    predictions = {seed: Run(folder).read_predictions(dev.name, dev.task) for seed, folder in folders.items()}
    found = mistakes(group, dev, predictions)
    lines = [f"{counted(found.seeds, 'seed')}, {found.rows:,} dev rows."]
    if isinstance(found, ClassMistakes):
        lines += _of_classes(found, with_text)
    else:
        lines += _of_scores(found, with_text, tables.score_digits(dev))
    return "\n\n".join(lines)


def _of_classes(found: ClassMistakes, with_text: bool) -> list[str]:
    rows = [
        [line.name, f"{line.support:,}", f"{line.called:,.0f}", *map(_estimate, (line.precision, line.recall, line.f1))]
        for line in found.classes
    ]
    parts = [tables.markdown(("label", "rows", "called so", "precision", "recall", "F1"), rows)]
    rows = [
        [one.true, one.called, f"{one.count:.1f}".removesuffix(".0"), f"{one.share:.0%}"] for one in found.confusions
    ]
    if rows:
        parts += ["Most frequent confusions (mean over seeds):"]
        parts += [tables.markdown(("label", "called", "rows", "of the label's rows"), rows, left=2)]
    parts += _sentences(found)
    if found.seeds > 1:
        parts.append(f"{found.always_wrong:,} of {found.rows:,} rows are wrong in every seed.")
    rows = [[*_named(one.row, with_text), one.label, _called(one)] for one in found.most_wrong]
    if rows:
        parts += [_most_wrong(found), tables.markdown(("row", "text", "label", "answers"), rows, left=4)]
    if found.confident is None:
        return [*parts, "How sure the wrong answers were is in the runs' own folders alone, which were not read here."]
    rows = [
        [*_named(one.row, with_text), one.label, one.called, f"{one.probability:.2f}", str(one.seed)]
        for one in found.confident
    ]
    return [*parts, "Surest of the wrong answers:", tables.markdown(CONFIDENT, rows, left=4)]


def _most_wrong(found: ClassMistakes) -> str:
    last = found.most_wrong[-1]
    listed = sum((one.share_wrong, one.distance) == (last.share_wrong, last.distance) for one in found.most_wrong)
    chosen = f" ({found.as_wrong:,} rows are as wrong as the last of these; the first in the file are shown)"
    return f"Most wrong{chosen if found.as_wrong > listed else ''}:"


def _called(wrong: WrongClass) -> str:
    return ", ".join(f"{call.name} ({counted(call.seeds, 'seed')})" for call in wrong.calls)


CONFIDENT = ("row", "text", "label", "called", "probability", "seed")


def _of_scores(found: ScoreMistakes, with_text: bool, digits: int) -> list[str]:
    rows = [
        [line.name, f"{line.rows:,}", *map(_estimate, (line.pearson, line.absolute_error, line.bias))]
        for line in found.parts
    ]
    columns = ("label", "rows", "Pearson's r", "mean absolute error", "mean answer − mean label")
    parts = [tables.markdown(columns, rows), *_sentences(found)]
    rows = []
    for one in found.most_wrong:
        label, mean, *ends = (tables.number(value, digits) for value in (one.label, one.mean, one.lowest, one.highest))
        rows.append([*_named(one.row, with_text), label, mean, " to ".join(dict.fromkeys(ends))])
    return [*parts, "Most wrong:", tables.markdown(("row", "text", "label", "mean answer", "of seeds"), rows, left=2)]


def _sentences(found: ClassMistakes | ScoreMistakes) -> list[str]:
    """What the errors have in common, and what there was too little of to look at."""
    lines = [sentence(trait) for trait in found.traits.found]
    if found.traits.too_few:
        lines.append(f"Too few rows or answers to look at: {', '.join(found.traits.too_few)}.")
    return ["\n".join(f"- {tables.cell(line)}" for line in lines)] if lines else []


def _estimate(found: Estimate) -> str:
    ends = f" ({tables.between(found.interval, lambda end: tables.number(end, 2))})" if found.interval else ""
    return tables.number(found.value, 2) + ends


def _named(row: Row, with_text: bool) -> list[str]:
    return [str(row.place), " / ".join(text.strip() for text in row.texts) if with_text else f"id {row.id}"]
