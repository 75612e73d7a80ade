"""Integrated gradients: what of the score each part adds on the way from a blurred volume to the volume."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.nn import functional

from medfm_core.errors import InputError
from medfm_core.layers.patches import patch_grid
from medfm_core.progress import SILENT, Progress
from medfm_core.saliency.quiet import quiet
from medfm_core.saliency.targets import Encoder, Target, check_volume, score_volumes


@dataclass(frozen=True)
class IntegratedGradients:
    """A saliency method for any encoder that can be differentiated, however it makes a vector of its tokens.

    Attributes:
        steps: points on the way at which the gradient is taken.
        blur_patches: standard deviation, in patches, of the blurred volume where the way begins.

    Source: arXiv:1703.01365, along a straight line, by the midpoint rule.
    """

    steps: int = 8
    blur_patches: float = 4.0

    def __post_init__(self) -> None:
        if self.steps < 1 or not self.blur_patches > 0:
            raise ValueError("steps and blur_patches must be above 0")

    def __call__(self, encoder: Encoder, volume: Tensor, target: Target, progress: Progress = SILENT) -> Tensor:
        """Explain a score.

        Args:
            encoder: with `config.patch_size`, voxels along D, H, W.
            volume: `(1, C, D, H, W)`.
            target: a differentiable score of the embedding.
            progress: told of every step.

        Returns:
            What each patch adds to the score, where it is positive: `(D / patch, H / patch, W / patch)` float32.

        Raises:
            InputError: not one volume that divides into patches, or a score that cannot be differentiated.
            CancelledError: no more is wanted.
        """
        check_volume(volume)
        patch = tuple(encoder.config.patch_size)
        patch_grid(volume.shape[2:], patch)
        nothing = blurred_by_patches(volume, patch, self.blur_patches)
        with quiet(encoder), progress.stage("Follow the gradients", self.steps) as stage:
            parts = integrated(
                lambda some: score_volumes(encoder, some, target).sum(), (nothing, volume), self.steps, stage.advance
            )
        return per_patch(parts, patch).clamp(min=0)


def integrated(
    score: Callable[[Tensor], Tensor],
    way: tuple[Tensor, Tensor],
    steps: int,
    done: Callable[[], None] = lambda: None,
) -> Tensor:
    """Share a score's change between two volumes out among the voxels.

    Args:
        score: volume `(1, C, D, H, W)` to one number, differentiable.
        way: where it begins and ends.
        steps: points at which the gradient is taken.
        done: called after each.

    Returns:
        `(C, D, H, W)` float32; its sum comes nearer to `score(end) - score(begin)` with every step more.

    Raises:
        InputError: the score cannot be differentiated.
    """
    begin, end = (one.detach().float() for one in way)
    total = torch.zeros_like(end)
    with torch.inference_mode(False), torch.enable_grad():
        begin, end = begin.clone(), end.clone()  # what was made in inference mode takes no part in gradients
        for step in range(steps):
            point = torch.lerp(begin, end, (step + 0.5) / steps).requires_grad_()
            found = score(point)
            if not found.requires_grad:
                raise InputError("the score cannot be differentiated", "use occlusion instead")
            total = total + torch.autograd.grad(found, point)[0]
            done()
    return ((end - begin) * total / steps)[0]


def blurred_by_patches(volume: Tensor, patch: Sequence[int], sigma: float) -> Tensor:
    """Blur a volume until what is smaller than `sigma` patches is gone; the mean of each patch is what is blurred.

    Args:
        volume: `(1, C, D, H, W)`, sides multiples of the patch's.
        patch: voxels of a patch along D, H, W.
        sigma: standard deviation of the Gaussian in patches; the border patch goes on outside.

    Returns:
        The same shape.
    """
    means = functional.avg_pool3d(volume.float(), tuple(patch))
    smooth = gaussian_filter(means.cpu().numpy(), (0, 0, sigma, sigma, sigma), mode="nearest")
    found = torch.from_numpy(smooth).to(volume.device)
    return functional.interpolate(found, size=volume.shape[2:], mode="trilinear", align_corners=False).to(volume.dtype)


def per_patch(parts: Tensor, patch: Sequence[int]) -> Tensor:
    """Mean over the voxels of each patch of what all channels add, `(d, h, w)` float32."""
    return functional.avg_pool3d(parts.sum(dim=0)[None, None], tuple(patch))[0, 0]
