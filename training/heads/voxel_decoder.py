"""From a grid of tokens back to voxels: a light decoder with a feature pyramid and the whole image's context."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from medfm_core.errors import InputError

Grid = tuple[int, int, int]


@dataclass(frozen=True)
class VoxelDecoderConfig:
    """Sizes of the decoder.

    Attributes:
        patch_size: voxels of a token along D, H, W.
        width: channels at the grid of tokens; each doubling of the resolution halves them, down to `least_width`.
        least_width: fewest channels.
        layers: how many encoder layers' tokens are given.
        context: sides of the coarse grids on which the whole image is summarised.
    """

    patch_size: Grid = (16, 16, 16)
    width: int = 128
    least_width: int = 16
    layers: int = 1
    context: tuple[int, ...] = (1, 2)

    def __post_init__(self) -> None:
        if min(self.patch_size) < 1 or min(self.width, self.least_width, self.layers) < 1:
            raise InputError("patch_size, width, least_width and layers must be 1 or more", "correct the configuration")


class VoxelDecoder(nn.Module):
    """Class scores of every voxel from tokens.

    The deepest tokens get the context of the whole grid (pyramid pooling); then the grid is doubled along its coarsest
    axes again and again, tokens of shallower layers being added at each step, up to the voxels.

    Args:
        features: channels of the tokens, F.
        classes: background included.
        config: sizes.

    Shapes:
        tokens `(B, N, F)` in the order of a `(D, H, W)` array, W fastest, and the grid `(d, h, w)`, d * h * w = N, to
        logits `(B, classes, d * p_D, h * p_H, w * p_W)`.

    Source: UPerNet (arXiv:1807.10221) and the simple feature pyramid of ViTDet (arXiv:2203.16527), in 3D and smaller.
    """

    def __init__(self, features: int, classes: int, config: VoxelDecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.narrow = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(features), nn.Linear(features, config.width)) for _ in range(config.layers)
        )
        self.context = nn.ModuleList(nn.Conv3d(config.width, config.width // 4 or 1, 1) for _ in config.context)
        joined = config.width + len(config.context) * (config.width // 4 or 1)
        self.join = _convolution(joined, config.width)
        self.scales = doublings(config.patch_size)
        least = min(config.least_width, config.width)
        widths = [max(config.width >> step, least) for step in range(len(self.scales) + 1)]
        self.grow = nn.ModuleList(_convolution(given, wanted) for given, wanted in itertools.pairwise(widths))
        self.joins_at = [min(layer, len(self.scales)) for layer in range(1, config.layers)]  # the last ones together
        self.lateral = nn.ModuleList(nn.Conv3d(config.width, widths[step], 1) for step in self.joins_at)
        self.answer = nn.Conv3d(widths[-1], classes, 1)

    def forward(self, tokens: Tensor | Sequence[Tensor], grid: Grid) -> Tensor:
        """Score voxels.

        Args:
            tokens: of one layer, or of `layers` layers, the deepest last.
            grid: tokens along D, H, W.

        Raises:
            InputError: the tokens are not of this grid, or of another number of layers.
        """
        given = [tokens] if isinstance(tokens, Tensor) else list(tokens)
        maps = self._maps(given, grid)
        deepest, shallower = maps[-1], maps[-2::-1]
        values = self.join(torch.cat([deepest, *self._contexts(deepest)], dim=1))
        for step in range(len(self.scales) + 1):
            if step > 0:
                scale = self.scales[step - 1]
                values = self.grow[step - 1](functional.interpolate(values, scale_factor=scale, mode="nearest"))
            for layer, joins_at in enumerate(self.joins_at):
                if joins_at == step:
                    values = values + _resized(self.lateral[layer](shallower[layer]), values.shape[2:])
        sides = [tokens * voxels for tokens, voxels in zip(grid, self.config.patch_size, strict=True)]
        return _resized(self.answer(values), sides)

    def _maps(self, given: Sequence[Tensor], grid: Grid) -> list[Tensor]:
        if len(given) != self.config.layers:
            raise InputError(f"tokens of {len(given)} layers are given", f"give those of {self.config.layers}")
        for tokens in given:
            if tokens.ndim != 3 or tokens.shape[1] != grid[0] * grid[1] * grid[2]:
                raise InputError(f"tokens {tuple(tokens.shape)} are not a grid of {grid}", "check the image's size")
        return [
            narrow(tokens).transpose(1, 2).unflatten(2, grid) for narrow, tokens in zip(self.narrow, given, strict=True)
        ]

    def _contexts(self, values: Tensor) -> list[Tensor]:
        return [
            _resized(layer(functional.adaptive_avg_pool3d(values, side)), values.shape[2:])
            for side, layer in zip(self.config.context, self.context, strict=True)
        ]


def doublings(patch_size: Grid) -> list[Grid]:
    """Scales of the steps from the grid of tokens to voxels, the coarsest axes first; a rest below 2 is left over.

    Example: a patch of (4, 16, 16) gives (1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2).
    """
    rest, steps = list(patch_size), []
    while max(rest) >= 2:
        coarse = max(rest)
        scale = tuple(2 if side >= 2 and side * 2 > coarse else 1 for side in rest)
        rest = [side / factor for side, factor in zip(rest, scale, strict=True)]
        steps.append(scale)
    return steps


def _resized(values: Tensor, sides: Sequence[int]) -> Tensor:
    if tuple(values.shape[2:]) == tuple(sides):
        return values
    return functional.interpolate(values, size=tuple(sides), mode="trilinear", align_corners=False)


def _convolution(given: int, wanted: int) -> nn.Module:
    groups = next(count for count in (8, 4, 2, 1) if wanted % count == 0)
    return nn.Sequential(nn.Conv3d(given, wanted, 3, padding=1, bias=False), nn.GroupNorm(groups, wanted), nn.GELU())
