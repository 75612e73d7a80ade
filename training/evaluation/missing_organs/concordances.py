"""Mean concordance over many events of many models at once, fast enough to be resampled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class ManyConcordances:
    """Harrell's indices of `K` sets of risks for the same subjects.

    Which pairs can be compared, and which of them each model has in the right order, is found once; a resample weighs
    the pairs.

    Args:
        time: until the event or the end of what was observed, `(S, D)`; NaN where not known.
        event: 1 or 0, `(S, D)`.
        risks: `(S, D)` each, higher for an earlier event.

    Source: Harrell 1982, as `training.evaluation.survival.concordance`.
    """

    def __init__(self, time: np.ndarray, event: np.ndarray, risks: Sequence[np.ndarray]) -> None:
        self._count = len(time)
        stacked = np.stack(list(risks))
        self._pairs = [self._prepare(time[:, d], event[:, d], stacked[:, :, d]) for d in range(time.shape[1])]

    def by_event(self, rows: np.ndarray) -> np.ndarray:
        """Indices `(K, D)` of some subjects, some several times; NaN where no two can be compared.

        Args:
            rows: subject numbers.
        """
        weights = np.bincount(rows, minlength=self._count).astype(np.float32)
        return np.stack([self._index(pair, weights) for pair in self._pairs], axis=1)

    def means(self, rows: np.ndarray) -> np.ndarray:
        """Mean index over the events that can be scored, `(K,)`."""
        scores = self.by_event(rows)
        known = np.isfinite(scores)
        counts = known.sum(axis=1)
        return np.where(counts > 0, np.where(known, scores, 0).sum(axis=1) / np.maximum(counts, 1), np.nan)

    @staticmethod
    def _prepare(time: np.ndarray, event: np.ndarray, risks: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Who had the event, whom each can be compared with `(E, S)`, and how far that comes out right `(K, E, S)`."""
        known = np.isfinite(time) & (time > 0)
        had = known & (event > 0)
        early = np.flatnonzero(had)
        later = known & ((time[early, None] < time) | ((time[early, None] == time) & ~had))
        own = risks[:, early, None]
        right = later * ((own > risks[:, None, :]) + 0.5 * (own == risks[:, None, :]))
        return early, later.astype(np.float32), right.astype(np.float32)

    @staticmethod
    def _index(pair: tuple[np.ndarray, np.ndarray, np.ndarray], weights: np.ndarray) -> np.ndarray:
        early, later, right = pair
        pairs = float(weights[early] @ (later @ weights))
        if pairs <= 0:
            return np.full(len(right), np.nan)
        return (right @ weights).astype(np.float64) @ weights[early] / pairs
