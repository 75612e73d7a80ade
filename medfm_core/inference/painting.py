"""From class probabilities on the model's grid to labels on the input's grid, slab by slab.

The classes compete at the input's resolution, so that contours are smooth, but each class is enlarged only inside the
box where it has a chance, against the best score so far: the classes x full-resolution tensor never exists.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from medfm_core.inference.sliding import Slab

_CHANCE = 0.08  # a class below this everywhere near a voxel cannot win there: the background or another beats it


class LabelPainter:
    """Paints slabs of probabilities into a label array as they arrive.

    Args:
        canvas: `(D, H, W)` uint8, written in place; the input's grid in the model's axis order.
        positions: for each axis of the canvas, where its voxels lie on the model's grid, in model voxels.
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
        self._ids = torch.from_numpy(np.asarray(ids, np.uint8))
        self._rows_at_once = rows_at_once
        self._painted = 0
        self._tail: Tensor | None = None

    def add(self, slab: Slab, *, last: bool) -> None:
        """Paint every canvas row that lies between rows known by now.

        Args:
            slab: rows that follow those of the slab before.
            last: no slab follows; rows beyond the last one take its values.
        """
        known, start = slab.probabilities, slab.start
        if self._tail is not None:
            known, start = torch.cat([self._tail, known], dim=1), start - self._tail.shape[1]
        rows = self._positions[0]
        end = len(rows) if last else int(np.searchsorted(rows, start + known.shape[1] - 1, side="right"))
        for first in range(self._painted, end, self._rows_at_once):
            stop = min(end, first + self._rows_at_once)
            self._canvas[first:stop] = self._paint(known, rows[first:stop] - start).numpy()
        self._painted = max(self._painted, end)
        self._tail = known[:, -1:].clone()

    def _paint(self, known: Tensor, rows: np.ndarray) -> Tensor:
        """Label the canvas rows at model positions `rows`, `(n, H, W)` uint8."""
        low, high = (
            int(np.clip(np.floor(rows[0]), 0, known.shape[1] - 1)),
            int(np.clip(np.ceil(rows[-1]), 0, known.shape[1] - 1)),
        )
        near = known[:, low : high + 1]
        winners = near.argmax(dim=0).unique().tolist()
        y, x = self._positions[1], self._positions[2]
        best = torch.zeros(len(rows), len(y), len(x))
        labels = torch.zeros(best.shape, dtype=torch.uint8)
        for channel in winners:
            scores = near[channel]
            box = _box_above(scores.amax(dim=0), _CHANCE)
            if box is None:
                continue
            (y0, y1), (x0, x1) = (_span(p, *b) for p, b in zip((y, x), box, strict=True))
            enlarged = _lerp(_lerp(_lerp(scores, rows - low, 0), y[y0:y1], 1), x[x0:x1], 2)
            view = best[:, y0:y1, x0:x1]
            wins = enlarged > view
            torch.maximum(view, enlarged, out=view)
            labels[:, y0:y1, x0:x1].masked_fill_(wins, int(self._ids[channel]))
        return labels


def _box_above(plane: Tensor, floor: float) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """First and last index above a floor along both axes of `(H, W)`, or None."""
    mask = plane > floor
    ys, xs = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
    if not len(ys):
        return None
    return (int(ys[0]), int(ys[-1])), (int(xs[0]), int(xs[-1]))


def _span(positions: np.ndarray, first: int, last: int) -> tuple[int, int]:
    """Canvas indices whose model position lies within one voxel of `[first, last]`."""
    return int(np.searchsorted(positions, first - 1)), int(np.searchsorted(positions, last + 1, side="right"))


def _lerp(values: Tensor, positions: np.ndarray, axis: int) -> Tensor:
    """Linear interpolation along one axis at increasing positions, clamped to the ends."""
    size = values.shape[axis]
    clamped = np.clip(positions, 0, size - 1)
    low = np.minimum(clamped.astype(np.int64), max(size - 2, 0))
    share = torch.from_numpy((clamped - low).astype(np.float32)).reshape(
        [-1 if a == axis else 1 for a in range(values.ndim)]
    )
    lower = values.index_select(axis, torch.from_numpy(low))
    upper = values.index_select(axis, torch.from_numpy(np.minimum(low + 1, size - 1)))
    return torch.lerp(lower, upper, share.expand_as(lower))
