"""Where the vector of a brain MRI comes from: attention that raised it, followed back to the patches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from medfm_core.errors import InputError
from medfm_core.saliency.quiet import quiet
from medfm_core.saliency.recording import record_attention

if TYPE_CHECKING:
    from medfm_core.models.neuro_jepa import NeuroJepaEncoder


def vector_rollout(encoder: NeuroJepaEncoder, volume: Tensor) -> Tensor:
    """Follow the vector of a scan, the mean of its tokens, back to the patches.

    What is explained is how far the vector reaches in its own direction: each token's part of that, where it is
    positive, is sent back through the blocks, `R <- R + R A`, with `A` the mean over heads of the positive part of
    attention times its gradient. It says what made this scan's vector long, not what is abnormal. Costs a forward and
    a backward pass and leaves nothing behind.

    Args:
        encoder: whose vector is the mean of its tokens.
        volume: `(1, C, D, H, W)`, on the encoder's device.

    Returns:
        Relevance per patch along D, H, W, float32, on the CPU, at least 0, with the highest value 1; all 0 where no
        token points the vector's way.

    Raises:
        InputError: not one volume.

    Source: rule for self-attention of arXiv:2103.15679, read out by the mean instead of a class token.
    """
    if volume.ndim != 5 or len(volume) != 1:
        raise InputError(f"a volume of shape {tuple(volume.shape)} cannot be explained", "give one (1, C, D, H, W)")
    with torch.inference_mode(False), torch.enable_grad(), quiet(encoder), record_attention() as found:
        start = volume.detach().clone().requires_grad_()
        tokens = encoder(start)[0].float()
        vector = tokens.mean(dim=0)
        direction = torch.nn.functional.normalize(vector.detach(), dim=0)
        torch.autograd.grad(vector @ direction, start)
    row = (tokens.detach() @ direction).clamp(min=0)[None, None] / len(tokens)
    for block in found:  # the last first
        row = row + row @ block
    relevance = row.reshape(encoder.config.token_grid(volume.shape[2:])).float().cpu()
    return relevance / relevance.max().clamp(min=1e-30)
