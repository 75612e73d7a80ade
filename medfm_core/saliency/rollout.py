"""Gradient-weighted attention rollout: how much of the score reached the pooled token from each patch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.func import functional_call

from medfm_core.errors import InputError
from medfm_core.models.totalfm import ImageEncoder
from medfm_core.saliency.quiet import quiet
from medfm_core.saliency.recording import record_attention, record_peaks
from medfm_core.saliency.targets import Target, check_volume, score_volumes


def attention_rollout(encoder: ImageEncoder, volume: Tensor, target: Target) -> Tensor:
    """Follow a score back to the patches along the attention that raised it.

    Per block, `A` is the mean over heads of the positive part of attention times its gradient, and the relevance of
    tokens for tokens grows as `R <- R + A R` from the identity; the row of the attentive pooling's query, weighted in
    the same way, reads it out; where the encoder also pools peaks, the tokens that gave them are added, as attention of
    one more head. Costs one forward and one backward pass and leaves no gradient and no hook behind.
    Gradients are small: give an encoder in float32 or bfloat16, not float16.

    Args:
        encoder: with attentive pooling over the tokens of all patches.
        volume: `(1, C, D, H, W)`.
        target: a differentiable score of the embedding.

    Returns:
        Relevance per patch along D, H, W, `(D / patch, H / patch, W / patch)` float32, at least 0. It tells patches
        of one volume apart; its size means nothing across volumes.

    Raises:
        InputError: not one volume, no score, or an encoder that does not pool by attention.

    Source: rule for self-attention of arXiv:2103.15679, read out by the pooling's own attention instead of a class
    token.
    """
    check_volume(volume)
    found, peaks = _weighted_attention(encoder, volume, target)
    if len(found) < 2 or found[0].shape[1] != 1:
        raise InputError("this encoder does not pool its tokens by attention", "use occlusion instead")
    row, *blocks = found  # the last attention first: the pooling's, then the blocks' from last to first
    for peak in peaks:
        row = row + peak[:, None] / encoder.config.heads
    for block in blocks:
        row = row + row @ block
    rows, columns, depth = encoder.config.token_grid(volume.shape[2:])
    return row.reshape(rows, columns, depth).permute(2, 0, 1).contiguous()


def _weighted_attention(encoder: ImageEncoder, volume: Tensor, target: Target) -> tuple[list[Tensor], list[Tensor]]:
    """What is recorded of attention and of peaks while the score is differentiated by the volume alone."""
    with torch.inference_mode(False), torch.enable_grad(), quiet(encoder):
        weights = {name: value.detach() for name, value in encoder.named_parameters()}  # none gets a gradient
        start = volume.detach().clone().requires_grad_()
        with record_attention() as found, record_peaks(encoder) as peaks:
            score = score_volumes(lambda volumes: functional_call(encoder, weights, (volumes,)), start, target)
            if not score.requires_grad:
                raise InputError("the score cannot be differentiated", "use occlusion instead")
            torch.autograd.grad(score.sum(), start)
    return found, peaks
