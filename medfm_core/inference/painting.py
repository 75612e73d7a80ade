"""From class probabilities on the model's grid to labels on the input's grid, slab by slab.

The classes compete at the input's resolution, so that contours are smooth, but the classes x full-resolution tensor
never exists: the grid is taken in small blocks, and in each only the classes are enlarged that can win there. What
cannot win is known from the block's extremes, without a threshold, so the labels are those of the full tensor.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from medfm_core.inference.sliding import Slab

_ACROSS = 32  # canvas voxels along the side of a block: small enough that most blocks hold one class
_MOST_MODEL = 16  # model voxels along the side of a block: keeps its products below the size that starts threads
_ROUNDING = 1e-5  # probabilities closer than this are not told apart by bounds


class Span(NamedTuple):
    """A stretch of one axis: canvas voxels, the model voxels they lie between, and how they mix them."""

    canvas: slice
    model: slice
    weights: np.ndarray  # (canvas voxels, model voxels) float32


class LabelPainter:
    """Paints slabs of probabilities into a label array as they arrive.

    Args:
        canvas: `(D, H, W)` uint8, written in place; the input's grid in the model's axis order.
        positions: for each axis of the canvas, where its voxels lie on the model's grid, in model voxels, rising.
        ids: label written for each class, `(classes,)` uint8; class 0 is the background.
        rows_at_once: rows of the canvas painted together; bounds the memory.
    """

    def __init__(
        self,
        canvas: np.ndarray,
        positions: tuple[np.ndarray, np.ndarray, np.ndarray],
        ids: np.ndarray,
        rows_at_once: int = 12,
    ) -> None:
        self._canvas = canvas
        self._positions = positions
        self._ids = np.asarray(ids, np.uint8)
        self._rows_at_once = rows_at_once
        self._painted = 0
        self._tail: np.ndarray | None = None

    def add(self, slab: Slab, *, last: bool) -> None:
        """Paint every canvas row that lies between rows known by now.

        Args:
            slab: rows that follow those of the slab before.
            last: no slab follows; rows beyond the last one take its values.
        """
        known, rows = slab.probabilities.numpy(), self._positions[0]
        if self._tail is not None:  # rows between the slab before and this one
            between = np.concatenate([self._tail, known[:, :1]], axis=1)
            self._paint_until(np.searchsorted(rows, slab.start), between, slab.start - 1)
        stop = len(rows) if last else np.searchsorted(rows, slab.start + known.shape[1] - 1, side="right")
        self._paint_until(stop, known, slab.start)
        self._tail = known[:, -1:].copy()

    def _paint_until(self, stop: int, known: np.ndarray, start: int) -> None:
        """Paint the canvas rows up to `stop` from probabilities whose first row is `start` on the model's grid."""
        for first in range(self._painted, stop, self._rows_at_once):
            part = slice(first, min(stop, first + self._rows_at_once))
            self._canvas[part] = self._paint(known, self._positions[0][part] - start)
        self._painted = max(self._painted, int(stop))

    def _paint(self, known: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Label the canvas rows at model positions `rows`, `(n, H, W)` uint8."""
        size = known.shape[1]
        depth = _span(rows, size, slice(0, len(rows)))
        near = known[:, depth.model]
        down, across = (_spans(p, n) for p, n in zip(self._positions[1:], near.shape[2:], strict=True))
        labels = np.empty((len(self._positions[1]), len(rows), len(self._positions[2])), np.uint8)  # H first: see below
        for row, possible_in_row in zip(down, _can_win(near, down, across), strict=True):
            for column, possible in zip(across, possible_in_row, strict=True):
                block = near[:, :, row.model, column.model]
                winner, *others = np.flatnonzero(possible)
                view = labels[row.canvas, :, column.canvas]
                view[...] = self._ids[winner]
                best = _enlarge(block[winner], depth, row, column) if others else None
                for rival in others:
                    scores = _enlarge(block[rival], depth, row, column)
                    np.copyto(view, self._ids[rival], where=scores > best)
                    np.maximum(best, scores, out=best)
        return labels.transpose(1, 0, 2)


def _can_win(near: np.ndarray, down: list[Span], across: list[Span]) -> np.ndarray:
    """Which classes can have the highest probability somewhere in each block, `(blocks down, blocks across, classes)`.

    Between voxels a class stays within its extremes over the block's voxels. So it cannot win where another one's
    minimum is above its maximum. Nor can it where all that are as weak or weaker leave the others so much of the sum,
    which is 1, that the best of these is above it.
    """
    high = _reduce(np.maximum, near.max(axis=1), down, across)
    low = _reduce(np.minimum, near.min(axis=1), down, across)
    classes = len(high)
    weakest_first = np.sort(high, axis=0)
    others = np.maximum(classes - np.arange(1, classes + 1), 1).reshape(-1, 1, 1)
    best_of_others = (1 - np.cumsum(weakest_first, axis=0)) / others
    hopeless = np.where(weakest_first < best_of_others - _ROUNDING, weakest_first, -1.0).max(axis=0)
    return ((high > hopeless) & (high >= low.max(axis=0) - _ROUNDING)).transpose(1, 2, 0)


def _reduce(function: np.ufunc, plane: np.ndarray, down: list[Span], across: list[Span]) -> np.ndarray:
    """Reduce `(classes, H, W)` to `(classes, blocks down, blocks across)`."""
    plane = np.stack([function.reduce(plane[:, span.model], axis=1) for span in down], axis=1)
    return np.stack([function.reduce(plane[:, :, span.model], axis=2) for span in across], axis=2)


def _enlarge(block: np.ndarray, depth: Span, row: Span, column: Span) -> np.ndarray:
    """Interpolate `(D, H, W)` of the model to the canvas, `(H', D', W')`: H comes last, on its own the fewest times."""
    rows, columns = block.shape[1:]
    deep = (depth.weights @ block.reshape(len(block), -1)).reshape(-1, rows, columns)
    wide = deep.transpose(1, 0, 2).reshape(-1, columns) @ column.weights.T
    return (row.weights @ wide.reshape(rows, -1)).reshape(len(row.weights), len(deep), -1)


def _spans(positions: np.ndarray, size: int) -> list[Span]:
    """Cut an axis of the canvas into stretches of about `_ACROSS` voxels that begin at whole model voxels."""
    step = int(np.clip(round(_ACROSS * size / len(positions)), 2, _MOST_MODEL))
    lower = _lower(positions, size)
    edges = [*np.searchsorted(lower, range(0, max(size - 1, 1), step)), len(positions)]
    return [_span(positions, size, slice(int(a), int(b))) for a, b in pairwise(edges) if a < b]


def _span(positions: np.ndarray, size: int, canvas: slice) -> Span:
    """Weights of linear interpolation for a stretch of the canvas, clamped to the model's ends."""
    lower = _lower(positions[canvas], size)
    upper = np.minimum(lower + 1, size - 1)
    share = np.clip(positions[canvas], 0, size - 1) - lower
    first, stop = int(lower[0]), int(upper[-1]) + 1
    index = np.arange(len(lower))
    weights = np.zeros((len(lower), stop - first), np.float32)
    weights[index, upper - first] = share
    weights[index, lower - first] += 1 - share
    return Span(canvas, slice(first, stop), weights)


def _lower(positions: np.ndarray, size: int) -> np.ndarray:
    """The model voxel at or before each position."""
    return np.minimum(np.clip(positions, 0, size - 1).astype(np.int64), max(size - 2, 0))
