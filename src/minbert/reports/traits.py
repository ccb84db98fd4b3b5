"""A group's answers to a dev set -> what its errors have in common, a sentence each, and whether that is clear.

Letters: S seeds, n examples.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from minbert.comparison import LEVEL, Answers, Difference, contrast, holm
from minbert.errors import shown
from minbert.experiments import slices
from minbert.experiments.devsets import DevSet
from minbert.metrics import Interval

Feature = Literal["overlap", "length gap", "length", "negation", "numbers"]
Measure = Literal["feature", "accuracy", "absolute error", "bias"]
Clarity = Literal["clear", "not clear", "too few seeds to tell"]


@dataclass(frozen=True)
class Side:
    """One side of a trait: the mean of what is measured, and of how many rows or answers; means over seeds."""

    value: float
    count: float


@dataclass(frozen=True)
class Trait:
    """One thing that errors may have in common, as the difference of two sides: left less right.

    Measured is the `feature` itself, of wrong answers (left) beside right ones, to rows with that `label` if there is
    one; or, by another measure, the rows with the feature (left) beside those without: their accuracy, absolute error,
    or bias, the mean answer less the mean label. A number has a `threshold`, and rows above it are those with it.
    `interval` holds 95 %; `adjusted_p` is Holm's for all traits of the task. `decimals` are those of the print.
    A trait goes along with errors, and need not cause them: rows with a negation may be hard for another reason.
    """

    feature: Feature
    measure: Measure
    label: str | None
    threshold: float | None
    decimals: int
    left: Side
    right: Side
    difference: float
    interval: Interval | None
    adjusted_p: float | None

    @property
    def clarity(self) -> Clarity:
        """Whether the difference would be met again with other seeds and examples."""
        if self.adjusted_p is None:
            return "too few seeds to tell"
        return "clear" if self.adjusted_p < LEVEL else "not clear"


@dataclass(frozen=True)
class Traits:
    """What was found, and the names of what has too few rows or answers on one side to be looked at."""

    found: list[Trait]
    too_few: list[str]


@dataclass(frozen=True, eq=False)
class _Look:
    """A trait to be measured, by the statistic "gap" or "part-rest" of `answers`."""

    feature: Feature
    measure: Measure
    decimals: int
    answers: Answers
    label: str | None = None
    threshold: float | None = None

    @property
    def name(self) -> str:
        what = self.feature if self.measure == "feature" else f"{self.measure} by {self.feature}"
        return what if self.label is None else f"{what} where the label is {self.label}"

    @property
    def is_left(self) -> NDArray[np.bool_]:
        """Which of all answers [S, n] are on the left."""
        shape = self.answers.predictions.shape
        return np.broadcast_to((self.answers.predictions if self._is_gap else self.answers.labels) == 1, shape)

    def side(self, is_on: NDArray[np.bool_]) -> Side:
        """The mean over seeds of the answers [S, n] that are on a side."""
        values = self.answers.labels if self._is_gap else self.answers.predictions
        count = is_on.sum(1)  # [S, n] -> [S]
        return Side(float(((values * is_on).sum(1) / count).mean()), float(count.mean()))

    @property
    def _is_gap(self) -> bool:
        return self.answers.metric == "gap"


def traits(answers: Answers, dev: DevSet) -> Traits:
    """What the errors of all seeds have in common; all that is looked at is one family for Holm's correction."""
    looks = list((_of_scores if dev.task.is_regression else _of_classes)(answers, dev))
    fewest = [min(side.sum(1).min() for side in (look.is_left, ~look.is_left)) for look in looks]
    enough = [look for look, count in zip(looks, fewest, strict=True) if count >= slices.SMALLEST]
    found = [contrast([(1.0, [look.answers])]) for look in enough]
    adjusted = holm([one.p for one in found])
    return Traits(
        [_trait(look, one, p) for look, one, p in zip(enough, found, adjusted, strict=True)],
        [look.name for look, count in zip(looks, fewest, strict=True) if count < slices.SMALLEST],
    )


def _trait(look: _Look, found: Difference, adjusted_p: float | None) -> Trait:
    assert found.value is not None, "both sides have rows in every seed"
    return Trait(
        feature=look.feature,
        measure=look.measure,
        label=look.label,
        threshold=look.threshold,
        decimals=look.decimals,
        left=look.side(look.is_left),
        right=look.side(~look.is_left),
        difference=found.value,
        interval=found.interval,
        adjusted_p=adjusted_p,
    )


def _of_classes(answers: Answers, dev: DevSet) -> Iterator[_Look]:
    """A pair's words within each class, for they tell the classes apart as well; the rest over all classes."""
    wrong = (answers.predictions != answers.labels).astype(np.float64)  # [S, n]
    for feature in PAIR_NUMBERS if dev.task.is_pair else ():
        values = slices.NUMBERS[feature](dev)
        for place, label in enumerate(dev.task.labels or ()):
            if (of_class := dev.labels == place).any():
                gap = Answers("gap", wrong[:, of_class], values[of_class])
                yield _Look(feature, "feature", WORDINGS[feature].decimals, gap, label)
    yield _Look("length", "feature", WORDINGS["length"].decimals, Answers("gap", wrong, slices.NUMBERS["length"](dev)))
    for pattern in PATTERNS:
        yield _Look(pattern, "accuracy", 2, Answers("part-rest", 1 - wrong, _has(pattern, dev)))


