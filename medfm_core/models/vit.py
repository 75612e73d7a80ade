"""A plain vision transformer over the patches of a volume."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from medfm_core.layers.attention import MultiHeadAttention
from medfm_core.layers.block import Block
from medfm_core.layers.block_stack import BlockStack
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
    """

    image_size: tuple[int, int, int] = (32, 192, 192)
    patch_size: tuple[int, int, int] = (4, 16, 16)
    channels: int = 3
    width: int = 1008
    depth: int = 12
    heads: int = 12
    mlp_width: int = 3072
    dropout: float = 0.1

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
        self.patch_embedding = PatchEmbedding(config.patch_values, config.width)
        self.positions = FactorisedPositions(config.token_grid(config.image_size), config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = BlockStack(_block(config) for _ in range(config.depth))
        initialise_linear(self)

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

    def embed(self, patches: Tensor, grid: tuple[int, int, int], visible: Tensor | None = None) -> Tensor:
        """Turn patches into what enters the first block.

        Args:
            patches: all patches of the volumes, `(B, N, P)`.
            grid: tokens along H, W, D.
            visible: which patches may be seen, `(B, V)`, int64; None for all.

        Returns:
            `(B, V, width)`, in the order of `visible`; nothing of the other patches is in it.
        """
        positions = self.positions(grid)
        if visible is not None:
            patches, positions = gather_tokens(patches, visible), positions[visible]
        return self.dropout(self.patch_embedding(patches) + positions)

    def forward(self, volume: Tensor, visible: Tensor | None = None) -> Tensor:
        """Return the tokens of the visible patches, `(B, V, width)`; of all where `visible` is None."""
        grid = self.config.token_grid(volume.shape[2:])
        return self.blocks(self.embed(self.patches(volume), grid, visible))

    def set_activation_checkpointing(self, on: bool) -> None:
        """Compute the blocks' activations again in the backward pass instead of keeping them."""
        self.blocks.checkpointing = on


def _block(config: VolumeTransformerConfig) -> Block:
    attention = MultiHeadAttention(config.width, config.heads, dropout=config.dropout)
    return Block(config.width, attention, Mlp(config.width, config.mlp_width, config.dropout))
