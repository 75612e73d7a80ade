"""Learned positions on a grid that are averaged or interpolated to the grid at hand."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class ResampledPositions(nn.Module):
    """One learned vector per place of a grid; other grids get means of it where they are coarser, and lines between.

    Args:
        grid: places along D, H, W for which vectors are learned.
        width: channels of a position, `W`.

    Source: SPAD spec, section 6; start as a normal of deviation 0.02, cut at two deviations.
    """

    def __init__(self, grid: tuple[int, int, int], width: int) -> None:
        super().__init__()
        self.table = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, width, *grid), std=0.02, a=-0.04, b=0.04))

    def forward(self, grid: tuple[int, int, int]) -> Tensor:
        """Return the positions of a grid, `(N, W)`, the last axis fastest."""
        return resample_grid(self.table, grid)[0].flatten(1).T


def resample_grid(table: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """Resample a grid of vectors, axis by axis.

    Args:
        table: `(B, W, D, H, W')`.
        grid: the new sizes.

    Returns:
        `(B, W, *grid)`: axes that shrink are averaged, axes that grow are interpolated linearly.
    """
    for axis, size in enumerate(grid, 2):
        have = table.shape[axis]
        if size == have:
            continue
        # A matrix rather than a pooling layer: its gradient is the same on every run, on any device.
        unit = torch.eye(have, dtype=table.dtype, device=table.device)[None]
        weights = functional.interpolate(unit, size=size, mode="area" if size < have else "linear")[0]
        with torch.autocast(table.device.type, enabled=False):
            table = (table.movedim(axis, -1) @ weights).movedim(-1, axis)
    return table
