"""Keeping experts equally busy without a loss for it: a number per expert that moves against its load."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

BalanceRule = Literal["proportional", "sign"]


def expert_counts(chosen: Tensor, experts: int) -> Tensor:
    """Count how many tokens chose each expert.

    Args:
        chosen: `(T, k)` int64 in `[0, experts)`.
        experts: how many there are, `E`.

    Returns:
        `(E,)` int64; they sum to `T * k`. Nothing waits for the device.
    """
    flat = chosen.flatten()
    return flat.new_zeros(experts).scatter_add_(0, flat, torch.ones_like(flat))


def balanced(
    balance: Tensor, counts: Tensor, rate: float, limit: float = 0.3, rule: BalanceRule = "proportional"
) -> Tensor:
    """Move the balance of experts towards equal loads.

    Args:
        balance: what the router adds to the scores, `(..., E)` float32.
        counts: tokens that chose each expert since the last move, `(..., E)`.
        rate: how far a move goes.
        limit: largest balance on either side, before its mean is taken away.
        rule: `proportional` to how far a load is from the mean, relative to the mean (pre-training), or its `sign`
            (fine-tuning).

    Returns:
        The new balance, `(..., E)`, with mean 0.

    Source: Neuro-JEPA spec, section 3.3; arXiv:2408.15664.
    """
    counts = counts.to(balance.dtype)
    mean = counts.mean(dim=-1, keepdim=True)
    error = mean - counts
    move = error.sign() if rule == "sign" else error / mean.clamp_min(1e-6)
    moved = (balance + rate * (move - move.mean(dim=-1, keepdim=True))).clamp(-limit, limit)
    return moved - moved.mean(dim=-1, keepdim=True)
