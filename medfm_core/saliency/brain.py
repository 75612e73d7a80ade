"""Where the vector of a brain MRI comes from: attention that raised it, followed back to the patches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from medfm_core.saliency.token_order import TokenOrder
from medfm_core.saliency.token_rollout import Readout, token_rollout

if TYPE_CHECKING:
    from medfm_core.models.neuro_jepa import NeuroJepaEncoder


def vector_rollout(encoder: NeuroJepaEncoder, volume: Tensor) -> Tensor:
    """Follow the vector of a scan, the mean of its tokens, back to the patches.

    What is explained is how far the vector reaches in its own direction. It says what made this scan's vector long, not
    what is abnormal. Costs a forward and a backward pass and leaves nothing behind; see `token_rollout`.

    Args:
        encoder: whose vector is the mean of its tokens.
        volume: `(1, C, D, H, W)`, on the encoder's device.

    Returns:
        Relevance per patch along D, H, W, float32, on the CPU, at least 0, with the highest value 1; all 0 where no
        token points the vector's way.

    Raises:
        InputError: not one volume.
    """
    order = TokenOrder(encoder.config.token_grid(volume.shape[-3:])) if volume.ndim == 5 else TokenOrder((1, 1, 1))
    relevance = token_rollout(encoder, volume, Readout(order, own_length))
    return relevance / relevance.max().clamp(min=1e-30)


def box_rollout(encoder: NeuroJepaEncoder, voxels: np.ndarray) -> np.ndarray:
    """`vector_rollout` of the box that the encoder saw, `(D, H, W)`; relevance per patch, float32."""
    volume = torch.from_numpy(np.ascontiguousarray(voxels, np.float32))[None, None]
    return vector_rollout(encoder, volume.to(next(encoder.parameters()).device)).numpy()


def own_length(tokens: Tensor) -> Tensor:
    """How far the mean of tokens `(1, T, W)` reaches in its own direction, which counts as given."""
    mean = tokens[0].float().mean(dim=0)
    return mean @ torch.nn.functional.normalize(mean.detach(), dim=0)
