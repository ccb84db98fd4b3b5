"""Files of examples -> the text of a recipe that trains on them as it is, with a reason beside every choice."""

import math
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from minbert.data import BadRow
from minbert.errors import DataError, counted, shown
from minbert.holdout import groups
from minbert.jobs import lay_out, read_tasks
from minbert.labels import label_order, listed_labels, near_duplicates
from minbert.prepare.check import Share, balance
from minbert.prepare.drafts import Draft, Readings, inline, name_of, place_of, setting, slug, text_of
from minbert.prepare.groups import Group, grouped
from minbert.prepare.roles import Choice, bounds, classes_of, listed
from minbert.prepare.sheet import read_sheet
from minbert.recipes import load
from minbert.schema import SCORES, Recipe
from minbert.tasks import BUILT_IN, COURSE, SPLITS, Split, Task

HELD_PARTS = (5, 3, 2)  # one row in so many is held back, more where rows that share a text are too many for less;
HELD_MOST = 1000  # no more than these, with which an accuracy's standard error is 0.016 at most
HELD_FROM = 10  # fewer rows than this can spare none
FEW_GROUPS = 10  # of rows that hang together by shared texts; with fewer a score hangs on a text or two
ROUGH = 100  # rows; on fewer an accuracy's standard error is above 0.05
FOLDS = "scores on so few are rough, and folds = 5 in place of holdout{} has `minbert experiment run` score every row"
SENTENCE = 3  # words on average; a column of fewer holds names of classes rather than texts
UPDATES = 60  # in fewer a head has hardly moved from where it began; measured on examples/shop (docs/own-tasks.md)
RARE = 10  # times that the commonest class outnumbers the rarest, beyond which rare ones are weighted
LISTED = 20  # classes that the recipe spells out
BY_CLASS = {"classification": "macro-f1", "pair-classification": "macro-f1", "multi-label": "label-f1"}


@dataclass(frozen=True)
class Proposal:
    """A recipe's text, the tasks in it, what reading their files gave; `remarks` are what is in doubt, by task."""

    text: str
    tasks: dict[str, Task]
    readings: dict[str, Readings]
    remarks: list[str] = field(default_factory=list)

    @property
    def bad_rows(self) -> list[BadRow]:
        return [bad for splits in self.readings.values() for reading in splits.values() for bad in reading.bad_rows]


def propose(files: Sequence[Path], output: Path) -> Proposal:
    """A recipe to stand at `output`, which was loaded, and whose files were read as train reads them.

    Raises DataError for files that cannot be read or make no task, and for what train would refuse beyond single rows.
    """
    different = {place_of(file): file for file in files}
    drafts = [_draft(group, name) for group, name in _named(grouped([read_sheet(file) for file in different.values()]))]
    readings: dict[str, Readings] = {}
    for place, draft in enumerate(drafts):
        drafts[place], readings[draft.name] = _measured(draft)
    drafts = _with_folds(drafts, readings)
    text = text_of(drafts, readings, output)
    recipe = load(tomllib.loads(text), data=output.parent, name=name_of(output))
    if longer := _longer(recipe, readings):
        text += "\n".join(["", "[training]", *setting(longer)]) + "\n"
        recipe = load(tomllib.loads(text), data=output.parent, name=name_of(output))
    tasks = {draft.name: draft.task for draft in drafts}
    assert _placed(recipe.tasks) == _placed(tasks), "the recipe says what was checked"
    return Proposal(text, tasks, readings, [f"task '{d.name}': {remark}" for d in drafts for remark in d.remarks])


def _longer(recipe: Recipe, readings: Mapping[str, Readings]) -> Choice | None:
    """More epochs than the default's, where those are few updates."""
    rows = {name: len(splits["train"].examples) for name, splits in readings.items()}
    _, updates = lay_out(rows, recipe)
    epochs = recipe.training.epochs
    if epochs is None or updates >= UPDATES:
        return None
    enough = math.ceil(UPDATES * epochs / updates)
    _, more = lay_out(
        rows, recipe.model_copy(update={"training": recipe.training.model_copy(update={"epochs": enough})})
    )
    said = f"{counted(epochs, 'epoch')} (passes over the smallest file) would be {counted(updates, 'update')}"
    reason = f"{said}; these are {more}"
    return Choice("epochs", enough, reason)


def _placed(tasks: Mapping[str, Task]) -> dict[str, Task]:
    return {name: task.with_files(lambda _, file: str(place_of(Path(file)))) for name, task in tasks.items()}


def _named(groups: Sequence[Group]) -> Iterator[tuple[Group, str]]:
    """Each group with a task name of its own; a built-in task's name goes to its own files alone."""
    used: set[str] = set()
    for group in groups:
        name = _built_in_name(group) or slug(group.name) or "task"
        if name in used or (name in (*BUILT_IN, *SCORES) and name != _built_in_name(group)):
            name = next(f"{name}-{n}" for n in range(2, len(groups) + 3) if f"{name}-{n}" not in used)
        used.add(name)
        yield group, name


