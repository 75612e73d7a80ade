"""SPAD-ViT: one vision transformer for volumes of any slice thickness and for 2D images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from medfm_core.layers.adaptive_convolution import AdaptiveConv3d
from medfm_core.layers.anisotropy import Anisotropy, adaptive_patch
from medfm_core.layers.block import Block
from medfm_core.layers.block_stack import BlockStack
from medfm_core.layers.gated_mlp import GatedMlp
from medfm_core.layers.initialisation import initialise_linear
from medfm_core.layers.patches import patch_grid
from medfm_core.layers.resampled_positions import ResampledPositions
from medfm_core.layers.rotary_attention import RotaryAttention
from medfm_core.layers.volume_rotation import Rotation, rotation_angles, rotation_of
from medfm_core.models.sizes import read_sizes

ARCHITECTURE = "spad_vit"


@dataclass(frozen=True)
class SpadVitConfig:
    """Architecture as data; the defaults are those of the published base size.

    Attributes:
        channels: of the volume.
        patch: pixels of a token along H and W, a power of two; along D there are `max(patch >> degree, 1)` slices.
        width: channels of a token, a multiple of `heads`.
        depth: blocks.
        heads: attention heads, each of a multiple of 4 channels.
        mlp_width: channels inside the blocks' perceptrons.
        position_grid: places along D, H, W for which positions are learned.
    """

    channels: int = 3
    patch: int = 16
    width: int = 768
    depth: int = 12
    heads: int = 12
    mlp_width: int = 2048
    position_grid: tuple[int, int, int] = (5, 10, 10)

    def __post_init__(self) -> None:
        for name in ("channels", "patch", "width", "depth", "heads", "mlp_width"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)} must be at least 1")
        if self.patch & (self.patch - 1):
            raise ValueError(f"patch {self.patch} must be a power of two")
        if self.width % self.heads or self.width // self.heads % 4:
            raise ValueError(f"width {self.width} must give each of {self.heads} heads a multiple of 4 channels")
        if min(self.position_grid) < 1:
            raise ValueError(f"position_grid {list(self.position_grid)} must be at least 1 along each axis")

    @property
    def head_width(self) -> int:
        """Channels of a head."""
        return self.width // self.heads

    def token_grid(self, sides: Sequence[int], degree: int) -> tuple[int, int, int]:
        """Count the tokens along D, H, W of a volume of `sides` voxels.

        Raises:
            InputError: the sides are not multiples of a token's.
        """
        return patch_grid(sides, adaptive_patch(self.patch, degree))


class SpadVit(nn.Module):
    """Tokens of volumes: a class token, then one per place, W fastest.

    Args:
        config: the architecture.

    Shapes:
        `(B, C, D, H, W)`, sides multiples of `max(patch >> degree, 1), patch, patch`, to `(B, 1 + N, width)`. The
        published model expects RGB (grey repeated) with ImageNet's mean and deviation taken out.

    Source: SPAD spec, sections 2 and 6.
    """

    def __init__(self, config: SpadVitConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_embedding = AdaptiveConv3d(config.channels, config.width, config.patch, config.patch)
        self.positions = ResampledPositions(config.position_grid, config.width)
        self.class_token = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, 1, config.width), std=0.02))
        self.blocks = BlockStack(_block(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width)
        initialise_linear(self)

    def embed(self, volume: Tensor, degree: int) -> Tensor:
        """Embed patches and add their learned positions.

        Args:
            volume: `(B, C, D, H, W)`.
            degree: degree of anisotropy of the whole batch.

        Returns:
            `(B, N, width)`, without the class token.

        Raises:
            InputError: the sides are not multiples of a token's.
        """
        grid = self.config.token_grid(volume.shape[2:], degree)
        patches, _ = self.patch_embedding(volume, Anisotropy(degree))
        return patches.flatten(2).transpose(1, 2) + self.positions(grid)

    def angles(self, grid: tuple[int, int, int]) -> Tensor:
        """Rotary angles of the class token, which are 0, and of a grid's places, `(1 + N, head_width / 2)`."""
        places = rotation_angles(grid, self.config.head_width, self.class_token.device)
        return torch.cat([torch.zeros_like(places[:1]), places])

    def rotation(self, grid: tuple[int, int, int]) -> Rotation:
        """What the blocks turn queries and keys by, for the class token and a grid's places."""
        return rotation_of(self.angles(grid))

    def with_class_token(self, tokens: Tensor) -> Tensor:
        """Put the class token before tokens `(B, N, width)`."""
        return torch.cat([self.class_token.to(tokens.dtype).expand(len(tokens), -1, -1), tokens], dim=1)

    def run_blocks(self, tokens: Tensor, rotation: Rotation, first: int = 0, stop: int | None = None) -> Tensor:
        """Run the blocks from `first` to before `stop` (None: all) on tokens `(B, N, width)` at their places."""
        again = self.blocks.checkpointing and torch.is_grad_enabled()
        for block in list(self.blocks)[first:stop]:
            if again:
                tokens = checkpoint(block, tokens, use_reentrant=False, rotation=rotation)
            else:
                tokens = block(tokens, rotation=rotation)
        return tokens

    def forward(self, volume: Tensor, degree: int) -> Tensor:
        """Return class token and tokens after the last norm, `(B, 1 + N, width)`; see `embed`."""
        tokens = self.with_class_token(self.embed(volume, degree))
        rotation = self.rotation(self.config.token_grid(volume.shape[2:], degree))
        return self.norm(self.run_blocks(tokens, rotation))

    def set_activation_checkpointing(self, on: bool) -> None:
        """Compute the blocks' activations again in the backward pass instead of keeping them."""
        self.blocks.checkpointing = on


def sizes() -> dict[str, dict[str, Any]]:
    """Values of `SpadVitConfig` by size: tiny, base, large.

    Raises:
        WeightsError: the files of the sizes are missing or not usable.
    """
    return read_sizes(ARCHITECTURE)


def _block(config: SpadVitConfig) -> Block:
    return Block(config.width, RotaryAttention(config.width, config.heads), GatedMlp(config.width, config.mlp_width))
