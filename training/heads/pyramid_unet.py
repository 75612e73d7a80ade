"""From tokens of several layers to voxels: a feature pyramid, then a U-Net that also sees the image itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from medfm_core.errors import InputError

Sides = tuple[int, int, int]


@dataclass(frozen=True)
class PyramidUNetConfig:
    """Sizes of the decoder; the defaults are the published ones.

    Attributes:
        patch: pixels of a token, a power of two, 2 at least.
        degree: degree of anisotropy of all volumes, below 5.
        channels: of the image.
        widths: channels after no, one, two, ... halvings of the plane; one more than a token has halvings, and one.
        scored: how many of the finest maps are scored in training, where there are so many.
    """

    patch: int = 16
    degree: int = 2
    channels: int = 1
    widths: tuple[int, ...] = (32, 64, 128, 256, 512, 512)
    scored: int = 4

    def __post_init__(self) -> None:
        if self.patch < 4 or self.patch & (self.patch - 1):
            raise ValueError(f"patch {self.patch} must be a power of two, 4 at least")
        if len(self.widths) != self.patch.bit_length() + 1:
            raise ValueError(f"widths must be {self.patch.bit_length() + 1} numbers for a patch of {self.patch}")
        if not 0 <= self.degree < 5 or min(self.widths) < 1 or self.scored < 1:
            raise ValueError("degree must be 0 to 4, widths and scored at least 1")

    @property
    def halvings(self) -> int:
        """Of the plane, from the image to the tokens."""
        return self.patch.bit_length() - 1

    def stride(self, halving: int) -> Sides:
        """Stride of the n-th halving of the plane, from 1: the depth is halved with it once slices are thin enough."""
        return (2 if self.degree < halving else 1), 2, 2

    def kernel(self, halvings: int) -> Sides:
        """Kernel after so many halvings: slices that are still too thick do not look at each other."""
        return (3 if self.degree <= halvings else 1), 3, 3


class PyramidUNet(nn.Module):
    """Class scores of every voxel.

    Tokens of four layers, from the shallowest to the deepest, become maps at a quarter, half, once and twice the size
    of a token; a U-Net goes up through them, and at the finest levels through two stages of the image itself.

    Args:
        features: channels of the tokens, F.
        classes: background included.
        config: sizes.

    Shapes:
        four times tokens `(B, N, F)`, W fastest, their grid, and the image `(B, C, D, H, W)`, to logits
        `(B, classes, D, H, W)`, in training a list of them, the finest first.

    Source: SPAD spec, section 8.2.
    """

    def __init__(self, features: int, classes: int, config: PyramidUNetConfig) -> None:
        super().__init__()
        self.config, top = config, config.halvings
        up = [_up(features, features, config.stride(n)) for n in (top, top - 1, top)]
        self.norms = nn.ModuleList(_InstanceNorm(features) for _ in range(4))
        self.pyramid = nn.ModuleList([
            nn.Sequential(up[0], _InstanceNorm(features), nn.GELU(), up[1]),
            up[2],
            nn.Identity(),
            nn.MaxPool3d(config.stride(top + 1), config.stride(top + 1), ceil_mode=True),
        ])  # fmt: skip
        self.levels = [top - 2, top - 1, top, top + 1]
        self.lateral = nn.ModuleList(_convolution(features, config.widths[level], (1, 1, 1)) for level in self.levels)
        self.stages = nn.ModuleList()
        for level in range(top - 2):
            before = config.channels if level == 0 else config.widths[level - 1]
            stride = (1, 1, 1) if level == 0 else config.stride(level)
            self.stages.append(_convolution(before, config.widths[level], config.kernel(level), stride))
        self.ups, self.joins = nn.ModuleList(), nn.ModuleList()
        for level in range(top, -1, -1):
            width = config.widths[level]
            self.ups.append(_up(config.widths[level + 1], width, config.stride(level + 1)))
            kernel = config.kernel(level)
            self.joins.append(nn.Sequential(_convolution(2 * width, width, kernel), _convolution(width, width, kernel)))
        self._scored = range(min(config.scored, top + 1))
        self.answers = nn.ModuleList(nn.Conv3d(config.widths[level], classes, 1) for level in self._scored)

    def forward(self, layers: Sequence[Tensor], grid: Sides, image: Tensor) -> Tensor | list[Tensor]:
        """Score voxels.

        Args:
            layers: tokens after four blocks, the deepest last.
            grid: tokens along D, H, W.
            image: what they are of, in [0, 1].

        Raises:
            InputError: there are not four, or they are not of this grid.
        """
        maps = self._maps(layers, grid)
        state = image
        for level, stage in enumerate(self.stages):
            state = maps[level] = stage(state)
        state, found = maps[self.levels[-1]], {}
        for up, join, level in zip(self.ups, self.joins, range(self.config.halvings, -1, -1), strict=True):
            raised = _cut(up(state), maps[level].shape[2:])
            state = join(torch.cat([raised, maps[level]], dim=1))
            found[level] = state
        scored = [answer(found[level]) for level, answer in enumerate(self.answers) if self.training or level == 0]
        sides = image.shape[2:]
        scored = [functional.interpolate(one, sides, mode="trilinear", align_corners=False)
                  if one.shape[2:] != sides else one for one in scored]  # fmt: skip
        return scored if self.training else scored[0]

    def _maps(self, layers: Sequence[Tensor], grid: Sides) -> dict[int, Tensor]:
        if len(layers) != len(self.norms):
            raise InputError(f"tokens of {len(layers)} layers are given", f"give those of {len(self.norms)}")
        maps = {}
        for tokens, norm, scale, lateral, level in zip(
            layers, self.norms, self.pyramid, self.lateral, self.levels, strict=True
        ):
            if tokens.shape[1] != grid[0] * grid[1] * grid[2]:
                raise InputError(f"{tokens.shape[1]} tokens are not a grid of {grid}", "check the image's size")
            volume = tokens.transpose(1, 2).unflatten(2, grid)
            maps[level] = lateral(scale(norm(volume)))
        return maps


def deep_weights(count: int) -> list[float]:
    """Weights of the losses of maps, the finest first: each half the one before, 1 together."""
    return [2.0 ** (count - 1 - n) / (2**count - 1) for n in range(count)]


def _cut(volume: Tensor, sides: Sequence[int]) -> Tensor:
    """Leave out what rounding up added."""
    return volume[..., : sides[0], : sides[1], : sides[2]]


def _up(given: int, wanted: int, stride: Sides) -> nn.Module:
    return nn.ConvTranspose3d(given, wanted, stride, stride)


class _InstanceNorm(nn.InstanceNorm3d):
    """Instance norm that lets a map of a single place pass."""

    def forward(self, volume: Tensor) -> Tensor:
        return super().forward(volume) if volume[0, 0].numel() > 1 else volume


def _convolution(given: int, wanted: int, kernel: Sides, stride: Sides = (1, 1, 1)) -> nn.Module:
    padding = tuple(side // 2 for side in kernel)
    return nn.Sequential(
        nn.Conv3d(given, wanted, kernel, stride, padding), _InstanceNorm(wanted, affine=True), nn.LeakyReLU()
    )
