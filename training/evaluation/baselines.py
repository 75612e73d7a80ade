"""What a model must beat: answers that do not look at the image."""

from __future__ import annotations

import numpy as np

from training.evaluation.bootstrap import Estimate
from training.evaluation.cohort import Targets


def constant_prediction(train: Targets, items: int) -> np.ndarray:
    """The same answer for every item: class or label frequencies of the training rows, or their mean.

    The most probable class of it is the majority.

    Args:
        train: targets of the training rows.
        items: how many answers.

    Returns:
        `(items, C)`, `(items, L)` or `(items,)`; 0.5 or an even share where no training target is known. Of times to
        events the same risk for all.
    """
    if train.task == "survival":
        return np.zeros(items)
    if train.task == "regression":
        known = train.values[np.isfinite(train.values)]
        return np.full(items, known.mean() if len(known) else 0.0)
    if train.task == "classification":
        counts = np.bincount(train.values[train.values >= 0].astype(int), minlength=len(train.names))
        total = counts.sum()
        shares = counts / total if total else np.full(len(train.names), 1 / len(train.names))
        return np.tile(shares, (items, 1))
    known = train.values >= 0
    positive = np.where(known, train.values, 0).sum(0)
    shares = np.where(known.any(0), positive / np.maximum(known.sum(0), 1), 0.5)
    return np.tile(shares, (items, 1))


def chance_level(metric: str, test: Targets) -> Estimate | None:
    """Expectation of a ranking figure for a ranking by chance, which a constant answer does not have.

    AUROC and concordance 0.5; AUPRC the share of positives, as a mean over the classes or labels that can be scored.

    Args:
        metric: its name.
        test: targets of the test rows.

    Returns:
        None for figures that a constant answer has, and where nothing can be scored.
    """
    if metric == "concordance":
        return Estimate(0.5, note="expected of a random order")
    if metric not in ("auroc", "auprc") or test.task == "regression":
        return None
    shares = _positive_shares(test)
    scored = shares[(shares > 0) & (shares < 1)]
    if not len(scored):
        return None
    return Estimate(0.5 if metric == "auroc" else float(scored.mean()), note="expected of a random order")


def _positive_shares(test: Targets) -> np.ndarray:
    if test.task == "multi_label":
        known = test.values >= 0
        return np.where(known, test.values, 0).sum(0) / np.maximum(known.sum(0), 1)
    known = test.values[test.values >= 0]
    classes = [1] if len(test.names) == 2 else range(len(test.names))
    return np.array([np.mean(known == value) if len(known) else 0.0 for value in classes])
