"""Where the body is in a CT: found without learning, so that tables, wires and blankets do not count."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from medfm_core.volume import Volume

_BODY_HU = -300.0


def body_mask(volume: Volume, coarse_mm: float) -> tuple[np.ndarray, tuple[int, int, int]]:
    """Find the body on a coarse grid.

    The body is the largest connected piece above -300 HU after an opening.

    Args:
        volume: a CT in HU, any orientation.
        coarse_mm: about how far apart the voxels are that are looked at.

    Returns:
        A bool array over every n-th voxel along each axis, and the three n. All False where nothing is dense enough.
    """
    steps = tuple(max(1, round(coarse_mm / s)) for s in volume.affine.spacing)
    coarse = volume.voxels[:: steps[0], :: steps[1], :: steps[2]] > _BODY_HU
    opened = ndimage.binary_opening(coarse, iterations=1)
    pieces, count = ndimage.label(opened if opened.any() else coarse)
    if count == 0:
        return np.zeros_like(coarse), steps
    return pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:])), steps


def body_box(volume: Volume, margin_mm: float) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Find the voxel box `[start, stop)` around the body in a CT; the whole volume where there is none.

    Args:
        volume: a CT in HU, any orientation.
        margin_mm: margin kept around the body.
    """
    mask, steps = body_mask(volume, 8.0)
    if not mask.any():
        return (0, 0, 0), volume.shape
    start, stop = [], []
    for axis, step in enumerate(steps):
        found = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        margin = margin_mm / volume.affine.spacing[axis] + step
        start.append(max(0, int(found[0] * step - margin)))
        stop.append(min(volume.shape[axis], int(np.ceil((found[-1] + 1) * step + margin))))
    return tuple(start), tuple(stop)
