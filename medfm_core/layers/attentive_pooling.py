"""Many tokens to one by attention."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from medfm_core.layers.attention import join_heads, split_heads


class AttentivePooling(nn.Module):
    """The mean token asks, all tokens answer.

    Query, keys and values have a norm each; there is no residual and no MLP.

    Args:
        width: channels of a token, `W`, a multiple of `heads`.
        heads: number of heads.
        epsilon: of the norms.

    Shapes:
        `(B, N, W)` to `(B, W)`.

    Source: the attention pooling block of InternVL (arXiv:2312.14238), as in TotalFM spec, section 1.6.
    """

    def __init__(self, width: int, heads: int, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.heads = heads
        self.query_norm = nn.LayerNorm(width, eps=epsilon)
        self.key_norm = nn.LayerNorm(width, eps=epsilon)
        self.value_norm = nn.LayerNorm(width, eps=epsilon)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.projection = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return one token per sample."""
        query = split_heads(self.query(self.query_norm(tokens.mean(dim=1, keepdim=True))), self.heads)
        key = split_heads(self.key(self.key_norm(tokens)), self.heads)
        value = split_heads(self.value(self.value_norm(tokens)), self.heads)
        return self.projection(join_heads(functional.scaled_dot_product_attention(query, key, value)))[:, 0]
