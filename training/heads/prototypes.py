"""From features to logits of prototypes, for self-distillation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from medfm_core.layers.initialisation import initialise_linear


@dataclass(frozen=True)
class PrototypeConfig:
    """Size of the head.

    Attributes:
        prototypes: how many, `K`.
        hidden: channels of the two hidden layers.
        bottleneck: channels in which features and prototypes are compared.
    """

    prototypes: int = 4096
    hidden: int = 1024
    bottleneck: int = 128

    def __post_init__(self) -> None:
        if self.prototypes < 2 or min(self.hidden, self.bottleneck) < 1:
            raise ValueError("prototypes must be at least 2, hidden and bottleneck at least 1")


class PrototypeHead(nn.Module):
    """Three layers to a unit vector, compared with unit prototypes.

    Args:
        width: channels of a feature, `W`.
        config: size of the head.

    Shapes:
        `(..., W)` to `(..., K)`, cosines.

    Source: DINO, arXiv:2104.14294.
    """

    def __init__(self, width: int, config: PrototypeConfig) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, config.hidden), nn.GELU(), nn.Linear(config.hidden, config.hidden), nn.GELU(),
            nn.Linear(config.hidden, config.bottleneck),
        )  # fmt: skip
        initialise_linear(self)
        self.prototypes = nn.Parameter(torch.randn(config.prototypes, config.bottleneck))

    def forward(self, features: Tensor) -> Tensor:
        """Compare features with the prototypes."""
        vector = functional.normalize(self.layers(features), dim=-1, eps=1e-6)
        return vector @ functional.normalize(self.prototypes, dim=-1, eps=1e-6).T
