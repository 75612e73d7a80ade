"""The segmenter's loss: cross-entropy and soft Dice at sampled voxels, and again on the coarse core."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from medfm_core.models.segmenter import OrganSegmenter
from training.data.labelled_case import IGNORE


def dice_and_cross_entropy(logits: Tensor, target: Tensor, class_weights: Tensor) -> Tensor:
    """Mean of weighted cross-entropy and one minus the mean soft Dice of the classes shown.

    Args:
        logits: `(N, C)`.
        target: `(N,)` int64, `IGNORE` where nothing is to be learnt.
        class_weights: `(C,)` weights of the cross-entropy.

    Returns:
        A scalar; 0 when every voxel is ignored.
    """
    kept = target != IGNORE
    logits, target = logits[kept].float(), target[kept]
    if not len(target):
        return logits.sum() * 0.0
    cross_entropy = functional.cross_entropy(logits, target, weight=class_weights)
    probabilities = logits.softmax(dim=1)
    overlap = torch.zeros_like(class_weights).scatter_add_(0, target, probabilities.gather(1, target[:, None])[:, 0])
    counts = torch.bincount(target, minlength=logits.shape[1])
    dice = (2 * overlap + 1) / (probabilities.sum(0) + counts + 1)
    shown = counts > 0
    shown[0] = False
    return cross_entropy + (1 - dice[shown].mean() if shown.any() else 0.0)


def segmentation_loss(
    net: OrganSegmenter, image: Tensor, target: Tensor, offset: tuple[int, int], class_weights: Tensor
) -> Tensor:
    """Loss of a batch, read at one in four voxels of the full grid and at the core's resolution.

    Neighbouring voxels say nearly the same, so that one in four costs a quarter and loses little; `offset` moves the
    lattice from step to step until every voxel has had its turn.

    Args:
        net: the segmenter.
        image: `(B, C_in, D, H, W)`.
        target: `(B, D, H, W)` int64.
        offset: start of the lattice along H and W, each 0 or 1.
        class_weights: `(C,)`.
    """
    fine, core = net.features(image)
    y, x = offset
    fine = fine[..., y::2, x::2]
    weight, bias = net.head.weight.flatten(1), net.head.bias
    logits = functional.linear(fine.permute(0, 2, 3, 4, 1).flatten(0, 3), weight, bias)
    coarse = net.coarse_head(core).permute(0, 2, 3, 4, 1).flatten(0, 3)
    coarse_target = target[:, ::2, y::2, x::2].flatten()
    loss = dice_and_cross_entropy(logits, target[..., y::2, x::2].flatten(), class_weights)
    return loss + 0.4 * dice_and_cross_entropy(coarse, coarse_target, class_weights)