def _of_scores(answers: Answers, dev: DevSet) -> Iterator[_Look]:
    """Rows above a number's median beside the others, and rows with a pattern beside those without."""
    bias = answers.predictions - answers.labels  # [S, n]
    low, high = dev.task.bounds
    decimals = 2 if high - low > 1 else 3
    for feature in (*PAIR_NUMBERS, "length"):
        if dev.task.is_pair or feature not in PAIR_NUMBERS:
            values = slices.NUMBERS[feature](dev)
            threshold = round(float(np.median(values)), WORDINGS[feature].decimals)  # the one that is printed
            above = (values > threshold).astype(np.float64)
            yield _Look(
                feature, "absolute error", decimals, Answers("part-rest", np.abs(bias), above), threshold=threshold
            )
            if feature == "overlap":  # whether common words alone raise a score
                yield _Look(feature, "bias", decimals, Answers("part-rest", bias, above), threshold=threshold)
    for pattern in PATTERNS:
        yield _Look(pattern, "absolute error", decimals, Answers("part-rest", np.abs(bias), _has(pattern, dev)))


def _has(pattern: Feature, dev: DevSet) -> NDArray[np.float64]:
    """1 where an example [n] has it, else 0."""
    return slices.KINDS[pattern](dev)[0].members.astype(np.float64)


def sentence(trait: Trait) -> str:
    """A trait in words: both sides, their difference, which way it goes, and whether that is clear."""
    difference = _number(trait.difference, trait.decimals, is_signed=True)
    if trait.interval is not None:
        low, high = (_number(end, trait.decimals) for end in trait.interval)
        difference += f" (95 % interval {low} to {high})"
    words = _of_answers(trait, difference) if trait.measure == "feature" else _of_rows(trait, difference)
    return f"{words}, {CLARITIES[trait.clarity]}." if trait.difference else f"{words}."


def _of_answers(trait: Trait, difference: str) -> str:
    wording = WORDINGS[trait.feature]
    left, right = (_number(side.value, trait.decimals) for side in (trait.left, trait.right))
    whose = "Rows" if trait.label is None else f"Of pairs labelled {shown(trait.label)}, those"
    return (
        f"{whose} answered wrong {wording.verb} {left}{wording.unit}, those answered right {right}: {difference}, "
        f"from {trait.left.count:,.0f} wrong and {trait.right.count:,.0f} right answers a seed; "
        + _way(trait, f"the wrong ones {wording.verb}", wording.more, wording.less)
    )


def _of_rows(trait: Trait, difference: str) -> str:
    wording, (more, less) = WORDINGS[trait.feature], MEASURES[trait.measure]
    left, right = (_number(side.value, trait.decimals, trait.measure == "bias") for side in (trait.left, trait.right))
    at = "" if trait.threshold is None else f"{trait.threshold:g}"
    having, lacking = wording.having.format(at), wording.lacking.format(at)
    return (
        f"{having} ({trait.left.count:,.0f} rows) the {trait.measure} is {left}, "
        f"{lacking} ({trait.right.count:,.0f} rows) {right}: {difference}; "
        + _way(trait, "it is", f"{more} {wording.there}", f"{less} {wording.there}")
    )


def _way(trait: Trait, they_are: str, more: str, less: str) -> str:
    """Which way it goes: slightly, where the difference is too small for its print."""
    if trait.difference == 0:
        return "there is no difference"
    slightly = "" if round(trait.difference, trait.decimals) else "slightly "
    return f"{they_are} {slightly}{more if trait.difference > 0 else less}"


def _number(value: float, decimals: int, is_signed: bool = False) -> str:
    sign = "+" if is_signed and round(value, decimals) else ""
    return f"{value:{sign}z,.{decimals}f}".replace("-", "−")


@dataclass(frozen=True)
class _Wording:
    """How a feature is spoken of: the rows that have it, those that lack it, and where; and, of a number, answers."""

    having: str
    lacking: str
    there: str
    verb: str = ""
    unit: str = ""
    more: str = ""
    less: str = ""
    decimals: int = 0


PAIR_NUMBERS: tuple[Feature, ...] = ("overlap", "length gap")
PATTERNS: tuple[Feature, ...] = ("negation", "numbers")
MEASURES: dict[Measure, tuple[str, str]] = {  # if more, if less
    "accuracy": ("higher", "lower"),
    "absolute error": ("larger", "smaller"),
    "bias": ("higher", "lower"),
}
WORDINGS: dict[Feature, _Wording] = {
    "overlap": _Wording(
        having="With over {} of the words shared",
        lacking="with up to {}",
        there="above that",
        verb="share",
        unit=" of their words",
        more="more",
        less="less",
        decimals=2,
    ),
    "length gap": _Wording(
        having="With texts over {} words apart in length",
        lacking="with up to {}",
        there="above that",
        verb="are",
        unit=" words apart in length",
        more="further apart",
        less="closer",
        decimals=1,
    ),
    "length": _Wording(
        having="With over {} words",
        lacking="with up to {}",
        there="above that",
        verb="have",
        unit=" words",
        more="more",
        less="fewer",
        decimals=1,
    ),
    "negation": _Wording("With a negation", "without one", "with one"),
    "numbers": _Wording("With a number", "without one", "with one"),
}
CLARITIES: dict[Clarity, str] = {
    "clear": "and that is clear",
    "not clear": "but that is not clear",
    "too few seeds to tell": "but there are too few seeds to tell",
}
