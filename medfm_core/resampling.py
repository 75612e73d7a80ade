"""Interpolation of bare arrays: the engine under `volume.resample` and `volume.resample_to`.

Positions are voxel centres: index 0 is the centre of the first voxel, which reaches from -0.5 to 0.5. Every function
takes `matrix`, the `(4, 4)` map from target indices to source indices. Targets whose centre lies outside the source's
voxels get `fill`; between the outermost centre and the outer face the outermost voxel goes on.

Axis-aligned maps (any spacing, shift, flip and exchange of axes) run as three one-dimensional products with banded
weights, in slabs, so that an int16 source is never copied whole into floats. Other maps (oblique, sheared) run in ITK.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_BLOCK = 16  # target positions that share one small weight matrix
_SLAB_BYTES = 8 << 20  # source turned into float32 at a time
_PRODUCT = 1 << 17  # multiplications handed to BLAS at a time: few enough that it starts no threads, which stall when
# the cores are busy and gain nothing on products so narrow
_STRAY = 1e-3  # source voxels that an axis may stray over its whole length and still count as aligned
ANTIALIAS_ABOVE = 1.5  # source voxels per target voxel above which averaging replaces picking


class Taps(NamedTuple):
    """Weights of one axis: a block of targets reads sources `[start, stop)` through its own small matrix."""

    blocks: tuple[tuple[slice, slice, np.ndarray], ...]  # (targets, sources, weights (targets, sources) float32)
    sources: int
    targets: int


def interpolate(
    voxels: np.ndarray, matrix: np.ndarray, shape: tuple[int, int, int], *, fill: float, antialias: bool
) -> np.ndarray:
    """Interpolate linearly.

    Args:
        voxels: `(I, J, K)`, finite numbers of any real dtype.
        matrix: `(4, 4)`, target indices to source indices.
        shape: target shape.
        fill: value outside the source.
        antialias: average over the target voxel's width along source axes that shrink more than `ANTIALIAS_ABOVE`-fold.

    Returns:
        `shape`, float32, Fortran-ordered when the source is.
    """
    order = aligned_axes(matrix, shape)
    widths = np.linalg.norm(matrix[:3, :3], axis=1)  # source voxels per target voxel
    widths = [width if antialias and width > ANTIALIAS_ABOVE else 0.0 for width in widths]
    if order is None:
        if any(widths):
            voxels = _smooth(voxels, widths)
        return _itk(voxels, matrix, shape, fill, linear=True)
    positions = [_positions(matrix, order, axis, shape[axis]) for axis in range(3)]
    sources = [voxels.shape[order[axis]] for axis in range(3)]
    taps = [_taps(p, n, widths[order[axis]]) for axis, (p, n) in enumerate(zip(positions, sources, strict=True))]
    out = _separable(voxels.transpose(order), taps)
    for axis, (p, n) in enumerate(zip(positions, sources, strict=True)):
        out[(slice(None),) * axis + (_outside(p, n),)] = fill
    return out


def pick_nearest(voxels: np.ndarray, matrix: np.ndarray, shape: tuple[int, int, int], *, fill: float) -> np.ndarray:
    """Take the nearest voxel (of two equally near ones, that of the higher index).

    Args:
        voxels: `(I, J, K)`, any integer dtype or bool.
        matrix: `(4, 4)`, target indices to source indices.
        shape: target shape.
        fill: value outside the source.

    Returns:
        `shape`, the source's dtype.
    """
    order = aligned_axes(matrix, shape)
    if order is None:
        return _itk(voxels, matrix, shape, fill, linear=False)
    out = voxels.transpose(order)
    positions = [_positions(matrix, order, axis, shape[axis]) for axis in range(3)]
    sources = out.shape
    for axis in _slowest_first(out):
        index = np.clip(np.floor(positions[axis] + 0.5).astype(np.intp), 0, sources[axis] - 1)
        out = _take(out, index, axis)
    out = out if out.flags.owndata and out.flags.writeable else out.copy(order="K")
    for axis in range(3):
        out[(slice(None),) * axis + (_outside(positions[axis], sources[axis]),)] = fill
    return out


def aligned_axes(matrix: np.ndarray, shape: tuple[int, int, int]) -> tuple[int, int, int] | None:
    """Return the source axis that each target axis runs along, or None if one runs askew.

    An axis may stray sideways by `_STRAY` source voxels over the target's whole length.
    """
    travel = np.abs(matrix[:3, :3]) * (np.array(shape, dtype=np.float64) - 1)
    steps = np.abs(matrix[:3, :3])
    order = tuple(int(axis) for axis in steps.argmax(axis=0))
    if sorted(order) != [0, 1, 2]:
        return None
    for target, source in enumerate(order):
        travel[source, target] = 0.0
    return order if travel.sum(axis=1).max() <= _STRAY else None


def _positions(matrix: np.ndarray, order: tuple[int, int, int], axis: int, count: int) -> np.ndarray:
    """Source coordinates of the targets along a target axis, `(count,)` float64, rid of noise below 1e-6 voxel."""
    source = order[axis]
    exact = matrix[source, axis] * np.arange(count) + matrix[source, 3]
    whole = np.round(exact * 2) / 2
    return np.where(np.abs(exact - whole) < 1e-6, whole, exact)


def _outside(positions: np.ndarray, count: int) -> np.ndarray:
    return np.flatnonzero((positions < -0.5) | (positions > count - 0.5))


def _taps(positions: np.ndarray, count: int, width: float) -> Taps:
    """Weights of linear interpolation, averaged over `width` source voxels around each position (0: none).

    The weight of voxel x is the integral over the window of the tent around x: exact on straight ramps everywhere.
    """
    blocks = []
    reach = width / 2 + 1
    for first in range(0, len(positions), _BLOCK):
        block = np.clip(positions[first : first + _BLOCK], -0.5, count - 0.5)
        near = np.arange(int(np.floor(block.min() - reach)), int(np.ceil(block.max() + reach)) + 1)
        away = block[:, None] - near[None, :]
        if width:
            weights = (_tent_integral(away + width / 2) - _tent_integral(away - width / 2)) / width
        else:
            weights = np.maximum(0.0, 1.0 - np.abs(away))
        sources = np.clip(near, 0, count - 1)
        start, stop = int(sources.min()), int(sources.max()) + 1
        folded = np.zeros((len(block), stop - start))
        np.add.at(folded.T, sources - start, weights.T)  # beyond the border the outermost voxel goes on
        targets = slice(first, first + len(block))
        blocks.append((targets, slice(start, stop), folded.astype(np.float32)))
    return Taps(tuple(blocks), count, len(positions))


def _tent_integral(x: np.ndarray) -> np.ndarray:
    """Integral of the tent max(0, 1 - |t|) from minus infinity to x."""
    x = np.clip(x, -1.0, 1.0)
    return np.where(x < 0, (x + 1) ** 2 / 2, 1 - (1 - x) ** 2 / 2)


def _separable(source: np.ndarray, taps: list[Taps]) -> np.ndarray:
    """Apply one set of taps per axis; works with the fastest axis of the memory last, whatever the order given."""
    order = _slowest_first(source)
    back = np.argsort(order)
    source, taps = source.transpose(order), [taps[axis] for axis in order]
    slow, rows, columns = taps
    if slow.sources * rows.targets * columns.targets <= slow.targets * rows.sources * columns.sources:
        out = _along_slow(_in_plane(source, rows, columns), slow)
    else:
        out = _in_plane(_along_slow(source, slow), rows, columns)
    return out.transpose(back)


def _in_plane(source: np.ndarray, rows: Taps, columns: Taps) -> np.ndarray:
    """Interpolate the last two axes, slab by slab: (N, rows, columns) -> (N, rows', columns') float32."""
    out = np.empty((source.shape[0], rows.targets, columns.targets), dtype=np.float32)
    slab = max(1, _SLAB_BYTES // (4 * source.shape[1] * source.shape[2]))
    for first in range(0, source.shape[0], slab):
        part = np.ascontiguousarray(source[first : first + slab], dtype=np.float32)
        narrow = np.empty((*part.shape[:2], columns.targets), dtype=np.float32)
        flat, flat_narrow = part.reshape(-1, columns.sources), narrow.reshape(-1, columns.targets)
        for targets, sources, weights in columns.blocks:
            height = max(1, _PRODUCT // weights.size)
            for at in range(0, len(flat), height):
                piece = slice(at, at + height)
                np.matmul(flat[piece, sources], weights.T, out=flat_narrow[piece, targets])
        for targets, sources, weights in rows.blocks:
            _multiply(weights, narrow[:, sources], out[first : first + slab, targets])
    return out


def _along_slow(source: np.ndarray, taps: Taps) -> np.ndarray:
    """Interpolate the first axis, block by block: (N, rows, columns) -> (N', rows, columns) float32."""
    out = np.empty((taps.targets, *source.shape[1:]), dtype=np.float32)
    for targets, sources, weights in taps.blocks:
        part = np.ascontiguousarray(source[sources], dtype=np.float32)
        _multiply(weights, part.reshape(len(part), -1), out[targets].reshape(len(weights), -1))
    return out


def _multiply(weights: np.ndarray, source: np.ndarray, out: np.ndarray) -> None:
    """Put `weights @ source` into `out`, some columns at a time."""
    width = max(1, _PRODUCT // weights.size)
    for at in range(0, source.shape[-1], width):
        np.matmul(weights, source[..., at : at + width], out=out[..., at : at + width])


def _slowest_first(array: np.ndarray) -> tuple[int, ...]:
    return tuple(int(axis) for axis in np.argsort([-abs(stride) for stride in array.strides], kind="stable"))


def _take(array: np.ndarray, index: np.ndarray, axis: int) -> np.ndarray:
    """Pick along one axis, as a view where the indices run evenly, keeping the memory order."""
    steps = np.diff(index)
    if len(steps) and steps[0] > 0 and (steps == steps[0]).all():
        return array[(slice(None),) * axis + (slice(int(index[0]), int(index[-1]) + 1, int(steps[0])),)]
    order = _slowest_first(array)
    taken = np.take(array.transpose(order), index, axis=order.index(axis))
    return taken.transpose(np.argsort(order))


def _smooth(voxels: np.ndarray, widths: list[float]) -> np.ndarray:
    """Average over `widths` source voxels along each axis (0: not at all), on the source's own grid."""
    taps = [_taps(np.arange(n, dtype=np.float64), n, width) for n, width in zip(voxels.shape, widths, strict=True)]
    return _separable(voxels, taps)


def _itk(
    voxels: np.ndarray, matrix: np.ndarray, shape: tuple[int, int, int], fill: float, *, linear: bool
) -> np.ndarray:
    """Resample along any affine map, in index space so that ITK sees neither shear nor patient."""
    import SimpleITK

    source = voxels.transpose(2, 1, 0)
    if source.dtype == bool:
        source = source.view(np.uint8)
    if not source.dtype.isnative or source.dtype == np.float16:
        source = source.astype(np.float32 if linear else source.dtype.newbyteorder("="))
    transform = SimpleITK.AffineTransform(3)
    transform.SetMatrix(matrix[:3, :3].ravel().tolist())
    transform.SetTranslation(matrix[:3, 3].tolist())
    resampler = SimpleITK.ResampleImageFilter()
    resampler.SetSize([int(n) for n in shape])
    resampler.SetTransform(transform)
    resampler.SetInterpolator(SimpleITK.sitkLinear if linear else SimpleITK.sitkNearestNeighbor)
    resampler.SetDefaultPixelValue(float(fill))
    if linear:
        resampler.SetOutputPixelType(SimpleITK.sitkFloat32)
    out = SimpleITK.GetArrayFromImage(resampler.Execute(SimpleITK.GetImageFromArray(source))).transpose(2, 1, 0)
    return out if linear else out.astype(voxels.dtype, copy=False)
