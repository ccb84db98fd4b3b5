"""Logits, confidences and labels -> a temperature, a reliability curve, the risk above every confidence, a margin.

Letters in shapes: N examples, K classes, G thresholds, M logits.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, logsumexp

Array = NDArray[np.float64]
Truth = NDArray[np.bool_]
Places = NDArray[np.int64]
BINS = 15
FOLDS = 5
DRAWS = 200  # of a perfectly calibrated model's answers
THRESHOLDS = 100
HOTTEST = 1000.0  # beyond it, and below one over it, probabilities no longer change
DELTA = 0.05  # the chance, over the examples calibrated on, that more of the answers given are wrong than asked for
LEVEL = 0.95  # the share of true scores that lie within the margin


def binary(logits: Array) -> Array:
    """Logits of a yes [N] as those of no and yes [N, 2]: softmax([0, z]) is the sigmoid of z."""
    return np.stack([np.zeros_like(logits), logits], axis=1)


def nll(logits: Array, labels: Array) -> float:
    """The mean of -log softmax(logits)[label], in nats; logits [N, K], labels [N] class numbers."""
    return float((logsumexp(logits, axis=1) - _of_labels(logits, labels)).mean())


def temperature(logits: Array, labels: Array) -> float:
    """The T that makes nll(logits / T, labels) least (Guo et al. 2017); logits [N, K], labels [N].

    It has one minimum in log T, for nll is convex in 1 / T. Where every label has the largest logit it falls for ever
    as T does, and T stays 1.
    """
    from scipy.optimize import minimize_scalar  # half a second to import, and every command reads this file

    if is_all_right(logits, labels):
        return 1.0
    ends = math.log(HOTTEST)
    found = minimize_scalar(
        lambda log_t: nll(logits * math.exp(-log_t), labels), bounds=(-ends, ends), options={"xatol": 1e-6}
    )
    return float(math.exp(found.x))


def temperatures_of_others(logits: Array, labels: Array, rows: Places) -> Array:
    """For each of M logits [M, K] the temperature [M] that the rows of other folds give; `rows` [M] says whose each is.

    What a temperature is worth is measured so on rows that it was not fitted to.
    """
    fold, found = folds(int(rows.max()) + 1)[rows], np.ones(len(logits))
    for held in (fold == number for number in range(FOLDS)):
        if held.any():
            found[held] = temperature(logits[~held], labels[~held])
    return found


def folds(examples: int) -> Places:
    """The fold [N] of each example: drawn once, and as many in each as may be."""
    return np.random.default_rng(0).permutation(examples) % FOLDS


def is_all_right(logits: Array, labels: Array) -> bool:
    """Whether every label has the largest logit."""
    return bool((_of_labels(logits, labels) == logits.max(axis=1)).all())


def _of_labels(logits: Array, labels: Array) -> Array:
    found: Array = np.take_along_axis(logits, labels.astype(np.int64)[:, None], axis=1)[:, 0]
    return found


@dataclass(frozen=True)
class Bin:
    """Answers of like confidence: how many, their mean confidence, and the share that is right."""

    count: int
    confidence: float
    right: float


def reliability(confidence: Array, right: Truth, bins: int = BINS) -> list[Bin]:
    """Confidences [N], each with whether its answer is right [N], in bins of equally many, the least sure first."""
    order = np.argsort(confidence, kind="stable")
    parts = np.array_split(order, min(bins, len(order)))
    return [Bin(len(part), float(confidence[part].mean()), float(right[part].mean())) for part in parts]


def calibration_error(confidence: Array, right: Truth, bins: int = BINS) -> float:
    """ECE (Naeini et al. 2015) over bins of equally many: the mean of |share right - mean confidence| over answers."""
    found = reliability(confidence, right, bins)
    return sum(part.count * abs(part.right - part.confidence) for part in found) / len(confidence)


def error_of_perfect(confidence: Array, generator: np.random.Generator) -> float:
    """The ECE that remains, on average, where each answer is right with just its confidence: chance alone, which grows
    as bins get fewer answers."""
    rising = np.sort(confidence)  # once for all draws: which answers fall into a bin depends on it alone
    starts = np.cumsum([0, *map(len, np.array_split(rising, min(BINS, len(rising))))])[:-1]
    errors = [
        np.abs(np.add.reduceat((generator.random(len(rising)) < rising) - rising, starts)).sum() for _ in range(DRAWS)
    ]
    return float(np.mean(errors)) / len(rising)


@dataclass(frozen=True)
class Risks:
    """For each of G thresholds, falling: how many of the N answers have a confidence above it, and how many of these
    are wrong."""

    above: list[float]
    answered: list[int]
    wrong: list[int]


@dataclass(frozen=True)
class Threshold:
    """A confidence above which answers are given, and what was seen of such answers."""

    above: float
    answered: int
    wrong: int


def risks(confidence: Array, right: Truth) -> Risks:
    """What is wrong above thresholds that lie so that the answers above them grow in equal steps, up to all N.

    Where the steps end depends on the confidences alone, as `threshold` needs it.
    """
    order = np.argsort(-confidence, kind="stable")
    falling, wrong = np.append(confidence[order], 0.0), np.cumsum(~right[order])
    steps = np.linspace(1, len(order), min(THRESHOLDS, len(order))).round().astype(int)
    above = np.unique(falling[steps])[::-1]  # equal confidences lie on one side
    answered = np.searchsorted(-falling[:-1], -above, side="left")
    above, answered = above[answered > 0], answered[answered > 0]
    return Risks(above.tolist(), answered.tolist(), wrong[answered - 1].tolist())


def threshold(found: Risks, alpha: float) -> Threshold | None:
    """The lowest threshold at which, with confidence 1 - DELTA, at most alpha of new answers above it are wrong.

    Thresholds are tested from the one that `first_tested` gives down until one fails (fixed-sequence testing:
    Angelopoulos et al. 2021), each by the upper end of Clopper and Pearson's interval; so no test costs another. That
    holds where surer answers are right more often, and new examples are like these. None where the first test fails, or
    examples are too few.
    """
    answered, wrong = np.array(found.answered), np.array(found.wrong)
    passed = risk_bound(wrong, answered) <= alpha
    tested = _tested(found, alpha)
    places = tested[: np.argmin(np.append(passed[tested], False))]
    return _at(found, int(places[-1])) if len(places) else None


def first_tested(found: Risks, alpha: float) -> Threshold | None:
    """The threshold that the sequence of tests begins with; None where examples are too few for any test to pass.

    It may depend on how many answers there are, and not on which are wrong. With the fewest answers that can pass, n0 =
    log(DELTA) / log(1 - alpha), one mistake among the surest would end the sequence, whatever follows; so it begins
    with 4 n0 of them, or half of all where that is less, but never with fewer than n0.
    """
    tested = _tested(found, alpha)
    return _at(found, int(tested[0])) if len(tested) else None


def _tested(found: Risks, alpha: float) -> Places:
    """The places of the thresholds that are tested, in this order."""
    answered = np.array(found.answered)
    least = math.log(DELTA) / math.log1p(-alpha)  # with fewer not even no mistake is enough
    return np.flatnonzero(answered >= max(least, min(4 * least, answered[-1] / 2)))


def _at(found: Risks, place: int) -> Threshold:
    return Threshold(found.above[place], found.answered[place], found.wrong[place])


def risk_bound(wrong: Places, answered: Places) -> Array:
    """The share of wrong answers that with confidence 1 - DELTA is not exceeded (Clopper & Pearson 1934), one-sided."""
    bound: Array = betaincinv(wrong + 1, np.maximum(answered - wrong, 1e-300), 1 - DELTA)  # the beta's quantile
    return np.where(wrong >= answered, 1.0, bound)


def covered(residuals: Array) -> float | None:
    """The share of residuals [N] within the margin of other folds; None where these are too few to have one."""
    fold = folds(len(residuals))
    margins = [margin(residuals[fold != number]) for number in range(FOLDS)]
    known = np.array([one for one in margins if one is not None])
    return float((residuals <= known[fold]).mean()) if len(known) == FOLDS else None


def margin(residuals: Array) -> float | None:
    """How far from a new score its true one lies at most, in a share LEVEL of cases (split conformal: Lei et al. 2018).

    The k-th smallest of N residuals |score - label|, k = ceil((N + 1) LEVEL); None where there are fewer than k. It
    holds for any model, where new examples are like these, which the model has not seen.
    """
    place = math.ceil((len(residuals) + 1) * LEVEL - 1e-9)
    return float(np.sort(residuals)[place - 1]) if place <= len(residuals) else None
