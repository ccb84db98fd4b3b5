"""Answers to several tasks, trained alone and together -> delta-m, the mean relative gain of training them together.

Letters: S seeds of an arm, n examples of a task, D draws, T tasks.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from minbert.comparison import (
    SEEDS_NEEDED,
    Answers,
    degrees_of_freedom,
    exceeded,
    mean_score,
    num_seeds,
    over_picked_seeds,
    percentile_interval,
    seed_scores,
    wider,
)
from minbert.metrics import Interval
from minbert.resampling import resample

Array = NDArray[np.float64]
TOGETHER, ALONE, EXAMPLES = range(3)  # what a stream of draws is for


@dataclass(frozen=True)
class DeltaM:
    """In percent; above 0 where together is better. Where value or interval is None, `reason` says why."""

    value: float | None
    interval: Interval | None
    reason: str | None


def delta_m(
    together: Mapping[str, Answers],
    alone: Mapping[str, Answers],
    draws: int = 10_000,
    seed: int = 0,
    same_seeds: bool = False,
) -> DeltaM:
    """100/T times the sum over tasks of (M_together - M_alone) / M_alone (Maninis et al. 2019, equation 1).

    M is a task's metric, of which more is better, the mean over seeds. It must be above 0 alone: a gain relative to
    nothing, or to a negative correlation, has no meaning. The interval is the Multi-Bootstrap's, as in
    `comparison.contrast`: in every draw examples are the same in both arms, the runs together the same for all tasks.
    With `same_seeds` run s of both arms has the same seed, and all of them pick the same seeds.
    """
    means = {name: (mean_score([together[name]]), mean_score([alone[name]])) for name in alone}
    for name, (both, one) in means.items():
        if both is None or one is None or one <= 0:
            state = "undefined" if both is None or one is None else f"not above 0 alone ({one:.3f})"
            return DeltaM(None, None, f"the score of {name} is {state}")
    value = _percent({name: (both or 0.0, one or 0.0) for name, (both, one) in means.items()})
    if min(num_seeds([answers]) for answers in (*together.values(), *alone.values())) < SEEDS_NEEDED:
        return DeltaM(value, None, f"no interval below {SEEDS_NEEDED} seeds")
    drawn = {
        name: _drawn(together[name], alone[name], draws, seed, place, same_seeds) for place, name in enumerate(alone)
    }
    for name, (_, one_drawn) in drawn.items():
        if (one_drawn <= 0).any():
            return DeltaM(value, None, f"the score of {name} alone is too near 0 for an interval")
    d = np.mean([100 * (both - one) / one for both, one in drawn.values()], axis=0)  # T times [D] -> [D]
    error = float(d.std(ddof=1))
    step = error * exceeded(0.025, degrees_of_freedom(error, _parts(together, alone, same_seeds)))
    return DeltaM(value, wider(percentile_interval(d, 0.05), value, step), None)


def _percent(means: Mapping[str, tuple[float, float]]) -> float:
    return float(np.mean([100 * (both - one) / one for both, one in means.values()]))


def _drawn(
    together: Answers, alone: Answers, draws: int, seed: int, place: int, same_seeds: bool
) -> tuple[Array, Array]:
    """One task's score together and alone in each draw: [D] twice."""
    S = len(together.predictions)
    predictions = np.concatenate([together.predictions, alone.predictions])
    examples = np.random.default_rng([seed, EXAMPLES, place])
    scores = np.nan_to_num(resample(alone.metric, predictions, alone.labels, draws, examples), nan=0.0)  # [D, 2S]
    of_alone = [seed, TOGETHER] if same_seeds else [seed, ALONE, place]
    return (
        over_picked_seeds(scores[:, :S], np.random.default_rng([seed, TOGETHER])),  # for all tasks the same runs
        over_picked_seeds(scores[:, S:], np.random.default_rng(of_alone)),
    )


def _parts(together: Mapping[str, Answers], alone: Mapping[str, Answers], same_seeds: bool) -> list[tuple[float, int]]:
    """Of delta-m's variance what each arm's seeds have, or all arms' together, to first order, with their number."""
    T = len(alone)
    both, one = ({name: seed_scores([arm[name]]) for name in alone} for arm in (together, alone))
    joint = np.sum([100 / T * both[name] / one[name].mean() for name in alone], axis=0)  # [S]
    single = [-100 / T * both[name].mean() / one[name].mean() ** 2 * one[name] for name in alone]  # T times [S]
    arms = [np.sum([joint, *single], axis=0)] if same_seeds else [joint, *single]
    return [(float(arm.var(ddof=1)) / len(arm), len(arm)) for arm in arms]
