"""Tiles of a grid: where they lie, how they are weighted, which of them are empty."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Tiling:
    """Tiles that cover a grid.

    Attributes:
        size: `(D, H, W)` of a tile in voxels; the grid is padded where it is smaller.
        overlap: share of a tile's side that its neighbour covers too, 0 to 0.9.
    """

    size: tuple[int, int, int]
    overlap: float = 0.5

    def starts(self, shape: tuple[int, int, int]) -> list[tuple[int, int, int]]:
        """List the first voxel of each tile, slowest along D, evenly spread so that the last ends at the border."""
        return list(itertools.product(*(self._starts(n, s) for n, s in zip(shape, self.size, strict=True))))

    def _starts(self, length: int, size: int) -> list[int]:
        if length <= size:
            return [0]
        step = max(1, int(size * (1 - self.overlap)))
        count = -(-(length - size) // step) + 1
        return [round(i * (length - size) / (count - 1)) for i in range(count)]


def fit_tile(shape: tuple[int, int, int], largest: tuple[int, int, int], divisor: int) -> tuple[int, int, int]:
    """Shrink a tile to a small grid: the least multiple of `divisor` that covers it, at most `largest`."""
    return tuple(min(big, -(-n // divisor) * divisor) for n, big in zip(shape, largest, strict=True))


def gaussian_window(size: tuple[int, int, int], sigma: float = 0.125) -> Tensor:
    """Blend weight of a tile's voxels, `size`, highest in the middle and never below 1e-3 of it.

    Args:
        size: `(D, H, W)`.
        sigma: standard deviation as a share of each side.
    """
    axes = []
    for n in size:
        x = (torch.arange(n, dtype=torch.float32) - (n - 1) / 2) / (sigma * n)
        axes.append(torch.exp(-0.5 * x**2))
    window = axes[0][:, None, None] * axes[1][None, :, None] * axes[2][None, None, :]
    return window.clamp_(min=1e-3)
