"""How a sentence is written and how its tokens become one vector: a mean, with or without the marks, or the first."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from torch import Tensor

POOLINGS = ("content", "all", "first")
_WORDS = re.compile(r"\w+|[^\w\s]+")


@dataclass(frozen=True)
class Reading:
    """How a text encoder reads a sentence.

    Attributes:
        pooling: "content" takes the mean without [CLS], [SEP] and the like, "all" the mean over every token,
            "first" what became of [CLS].
        tokens_limit: tokens that are read, those marks included; the rest of a longer sentence is left out.
        dtype: of the weights.
        lowered: whether sentences are written in small letters, with a space between words and signs.
    """

    pooling: str = "content"
    tokens_limit: int = 256
    dtype: torch.dtype = torch.float32
    lowered: bool = False

    def written(self, sentence: str) -> str:
        """The sentence as the encoder was taught to read it."""
        return " ".join(_WORDS.findall(sentence.lower())) if self.lowered else sentence

    def counted(self, is_mark: list[bool]) -> list[bool]:
        """Which tokens count in the mean.

        Args:
            is_mark: of each token, whether it is [CLS], [SEP] or the like.
        """
        if self.pooling == "first":
            return [place == 0 for place in range(len(is_mark))]
        return [True] * len(is_mark) if self.pooling == "all" else [not mark for mark in is_mark]


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
