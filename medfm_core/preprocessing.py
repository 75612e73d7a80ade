"""The one preprocessing path of the volume models: what a card says, done the same in training and inference.

A CT becomes: voxels in the card's orientation, cropped to the body, resampled to the card's spacing, then one channel
per intensity window. Training stores the volume after `to_model_grid` and applies `to_channels` to its augmented
copies; inference applies both in a row. A golden test pins the result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from medfm_core.card_parts import InputSpec, Intensity
from medfm_core.errors import InputError
from medfm_core.volume import Volume, crop, reorient, resample

if TYPE_CHECKING:
    import torch

BODY_MARGIN_MM = 12.0
_BODY_HU = -300.0
_COARSE_MM = 8.0


def body_box(volume: Volume, margin_mm: float = BODY_MARGIN_MM) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Find the voxel box `[start, stop)` around the body in a CT.

    The body is the largest connected piece above -300 HU on an 8 mm grid after an opening, so that tables, wires and
    blankets fall away; the box keeps the full extent of the volume along any axis where no body is found.

    Args:
        volume: a CT in HU, any orientation.
        margin_mm: margin kept around the body.
    """
    from scipy import ndimage

    steps = [max(1, round(_COARSE_MM / s)) for s in volume.affine.spacing]
    coarse = volume.voxels[:: steps[0], :: steps[1], :: steps[2]] > _BODY_HU
    opened = ndimage.binary_opening(coarse, iterations=1)
    pieces, count = ndimage.label(opened if opened.any() else coarse)
    if count == 0:
        return (0, 0, 0), volume.shape
    largest = 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
    start, stop = [], []
    for axis, extent in enumerate(ndimage.find_objects(pieces)[largest - 1]):
        margin = margin_mm / volume.affine.spacing[axis] + steps[axis]
        start.append(max(0, int(extent.start * steps[axis] - margin)))
        stop.append(min(volume.shape[axis], int(np.ceil(extent.stop * steps[axis] + margin))))
    return tuple(start), tuple(stop)


def to_model_grid(volume: Volume, spec: InputSpec) -> tuple[Volume, Volume]:
    """Orient and crop a CT, then resample it to the model's spacing.

    Args:
        volume: a CT in HU.
        spec: the card's `input` entry.

    Returns:
        The cropped volume at its own spacing (a view of the input) and the same on the model's grid, float32.
    """
    oriented = reorient(volume, spec.orientation) if spec.orientation else volume
    cropped = crop(oriented, *body_box(oriented))
    return cropped, resample(cropped, spec.spacing_mm) if spec.spacing_mm else cropped


def to_channels(hu: torch.Tensor, intensity: Intensity) -> torch.Tensor:
    """Turn HU into the net's input channels.

    Args:
        hu: `(..., D, H, W)` float32.
        intensity: the card's rule, `windows` (one channel each) or `clip_scale` (one channel).

    Returns:
        `(..., C, D, H, W)` float32 within `intensity.to`.

    Raises:
        InputError: a rule that volume models of this kind do not use.
    """
    import torch

    if intensity.kind == "windows":
        ranges = [(w.level - w.width / 2, w.level + w.width / 2) for w in intensity.windows]
    elif intensity.kind == "clip_scale":
        ranges = [intensity.hu]
    else:
        raise InputError(f"the intensity rule {intensity.kind!r} is not one of the volume models'", "use another model")
    bottom, top = intensity.to
    channels = [((hu - low) * ((top - bottom) / (high - low)) + bottom).clamp_(bottom, top) for low, high in ranges]
    return torch.stack(channels, dim=-4)
