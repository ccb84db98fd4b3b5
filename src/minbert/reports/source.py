"""A source file (TOML) -> what a paper claims, asks and prints, as data that runs can be laid beside."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from minbert.errors import DataError, near, several, shown
from minbert.schema import Table


class Requirement(Table):
    """What must hold for a claim to hold, once for each of `scores` and of `each_of`."""

    left: Annotated[list[str], Field(min_length=1)]
    """Groups of runs whose scores are added."""
    right: list[str] = Field(default=[])
    """Groups whose scores are taken away; without them the left ones are set beside 0."""
    each_of: list[str] = Field(default=[])
    """Groups that are each a `right` of their own."""
    scores: Annotated[list[str], Field(min_length=1)]
    """Tasks, or "sum"."""
    statistic: Literal["metric", "mean", "cell", "precision-recall", "gap", "curve"] = "metric"
    """metric: the task's own. mean: of the predictions. cell: share of dev rows, or of those in `part`, that have label
    `true` and are called `predicted`. precision-recall: precision less recall, of the second of two classes. gap: of a
    pair task with two classes, among examples with label `true` the mean `feature` of those called the second class
    less that of those called the first. curve: mean change of the metric from an epoch's end to the next, over the
    epochs that trained the task, or did not (`trained`), from the end of the first one that did; of runs evaluated at
    the ends of epochs."""
    direction: Literal["higher", "lower", "equal", "not higher", "never"] = "higher"
    """How left lies to right. equal: no difference above 0.01. not higher: by 0.01 at most. never: exactly 0."""
    between: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None
    """In place of `direction`, two ends that the difference lies between."""
    true: str | None = None
    """A class by its name, as rows are labelled."""
    predicted: str | None = None
    """A class by its name, as rows are answered."""
    feature: Literal["overlap", "length gap"] | None = None
    """overlap: share of words that both texts of a pair have. length gap: words that one has more than the other."""
    trained: bool = True
    """Of a curve: the epochs that trained the task, or the others."""
    part: str | None = None
    """A part of dev by the name that `minbert compare` gives it, in place of all of it."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        """Every key that has a value counts, and none that counts is missing."""
        needed, allowed = KEYS[self.statistic]
        if lacking := [key for key in needed if getattr(self, key) is None]:
            raise ValueError(f"statistic '{self.statistic}' needs {' and '.join(lacking)}")
        given = self.model_dump(include={"true", "predicted", "feature", "trained", "part"}, exclude_defaults=True)
        if strange := sorted(given.keys() - {*needed, *allowed}):
            raise ValueError(f"statistic '{self.statistic}' does not take {' and '.join(strange)}; leave that out")
        if self.statistic != "metric" and "sum" in self.scores:
            raise ValueError(f"statistic '{self.statistic}' is of one task; \"sum\" has none")
        if self.right and self.each_of:
            raise ValueError("right and each_of exclude each other")
        if both := sorted({*self.left} & {*self.right, *self.each_of}):
            raise ValueError(f"{' and '.join(both)} cannot stand on both sides")
        if self.between is not None:
            if self.direction != "higher":  # the default
                raise ValueError("between and direction exclude each other")
            if self.between[0] >= self.between[1]:
                raise ValueError("between needs its lower end first")
        self._check_single()
        return self

    def _check_single(self) -> None:
        """What is looked at seed by seed is looked at in one group."""
        is_curve = self.statistic == "curve"
        if is_curve and (self.between is not None or self.direction == "never"):
            raise ValueError("statistic 'curve' goes with the directions higher, lower, equal and not higher")
        if (is_curve or self.direction == "never") and (len(self.left) > 1 or self.right or self.each_of):
            what = "statistic 'curve'" if is_curve else "direction 'never'"
            raise ValueError(f"{what} is about a single group; name one in left, and no right or each_of")


KEYS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "metric": ((), ("part",)),
    "mean": ((), ("part",)),
    "cell": (("true", "predicted"), ("part",)),
    "precision-recall": ((), ("part",)),
    "gap": (("true", "feature"), ("part",)),
    "curve": ((), ("trained",)),
}
"""What each statistic needs, and what it takes besides."""


class Claim(Table):
    """A sentence, and all that must hold for it to hold."""

    name: str
    """What messages call it."""
    says: str
    """The sentence."""
    needs: Annotated[list[Requirement], Field(min_length=1)]
    """What must hold, all of it."""
    remark: str = ""
    """What a reader should know of how the sentence was read."""


class Contrast(Table):
    """A pair of runs whose difference is part of the main question."""

    left: str
    """A group of runs."""
    right: str
    """The group that it is set beside."""
    asks: str = ""
    """What the difference tells, as a question of one sentence."""
    remark: str = ""
    """What is known of it, or how it is to be read, a sentence or two."""

    @model_validator(mode="after")
    def _has_two_sides(self) -> Self:
        if self.left == self.right:
            raise ValueError(f"{self.left} stands on both sides; name another group on one")
        return self

    @property
    def name(self) -> str:
        """As a difference is headed: left − right."""
        return f"{self.left} − {self.right}"


class TableRow(Table):
    """A row of the source's own table of results."""

    run: str
    """The recipe that remakes it."""
    scores: dict[str, float]
    """By task, and "sum" as it is printed."""


