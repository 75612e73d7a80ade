"""The distance between predicted and true features of hidden tokens."""

from __future__ import annotations

from torch import Tensor


def latent_loss(predicted: Tensor, target: Tensor, foreground: Tensor, background_weight: float) -> Tensor:
    """Mean absolute difference, tokens of the background counting less.

    The weights of a sample's tokens have the mean 1, however much of it is background.

    Args:
        predicted: `(B, M, W)`.
        target: `(B, M, W)`, normalised features.
        foreground: 1 for tokens with tissue, 0 for others, `(B, M)`.
        background_weight: weight of a background token next to 1 of a foreground one.

    Returns:
        A scalar, float32.

    Source: Neuro-JEPA spec, section 7.
    """
    weights = background_weight + (1 - background_weight) * foreground.float()
    weights = weights / weights.mean(dim=1, keepdim=True).clamp_min(1e-6)
    return ((predicted.float() - target.float()).abs().mean(dim=-1) * weights).mean()
