"""Put an array onto the grid of a volume that holds the same voxels, perhaps in another order of the axes."""

from __future__ import annotations

from itertools import product

import numpy as np

from .scene_errors import SceneError

_MOST_APART = 0.1  # of a voxel, at the corners: more than any rounding, less than any other scan


def on_grid(voxels: np.ndarray, affine: np.ndarray, target: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Reorder voxels for a volume, without interpolation.

    Args:
        voxels: `(k, j, i)`.
        affine: `(4, 4)`, index of `voxels` to RAS, mm.
        target: `(4, 4)`, index of the volume to RAS, mm.
        shape: voxels of the volume along i, j, k.

    Returns:
        `(k, j, i)` on the volume's grid; a view where nothing moves.

    Raises:
        SceneError: the volume's voxels lie elsewhere, so the map belongs to another scan.
    """
    own = tuple(voxels.shape[::-1])
    steps = np.linalg.inv(target) @ affine
    turn = np.rint(steps[:3, :3]).astype(int)
    if not (np.abs(turn).sum(0) == 1).all() or not (np.abs(turn).sum(1) == 1).all():
        raise _elsewhere()
    source = np.abs(turn).argmax(1)  # which axis of `voxels` runs along each axis of the volume
    signs = turn[np.arange(3), source]
    if tuple(own[axis] for axis in source) != tuple(shape):
        raise _elsewhere()
    start = np.where(signs < 0, np.array(shape) - 1, 0)
    corners = np.array(list(product(*((0, size - 1) for size in own))), dtype=float)
    placed = corners @ steps[:3, :3].T + steps[:3, 3]
    if np.abs(placed - (corners @ turn.T + start)).max() > _MOST_APART:
        raise _elsewhere()
    moved = voxels.transpose(2, 1, 0).transpose(source)
    moved = moved[tuple(slice(None, None, int(sign)) for sign in signs)]
    return moved.transpose(2, 1, 0)


def _elsewhere() -> SceneError:
    return SceneError(
        "the result belongs to another scan: its voxels do not lie where those of this volume lie",
        "choose the volume that was analysed",
    )
