"""Fixed positions on a grid: sines and cosines of the three coordinates."""

from __future__ import annotations

import torch
from torch import Tensor

_LONGEST = 10_000.0


def sincos_positions(grid: tuple[int, int, int], width: int, device: torch.device | str | None = None) -> Tensor:
    """Encode the coordinates of a grid.

    Each axis has `2 * (W // 6)` channels, sines before cosines, with frequencies from 1 falling geometrically towards
    1 / 10000; channels left over stay 0.

    Args:
        grid: size along the three axes, `N` positions in all.
        width: channels of a position, `W`, at least 6.
        device: where to put the result.

    Returns:
        `(N, W)`, float32, the last axis fastest.

    Raises:
        ValueError: the width is below 6.

    Source: arXiv:1706.03762, one axis after the other as masked autoencoders do in two dimensions (arXiv:2111.06377).
    """
    bands = width // 6
    if bands < 1:
        raise ValueError(f"width {width} must be at least 6: a sine and a cosine per axis")
    frequencies = _LONGEST ** (-torch.arange(bands, device=device, dtype=torch.float32) / bands)
    axes = [torch.arange(size, device=device, dtype=torch.float32) for size in grid]
    angles = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)[..., None] * frequencies
    code = torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(3).flatten(0, 2)
    return torch.nn.functional.pad(code, (0, width - 6 * bands))
