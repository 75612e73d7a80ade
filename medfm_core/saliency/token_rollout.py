"""Rollout for encoders whose vector is read straight from the tokens, such as their mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from medfm_core.errors import InputError
from medfm_core.saliency.quiet import quiet
from medfm_core.saliency.recording import record_attention
from medfm_core.saliency.token_order import TokenOrder


class Readout(NamedTuple):
    """How a score comes from an encoder's tokens.

    Attributes:
        order: where the tokens lie.
        score: tokens `(1, T, W)` to one number, differentiable.
        inputs: what the encoder takes after the volume.
    """

    order: TokenOrder
    score: Callable[[Tensor], Tensor]
    inputs: tuple[object, ...] = ()


def token_rollout(encoder: nn.Module, volume: Tensor, readout: Readout) -> Tensor:
    """Follow a score back from the tokens that it is read from to the places of the volume.

    Each token's part of the score is what is positive in the token times its gradient; of a mean that is the token's
    length along the direction that is asked for. It is sent back through the blocks, the last first, `R <- R + R A`,
    with `A` the mean over heads of the positive part of attention times its gradient. Costs a forward and a backward
    pass and leaves nothing behind.

    Args:
        encoder: gives tokens `(1, T, W)` by `forward(volume, *readout.inputs)`.
        volume: `(1, C, D, H, W)`, on the encoder's device.
        readout: what is explained.

    Returns:
        Relevance per place along D, H, W, float32, on the CPU, at least 0. Its size can be compared between volumes
        that share one score, such as the tiles of an image.

    Raises:
        InputError: not one volume, other tokens than the order says, or a score that cannot be differentiated.

    Source: rule for self-attention of arXiv:2103.15679, read out by the tokens' own parts instead of a class token.
    """
    if volume.ndim != 5 or len(volume) != 1:
        raise InputError(f"a volume of shape {tuple(volume.shape)} cannot be explained", "give one (1, C, D, H, W)")
    weights = {name: value.detach() for name, value in encoder.named_parameters()}  # none gets a gradient
    with torch.inference_mode(False), torch.enable_grad(), quiet(encoder), record_attention() as found:
        start = volume.detach().clone().requires_grad_()
        tokens = functional_call(encoder, weights, (start, *readout.inputs))
        score = readout.score(tokens)
        if score.numel() != 1 or not score.requires_grad:
            raise InputError("the score is not one number that can be differentiated", "use occlusion instead")
        of_tokens, _ = torch.autograd.grad(score.sum(), (tokens, start))
    part = (of_tokens.float() * tokens.detach().float()).sum(dim=-1)
    row = part.clamp(min=0)[:, None]  # (1, 1, T)
    for block in found:  # the last first
        row = row + row @ block
    return readout.order.on_grid(row).float().cpu()
