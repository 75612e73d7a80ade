"""A plain vision transformer over the patches of a volume."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from medfm_core.layers.attention import MultiHeadAttention
from medfm_core.layers.block import Block
from medfm_core.layers.block_stack import BlockStack
from medfm_core.layers.convolutional_stem import CENTRE, ConvolutionalStem, stem_strides
from medfm_core.layers.initialisation import initialise_linear
from medfm_core.layers.learned_positions import FactorisedPositions
from medfm_core.layers.mlp import Mlp
from medfm_core.layers.patch_embedding import PatchEmbedding
from medfm_core.layers.patches import patch_grid, patchify
from medfm_core.layers.tokens import gather_tokens


@dataclass(frozen=True)
class VolumeTransformerConfig:
    """Architecture as data.

    Attributes:
        image_size: voxels along D, H, W for which the position tables are made.
        patch_size: voxels of a patch along D, H, W.
        channels: channels of the volume.
        width: channels of a token, a multiple of 3 and of `heads`.
        depth: blocks.
        heads: attention heads.
        mlp_width: channels inside the blocks' perceptrons.
        dropout: share zeroed in training, of the embedded tokens and within the blocks.
        stem: channels after each of the convolutions that embed patches, but the last; empty for one linear layer, as
            in the release.
    """

    image_size: tuple[int, int, int] = (32, 192, 192)
    patch_size: tuple[int, int, int] = (4, 16, 16)
    channels: int = 3
    width: int = 1008
    depth: int = 12
    heads: int = 12
    mlp_width: int = 3072
    dropout: float = 0.1
    stem: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("channels", "width", "depth", "heads", "mlp_width"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)} must be at least 1")
        if self.width % self.heads or self.width % 3:
            raise ValueError(f"width {self.width} must be a multiple of 3 and of heads {self.heads}")
        sizes = zip(self.image_size, self.patch_size, strict=True)
        if min(self.patch_size) < 1 or any(side < patch or side % patch for side, patch in sizes):
            raise ValueError(f"image_size {self.image_size} must be multiples of patch_size {self.patch_size}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout {self.dropout} must lie in [0, 1)")
        if self.stem:
            stem_strides(self.patch_size, len(self.stem) + 1)

    @property
    def patch_values(self) -> int:
        """Numbers in a patch."""
        return self.channels * math.prod(self.patch_size)

    def token_grid(self, sides: Sequence[int]) -> tuple[int, int, int]:
        """Count the tokens along H, W, D, the order in which they run (D fastest).

        Args:
            sides: voxels of a volume along D, H, W.

        Raises:
            InputError: a side is not a multiple of its patch side.
        """
        depth, rows, columns = patch_grid(sides, self.patch_size)
        return rows, columns, depth


class VolumeTransformer(nn.Module):
    """Tokens of a volume, or of the patches of it that may be seen.

    Volumes may have any sides that are multiples of the patch; the position tables are sampled to their grid.

    Args:
        config: the architecture.

    Shapes:
        `(B, C, D, H, W)` to `(B, N, width)`; tokens run along D fastest, then W, H. No norm follows the last block.

    Source: image encoder of the TotalFM release (TotalFM spec, section 1.6).
    """

    def __init__(self, config: VolumeTransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_embedding = PatchEmbedding(config.patch_values, config.width) if not config.stem else None
        self.positions = FactorisedPositions(config.token_grid(config.image_size), config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = BlockStack(_block(config) for _ in range(config.depth))
        initialise_linear(self)
        if config.stem:
            self.stem = ConvolutionalStem(config.channels, config.stem, config.width, config.patch_size)

    def patches(self, volume: Tensor) -> Tensor:
        """Cut volumes into flat patches.

        Args:
            volume: `(B, C, D, H, W)`.

        Returns:
            `(B, N, P)` in the order of the tokens; within a patch the channel runs fastest, then D, W, H.

        Raises:
            InputError: a side is not a multiple of its patch side.
        """
        depth, rows, columns = self.config.patch_size
        return patchify(volume.permute(0, 1, 3, 4, 2), (rows, columns, depth))

    def embed(self, volume: Tensor, visible: Tensor | None = None) -> Tensor:
        """Turn a volume into what enters the first block.

        Args:
            volume: `(B, C, D, H, W)`.
            visible: which patches may be seen, `(B, V)`, int64; None for all.

        Returns:
            `(B, V, width)`, in the order of `visible`; nothing of the other patches is in it.

        Raises:
            InputError: a side is not a multiple of its patch side.
        """
        positions = self.positions(self.config.token_grid(volume.shape[2:]))
        tokens = self._linear(volume, visible) if self.patch_embedding is not None else self._stem(volume, visible)
        return self.dropout(tokens + (positions if visible is None else positions[visible]))

    def forward(self, volume: Tensor, visible: Tensor | None = None) -> Tensor:
        """Return the tokens of the visible patches, `(B, V, width)`; of all where `visible` is None."""
        return self.blocks(self.embed(volume, visible))

    def _linear(self, volume: Tensor, visible: Tensor | None) -> Tensor:
        patches = self.patches(volume)
        return self.patch_embedding(patches if visible is None else gather_tokens(patches, visible))

    def _stem(self, volume: Tensor, visible: Tensor | None) -> Tensor:
        """Tokens of the convolutions, which see the middle of the range of values in place of hidden patches."""
        if visible is not None:
            volume = self._with_hidden(volume, visible)
        features = self.stem(volume.contiguous(memory_format=torch.channels_last_3d))
        tokens = features.permute(0, 3, 4, 2, 1).flatten(1, 3)
        return tokens if visible is None else gather_tokens(tokens, visible)

    def _with_hidden(self, volume: Tensor, visible: Tensor) -> Tensor:
        rows, columns, depth = self.config.token_grid(volume.shape[2:])
        seen = torch.zeros(len(volume), rows * columns * depth, dtype=torch.bool, device=volume.device)
        seen = seen.scatter(1, visible, True).unflatten(1, (rows, columns, depth)).permute(0, 3, 1, 2)[:, None]
        for axis, side in enumerate(self.config.patch_size, 2):
            seen = seen.repeat_interleave(side, axis)
        return torch.where(seen, volume, CENTRE)

    def set_activation_checkpointing(self, on: bool) -> None:
        """Compute the blocks' activations again in the backward pass instead of keeping them."""
        self.blocks.checkpointing = on


def _block(config: VolumeTransformerConfig) -> Block:
    attention = MultiHeadAttention(config.width, config.heads, dropout=config.dropout)
    return Block(config.width, attention, Mlp(config.width, config.mlp_width, config.dropout))
