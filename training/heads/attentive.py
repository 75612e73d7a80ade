"""A head whose learnt queries ask the tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from medfm_core.errors import InputError
from training.heads.pooling import check_present


class AttentiveHead(nn.Module):
    """Self-attention blocks, then learnt queries that attend to the tokens, then a linear layer.

    Args:
        width: channels of the tokens, F, a multiple of `heads`.
        outputs: how many numbers to give.
        heads: attention heads.
        depth: blocks, the querying one included; 1 has no self-attention.
        queries: learnt queries; their answers are put one after the other.

    Shapes:
        `(B, N, F)` to `(B, outputs)`.

    Source: attentive head, Neuro-JEPA spec section 10.1 (no output projection in the querying block).
    """

    def __init__(self, width: int, outputs: int, heads: int = 8, depth: int = 1, queries: int = 1) -> None:
        super().__init__()
        if width % heads:
            raise InputError(f"{width} channels cannot be shared by {heads} heads", "choose a divisor of the width")
        if depth < 1 or queries < 1:
            raise InputError("an attentive head needs a depth and queries of 1 or more", "correct the configuration")
        self.heads = heads
        self.blocks = nn.ModuleList(_self_attention(width, heads) for _ in range(depth - 1))
        self.queries = nn.Parameter(torch.empty(queries, width))
        self.norm = nn.LayerNorm(width)
        self.ask, self.known = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.answer = nn.Linear(queries * width, outputs)
        for layer in (self.ask, self.known, self.mlp[1], self.mlp[3], self.answer):
            nn.init.trunc_normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)
        nn.init.trunc_normal_(self.queries, std=0.02)

    def forward(self, tokens: Tensor, present: Tensor | None = None) -> Tensor:
        """Answer.

        Args:
            tokens: `(B, N, F)`.
            present: which tokens count, `(B, N)` bool; all by default.

        Raises:
            InputError: there are no tokens, or a sample has none that counts.
        """
        if tokens.ndim != 3:
            raise InputError(f"an attentive head needs tokens, not {tuple(tokens.shape)}", "use another head")
        if present is not None:
            check_present(present)
        for block in self.blocks:
            tokens = block(tokens, src_key_padding_mask=None if present is None else ~present)
        key, value = self._split(self.known(self.norm(tokens))).chunk(2, dim=1)
        queries = self.queries.expand(len(tokens), -1, -1)
        asked = self._split(self.ask(queries))
        mask = None if present is None else present[:, None, None]
        seen = functional.scaled_dot_product_attention(asked, key, value, attn_mask=mask)
        seen = queries + seen.transpose(1, 2).flatten(2)
        return self.answer((seen + self.mlp(seen)).flatten(1))

    def _split(self, values: Tensor) -> Tensor:
        """`(B, N, m * F)` to `(B, m * heads, N, F / heads)`."""
        return values.unflatten(-1, (-1, self.queries.shape[1] // self.heads)).transpose(1, 2)


def _self_attention(width: int, heads: int) -> nn.Module:
    return nn.TransformerEncoderLayer(
        width, heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
