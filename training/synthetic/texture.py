"""Correlated random fields and small grid helpers that the appearance, the scanner and the lesions share.

A field is drawn as independent normal coefficients on a coarse grid and read out through cubic B-splines, one matrix
product per axis: a few milliseconds for a torso, smooth, and with a correlation length stated in millimetres, so that
the same patient looks alike at every spacing.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

_SPLINE_POWER = 151.0 / 315.0  # integral of the squared cubic B-spline: the variance one axis keeps on average
_WORLD = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}


def axis_towards(matrix: np.ndarray, letter: str) -> tuple[int, int]:
    """Find the array axis that runs along a patient direction.

    Args:
        matrix: 4x4 voxel-to-RAS+ matrix.
        letter: one of R, L, A, P, S, I.

    Returns:
        The axis and +1 where the index grows towards that direction, -1 where it falls.
    """
    row, sign = _WORLD[letter]
    column = matrix[:3, :3] / np.linalg.norm(matrix[:3, :3], axis=0)
    axis = int(np.argmax(np.abs(column[row])))
    return axis, int(sign * np.sign(column[row, axis]))


def along(vector: np.ndarray, axis: int) -> np.ndarray:
    """Shape a vector so that it broadcasts along one axis of a volume."""
    shape = [1, 1, 1]
    shape[axis] = -1
    return np.asarray(vector).reshape(shape)


def smooth_field(
    rng: np.random.Generator, shape: tuple[int, ...], spacing_mm: tuple[float, ...], correlation_mm: float | tuple
) -> np.ndarray:
    """Draw a smooth field of zero mean and unit standard deviation.

    Args:
        rng: source of the coefficients; the field is a pure function of its state.
        shape: voxels per axis.
        spacing_mm: voxel size per axis.
        correlation_mm: distance between the coefficients, one for all axes or one per axis; structures are about
            one to two of these wide. Distances under a voxel give independent voxels along that axis.

    Returns:
        float32 array of `shape`.
    """
    lengths = np.broadcast_to(np.asarray(correlation_mm, float), (len(shape),))
    weights = [_weights(n, s, c) for n, s, c in zip(shape, spacing_mm, lengths, strict=True)]
    out = rng.standard_normal([n if w is None else w.shape[1] for n, w in zip(shape, weights, strict=True)], np.float32)
    order = np.argsort([1.0 if w is None else w.shape[0] / w.shape[1] for w in weights])
    for axis in order:
        if weights[axis] is not None:
            out = np.moveaxis(np.tensordot(weights[axis], out, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(out, np.float32)


def white(rng: np.random.Generator, shape: tuple[int, ...], blur: float = 0.0) -> np.ndarray:
    """Draw voxel noise of unit deviation, blurred a little by one three-tap pass per axis when `blur` > 0.

    Args:
        rng: source.
        shape: voxels per axis.
        blur: weight of each neighbour, 0 to 0.33.

    Returns:
        float32 array of `shape`.
    """
    out = rng.standard_normal(shape, np.float32)
    if blur <= 0:
        return out
    taps = np.array([blur, 1 - 2 * blur, blur], np.float32)
    for axis in range(len(shape)):
        out = ndimage.correlate1d(out, taps, axis=axis, mode="wrap")
    return out * np.float32(float((taps**2).sum()) ** (-len(shape) / 2))


def soften(volume: np.ndarray, spacing_mm: tuple[float, ...], fwhm_mm: tuple[float, ...] | float) -> np.ndarray:
    """Blur by a Gaussian of the given full width at half maximum: the partial volume of a real scan.

    Widths far under a voxel leave that axis alone.

    Returns:
        float32 array of the same shape.
    """
    out = volume.astype(np.float32, copy=False)
    for axis, (size, width) in enumerate(
        zip(spacing_mm, np.broadcast_to(np.asarray(fwhm_mm, float), (3,)), strict=True)
    ):
        sigma = width / 2.355 / size
        if sigma > 0.2:
            radius = max(1, int(np.ceil(2.5 * sigma)))
            x = np.arange(-radius, radius + 1)
            taps = np.exp(-0.5 * (x / sigma) ** 2)
            out = ndimage.correlate1d(out, (taps / taps.sum()).astype(np.float32), axis=axis, mode="nearest")
    return out


def _weights(count: int, spacing: float, length: float) -> np.ndarray | None:
    """Cubic B-spline read-out `(count, coefficients)`, scaled to unit variance; None for a white axis."""
    if length <= spacing * 1.01:
        return None
    position = np.arange(count) * spacing / length
    base = np.floor(position).astype(int)
    t = position - base
    values = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], 1) / 6
    out = np.zeros((count, base[-1] + 4), np.float32)
    for k in range(4):
        out[np.arange(count), base + k] = values[:, k]
    return out / np.float32(np.sqrt(_SPLINE_POWER))
