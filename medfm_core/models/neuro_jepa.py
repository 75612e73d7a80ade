"""Neuro-JEPA: a transformer over the patches of a brain scan, with experts in every other block.

`neuro_jepa_predictor.py` has the predictor that trains it, `neuro_jepa_weights.py` loads the release.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from medfm_core.layers.block import Block
from medfm_core.layers.block_stack import BlockStack
from medfm_core.layers.depth_initialisation import initialise_normal, shrink_with_depth
from medfm_core.layers.gated_attention import GatedAttention
from medfm_core.layers.mixture_of_experts import MixtureConfig, MixtureOfExperts, Routing
from medfm_core.layers.mlp import Mlp
from medfm_core.layers.patch_embedding import PatchEmbedding
from medfm_core.layers.patches import patch_grid, patchify
from medfm_core.layers.rotary_positions import PositionMode, Rotary, encoder_coordinates, rotary_table
from medfm_core.layers.tokens import gather_tokens
from medfm_core.models.encoded import Encoded, Pooling
from medfm_core.models.sizes import read_sizes

ARCHITECTURE = "neuro_jepa"
EPSILON = 1e-6


@dataclass(frozen=True)
class NeuroJepaConfig:
    """Architecture as data; the defaults are the released size with positions that are true to the grid.

    Attributes:
        image_size: voxels along D, H, W that the model is meant for; any multiple of the patch is taken.
        patch_size: voxels of a patch along D, H, W.
        channels: channels of the volume.
        width: channels of a token, a multiple of `heads`.
        depth: blocks.
        heads: attention heads, of an even number of channels.
        mlp_width: channels inside the perceptrons of the blocks without experts.
        expert_blocks: numbers of the blocks with experts, from 0; none for a dense model.
        mixture: the experts.
        positions: `true` coordinates and rotations, or those `published`, which the released weights need.
    """

    image_size: tuple[int, int, int] = (96, 108, 96)
    patch_size: tuple[int, int, int] = (12, 12, 12)
    channels: int = 1
    width: int = 768
    depth: int = 12
    heads: int = 12
    mlp_width: int = 3072
    expert_blocks: tuple[int, ...] = (1, 3, 5, 7, 9, 11)
    mixture: MixtureConfig = field(default_factory=MixtureConfig)
    positions: PositionMode = "true"

    def __post_init__(self) -> None:
        for name in ("channels", "width", "depth", "heads", "mlp_width"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)} must be at least 1")
        if self.width % self.heads or self.width // self.heads % 2 or self.width // self.heads < 6:
            raise ValueError(f"width {self.width} must give each of {self.heads} heads an even number of at least 6")
        sizes = zip(self.image_size, self.patch_size, strict=True)
        if min(self.patch_size) < 1 or any(side < patch or side % patch for side, patch in sizes):
            raise ValueError(f"image_size {self.image_size} must be multiples of patch_size {self.patch_size}")
        if any(not 0 <= block < self.depth for block in self.expert_blocks):
            raise ValueError(f"expert_blocks {self.expert_blocks} must lie in [0, {self.depth})")

    @property
    def patch_values(self) -> int:
        """Numbers in a patch."""
        return self.channels * math.prod(self.patch_size)

    def token_grid(self, sides: Sequence[int]) -> tuple[int, int, int]:
        """Count the tokens along D, H, W, W fastest.

        Args:
            sides: voxels of a volume along D, H, W.

        Raises:
            InputError: a side is not a multiple of its patch side.
        """
        return patch_grid(sides, self.patch_size)


class SparseBlock(Block):
    """A pre-norm block whose perceptron is a mixture of experts, `(B, N, W)` to the same and the routing."""

    def forward(self, tokens: Tensor, **how: Any) -> tuple[Tensor, Routing]:
        """Return the new tokens and who made them; `how` goes to the attention."""
        tokens = tokens + self.attention(self.attention_norm(tokens), **how)
        mixed, routing = self.mlp(self.mlp_norm(tokens))
        return tokens + mixed, routing


class NeuroJepaEncoder(nn.Module):
    """Tokens of a volume, or of the patches of it that may be seen.

    Args:
        config: the architecture.

    Shapes:
        `(B, C, D, H, W)` to `(B, N, width)`; tokens run along W fastest. The axes are those of the array as the model
        card orients it; in the release D, H, W run towards Right, Anterior, Superior on 96 x 108 x 96 voxels.

    Source: Neuro-JEPA spec, sections 2 and 3.
    """

    pooling: ClassVar[Pooling] = "mean"  # the release names no other vector of a scan

    def __init__(self, config: NeuroJepaConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_embedding = PatchEmbedding(config.patch_values, config.width, normalised=False)
        self.blocks = BlockStack(_block(config, number) for number in range(config.depth))
        self.norm = nn.LayerNorm(config.width, eps=EPSILON)
        initialise_normal(self)
        for number, block in enumerate(self.blocks, 1):
            shrink_with_depth(_last_weights(block), number)

    def patches(self, volume: Tensor) -> Tensor:
        """Cut volumes into flat patches, `(B, C, D, H, W)` to `(B, N, P)` in the order of the tokens; see `patchify`.

        Raises:
            InputError: a side is not a multiple of its patch side.
        """
        return patchify(volume, self.config.patch_size)

    def embed(self, volume: Tensor, visible: Tensor | None = None) -> Tensor:
        """Turn a volume into what enters the first block; nothing of patches that are not visible is in it.

        Args:
            volume: `(B, C, D, H, W)`.
            visible: which patches may be seen, `(B, V)` int64, in any order, also several times; None for all.

        Returns:
            `(B, V, width)`, in the order of `visible`.

        Raises:
            InputError: a side is not a multiple of its patch side.
        """
        patches = self.patches(volume)
        return self.patch_embedding(patches if visible is None else gather_tokens(patches, visible))

    def through_blocks(self, tokens: Tensor, grid: tuple[int, int, int], visible: Tensor | None = None) -> Encoded:
        """Send embedded tokens through the blocks.

        Args:
            tokens: `(B, V, width)`, as `embed` gives them.
            grid: tokens of a whole volume along the three axes.
            visible: where the tokens lie, `(B, V)` int64; None for all in order.
        """
        rotary = self._rotary(grid, tokens.device)
        if visible is not None:
            rotary = rotary.at(visible)
        routing: list[Routing | None] = []
        for block in self.blocks:
            tokens, how = self._through(block, tokens, rotary)
            routing.append(how)
        return Encoded(self.norm(tokens), tuple(routing))

    def forward(self, volume: Tensor, visible: Tensor | None = None) -> Tensor:
        """Return the tokens of the visible patches, `(B, V, width)`; of all where `visible` is None."""
        return self.routed(volume, visible).tokens

    def routed(self, volume: Tensor, visible: Tensor | None = None) -> Encoded:
        """The same with the routing of each block."""
        return self.through_blocks(self.embed(volume, visible), self.config.token_grid(volume.shape[2:]), visible)

    def set_activation_checkpointing(self, on: bool) -> None:
        """Compute the blocks' activations again in the backward pass instead of keeping them."""
        self.blocks.checkpointing = on

    def _rotary(self, grid: tuple[int, int, int], device: torch.device) -> Rotary:
        mode, channels = self.config.positions, self.config.width // self.config.heads
        return rotary_table(encoder_coordinates(grid, mode, device), channels, mode)

    def _through(self, block: Block, tokens: Tensor, rotary: Rotary) -> tuple[Tensor, Routing | None]:
        if self.blocks.checkpointing and torch.is_grad_enabled():
            made = checkpoint(block, tokens, use_reentrant=False, rotary=rotary)
        else:
            made = block(tokens, rotary=rotary)
        return made if isinstance(block, SparseBlock) else (made, None)


def sizes() -> dict[str, dict[str, Any]]:
    """Values of `NeuroJepaConfig` by size: mini, tiny, small, base, large, released.

    Raises:
        WeightsError: the files of the sizes are missing or not usable.
    """
    return read_sizes(ARCHITECTURE)


def _block(config: NeuroJepaConfig, number: int) -> Block:
    attention = GatedAttention(config.width, config.heads)
    if number in config.expert_blocks:
        return SparseBlock(config.width, attention, MixtureOfExperts(config.width, config.mixture), epsilon=EPSILON)
    return Block(config.width, attention, Mlp(config.width, config.mlp_width), epsilon=EPSILON)


def _last_weights(block: Block) -> list[Tensor]:
    """Weights of the layers at the end of a block's branches."""
    if isinstance(block, SparseBlock):
        return [block.attention.projection.weight, block.mlp.experts.narrow_weight, block.mlp.shared.narrow.weight]
    return [block.attention.projection.weight, block.mlp.narrow.weight]
