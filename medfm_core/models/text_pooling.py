"""How a sentence's tokens become one vector: a mean, with or without the marks around the sentence."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

POOLINGS = ("content", "all")


@dataclass(frozen=True)
class Reading:
    """How a text encoder reads a sentence.

    Attributes:
        pooling: "content" takes the mean without [CLS], [SEP] and the like, "all" the mean over every token.
        tokens_limit: tokens that are read, those marks included; the rest of a longer sentence is left out.
        dtype: of the weights.
    """

    pooling: str = "content"
    tokens_limit: int = 256
    dtype: torch.dtype = torch.float32


def mean_of_tokens(tokens: Tensor, is_counted: Tensor) -> Tensor:
    """Mean over the counted tokens, taken in float32.

    Args:
        tokens: `(B, N, W)`.
        is_counted: `(B, N)` bool, at least one True per row.

    Returns:
        `(B, W)` float32.

    Source: TotalFM spec, section 1.7.
    """
    weight = is_counted.to(torch.float32)
    return torch.einsum("bnw,bn->bw", tokens.float(), weight) / weight.sum(dim=1, keepdim=True)
