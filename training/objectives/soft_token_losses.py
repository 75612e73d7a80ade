"""What keeps soft tokens sharp and all of them in use, and how many are."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

_TINY = 1e-12  # keeps the logarithm of a token that nothing uses finite


def prior_loss(probabilities: Tensor) -> Tensor:
    """Negative entropy of the mean token: lowest, `-ln K`, where all tokens are used alike, and 0 where one is.

    Over several processes, the value is that of the mean over all of them, and the gradient goes through this process's
    share; averaged by the engine, it is that of the whole batch.

    Args:
        probabilities: soft tokens, `(..., K)`.

    Returns:
        A scalar, float32.

    Source: SPAD spec, section 4, with a logarithm that stays finite.
    """
    mean = probabilities.float().flatten(0, -2).mean(0)
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        everyone = mean.detach().clone()
        dist.all_reduce(everyone)
        mean = everyone / dist.get_world_size() + mean - mean.detach()
    return (mean * (mean + _TINY).log()).sum()


def entropy_loss(logits: Tensor) -> Tensor:
    """Mean entropy of the soft tokens of all places, from 0 (each is one token) to `ln K`.

    Args:
        logits: `(..., K)`.

    Returns:
        A scalar, float32.

    Source: SPAD spec, section 4.
    """
    log_probabilities = logits.float().log_softmax(dim=-1)
    return -(log_probabilities.exp() * log_probabilities).sum(dim=-1).mean()


@torch.no_grad()
def effective_share(probabilities: Tensor) -> Tensor:
    """Share of the tokens that are in use: e to the entropy of the mean token, over K; in (0, 1].

    Args:
        probabilities: soft tokens, `(..., K)`.

    Returns:
        A scalar, float32.
    """
    return (-prior_loss(probabilities)).exp() / probabilities.shape[-1]


@torch.no_grad()
def distinct_share(logits: Tensor) -> Tensor:
    """Different most probable tokens of a sample over its places, mean over samples; in (0, 1].

    Args:
        logits: `(B, ..., K)`.

    Source: SPAD spec, section 3 (diversity).
    """
    chosen = logits.argmax(dim=-1).flatten(1).sort(dim=1).values
    changes = (chosen[:, 1:] != chosen[:, :-1]).sum(dim=1) + 1
    return (changes.float() / chosen.shape[1]).mean()
