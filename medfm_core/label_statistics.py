"""Sums per label in one pass over an image and its label map: the raw material of measurements, checks and views."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medfm_core.errors import GeometryError
from medfm_core.volume import Volume

LABELS = 256
_HU_LOW, _HU_HIGH = -2048, 4095
_BINS = _HU_HIGH - _HU_LOW + 1
_SLAB_VOXELS = 1 << 20


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
    found = LabelStatistics(
        np.zeros(LABELS, np.int64),
        np.zeros(LABELS, np.int64),
        np.zeros(LABELS),
        np.zeros(LABELS),
        np.zeros((LABELS, _BINS), np.int64),
        tuple(np.zeros((LABELS, length), np.int64) for length in shape),
    )
    slow = int(np.argmax(np.abs(labels.voxels.strides)))
    order = "F" if slow == 2 else "C"
    step = max(1, _SLAB_VOXELS * shape[slow] // max(1, labels.voxels.size))
    places: tuple[np.ndarray, ...] = ()
    for start in range(0, shape[slow], step):
        part = (slice(None),) * slow + (slice(start, start + step),)
        slab = labels.voxels[part]
        if not places or slab.size != places[0].size:
            places = _places(slab.shape, order)
        flat = slab.ravel(order=order)
        where = np.flatnonzero(flat != 0)  # three times as quick as on the numbers
        if not where.size:
            continue
        occurring, label = _ranked(flat[where])
        for axis, place in enumerate(places):
            length = slab.shape[axis]
            offset = start if axis == slow else 0
            found.profiles[axis][occurring, offset : offset + length] += _table(label, place[where], length, occurring)
        found.counts[occurring] += np.bincount(label, minlength=len(occurring))
        _add_intensities(found, occurring, label, image.voxels[part].ravel(order=order)[where])
    return found


def _places(shape: tuple[int, ...], order: str) -> tuple[np.ndarray, ...]:
    """Index along each axis of every voxel in memory order: looking it up is quicker than dividing for it."""
    grid = np.ogrid[tuple(map(slice, shape))]
    return tuple(np.broadcast_to(index.astype(np.int32), shape).ravel(order=order) for index in grid)


def _ranked(label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The labels that occur, rising, and for each voxel the place of its label among them: tables stay small."""
    label = label.astype(np.intp)
    occurring = np.flatnonzero(np.bincount(label, minlength=LABELS))
    rank = np.zeros(LABELS, np.intp)
    rank[occurring] = np.arange(len(occurring))
    return occurring, rank[label]


def _table(label: np.ndarray, column: np.ndarray, columns: int, occurring: np.ndarray) -> np.ndarray:
    """Voxels per label and column, `(labels that occur, columns)`."""
    key = label * columns
    key += column
    return np.bincount(key, minlength=len(occurring) * columns).reshape(-1, columns)


def _add_intensities(found: LabelStatistics, occurring: np.ndarray, label: np.ndarray, value: np.ndarray) -> None:
    """Add a slab's intensities; those of whole numbers within the histogram follow from it alone, and exactly."""
    if value.dtype.kind in "iu" and value.min() >= _HU_LOW and value.max() <= _HU_HIGH:
        table = _table(label, value.astype(np.intp) - _HU_LOW, _BINS, occurring)
        levels = np.arange(_HU_LOW, _HU_HIGH + 1)
        found.valued[occurring] += table.sum(axis=1)
        found.sums[occurring] += table @ levels
        found.squares[occurring] += table @ levels**2
    else:
        finite = np.isfinite(value)
        label, exact = label[finite], value[finite].astype(np.float64)
        levels = np.clip(np.rint(exact), _HU_LOW, _HU_HIGH).astype(np.intp) - _HU_LOW
        table = _table(label, levels, _BINS, occurring)
        found.valued[occurring] += np.bincount(label, minlength=len(occurring))
        found.sums[occurring] += np.bincount(label, exact, minlength=len(occurring))
        found.squares[occurring] += np.bincount(label, exact * exact, minlength=len(occurring))
    found.histogram[occurring] += table
