"""The one preprocessing path of the volume models: what a card says, done the same in training and inference.

A CT becomes: voxels in the card's orientation, cropped to the body, resampled to the card's spacing, then one channel
per intensity window. Training stores the volume after `to_model_grid` and applies `to_channels` to its augmented
copies; inference applies both in a row. A golden test pins the result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from medfm_core.body import body_box
from medfm_core.card_parts import InputSpec, Intensity
from medfm_core.errors import InputError
from medfm_core.volume import Volume, crop, reorient, resample

if TYPE_CHECKING:
    import torch

BODY_MARGIN_MM = 12.0


def to_model_grid(volume: Volume, spec: InputSpec) -> tuple[Volume, Volume]:
    """Orient and crop a CT, then resample it to the model's spacing.

    Args:
        volume: a CT in HU.
        spec: the card's `input` entry.

    Returns:
        The cropped volume at its own spacing (a view of the input) and the same on the model's grid, float32.
    """
    oriented = reorient(volume, spec.orientation) if spec.orientation else volume
    cropped = crop(oriented, *body_box(oriented, BODY_MARGIN_MM))
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
