"""How well a score ranks two classes, as plain array code: a bootstrap calls it thousands of times.

scikit-learn's functions check their arguments at each call, which takes far longer than the figure itself; the tests
hold these against them.
"""

from __future__ import annotations

import numpy as np


def area_under_roc(true: np.ndarray, score: np.ndarray) -> float:
    """Probability that a positive is ranked above a negative, ties counting half.

    Args:
        true: `(N,)`, 0 or 1, both there.
        score: `(N,)`, higher for class 1.
    """
    sizes, positive = _levels(true, score)
    negative = sizes - positive
    above = negative.sum() - np.cumsum(negative)  # negatives of lower score than the level
    return float((positive * (above + negative / 2)).sum() / (positive.sum() * negative.sum()))


def average_precision(true: np.ndarray, score: np.ndarray) -> float:
    """Precision at each threshold, weighted by the recall it adds.

    Args:
        true: `(N,)`, 0 or 1, a 1 among them.
        score: `(N,)`, higher for class 1.
    """
    sizes, positive = _levels(true, score)
    hits = np.cumsum(positive)
    return float((hits / np.cumsum(sizes) * positive).sum() / hits[-1])


def _levels(true: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Items and positives at each different score, from the highest down."""
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    return np.diff(starts, append=len(ordered)), np.add.reduceat(true[order], starts)