def _built_in_name(group: Group) -> str | None:
    """The built-in task whose files these are, by their names, columns and labels."""
    names = [sheet.path.name for sheets in group.files.values() for sheet in sheets]
    for name, course in COURSE.items():
        task, roles = BUILT_IN[name], group.roles
        text = [task["text"]] if isinstance(task["text"], str) else task["text"]
        low, high = task.get("range", (0, 0))
        fits = set(classes_of(group.label_columns_of("train", "dev"), roles)) <= set(task.get("labels", ()))
        inside = roles.range is None or low <= roles.range[0] <= roles.range[1] <= high
        same = (roles.kind, roles.texts, roles.label, roles.id) == (task["kind"], text, [task["label"]], task["id"])
        if same and fits and inside and all(re.match(rf"{course.prefix}-(train|dev|test)", file) for file in names):
            return name
    return None


def _draft(group: Group, name: str) -> Draft:
    """The task that columns and names make, before its rows are looked at."""
    files = [_files_choice(group, split) for split in SPLITS if group.files[split]]
    kind, *columns = group.roles.choices
    if refused := _strange_dev(group):
        raise DataError(refused)
    encoding = _encoding(group)
    if name == _built_in_name(group):
        known = [f"{choice.key} {inline(choice.value)}" for choice in (kind, *columns)]
        return Draft(
            name, [*files, *encoding], group.assumed, f"a built-in task, so that this is known: {', '.join(known)}"
        )
    draft = Draft(name, [kind, *files, *columns, *encoding], group.assumed)
    classes = classes_of(group.label_columns_of("train", "dev"), group.roles)
    new = set(classes) - set(classes_of(group.label_columns_of("train"), group.roles))
    if 0 < len(classes) <= LISTED or new:
        draft = draft.with_choices(Choice("labels", classes))
    if new:
        said = f"dev has rows of {listed_labels(label_order(new))}, and train has none, so that it is never learned"
        draft = draft.with_doubts(said)
    draft = draft.with_doubts(*near_duplicates(classes), *_left_out(group))
    if group.roles.range is not None:
        numbers = [number for column in group.label_columns_of("train", "dev") for number in column.numbers]
        low, high = bounds(numbers)
        reason = f"scores seen from {min(numbers):g} to {max(numbers):g}; widen it where the scale goes on"
        draft = draft.with_choices(Choice("range", [low, high], reason))
    return draft


def _strange_dev(group: Group) -> str | None:
    """Why dev cannot score what is learned from train, where they have no class in common, or None."""
    train, dev = (classes_of(group.label_columns_of(split), group.roles) for split in ("train", "dev"))
    if not dev or not train or set(train) & set(dev):
        return None
    one, two = group.files["dev"][0].path, group.files["train"][0].path
    return (
        f"{one} has the classes {listed_labels(dev)} and {two} {listed_labels(train)}: none is in both, so that none "
        "could be told right; are they spelt differently? write them alike"
    )


def _left_out(group: Group) -> Iterator[str]:
    """Columns that may be a pair's other text, though its few texts recur as labels do; or an unnamed label."""
    columns, roles = group.files["train"][0].columns, group.roles
    sentences = [name for name in roles.others if columns[name].mean_words >= SENTENCE and len(roles.texts) == 1]
    for name in sentences:
        yield (
            f"'{shown(name, 30)}' holds {len(columns[name].values)} different texts and is not used; where two "
            f"texts belong together, set kind and text = {inline([roles.texts[0], name])}"
        )
    labels = [name for name in roles.others if name not in sentences]
    if labels and not any(columns[name].has_label_name for name in roles.label):
        yield f"that {listed(roles.label)} is the label is a guess; {listed(labels)} could be one, too"


def _files_choice(group: Group, split: Split) -> Choice:
    sheets = group.files[split]
    files: list[str] = [sheet.path.as_posix() for sheet in sheets]
    rows = f"{sum(sheet.rows for sheet in sheets):,}"
    said = {"train": "to learn from", "dev": "to choose the model by", "test": "to answer after training"}[split]
    if split == "dev" and group.dev_names:
        named = dict(zip(group.dev_names, files, strict=True))
        return Choice(split, named, f"{rows} rows, each set with scores of its own, {said}")
    return Choice(split, files[0] if len(files) == 1 else files, f"{rows} rows {said}")


def _encoding(group: Group) -> list[Choice]:
    """The encoding of a task's files where it is not UTF-8. Raises DataError where they have several."""
    sheets = [sheet for of_split in group.files.values() for sheet in of_split]
    other = next((sheet for sheet in sheets if sheet.encoding is not None), None)
    if other is None or other.encoding is None:
        return []
    for sheet in sheets:
        if sheet.encoding != other.encoding and (sheet.sample or other.encoding != "cp1252"):
            raise DataError(
                f"{other.path} is read as {other.encoding} and {sheet.path} as {sheet.encoding or 'utf-8'}, and the "
                "files of a task have one encoding; save both as UTF-8"
            )
    return [Choice("encoding", other.encoding, f"not UTF-8; look whether '{other.sample}' is spelt right")]


