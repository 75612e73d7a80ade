"""Rotary positions on a grid of three axes: in the published form, and as true rotations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

PositionMode = Literal["true", "published"]
_BASE = 10_000.0


@dataclass(frozen=True)
class Rotary:
    """What turns the channels of a head at each token.

    Attributes:
        cosines: `(B, 1, N, C)` or `(N, C)` float32, for the C channels of a head.
        sines: the same shape.
    """

    cosines: Tensor
    sines: Tensor

    def turn(self, values: Tensor) -> Tensor:
        """Turn queries or keys `(B, heads, N, C)`; the result has their type."""
        first, second = values.float().unflatten(-1, (-1, 2)).unbind(-1)
        partners = torch.stack([-second, first], dim=-1).flatten(-2)
        return (values.float() * self.cosines + partners * self.sines).to(values.dtype)

    def at(self, indices: Tensor) -> Rotary:
        """The same for chosen tokens, `indices` `(B, V)` into a table `(N, C)`."""
        return Rotary(self.cosines[indices][:, None], self.sines[indices][:, None])


def encoder_coordinates(grid: tuple[int, int, int], mode: PositionMode, device: torch.device | None = None) -> Tensor:
    """Coordinates of the encoder's tokens, the last axis fastest.

    Args:
        grid: tokens along the three axes, `N` in all.
        mode: `true` for the places on the grid; `published` for those that the release was trained with, which divides
            by the sizes of the first two axes although the last one runs fastest.
        device: where to put the result.

    Returns:
        `(N, 3)` int64.

    Source: Neuro-JEPA spec, section 2, quirk 1.
    """
    first, second, third = grid
    wide, narrow = (second * third, third) if mode == "true" else (first * second, second)
    return _divide(first * second * third, wide, narrow, device)


def predictor_coordinates(grid: tuple[int, int, int], mode: PositionMode, device: torch.device | None = None) -> Tensor:
    """Coordinates of the predictor's tokens; `published` takes the grid for a cube of the first axis' size.

    Args:
        grid: tokens along the three axes, `N` in all.
        mode: as for `encoder_coordinates`.
        device: where to put the result.

    Returns:
        `(N, 3)` int64.

    Source: Neuro-JEPA spec, section 2, quirk 1.
    """
    if mode == "true":
        return encoder_coordinates(grid, mode, device)
    return _divide(grid[0] * grid[1] * grid[2], grid[0] ** 2, grid[0], device)


def rotary_table(coordinates: Tensor, channels: int, mode: PositionMode) -> Rotary:
    """Angles of each token and channel of a head.

    Each axis gets `m = 2 * (channels // 3 // 2)` channels with frequencies falling from 1 towards 1 / 10000; channels
    left over are not turned. In `true` mode neighbouring channels share a frequency, so that each pair is rotated and a
    product of query and key depends on the difference of their places. In `published` mode the frequencies are tiled
    and the two of a pair get different ones, which is no rotation, but what the released weights expect.

    Args:
        coordinates: `(N, 3)`.
        channels: of a head, even, at least 6.
        mode: `true` or `published`.

    Returns:
        Tables `(N, channels)`, float32.

    Raises:
        ValueError: a head has too few channels or an odd number of them.

    Source: arXiv:2104.09864; Neuro-JEPA spec, section 2, quirks 2 and 3.
    """
    if channels < 6 or channels % 2:
        raise ValueError(f"heads of {channels} channels cannot turn on three axes: give an even number, at least 6")
    bands = channels // 3 // 2
    steps = torch.arange(bands, device=coordinates.device, dtype=torch.float32)
    angles = coordinates.float()[..., None] * _BASE ** (-steps / bands)
    angles = angles.repeat_interleave(2, dim=-1) if mode == "true" else angles.repeat(1, 1, 2)
    angles = torch.nn.functional.pad(angles.flatten(1), (0, channels - 6 * bands))
    return Rotary(angles.cos(), angles.sin())


def _divide(count: int, wide: int, narrow: int, device: torch.device | None) -> Tensor:
    index = torch.arange(count, device=device)
    within = index % wide
    return torch.stack([index // wide, within // narrow, within % narrow], dim=-1)
