"""From the values of one organ to its tokens: patches of a volume, measurements of a table, or given vectors.

No embedder normalises a sample by itself: a heart that is large, or a liver that is bright, must stay so.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from medfm_core.layers.initialisation import initialise_linear
from medfm_core.layers.patches import patchify
from medfm_core.layers.sincos_positions import sincos_positions
from medfm_core.models.pan_fm_organs import OrganSpec


class PatchTokens(nn.Module):
    """Patches of a volume, with fixed positions.

    Args:
        spec: the organ.
        width: channels of a token, `W`.

    Shapes:
        `(B, C, D, H, W)` to `(B, N, width)`.
    """

    def __init__(self, spec: OrganSpec, width: int) -> None:
        super().__init__()
        self.patch = spec.patch_size
        self.linear = nn.Linear(spec.channels * math.prod(spec.patch_size), width)
        initialise_linear(self)
        self.register_buffer("positions", sincos_positions(spec.grid, width), persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        """Embed volumes."""
        return self.linear(patchify(values, self.patch).to(self.linear.weight.dtype))

    def places(self) -> Tensor:
        """What tells the tokens apart, `(N, width)`."""
        return self.positions


class FieldTokens(nn.Module):
    """One token per measurement of a table: a learnt direction for its value beside a learnt place.

    Args:
        spec: the organ.
        width: channels of a token, `W`.

    Shapes:
        `(B, N)` to `(B, N, width)`.

    Source: the feature tokenizer of FT-Transformer (arXiv:2106.11959).
    """

    def __init__(self, spec: OrganSpec, width: int) -> None:
        super().__init__()
        self.direction = nn.Parameter(torch.randn(spec.tokens, width) / math.sqrt(width) * 2)
        self.positions = nn.Parameter(torch.randn(spec.tokens, width) * 0.02)

    def forward(self, values: Tensor) -> Tensor:
        """Embed measurements."""
        return values[..., None].to(self.direction.dtype) * self.direction

    def places(self) -> Tensor:
        """What tells the tokens apart, `(N, width)`."""
        return self.positions


class VectorTokens(nn.Module):
    """Vectors of another encoder, through one linear layer.

    Args:
        spec: the organ.
        width: channels of a token, `W`.

    Shapes:
        `(B, N, values)` to `(B, N, width)`.
    """

    def __init__(self, spec: OrganSpec, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(spec.values, width)
        initialise_linear(self)
        self.positions = nn.Parameter(torch.randn(spec.tokens, width) * 0.02)

    def forward(self, values: Tensor) -> Tensor:
        """Embed vectors."""
        return self.linear(values.to(self.linear.weight.dtype))

    def places(self) -> Tensor:
        """What tells the tokens apart, `(N, width)`."""
        return self.positions


EMBEDDERS: dict[str, type[nn.Module]] = {"volume": PatchTokens, "table": FieldTokens, "vectors": VectorTokens}
