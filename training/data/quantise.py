"""Voxel values as 16-bit whole numbers, with a stated error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_LOWEST, _HIGHEST = -32768, 32767
_STEPS = _HIGHEST - _LOWEST
_WIDEST = 8.0  # how far beyond the robust range values are kept, in robust ranges: the step stays below range / 4000


@dataclass(frozen=True, eq=False)
class Quantised:
    """Values as stored: `value = stored * scale + offset`.

    Attributes:
        stored: int16, of the shape of the values.
        scale, offset: as above.
        error: largest difference to a value that was not clipped.
        clipped: how many values lay outside what can be stored, and were moved to its end.
    """

    stored: np.ndarray
    scale: float
    offset: float
    error: float
    clipped: int


def quantise(voxels: np.ndarray, modality: str | None) -> Quantised:
    """Store values as int16.

    Whole numbers that fit are stored as they are. CT is rounded to whole HU. Other values get steps of at most 1/7000
    of the robust range (the 0.1 to 99.9 % percentiles), so the error is below 1/14000 of it; outliers further than
    about eight ranges away are clipped.

    Args:
        voxels: real and finite.
        modality: "CT" keeps HU.
    """
    low, high = float(voxels.min()), float(voxels.max())
    whole = voxels.dtype.kind in "iub"
    if (whole or modality == "CT") and low >= _LOWEST and high <= _HIGHEST:
        stored = voxels.astype(np.int16) if whole else np.rint(voxels).astype(np.int16)
        error = 0.0 if whole else _largest_error(voxels, stored, 1.0, 0.0)
        return Quantised(stored, 1.0, 0.0, error, 0)
    if modality == "CT":
        scale, offset = 1.0, 0.0
    else:
        low, high = _range(voxels, low, high)
        scale = max((high - low) / _STEPS, np.finfo(np.float32).tiny)
        offset = low - scale * _LOWEST
    steps = np.rint((voxels.astype(np.float64) - offset) / scale)
    clipped = int(np.count_nonzero((steps < _LOWEST) | (steps > _HIGHEST)))
    stored = np.clip(steps, _LOWEST, _HIGHEST).astype(np.int16)
    return Quantised(stored, float(scale), float(offset), _largest_error(voxels, stored, scale, offset), clipped)


def _range(voxels: np.ndarray, low: float, high: float) -> tuple[float, float]:
    step = max(1, round((voxels.size / (1 << 21)) ** (1 / 3)))
    robust = np.percentile(voxels[::step, ::step, ::step], (0.1, 99.9))
    width = robust[1] - robust[0] or high - low
    return max(low, robust[0] - _WIDEST / 2 * width), min(high, robust[1] + _WIDEST / 2 * width)


def _largest_error(voxels: np.ndarray, stored: np.ndarray, scale: float, offset: float) -> float:
    inside = (stored > _LOWEST) & (stored < _HIGHEST)
    back = stored.astype(np.float64) * scale + offset
    return float(np.abs(back - voxels)[inside].max(initial=0.0))
