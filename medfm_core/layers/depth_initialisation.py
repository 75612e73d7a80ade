"""How the weights of deep pre-norm transformers start: small, and smaller where a residual branch ends."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

SPREAD = 0.02


@torch.no_grad()
def initialise_normal(module: nn.Module) -> None:
    """Start every linear layer inside at normal weights of deviation 0.02 and zero biases.

    Draws come from torch's default generator, which whoever builds the model seeds.

    Source: Neuro-JEPA spec, section 3.4.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.trunc_normal_(layer.weight, std=SPREAD)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


@torch.no_grad()
def shrink_with_depth(weights: Iterable[Tensor], layer: int) -> None:
    """Divide weights by `sqrt(2 * layer)`, the layer counted from 1.

    Args:
        weights: of the layers at the end of the block's branches.
        layer: number of the block.

    Source: Neuro-JEPA spec, section 3.4.
    """
    for weight in weights:
        weight.div_(math.sqrt(2 * layer))
