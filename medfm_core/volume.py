"""Volumes: voxels that know where they lie, and the operations that move both together.

Every operation returns a new `Volume` with its new affine, so a voxel keeps its place in the patient. `reorient`,
`crop` and `flip` return views of the same memory (possibly with negative strides: `np.ascontiguousarray` before torch).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from types import MappingProxyType
from typing import Any

import numpy as np

from medfm_core.errors import InputError
from medfm_core.geometry import Affine, Grid
from medfm_core.resampling import interpolate, pick_nearest

AIR_HU = -1024.0  # what lies outside a CT


class Kind(str, Enum):
    """What the voxel values are: this decides interpolation and fill."""

    IMAGE = "image"  # measured: linear interpolation, fill is air (CT) or the minimum
    LABEL = "label"  # names: nearest voxel, fill 0


@dataclass(frozen=True, eq=False)
class Volume:
    """A 3D image or label map in the patient.

    Args:
        voxels: `(I, J, K)`, real numbers; integers or bool for labels.
        affine: places voxel indices in RAS+ mm.
        kind: image or label.
        modality: DICOM's word ("CT", "MR"), None if unknown.
        meta: source format, series, reading warnings; never a patient's identity.

    Raises:
        InputError: not three axes, an empty axis, or a dtype that does not suit the kind.
    """

    voxels: np.ndarray
    affine: Affine
    kind: Kind = Kind.IMAGE
    modality: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        voxels = np.asarray(self.voxels)
        if voxels.ndim != 3 or 0 in voxels.shape:
            raise InputError(f"an array of shape {voxels.shape} is no volume", "give three axes of at least one voxel")
        if voxels.dtype.kind not in ("biuf" if self.kind is Kind.IMAGE else "biu"):
            raise InputError(f"{self.kind.value} voxels cannot be of type {voxels.dtype}")
        object.__setattr__(self, "voxels", voxels)
        object.__setattr__(self, "meta", MappingProxyType(dict(self.meta)))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along each axis."""
        return self.voxels.shape

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance between voxel centres along each axis, mm."""
        return self.affine.spacing

    @property
    def grid(self) -> Grid:
        """Shape and affine."""
        return Grid(self.shape, self.affine)

    def with_voxels(self, voxels: np.ndarray, kind: Kind | None = None) -> Volume:
        """Put other voxels on the same grid.

        Args:
            voxels: of this volume's shape.
            kind: the new kind; by default this volume's.

        Raises:
            InputError: another shape.
        """
        if voxels.shape != self.shape:
            raise InputError(f"voxels of shape {voxels.shape} do not lie on a grid of {self.shape}")
        return replace(self, voxels=voxels, kind=kind or self.kind)

    def outside_value(self) -> float:
        """What lies outside the volume: 0 for labels, air for CT, else the minimum."""
        if self.kind is Kind.LABEL:
            return 0.0
        return AIR_HU if self.modality == "CT" else float(self.voxels.min())


def reorient(volume: Volume, codes: str = "LPS") -> Volume:
    """Permute and flip axes until they run along `codes` as nearly as whole axes can.

    Args:
        volume: any volume.
        codes: a letter of RL, AP and SI each, in the wanted order of axes.

    Raises:
        InputError: `codes` is no orientation.
    """
    pairs = {"R": "RL", "L": "RL", "A": "AP", "P": "AP", "S": "SI", "I": "SI"}
    if len(codes) != 3 or {pairs.get(code) for code in codes} != {"RL", "AP", "SI"}:
        raise InputError(f"{codes!r} is no orientation", "give three axis codes such as LPS or RAS")
    have = volume.affine.codes
    order = tuple(next(axis for axis in range(3) if pairs[have[axis]] == pairs[code]) for code in codes)
    step = np.zeros((4, 4))
    step[3, 3] = 1.0
    view = volume.voxels.transpose(order)
    for axis, (source, code) in enumerate(zip(order, codes, strict=True)):
        turned = have[source] != code
        step[source, axis] = -1.0 if turned else 1.0
        step[source, 3] = volume.shape[source] - 1 if turned else 0.0
        view = np.flip(view, axis) if turned else view
    return replace(volume, voxels=view, affine=volume.affine @ step)


def crop(volume: Volume, start: Sequence[int], stop: Sequence[int]) -> Volume:
    """Keep the voxels from `start` up to and without `stop`, both `(3,)` indices.

    Raises:
        InputError: the box is empty or reaches outside the volume.
    """
    start, stop = tuple(int(n) for n in start), tuple(int(n) for n in stop)
    if not all(0 <= a < b <= n for a, b, n in zip(start, stop, volume.shape, strict=True)):
        raise InputError(f"the box from {start} to {stop} is empty or reaches outside a volume of {volume.shape}")
    box = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    return replace(volume, voxels=volume.voxels[box], affine=volume.affine @ _shift(start))


def pad(volume: Volume, before: Sequence[int], after: Sequence[int], value: float | None = None) -> Volume:
    """Add voxels around: `before` the first and `after` the last of each axis.

    Args:
        volume: any volume.
        before: `(3,)` counts.
        after: `(3,)` counts.
        value: what the new voxels hold; by default `volume.outside_value()`.

    Raises:
        InputError: a negative count, or a value that the voxels' type cannot hold.
    """
    before, after = tuple(int(n) for n in before), tuple(int(n) for n in after)
    if min(before + after) < 0:
        raise InputError(f"cannot add {before} and {after} voxels", "give counts of at least 0, and use crop to remove")
    value = volume.outside_value() if value is None else value
    if np.asarray(value).astype(volume.voxels.dtype) != value:
        raise InputError(f"voxels of type {volume.voxels.dtype} cannot hold the padding value {value}")
    widths = list(zip(before, after, strict=True))
    voxels = np.pad(volume.voxels, widths, constant_values=value)
    return replace(volume, voxels=voxels, affine=volume.affine @ _shift([-n for n in before]))


def flip(volume: Volume, axis: int) -> Volume:
    """Reverse the order of an array axis; every voxel keeps its place in the patient.

    Raises:
        InputError: no such axis.
    """
    if axis not in (0, 1, 2):
        raise InputError(f"a volume has no axis {axis}", "give 0, 1 or 2")
    step = np.eye(4)
    step[axis, axis], step[axis, 3] = -1.0, volume.shape[axis] - 1
    return replace(volume, voxels=np.flip(volume.voxels, axis), affine=volume.affine @ step)


def resample(volume: Volume, spacing_mm: float | Sequence[float], *, antialias: bool = True) -> Volume:
    """Give the voxels another spacing along the same axes, around the same centre.

    The new shape is the old extent divided by `spacing_mm`, rounded, at least 1 per axis.

    Args:
        volume: any volume.
        spacing_mm: one number or `(3,)` in the order of the array's axes.
        antialias: average where an image shrinks more than 1.5-fold (labels are always picked).

    Returns:
        An image as float32; labels in their own type.

    Raises:
        InputError: a spacing that is not a positive number.
    """
    wanted = np.broadcast_to(np.asarray(spacing_mm, dtype=np.float64), (3,))
    if not (np.isfinite(wanted).all() and wanted.min() > 0):
        raise InputError(f"a spacing of {spacing_mm} mm is impossible", "give positive millimetres")
    scale = wanted / np.array(volume.spacing)
    shape = np.maximum(1, np.floor(np.array(volume.shape) / scale + 0.5)).astype(int)
    step = np.diag([*scale, 1.0])
    step[:3, 3] = (np.array(volume.shape) - 1) / 2 - scale * (shape - 1) / 2
    grid = Grid(tuple(shape.tolist()), volume.affine @ step)
    return _resampled(volume, grid, step, None, antialias)


def resample_to(volume: Volume, grid: Grid, *, fill: float | None = None, antialias: bool = True) -> Volume:
    """Bring a volume onto another grid of the same patient.

    Args:
        volume: any volume.
        grid: where the new voxels lie; may turn, shear and reach outside.
        fill: value outside the volume; by default `volume.outside_value()`.
        antialias: average where an image shrinks more than 1.5-fold (labels are always picked).

    Returns:
        Exactly on `grid`; an image as float32, labels in their own type.
    """
    return _resampled(volume, grid, volume.affine.inverse() @ grid.affine.matrix, fill, antialias)


def foreground_box(mask: np.ndarray) -> tuple[tuple[int, int, int], tuple[int, int, int]] | None:
    """Find the smallest box that holds every nonzero voxel.

    Args:
        mask: `(I, J, K)`.

    Returns:
        (start, stop) as `crop` takes them, or None if nothing is nonzero.
    """
    start, stop = [0, 0, 0], list(mask.shape)
    for axis in np.argsort([-abs(stride) for stride in mask.strides]):  # the slowest first: it cuts most for least
        box = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        others = tuple(other for other in range(3) if other != axis)
        hits = np.flatnonzero(mask[box].any(axis=others))
        if not len(hits):
            return None
        start[axis], stop[axis] = int(hits[0]), int(hits[-1]) + 1
    return tuple(start), tuple(stop)


def _shift(offset: Sequence[int]) -> np.ndarray:
    step = np.eye(4)
    step[:3, 3] = offset
    return step


def _resampled(volume: Volume, grid: Grid, matrix: np.ndarray, fill: float | None, antialias: bool) -> Volume:
    fill = volume.outside_value() if fill is None else fill
    if volume.kind is Kind.LABEL:
        voxels = pick_nearest(volume.voxels, matrix, grid.shape, fill=fill)
    else:
        voxels = interpolate(volume.voxels, matrix, grid.shape, fill=fill, antialias=antialias)
    return replace(volume, voxels=voxels, affine=grid.affine)
