"""Folds of the cortex: sheets of fluid that run from the brain's surface inwards, a few millimetres apart.

The sheets lie where a random field that oscillates at the distance of the gyri is zero. The field hardly changes
towards the middle of the brain, so that the sheets stand on the surface.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

_CELLS, _CELL_MM = 64, 3.2
_RADIUS_MM = 70.0
_BAND = 0.17  # relative width of the band of wavelengths
_INWARDS = 0.3  # how fast the field changes towards the middle, next to 1 along the surface


def fold_distance(
    rng: np.random.Generator,
    points: tuple[np.ndarray, np.ndarray, np.ndarray],
    spacing: tuple[float, float, float],
    wavelength_mm: float,
) -> np.ndarray:
    """Distance to the middle of the nearest fold.

    Args:
        rng: where the folds are.
        points: x, y, z of every voxel relative to the middle of the brain, in units of its semi-axes, `(I, J, K)`.
        spacing: voxel size, mm.
        wavelength_mm: from one fold to the next but one.

    Returns:
        mm, at least 0, `(I, J, K)` float32; too large half-way between two folds.
    """
    wave = band_noise(rng, wavelength_mm / _CELL_MM)
    radius = np.sqrt(sum(axis * axis for axis in points)) + np.float32(1e-3)
    factor = (1 + np.float32(_INWARDS) * (radius - 1)) / radius * np.float32(_RADIUS_MM / _CELL_MM)
    field = ndimage.map_coordinates(wave, [axis * factor for axis in points], np.float32, order=1, mode="grid-wrap")
    slopes = [np.gradient(field, step, axis=axis) for axis, step in enumerate(spacing)]
    steepness = np.sqrt(sum(slope * slope for slope in slopes))
    floor = np.float32(0.5 * 2 * np.pi / wavelength_mm)
    return np.abs(field) / np.maximum(steepness, floor)


def band_noise(rng: np.random.Generator, wavelength: float) -> np.ndarray:
    """A random field of one wavelength in all directions, periodic, unit deviation.

    Args:
        rng: which.
        wavelength: in cells.

    Returns:
        `(64, 64, 64)` float32.
    """
    along = np.fft.fftfreq(_CELLS)
    last = np.fft.rfftfreq(_CELLS)
    frequency = np.sqrt(along[:, None, None] ** 2 + along[None, :, None] ** 2 + last[None, None, :] ** 2)
    weight = np.exp(-0.5 * ((frequency * wavelength - 1) / _BAND) ** 2)
    noise = np.fft.rfftn(rng.standard_normal((_CELLS,) * 3)) * weight
    field = np.fft.irfftn(noise, s=(_CELLS,) * 3, axes=(0, 1, 2))
    return (field / field.std()).astype(np.float32)
