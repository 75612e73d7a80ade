"""What stands in for a part of a volume that is taken away."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

Box = tuple[slice, slice, slice]


def blurred(volume: Tensor, sigma_voxels: Sequence[float]) -> Tensor:
    """Blur a volume until what is smaller than `sigma_voxels` is gone.

    Args:
        volume: `(B, C, D, H, W)`.
        sigma_voxels: standard deviations of the Gaussian along D, H, W; the border voxel goes on outside.
    """
    smooth = gaussian_filter(volume.detach().float().cpu().numpy(), (0, 0, *sigma_voxels), mode="nearest")
    return torch.from_numpy(smooth).to(volume)


def surround_mean(volume: Tensor, box: Box, reach: Sequence[int]) -> Tensor:
    """Average each channel around a box, without what lies in it.

    Args:
        volume: `(B, C, D, H, W)`.
        box: what is left out, along D, H, W.
        reach: voxels looked at beyond each face of the box, as far as the volume goes.

    Returns:
        `(B, C, 1, 1, 1)`; the mean of the whole volume where nothing lies around the box.
    """
    grown = tuple(slice(max(0, part.start - r), part.stop + r) for part, r in zip(box, reach, strict=True))
    outer, inner = volume[(..., *grown)], volume[(..., *box)]
    count = outer[0, 0].numel() - inner[0, 0].numel()
    axes = (-3, -2, -1)
    if not count:
        return volume.mean(dim=axes, keepdim=True)
    rim = outer.float().sum(dim=axes, keepdim=True) - inner.float().sum(dim=axes, keepdim=True)
    return (rim / count).to(volume.dtype)
