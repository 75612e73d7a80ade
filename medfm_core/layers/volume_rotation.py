"""Rotary positions in three dimensions that become the usual two-dimensional ones for a single slice."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

THROUGH_PLANE_BASE = 2333.0
IN_PLANE_BASE = 10_000.0


class Rotation(NamedTuple):
    """Cosines and sines of the angles by which pairs of features are turned, `(..., N, F / 2)` float32 each."""

    cosine: Tensor
    sine: Tensor


def rotation_frequencies(
    head_width: int, through_plane: float = THROUGH_PLANE_BASE, in_plane: float = IN_PLANE_BASE
) -> tuple[Tensor, Tensor]:
    """Angles per step of the index, through the plane and in it.

    For `F` features there are `F / 4` of each: half of the pairs of features tell the row, the other half the column,
    and the depth's angle is added to both. In the plane, frequency i is `in_plane ** (-4 i / F)`; through it,
    `through_plane ** (-(4 i + 2) / F)`. For a prime `through_plane` the two are algebraic numbers whose ratio is not
    rational, so that no two places of a grid are turned alike.

    Args:
        head_width: features of a head, `F`, a multiple of 4.
        through_plane: base of the depth's frequencies.
        in_plane: base of the frequencies of rows and columns.

    Returns:
        Through the plane and in it, `(F / 4,)` float64 each.

    Raises:
        ValueError: the head's width is not a multiple of 4.

    Source: SPAD spec, section 6.1 (Theorem 1).
    """
    if head_width % 4 or head_width < 4:
        raise ValueError(f"a head of {head_width} features must be a multiple of 4: pairs for rows and for columns")
    steps = torch.arange(head_width // 4, dtype=torch.float64, device="cpu")
    return through_plane ** (-(4 * steps + 2) / head_width), in_plane ** (-4 * steps / head_width)


def rotation_angles(grid: tuple[int, int, int], head_width: int, device: torch.device | str | None = None) -> Tensor:
    """Angles of all places of a grid.

    Args:
        grid: tokens along D, H, W, `N` in all.
        head_width: features of a head, `F`, a multiple of 4.
        device: where to put the result.

    Returns:
        `(N, F / 2)` float32, W fastest; the first half of the pairs tells D and H, the second D and W.

    Raises:
        ValueError: the head's width is not a multiple of 4.
    """
    through, plane = (values.to(device) for values in rotation_frequencies(head_width))
    depth, rows, columns = (torch.arange(size, dtype=torch.float64, device=device) for size in grid)
    depth = (depth[:, None] * through)[:, None, None]
    rows = (rows[:, None] * plane)[None, :, None]
    columns = (columns[:, None] * plane)[None, None, :]
    halves = ((depth + part).expand(*grid, -1) for part in (rows, columns))
    return torch.cat(list(halves), dim=-1).flatten(0, 2).float()


def rotation_of(angles: Tensor) -> Rotation:
    """Cosines and sines of angles `(N, F / 2)` or `(B, N, F / 2)`, ready for `(B, heads, N, F)` features."""
    angles = angles if angles.ndim == 2 else angles[:, None]
    return Rotation(angles.cos(), angles.sin())


def rotate(features: Tensor, rotation: Rotation) -> Tensor:
    """Turn each pair of neighbouring features.

    Args:
        features: `(B, heads, N, F)`.
        rotation: of these tokens.

    Returns:
        The same shape and type.

    Source: arXiv:2104.09864; pairs `2 j, 2 j + 1` as in EVA-02 (arXiv:2303.11331).
    """
    first, second = features.float().unflatten(-1, (-1, 2)).unbind(-1)
    cosine, sine = rotation
    turned = torch.stack([first * cosine - second * sine, second * cosine + first * sine], dim=-1)
    return turned.flatten(-2).to(features.dtype)
