"""The querying transformer: a fixed number of learned queries gathers what the tokens of a study hold."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from medfm_core.layers.attention import MultiHeadAttention
from medfm_core.layers.block_stack import BlockStack
from medfm_core.layers.cross_attention import CrossAttention
from medfm_core.layers.mlp import Mlp


@dataclass(frozen=True)
class QFormerConfig:
    """Sizes; the defaults are those of BLIP-2.

    Attributes:
        queries: learned queries, and so tokens that come out.
        width: channels of a query, a multiple of `heads`.
        depth: blocks.
        heads: attention heads.
        mlp_width: hidden channels of the MLPs.
        cross_every: every how many blocks the queries look at the study, beginning with the first.
        dropout: share that is zeroed in training.
    """

    queries: int = 32
    width: int = 768
    depth: int = 12
    heads: int = 12
    mlp_width: int = 3072
    cross_every: int = 2
    dropout: float = 0.1

    def __post_init__(self) -> None:
        for name in ("queries", "width", "depth", "heads", "mlp_width", "cross_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.width % self.heads:
            raise ValueError(f"width {self.width} must be a multiple of {self.heads} heads")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout {self.dropout} must lie in [0, 1)")


class QueryBlock(nn.Module):
    """Pre-norm block: queries look at each other, then (in some blocks) at the study, then each goes through an MLP.

    Args:
        config: sizes.
        crosses: whether this block looks at the study.

    Shapes:
        Queries `(B, Q, W)`, memory `(B, N, W)`, seen `(B, N)` bool to `(B, Q, W)`.
    """

    def __init__(self, config: QFormerConfig, crosses: bool) -> None:
        super().__init__()
        width = config.width
        self.attention_norm = nn.LayerNorm(width)
        self.attention = MultiHeadAttention(width, config.heads, qkv_bias=True, dropout=config.dropout)
        self.cross_norm = nn.LayerNorm(width) if crosses else None
        self.cross = CrossAttention(width, width, config.heads, config.dropout) if crosses else None
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = Mlp(width, config.mlp_width, config.dropout)

    def forward(self, queries: Tensor, memory: Tensor, seen: Tensor) -> Tensor:
        """Return the new queries."""
        queries = queries + self.attention(self.attention_norm(queries))
        if self.cross is not None:
            queries = queries + self.cross(self.cross_norm(queries), memory, seen)
        return queries + self.mlp(self.mlp_norm(queries))


class QFormer(nn.Module):
    """Learned queries that read a set of tokens of any size.

    Beside the given tokens there is a learned one that is always seen, so that a study of which nothing is known has an
    answer too. The order of the tokens does not matter.

    Args:
        config: sizes.

    Source: BLIP-2, arXiv:2301.12597, section 3.1: 32 queries, cross-attention in every second block. Ours has pre-norm
    blocks, for which no pre-trained language model is needed as a start.
    """

    def __init__(self, config: QFormerConfig) -> None:
        super().__init__()
        self.config = config
        self.queries = nn.Parameter(torch.empty(config.queries, config.width).normal_(std=0.02))
        self.nothing = nn.Parameter(torch.empty(config.width).normal_(std=0.02))
        self.memory_norm = nn.LayerNorm(config.width)
        self.blocks = BlockStack(QueryBlock(config, block % config.cross_every == 0) for block in range(config.depth))
        self.norm_out = nn.LayerNorm(config.width)

    def forward(self, tokens: Tensor, seen: Tensor) -> Tensor:
        """Gather.

        Args:
            tokens: `(B, N, W)`.
            seen: which of them are there, `(B, N)` bool.

        Returns:
            `(B, queries, W)`.
        """
        count = len(tokens)
        always = self.nothing.to(tokens.dtype).expand(count, 1, -1)
        # What is not there must not come through as NaN times 0 either.
        memory = self.memory_norm(torch.cat([always, tokens.masked_fill(~seen[..., None], 0)], dim=1))
        seen = torch.cat([seen.new_ones(count, 1), seen], dim=1)
        queries = self.queries.expand(count, -1, -1)
        return self.norm_out(self.blocks(queries, memory=memory, seen=seen))
