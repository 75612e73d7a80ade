"""Class numbers on the model's grid to labels on the input's grid: each voxel takes the nearest one's."""

from __future__ import annotations

import numpy as np

from medfm_core.inference.logit_window import LabelRows

_FACE = 0.5 + 1e-6  # how far from the centre of an outermost voxel its own value still holds, in voxels


class NearestPainter:
    """Paints rows of class numbers into a label array as they arrive.

    Args:
        canvas: `(D, H, W)` uint8, written in place; what lies outside the model's grid is left as it is.
        positions: for each axis of the canvas, where its voxels lie on the model's grid, in model voxels.
        shape: of the model's grid, `(D, H, W)`.
        ids: label written for each class, `(classes,)` uint8.
    """

    def __init__(
        self,
        canvas: np.ndarray,
        positions: tuple[np.ndarray, np.ndarray, np.ndarray],
        shape: tuple[int, int, int],
        ids: np.ndarray,
    ) -> None:
        self._canvas, self._ids = canvas, np.asarray(ids, np.uint8)
        inside = [np.flatnonzero((p >= -_FACE) & (p <= n - 1 + _FACE)) for p, n in zip(positions, shape, strict=True)]
        self._target = inside
        self._source = [
            np.rint(p[where]).astype(np.int64).clip(0, n - 1)
            for p, where, n in zip(positions, inside, shape, strict=True)
        ]

    def add(self, rows: LabelRows) -> None:
        """Paint every row of the canvas whose nearest row is among these.

        Args:
            rows: finished rows of the model's grid.
        """
        labels = self._ids[rows.channels.numpy()]
        near = self._source[0] - rows.start
        for target, row in zip(self._target[0], near, strict=True):
            if 0 <= row < len(labels):
                picked = labels[row][np.ix_(self._source[1], self._source[2])]
                self._canvas[target][np.ix_(self._target[1], self._target[2])] = picked
