"""Features to soft tokens: a mixture of the entries of a codebook at every place."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


class SoftTokens(NamedTuple):
    """What the quantiser makes of features.

    Attributes:
        logits: `(B, D, H, W, K)` float32.
        probabilities: their softmax: the soft tokens themselves.
        embedded: mixtures of the codebook's entries, `(B, W, D, H, W)` with `W` channels.
    """

    logits: Tensor
    probabilities: Tensor
    embedded: Tensor


class SoftQuantiser(nn.Module):
    """Say with which probability each entry of a codebook stands at a place, and mix the entries accordingly.

    There is no hard choice, and training and evaluation do the same.

    Args:
        width: channels of the features and of an entry, `W`.
        tokens: entries of the codebook, `K`.

    Shapes:
        `(B, W, D, H, W)` to `SoftTokens`.

    Source: SPAD spec, section 3.
    """

    def __init__(self, width: int, tokens: int) -> None:
        super().__init__()
        self.projection = nn.Linear(width, tokens)
        self.codebook = nn.Parameter(torch.empty(tokens, width).uniform_(-1 / tokens, 1 / tokens))

    def logits(self, features: Tensor) -> Tensor:
        """Logits of the tokens, `(B, D, H, W, K)` float32."""
        return self.projection(features.movedim(1, -1)).float()

    def forward(self, features: Tensor) -> SoftTokens:
        """Return the soft tokens of features."""
        logits = self.logits(features)
        probabilities = logits.softmax(dim=-1)
        mixed = probabilities.to(self.codebook.dtype) @ self.codebook
        return SoftTokens(logits, probabilities, mixed.movedim(-1, 1))
