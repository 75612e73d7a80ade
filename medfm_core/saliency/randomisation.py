"""A map that does not change when the model forgets what it has learnt shows the picture, not the model."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from medfm_core.models.totalfm import ImageEncoder
from medfm_core.saliency.methods import SaliencyMethod, explain
from medfm_core.saliency.targets import Target


@dataclass(frozen=True)
class RandomisedStage:
    """The map after the weights of a part, and of all parts above it, are random.

    Attributes:
        part: name of the part that was randomised last.
        rank_correlation: Spearman's, between this map and that of the true weights, in `[-1, 1]`; a map that is the
            same everywhere agrees with nothing and counts as 0.
    """

    part: str
    rank_correlation: float


def randomisation_check(
    encoder: ImageEncoder,
    volume: Tensor,
    target: Target,
    method: str | SaliencyMethod = "attention_rollout",
    seed: int = 0,
) -> tuple[RandomisedStage, ...]:
    """Randomise the weights part by part, from the output to the input, and compare the maps.

    Every weight tensor gets normal values of its own mean and spread. A copy is randomised; the encoder stays.

    Args:
        encoder: the image encoder; needs its memory twice.
        volume: `(1, C, D, H, W)`.
        target: the score of an embedding.
        method: as `explain` takes it.
        seed: of the random weights.

    Returns:
        One per part with weights, the head first; the last has no true weight left.

    Raises:
        InputError: an unknown method, not one volume, or no score.

    Source: cascading randomisation of arXiv:1810.03292.
    """
    true = explain(encoder, volume, target, method)
    forgetful = copy.deepcopy(encoder)
    generator = torch.Generator().manual_seed(seed)
    stages = []
    for name, part in reversed(_parts(forgetful)):
        _randomise(part, generator)
        stages.append(RandomisedStage(name, rank_correlation(true, explain(forgetful, volume, target, method))))
    return tuple(stages)


def rank_correlation(first: Tensor, second: Tensor) -> float:
    """Spearman's correlation of two maps of one shape, 0 if one of them is the same everywhere."""
    from scipy.stats import rankdata  # slow to import, and no analysis needs it

    ranks = [rankdata(one.detach().cpu().numpy(), axis=None) for one in (first, second)]
    if any(one.max() == one.min() for one in ranks):
        return 0.0
    return float(np.corrcoef(*ranks)[0, 1])


def _parts(module: nn.Module, prefix: str = "") -> list[tuple[str, nn.Module]]:
    """Parts with weights in the order of the forward pass: containers by their parts, others whole."""
    found = []
    for name, child in module.named_children():
        if isinstance(child, nn.ModuleList) or name in ("encoder", "backbone"):
            found += _parts(child, f"{prefix}{name}.")
        elif any(True for _ in child.parameters()):
            found.append((prefix + name, child))
    return found


@torch.no_grad()
def _randomise(part: nn.Module, generator: torch.Generator) -> None:
    for weight in part.parameters():
        noise = torch.randn(weight.shape, generator=generator, dtype=torch.float32)
        spread = weight.float().std(correction=0)
        weight.copy_(weight.float().mean() + spread * noise.to(weight.device))
