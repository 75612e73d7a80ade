"""What is explained: a score of an embedding."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from medfm_core.errors import InputError

Target = Callable[[Tensor], Tensor]  # embeddings (B, E) to one score each (B,), differentiable
Encoder = Callable[[Tensor], Tensor]  # volumes (B, C, D, H, W) to embeddings (B, E)


def prompt_contrast(positive: Tensor, negative: Tensor) -> Target:
    """Make the score of a finding: mean similarity to its positive prompts less that to its negative ones.

    Args:
        positive: embeddings of the positive prompts, `(P, E)`, of length 1 each.
        negative: embeddings of the negative prompts, `(N, E)`, of length 1 each.

    Returns:
        The score of image embeddings `(B, E)` of length 1, `(B,)` in `[-2, 2]`.

    Raises:
        InputError: no prompts, or prompts of two widths.
    """
    if positive.ndim != 2 or negative.ndim != 2 or 0 in (*positive.shape, *negative.shape):
        raise InputError("a finding needs positive and negative prompts", "give at least one embedding of each")
    if positive.shape[1] != negative.shape[1]:
        raise InputError(f"prompts have {positive.shape[1]} and {negative.shape[1]} numbers", "embed them by one model")
    direction = positive.float().mean(dim=0) - negative.float().mean(dim=0)
    return lambda embeddings: embeddings.float() @ direction.to(embeddings.device)


def score_volumes(encoder: Encoder, volumes: Tensor, target: Target) -> Tensor:
    """Score volumes.

    Args:
        encoder: the image encoder, or anything of its shapes.
        volumes: `(B, C, D, H, W)`.
        target: what is asked of the embeddings.

    Returns:
        `(B,)` float32.

    Raises:
        InputError: the target gives no finite number per volume.
    """
    scores = target(encoder(volumes))
    if scores.shape != (len(volumes),):
        raise InputError(f"a score of shape {tuple(scores.shape)} is not one number per volume")
    if not torch.isfinite(scores).all():
        raise InputError("the score of the volume is no finite number", "look for NaN in the volume and the prompts")
    return scores.float()


def check_volume(volume: Tensor) -> None:
    """Refuse what is not one volume.

    Args:
        volume: `(1, C, D, H, W)`.

    Raises:
        InputError: another shape.
    """
    if volume.ndim != 5 or len(volume) != 1:
        raise InputError(f"a tensor of shape {tuple(volume.shape)} is not one volume", "give (1, C, D, H, W)")
