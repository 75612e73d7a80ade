"""Masks that hide the same places at every depth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from training.masking.provider import MaskRequest, check_ratio
from training.masking.random_tokens import draw_hidden


@dataclass(frozen=True)
class TubeMask:
    """Hide whole columns of tokens, drawn uniformly without replacement.

    Neighbouring slices look alike: a token hidden at one depth only could be copied from the next.

    Attributes:
        ratio: share of the columns to hide; the count is exact (`hidden_count`).
        axis: axis of the grid along which the columns run.

    Source: VideoMAE, arXiv:2203.12602, with depth in the place of time.
    """

    ratio: float
    axis: int = 2

    def __post_init__(self) -> None:
        check_ratio(self.ratio)
        if self.axis not in (0, 1, 2):
            raise ValueError(f"axis {self.axis} must be 0, 1 or 2")

    def __call__(self, request: MaskRequest, rng: np.random.Generator) -> Tensor:
        """Draw one mask, `(N,)` bool."""
        first, second = (size for axis, size in enumerate(request.grid) if axis != self.axis)
        plane = draw_hidden(first * second, self.ratio, rng).view(first, second)
        return plane.unsqueeze(self.axis).expand(request.grid).flatten()
