"""Sums per label in one pass over an image and its label map: the raw material of measurements, checks and views."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medfm_core.errors import GeometryError
from medfm_core.volume import Volume

LABELS = 256
_HU_LOW, _HU_HIGH = -2048, 4095
_BINS = _HU_HIGH - _HU_LOW + 1
_SLAB_VOXELS = 1 << 22


@dataclass(frozen=True, eq=False)
class LabelStatistics:
    """Counts and sums per label 0..255 (label 0 is not counted).

    Attributes:
        counts: voxels per label, `(256,)` int64.
        valued: voxels per label whose intensity is a finite number, `(256,)` int64.
        sums: sum of intensities, `(256,)` float64.
        squares: sum of squared intensities, `(256,)` float64.
        histogram: voxels per label and 1-HU bin, -2048..4095 (values beyond fall into the last bins), `(256, 6144)`.
        profiles: per array axis, voxels per label and slice: three arrays `(256, length of the axis)`.
    """

    counts: np.ndarray
    valued: np.ndarray
    sums: np.ndarray
    squares: np.ndarray
    histogram: np.ndarray
    profiles: tuple[np.ndarray, np.ndarray, np.ndarray]

    def box(self, label: int) -> tuple[tuple[int, int, int], tuple[int, int, int]] | None:
        """Bounding box as (start, stop) voxel indices, stop exclusive; None for a label without voxels."""
        if not self.counts[label]:
            return None
        filled = [np.flatnonzero(profile[label]) for profile in self.profiles]
        return tuple(int(f[0]) for f in filled), tuple(int(f[-1]) + 1 for f in filled)

    def centre(self, label: int) -> tuple[float, float, float] | None:
        """Mean voxel index; None for a label without voxels."""
        if not self.counts[label]:
            return None
        return tuple(
            float(profile[label] @ np.arange(profile.shape[1])) / float(self.counts[label]) for profile in self.profiles
        )

    def intensities(self, labels: list[int]) -> tuple[float, float, float] | None:
        """Mean, standard deviation and median of the labels' pooled voxels; None where no voxel has a value."""
        count = int(self.valued[labels].sum())
        if not count:
            return None
        mean = float(self.sums[labels].sum()) / count
        variance = max(0.0, float(self.squares[labels].sum()) / count - mean * mean)
        cumulated = np.cumsum(self.histogram[labels].sum(axis=0))
        median = _HU_LOW + int(np.searchsorted(cumulated, (count + 1) // 2))
        return mean, variance**0.5, float(median)


def label_statistics(image: Volume, labels: Volume) -> LabelStatistics:
    """Count, sum and locate every label in one pass, slab by slab; no mask of a whole volume is made.

    Args:
        image: intensities, `(I, J, K)`; voxels that are not finite are left out of the intensity sums.
        labels: label map with values 0..255 on the same grid.

    Returns:
        The sums of every label.

    Raises:
        GeometryError: image and labels do not lie on one grid.
    """
    if not image.grid.same_as(labels.grid):
        raise GeometryError("the label map does not lie on the image's grid", "resample one to the other")
    shape = labels.shape
    counts, valued = np.zeros(LABELS, np.int64), np.zeros(LABELS, np.int64)
    sums, squares = np.zeros(LABELS), np.zeros(LABELS)
    histogram = np.zeros(LABELS * _BINS, np.int64)
    profiles = [np.zeros((LABELS, length), np.int64) for length in shape]
    slow = int(np.argmax(np.abs(labels.voxels.strides)))
    order = "F" if slow == 2 else "C"
    step = max(1, _SLAB_VOXELS * shape[slow] // max(1, labels.voxels.size))
    for start in range(0, shape[slow], step):
        part = (slice(None),) * slow + (slice(start, start + step),)
        slab = labels.voxels[part]
        flat = slab.ravel(order=order)
        where = np.flatnonzero(flat)
        if not where.size:
            continue
        label = flat[where].astype(np.intp)
        counts += np.bincount(label, minlength=LABELS)
        for axis, index in enumerate(np.unravel_index(where, slab.shape, order=order)):
            length = slab.shape[axis]
            table = np.bincount(label * length + index, minlength=LABELS * length).reshape(LABELS, length)
            offset = start if axis == slow else 0
            profiles[axis][:, offset : offset + length] += table
        value = image.voxels[part].ravel(order=order)[where]
        if not np.issubdtype(value.dtype, np.integer):
            finite = np.isfinite(value)
            if not finite.all():
                label, value = label[finite], value[finite]
        exact = value.astype(np.float64)
        valued += np.bincount(label, minlength=LABELS)
        sums += np.bincount(label, exact, minlength=LABELS)
        squares += np.bincount(label, exact * exact, minlength=LABELS)
        level = np.clip(np.rint(exact), _HU_LOW, _HU_HIGH).astype(np.intp) - _HU_LOW
        histogram += np.bincount(label * _BINS + level, minlength=histogram.size)
    return LabelStatistics(counts, valued, sums, squares, histogram.reshape(LABELS, _BINS), tuple(profiles))