class Example(Table):
    """An input that the source discusses, found in a task's dev set by words of it."""

    task: str
    """The task in whose dev set it is looked for."""
    words: Annotated[list[str], Field(min_length=1)]
    """All of them occur in it, as whole words, in any case."""


class Source(Table):
    """A paper, or any other text about runs: what it claims, and the numbers that it prints."""

    title: str
    """What the report is called."""
    question: str = ""
    """What it asks, in a sentence or two."""
    remark: str = ""
    """What a reader should know of the runs before their scores: what was planned, and what was not run."""
    claims: Annotated[list[Claim], Field(min_length=1)]
    """Its sentences."""
    contrasts: list[Contrast] = Field(default=[])
    """Pairs of runs whose difference is the main question: a family written before any run."""
    final: str = ""
    """The run that its error analysis is about."""
    curves: list[str] = Field(default=[])
    """Runs whose learning curves it sets beside each other."""
    table: list[TableRow] = Field(default=[])
    """Its own table of results, which ours stands beside."""
    rows: dict[str, dict[str, int]] = Field(default={})
    """Rows of its data sets: by task, then by split."""
    examples: list[Example] = Field(default=[])
    """Inputs that it discusses: the report answers them."""
    unclear: list[str] = Field(default=[])
    """What it leaves unclear, and where it contradicts itself."""
    differs: list[str] = Field(default=[])
    """What the runs that remake it do otherwise, and what that may change."""
    references: list[str] = Field(default=[])
    """What is cited in all this; the report adds what it cites itself."""
    commands: list[str] = Field(default=[])
    """What makes the runs, and the report from them."""

    @property
    def groups(self) -> list[str]:
        """Every group that it names but for the rows of its own table, in the order that they are named in."""
        needs = [need for claim in self.claims for need in claim.needs]
        of_claims = [name for need in needs for name in (*need.left, *need.right, *need.each_of)]
        named = [*self.main_groups, *of_claims, *self.curves]
        return list(dict.fromkeys(named + [self.final] * bool(self.final)))

    @property
    def main_groups(self) -> list[str]:
        """Those of the main question, pair by pair; one that stands in two pairs comes twice."""
        return [name for pair in self.contrasts for name in (pair.left, pair.right)]

    @property
    def tasks(self) -> set[str]:
        """Those that its table or its data sets have."""
        return {task for row in self.table for task in row.scores if task != "sum"} | self.rows.keys()


def read_source(path: Path) -> Source:
    """Reads a source file. Raises DataError naming every fault."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        return Source.model_validate(values)
    except ValidationError as error:
        faults = [_told(fault["type"], fault["loc"], fault["msg"], values) for fault in error.errors()]
        raise DataError(f"{path}: {several(faults)}; correct it") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise DataError(f"{path} cannot be read ({error}); correct it") from None


TABLES: dict[str, type[Table]] = {
    "claims": Claim,
    "needs": Requirement,
    "contrasts": Contrast,
    "table": TableRow,
    "examples": Example,
}


def _told(kind: str, loc: Sequence[int | str], words: str, values: Mapping[str, Any]) -> str:
    """A fault's place, and what is wrong there: in pydantic's `words`, where they are not those of its own classes."""
    if kind == "missing":
        return f"{_place(loc, values)} is missing"
    if kind != "extra_forbidden":
        return f"{_place(loc, values)}: {words}"
    *outer, key = loc
    tables = [TABLES[part] for part in outer if isinstance(part, str)]
    hint = near(str(key), list((tables or [Source])[-1].model_fields))
    return f"{_place(outer, values) + ': ' if outer else ''}unknown key '{shown(str(key))}'{hint}"


def _place(parts: Sequence[int | str], values: Mapping[str, Any]) -> str:
    """Where a fault lies as a reader of the file would look for it, counted from 1: claim 'NAME', needs 2, left."""
    words = list[str]()
    for part in parts:
        words += [part] if isinstance(part, str) else [f"{words.pop()} {part + 1}"]
    if parts[0] == "claims" and len(parts) > 1:
        claim = values["claims"][parts[1]]
        named = isinstance(claim, dict) and isinstance(claim.get("name"), str)
        words[0] = f"claim '{shown(claim['name'])}'" if named else f"claim {words[0].split()[1]}"
    return ", ".join(words)
