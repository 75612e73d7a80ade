"""The one preprocessing path of the volume models: what a card says, done the same in training and inference.

A CT becomes: voxels in the card's orientation, cropped as the card says, resampled to its spacing, then one channel per
intensity window, or one scaled channel. Training stores the volume after `to_model_grid` and applies `to_channels` to
its augmented copies; inference applies both in a row. A golden test pins the result.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from medfm_core.body import body_box
from medfm_core.card_inputs import InputSpec, Intensity
from medfm_core.errors import InputError
from medfm_core.geometry import Grid
from medfm_core.volume import Volume, crop, foreground_box, reorient, resample, resample_to

if TYPE_CHECKING:
    import torch

BODY_MARGIN_MM = 12.0
_POSITIVE_MARGIN = 10


def to_model_grid(volume: Volume, spec: InputSpec) -> tuple[Volume, Volume]:
    """Orient and crop a CT, then resample it to the model's spacing.

    Args:
        volume: a CT in HU.
        spec: the card's `input` entry.

    Returns:
        The cropped volume at its own spacing (a view of the input) and the same on the model's grid, float32.
    """
    oriented = reorient(volume, spec.orientation) if spec.orientation else volume
    cropped = crop(oriented, *body_box(oriented, BODY_MARGIN_MM)) if spec.crop == "body" else oriented
    if spec.spacing_mm is None:
        on_grid = cropped
    elif spec.resampling == "first_to_last":
        on_grid = _first_to_last(cropped, np.array(spec.spacing_mm))
    else:
        on_grid = resample(cropped, spec.spacing_mm)
    return cropped, _around_positive(on_grid) if spec.crop == "positive" else on_grid


def _first_to_last(volume: Volume, spacing_mm: np.ndarray) -> Volume:
    """Resample as MONAI's Spacing does: from the first voxel, to where another step would go beyond the last.

    The last of the new voxels may lie up to half a step behind the last of the old, whose value goes on there.
    """
    scale = spacing_mm / np.array(volume.spacing)
    shape = np.round((np.array(volume.shape) - 1) / scale + 1).astype(int)
    beyond = np.ceil((shape - 1) * scale - (np.array(volume.shape) - 1) - 1e-6).astype(int).clip(0)
    if beyond.any():
        volume = replace(volume, voxels=np.pad(volume.voxels, [(0, n) for n in beyond], mode="edge"))
    grid = Grid(tuple(shape.tolist()), volume.affine @ np.diag([*scale, 1.0]))
    return resample_to(volume, grid, antialias=False)


def _around_positive(volume: Volume) -> Volume:
    """Keep the box of all that is above 0 HU, with a margin; the whole volume where nothing is."""
    box = foreground_box(volume.voxels > 0)
    if box is None:
        return volume
    start, stop = np.array(box[0]) - _POSITIVE_MARGIN, np.array(box[1]) + _POSITIVE_MARGIN
    return crop(volume, start.clip(0), np.minimum(stop, volume.shape))


def to_channels(hu: torch.Tensor, intensity: Intensity) -> torch.Tensor:
    """Turn HU into the net's input channels.

    Args:
        hu: `(..., D, H, W)` float32.
        intensity: the card's rule: `windows` (one channel each), or `clip_scale`, `zscore_minmax` (one channel; the
            latter looks at all voxels that it is given) or `none` (one channel, as it is).

    Returns:
        `(..., C, D, H, W)` float32 within `intensity.to`, if the rule has one.

    Raises:
        InputError: a rule that volume models of this kind do not use.
    """
    import torch

    if intensity.kind == "zscore_minmax":
        return _zscore_minmax(hu, intensity.to).unsqueeze(-4)
    if intensity.kind == "none":
        return hu.unsqueeze(-4)
    if intensity.kind == "windows":
        ranges = [(w.level - w.width / 2, w.level + w.width / 2) for w in intensity.windows]
    elif intensity.kind == "clip_scale":
        ranges = [intensity.hu]
    else:
        raise InputError(f"the intensity rule {intensity.kind!r} is not one of the volume models'", "use another model")
    bottom, top = intensity.to
    channels = [((hu - low) * ((top - bottom) / (high - low)) + bottom).clamp_(bottom, top) for low, high in ranges]
    return torch.stack(channels, dim=-4)


def _zscore_minmax(hu: torch.Tensor, to: tuple[float, float]) -> torch.Tensor:
    """MONAI's NormalizeIntensity of nonzero voxels followed by its ScaleIntensity: voxels of exactly 0 HU stay 0."""
    import torch

    measured = hu[hu != 0]
    if not measured.numel():
        return torch.full_like(hu, to[0])
    deviation = measured.std(unbiased=False)
    scores = torch.where(hu != 0, (hu - measured.mean()) / (deviation if deviation > 0 else 1.0), hu)
    least, most = scores.min(), scores.max()
    return (scores - least).div_((most - least).clamp(min=1e-12)).mul_(to[1] - to[0]).add_(to[0])
