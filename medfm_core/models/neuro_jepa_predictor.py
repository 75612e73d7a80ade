"""Neuro-JEPA's predictor: from the features of what is seen to those of what is hidden."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from medfm_core.layers.block import Block
from medfm_core.layers.block_stack import BlockStack
from medfm_core.layers.depth_initialisation import initialise_normal, shrink_with_depth
from medfm_core.layers.gated_attention import GatedAttention
from medfm_core.layers.mlp import Mlp
from medfm_core.layers.rotary_positions import PositionMode, predictor_coordinates, rotary_table
from medfm_core.models.neuro_jepa import EPSILON


@dataclass(frozen=True)
class PredictorConfig:
    """Architecture of the predictor.

    Attributes:
        features: channels of the encoder's tokens.
        width: channels of the predictor's tokens, a multiple of `heads`.
        depth: blocks.
        heads: attention heads, of an even number of channels.
        mask_tokens: kinds of masks, each of which has a token of its own.
        positions: as the encoder's.
    """

    features: int = 768
    width: int = 384
    depth: int = 12
    heads: int = 12
    mask_tokens: int = 3
    positions: PositionMode = "true"

    def __post_init__(self) -> None:
        if min(self.features, self.width, self.depth, self.heads, self.mask_tokens) < 1:
            raise ValueError("features, width, depth, heads and mask_tokens must be at least 1")
        if self.width % self.heads or self.width // self.heads % 2 or self.width // self.heads < 6:
            raise ValueError(f"width {self.width} must give each of {self.heads} heads an even number of at least 6")


class NeuroJepaPredictor(nn.Module):
    """Features of hidden tokens, from those of seen ones, a mask token and the places of both.

    Args:
        config: the architecture.

    Source: Neuro-JEPA spec, section 4; the release only ever uses its first mask token, here each kind of mask uses
        its own.
    """

    def __init__(self, config: PredictorConfig) -> None:
        super().__init__()
        self.config = config
        self.narrow = nn.Linear(config.features, config.width)
        self.mask_tokens = nn.Parameter(torch.zeros(config.mask_tokens, config.width))
        self.blocks = BlockStack(
            Block(
                config.width,
                GatedAttention(config.width, config.heads),
                Mlp(config.width, 4 * config.width),
                epsilon=EPSILON,
            )
            for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.width, eps=EPSILON)
        self.widen = nn.Linear(config.width, config.features)
        initialise_normal(self)
        for number, block in enumerate(self.blocks, 1):
            shrink_with_depth([block.attention.projection.weight, block.mlp.narrow.weight], number)

    def forward(
        self, context: Tensor, visible: Tensor, hidden: Tensor, kinds: Tensor, grid: tuple[int, int, int]
    ) -> Tensor:
        """Predict the hidden tokens' features.

        Args:
            context: features of the seen tokens, `(B, V, features)`.
            visible: where they lie, `(B, V)` int64.
            hidden: where the hidden ones lie, `(B, M)` int64.
            kinds: which mask token stands for the hidden ones, `(B,)` int64 in `[0, mask_tokens)`.
            grid: tokens of a whole volume along the three axes.

        Returns:
            `(B, M, features)`, in the order of `hidden`.
        """
        mode, channels = self.config.positions, self.config.width // self.config.heads
        coordinates = predictor_coordinates(grid, mode, context.device)
        rotary = rotary_table(coordinates, channels, mode).at(torch.cat([visible, hidden], dim=1))
        known = self.narrow(context)
        blank = self.mask_tokens[kinds][:, None].expand(-1, hidden.shape[1], -1)
        tokens = self.blocks(torch.cat([known, blank.to(known.dtype)], dim=1), rotary=rotary)
        return self.widen(self.norm(tokens[:, visible.shape[1] :]))
