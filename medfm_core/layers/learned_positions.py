"""Learned positions on a grid, one table per axis."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class FactorisedPositions(nn.Module):
    """A position is three thirds: one entry of each axis' table, concatenated.

    A grid of another size than the tables reads them at the indices `round(linspace(0, entries - 1, size))`, so that
    the ends stay at the ends; a finer grid repeats entries.

    Args:
        grid: entries of the tables of the three axes.
        width: channels of a position, `W`, a multiple of 3.

    Source: TotalFM spec, section 1.6 (tables of W / 3 channels, start uniform in [0, 1), sampling by rounding).
    """

    def __init__(self, grid: tuple[int, int, int], width: int) -> None:
        super().__init__()
        if width % 3:
            raise ValueError(f"width {width} must be a multiple of 3, one third per axis")
        self.tables = nn.ParameterList(nn.Parameter(torch.rand(entries, width // 3)) for entries in grid)

    def forward(self, grid: tuple[int, int, int]) -> Tensor:
        """Return the positions of a grid.

        Args:
            grid: size along the three axes, `N` positions in all.

        Returns:
            `(N, W)`, the last axis fastest.
        """
        thirds = []
        for axis, (table, size) in enumerate(zip(self.tables, grid, strict=True)):
            shape = [1, 1, 1, table.shape[1]]
            shape[axis] = size
            thirds.append(table[nearest_entries(len(table), size).to(table.device)].view(shape).expand(*grid, -1))
        return torch.cat(thirds, dim=-1).flatten(0, 2)


def nearest_entries(entries: int, size: int) -> Tensor:
    """Indices `(size,)`, int64, at which a table of `entries` is read for a grid of `size`."""
    # On the CPU whatever the device: the rounding of ties must not depend on where the model runs.
    return torch.linspace(0, entries - 1, size, device="cpu").round().long()
