"""Losses of the supervised tasks; targets that are not known cost nothing."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from training.data.labelled_case import IGNORE
from training.objectives.segmentation import dice_and_cross_entropy


def classification_loss(
    logits: Tensor, target: Tensor, class_weights: Tensor | None = None, label_smoothing: float = 0.0
) -> Tensor:
    """Cross-entropy over the samples of known class.

    Args:
        logits: `(B, C)`.
        target: `(B,)` class numbers; -1 or NaN for unknown.
        class_weights: `(C,)`.
        label_smoothing: share of the target that is spread over all classes.

    Returns:
        A scalar; 0 where no class is known.
    """
    known = target >= 0
    wanted = torch.where(known, target, 0).long()
    weights = torch.ones_like(logits[0], dtype=torch.float32) if class_weights is None else class_weights.float()
    loss = functional.cross_entropy(
        logits.float(), wanted, weight=weights, label_smoothing=label_smoothing, reduction="none"
    )
    total = torch.where(known, weights[wanted], 0.0).sum()
    return torch.where(known, loss, 0.0).sum() / torch.where(total > 0, total, 1.0)


def multi_label_loss(
    logits: Tensor, target: Tensor, positive_weights: Tensor | None = None, label_smoothing: float = 0.0
) -> Tensor:
    """Binary cross-entropy over all labels that are known.

    Args:
        logits: `(B, L)`.
        target: `(B, L)` 0 or 1; -1 or NaN for unknown.
        positive_weights: `(L,)` weights of the positives.
        label_smoothing: pulls targets towards one half.
    """
    known = target >= 0
    wanted = torch.where(known, target, 0).float()
    wanted = wanted * (1 - label_smoothing) + label_smoothing / 2
    loss = functional.binary_cross_entropy_with_logits(
        logits.float(), wanted, pos_weight=positive_weights, reduction="none"
    )
    return torch.where(known, loss, 0.0).sum() / known.sum().clamp(min=1)


def regression_loss(answer: Tensor, target: Tensor, mean: float = 0.0, deviation: float = 1.0) -> Tensor:
    """Mean squared error over what is known, in units of the target's deviation.

    Args:
        answer: `(B, T)`, standardised.
        target: `(B,)` or `(B, T)` in the target's own unit; NaN for unknown.
        mean: of the training targets.
        deviation: of the training targets.
    """
    target = target.float().reshape(answer.shape)
    known = torch.isfinite(target)
    wanted = (torch.where(known, target, mean) - mean) / deviation
    return torch.where(known, (answer.float() - wanted) ** 2, 0.0).sum() / known.sum().clamp(min=1)


def voxel_loss(logits: Tensor, target: Tensor, class_weights: Tensor) -> Tensor:
    """Cross-entropy and soft Dice over the voxels of known class.

    Args:
        logits: `(B, C, D, H, W)`.
        target: `(B, D, H, W)`; negative or `IGNORE` for unknown.
        class_weights: `(C,)`.
    """
    flat = target.flatten().long()
    flat = torch.where(flat < 0, IGNORE, flat)
    return dice_and_cross_entropy(logits.movedim(1, -1).flatten(0, 3), flat, class_weights)
