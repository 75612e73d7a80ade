"""Planes of an image whose slices come first, `(D, H, W)`, as cells of a picture."""

from __future__ import annotations

from typing import Any

import numpy as np

from medfm_core.volume import Volume

_TALLEST = 3.0


def planes_of(volume: Volume) -> tuple[int, ...]:
    """The axes across which to cut: all three, or that of the slices for a 2D image."""
    return (0, 1, 2) if volume.shape[0] > 1 else (0,)


def plane(voxels: np.ndarray, axis: int, at: int) -> np.ndarray:
    """A plane across an axis, rows top down: slices run upwards in planes across rows and columns."""
    found = np.take(voxels, at, axis=axis)
    return found if axis == 0 else found[::-1]


def height_by_width(volume: Volume, axis: int) -> float:
    """Of a plane, in mm; from a third to 3, so that no picture becomes endless."""
    rows, columns = (n * step for place, (n, step) in enumerate(zip(volume.shape, volume.spacing, strict=True))
                     if place != axis)  # fmt: skip
    return min(max(rows / columns, 1 / _TALLEST), _TALLEST)


def show_plane(cell: Any, values: np.ndarray, volume: Volume, axis: int, **how: Any) -> Any:
    """Show a plane across an axis in a matplotlib cell, its pixels as high and wide as they are in mm.

    Args:
        cell: axes of a matplotlib figure.
        values: `(rows, columns)`.
        volume: whose plane it is.
        axis: across which it is cut.
        how: as `imshow` takes it.

    Returns:
        What `imshow` returns.
    """
    rows, columns = (step for place, step in enumerate(volume.spacing) if place != axis)
    cell.set_xticks([])
    cell.set_yticks([])
    return cell.imshow(values, aspect=rows / columns, **how)
