"""BrainIAC: a plain vision transformer over the patches of a brain scan, as MONAI's `ViT` without a class token.

It has no token of its own for the whole scan: its authors take the token of the first patch, a corner of the box, and
trained it to stand for the scan. `brainiac_weights.py` loads it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from medfm_core.errors import InputError
from medfm_core.layers.attention import MultiHeadAttention
from medfm_core.layers.block import Block
from medfm_core.layers.block_stack import BlockStack
from medfm_core.layers.mlp import Mlp
from medfm_core.layers.patches import patch_grid
from medfm_core.models.encoded import Encoded, Pooling

ARCHITECTURE = "brainiac"


@dataclass(frozen=True)
class BrainIACConfig:
    """Architecture as data; the defaults are the published size.

    Attributes:
        image_size: voxels along D, H, W; other sizes are not taken, for each patch has a learnt position.
        patch_size: voxels of a patch along D, H, W.
        width: channels of a token, a multiple of `heads`.
        depth: blocks.
        heads: attention heads.
        mlp_width: channels inside the blocks' perceptrons.
    """

    image_size: tuple[int, int, int] = (96, 96, 96)
    patch_size: tuple[int, int, int] = (16, 16, 16)
    width: int = 768
    depth: int = 12
    heads: int = 12
    mlp_width: int = 3072

    def __post_init__(self) -> None:
        for name in ("width", "depth", "heads", "mlp_width"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)} must be at least 1")
        if self.width % self.heads:
            raise ValueError(f"width {self.width} must be a multiple of heads {self.heads}")
        sizes = zip(self.image_size, self.patch_size, strict=True)
        if min(self.patch_size) < 1 or any(side < patch or side % patch for side, patch in sizes):
            raise ValueError(f"image_size {self.image_size} must be multiples of patch_size {self.patch_size}")

    def token_grid(self, sides: Sequence[int]) -> tuple[int, int, int]:
        """Count the tokens along D, H, W, W fastest.

        Args:
            sides: voxels of a volume along D, H, W.

        Raises:
            InputError: a side is not a multiple of its patch side.
        """
        return patch_grid(sides, self.patch_size)


class BrainIACEncoder(nn.Module):
    """Tokens of a volume.

    Args:
        config: the architecture.

    Shapes:
        `(B, 1, D, H, W)` of `config.image_size` to `(B, N, width)`; tokens run along W fastest.

    Source: `monai.networks.nets.ViT` as MONAI 1.3 has it, with which users of the checkpoint load it; arXiv:2010.11929.
    """

    pooling: ClassVar[Pooling] = "first"

    def __init__(self, config: BrainIACConfig) -> None:
        super().__init__()
        self.config = config
        self.patches = nn.Conv3d(1, config.width, config.patch_size, config.patch_size)
        count = math.prod(config.token_grid(config.image_size))
        self.positions = nn.Parameter(torch.zeros(1, count, config.width))
        self.blocks = BlockStack(_block(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width)

    def forward(self, volume: Tensor) -> Tensor:
        """Return the tokens, after the last norm.

        Raises:
            InputError: a volume of another size.
        """
        if tuple(volume.shape[2:]) != tuple(self.config.image_size):
            sides = (" x ".join(map(str, size)) for size in (volume.shape[2:], self.config.image_size))
            raise InputError("a volume of {} voxels instead of {}".format(*sides), "bring it to the card's size")
        tokens = self.patches(volume).flatten(2).transpose(1, 2)
        return self.norm(self.blocks(tokens + self.positions))

    def routed(self, volume: Tensor) -> Encoded:
        """The same; no block has experts."""
        return Encoded(self(volume))


def _block(config: BrainIACConfig) -> Block:
    return Block(config.width, MultiHeadAttention(config.width, config.heads), Mlp(config.width, config.mlp_width))
