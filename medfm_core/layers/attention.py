"""Multi-head self-attention over a set of tokens."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class MultiHeadAttention(nn.Module):
    """Softmax attention of every token to every token, in heads of `W / heads` channels.

    Args:
        width: channels of a token, `W`, a multiple of `heads`.
        heads: number of heads, `h`.
        qkv_bias: give the joint projection to queries, keys and values a bias.
        dropout: share of attention weights and of outputs that is zeroed in training.

    Shapes:
        `(B, N, W)` to `(B, N, W)`. Queries, keys and values lie one after the other in the output of `qkv`, each
        head by head.

    Source: arXiv:1706.03762; without qkv bias as in the TotalFM release (TotalFM spec, section 1.6).
    """

    def __init__(self, width: int, heads: int, qkv_bias: bool = False, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.qkv = nn.Linear(width, 3 * width, bias=qkv_bias)
        self.projection = nn.Linear(width, width)
        self.output_dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Let tokens look at each other.

        Args:
            tokens: `(B, N, W)`.
            mask: who may look at whom, bool, `(N, N)` or broadcastable to `(B, h, N, N)`: row looks at column where
                True. None lets all look at all.
        """
        query, key, value = (split_heads(part, self.heads) for part in self.qkv(tokens).chunk(3, dim=-1))
        dropout = self.dropout if self.training else 0.0
        seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)
        return self.output_dropout(self.projection(join_heads(seen)))


def split_heads(tokens: Tensor, heads: int) -> Tensor:
    """Rearrange `(B, N, W)` to `(B, heads, N, W / heads)`."""
    return tokens.unflatten(-1, (heads, -1)).transpose(1, 2)


def join_heads(tokens: Tensor) -> Tensor:
    """Rearrange `(B, heads, N, W / heads)` to `(B, N, W)`."""
    return tokens.transpose(1, 2).flatten(2)
