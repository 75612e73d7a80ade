"""How a brain MRI becomes the network's box: the published loading chain, with an affine that follows every step.

| step | training order (default) | notebook order |
|---|---|---|
| 1 | orient | orient |
| 2 | percentiles of all voxels to [0, 1], clipped | resample |
| 3 | pad or crop around the middle to 1.8 times the size, in voxels | crop to what is not 0 |
| 4 | resample to the card's spacing (1 mm) by splines of degree 5 | pad or crop around the middle |
| 5 | crop to what is not 0, with 4 voxels around it | area-resize to the size |
| 6 | area-resize to the size | crop around the middle, then scale by percentiles |

Padding is 0 here; the release repeats the outermost voxels, which differs only where the brain touches the edge of the
image, and would draw its last slice out to the end of the box.

The training order stretches every brain to the same box, each axis by itself, so that its size is lost; the notebook
order keeps it. The two are not interchangeable. Of the card's `input` entry `orientation`, `spacing_mm`, `size` and
`intensity` are read. The result's axes are the network's (D, H, W), and its affine says where its voxels lie in the
patient: whatever is computed there comes back by `resample_to`.

Source: Neuro-JEPA spec, section 1.2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from scipy import ndimage

from medfm_core.card_inputs import InputSpec, Intensity
from medfm_core.errors import InputError
from medfm_core.volume import Volume, crop, foreground_box, reorient

Order = Literal["training", "notebook"]

PADDED = 1.8  # voxels around the middle that are kept, per voxel of the size: 180 x 216 x 180 for 100 x 120 x 100
MARGIN = 4
SPLINE_DEGREE = 5
_SPLINE_REACH = 12  # voxels after which nothing of a spline is left
_RINGING = 0.02  # of the brightest voxel


def to_brain_grid(
    volume: Volume, spec: InputSpec, order: Order = "training", crop_size: Sequence[int] | None = None
) -> Volume:
    """Prepare a brain MRI; registration and skull stripping come before this.

    Args:
        volume: as read, 0 around the brain.
        spec: the card's `input` entry.
        order: of the steps.
        crop_size: what the network looks at of the box, (D, H, W); in the notebook order the percentiles are taken
            over it, in the training order it only cuts. None for the whole box.

    Returns:
        Array axes (D, H, W), float32; about 0 to 1, splines may go beyond.

    Raises:
        InputError: the card has no size, spacing or percentiles, or nothing in the volume is above 0.
    """
    _check(spec, order)
    image = oriented(volume, spec.orientation)
    size = tuple(spec.size)
    padded = tuple(round(PADDED * side) for side in size)
    if order == "training":
        image = image.with_voxels(scale_by_percentiles(image.voxels, spec.intensity))
        image = _tissue_at(centre_fitted(image, padded), spec)
        image = area_resized(image, size)
    else:
        image = _tissue_at(image, spec)
        image = area_resized(centre_fitted(image, padded), size)
    if crop_size is not None:
        image = centre_fitted(image, tuple(crop_size))
    if order == "notebook":
        image = image.with_voxels(scale_by_percentiles(image.voxels, spec.intensity))
    return image


def scale_by_percentiles(voxels: np.ndarray, intensity: Intensity) -> np.ndarray:
    """Clip to two percentiles of all voxels, those of the background included, and scale linearly to `intensity.to`."""
    values = voxels.astype(np.float32)
    low, high = np.percentile(values, intensity.percentiles)
    bottom, top = intensity.to
    if not high > low:
        return np.full_like(values, bottom)
    return np.clip((values - low) * ((top - bottom) / (high - low)) + bottom, bottom, top).astype(np.float32)


def centre_fitted(volume: Volume, size: Sequence[int]) -> Volume:
    """Pad with 0 or crop every axis around the middle until it has `size` voxels, `(3,)`."""
    start = [(have - want) // 2 if have > want else 0 for have, want in zip(volume.shape, size, strict=True)]
    stop = [first + min(have, want) for first, have, want in zip(start, volume.shape, size, strict=True)]
    kept = crop(volume, start, stop)
    missing = [want - have for want, have in zip(size, kept.shape, strict=True)]
    if not any(missing):
        return kept
    widths = [(count // 2, count - count // 2) for count in missing]
    step = np.eye(4)
    step[:3, 3] = [-before for before, _ in widths]
    return replace(kept, voxels=np.pad(kept.voxels, widths), affine=kept.affine @ step)


def resample_spline(volume: Volume, spacing_mm: Sequence[float]) -> Volume:
    """Give the voxels another spacing by splines of degree 5; the first voxel's centre stays where it is."""
    factor = np.array(spacing_mm) / np.array(volume.spacing)
    if np.allclose(factor, 1, rtol=1e-3):
        return volume
    shape = tuple(int(n) for n in np.maximum(np.rint((np.array(volume.shape) - 1) / factor) + 1, 1))
    voxels = volume.voxels.astype(np.float32)
    for axis, (count, step) in enumerate(zip(shape, factor, strict=True)):  # a spline of three axes is three splines
        weights = _spline_weights(voxels.shape[axis], count, float(step))
        voxels = np.moveaxis(np.tensordot(weights, voxels, axes=(1, axis)), 0, axis)
    return replace(volume, voxels=voxels, affine=volume.affine @ np.diag([*factor, 1.0]))


