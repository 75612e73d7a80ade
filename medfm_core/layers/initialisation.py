"""How weights start."""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def initialise_linear(module: nn.Module) -> None:
    """Start every linear layer inside at Xavier-uniform weights and zero biases.

    A joint projection to queries, keys and values starts as three separate ones would. Draws come from torch's default
    generator, which whoever builds the model seeds.

    Source: masked autoencoders, arXiv:2111.06377, appendix A.
    """
    for name, layer in module.named_modules():
        if not isinstance(layer, nn.Linear):
            continue
        parts = 3 if name.endswith("qkv") else 1
        for part in layer.weight.chunk(parts):
            nn.init.xavier_uniform_(part)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
