"""Self-attention that knows where tokens lie by turning queries and keys."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from medfm_core.layers.attention import join_heads, split_heads
from medfm_core.layers.volume_rotation import Rotation, rotate


class RotaryAttention(nn.Module):
    """Softmax attention with rotary positions; queries and values have a bias, keys have none.

    A bias of the keys would shift all scores of a query alike, which softmax does not feel.

    Args:
        width: channels of a token, `W`, a multiple of `heads`.
        heads: number of heads.

    Shapes:
        `(B, N, W)` to `(B, N, W)`.

    Source: EVA-02 (arXiv:2303.11331) as in SPAD spec, section 6.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width)
        self.projection = nn.Linear(width, width)

    def forward(self, tokens: Tensor, rotation: Rotation) -> Tensor:
        """Let tokens `(B, N, W)` at the places of `rotation` look at each other."""
        query, key, value = (split_heads(part(tokens), self.heads) for part in (self.query, self.key, self.value))
        seen = functional.scaled_dot_product_attention(rotate(query, rotation), rotate(key, rotation), value)
        return self.projection(join_heads(seen))