def _measured(draft: Draft) -> tuple[Draft, Readings]:
    """The draft with what its usable rows decide (rows held back, weights of classes), and what reading them gave."""
    tasks, readings = read_tasks({draft.name: draft.task}, skip_bad_rows=True)
    task, of_train = tasks[draft.name], readings[draft.name]["train"]
    assert of_train.examples.labels is not None
    shares = balance(task, task.labels or [], of_train.examples.labels)
    draft = _weighted(_with_shares(draft, task, shares), task, shares)
    if bad := [row for reading in readings[draft.name].values() for row in reading.bad_rows]:
        draft = draft.with_doubts(f"{counted(len(bad), 'row')} cannot be used, the first: {bad[0]}")
    if task.dev is not None:
        return draft, readings[draft.name]
    return _held_back(draft, readings[draft.name])


def _held_back(draft: Draft, readings: Readings) -> tuple[Draft, Readings]:
    """The draft with rows held back in place of a dev file, where there are enough and texts do not hang together."""
    rows = len(readings["train"].examples)
    reason = f"{counted(rows, 'row')} are too few to hold some back"
    for part in HELD_PARTS if rows >= HELD_FROM else ():
        count = min(rows // part, HELD_MOST)
        try:
            with_dev = draft.with_choices(Choice("holdout", count))
            found = read_tasks({draft.name: with_dev.task}, skip_bad_rows=True)[1][draft.name]
        except DataError:
            reason = "rows share so many texts that none can be held back"
            continue
        held = len(found["dev"].examples)
        why = (
            f"there is no dev file, so {counted(held, 'row')} of train ({held / rows:.0%}) are held back to choose "
            "the model by: the same ones in every run, every label in its share, and no text on both sides"
        )
        apart = len(set(groups(found["dev"].examples.texts)))
        chained = (
            f"the {counted(held, 'row')} held back are {counted(apart, 'group')} of rows that share no text: scores"
        )
        chained += " on them are rougher than so many rows suggest; name a dev file if you have one"
        few = f"only {counted(held, 'row')} could be held back, since many rows share a text; name a dev file"
        with_dev = draft.with_choices(Choice("holdout", count, why))
        doubts = [few] * (held < count / 2) + [chained] * (apart < min(held, FEW_GROUPS))
        return with_dev.with_doubts(*doubts), found
    doubt = f"{reason}, so no model can be chosen by dev scores; name a dev file if you have one"
    return draft.with_doubts(doubt), readings


def _with_folds(drafts: Sequence[Draft], readings: Mapping[str, Readings]) -> list[Draft]:
    """The drafts, with folds advised beside few rows held back where every task can have them, as a recipe must."""
    if not all("holdout" in draft.values for draft in drafts):
        return list(drafts)
    advice = FOLDS.format(" in every task" if len(drafts) > 1 else "")
    return [
        draft.with_reason("holdout", advice) if len(readings[draft.name]["dev"].examples) < ROUGH else draft
        for draft in drafts
    ]


def _with_shares(draft: Draft, task: Task, shares: Sequence[Share]) -> Draft:
    """The draft with how often classes occur, beside the key that says what they are."""
    if task.is_regression:
        return draft
    order = sorted(shares, key=lambda share: -share.count)
    shown_shares = shares if len(shares) <= LISTED else [*order[:3], order[-1]]
    figures = ", ".join(f"{shown(share.label, 30)} {share.share:.1%}" for share in shown_shares)
    said = (
        f"share of rows in train: {figures}"
        if len(shares) <= LISTED
        else (f"the commonest and the rarest, by their share of rows in train: {figures}")
    )
    if draft.is_built_in:
        return replace(draft, about=f"{draft.about}; {said}")
    key = next(choice.key for choice in reversed(draft.choices) if choice.key in ("labels", "label"))
    return draft.with_reason(key, said)


def _weighted(draft: Draft, task: Task, shares: Sequence[Share]) -> Draft:
    """The draft with rare classes weighted, and a score that counts every class alike, where some are rare."""
    present = [share for share in shares if share.count]
    if task.is_regression or len(present) < 2:
        return draft
    most, least = max(present, key=lambda share: share.count), min(present, key=lambda share: share.count)
    if most.count <= RARE * least.count:
        return draft
    of_rows = f"'{shown(most.label, 30)}' has {most.count:,} rows, '{shown(least.label, 30)}' {least.count:,}"
    if task.is_multi_label:
        return draft.with_choices(Choice("metric", BY_CLASS[task.kind], f"{of_rows}: choose by the mean over classes"))
    return draft.with_choices(
        Choice(
            "class_weights", "balanced", f"{of_rows}: rows of rare classes count more, so that they are learned too"
        ),
        Choice(
            "metric", BY_CLASS[task.kind], f"counts every class alike; accuracy is {most.share:.3f} without learning"
        ),
    )
