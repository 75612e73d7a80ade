"""Self-attention with rotary positions whose heads are opened and shut by the token they serve."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from medfm_core.layers.attention import join_heads, split_heads
from medfm_core.layers.rotary_positions import Rotary


class GatedAttention(nn.Module):
    """Softmax attention; the output of each head is multiplied by a number between 0 and 1 that its token decides.

    Args:
        width: channels of a token, `W`, a multiple of `heads`.
        heads: number of heads, `h`.

    Shapes:
        `(B, N, W)` to `(B, N, W)`.

    Source: Neuro-JEPA spec, section 3.2 (gate before the output projection, biases everywhere); arXiv:2505.06708.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.gate = nn.Linear(width, heads)
        self.projection = nn.Linear(width, width)

    def forward(self, tokens: Tensor, rotary: Rotary) -> Tensor:
        """Let tokens look at each other.

        Args:
            tokens: `(B, N, W)`.
            rotary: of these tokens, tables `(B, 1, N, W / h)` or `(N, W / h)`.
        """
        query, key, value = (split_heads(part, self.heads) for part in self.qkv(tokens).chunk(3, dim=-1))
        seen = functional.scaled_dot_product_attention(rotary.turn(query), rotary.turn(key), value)
        gate = self.gate(tokens).sigmoid().transpose(1, 2)[..., None]
        return self.projection(join_heads(seen * gate))
