"""LayerNorm of every voxel over its channels."""

from __future__ import annotations

from torch import Tensor, nn


class ChannelNorm(nn.LayerNorm):
    """Normalise over the channels of each voxel by itself, `(B, C, ...)` to the same shape.

    Args:
        channels: `C`.
    """

    def forward(self, volume: Tensor) -> Tensor:
        """Return the normalised volume."""
        return super().forward(volume.movedim(1, -1)).movedim(-1, 1)
