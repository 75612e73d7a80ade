"""Attention of one set of tokens to another."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from medfm_core.layers.attention import join_heads, split_heads


class CrossAttention(nn.Module):
    """Let query tokens look at the tokens of another set, which may have another width.

    Args:
        width: channels of a query token, `W`, a multiple of `heads`.
        memory_width: channels of the tokens that are looked at, `M`.
        heads: number of heads, `h`.
        dropout: share of attention weights and of outputs that is zeroed in training.

    Shapes:
        Queries `(B, Q, W)` and memory `(B, N, M)` to `(B, Q, W)`.

    Source: arXiv:1706.03762, section 3.2.3.
    """

    def __init__(self, width: int, memory_width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(memory_width, width)
        self.value = nn.Linear(memory_width, width)
        self.projection = nn.Linear(width, width)
        self.output_dropout = nn.Dropout(dropout)

    def forward(self, queries: Tensor, memory: Tensor, seen: Tensor | None = None) -> Tensor:
        """Return what each query finds.

        Args:
            queries: `(B, Q, W)`.
            memory: `(B, N, M)`.
            seen: which tokens of the memory may be looked at, `(B, N)` bool, at least one of each sample. None: all.
        """
        query = split_heads(self.query(queries), self.heads)
        key, value = split_heads(self.key(memory), self.heads), split_heads(self.value(memory), self.heads)
        mask = None if seen is None else seen[:, None, None, :]
        dropout = self.dropout if self.training else 0.0
        found = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)
        return self.output_dropout(self.projection(join_heads(found)))
