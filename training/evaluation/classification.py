"""Figures of merit of a classifier from its probabilities, with missing targets left out.

All functions take targets `(N,)`, class numbers with -1 or NaN where the target is not known, and probabilities
`(N, C)`. With two classes the figures are those of class 1; with more, the mean of every class against the rest.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from training.evaluation.ranking import area_under_roc, average_precision
from training.evaluation.score import Score, mean_of

CALIBRATION_BINS = 15
_Figure = Callable[[np.ndarray, np.ndarray], float]


def auroc(target: np.ndarray, probabilities: np.ndarray) -> Score:
    """Area under the receiver operating characteristic; ties count half."""
    return _one_against_rest(target, probabilities, area_under_roc)


def auprc(target: np.ndarray, probabilities: np.ndarray) -> Score:
    """Average precision, the step-wise area under the precision-recall curve."""
    return _one_against_rest(target, probabilities, average_precision)


def accuracy(target: np.ndarray, probabilities: np.ndarray) -> Score:
    """Share of items whose most probable class is right."""
    return _of_counts(target, probabilities, lambda counts: np.trace(counts) / counts.sum(), one_class=True)


def balanced_accuracy(target: np.ndarray, probabilities: np.ndarray) -> Score:
    """Mean recall of the classes that the targets show."""
    return _of_counts(target, probabilities, _mean_recall)


def f1(target: np.ndarray, probabilities: np.ndarray) -> Score:
    """F1 of class 1; with more than two classes the mean over the classes that are there or were answered."""
    return _of_counts(target, probabilities, _f1)


def brier(target: np.ndarray, probabilities: np.ndarray) -> Score:
    """Mean squared error of the probabilities: of class 1 (0 to 1), with more classes summed over them (0 to 2)."""
    return _of_probabilities(target, probabilities, _brier)


def calibration_error(target: np.ndarray, probabilities: np.ndarray) -> Score:
    """Expected calibration error over 15 bins: of class 1, with more classes of the most probable one."""
    return _of_probabilities(target, probabilities, _calibration_error)


def known_rows(target: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray, Score | None]:
    """Rows with a known target, and a score that says why there can be none.

    Args:
        target: `(N,)`, -1 or NaN where it is not known.
        prediction: `(N, ...)`.

    Returns:
        Targets and predictions of the known rows, and None when they can be scored.
    """
    known = np.asarray(target) >= 0
    true, answer = np.asarray(target)[known].astype(np.int64), np.asarray(prediction)[known]
    if not len(true):
        return true, answer, Score(None, "no target is known")
    wrong = int((~np.isfinite(answer)).reshape(len(answer), -1).any(1).sum())
    if wrong:
        return true, answer, Score(None, f"{wrong} of {len(true)} predictions are not finite", len(true))
    return true, answer, None


def binary_score(true: np.ndarray, answer: np.ndarray, figure: _Figure) -> Score:
    """Score a ranking of two classes, `(N,)` each; None where only one class is there or nothing is ranked."""
    positive = int(true.sum())
    if positive in (0, len(true)):
        return Score(None, "all targets are of one class", len(true))
    if np.ptp(answer) == 0:
        return Score(None, "all predictions are equal", len(true))
    return Score(float(figure(true, answer)), count=len(true))


def _one_against_rest(target: np.ndarray, probabilities: np.ndarray, figure: _Figure) -> Score:
    true, answer, refused = known_rows(target, probabilities)
    if refused:
        return refused
    if answer.shape[1] == 2:
        return binary_score((true == 1).astype(np.int64), answer[:, 1], figure)
    parts = {
        str(value): binary_score((true == value).astype(np.int64), answer[:, value], figure)
        for value in range(answer.shape[1])
    }
    return mean_of(parts, len(true))


def _of_counts(
    target: np.ndarray, probabilities: np.ndarray, figure: Callable[[np.ndarray], float], one_class: bool = False
) -> Score:
    """Score the confusion counts `(C, C)`: rows are targets, columns the most probable class."""
    true, answer, refused = known_rows(target, probabilities)
    if refused:
        return refused
    classes = answer.shape[1]
    counts = np.bincount(true * classes + answer.argmax(1), minlength=classes**2).reshape(classes, classes)
    if not one_class and np.count_nonzero(counts.sum(1)) < 2:
        return Score(None, "all targets are of one class", len(true))
    return Score(float(figure(counts)), count=len(true))


def _mean_recall(counts: np.ndarray) -> float:
    shown = counts.sum(1) > 0
    return float(np.mean(np.diag(counts)[shown] / counts.sum(1)[shown]))


def _f1(counts: np.ndarray) -> float:
    size = counts.sum(0) + counts.sum(1)
    seen = size > 0
    values = 2 * np.diag(counts)[seen] / size[seen]
    return float(values[1] if len(counts) == 2 else values.mean())


def _of_probabilities(target: np.ndarray, probabilities: np.ndarray, figure: _Figure) -> Score:
    true, answer, refused = known_rows(target, probabilities)
    if refused:
        return refused
    if answer.min() < -1e-6 or answer.max() > 1 + 1e-6 or abs(answer.sum(1) - 1).max() > 1e-3:
        return Score(None, "the predictions are not probabilities", len(true))
    return Score(float(figure(true, answer)), count=len(true))


def _brier(true: np.ndarray, answer: np.ndarray) -> float:
    if answer.shape[1] == 2:
        return float(np.mean((answer[:, 1] - true) ** 2))
    return float(np.mean(((answer - np.eye(answer.shape[1])[true]) ** 2).sum(1)))


def _calibration_error(true: np.ndarray, answer: np.ndarray) -> float:
    if answer.shape[1] == 2:
        return binned_calibration_error(true, answer[:, 1])
    return binned_calibration_error(answer.argmax(1) == true, answer.max(1))


def binned_calibration_error(happened: np.ndarray, said: np.ndarray) -> float:
    """Mean distance between what was said and how often it happened, over equal bins of what was said.

    Args:
        happened: `(N,)`, 0 or 1.
        said: `(N,)` probabilities.
    """
    place = np.minimum((said * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    gap = np.bincount(place, happened.astype(np.float64) - said, CALIBRATION_BINS)
    return float(np.abs(gap).sum() / len(said))
