"""What may happen to a residual branch before it is added: a learnt scale per channel, and being left out."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LayerScale(nn.Module):
    """Multiply each channel by a learnt number that starts small, `(..., W)` to `(..., W)`.

    Args:
        width: channels, `W`.
        start: value of every scale at the start.

    Source: arXiv:2103.17239.
    """

    def __init__(self, width: int, start: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((width,), start))

    def forward(self, branch: Tensor) -> Tensor:
        """Return the scaled branch."""
        return branch * self.scale


class DropPath(nn.Module):
    """Leave the branch out for a random share of the samples, `(B, ...)` to the same shape.

    What stays is enlarged by `1 / (1 - share)`, so that the mean is kept; in evaluation nothing is left out.

    Args:
        share: of samples, in training; in `[0, 1)`.

    Source: stochastic depth, arXiv:1603.09382.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, branch: Tensor) -> Tensor:
        """Return the branch, zero for the samples that go without."""
        if not self.training or not self.share:
            return branch
        kept = branch.new_empty(len(branch), *[1] * (branch.ndim - 1)).bernoulli_(1 - self.share)
        return branch * (kept / (1 - self.share))
