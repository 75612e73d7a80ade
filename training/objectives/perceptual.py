"""Losses that compare what slices show rather than their values, by name."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from medfm_core.errors import InputError

PerceptualName = Literal["none", "edges", "lpips"]


class EdgeLoss(nn.Module):
    """Mean absolute difference of the steps between neighbouring pixels, at several resolutions.

    Unlike a perceptual net it has no weights. It asks for edges where the volume has them, which a mean of absolute
    differences alone lets blur.

    Args:
        scales: resolutions, each half the one before; those below two pixels are left out.

    Shapes:
        Two sets of slices `(S, C, H, W)` to a scalar.
    """

    def __init__(self, scales: int = 3) -> None:
        super().__init__()
        self.scales = scales

    def forward(self, drawn: Tensor, real: Tensor) -> Tensor:
        """Compare drawn slices with real ones."""
        difference = drawn.float() - real.float()
        losses = []
        for scale in range(self.scales):
            if min(difference.shape[-2:]) < 2:
                break
            losses.append(difference.diff(dim=-1).abs().mean() + difference.diff(dim=-2).abs().mean())
            if scale + 1 < self.scales:
                difference = functional.avg_pool2d(difference, 2)
        return torch.stack(losses).mean() if losses else difference.sum() * 0.0


def make_perceptual(name: PerceptualName, weights: str | None) -> nn.Module | None:
    """Build a perceptual loss, a module from two sets of slices `(S, 3, H, W)` in [-1, 1] to a scalar.

    Args:
        name: `none`, `edges` (`EdgeLoss`) or `lpips` (`Lpips`, whose weights the user brings).
        weights: safetensors file of `lpips`.

    Raises:
        InputError: weights are missing, or given to a loss that has none.
        WeightsError: the weights cannot be used.
    """
    if (name == "lpips") != (weights is not None):
        raise InputError(
            f"the perceptual loss {name!r} {'needs' if weights is None else 'has no'} weights",
            "give objective.perceptual_weights with objective.perceptual lpips, and only then",
        )
    if name == "lpips":
        from training.objectives.lpips import load_lpips

        return load_lpips(weights)
    return EdgeLoss() if name == "edges" else None


def draw_slices(volumes: tuple[Tensor, ...], most: int) -> tuple[Tensor, ...]:
    """Take the same slices of several volumes, drawn without replacement from torch's generator.

    Args:
        volumes: `(B, C, D, H, W)` each.
        most: slices of a volume; all where it has no more.

    Returns:
        `(B * min(D, most), C, H, W)` each.
    """
    samples, _, depth = volumes[0].shape[:3]
    if depth <= most:
        return tuple(volume.transpose(1, 2).flatten(0, 1) for volume in volumes)
    chosen = torch.stack([torch.randperm(depth)[:most] for _ in range(samples)]).to(volumes[0].device)
    rows = torch.arange(samples, device=chosen.device)[:, None]
    return tuple(volume.transpose(1, 2)[rows, chosen].flatten(0, 1) for volume in volumes)
