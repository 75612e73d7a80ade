"""Figures of merit of a predicted quantity; targets that are NaN are left out.

All functions take targets `(N,)` and predictions `(N,)` in the target's unit.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.stats import rankdata

from training.evaluation.score import Score


def mae(target: np.ndarray, prediction: np.ndarray) -> Score:
    """Mean absolute error, in the target's unit."""
    return _score(target, prediction, lambda true, answer: np.mean(np.abs(true - answer)))


def rmse(target: np.ndarray, prediction: np.ndarray) -> Score:
    """Root of the mean squared error, in the target's unit."""
    return _score(target, prediction, lambda true, answer: np.sqrt(np.mean((true - answer) ** 2)))


def r2(target: np.ndarray, prediction: np.ndarray) -> Score:
    """Coefficient of determination: 1 less the squared error over that of the targets' mean; may be negative."""

    def figure(true: np.ndarray, answer: np.ndarray) -> float:
        return 1 - ((true - answer) ** 2).sum() / ((true - true.mean()) ** 2).sum()

    return _score(target, prediction, figure, least=2, varied_target=True)


def pearson(target: np.ndarray, prediction: np.ndarray) -> Score:
    """Pearson's linear correlation."""
    return _score(target, prediction, _correlation, least=3, varied_target=True, varied_prediction=True)


def spearman(target: np.ndarray, prediction: np.ndarray) -> Score:
    """Spearman's rank correlation, ties sharing their mean rank."""

    def figure(true: np.ndarray, answer: np.ndarray) -> float:
        return _correlation(rankdata(true), rankdata(answer))

    return _score(target, prediction, figure, least=3, varied_target=True, varied_prediction=True)


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    one, other = one - one.mean(), other - other.mean()
    one, other = one / np.abs(one).max(), other / np.abs(other).max()
    return float(np.clip(one @ other / np.sqrt((one @ one) * (other @ other)), -1, 1))


def _score(
    target: np.ndarray,
    prediction: np.ndarray,
    figure: Callable[[np.ndarray, np.ndarray], float],
    least: int = 1,
    varied_target: bool = False,
    varied_prediction: bool = False,
) -> Score:
    known = np.isfinite(target)
    true, answer = np.asarray(target, np.float64)[known], np.asarray(prediction, np.float64)[known]
    count = len(true)
    if count < least:
        return Score(None, "no target is known" if not count else f"only {count} targets are known", count)
    wrong = int((~np.isfinite(answer)).sum())
    if wrong:
        return Score(None, f"{wrong} of {count} predictions are not finite", count)
    if varied_target and _is_constant(true):
        return Score(None, "all targets are equal", count)
    if varied_prediction and _is_constant(answer):
        return Score(None, "all predictions are equal", count)
    return Score(float(figure(true, answer)), count=count)


def _is_constant(values: np.ndarray) -> bool:
    """Equal but for rounding, which a correlation would blow up."""
    return bool(np.ptp(values) <= 1e-12 * np.abs(values).max())