def area_resized(volume: Volume, size: Sequence[int]) -> Volume:
    """Bring every axis to `size` voxels by averaging; what a new voxel touches counts whole.

    Source: adaptive average pooling, as PyTorch's and MONAI's `area` mode.
    """
    return axis_resized(volume, size, _averages)


def axis_resized(volume: Volume, size: Sequence[int], weights: Callable[[int, int], np.ndarray]) -> Volume:
    """Bring every axis to a number of voxels that fill the image from its first face to its last.

    Args:
        volume: any volume.
        size: voxels along each array axis.
        weights: of the old voxels of an axis in each new one, `(want, have)` for `have` and `want` voxels.

    Returns:
        float32; the affine follows.
    """
    values = volume.voxels.astype(np.float32)
    for axis, count in enumerate(size):
        values = np.moveaxis(np.tensordot(weights(values.shape[axis], count), values, axes=(1, axis)), 0, axis)
    factor = np.array(volume.shape) / np.array(size)
    step = np.diag([*factor, 1.0])
    step[:3, 3] = (factor - 1) / 2
    return replace(volume, voxels=np.ascontiguousarray(values, np.float32), affine=volume.affine @ step)


def _spline_weights(have: int, want: int, step: float) -> np.ndarray:
    """Weights `(want, have)` float32 that read a spline through `have` values every `step` of them."""
    columns = [
        ndimage.affine_transform(unit, [step], output_shape=(want,), order=SPLINE_DEGREE, mode="nearest")
        for unit in np.eye(have)
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def _averages(have: int, want: int) -> np.ndarray:
    """Weights `(want, have)`: each row averages the voxels that it touches."""
    weights = np.zeros((want, have), np.float32)
    for row in range(want):
        first, last = row * have // want, -((-(row + 1) * have) // want)
        weights[row, first:last] = 1 / (last - first)
    return weights


def oriented(volume: Volume, codes: str) -> Volume:
    """Turn to the orientation of a card and reverse the axes to (D, H, W); what is no number becomes 0.

    Args:
        volume: any volume.
        codes: axis codes, e.g. "SAR".
    """
    turned = reorient(volume, codes)
    step = np.zeros((4, 4))
    step[[0, 1, 2, 3], [2, 1, 0, 3]] = 1.0
    voxels = np.nan_to_num(turned.voxels.transpose(2, 1, 0).astype(np.float32), posinf=0.0, neginf=0.0)
    return replace(turned, voxels=voxels, affine=turned.affine @ step)


def _tissue_at(volume: Volume, spec: InputSpec) -> Volume:
    """Resample and crop to tissue.

    What splines leave around a brain oscillates about 0 and falls by half with every voxel; it is not counted as
    tissue, and 0 far from the brain is not resampled at all.
    """
    if np.allclose(volume.spacing, spec.spacing_mm, rtol=1e-3):
        return _cropped_to_tissue(volume, 0.0)
    fine = resample_spline(_cropped_to_tissue(volume, 0.0, _SPLINE_REACH), tuple(spec.spacing_mm))
    return _cropped_to_tissue(fine, _RINGING * float(fine.voxels.max()))


def _cropped_to_tissue(volume: Volume, above: float, margin: int = MARGIN) -> Volume:
    """Crop to the box of what is above a value, with a margin where the volume has one."""
    box = foreground_box(volume.voxels > above)
    if box is None:
        raise InputError("nothing in the image is above 0", "give a brain MRI with 0 around the brain")
    start = [max(first - margin, 0) for first in box[0]]
    stop = [min(last + margin, side) for last, side in zip(box[1], volume.shape, strict=True)]
    return crop(volume, start, stop)


def _check(spec: InputSpec, order: str) -> None:
    if order not in ("training", "notebook"):
        raise InputError(f"the order {order!r} is not known", "give training or notebook")
    if spec.size is None or spec.spacing_mm is None or spec.orientation is None:
        raise InputError("the input entry has no size, spacing_mm or orientation", "a brain's box needs all three")
    if spec.intensity.kind != "percentiles":
        raise InputError(f"the intensity rule {spec.intensity.kind!r} is not one of brains", "give percentiles")
