"""Mean AUROC over many diseases of many models at once, fast enough to be resampled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class ManyAurocs:
    """AUROCs of `K` sets of predictions for the same subjects; each is sorted once, whatever is resampled.

    Args:
        labels: 1, 0, or another number where not known, `(S, L)`.
        predictions: `(S, L)` each.
    """

    def __init__(self, labels: np.ndarray, predictions: Sequence[np.ndarray]) -> None:
        self._labels = labels
        self._sorted = [self._sort(np.stack([p[:, label] for p in predictions])) for label in range(labels.shape[1])]

    def by_label(self, rows: np.ndarray) -> np.ndarray:
        """AUROCs `(K, L)` of some subjects, some several times; NaN where a label is of one class only.

        Args:
            rows: subject numbers.
        """
        weights = np.bincount(rows, minlength=len(self._labels)).astype(np.float64)
        return np.stack([self._auroc(label, weights) for label in range(self._labels.shape[1])], axis=1)

    def means(self, rows: np.ndarray) -> np.ndarray:
        """Mean AUROC over the labels that can be scored, `(K,)`."""
        scores = self.by_label(rows)
        known = np.isfinite(scores)
        counts = known.sum(axis=1)
        return np.where(counts > 0, np.where(known, scores, 0).sum(axis=1) / np.maximum(counts, 1), np.nan)

    def _auroc(self, label: int, weights: np.ndarray) -> np.ndarray:
        order, begin, end = self._sorted[label]
        truth = self._labels[:, label]
        positive, negative = (np.where(truth == value, weights, 0.0)[order] for value in (1, 0))
        below = np.concatenate([np.zeros((len(order), 1)), np.cumsum(negative, axis=1)], axis=1)
        # Ties count half: a positive beats all negatives before its group of equal scores, and half of those in it.
        beaten = (np.take_along_axis(below, begin, axis=1) + np.take_along_axis(below, end, axis=1)) / 2
        pairs = positive.sum(axis=1) * negative.sum(axis=1)
        return np.where(pairs > 0, (positive * beaten).sum(axis=1) / np.maximum(pairs, 1e-12), np.nan)

    @staticmethod
    def _sort(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Order of the scores `(K, S)`, and where each one's group of equal scores begins and ends."""
        order = scores.argsort(axis=1, kind="stable")
        ranked = np.take_along_axis(scores, order, axis=1)
        places = np.arange(scores.shape[1])
        begins = np.concatenate([np.ones((len(scores), 1), bool), ranked[:, 1:] != ranked[:, :-1]], axis=1)
        begin = np.maximum.accumulate(np.where(begins, places, 0), axis=1)
        ends = np.concatenate([begins[:, 1:], np.ones((len(scores), 1), bool)], axis=1)
        last = np.where(ends, places + 1, scores.shape[1])
        return order, begin, np.minimum.accumulate(last[:, ::-1], axis=1)[:, ::-1]
