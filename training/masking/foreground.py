"""Where a scan shows tissue, voxel by voxel and token by token."""

from __future__ import annotations

import torch
from torch import Tensor

from medfm_core.layers.patches import patchify

_LOOKED_AT = 100_000  # voxels that decide the threshold
_SHARE = 0.1  # of the way from the dark to the bright end, and of a token's voxels


def foreground_voxels(image: Tensor) -> Tensor:
    """Find voxels that are clearly brighter than the dark ones.

    To be called before noise, shifts of the intensity and the like: after them nearly everything counts as tissue.

    Args:
        image: `(C, D, H, W)`, float.

    Returns:
        `(D, H, W)` bool: the largest absolute value of the channels lies above a tenth of the way between the 2nd and
        the 98th percentile; above 0 where these are the same.

    Source: Neuro-JEPA spec, sections 6.1 and 14.3.
    """
    strength = image.float().abs().amax(dim=0)
    some = strength.flatten()[:: max(1, strength.numel() // _LOOKED_AT)]
    low, high = some.quantile(torch.tensor([0.02, 0.98], device=some.device)).tolist()
    return strength > (low + _SHARE * (high - low) if high > low else 0.0)


def foreground_tokens(voxels: Tensor, patch: tuple[int, int, int]) -> Tensor:
    """Find tokens with tissue in at least a tenth of their voxels.

    Args:
        voxels: `(D, H, W)` bool.
        patch: voxels of a token along D, H, W.

    Returns:
        `(N,)` bool, W fastest.

    Raises:
        InputError: the volume does not divide into patches.

    Source: Neuro-JEPA spec, section 6.1.
    """
    return patchify(voxels[None, None].float(), patch)[0].mean(dim=-1) >= _SHARE
