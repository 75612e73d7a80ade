"""Any image as slices: the way volumes, thick stacks and 2D images take to networks that adapt to voxel spacing.

The axis across the slices comes first, pixels are square, and nothing finer than the card's spacing is kept; slices
stay as thick as they are. Training stores what `to_slices` returns and applies `scaled` to its augmented crops.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import log
from typing import TYPE_CHECKING

import numpy as np

from medfm_core.body import body_box
from medfm_core.card_inputs import InputSpec, Intensity
from medfm_core.io import clamp_air
from medfm_core.layers.anisotropy import SINGLE_SLICE_SPACING_MM
from medfm_core.preprocessing import BODY_MARGIN_MM, to_channels
from medfm_core.volume import Volume, crop, foreground_box, reorient, resample

if TYPE_CHECKING:
    from torch import Tensor

MOST_PIXELS = 512
_BACKGROUND_PERCENT = 0.5
_PLANES = {"S": "SPL", "I": "SPL", "A": "PIL", "P": "PIL", "L": "LIP", "R": "LIP"}
_SAME = 1e-3


def to_slices(volume: Volume, spec: InputSpec) -> Volume:
    """Bring an image to slices, rows and columns.

    Args:
        volume: with its modality, where it is known.
        spec: the card's `input` entry: `crop` "body" keeps the body of a CT, and of other images the box of what is
            brighter than their background; `spacing_mm` is the finest spacing along D, H, W that is kept.

    Returns:
        Array axes `(D, H, W)`: slices from feet to head, front to back or right to left; the rows of their pictures
        top down, the columns from the left of the picture. A 2D image has one slice.

    Source: SPAD spec, section 7, steps 1 to 3, but for square pixels and the least spacing, which are ours.
    """
    found = slices_first(clamp_air(volume) if volume.modality == "CT" else volume)
    if spec.crop == "body":
        found = crop(found, *_content(found))
    return _resampled(found, spec.spacing_mm or (0.0, 0.0, 0.0))


def slices_first(volume: Volume) -> Volume:
    """Turn the axes so that slices come first, then rows and columns of their pictures; no voxel changes."""
    return reorient(volume, _PLANES[volume.affine.codes[slice_axis(volume)]])


def slice_axis(volume: Volume) -> int:
    """The array axis across the slices.

    It is the one of a single voxel; else the one without which the spacings agree best; of several, the coarsest; of
    several, the one that runs nearest to the body's axis.
    """
    if 1 in volume.shape:
        return max(axis for axis in range(3) if volume.shape[axis] == 1)

    def rank(axis: int) -> tuple[float, float, bool]:
        one, other = (step for place, step in enumerate(volume.spacing) if place != axis)
        disagreement, size = abs(log(one / other)), log(volume.spacing[axis])
        return round(disagreement, 2), -round(size, 2), volume.affine.codes[axis] not in "SI"

    return min(range(3), key=rank)


def slice_spacing(shape: Sequence[int], spacing_mm: Sequence[float]) -> tuple[float, float, float]:
    """Spacing along D, H, W by which the degree of anisotropy is told: a single slice is infinitely thick.

    Args:
        shape: voxels along D, H, W.
        spacing_mm: of the voxels.
    """
    depth, rows, columns = spacing_mm
    return (SINGLE_SLICE_SPACING_MM if shape[0] == 1 else depth), rows, columns


def scaled(volume: Volume, spec: InputSpec) -> Tensor:
    """The network's channels of an image, `(C, D, H, W)` float32, by the card's rule for its modality.

    Args:
        volume: from `to_slices`.
        spec: the card's `input` entry.

    Raises:
        InputError: a rule that networks of this kind do not use.
    """
    import torch

    values = torch.from_numpy(np.array(volume.voxels, dtype=np.float32, order="C"))
    return to_channels(values, value_rule(volume, spec))


def value_rule(volume: Volume, spec: InputSpec) -> Intensity:
    """The card's rule for an image's values, percentiles of the whole image put in."""
    rule = spec.intensity_of(volume.modality)
    if rule.kind != "percentiles":
        return rule
    return between(rule, *np.percentile(volume.voxels, rule.percentiles))


def between(rule: Intensity, low: float, high: float) -> Intensity:
    """A rule of percentiles for an image whose percentiles are known."""
    return Intensity("clip_scale", hu=(float(low), float(high if high > low else low + 1.0)), to=rule.to)


def _content(volume: Volume) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if volume.modality == "CT":
        return body_box(volume, BODY_MARGIN_MM) if volume.shape[0] > 1 else ((0, 0, 0), volume.shape)
    above = volume.voxels[volume.voxels > volume.voxels.min()]
    if not above.size:
        return (0, 0, 0), volume.shape
    return foreground_box(volume.voxels >= np.percentile(above, _BACKGROUND_PERCENT)) or ((0, 0, 0), volume.shape)


def _resampled(volume: Volume, finest_mm: Sequence[float]) -> Volume:
    depth, *pixels = volume.spacing
    side = max(*pixels, *finest_mm[1:])
    shorter = min(n * step for n, step in zip(volume.shape[1:], pixels, strict=True))
    side = max(side, shorter / MOST_PIXELS)
    wanted = np.array([depth if volume.shape[0] == 1 else max(depth, finest_mm[0]), side, side])
    if np.allclose(wanted, volume.spacing, rtol=_SAME):
        return volume
    found = resample(volume, wanted)
    return replace(found, voxels=np.ascontiguousarray(found.voxels))
