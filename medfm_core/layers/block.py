"""The pre-norm transformer block."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from medfm_core.layers.residual import DropPath, LayerScale


class Block(nn.Module):
    """`x + attention(norm(x))`, then `x + mlp(norm(x))`.

    The two branches are given as modules, so that a design brings its own (gated or rotary attention, experts).

    Args:
        width: channels of a token, `W`.
        attention: module from `(B, N, W)` to `(B, N, W)`; keyword arguments of `forward` are passed on to it.
        mlp: module from `(B, N, W)` to `(B, N, W)`.
        drop_path: share of samples for which a branch is left out in training.
        layer_scale: start of a learnt scale per channel of each branch; None for none.
        epsilon: of the norms.

    Shapes:
        `(B, N, W)` to `(B, N, W)`.

    Source: pre-norm order of arXiv:2002.04745.
    """

    def __init__(
        self,
        width: int,
        attention: nn.Module,
        mlp: nn.Module,
        drop_path: float = 0.0,
        layer_scale: float | None = None,
        epsilon: float = 1e-5,
    ) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width, eps=epsilon)
        self.attention = attention
        self.mlp_norm = nn.LayerNorm(width, eps=epsilon)
        self.mlp = mlp
        self.attention_scale, self.mlp_scale = (
            nn.Identity() if layer_scale is None else LayerScale(width, layer_scale) for _ in range(2)
        )
        self.drop_path = DropPath(drop_path)

    def forward(self, tokens: Tensor, **how: Any) -> Tensor:
        """Return the new tokens; `how` goes to the attention (for example `mask`)."""
        tokens = tokens + self.drop_path(self.attention_scale(self.attention(self.attention_norm(tokens), **how)))
        return tokens + self.drop_path(self.mlp_scale(self.mlp(self.mlp_norm(tokens))))
