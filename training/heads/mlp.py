"""A head with one hidden layer."""

from __future__ import annotations

from torch import Tensor, nn

from training.heads.linear import LinearHead
from training.heads.pooling import mean_token


class MLPHead(nn.Module):
    """A norm, a hidden layer with GELU, and a linear head.

    Args:
        width: channels of the features, F.
        outputs: how many numbers to give.
        hidden: channels of the hidden layer; the features' by default.
        dropout: share of hidden values that is zeroed in training.

    Shapes:
        `(B, N, F)`, of which the mean is taken, or `(B, F)`, to `(B, outputs)`.
    """

    def __init__(self, width: int, outputs: int, hidden: int | None = None, dropout: float = 0.0) -> None:
        super().__init__()
        hidden = hidden or width
        self.body = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout))
        self.head = LinearHead(hidden, outputs)

    def forward(self, tokens: Tensor, present: Tensor | None = None) -> Tensor:
        """Answer; see `LinearHead.forward`."""
        return self.head(self.body(mean_token(tokens, present)))
