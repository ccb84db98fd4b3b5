"""A model and labelled examples -> a task's calibration, and what it is worth on examples that it was not fitted to.

Letters in shapes: N examples, K classes, M decisions: N of single classes, N K of sets, whose every yes or no is one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from minbert import calibration
from minbert.calibration import HOTTEST, Array, Places
from minbert.errors import DataError, counted
from minbert.model import MultitaskModel
from minbert.predictions import confidence, from_outputs
from minbert.tasks import Calibration, Task
from minbert.text import Encoded

FEWEST = 20  # rows; a margin of 95 in 100 takes 19
SHARES = (0.01, 0.02, 0.05, 0.1, 0.2)  # of wrong answers


@dataclass(frozen=True)
class Change:
    """A number without a temperature, and with one that was found on other rows."""

    before: float
    after: float


@dataclass(frozen=True)
class Answered:
    """For a share of wrong answers: the share of the rows that is answered, and of those the share that is wrong."""

    share: float
    answered: float
    wrong: float | None


@dataclass(frozen=True)
class Fitted:
    """A calibration, and what it changes on the rows that it comes from.

    `nll` (in nats), `ece`, `ece_of_perfect` and `answered` are of classes: `nll` is a mean over decisions, the others
    are of answers, a set as a whole. `covered` is the share of true scores within a margin that was found on other
    rows.
    """

    calibration: Calibration
    nll: Change | None = None
    ece: Change | None = None
    ece_of_perfect: float | None = None
    answered: list[Answered] = field(default_factory=list)
    covered: float | None = None
    warnings: list[str] = field(default_factory=list)


def calibrate(model: MultitaskModel, name: str, encoded: Encoded, files: Mapping[str, str]) -> Fitted:
    """Calibrates one task by labelled examples; `files` are theirs by name, each with its digest. The model stays.

    Raises DataError where there are too few.
    """
    if len(encoded) < FEWEST:
        rows, listed = counted(len(encoded), "labelled row"), " and ".join(files)
        raise DataError(f"task '{name}': {rows} in {listed}; calibrating takes {FEWEST} or more, so add some")
    assert encoded.labels is not None
    fit = _fit_scores if model.tasks[name].is_regression else _fit_classes
    blank = Calibration(rows=len(encoded), files=dict(files))
    return fit(model.tasks[name], model.outputs(name, encoded), encoded.labels, blank)


def _fit_scores(task: Task, outputs: Array, labels: Array, blank: Calibration) -> Fitted:
    residuals = np.abs(from_outputs(task, [], outputs).values - labels)
    found = blank.model_copy(update={"margin": calibration.margin(residuals)})
    return Fitted(found, covered=calibration.covered(residuals))


def _fit_classes(task: Task, outputs: Array, labels: Array, blank: Calibration) -> Fitted:
    logits, truth, rows = _decisions(task, outputs, labels)
    temperature = calibration.temperature(logits, truth)
    others = calibration.temperatures_of_others(logits, truth, rows)  # [M]
    nll = Change(calibration.nll(logits, truth), calibration.nll(logits / others[:, None], truth))
    found = blank.model_copy(update={"temperature": temperature})
    answers = from_outputs(task.model_copy(update={"calibration": found}), [], outputs)
    right = answers.values == labels  # of sets: as a whole
    of_rows = others[np.searchsorted(rows, np.arange(len(labels)))]  # [N]: a row's decisions are in one fold
    plain, scaled = (_sureness(task, outputs / by) for by in (1.0, of_rows[:, None]))
    risks = calibration.risks(confidence(task, answers.scores), right)
    found = found.model_copy(update=vars(risks))
    return Fitted(
        calibration=found,
        nll=nll,
        ece=Change(calibration.calibration_error(plain, right), calibration.calibration_error(scaled, right)),
        ece_of_perfect=calibration.error_of_perfect(scaled, np.random.default_rng(0)),
        answered=[_answered(found, share) for share in SHARES],
        warnings=_warnings(found, nll, calibration.is_all_right(logits, truth)),
    )


def _sureness(task: Task, outputs: Array) -> Array:
    """The confidence [N] that abstaining goes by, of outputs [N, K] as they are."""
    return confidence(task, from_outputs(task.model_copy(update={"calibration": None}), [], outputs).scores)


def _decisions(task: Task, outputs: Array, labels: Array) -> tuple[Array, Array, Places]:
    """Logits [M, K] of classes, or of no and yes, with what is true [M], and each one's row [M]."""
    if not task.is_multi_label:
        logits = calibration.binary(outputs[:, 0]) if task.loss == "bce" else outputs
        return logits, labels, np.arange(len(labels))
    width = outputs.shape[1]
    held = np.stack([task.is_class(labels, place) for place in range(width)], axis=1)  # [N, K]
    return calibration.binary(outputs.ravel()), held.ravel().astype(float), np.arange(len(labels)).repeat(width)


def _answered(found: Calibration, share: float) -> Answered:
    threshold = calibration.threshold(found.risks, share)
    if threshold is None:
        return Answered(share, 0.0, None)
    return Answered(share, threshold.answered / found.rows, threshold.wrong / threshold.answered)


def _warnings(found: Calibration, nll: Change, is_all_right: bool) -> list[str]:
    if is_all_right:
        return ["every answer is right here, so no temperature can be fitted, and it stays 1; take more rows"]
    warnings = []
    if found.temperature > 0.99 * HOTTEST:
        warnings.append("the logits tell no classes apart here, so each gets about the same probability")
    if nll.after >= nll.before:
        warnings.append("the temperature does not help on rows that it was not fitted to; take more rows")
    return warnings
