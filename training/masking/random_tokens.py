"""Masks of tokens drawn one by one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.masking.provider import MaskRequest, check_ratio, hidden_count


@dataclass(frozen=True)
class RandomMask:
    """Hide tokens drawn uniformly without replacement.

    Attributes:
        ratio: share of the tokens to hide; the count is exact (`hidden_count`).

    Source: masked autoencoders, arXiv:2111.06377.
    """

    ratio: float

    def __post_init__(self) -> None:
        check_ratio(self.ratio)

    def __call__(self, request: MaskRequest, rng: np.random.Generator) -> Tensor:
        """Draw one mask, `(N,)` bool."""
        return draw_hidden(request.tokens, self.ratio, rng)


def draw_hidden(units: int, ratio: float, rng: np.random.Generator) -> Tensor:
    """Hide units drawn uniformly; `(units,)` bool, True where hidden."""
    hidden = torch.zeros(units, dtype=torch.bool)
    hidden[torch.from_numpy(rng.permutation(units)[: hidden_count(units, ratio)])] = True
    return hidden
