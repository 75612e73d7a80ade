"""Patches to tokens by one linear layer, bare or between two norms."""

from __future__ import annotations

from torch import Tensor, nn


class PatchEmbedding(nn.Module):
    """Linear map of flattened patches; a convolution with kernel = stride = patch, written as a matrix product.

    Working on patches rather than on volumes lets a masked encoder embed only the patches it sees.

    Args:
        values: numbers in a patch, `P`.
        width: numbers in a token, `W`.
        normalised: put a LayerNorm before and one after the linear layer.

    Shapes:
        `(..., P)` to `(..., W)`.

    Source: LayerNorm, Linear, LayerNorm as in the TotalFM release (TotalFM spec, section 1.6); the bare form is that of
        the vision transformer (arXiv:2010.11929).
    """

    def __init__(self, values: int, width: int, normalised: bool = True) -> None:
        super().__init__()
        self.norm_in = nn.LayerNorm(values) if normalised else nn.Identity()
        self.linear = nn.Linear(values, width)
        self.norm_out = nn.LayerNorm(width) if normalised else nn.Identity()

    def forward(self, patches: Tensor) -> Tensor:
        """Return the tokens of the patches."""
        return self.norm_out(self.linear(self.norm_in(patches)))
