"""Metrics, rows of dev and seeds -> the smallest difference that an experiment is likely to show, before any run."""

import math
from collections.abc import Sequence

from minbert.comparison import SEEDS_NEEDED, visible_errors

RENEWED = 0.22
"""The share of a score's variance over examples that another seed draws anew. Re-seeding an SST model changes whether
an answer is right for 11 % of the examples; two unrelated models with half of their answers right would differ on 50 %.
"""
ASSUMED_ACCURACY, ASSUMED_CORRELATION = 0.5, 0.5  # the better the scores, the smaller the difference that shows
VARIANCES = {
    "accuracy": ASSUMED_ACCURACY * (1 - ASSUMED_ACCURACY),
    "pearson": (1 - ASSUMED_CORRELATION**2) ** 2,
}


def smallest_visible_difference(scores: Sequence[tuple[str, int]], seeds: int, family: int = 1) -> float | None:
    """The smallest true difference between two methods that S seeds each are likely to show, before any run.

    `scores` are metrics with their numbers of dev examples; of several, the difference is that of their sum. It is the
    only one in a `family` of so many tests. None below `SEEDS_NEEDED`, of no scores, and for a metric whose variance
    has no formula here.

    With v/n a score's variance over examples, Var = 2 RENEWED v/n (1 + 1/(S - 1)): between the methods as many examples
    change sides as between two seeds, and what the seeds add shrinks with their number (widened by S/(S - 1), as in
    Sellam et al. 2022). v is p (1 - p) for an accuracy p, and (1 - r^2)^2 for a correlation r.
    """
    if not scores or seeds < SEEDS_NEEDED or any(metric not in VARIANCES for metric, _ in scores):
        return None
    over_examples = sum(VARIANCES[metric] / n for metric, n in scores)
    return visible_errors(family) * math.sqrt(2 * RENEWED * over_examples * (1 + 1 / (seeds - 1)))
