"""Sheets of several files -> tasks with their splits, by the files' names and columns; every guess is said."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from minbert.errors import DataError, counted, several, shown
from minbert.labels import YES_NO, as_number
from minbert.prepare.roles import Roles, classes_of, decide
from minbert.prepare.sheet import LABEL_NAMES, SPLIT_NAMES, TEXT_NAMES, Column, Sheet, joined, name_words
from minbert.tasks import SPLITS, Split

PART = re.compile(r"\d*|of|part|shard", re.IGNORECASE)  # words of a shard's name: train-00000-of-00002


@dataclass(frozen=True)
class Placed:
    """A file, and what its name tells: the split; `task`, the words before it, shards' numbers aside; `after`, those
    behind it, which are the task where none stand before. `folder` is the task's: not one that is called train."""

    sheet: Sheet
    folder: Path
    task: str
    split: Split | None
    after: str

    @property
    def is_named_apart(self) -> bool:
        """Whether a task's name stands before the split."""
        return self.split is not None and self.task not in ("", self.after)


Key = tuple[Path, str]  # of a task: the folder of its files, and the name that they share


@dataclass(frozen=True)
class Group:
    """A task's files by split, with what its columns are. `dev_names` name dev sets, where there are several.

    `assumed` says what neither names nor columns told for certain, and which files are left out, and why;
    `tells_no_split`: no file's name does.
    """

    name: str
    roles: Roles
    files: dict[Split, list[Sheet]]
    dev_names: list[str] = field(default_factory=list)
    assumed: list[str] = field(default_factory=list)
    tells_no_split: bool = False

    def label_columns_of(self, *splits: Split) -> list[Column]:
        """The columns of the label in every file of these splits, file by file."""
        sheets = [sheet for split in splits for sheet in self.files[split]]
        return [sheet.columns[name] for sheet in sheets for name in self.roles.label]


def grouped(sheets: Sequence[Sheet]) -> list[Group]:
    """Raises DataError where a task has no file to learn from, or columns make none."""
    by_folder = len({sheet.path.absolute().parent for sheet in sheets}) > 1
    placed = [_placed(sheet, by_folder) for sheet in sheets]
    members: dict[Key, list[Placed]] = {}
    for file in placed:
        members.setdefault((file.folder, file.task), []).append(file)
    merged = _with_strays(_alike(members))
    return _told_apart([_group(name or folder.name, files) for (folder, name), files in merged.items()])


def _placed(sheet: Sheet, by_folder: bool) -> Placed:
    """By the last word of a file's name that is a split; else by its folder's, as in train/0000.parquet, where files
    come from several."""
    words = re.split(r"[-_. ]+", sheet.path.stem)
    at = [place for place, word in enumerate(words) if word.lower() in SPLIT_NAMES]
    folder = sheet.path.absolute().parent
    of_folder = SPLIT_NAMES.get(folder.name.lower()) if by_folder else None
    home = folder if of_folder is None else folder.parent
    if not at:
        return Placed(sheet, home, _joined_words(words), of_folder, "")
    before, after = _joined_words(words[: at[-1]]), _joined_words(words[at[-1] + 1 :])
    return Placed(sheet, home, before or after, SPLIT_NAMES[words[at[-1]].lower()], after)


def _joined_words(words: Sequence[str]) -> str:
    return "-".join(word for word in words if not PART.fullmatch(word))


def _alike(members: dict[Key, list[Placed]]) -> dict[Key, list[Placed]]:
    """Files whose names tell no split are one task where columns and classes are the same, and classes are words:
    that both have 0 and 1 says nothing."""
    first: dict[object, Key] = {}
    merged: dict[Key, list[Placed]] = {}
    for key, files in members.items():
        alike: object = key
        if all(file.split is None for file in files) and (roles := _roles(files)):
            classes = classes_of([file.sheet.columns[c] for file in files for c in roles.label], roles)
            if any(as_number(name) is None and name not in YES_NO for name in classes):
                alike = (roles.kind, *roles.texts, *roles.label, *classes)
        merged.setdefault(first.setdefault(alike, key), []).extend(files)
    return merged


def _told_apart(groups: list[Group]) -> list[Group]:
    """The groups, with the assumption put into words where files without splits could have been one task."""
    columns = [(*g.roles.texts, *g.roles.label, *classes_of(g.label_columns_of("train"), g.roles)) for g in groups]
    said = list(groups)
    for place, group in enumerate(groups):
        like = [g.name for g, of in zip(groups, columns, strict=True) if g is not group and of == columns[place]]
        if like and group.tells_no_split:
            other = f"taken for another task than {', '.join(like)}, which has the same columns and classes"
            remedy = "if they are one, list all their files in one train"
            said[place] = replace(group, assumed=[*group.assumed, f"{other}; {remedy}"])
    return said


