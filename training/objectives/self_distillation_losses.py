"""Losses of self-distillation: agree with a teacher on soft prototypes, and spread out."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def teacher_shares(logits: Tensor, centre: Tensor, temperature: float) -> Tensor:
    """Soft prototypes of a teacher, centred and sharpened.

    Args:
        logits: `(..., K)`.
        centre: what to take off, `(K,)`: the running mean of the logits, so that no prototype takes all.
        temperature: of the softmax; low sharpens, so that not all become alike.

    Returns:
        `(..., K)` float32 without gradient, rows of sum 1.

    Source: DINO, arXiv:2104.14294.
    """
    return ((logits.detach().float() - centre) / temperature).softmax(dim=-1)


def agreement_loss(student: Tensor, shares: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of a student against soft prototypes, one value per row.

    Args:
        student: logits `(..., K)`.
        shares: of the teacher, `(..., K)`.
        temperature: of the student.

    Returns:
        `(...)` float32.

    Source: DINO, arXiv:2104.14294.
    """
    return -(shares * (student.float() / temperature).log_softmax(dim=-1)).sum(dim=-1)


def mean_by_sample(values: Tensor, sample: Tensor, samples: int) -> Tensor:
    """Average values of tokens within their sample, then over the samples that have any.

    Args:
        values: `(M,)`.
        sample: number of the sample of each, `(M,)` int64.
        samples: how many there are.

    Returns:
        A scalar; 0 where there are no values.
    """
    ones = torch.ones_like(values)
    sums, counts = (values.new_zeros(samples).index_add(0, sample, part) for part in (values, ones))
    return (sums / counts.clamp_min(1)).sum() / (counts > 0).sum().clamp_min(1)


def nearest_neighbour_spread(features: Tensor) -> Tensor:
    """Push each sample away from its nearest neighbour in the batch.

    Args:
        features: `(B, W)`.

    Returns:
        A scalar, `-mean log distance` of the features at length 1; 0 for a single sample.

    Source: KoLeo, arXiv:1806.03198, as used by DINOv2 (arXiv:2304.07193).
    """
    if len(features) < 2:
        return features.sum() * 0.0
    unit = functional.normalize(features.float(), dim=-1, eps=1e-8)
    with torch.no_grad():
        nearest = (unit @ unit.T).fill_diagonal_(-2).argmax(dim=1)
    return -((unit - unit[nearest]).norm(dim=1) + 1e-8).log().mean()
