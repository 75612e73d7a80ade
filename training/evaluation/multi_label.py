"""Figures of merit of many yes-or-no labels at once: one per label, and their mean.

All functions take targets `(N, L)`, 0 or 1 with -1 or NaN where a label is not known, and probabilities `(N, L)`. A
label is scored on the items where it is known; one that cannot be scored is left out of the mean and named.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from training.evaluation import classification
from training.evaluation.score import Score, mean_of

TwoClassFigure = Callable[[np.ndarray, np.ndarray], Score]


def per_label(
    figure: TwoClassFigure, target: np.ndarray, probabilities: np.ndarray, names: Sequence[str] | None = None
) -> Score:
    """Score every label by a figure for two classes.

    Args:
        figure: one of `training.evaluation.classification`.
        target: `(N, L)`.
        probabilities: `(N, L)`.
        names: of the labels; numbers by default.

    Returns:
        The mean over the labels, with the labels as parts.
    """
    names = [str(number) for number in range(target.shape[1])] if names is None else names
    parts = {
        name: figure(target[:, number], np.stack((1 - probabilities[:, number], probabilities[:, number]), axis=1))
        for number, name in enumerate(names)
    }
    return mean_of(parts, int((target >= 0).any(1).sum()))


def figures() -> dict[str, TwoClassFigure]:
    """The figures that labels can be scored by, by name."""
    names = ("auroc", "auprc", "balanced_accuracy", "accuracy", "f1", "brier", "calibration_error")
    return {name: getattr(classification, name) for name in names}