def _with_strays(members: dict[Key, list[Placed]]) -> dict[Key, list[Placed]]:
    """Files that can only be dev or test files go to the one task that has their name, or none, and their texts."""
    learning = {
        key: roles
        for key, files in members.items()
        if not all(file.split in ("dev", "test") for file in files) and (roles := _roles(_to_learn(files)))
    }
    merged = {key: list(files) for key, files in members.items() if key in learning or not learning}
    for key, files in members.items():
        if key in merged:
            continue
        own = key[1] if any(file.is_named_apart for file in files) else None
        homes = [
            home
            for home, roles in learning.items()
            if own in (None, home[1]) and all(set(roles.texts) <= set(file.sheet.columns) for file in files)
        ]
        if len(homes) != 1:
            merged[key] = list(files)  # a task of its own, if it can be
            continue
        merged[homes[0]] += [file if file.split else replace(file, split="test") for file in files]
    return merged


def _to_learn(files: Sequence[Placed]) -> list[Placed]:
    """The files that decide what columns are: train's, else those without a split, else dev's, else test's."""
    for split in ("train", None, "dev", "test"):
        if found := [file for file in files if file.split == split]:
            return found
    return []


def _roles(files: Sequence[Placed]) -> Roles | None:
    try:
        return decide(joined([file.sheet for file in files]), str(files[0].sheet.path))
    except DataError:
        return None


def _group(name: str, files: Sequence[Placed]) -> Group:
    train = _to_learn(files)
    where = str(train[0].sheet.path)
    roles = _decided(train, where)
    others = {split: [f for f in files if f.split == split and f not in train] for split in SPLITS}
    assumed = list(_guesses(train, others))
    assumed += [
        f"{file.sheet.path} is left out: its name tells no split, and {train[0].sheet.path.name} is to learn from"
        for file in files
        if file.split is None and file not in train
    ]
    kept: dict[Split, list[Placed]] = {"train": list(train), "dev": [], "test": []}
    for split in ("dev", "test"):
        for file in others[split]:
            if reason := _lacking(file.sheet, roles, split):
                assumed.append(f"{file.sheet.path} is left out: {reason}")
            else:
                kept[split].append(file)
    everything = [file.sheet for of_split in kept.values() for file in of_split]
    if roles.id is not None and not all(roles.id in s.columns and s.columns[roles.id].is_id for s in everything):
        assumed.append(f"'{roles.id}' is no id in every file, so row numbers are the ids")
        roles = replace(roles, id=None)
    names = [file.after or file.task for file in kept["dev"]]
    several_sets = len(set(names)) == len(names) > 1
    sheets: dict[Split, list[Sheet]] = {split: [file.sheet for file in of_split] for split, of_split in kept.items()}
    tells_no_split = all(file.split is None for file in files)
    return Group(name, roles, sheets, names if several_sets else [], assumed, tells_no_split)


def _decided(files: Sequence[Placed], where: str) -> Roles:
    """What the columns of these files are. Raises DataError where they make no task, or where a column of texts or of
    labels may be one that cannot be told from another."""
    columns, names = joined([file.sheet for file in files]), [str(file.sheet.path) for file in files]
    if len(files) > 1 and not columns:
        raise DataError(
            f"{several(names, 4).replace('; ', ' and ')} have no column in common, and by their names they are one "
            "task's; give their columns the same names, or the files names of their own"
        )
    twice = next(((file.sheet.path, name) for file in files for name in file.sheet.twice), None)
    if twice is None:
        return decide(columns, where)
    said = f"{twice[0]}: two columns are named '{shown(twice[1], 30)}'; give each a name of its own in the header"
    if set(name_words(twice[1])) & {*TEXT_NAMES, *LABEL_NAMES}:
        raise DataError(said)
    try:
        return decide(columns, where)
    except DataError:
        raise DataError(said) from None


def _guesses(train: Sequence[Placed], others: dict[Split, list[Placed]]) -> Iterator[str]:
    """What was assumed of the files to learn from, where their names do not say it."""
    said, names = train[0].split, several([file.sheet.path.name for file in train], 4).replace("; ", ", ")
    if said in ("dev", "test"):
        yield f"{names}: the name says {said}, but without a train file this is what there is to learn from"
    elif said is None and len(train) > 1:
        yield (
            f"{names}: the names tell no split and columns and classes agree, so all {len(train)} are to learn from; "
            "if one is for choosing, name it in dev and take out holdout"
        )
    elif said is None and any(others.values()):
        yield f"{names}: the name tells no split, so it is to learn from"
    if unsaid := [file.sheet.path.name for of in others.values() for file in of if file.task != train[0].task]:
        yield f"{', '.join(unsaid)}: taken as of this task, since the columns of texts are the same"


def _lacking(sheet: Sheet, roles: Roles, split: Split) -> str | None:
    """Why a file can be no dev or test file of a task, or None."""
    needed = roles.texts + (roles.label if split == "dev" else [])
    missing = [name for name in needed if name not in sheet.columns]
    if missing:
        return f"it has no column '{missing[0]}'"
    if split == "dev" and not any(sheet.columns[name].filled for name in roles.label):
        return f"its column '{roles.label[0]}' is blank, and dev needs labels in {counted(sheet.rows, 'row')}"
    return None
